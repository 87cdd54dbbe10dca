"""One pairing at a time, on the node's loop: the machine, its meeting place, its record.

Every step of the machine is on disk before its frames leave, so a pairing is taken up again after
a restart of either program (`PairingService.resume`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Container
from dataclasses import dataclass, replace
from typing import Any

from lutra.codec import decode, encode
from lutra.errors import BugError, LutraError, MalformedError, RemoteError, UsageError
from lutra.identity.errors import PairingStateError
from lutra.identity.pairing import Pairing, Step
from lutra.identity.pairing_code import PairingSecret
from lutra.identity.pairing_keys import Channel
from lutra.identity.pairing_messages import Choice
from lutra.identity.pairing_table import TERMINAL, Role, Side, State
from lutra.net.connection import Address, Connection
from lutra.net.tasks import Tasks
from lutra.node.addresses import parse_address
from lutra.node.device_views import PairingView
from lutra.node.options import NodeOptions
from lutra.node.pairing_desk import Desk, Entrance
from lutra.node.pairing_late import SILENT_SECONDS, LateMeeting
from lutra.node.pairing_link import pairing_link, read_pairing_code
from lutra.node.pairing_meeting import Meeting

_RECORD_BYTES = 16 * 1024 * 1024
_UNPROVEN = frozenset({State.READY, State.CONNECTED, State.CONFIRMING})


@dataclass(frozen=True, slots=True)
class _Plan:
    """What of a pairing is not the machine's to remember.

    Attributes:
        secret: code or link.
        typed: addresses to dial.
        port: where this device listens.
    """

    secret: PairingSecret
    typed: tuple[Address, ...] = ()
    port: int = 0


@dataclass(slots=True)
class _Run:
    """A pairing under way."""

    machine: Pairing
    plan: _Plan
    meeting: Meeting
    connection: Connection | None = None
    met_at: str = ""
    late: LateMeeting | None = None


class PairingService:
    """Pairs this device with another one.

    Args:
        desk: the profile.
        options: where to listen, and whether to use discovery.
        changed: called on the loop whenever `view` has changed.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        desk: Desk,
        options: NodeOptions,
        changed: Callable[[PairingView], None],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._desk = desk
        self._options = options
        self._changed = changed
        self._clock = clock
        self._run: _Run | None = None
        self._late: LateMeeting | None = None
        self._view: PairingView | None = None
        self._tasks = Tasks("pairing failed")
        self._endings: set[asyncio.Task[None]] = set()
        self._lock = asyncio.Lock()
        self._moved = asyncio.Condition()
        self._has_identity = False
        self._separate: tuple[bytes, ...] = ()
        self._trouble = ""

    # For the person

    @property
    def view(self) -> PairingView | None:
        """The pairing under way, or how the last one ended; None if there was none."""
        return self._view

    async def show(self, *, new: bool, link: bool = False) -> PairingView:
        """Begin as the side that shows a code.

        Args:
            new: this device is the new one.
            link: make a link (or QR code) that cannot be guessed, instead of a short code.

        Raises:
            PairingStateError: another pairing is under way.
            LutraError: this device cannot take part, or cannot listen.
        """
        secret = PairingSecret.long() if link else PairingSecret.short()
        return await self._begin(Side.SHOWS, _Plan(secret), new=new)

    async def enter(self, code: str, *, new: bool, addresses: tuple[str, ...] = ()) -> PairingView:
        """Begin as the side that enters a code or link.

        Args:
            code: what the other device shows.
            new: this device is the new one.
            addresses: where the other device is, besides what the link names and what is found.

        Raises:
            PairingCodeError: the code has a typing mistake; no guess was used up.
            UsageError: an address is not one.
            PairingStateError: another pairing is under way.
            LutraError: this device cannot take part.
        """
        return await self._begin(Side.ENTERS, _entered(code, addresses), new=new)

    def is_entered(self, code: str, *, new: bool, addresses: tuple[str, ...] = ()) -> bool:
        """Tell whether the pairing under way is the one that `enter` would begin.

        Once the devices are connected and the code is being proved, addresses do not matter.

        Raises:
            PairingCodeError, UsageError: as for `enter`.
        """
        plan, run = _entered(code, addresses), self._run
        if run is None or run.machine.side is not Side.ENTERS or self._is_new(run) is not new:
            return False
        met = run.machine.state not in (State.READY, State.CONNECTED)
        return run.plan.secret == plan.secret and (met or run.plan.typed == plan.typed)

    async def resume(self) -> PairingView | None:
        """Take up the pairing that an earlier run of the program left; None if there is none."""
        stored = await self._desk.load()
        if stored is None or self._run is not None:
            return None
        try:
            machine, plan = self._read_record(stored)
        except MalformedError:
            # Another version left it. Nothing was added by it that the person does not see.
            await self._desk.save(None)
            return None
        self._has_identity = bool(await self._desk.identity())
        await self._open(machine, plan, Side.SHOWS if plan.port else Side.ENTERS)
        return self._view

    async def accept(self, *, merge: bool = False) -> PairingView:
        """Say that both devices show the same digits.

        Args:
            merge: on a new device with an identity: it is to become part of the other person.

        Raises:
            PairingStateError: there is nothing to confirm now.
            UsageError: the identity that is here was not said to be merged.
        """
        choice, merged = Choice.NONE, ()
        if self._view is not None and self._view.new and self._has_identity:
            if not merge:
                raise UsageError(
                    "This device has an identity already. Say that it is to be merged, or pair "
                    "under a new profile to keep it separate."
                )
            choice, merged = Choice.MERGE, await self._desk.identity()
        async with self._lock:
            run, now = self._under_way(), self._clock()
            await self._take(run, run.machine.accept(now, choice, merged=merged))
        return self._shown()

    async def cancel(self) -> PairingView:
        """End the pairing, and tell the other device.

        Raises:
            PairingStateError: there is none.
        """
        async with self._lock:
            run = self._under_way()
            await self._take(run, run.machine.cancel(self._clock()))
        return self._shown()

    async def wait(self, revision: int) -> PairingView:
        """Return the view once it is newer than ``revision``.

        Raises:
            PairingStateError: there is no pairing.
        """
        async with self._moved:
            await self._moved.wait_for(lambda: self._shown().revision > revision)
        return self._shown()

    def met(self, devices: Container[bytes]) -> None:
        """Note which devices are connected as peers: the new one may be among them already."""
        run = self._run
        if run is None or run.machine.state is not State.DELIVERING:
            return
        peer = run.machine.peer
        if peer is not None and peer.device in devices:
            self._tasks.spawn(self._was_met(run))

    async def _was_met(self, run: _Run) -> None:
        async with self._lock:
            if run.machine.state is State.DELIVERING:
                await self._take(run, run.machine.met(self._clock()))

    async def close(self) -> None:
        """Stop for now; what is under way can be taken up later."""
        run, self._run = self._run, None
        if run is not None:
            if run.connection is not None:
                run.connection.close()
            await run.meeting.close()
        await self._close_late()
        # Called off, they would leave their meeting places open.
        await asyncio.gather(*self._endings, return_exceptions=True)
        await self._tasks.close()

    # Beginning and ending

    async def _begin(self, side: Side, plan: _Plan, *, new: bool) -> PairingView:
        is_kept = await self._desk.load() is not None
        card = await self._desk.card(Role.NEW if new else Role.EXISTING)
        # Looked at last: another one may have begun meanwhile.
        if is_kept or self._run is not None:
            raise PairingStateError("A pairing is under way already; end it first.")
        self._has_identity = card.person is not None
        machine = Pairing.start(side, plan.secret, card=card, key=self._desk.key, now=self._clock())
        await self._open(machine, plan, side)
        return self._shown()

    async def _open(self, machine: Pairing, plan: _Plan, side: Side) -> None:
        self._trouble, self._separate = "", ()
        meeting = Meeting(
            plan.secret,
            side,
            self._options,
            typed=plan.typed,
            on_connection=lambda connection: self._connected(run, connection),
        )
        run = self._run = _Run(machine, plan, meeting)
        try:
            await self._close_late()
            await meeting.open(plan.port)
            run.plan = _Plan(plan.secret, plan.typed, meeting.port)
            async with self._lock:
                if self._run is not run:
                    # It was ended while this opened, and what was not open yet not closed.
                    await meeting.close()
                    return
                await self._take(run, Step())
        except BaseException:
            self._run = None
            await meeting.close()
            raise
        self._tasks.spawn(self._watch_clock(run))

    def _under_way(self) -> _Run:
        """Return the pairing to act on; under the lock `view` tells why, if there is none."""
        if self._run is None or self._run.machine.state in TERMINAL:
            raise PairingStateError("No pairing is under way.")
        return self._run

    # Connections

    def _connected(self, run: _Run, connection: Connection) -> bool:
        if run.late is not None:
            return run.late.came(connection)
        if self._run is not run or run.connection is not None or run.machine.state in TERMINAL:
            return False
        run.connection = connection
        self._tasks.spawn(self._serve(run, connection))
        return True

    async def _serve(self, run: _Run, connection: Connection) -> None:
        """Run the machine on a connection until either is over."""
        channel = Channel(connection.handshake_hash, connection.own_device, connection.peer_device)
        machine = run.machine
        strangers = machine.strangers
        try:
            async with self._lock:
                run.met_at = connection.address.host
                await self._take(run, machine.connect(channel, self._clock()))
            while machine.state not in TERMINAL and run.connection is connection:
                async with asyncio.timeout(SILENT_SECONDS if self._is_unproven(run) else None):
                    frame = await connection.receive()
                async with self._lock:
                    await self._take(run, machine.receive(frame, self._clock()))
        except (LutraError, TimeoutError):
            # The line is dead, or somebody holds it for nothing. Another one may follow.
            pass
        finally:
            connection.close()
            if machine.strangers > strangers:
                run.meeting.distrust()
            await asyncio.shield(self._lose(run, connection))

    async def _lose(self, run: _Run, connection: Connection) -> None:
        async with self._lock:
            if run.connection is connection:
                run.connection = None
            if self._run is run:
                await self._take(run, run.machine.disconnect(self._clock()))

    @staticmethod
    def _is_unproven(run: _Run) -> bool:
        return run.machine.state in _UNPROVEN

    async def _watch_clock(self, run: _Run) -> None:
        while (deadline := run.machine.deadline) is not None:
            await asyncio.sleep(min(1.0, max(0.01, deadline - self._clock())))
            async with self._lock:
                before = run.machine.state
                step = run.machine.tick(self._clock())
                if run.machine.state is not before:
                    await self._take(run, step)

    # Steps

    async def _take(self, run: _Run, step: Step) -> None:
        """Make a step last, then carry it out; holds the lock."""
        machine = run.machine
        joins = machine.state is State.DONE and self._is_new(run)
        if joins and run is self._run:
            if not await self._enter(run):
                # No receipt: the other device shall not take this one for one of the person's.
                step = Step(close=True)
        else:
            await self._desk.save(None if machine.state in TERMINAL else self._record(run))
        self._send(run, step)
        if machine.addition is not None:
            self._send(run, await self._admit(run))
        self._tell(run)
        if machine.state in TERMINAL and self._run is run:
            self._run = None
            if machine.spent is not None:
                self._late = run.late = LateMeeting(machine.spent, run.meeting)
            ending = self._tasks.spawn(self._finish(run))
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)

    async def _finish(self, run: _Run) -> None:
        """Let the last frames leave before everything is closed."""
        if run.connection is not None:
            run.connection.close()
        run.connection = None
        if run.late is not None:
            await run.late.stay()
            if self._late is run.late:
                self._late = None  # It knows the code.
        else:
            await run.meeting.close()

    async def _close_late(self) -> None:
        """Speak no more of the code before: there is another one, or the program ends."""
        late, self._late = self._late, None
        if late is not None:
            await late.close()

    async def _admit(self, run: _Run) -> Step:
        """Sign the addition: the new device is in when this returns, and the record says so."""
        addition, steps = run.machine.addition, [Step()]
        assert addition is not None

        def finish(operations: tuple[Any, ...], hand_over: bytes) -> bytes:
            steps.append(run.machine.admitted(operations, self._clock(), hand_over))
            return self._record(run)

        try:
            await self._desk.admit(addition.consent, addition.card, addition.merged, finish)
        except LutraError as error:
            self._trouble = error.message
            step = run.machine.cancel(self._clock())
            await self._desk.save(None)
            return step
        return steps[-1]

    async def _enter(self, run: _Run) -> bool:
        """Become a device of the person: all of it, or nothing; returns whether it is one."""
        peer = run.machine.peer
        if peer is None:
            raise BugError("A pairing is done without the other device's introduction.")
        choice = Choice.MERGE if self._has_identity else Choice.NONE
        entrance = Entrance(
            choice, peer, run.machine.admission, run.machine.handed_over, run.met_at
        )
        try:
            self._separate = await self._desk.enter(entrance)
        except RemoteError as error:
            self._trouble = error.message
            await self._desk.save(None)
            return False
        return True

    def _send(self, run: _Run, step: Step) -> None:
        connection = run.connection
        if connection is None:
            return
        try:
            for frame in step.frames:
                connection.send_nowait(frame)
        except LutraError:
            # It is lost; the reader notices, and what was to be sent is sent again later.
            return
        if step.close:
            connection.close()

    def _is_new(self, run: _Run) -> bool:
        return run.machine.role is Role.NEW

    # The record and the view

    def _record(self, run: _Run) -> bytes:
        plan = run.plan
        typed = [[one.host, one.port] for one in plan.typed]
        secret = [plan.secret.number, plan.secret.secret]
        return encode([run.machine.store(), secret, typed, plan.port])

    def _read_record(self, stored: bytes) -> tuple[Pairing, _Plan]:
        machine, secret, typed, port = decode(stored, max_bytes=_RECORD_BYTES)
        places = tuple(Address(host, number) for host, number in typed)
        pairing = Pairing.restore(machine, self._desk.key, self._clock())
        return pairing, _Plan(PairingSecret(*secret), places, port)

    def _shown(self) -> PairingView:
        if self._view is None:
            raise PairingStateError("No pairing is under way.")
        return self._view

    def _tell(self, run: _Run) -> None:
        machine, secret = run.machine, run.plan.secret
        side, new = machine.side, self._is_new(run)
        shows = side is Side.SHOWS and machine.state not in TERMINAL
        asks = machine.state is State.COMPARING
        peer = machine.peer
        state = machine.state
        sentence = self._trouble or machine.sentence
        if self._trouble and state is State.DONE:
            state = State.FAILED
        before = self._view
        view = PairingView(
            revision=0 if before is None else before.revision + 1,
            state=state.value,
            shows=side is Side.SHOWS,
            new=new,
            code=secret.text() if shows and secret.is_short else "",
            link=pairing_link(secret, run.meeting.addresses())
            if shows and not secret.is_short
            else "",
            addresses=tuple(str(one) for one in run.meeting.addresses()) if shows else (),
            comparison=machine.comparison or "",
            asks=asks,
            asks_to_merge=asks and new and self._has_identity,
            person_name=peer.person_name if peer is not None else "",
            device_name=peer.device_name if peer is not None else "",
            device=peer.device if peer is not None else b"",
            sentence=sentence,
            strangers=machine.strangers,
            separate=self._separate,
        )
        if before is not None and replace(view, revision=before.revision) == before:
            return
        self._view = view
        self._changed(view)
        self._tasks.spawn(self._notify())

    async def _notify(self) -> None:
        async with self._moved:
            self._moved.notify_all()


def _entered(code: str, addresses: tuple[str, ...]) -> _Plan:
    secret, named = read_pairing_code(code)
    return _Plan(secret, (*(parse_address(one) for one in addresses), *named))
