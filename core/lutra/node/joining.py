"""Using invites on the network: finding the inviting device, asking it, waiting, asking again.

Every attempt has a task of its own. It tries the addresses it was given and whoever announces the
invite's rendezvous, each again and again with growing pauses, until the attempt ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import random as _random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from lutra.crypto.signing import SigningKey
from lutra.errors import EnvironmentalError, LutraError, NotFoundError
from lutra.groups.invite import UNPROVEN, Joiner
from lutra.groups.invite_keys import Channel
from lutra.groups.invite_secret import InviteSecret
from lutra.net.connection import Address, Connection, Timing
from lutra.net.discovery import Found
from lutra.net.errors import NotAdmittedError
from lutra.net.knock import Knock
from lutra.net.tasks import Tasks
from lutra.net.transport import dial
from lutra.node.addresses import parse_address
from lutra.node.errands import JOIN, EngineCalls
from lutra.node.join_attempts import Step
from lutra.store.joins import JoinRow, JoinState
from lutra.store.peers import AddressRow

STEP_SECONDS = 10.0
FRESH_SECONDS = 60.0
"""For so long after the person has entered an invite, a device that does not know it counts."""
_REFUSED_SECONDS = 3.0
_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 60.0
_MAX_DOORS = 32
_OFFER_SECONDS = 0.05
"""So long a key package waits: the group's first operations go before the keys it asks for."""


@dataclass(slots=True)
class _Door:
    """Where an inviting device may be.

    Attributes:
        address: where to dial.
        knock: what whoever answers there must prove first; None for an address in a link.
        label: of the announcement it comes from; empty for an address in a link.
        due: loop time of the next try.
        tries: how many have failed.
    """

    address: Address
    knock: Knock | None
    label: str
    due: float = 0.0
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Means:
    """What attempts work with.

    Attributes:
        engine: runs calls on the engine.
        timing: how long connections wait.
        now: clock in milliseconds.
        joined: called with where the inviting device is, after it has let this one in.
        jitter: a number in [0, 1) each time.
    """

    engine: EngineCalls
    timing: Timing
    now: Callable[[], int]
    joined: Callable[[AddressRow], None]
    jitter: Callable[[], float] = _random.random


class Joining:
    """All attempts of a node to join."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._attempts: dict[bytes, _Attempt] = {}
        self._found: dict[str, Found] = {}
        self._tasks = Tasks("an attempt to join failed")
        self._ending: set[asyncio.Task[None]] = set()

    def set_attempts(self, rows: Sequence[JoinRow]) -> None:
        """Go on with these attempts and no others."""
        wanted = {row.invite: row for row in rows}
        for join in [join for join in self._attempts if join not in wanted]:
            self._end(self._attempts.pop(join))
        for join, row in wanted.items():
            if join not in self._attempts:
                fresh = self._means.now() - row.time < FRESH_SECONDS * 1000
                attempt = _Attempt(self._means, join, is_fresh=fresh)
                self._attempts[join] = attempt
                attempt.task = self._tasks.spawn(attempt.run())
            self._attempts[join].update(row, self._found.values())

    def sought(self) -> list[bytes]:
        """Return the rendezvous to look for."""
        return [one for attempt in self._attempts.values() for one in attempt.rendezvous]

    def found(self, event: Found) -> None:
        """Take an announcement of something that is looked for."""
        self._found[event.label] = event
        for attempt in self._attempts.values():
            attempt.look(event)

    def gone(self, label: str) -> None:
        """Take that an announcement is there no more."""
        self._found.pop(label, None)
        for attempt in self._attempts.values():
            attempt.leave(label)

    def hurry(self) -> None:
        """Try everything again soon: the network has changed."""
        for attempt in self._attempts.values():
            attempt.hurry()

    async def close(self) -> None:
        """Stop; attempts go on at the next start."""
        for attempt in self._attempts.values():
            self._end(attempt)
        self._attempts.clear()
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _end(self, attempt: _Attempt) -> None:
        task = attempt.task
        if task is None or task.done():
            return
        if not attempt.is_deciding:
            # One that is, learns itself what has become of it: perhaps it was let in just now.
            task.cancel()
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


class _Attempt:
    """One invite that is being used."""

    def __init__(self, means: Means, join: bytes, *, is_fresh: bool) -> None:
        self._means = means
        self._engine = means.engine
        self._join = join
        self._loop = asyncio.get_running_loop()
        self._fresh_until = self._loop.time() + FRESH_SECONDS if is_fresh else 0.0
        self._doors: dict[tuple[str, Address], _Door] = {}
        self._wake = asyncio.Event()
        self._refused_at: float | None = None
        self._waiting = False
        self.rendezvous: tuple[bytes, ...] = ()
        self.is_over = False
        self.is_deciding = False
        self.task: asyncio.Task[None] | None = None

    def update(self, row: JoinRow, found: Iterable[Found]) -> None:
        """Take what the store says of it."""
        self._waiting = row.state is JoinState.WAITING
        secrets = [InviteSecret(row.secret, row.number)]
        if row.ticket:
            secrets.append(InviteSecret(row.ticket))
        self.rendezvous = tuple(secret.rendezvous for secret in secrets)
        for text in filter(None, row.addresses.split(",")):
            with contextlib.suppress(LutraError):
                # What a link says may be no address; those that are count.
                self._add(_Door(parse_address(text), None, ""))
        for event in found:
            self.look(event)

    def look(self, event: Found) -> None:
        if event.matched & set(self.rendezvous):
            for address in event.addresses:
                self._add(_Door(address, event.knock, event.label))

    def leave(self, label: str) -> None:
        for key in [key for key in self._doors if key[0] == label]:
            del self._doors[key]

    def hurry(self) -> None:
        for door in self._doors.values():
            door.due, door.tries = 0.0, 0
        self._wake.set()

    async def run(self) -> None:
        """Try doors until the attempt is over."""
        while not self.is_over:
            self._wake.clear()
            door = min(self._doors.values(), key=lambda one: one.due, default=None)
            now = self._loop.time()
            if door is not None and door.due <= now:
                await self._try(door)
                continue
            refused_until = self._patience()
            if refused_until is not None and refused_until <= now:
                self._refused_at = None
                await self._call_refuse(UNPROVEN)
                continue
            times = [one for one in (refused_until, door.due if door else None) if one is not None]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(times) - now if times else None):
                    await self._wake.wait()

    # Inside

    def _add(self, door: _Door) -> None:
        key = door.label, door.address
        known = self._doors.get(key)
        if known is not None:
            known.knock = door.knock
        elif len(self._doors) < _MAX_DOORS:
            self._doors[key] = door
            self._wake.set()

    def _patience(self) -> float | None:
        """Return when to give up because whoever answered did not know the invite."""
        if self._refused_at is None or self._waiting:
            return None
        if any(door.tries == 0 for door in self._doors.values()):
            return None
        return self._refused_at + _REFUSED_SECONDS

    async def _try(self, door: _Door) -> None:
        """Ask at one door, with what may be known there."""
        step: Step | None = None
        began = self._loop.time()
        try:
            secrets = await self._engine.call(lambda engine: engine.joins.secrets(self._join))
            for secret in secrets:
                step = await self._ask(door, secret)
                if step is not Step.UNPROVEN:
                    break
        except NotFoundError:
            # Given up meanwhile: nobody is owed anything.
            self.is_over = True
            return
        except NotAdmittedError:
            # A device that has given out no invite at all.
            step = Step.UNPROVEN
        except (LutraError, TimeoutError):
            step = None
        if step in (Step.ADMITTED, Step.REFUSED):
            self.is_over = True
            return
        if step is Step.UNPROVEN and began < self._fresh_until:
            self._refused_at = self._refused_at or self._loop.time()
        # A door that has worked is tried again soon.
        door.tries = 1 if step is Step.WAITING else door.tries + 1
        pause = min(_FIRST_PAUSE * 2 ** min(door.tries - 1, 8), _LONGEST_PAUSE)
        door.due = self._loop.time() + pause * (0.75 + self._means.jitter() / 2)

    async def _ask(self, door: _Door, secret: InviteSecret) -> Step:
        """Run one exchange; returns how it ended."""
        connection = await dial(
            door.address,
            SigningKey.generate(),
            knock=door.knock,
            timing=self._means.timing,
        )
        try:
            return await self._exchange(door, secret, connection)
        finally:
            connection.close()

    async def _exchange(self, door: _Door, secret: InviteSecret, connection: Connection) -> Step:
        channel = Channel(connection.handshake_hash, connection.own_device, connection.peer_device)
        await connection.send(JOIN)
        joiner = await self._engine.call(
            lambda engine: engine.joins.open(self._join, secret, channel)
        )
        await connection.send(joiner.start())
        reached = Step.GOES_ON
        while True:
            # Whoever was told to wait stays, and is told as soon as somebody has decided.
            patience = None if reached is Step.WAITING else STEP_SECONDS
            try:
                async with asyncio.timeout(patience):
                    frame = await connection.receive()
            except (LutraError, TimeoutError):
                if reached is Step.WAITING:
                    return reached
                raise
            step, answer = await self._take(secret, joiner, frame)
            if step is Step.ADMITTED:
                assert joiner.admission is not None
                address = connection.address
                self._means.joined(
                    AddressRow(
                        joiner.admission.device,
                        address.host,
                        address.port,
                        self._means.now(),
                        "dialled",
                    )
                )
                await self._offer(connection, answer)
            elif answer is not None:
                await connection.send(answer)
            if step not in (Step.GOES_ON, Step.WAITING):
                return step
            reached = step

    async def _offer(self, connection: Connection, offer: bytes | None) -> None:
        """Give a key package to the device that has let this one in."""
        self.is_deciding = True
        if offer is not None:
            await asyncio.sleep(_OFFER_SECONDS)
            with contextlib.suppress(LutraError):
                # What is lost here is offered again in the group.
                await connection.send(offer)

    async def _take(
        self, secret: InviteSecret, joiner: Joiner, frame: bytes
    ) -> tuple[Step, bytes | None]:
        self.is_deciding = True
        try:
            return await self._engine.call(
                lambda engine: engine.joins.receive(self._join, secret, joiner, frame)
            )
        finally:
            self.is_deciding = False

    async def _call_refuse(self, reason: str) -> None:
        try:
            await self._engine.call(lambda engine: engine.joins.refuse(self._join, reason))
        except (NotFoundError, EnvironmentalError):
            return
        self.is_over = True
