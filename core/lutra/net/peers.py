"""Keeping connections to all devices that can be reached and may be talked to."""

from __future__ import annotations

import asyncio
import contextlib
import random as _random
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from lutra.crypto.signing import SigningKey
from lutra.errors import EnvironmentalError, LutraError, RemoteError
from lutra.net.connection import Address, Connection, Timing
from lutra.net.dialplan import Attempt, DialPlan, Source
from lutra.net.discovery import Announced, DiscoveryEvent, Found, Gone
from lutra.net.errors import NotAdmittedError
from lutra.net.frames import CloseReason, Purpose
from lutra.net.knock import Door, Knock
from lutra.net.tasks import Tasks
from lutra.net.transport import Listener, dial

MAX_CONNECTIONS = 256
MAX_GUESTS = 16
MAX_DIALS = 16
WATCH_SECONDS = 5.0
SUSPEND_SECONDS = 5.0


class Admission(Enum):
    """What a proven device may do here.

    MEMBER: everything its groups allow. GUEST: to show that it shares a group with this device, or
    to run an errand. REFUSED: nothing; it is not even told who we are.
    """

    MEMBER = "member"
    GUEST = "guest"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class PeerConnected:
    """A connection to a device stands.

    It is the only one to it, unless its purpose is `lutra.net.frames.Purpose.ERRAND`: then it comes
    beside any other, and its admission is GUEST whatever the device may do otherwise.
    """

    connection: Connection
    admission: Admission


@dataclass(frozen=True, slots=True)
class PeerDisconnected:
    """A connection told of before is over.

    Attributes:
        connection: which.
        error: why.
        replaced: another connection to the same device takes its place.
    """

    connection: Connection
    error: LutraError
    replaced: bool


@dataclass(frozen=True, slots=True)
class AdmissionChanged:
    """A connected device may do something else from now on."""

    connection: Connection
    admission: Admission


PeerEvent = PeerConnected | PeerDisconnected | AdmissionChanged


@dataclass(frozen=True, slots=True)
class PeerFacts:
    """What dialling and listening have met, for the diagnosis.

    Attributes:
        listening: addresses listened at.
        incoming: connections that came in from outside, strangers included.
        incoming_refused: of those, how many were dropped because too many were greeting.
        connected: devices connected now.
        attempts: what became of each known address.
    """

    listening: tuple[Address, ...]
    incoming: int
    incoming_refused: int
    connected: tuple[bytes, ...]
    attempts: tuple[Attempt, ...]


class PeerManager:
    """Listens, dials every known address, and keeps one connection to each device.

    Feed it what discovery finds (`discovered`), remembered addresses and typed ones; none of these
    routes waits for another. Both sides dial, so several connections to a device may come about:
    the device with the smaller key uses the first, tells the other side so, and drops the rest.

    Args:
        key: this device's key.
        on_event: called on the event loop, one event at a time.
        admit: what a device may do; asked at the end of each handshake, except on errands.
        runs_errands: whether errands are run at present; they are under keys made for each.
        timing: how long connections wait.
        jitter: a number in [0, 1) each time.
        wall_clock: seconds since 1970, to notice that the computer was suspended.
        on_resume: called when it was, so that discovery can ask again.
    """

    def __init__(
        self,
        key: SigningKey,
        *,
        on_event: Callable[[PeerEvent], None],
        admit: Callable[[bytes], Admission],
        runs_errands: Callable[[], bool] = lambda: True,
        timing: Timing | None = None,
        jitter: Callable[[], float] = _random.random,
        wall_clock: Callable[[], float] = time.time,
        on_resume: Callable[[], None] = lambda: None,
    ) -> None:
        self._key = key
        self._on_event = on_event
        self._admit = admit
        self._timing = timing or Timing()
        self._wall_clock = wall_clock
        self._on_resume = on_resume
        self._plan = DialPlan(jitter)
        self._door = Door()
        self._listener = Listener(
            key,
            on_connection=self._connected,
            admit=self._may_enter,
            errand_key=lambda: SigningKey.generate() if runs_errands() else None,
            door=self._door,
            timing=self._timing,
        )
        self._found: dict[tuple[str, Address], Knock] = {}
        self._connections: dict[bytes, Connection] = {}
        self._admissions: dict[bytes, Admission] = {}
        self._errands: set[Connection] = set()
        self._undecided: set[Connection] = set()
        self._tasks = Tasks("a peer task failed")
        self._dials = 0
        self._wake = asyncio.Event()
        self._closing = False

    async def open(self, host: str | None = None, port: int = 0) -> None:
        """Listen (on every interface, if ``host`` is None) and begin to dial.

        Raises:
            ListenError: the address cannot be listened at.
        """
        await self._listener.open(host, port)
        self._tasks.spawn(self._dial_due())
        self._tasks.spawn(self._watch_for_suspend())

    async def close(self) -> None:
        """End every connection and wait until the last bytes have left."""
        self._closing = True
        await self._listener.close()
        open_connections = [*self._connections.values(), *self._errands, *self._undecided]
        for connection in open_connections:
            connection.close(CloseReason.GOING_AWAY)
        await self._tasks.close()
        await asyncio.gather(*(one.wait_closed() for one in open_connections))
        for connection in open_connections:
            self._remove(connection)

    @property
    def port(self) -> int:
        """The TCP port listened at."""
        return self._listener.port

    def connections(self) -> tuple[Connection, ...]:
        """Return the connections that stand, one for each device."""
        return tuple(self._connections.values())

    def connection(self, device: bytes) -> Connection | None:
        """Return the connection to a device, if there is one."""
        return self._connections.get(device)

    def discovered(self, event: DiscoveryEvent) -> None:
        """Take what `lutra.net.discovery.Discovery` found."""
        now = self._now()
        if isinstance(event, Found):
            for address in event.addresses:
                self._found[event.label, address] = event.knock
                self._plan.add(address, Source.FOUND, now)
            self._wake.set()
        elif isinstance(event, Gone):
            for label, address in [key for key in self._found if key[0] == event.label]:
                del self._found[label, address]
                if self._knock(address) is None:
                    self._plan.discard(address, Source.FOUND)
        elif isinstance(event, Announced):
            self._door.set_table(event.table)
        else:
            self.hurry()

    def remember(self, address: Address, device: bytes) -> None:
        """Dial an address at which ``device`` was met earlier."""
        self._add(address, Source.REMEMBERED, device)

    def add_typed(self, address: Address) -> None:
        """Dial an address that the person typed or that stands in a link."""
        self._add(address, Source.TYPED)

    def remove_typed(self, address: Address) -> None:
        """Do not dial a typed address any more."""
        self._plan.discard(address, Source.TYPED)

    def hurry(self) -> None:
        """Dial everything again soon and check which connections still live."""
        self._plan.hurry(self._now())
        for connection in self._connections.values():
            connection.expect_life()
        self._wake.set()

    def readmit(self) -> None:
        """Ask again what each connected device may do, and part with those that are refused."""
        for device, connection in list(self._connections.items()):
            admission = self._admit(device)
            if admission is Admission.REFUSED:
                self.disconnect(device, CloseReason.NOT_ADMITTED)
            elif admission is not self._admissions.get(device):
                self._admissions[device] = admission
                self._on_event(AdmissionChanged(connection, admission))

    def disconnect(self, device: bytes, reason: CloseReason = CloseReason.NORMAL) -> None:
        """End the connection to a device, if there is one."""
        connection = self._connections.get(device)
        if connection is not None:
            connection.close(reason)
            self._remove(connection)

    def facts(self) -> PeerFacts:
        """Return what was met so far."""
        return PeerFacts(
            listening=self._listener.addresses,
            incoming=self._listener.accepted,
            incoming_refused=self._listener.refused,
            connected=tuple(self._connections),
            attempts=self._plan.attempts(self._now()),
        )

    # -- dialling ------------------------------------------------------------------------------

    def _add(self, address: Address, source: Source, device: bytes | None = None) -> None:
        self._plan.add(address, source, self._now(), device)
        self._wake.set()

    def _knock(self, address: Address) -> Knock | None:
        """Return what the latest announcement of an address lets us demand there."""
        knocks = [knock for (_, found), knock in self._found.items() if found == address]
        return knocks[-1] if knocks else None

    async def _dial_due(self) -> None:
        while True:
            self._wake.clear()
            for address in self._plan.due(self._now(), self._connections):
                if self._dials >= MAX_DIALS:
                    break
                self._plan.begin(address)
                self._dials += 1
                self._tasks.spawn(self._dial(address))
            next_due = self._plan.next_due(self._connections)
            if next_due is None or self._dials >= MAX_DIALS:
                await self._wake.wait()
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, next_due - self._now())):
                    await self._wake.wait()

    async def _dial(self, address: Address) -> None:
        """Dial once; when a connection comes of it, stay with it until it ends."""
        try:
            connection = await dial(
                address,
                self._key,
                admit=self._may_enter,
                knock=self._knock(address),
                purpose=Purpose.PEER,
                timing=self._timing,
            )
        except NotAdmittedError as error:
            if error.details.get("reason") == CloseReason.SELF.name:
                self._plan.is_itself(address)
            else:
                self._plan.failed(address, self._now(), error)
            return
        except (RemoteError, EnvironmentalError) as error:
            self._plan.failed(address, self._now(), error)
            return
        finally:
            self._dials -= 1
            self._wake.set()
        began = self._now()
        self._plan.succeeded(address, connection.peer_device)
        self._connected(connection)
        await connection.wait_closed()
        assert connection.ending is not None
        self._plan.lost(address, self._now(), self._now() - began, connection.ending)
        self._wake.set()

    # -- connections ---------------------------------------------------------------------------

    def _may_enter(self, device: bytes) -> bool:
        admission = self._admit(device)
        if admission is Admission.GUEST and device not in self._connections:
            guests = sum(one is Admission.GUEST for one in self._admissions.values())
            return guests < MAX_GUESTS
        return admission is not Admission.REFUSED

    def _connected(self, connection: Connection) -> None:
        """Choose a new connection or drop it, or leave that to the other side."""
        if connection.ending is not None:
            return  # it may have ended between the handshake and now
        device = connection.peer_device
        existing = self._connections.get(device)
        crowded = existing is None and len(self._connections) >= MAX_CONNECTIONS
        errand = connection.purpose is Purpose.ERRAND
        if self._closing or crowded or (errand and len(self._errands) >= MAX_GUESTS):
            connection.close(CloseReason.BUSY)
        elif errand:
            self._errands.add(connection)
            self._tasks.spawn(self._watch(connection))
            self._on_event(PeerConnected(connection, Admission.GUEST))
        elif device < self._key.public:
            self._tasks.spawn(self._await_choice(connection))
        elif existing is None or existing.ending is not None or self._is_stale(existing):
            connection.choose()
            self._take(connection)
        else:
            # If the other device has started anew, this makes the old connection fail.
            existing.expect_life()
            connection.close(CloseReason.DUPLICATE)

    async def _await_choice(self, connection: Connection) -> None:
        self._undecided.add(connection)
        try:
            async with asyncio.timeout(self._timing.handshake):
                await connection.wait_chosen()
        except TimeoutError:
            connection.close(CloseReason.VIOLATION)
        except LutraError:
            return  # the other side has chosen another one, or is gone
        else:
            self._take(connection)
        finally:
            self._undecided.discard(connection)

    def _take(self, connection: Connection) -> None:
        """Make a chosen connection the one that is used."""
        device = connection.peer_device
        existing = self._connections.get(device)
        if existing is not None:
            existing.close(CloseReason.DUPLICATE)
            self._remove(existing, replaced=True)
        self._connections[device] = connection
        admission = self._admissions[device] = self._admit(device)
        self._tasks.spawn(self._watch(connection))
        self._on_event(PeerConnected(connection, admission))

    def _is_stale(self, connection: Connection) -> bool:
        """Tell whether a sign of life is overdue: the other device may have started anew."""
        return connection.silent_for > self._timing.keep_alive + 2 * self._timing.tick

    async def _watch(self, connection: Connection) -> None:
        await connection.wait_closed()
        self._remove(connection)

    def _remove(self, connection: Connection, *, replaced: bool = False) -> None:
        device = connection.peer_device
        if connection in self._errands:
            self._errands.discard(connection)
        elif self._connections.get(device) is connection:
            del self._connections[device]
            self._admissions.pop(device, None)
        else:
            return
        assert connection.ending is not None
        self._on_event(PeerDisconnected(connection, connection.ending, replaced))
        self._wake.set()

    # -- time ----------------------------------------------------------------------------------

    async def _watch_for_suspend(self) -> None:
        """Notice that the wall clock ran on while this process did not."""
        while True:
            before, wall_before = self._now(), self._wall_clock()
            await asyncio.sleep(WATCH_SECONDS)
            late = self._now() - before - WATCH_SECONDS
            jump = self._wall_clock() - wall_before - (self._now() - before)
            if late > SUSPEND_SECONDS or jump > SUSPEND_SECONDS:
                self.hurry()
                self._on_resume()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
