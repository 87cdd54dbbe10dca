"""Who is in a group: a function of the set of known control operations, whatever their order.

The rules are those of GROUPS §2.2 for a group whose members may all add and remove. A removal
*kills* what its target did concurrently, also by way of devices it added concurrently, and
concurrent additions of its target; leaving kills only the latter. Among removals that kill each
other nobody is preferred: all of them count.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lutra.groups.history import ControlHistory

_MAX_CACHED_ROSTERS = 4096


@dataclass(frozen=True, slots=True)
class _Action:
    """An addition or removal.

    Attributes:
        index: its place in the history.
        author: who did it.
        device: whom it concerns.
        key: the public key that secrets for it are sealed to; None for a removal.
        grants: the additions that made its author a member when it was made; none for the
            creation.
    """

    index: int
    author: bytes
    device: bytes
    key: bytes | None
    grants: tuple[_Action, ...]


class Membership:
    """Adds and removals of devices, each recorded after everything that happened before it."""

    def __init__(self, history: ControlHistory) -> None:
        self._history = history
        self._adds: list[_Action] = []
        self._removals: list[_Action] = []
        self._actions = 0
        self._kills: dict[tuple[int, int], bool] = {}
        self._rosters: dict[int, frozenset[bytes]] = {}

    def add(self, index: int, author: bytes, device: bytes, key: bytes) -> None:
        """Record that the operation at ``index`` adds ``device``, with its public sealing key."""
        self._record(self._adds, _Action(index, author, device, key, self._grants(index, author)))

    def remove(self, index: int, author: bytes, device: bytes) -> None:
        """Record that the operation at ``index`` removes ``device``."""
        action = _Action(index, author, device, None, self._grants(index, author))
        self._record(self._removals, action)

    def roster(self, known: int) -> frozenset[bytes]:
        """Return the devices that are in, judged by the operations in the bit set ``known``.

        It must hold everything that happened before any of them.
        """
        # Most operations neither add nor remove, so that few different sets matter.
        known &= self._actions
        roster = self._rosters.get(known)
        if roster is None:
            roster = frozenset(add.device for add in self._standing(known))
            if len(self._rosters) >= _MAX_CACHED_ROSTERS:
                self._rosters.clear()
            self._rosters[known] = roster
        return roster

    def sealing_keys(self, known: int) -> dict[bytes, bytes]:
        """Return the public sealing key of each device that is in.

        Of several additions the earliest counts, so that nobody can put another key in its place.
        """
        keys: dict[bytes, bytes] = {}
        standing = self._standing(known)
        for add in sorted(standing, key=lambda item: (self._depth(item), item.author)):
            if add.key is not None:
                keys.setdefault(add.device, add.key)
        return keys

    def removals(self, known: int) -> int:
        """Return the bit set of the removals within ``known``, whether or not they count."""
        union = 0
        for removal in self._removals:
            union |= 1 << removal.index
        return union & known

    def devices(self) -> frozenset[bytes]:
        """Return every device that was ever added."""
        return frozenset(add.device for add in self._adds)

    def _grants(self, index: int, author: bytes) -> tuple[_Action, ...]:
        past = self._history.past(index)
        return tuple(add for add in self._standing(past) if add.device == author)

    def _record(self, actions: list[_Action], action: _Action) -> None:
        actions.append(action)
        self._actions |= 1 << action.index

    def _standing(self, known: int) -> list[_Action]:
        """Return the additions in ``known`` that count and were not undone."""
        removals = [item for item in self._removals if known >> item.index & 1]
        adds = [item for item in self._adds if known >> item.index & 1]
        if not removals:
            return adds
        live = self._live(removals)
        return [
            add
            for add in adds
            if not any(
                self._undoes(removal, add) or self._is_killed_by(add, removal) for removal in live
            )
        ]

    def _undoes(self, removal: _Action, add: _Action) -> bool:
        return removal.device == add.device and not self._before(removal, add)

    def _live(self, removals: list[_Action]) -> list[_Action]:
        """Return the removals that count: not killed by one that counts and is no equal."""
        killers = {
            item.index: frozenset(
                other.index
                for other in removals
                if other is not item and self._is_killed_by(item, other)
            )
            for item in removals
        }
        if not any(killers.values()):
            return removals
        reach = {index: _reachable(index, killers) for index in killers}
        live: set[int] = set()
        # Whoever has fewer killers, direct and indirect, is judged first; equals together.
        for index in sorted(reach, key=lambda item: (len(reach[item] | {item}), item)):
            equals = {other for other in reach[index] if index in reach[other]} | {index}
            earlier = set[int]().union(*(killers[item] for item in equals)) - equals
            if not earlier & live:
                live.add(index)
        return [item for item in removals if item.index in live]

    def _is_killed_by(self, action: _Action, removal: _Action) -> bool:
        """Tell whether ``removal``, if it counts, makes ``action`` not count."""
        key = (action.index, removal.index)
        killed = self._kills.get(key)
        if killed is None:
            killed = self._kills[key] = self._judge(action, removal)
        return killed

    def _judge(self, action: _Action, removal: _Action) -> bool:
        if self._before(action, removal) or self._before(removal, action):
            return False
        leaves = removal.author == removal.device
        if action.author == removal.device and not leaves:
            return True
        if action.key is not None and action.device == removal.device:
            return True
        return (
            not leaves
            and bool(action.grants)
            and all(self._is_killed_by(grant, removal) for grant in action.grants)
        )

    def _depth(self, action: _Action) -> int:
        return self._history.past(action.index).bit_count()

    def _before(self, first: _Action, second: _Action) -> bool:
        return bool(self._history.past(second.index) >> first.index & 1)


def _reachable(start: int, edges: dict[int, frozenset[int]]) -> frozenset[int]:
    """Return what can be reached from ``start`` by at least one edge."""
    found: set[int] = set()
    frontier: Iterable[int] = edges[start]
    while frontier:
        found.update(frontier)
        frontier = {after for item in frontier for after in edges[item]} - found
    return frozenset(found)
