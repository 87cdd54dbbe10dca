"""Who is in a group: a function of the set of known control operations, whatever their order."""

from __future__ import annotations

from dataclasses import dataclass

from lutra.groups.history import ControlHistory


@dataclass(frozen=True, slots=True)
class _Action:
    index: int
    device: bytes


class Membership:
    """Adds and removals of devices; a removal voids every addition it does not precede."""

    def __init__(self, history: ControlHistory) -> None:
        self._history = history
        self._adds: list[_Action] = []
        self._removals: list[_Action] = []
        self._rosters: dict[int, frozenset[bytes]] = {}

    def add(self, index: int, device: bytes) -> None:
        """Record that the operation at ``index`` adds ``device``."""
        self._adds.append(_Action(index, device))
        self._rosters.clear()

    def remove(self, index: int, device: bytes) -> None:
        """Record that the operation at ``index`` removes ``device``."""
        self._removals.append(_Action(index, device))
        self._rosters.clear()

    def roster(self, known: int) -> frozenset[bytes]:
        """Return the devices that are in, judged by the operations in the bit set ``known``."""
        roster = self._rosters.get(known)
        if roster is None:
            roster = frozenset(
                add.device
                for add in self._adds
                if known >> add.index & 1 and not self._voided(add, known)
            )
            self._rosters[known] = roster
        return roster

    def removals(self, known: int) -> int:
        """Return the bit set of the removals within ``known``."""
        union = 0
        for removal in self._removals:
            union |= 1 << removal.index
        return union & known

    def devices(self) -> frozenset[bytes]:
        """Return every device that was ever added."""
        return frozenset(add.device for add in self._adds)

    def _voided(self, add: _Action, known: int) -> bool:
        past = self._history.past(add.index)
        return any(
            removal.device == add.device
            and known >> removal.index & 1
            and not past >> removal.index & 1
            for removal in self._removals
        )
