"""The part of a node's API that is about coming in: invites, requests, joining, people nearby."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from lutra.errors import LocalError, NotFoundError
from lutra.groups.contents import Role
from lutra.groups.errors import JoinRefusedError
from lutra.groups.invite_secret import InviteSecret
from lutra.groups.nearby import Names
from lutra.node.addresses import NobodyFoundError, parse_address
from lutra.node.events import Event, GroupsChanged, InvitesChanged, JoinChanged
from lutra.node.invitations import INVITE_LIFETIME
from lutra.node.subscription import Subscription
from lutra.node.views import (
    GroupView,
    Identity,
    InviteView,
    JoinRequestView,
    JoinView,
    NearbyView,
)
from lutra.store.invites import InviteRow, ShortState
from lutra.store.joins import JoinRow, JoinState

if TYPE_CHECKING:
    from lutra.node.engine import Engine
    from lutra.node.network import Network

Result = TypeVar("Result")
JOIN_SECONDS = 30.0
"""How long `InviteApi.join` waits for the inviting device unless said otherwise."""
NEARBY_LIFETIME = 15 * 60 * 1000
"""How long an invite for somebody nearby is good, in milliseconds."""
_GOING_ON = frozenset({JoinState.SEEKING, JoinState.WAITING})
_AGAIN_SECONDS = 5.0
_KEYS_SECONDS = 10.0
"""How long `InviteApi.join` waits for a new group's keys."""


class NotRunningError(LocalError):
    """The network part of the node is not running."""

    code = "node.not-running"


class InviteApi(ABC):
    """Inviting and joining; `lutra.node.node.Node` is one."""

    _network: Network | None
    _admissions: dict[bytes, bytes]

    @property
    @abstractmethod
    def identity(self) -> Identity:
        """This device and its person."""

    @abstractmethod
    def events(self) -> Subscription:
        """Return an asynchronous iterator of the events from now on."""

    @abstractmethod
    async def group(self, group: bytes) -> GroupView:
        """Return one group."""

    @abstractmethod
    async def _call(self, function: Callable[[Engine], Result]) -> Result:
        """Run a function on the engine, in one transaction."""

    # Invites

    async def invite(
        self,
        group: bytes,
        *,
        role: Role = Role.WRITER,
        uses: int = 1,
        lifetime: int = INVITE_LIFETIME,
        by_hand: bool = False,
        short: bool = False,
        with_address: bool = True,
    ) -> InviteView:
        """Make an invite, to be used while this node runs; see `Invitations.invite`."""
        row = await self._call(
            lambda engine: engine.invitations.invite(
                group,
                role=role,
                uses=uses,
                lifetime=lifetime,
                by_hand=by_hand,
                short=short,
                with_address=with_address,
            )
        )
        return await self._invite_view(row)

    async def invites(self, group: bytes | None = None) -> list[InviteView]:
        """Return the invites of this device into one group or all, soonest to expire first.

        Those that are over are among them for some time.
        """
        rows = await self._call(lambda engine: engine.invitations.list(group))
        return [await self._invite_view(row) for row in rows]

    async def renew_short_code(self, invite: bytes) -> InviteView:
        """Give an invite a new short code, good for an hour and one try; see `renew_short`."""
        return await self._invite_view(
            await self._call(lambda engine: engine.invitations.renew_short(invite))
        )

    async def revoke_invite(self, invite: bytes) -> InviteView:
        """Take an invite back; whoever waits to be let in by it is refused.

        Raises:
            NotFoundError: this device made no such invite.
        """
        await self._call(lambda engine: engine.invitations.revoke(invite))
        return await self._invite_view(
            await self._call(lambda engine: engine.invitations.row(invite))
        )

    # Requests

    async def requests(self) -> list[JoinRequestView]:
        """Return who waits to be let in by invites of this device, oldest first."""
        return await self._call(_request_views)

    async def approve(self, device: bytes) -> None:
        """Let a device in that asks, and its person; see `Invitations.decide`."""
        await self._call(lambda engine: engine.invitations.decide(device, approve=True))

    async def decline(self, device: bytes) -> None:
        """Refuse a device that asks, and its person; only a new invite leads in then."""
        await self._call(lambda engine: engine.invitations.decide(device, approve=False))

    # Joining

    async def join(
        self, code: str, address: str | None = None, *, wait: float | None = JOIN_SECONDS
    ) -> JoinView:
        """Use an invite, and go on until this device is let in, refused, or gives it up.

        Args:
            code: the code, short code or link.
            address: where the inviting device is, if discovery cannot find it.
            wait: how many seconds to wait for an answer. Without one the attempt goes on in the
                background, over restarts; `JoinChanged` tells of it.

        Returns:
            how far it has come: admitted, waiting for somebody's approval, or still seeking.

        Raises:
            InviteError: the code has a typing mistake, or is a short code that was tried.
            UsageError: the address is not one, or the invite is this device's own.
            JoinRefusedError: the inviting device does not accept it.
            NobodyFoundError: there is no way to find that device.
            NotRunningError: `start` has not been called.
        """
        secret, hints = InviteSecret.parse(code)
        if address is not None:
            parse_address(address)
            hints = (address, *hints)
        network = self._running()
        await self._call(lambda engine: engine.joins.refuse_own(secret))
        if not hints and not network.discovers:
            raise NobodyFoundError(
                "The device that made this invite cannot be looked for: give its address, or "
                "let this device look around in the local network."
            )
        return await self._join(secret, hints, wait=wait)

    async def wait_join(self, join: bytes, *, wait: float | None = None) -> JoinView:
        """Wait until an attempt ends, or for some seconds; returns how far it has come.

        Raises:
            NotFoundError: there is no such attempt.
            JoinRefusedError: the inviting device does not accept it.
        """
        with self.events() as events:
            row = await self._attempt(join)
            return await self._watch(join, row, events, wait, _GOING_ON)

    async def joins(self) -> list[JoinView]:
        """Return the invites this device uses or has used in vain, oldest first."""
        return [_join_view(row) for row in await self._call(lambda engine: engine.joins.list())]

    def admissions(self) -> frozenset[bytes]:
        """Return the attempts of this run that have ended with admission."""
        return frozenset(self._admissions)

    async def cancel_join(self, join: bytes) -> None:
        """Give an attempt up, or forget one that is over.

        Raises:
            NotFoundError: there is none.
        """
        await self._call(lambda engine: engine.joins.cancel(join))

    # People nearby

    def nearby(self) -> NearbyView:
        """Return who is nearby, and who invites this person; `NearbyChanged` tells of changes."""
        return self._running().nearby.view()

    def show_nearby(self, seconds: float) -> None:
        """Let others nearby see this person's and device's name for a while; 0 ends it.

        Raises:
            UsageError: for longer than an hour.
            NotRunningError: `start` has not been called.
        """
        nearby = self._running().nearby
        if seconds:
            nearby.show(self._names(), seconds)
        else:
            nearby.hide()

    def look_nearby(self, seconds: float) -> None:
        """Look who is visible nearby, for a while; 0 ends it. Tells them nothing.

        Raises:
            UsageError: for longer than an hour.
            NotRunningError: `start` has not been called.
        """
        nearby = self._running().nearby
        if seconds:
            nearby.look(seconds)
        else:
            nearby.stop_looking()

    async def invite_nearby(self, person: str, group: bytes, *, role: Role = Role.WRITER) -> str:
        """Invite somebody who is visible into a group.

        Returns:
            six digits, which the other screen shows too. Once the person there has said yes,
            there is a request to `approve`: only after comparing the digits.

        Raises:
            NotFoundError: that person is not visible any more.
            JoinRefusedError: it takes no invitation.
            NotPermittedError: only an admin may let others in.
        """
        network = self._running()
        row = await self._call(
            lambda engine: engine.invitations.invite(
                group, role=role, lifetime=NEARBY_LIFETIME, by_hand=True
            )
        )
        link = InviteSecret(row.secret).link(network.reachable_at())
        try:
            return await network.nearby.invite(person, self._names(), link, row.id)
        except BaseException:
            await self._call(lambda engine: engine.invitations.revoke(row.id))
            raise

    async def answer_nearby(
        self, invitation: str, *, accept: bool, wait: float | None = JOIN_SECONDS
    ) -> JoinView | None:
        """Say yes or no to an invitation of somebody nearby.

        Returns:
            how far joining has come, or None after a no; raises and waits as `join` does.
        """
        offer = self._running().nearby.answer(invitation, accept=accept)
        if not accept:
            return None
        secret, hints = InviteSecret.parse(offer.link)
        return await self._join(
            secret, hints, wait=wait, comparison=offer.comparison, inviter=offer.names.name
        )

    # Inside

    def _running(self) -> Network:
        if self._network is None:
            raise NotRunningError("This needs the network, and the node is not on it.")
        return self._network

    def _names(self) -> Names:
        return Names(self.identity.name, self.identity.device_name)

    def _note(self, event: Event) -> None:
        """Let devices that wait to be let in know what was decided, and remember admissions."""
        if isinstance(event, InvitesChanged) and self._network is not None:
            self._network.invites_changed()
        if isinstance(event, JoinChanged) and event.state == "admitted":
            self._admissions[event.join] = event.group

    async def _join(
        self,
        secret: InviteSecret,
        hints: tuple[str, ...],
        *,
        wait: float | None,
        comparison: str = "",
        inviter: str = "",
    ) -> JoinView:
        with self.events() as events:
            row = await self._call(
                lambda engine: engine.joins.begin(
                    secret, hints, comparison=comparison, inviter=inviter
                )
            )
            if row.state is JoinState.WAITING:
                # It asks again now; without a decision nothing changes.
                wait = _AGAIN_SECONDS if wait is None else min(wait, _AGAIN_SECONDS)
                return await self._watch(row.invite, row, events, wait, _GOING_ON)
            return await self._watch(row.invite, row, events, wait, frozenset({JoinState.SEEKING}))

    async def _watch(
        self,
        join: bytes,
        row: JoinRow | None,
        events: Subscription,
        wait: float | None,
        states: frozenset[JoinState],
    ) -> JoinView:
        """Follow an attempt for as long as it is in one of some states; see `_attempt`."""
        last = row or JoinRow(join, b"", None, "", 0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                while row is not None and row.state in states:
                    event = await anext(events)
                    if isinstance(event, JoinChanged) and event.join == join:
                        last, row = row, await self._attempt(join)
                if row is None:
                    await self._readable(self._admissions[join], events)
        if row is None:
            return _join_view(last, group=await self.group(self._admissions[join]))
        if row.state is JoinState.REFUSED:
            if row.number is None:
                # Its sentence is told now. A short code's attempt is kept, so that the code is not
                # given away a second time.
                await self.cancel_join(join)
            raise JoinRefusedError(row.reason)
        return _join_view(row)

    async def _attempt(self, join: bytes) -> JoinRow | None:
        """Return how far an attempt has come, None once it has ended with admission.

        Raises:
            NotFoundError: there is no such attempt.
        """
        try:
            return await self._call(lambda engine: engine.joins.row(join))
        except NotFoundError:
            # Admission is noted here before any question asked after it is answered.
            if join in self._admissions:
                return None
            raise

    async def _readable(self, group: bytes, events: Subscription) -> None:
        """Wait until a new group's keys and name have come, for a while."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_KEYS_SECONDS):
                while not await self._call(lambda engine: engine.queries.is_readable(group)):
                    while await anext(events) != GroupsChanged(group):
                        pass

    async def _invite_view(self, row: InviteRow) -> InviteView:
        secret = InviteSecret(row.secret)
        network = self._network
        addresses = network.reachable_at() if network is not None and row.with_address else ()
        now, counts = await self._call(
            lambda engine: (engine.now(), engine.invitations.may_admit(row.group))
        )
        return _invite_view(row, secret.link(addresses), now, counts=counts)


def _invite_view(row: InviteRow, link: str, now: int, *, counts: bool) -> InviteView:
    state = (
        "revoked"
        if row.revoked or not counts
        else "expired"
        if row.expires <= now
        else "used"
        if row.uses_left < 1
        else "open"
    )
    short_state = row.short_state.name.lower()
    if row.short_state is ShortState.OPEN and (row.short_expires <= now or state != "open"):
        short_state = "expired"
    is_open = short_state == "open"
    return InviteView(
        group=row.group,
        code=InviteSecret(row.secret).code(),
        link=link,
        qr=link,
        expires=row.expires,
        uses=row.uses_left,
        id=row.id,
        role=row.role,
        by_hand=row.by_hand,
        state=state,
        short_code=InviteSecret(row.short_secret, row.short_number).code() if is_open else "",
        short_expires=row.short_expires if is_open else 0,
        short_state=short_state,
        created=row.created,
    )


def _request_views(engine: Engine) -> list[JoinRequestView]:
    return [
        JoinRequestView(
            device=request.device,
            person=request.person,
            name=request.name,
            device_name=request.device_name,
            comparison=request.comparison,
            group=invite.group,
            group_name=engine.queries.group(invite.group).name,
            role=invite.role,
            invite=invite.id,
            time=request.time,
        )
        for invite, request in engine.invitations.requests()
    ]


def _join_view(row: JoinRow, group: GroupView | None = None) -> JoinView:
    return JoinView(
        id=row.invite,
        state=row.state.name.lower() if group is None else "admitted",
        group=b"" if group is None else group.id,
        name="" if group is None else group.name,
        comparison=row.comparison if row.state is JoinState.WAITING else "",
        inviter=row.inviter,
        reason=row.reason,
        since=row.time,
        short=row.number is not None,
    )
