"""Which addresses to dial and when: pure bookkeeping, times passed in."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from enum import Enum

from lutra.errors import LutraError
from lutra.net.connection import Address

BASE_SECONDS = 1.0
STABLE_SECONDS = 10.0
MAX_CANDIDATES = 1024


class Source(Enum):
    """How an address is known; the value is the longest wait between attempts, in seconds."""

    FOUND = 30.0
    TYPED = 60.0
    REMEMBERED = 300.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of dialling an address, for the diagnosis.

    Attributes:
        address: where.
        sources: how the address is known.
        device: who answered there last, if anyone did.
        failures: attempts in a row that failed.
        error: why the last one failed.
        wait: seconds until the next one; 0 while one is under way.
    """

    address: Address
    sources: frozenset[Source]
    device: bytes | None
    failures: int
    error: LutraError | None
    wait: float


@dataclass(slots=True)
class _Candidate:
    sources: set[Source]
    due: float
    device: bytes | None = None
    failures: int = 0
    error: LutraError | None = None
    busy: bool = False
    itself: bool = field(default=False)


class DialPlan:
    """Every known address is tried at once when it becomes known, then ever less often.

    Args:
        jitter: returns a number in [0, 1) each time; spreads attempts so that two sides, or many
            devices after a power cut, do not keep in step.
    """

    def __init__(self, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self._candidates: dict[Address, _Candidate] = {}

    def add(
        self, address: Address, source: Source, now: float, device: bytes | None = None
    ) -> None:
        """Learn of an address, or that it has shown up again, and dial it at once."""
        candidate = self._candidates.get(address)
        if candidate is None:
            if len(self._candidates) >= MAX_CANDIDATES:
                return
            candidate = self._candidates[address] = _Candidate({source}, now, device)
        candidate.sources.add(source)
        candidate.device = candidate.device or device
        candidate.itself = False
        candidate.due = min(candidate.due, now)

    def discard(self, address: Address, source: Source) -> None:
        """Forget that ``source`` knows of the address; without any source it is not dialled."""
        candidate = self._candidates.get(address)
        if candidate is not None:
            candidate.sources.discard(source)
            if not candidate.sources and not candidate.busy:
                del self._candidates[address]

    def due(self, now: float, connected: Collection[bytes]) -> list[Address]:
        """Return addresses to dial now: none of devices that are ``connected`` already.

        The most hopeful come first, so that many bad addresses do not keep a good one waiting.
        """
        wanted = [
            (candidate.failures, candidate.due, str(address), address)
            for address, candidate in self._candidates.items()
            if candidate.due <= now and self._is_wanted(candidate, connected)
        ]
        return [address for _, _, _, address in sorted(wanted, key=lambda one: one[:3])]

    def next_due(self, connected: Collection[bytes]) -> float | None:
        """Return the time at which `due` has something next, or None if never by itself."""
        times = [one.due for one in self._candidates.values() if self._is_wanted(one, connected)]
        return min(times, default=None)

    def begin(self, address: Address) -> None:
        """Note that the address is being dialled, or a connection to it stands."""
        self._candidates[address].busy = True

    def failed(self, address: Address, now: float, error: LutraError) -> None:
        """Note that dialling failed, and wait longer than the last time."""
        candidate = self._end(address)
        if candidate is not None:
            candidate.failures += 1
            candidate.error = error
            candidate.due = now + self._delay(candidate)

    def succeeded(self, address: Address, device: bytes) -> None:
        """Note who answered; the address stays busy until `lost`."""
        candidate = self._candidates.get(address)
        if candidate is not None:
            candidate.device = device
            candidate.error = None

    def lost(self, address: Address, now: float, lived: float, error: LutraError) -> None:
        """Note that a connection dialled there has ended after ``lived`` seconds."""
        candidate = self._end(address)
        if candidate is not None:
            # A peer that lets us in only to throw us out is not redialled every second.
            candidate.failures = 0 if lived >= STABLE_SECONDS else candidate.failures + 1
            candidate.error = error
            candidate.due = now + self._delay(candidate)

    def is_itself(self, address: Address) -> None:
        """Note that this device itself answers there; it is not dialled until added again."""
        candidate = self._end(address)
        if candidate is not None:
            candidate.itself = True

    def hurry(self, now: float) -> None:
        """Try everything again at once: the network has changed, or this computer has woken."""
        for candidate in self._candidates.values():
            candidate.failures = 0
            candidate.itself = False
            # Not all in the same instant.
            candidate.due = min(candidate.due, now + BASE_SECONDS * self._jitter() / 2)

    def attempts(self, now: float) -> tuple[Attempt, ...]:
        """Return what is known about each address."""
        return tuple(
            Attempt(
                address,
                frozenset(one.sources),
                one.device,
                one.failures,
                one.error,
                0.0 if one.busy else max(0.0, one.due - now),
            )
            for address, one in self._candidates.items()
            if not one.itself
        )

    def _is_wanted(self, candidate: _Candidate, connected: Collection[bytes]) -> bool:
        return not (candidate.busy or candidate.itself) and candidate.device not in connected

    def _end(self, address: Address) -> _Candidate | None:
        candidate = self._candidates.get(address)
        if candidate is None:
            return None
        candidate.busy = False
        if not candidate.sources:
            del self._candidates[address]
            return None
        return candidate

    def _delay(self, candidate: _Candidate) -> float:
        longest = min(source.value for source in candidate.sources)
        delay = min(longest, BASE_SECONDS * 2 ** min(candidate.failures, 16))
        return delay * (0.5 + self._jitter() / 2)
