"""Credit and acknowledgements for the two streams of operations.

Operations travel in numbered frames of two streams, bulk and live. A sender may have as many
bytes unacknowledged as the receiver's window allows. An acknowledgement says how many frames of
each stream are durably worked off and which operations of them were refused, so it both returns
credit and tells, without naming any log, what the peer now holds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from lutra.operation import LogKey
from lutra.sync import limits
from lutra.sync.errors import beyond_limit
from lutra.sync.frames import Ack, RefusedAt
from lutra.sync.replica import WireOperation
from lutra.sync.states import out_of_state


def operation_cost(operation: WireOperation) -> int:
    """Return the bytes an operation counts against the window, the same on both sides."""
    body = operation.body
    return len(operation.header) + (len(body) if body else 0) + limits.OPERATION_COST


@dataclass(slots=True)
class Flight:
    """A frame of operations that is not acknowledged yet.

    Attributes:
        cost: its bytes against the window.
        group: the group of its operations.
        places: log and sequence number of each operation, None once refused.
    """

    cost: int
    group: bytes
    places: list[tuple[LogKey, int] | None]


class Outflow:
    """The sending side of both streams.

    Args:
        window: the peer's window in bytes.
    """

    def __init__(self, window: int) -> None:
        self.available = window
        self._flights: dict[bool, deque[Flight]] = {False: deque(), True: deque()}
        self._acknowledged = {False: 0, True: 0}

    def grant(self, window: int) -> None:
        """Take a window of so many more bytes."""
        self.available += window

    def sent(self, live: bool, flight: Flight) -> None:
        """Account for a frame that leaves now."""
        self.available -= flight.cost
        self._flights[live].append(flight)

    def is_under_way(self, group: bytes) -> bool:
        """Tell whether a frame of a group is not acknowledged yet."""
        return any(flight.group == group for one in self._flights.values() for flight in one)

    def acknowledge(self, ack: Ack) -> tuple[list[Flight], list[tuple[bytes, LogKey]]]:
        """Take the peer's acknowledgement.

        Returns:
            The frames that are worked off now, and group and log of refused operations.

        Raises:
            SyncViolationError: it counts backwards or what was never sent.
        """
        refused = [entry for place in ack.refused if (entry := self._refuse(place)) is not None]
        done = self._settle(False, ack.bulk) + self._settle(True, ack.live)
        return done, refused

    def _refuse(self, place: RefusedAt) -> tuple[bytes, LogKey] | None:
        flights = self._flights[place.live]
        offset = place.frame - self._acknowledged[place.live]
        if not 0 <= offset < len(flights) or place.place >= len(flights[offset].places):
            raise out_of_state("a refusal of what is not under way")
        flight = flights[offset]
        entry = flight.places[place.place]
        flight.places[place.place] = None
        return None if entry is None else (flight.group, entry[0])

    def _settle(self, live: bool, total: int) -> list[Flight]:
        flights = self._flights[live]
        count = total - self._acknowledged[live]
        if not 0 <= count <= len(flights):
            raise out_of_state("an acknowledgement of what was not sent")
        self._acknowledged[live] = total
        done = [flights.popleft() for _ in range(count)]
        self.available += sum(flight.cost for flight in done)
        return done


@dataclass(slots=True)
class _Stream:
    received: int = 0
    settled: int = 0
    """All frames below this number are worked off."""
    early: set[int] = field(default_factory=set[int])
    costs: deque[int] = field(default_factory=deque[int])


class Inflow:
    """The receiving side of both streams.

    Args:
        window: this side's window in bytes.
        delay: longest time in seconds before something worked off is acknowledged.
    """

    def __init__(self, window: int, delay: float) -> None:
        self._window = window
        self._delay = delay
        self._outstanding = 0
        self._ready = 0
        self._streams = {False: _Stream(), True: _Stream()}
        self._refused: list[RefusedAt] = []
        self._told = (0, 0)
        self.deadline: float | None = None

    def admit(self, live: bool, cost: int) -> int:
        """Account for an arriving frame and return its number in its stream.

        Raises:
            SyncViolationError: the peer exceeds the window.
        """
        self._outstanding += cost
        if self._outstanding > self._window:
            raise beyond_limit("A peer sent more than it was given credit for.")
        stream = self._streams[live]
        stream.costs.append(cost)
        stream.received += 1
        return stream.received - 1

    def settle(self, live: bool, number: int, refused: Iterable[int], now: float) -> None:
        """Mark a frame as durably worked off, except for the refused places."""
        self._refused += [RefusedAt(live, number, place) for place in refused]
        stream = self._streams[live]
        stream.early.add(number)
        while stream.settled in stream.early:
            stream.early.remove(stream.settled)
            stream.settled += 1
            self._ready += stream.costs.popleft()
            if self.deadline is None:
                self.deadline = now + self._delay

    def due(self, now: float) -> bool:
        """Tell whether an acknowledgement should go out by itself now."""
        if self.deadline is None:
            return False
        return now >= self.deadline or self._ready * 4 >= self._window

    def take(self) -> list[Ack]:
        """Return the acknowledgements of everything worked off; empty if there is nothing new."""
        if self.deadline is None:
            return []
        self.deadline = None
        self._outstanding -= self._ready
        self._ready = 0
        told: list[RefusedAt] = []
        waiting: list[RefusedAt] = []
        for place in self._refused:
            # What stands behind frames that still wait is told together with them, later.
            settled = place.frame < self._streams[place.live].settled
            (told if settled else waiting).append(place)
        self._refused = waiting
        # Refusals name frames that are under way, so they go before the count that ends them.
        acks = [
            Ack(*self._told, told[start : start + limits.MAX_REFUSED])
            for start in range(0, len(told) - limits.MAX_REFUSED, limits.MAX_REFUSED)
        ]
        rest = told[len(acks) * limits.MAX_REFUSED :]
        self._told = (self._streams[False].settled, self._streams[True].settled)
        return [*acks, Ack(*self._told, rest)]
