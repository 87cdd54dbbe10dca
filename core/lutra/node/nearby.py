"""People nearby: being visible for a while, looking who is, and inviting one of them.

Everything here is in memory and ends with the node. Nobody is visible unless the person wants it.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass

from lutra.crypto.random import Random, system_random
from lutra.crypto.signing import SigningKey
from lutra.errors import LutraError, NotFoundError, UsageError
from lutra.groups.errors import JoinRefusedError
from lutra.groups.invite_keys import Channel
from lutra.groups.invite_secret import InviteSecret
from lutra.groups.nearby import RENDEZVOUS, TOKEN_BYTES, Looking, Names, Offer, Visible
from lutra.net.connection import Connection, Timing
from lutra.net.discovery import Found
from lutra.net.frames import CloseReason
from lutra.net.transport import dial
from lutra.node.errands import NEARBY, EngineCalls
from lutra.node.views import NearbyInvitationView, NearbyPersonView, NearbyView

MAX_SECONDS = 3600
MAX_PEOPLE = 32
MAX_WATCHERS = 8
"""Devices that may look at this one at a time."""
MAX_INVITATIONS = 8
"""Invitations that wait for an answer at a time."""
MAX_ASKED = 16
"""Invitations that are taken while a person is visible: each is a try at the digits."""
OFFER_SECONDS = 15 * 60.0
_STEP_SECONDS = 10.0
_AGAIN_SECONDS = 3.0


@dataclass(slots=True)
class _Person:
    """Somebody who was found."""

    id: str
    label: str
    looking: Looking
    connection: Connection
    names: Names
    state: str = "seen"
    invite: bytes = b""
    asked: asyncio.Future[str] | None = None


@dataclass(slots=True)
class _Invitation:
    """Somebody's invitation to this person."""

    id: str
    offer: Offer
    visible: Visible
    connection: Connection
    until: float


class Nearby:
    """Both sides of meeting people nearby.

    Args:
        engine: runs calls on the engine.
        timing: how long connections wait.
        now: clock in milliseconds.
        rendezvous_changed: called when `offered` or `sought` have changed.
        changed: called when `view` has changed.
        random: source of tokens and nonces.
    """

    def __init__(
        self,
        engine: EngineCalls,
        timing: Timing,
        *,
        now: Callable[[], int],
        rendezvous_changed: Callable[[], None],
        changed: Callable[[], None],
        random: Random = system_random,
    ) -> None:
        self._engine = engine
        self._timing = timing
        self._now = now
        self._rendezvous_changed = rendezvous_changed
        self._changed = changed
        self._random = random
        self._own: Names | None = None
        self._token = b""
        self._visible_until = self._looking_until = 0
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._watchers: set[Connection] = set()
        self._asked = 0
        self._invitations: dict[str, _Invitation] = {}
        self._people: dict[str, _Person] = {}
        self._found: dict[str, Found] = {}
        self._meetings: dict[str, asyncio.Task[None]] = {}

    def offered(self) -> list[bytes]:
        """Return the rendezvous at which others may find this device."""
        return [RENDEZVOUS] if self._visible_until else []

    def sought(self) -> list[bytes]:
        """Return the rendezvous at which others are looked for."""
        return [RENDEZVOUS] if self._looking_until else []

    def view(self) -> NearbyView:
        """Return who is there, and who has invited this person."""
        time = asyncio.get_running_loop().time()
        for one in [one for one in self._invitations.values() if one.until <= time]:
            del self._invitations[one.id]
        return NearbyView(
            self._visible_until,
            self._looking_until,
            tuple(
                NearbyPersonView(
                    one.id,
                    one.names.name,
                    one.names.device_name,
                    one.state,
                    one.looking.comparison,
                )
                for one in self._people.values()
            ),
            tuple(
                NearbyInvitationView(
                    one.id,
                    one.offer.names.name,
                    one.offer.names.device_name,
                    one.offer.comparison,
                )
                for one in self._invitations.values()
            ),
        )

    async def close(self) -> None:
        """Be visible no more, and end all meetings."""
        self.hide()
        self.stop_looking()
        for name in list(self._timers):
            self._stop_timer(name)
        for connection in [*self._watchers, *(one.connection for one in self._people.values())]:
            connection.close()
        await asyncio.gather(*self._meetings.values(), return_exceptions=True)

    # Being visible

    def show(self, own: Names, seconds: float) -> None:
        """Be visible for a while, under these names.

        Raises:
            UsageError: for longer than an hour, or not at all.
        """
        if not 0 < seconds <= MAX_SECONDS:
            raise UsageError("You can be visible for up to an hour.")
        if not self._visible_until:
            self._token = self._random(TOKEN_BYTES)
            self._asked = 0
        self._own = own
        self._visible_until = self._now() + int(seconds * 1000)
        self._timer("visible", seconds, self.hide)
        self._rendezvous_changed()
        self._changed()

    def hide(self) -> None:
        """Be visible no more; invitations that have come stay for some minutes."""
        self._stop_timer("visible")
        if not self._visible_until:
            return
        self._visible_until = 0
        inviting = {one.connection for one in self._invitations.values()}
        for connection in self._watchers - inviting:
            connection.close()
        self._rendezvous_changed()
        self._changed()

    async def serve(self, connection: Connection) -> None:
        """Serve a device that looks at this one.

        Raises:
            LutraError: the connection is over, or the device broke a rule.
            TimeoutError: it is too slow.
        """
        if not self._visible_until or self._own is None or len(self._watchers) >= MAX_WATCHERS:
            connection.close(CloseReason.BUSY)
            return
        channel = Channel(connection.handshake_hash, connection.own_device, connection.peer_device)
        visible = Visible(channel, self._token, self._own, self._random)
        self._watchers.add(connection)
        try:
            patience: float | None = _STEP_SECONDS
            while True:
                began = visible.asked
                async with asyncio.timeout(patience):
                    frame = await connection.receive()
                answer = visible.receive(frame)
                if visible.asked and not began and not self._takes_another():
                    answer = visible.decline()
                if answer is not None:
                    await connection.send(answer)
                if visible.offer is not None:
                    self._invited(visible, visible.offer, connection)
                patience = _STEP_SECONDS if visible.asked and visible.offer is None else None
        finally:
            self._watchers.discard(connection)

    def answer(self, invitation: str, *, accept: bool) -> Offer:
        """Answer an invitation; one that is accepted is to be used as any invite.

        Raises:
            NotFoundError: there is no such invitation any more.
        """
        self.view()
        found = self._invitations.pop(invitation, None)
        if found is None:
            raise NotFoundError("This invitation is not there any more.")
        if not accept and found.connection.is_open:
            found.connection.send_nowait(found.visible.decline())
        found.connection.close()
        self._changed()
        return found.offer

    def _takes_another(self) -> bool:
        self._asked += 1
        self.view()
        return self._asked <= MAX_ASKED and len(self._invitations) < MAX_INVITATIONS

    def _invited(self, visible: Visible, offer: Offer, connection: Connection) -> None:
        InviteSecret.parse(offer.link)
        identifier = self._identifier(self._random(TOKEN_BYTES))
        until = asyncio.get_running_loop().time() + OFFER_SECONDS
        self._invitations[identifier] = _Invitation(identifier, offer, visible, connection, until)
        self._changed()

    # Looking

    def look(self, seconds: float) -> None:
        """Look who is visible, for a while.

        Raises:
            UsageError: for longer than an hour, or not at all.
        """
        if not 0 < seconds <= MAX_SECONDS:
            raise UsageError("You can look around for up to an hour.")
        self._looking_until = self._now() + int(seconds * 1000)
        self._timer("looking", seconds, self.stop_looking)
        self._rendezvous_changed()
        for event in list(self._found.values()):
            self.found(event)
        self._changed()

    def stop_looking(self) -> None:
        """Look no more; who was invited stays listed while it is there."""
        self._stop_timer("looking")
        if not self._looking_until:
            return
        self._looking_until = 0
        for one in self._people.values():
            if one.state != "asked":
                one.connection.close()
        self._rendezvous_changed()
        self._changed()

    def found(self, event: Found) -> None:
        """Take an announcement of something that is looked for."""
        if RENDEZVOUS not in event.matched:
            return
        self._found[event.label] = event
        meeting = self._meetings.get(event.label)
        if not self._looking_until or meeting is not None or len(self._meetings) >= MAX_PEOPLE:
            return
        task = asyncio.ensure_future(self._meet(event))
        self._meetings[event.label] = task
        task.add_done_callback(lambda done: self._met(event.label, done))

    def gone(self, label: str) -> None:
        """Take that an announcement is there no more."""
        self._found.pop(label, None)
        self._stop_timer(label)

    async def invite(self, person: str, own: Names, link: str, invite: bytes) -> str:
        """Hand an invite to somebody who was found; returns the digits both sides show.

        Args:
            person: the id in `view`.
            own: what this person and device are called.
            link: the invite.
            invite: its id; withdrawn if the person there does not want it.

        Raises:
            NotFoundError: that person is not there any more.
            JoinRefusedError: it takes no invitation.
            UsageError: it was invited already.
        """
        found = self._people.get(person)
        if found is None or not found.connection.is_open:
            raise NotFoundError("This person is not visible nearby any more.")
        if found.state != "seen":
            raise UsageError("This person was invited already.")
        found.state, found.invite = "asked", invite
        found.asked = asyncio.get_running_loop().create_future()
        await found.connection.send(found.looking.invite(own, link))
        self._changed()
        try:
            async with asyncio.timeout(_STEP_SECONDS):
                return await found.asked
        except TimeoutError:
            found.connection.close()
            raise NotFoundError("This person's device did not answer in time.") from None

    async def _meet(self, event: Found) -> None:
        for address in event.addresses:
            try:
                connection = await dial(
                    address, SigningKey.generate(), knock=event.knock, timing=self._timing
                )
            except LutraError:
                continue
            try:
                await self._talk(event.label, connection)
            except JoinRefusedError:
                pass
            finally:
                connection.close()
            return

    async def _talk(self, label: str, connection: Connection) -> None:
        channel = Channel(connection.handshake_hash, connection.peer_device, connection.own_device)
        looking = Looking(channel, self._random)
        await connection.send(NEARBY)
        await connection.send(looking.start())
        async with asyncio.timeout(_STEP_SECONDS):
            looking.receive(await connection.receive())
        names = looking.names
        identifier = self._identifier(looking.token)
        if names is None or identifier in self._people:
            # The same person under another announcement.
            self._found.pop(label, None)
            return
        person = _Person(identifier, label, looking, connection, names)
        self._people[identifier] = person
        self._changed()
        try:
            while True:
                answer = looking.receive(await connection.receive())
                if answer is not None:
                    await self._reveal(person, answer)
        except JoinRefusedError as error:
            await self._declined(person, error)
        finally:
            del self._people[identifier]
            self._fail(person, NotFoundError("This person is not visible nearby any more."))
            self._changed()

    async def _reveal(self, person: _Person, answer: bytes) -> None:
        """Show the digits here before the other side can use the invite."""
        digits = person.looking.comparison
        await self._engine.call(
            lambda engine: engine.invitations.set_comparison(person.invite, digits)
        )
        await person.connection.send(answer)
        if person.asked is not None and not person.asked.done():
            person.asked.set_result(digits)
        self._changed()

    async def _declined(self, person: _Person, error: JoinRefusedError) -> None:
        await self._engine.call(lambda engine: engine.invitations.revoke(person.invite))
        self._fail(person, error)

    def _fail(self, person: _Person, error: LutraError) -> None:
        if person.asked is not None and not person.asked.done():
            person.asked.set_exception(error)

    def _met(self, label: str, done: asyncio.Task[None]) -> None:
        self._meetings.pop(label, None)
        error = None if done.cancelled() else done.exception()
        if error is not None and not isinstance(error, LutraError | TimeoutError):
            context = {"message": "meeting somebody nearby failed", "exception": error}
            done.get_loop().call_exception_handler(context)
        elif self._looking_until and (event := self._found.get(label)) is not None:
            self._timer(label, _AGAIN_SECONDS, lambda: self.found(event))

    # Time

    def _timer(self, name: str, seconds: float, call: Callable[[], None]) -> None:
        self._stop_timer(name)
        loop = asyncio.get_running_loop()
        self._timers[name] = loop.call_later(seconds, call)

    def _stop_timer(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _identifier(self, token: bytes) -> str:
        return base64.b32encode(token[:10]).decode().lower()
