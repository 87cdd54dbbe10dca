"""Which devices a person has: a function of the set of known operations, whatever their order.

An operation *stands* if its author had been added by a standing operation that it follows, and if
no live removal of its author (or, for an addition, of the device added) lacks it in its past. So a
removal voids all that its target did without the remover's knowledge, and beats additions of its
target: a device comes back under a fresh key only. Removals are live if they stand. Where removals
void each other in a circle, the one whose author ranks highest counts, and those that attack its
author within the circle do not.

Rank: recovery keys before devices, then who was added earlier; of concurrent additions the one
with the shorter chain of additions behind it, then the one whose adder ranks higher. Nothing in it
can be ground, and by hiding what it knows a device can place an addition no higher than itself.

Devices cannot remove recovery keys, and a recovery key stays when the device that made it is
removed by one that ranks lower and did not know. Where nobody would be left, the most senior device
that left by itself stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from lutra.identity.device_log import Add, Content, Create, Recovery, Remove, Rename
from lutra.operation import Operation


@dataclass(frozen=True, slots=True)
class Device:
    """One key of a person.

    Attributes:
        key: Ed25519 public key.
        name: as given last; opaque bytes, empty for a recovery key.
        recovery: it is a recovery key, kept offline.
        active: it belongs to the person now.
        added_by: the key whose operation added it; its own for the first device.
        removed_by: the key whose live removal took it away, if any.
        wipe: a live removal asks it to delete everything it holds.
        sealing_key: of a recovery key: what to seal to it with; otherwise empty.
    """

    key: bytes
    name: bytes
    recovery: bool
    active: bool
    added_by: bytes
    removed_by: bytes | None
    wipe: bool = False
    sealing_key: bytes = b""


@dataclass(frozen=True, slots=True)
class PersonState:
    """What a set of operations says about a person.

    Attributes:
        name: the person's name, opaque bytes.
        devices: every key that was ever rightly added, the most senior first, recovery keys before
            devices.
        equivocating: keys that signed two operations for one place of their log.
    """

    name: bytes
    devices: tuple[Device, ...]
    equivocating: frozenset[bytes]

    def active(self) -> frozenset[bytes]:
        """Return the keys of devices in use, without recovery keys."""
        return frozenset(one.key for one in self.devices if one.active and not one.recovery)

    def recovery_keys(self) -> frozenset[bytes]:
        """Return the recovery keys that are valid."""
        return frozenset(one.key for one in self.devices if one.active and one.recovery)

    def may_act(self, key: bytes) -> bool:
        """Tell whether a key may change the person's devices."""
        return any(one.key == key and one.active for one in self.devices)

    def device(self, key: bytes) -> Device | None:
        """Return what is known of a key; None if it was never rightly added."""
        return next((one for one in self.devices if one.key == key), None)


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    """An operation with its place in the causal graph; ``past`` is a bit set of indexes."""

    index: int
    id: bytes
    author: bytes
    seq_num: int
    content: Content
    past: int

    def follows(self, other: _Entry) -> bool:
        return bool(self.past >> other.index & 1)


_Live = frozenset[int]


def resolve(operations: Iterable[tuple[Operation, Content]]) -> PersonState:
    """Return the state that checked operations of one person amount to.

    Operations whose predecessors are not all among them are left out, as if not received yet.
    """
    return _Resolution(_graph(operations)).state()


def heads_to_follow(operations: Iterable[tuple[Operation, Content]]) -> tuple[bytes, ...]:
    """Return what a new operation has to name as known: the heads of all that is sound in form.

    What strangers wrote, or what lacks predecessors, is left out: nobody could place what follows.
    """
    resolution = _Resolution(_graph(operations))
    sound = resolution.sound()
    followed = 0
    for entry in sound:
        followed |= entry.past
    return tuple(sorted(one.id for one in sound if not followed >> one.index & 1))


def _graph(operations: Iterable[tuple[Operation, Content]]) -> list[_Entry]:
    """Return the causally complete operations, each after its predecessors."""
    waiting = {operation.id: (operation, content) for operation, content in operations}
    placed: dict[bytes, _Entry] = {}
    pending = sorted(waiting)
    while pending:
        later: list[bytes] = []
        for one in pending:
            operation, content = waiting[one]
            if all(item in placed for item in predecessors(operation)):
                entry = _place(operation, content, placed)
                if entry is not None:
                    placed[one] = entry
            else:
                later.append(one)
        if len(later) == len(pending):
            break
        pending = later
    return list(placed.values())


def predecessors(operation: Operation) -> tuple[bytes, ...]:
    """Return the ids of the operations that ``operation`` directly follows."""
    previous, backlink = operation.header.extensions.previous, operation.header.backlink
    return previous if backlink is None or backlink in previous else (*previous, backlink)


def _place(operation: Operation, content: Content, placed: dict[bytes, _Entry]) -> _Entry | None:
    """Return the entry of an operation; None if its backlink does not continue its own log."""
    backlink = operation.header.backlink
    if backlink is not None:
        before = placed[backlink]
        if before.author != operation.author or before.seq_num != operation.seq_num - 1:
            return None
    past = 0
    for item in predecessors(operation):
        past |= placed[item].past | 1 << placed[item].index
    return _Entry(len(placed), operation.id, operation.author, operation.seq_num, content, past)


@dataclass(slots=True)
class _Resolution:
    entries: list[_Entry]
    grants: dict[bytes, list[_Entry]] = field(default_factory=dict[bytes, list[_Entry]])
    removals: list[_Entry] = field(default_factory=list[_Entry])
    ranks: dict[bytes, tuple[int, int]] = field(default_factory=dict[bytes, tuple[int, int]])
    _memo: dict[_Live, dict[int, bool]] = field(default_factory=dict[_Live, dict[int, bool]])

    def __post_init__(self) -> None:
        for entry in self.entries:
            subject = _granted(entry)
            if subject is not None:
                self.grants.setdefault(subject, []).append(entry)
        self._rank()
        self._collect_removals()

    def state(self) -> PersonState:
        live = self._settle()
        # Recovery keys rank first, so the tuple shows them first too.
        devices = tuple(self._device(key, live) for key in sorted(self.ranks, key=self._rank_of))
        return PersonState(self._name(None, live), devices, self._equivocating())

    def sound(self) -> list[_Entry]:
        return [one for one in self.entries if self._stands(one, frozenset())]

    # -- who ranks before whom -------------------------------------------------------------------

    def _rank(self) -> None:
        """Order all grants that are sound in form: causally, then by chain of additions."""
        open_grants = [
            one for group in self.grants.values() for one in group if self._stands(one, frozenset())
        ]
        chains: dict[bytes, tuple[int, ...]] = {}
        place = 0
        while open_grants:
            union = 0
            for one in open_grants:
                union |= 1 << one.index
            ready = [one for one in open_grants if not one.past & union]
            chosen = min(ready, key=lambda one: _order_of(_chain(one, chains), one.id))
            open_grants.remove(chosen)
            subject = _granted(chosen)
            assert subject is not None
            if subject not in chains:
                chains[subject] = _chain(chosen, chains)
                recovery = isinstance(chosen.content, Recovery)
                self.ranks[subject] = (0 if recovery else 1, place)
                place += 1

    def _rank_of(self, key: bytes) -> tuple[int, int]:
        return self.ranks[key]

    def _is_recovery(self, key: bytes) -> bool:
        return key in self.ranks and self.ranks[key][0] == 0

    # -- what stands -----------------------------------------------------------------------------

    def _collect_removals(self) -> None:
        """Keep each author's first removal of each target: later ones say nothing more."""
        first: dict[tuple[bytes, bytes], _Entry] = {}
        for entry in self.entries:
            if not isinstance(entry.content, Remove) or not self._may_remove(entry):
                continue
            key = (entry.author, entry.content.device)
            held = first.get(key)
            if held is None or (entry.seq_num, entry.id) < (held.seq_num, held.id):
                first[key] = entry
        self.removals = [one for one in first.values() if self._stands(one, frozenset())]

    def _may_remove(self, entry: _Entry) -> bool:
        target = _target(entry)
        if target not in self.ranks or not any(map(entry.follows, self.grants[target])):
            return False
        if entry.author == target or not self._is_recovery(target):
            return True
        return self._is_recovery(entry.author)

    def _stands(self, entry: _Entry, live: _Live) -> bool:
        """Tell whether an operation counts if exactly the removals in ``live`` do."""
        memo = self._memo.setdefault(live, {})
        known = memo.get(entry.index)
        if known is None:
            known = memo[entry.index] = self._judge(entry, live)
        return known

    def _judge(self, entry: _Entry, live: _Live) -> bool:
        if isinstance(entry.content, Create):
            return True
        if any(index != entry.index and self._voids(self.entries[index], entry) for index in live):
            return False
        return any(
            entry.follows(grant) and self._stands(grant, live)
            for grant in self.grants.get(entry.author, ())
        )

    def _voids(self, removal: _Entry, entry: _Entry) -> bool:
        """Tell whether a live removal makes an operation not count."""
        if removal.follows(entry):
            return False
        target, content = _target(removal), entry.content
        if isinstance(content, Add | Recovery) and content.device == target:
            return True
        if entry.author != target:
            return False
        if isinstance(content, Recovery) and content.device in self.ranks:
            # Otherwise a thief, claiming not to know of a kit, could void it with its maker.
            weaker = content.device if self._is_recovery(removal.author) else target
            return self.ranks[removal.author] <= self.ranks[weaker]
        return True

    # -- which removals are live -----------------------------------------------------------------

    def _settle(self) -> _Live:
        """Return the live removals, such that somebody is left who can act."""
        removals = self.removals
        while True:
            live = self._live(removals)
            if not self.ranks or any(self._active(key, live) for key in self.ranks):
                return live
            stays = self._last_one(live)
            removals = [one for one in removals if one.index not in live or _target(one) != stays]

    def _last_one(self, live: _Live) -> bytes:
        """Return the most senior key that only left by itself, or else the most senior one.

        The first device is among the choices: what created the person stands.
        """
        taken = {_target(self.entries[index]) for index in live if not _leaves(self.entries[index])}
        keys = [
            key
            for key in sorted(self.ranks, key=self._rank_of)
            if any(self._stands(grant, live) for grant in self.grants[key])
        ]
        return next((key for key in keys if key not in taken), keys[0])

    def _live(self, removals: Sequence[_Entry]) -> _Live:
        """Return the removals that count.

        What follows from no circle is found by alternating bounds: ``lower`` counts in any case,
        ``upper`` may count. What stays between is circles and what hangs on them.
        """
        decided: _Live = frozenset()
        candidates = list(removals)
        while True:
            lower = decided
            while True:
                upper = frozenset(
                    one.index for one in candidates if self._stands(one, lower - {one.index})
                )
                certain = frozenset(index for index in upper if self._stands_at(index, upper))
                if decided | certain == lower:
                    break
                lower = decided | certain
            open_ones = [one for one in candidates if one.index in upper - lower]
            if not open_ones:
                return lower
            winner, attackers = self._win(open_ones, lower)
            decided = lower | {winner.index}
            candidates = [one for one in candidates if one not in attackers]

    def _stands_at(self, index: int, live: _Live) -> bool:
        return self._stands(self.entries[index], live - {index})

    def _win(self, open_ones: list[_Entry], lower: _Live) -> tuple[_Entry, list[_Entry]]:
        """Return the removal that counts in the first circle, and those in it that void it."""
        voids = {
            one.index: frozenset(
                other.index
                for other in open_ones
                if other is not one and not self._stands(one, lower | {other.index})
            )
            for one in open_ones
        }
        reach = {index: _reachable(index, voids) for index in voids}
        first = [
            one
            for one in open_ones
            if all(one.index in reach[other] or other == one.index for other in reach[one.index])
        ]
        winner = min(first, key=lambda one: (self.ranks[one.author], one.seq_num, one.id))
        return winner, [one for one in open_ones if one.index in voids[winner.index]]

    # -- what it amounts to ----------------------------------------------------------------------

    def _active(self, key: bytes, live: _Live) -> bool:
        if any(_target(self.entries[index]) == key for index in live):
            return False
        return any(self._stands(grant, live) for grant in self.grants[key])

    def _device(self, key: bytes, live: _Live) -> Device:
        removals = [self.entries[index] for index in live if _target(self.entries[index]) == key]
        removers = sorted((one.author for one in removals), key=self._rank_of)
        grant = min(self.grants[key], key=lambda one: (self._author_rank(one), one.id))
        return Device(
            key=key,
            name=b"" if self._is_recovery(key) else self._name(key, live),
            recovery=self._is_recovery(key),
            active=self._active(key, live),
            added_by=grant.author,
            removed_by=removers[0] if removers else None,
            wipe=any(isinstance(one.content, Remove) and one.content.wipe for one in removals),
            sealing_key=(
                grant.content.consent.sealing_key if isinstance(grant.content, Recovery) else b""
            ),
        )

    def _author_rank(self, entry: _Entry) -> tuple[int, int]:
        return self.ranks.get(entry.author, (2, 0))

    def _name(self, device: bytes | None, live: _Live) -> bytes:
        """Return the last name given; of concurrent ones the highest-ranking author's."""
        given = [
            (entry, name)
            for entry in self.entries
            if (name := _name_for(entry, device)) is not None and self._stands(entry, live)
        ]
        last = [one for one in given if not any(other.follows(one[0]) for other, _ in given)]
        if not last:
            return b""
        return min(last, key=lambda one: (self.ranks[one[0].author], one[0].id))[1]

    def _equivocating(self) -> frozenset[bytes]:
        places: set[tuple[bytes, int]] = set()
        twice: set[bytes] = set()
        for entry in self.entries:
            place = (entry.author, entry.seq_num)
            if place in places:
                twice.add(entry.author)
            places.add(place)
        return frozenset(twice)


def _granted(entry: _Entry) -> bytes | None:
    content = entry.content
    if isinstance(content, Create):
        return entry.author
    return content.device if isinstance(content, Add | Recovery) else None


def _target(entry: _Entry) -> bytes:
    assert isinstance(entry.content, Remove)
    return entry.content.device


def _leaves(entry: _Entry) -> bool:
    return entry.author == _target(entry)


def _chain(entry: _Entry, chains: dict[bytes, tuple[int, ...]]) -> tuple[int, ...]:
    """Return the places in their adders' logs of the additions that lead to this one."""
    if isinstance(entry.content, Create):
        return ()
    return (*chains[entry.author], entry.seq_num)


def _order_of(chain: tuple[int, ...], tie: bytes) -> tuple[int, tuple[int, ...], bytes]:
    return len(chain), chain, tie


def _name_for(entry: _Entry, device: bytes | None) -> bytes | None:
    match entry.content:
        case Create(person_name=person, device_name=own):
            if device is None:
                return person
            return own if device == entry.author else None
        case Add(device_name=name):
            return name if entry.content.device == device else None
        case Rename(device=subject, name=name):
            return name if subject == device else None
        case Recovery() | Remove():
            return None


def _reachable(start: int, edges: dict[int, frozenset[int]]) -> frozenset[int]:
    """Return what can be reached from ``start`` by at least one edge."""
    found: set[int] = set()
    frontier: Iterable[int] = edges[start]
    while frontier:
        found.update(frontier)
        frontier = {after for item in frontier for after in edges[item]} - found
    return frozenset(found)
