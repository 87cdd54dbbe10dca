"""Who is in a group, with which role: a function of the set of known operations (GROUPS §2.2).

A removal (also a demotion, a departure, the revocation of a device) *kills* what its target did
concurrently, also by way of grants made concurrently, and concurrent grants to its target. Among
removals that kill each other in a circle nobody is preferred. Persons and their devices come from
outside as a pure function of the evidence that the group's operations carry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from lutra.groups.contents import (
    AddPerson,
    Create,
    Leave,
    PersonEvidence,
    RemovePerson,
    Role,
    Sealed,
    SetRole,
)
from lutra.groups.history import ControlHistory

_MAX_CACHED = 4096


@dataclass(frozen=True, slots=True)
class Devices:
    """Which devices belong to which person, by some evidence.

    Attributes:
        owner: device → person, revoked devices included; of several persons that list it, the one
            with the least id.
        revoked: devices that no longer speak for their owner.
        others: device → the other persons that list it, revoked devices included.
        revoked_elsewhere: (person, device) pairs of `others` that no longer count.
    """

    owner: Mapping[bytes, bytes]
    revoked: frozenset[bytes]
    others: Mapping[bytes, frozenset[bytes]] = field(default_factory=dict[bytes, frozenset[bytes]])
    revoked_elsewhere: frozenset[tuple[bytes, bytes]] = frozenset()

    @property
    def revocations(self) -> frozenset[tuple[bytes, bytes]]:
        """Return (person, device) for all that no longer count."""
        own = {(self.owner.get(device, b""), device) for device in self.revoked}
        return self.revoked_elsewhere | own

    def persons_of(self, device: bytes) -> list[bytes]:
        """Return the persons that a device may speak for, by id."""
        owner = self.owner.get(device)
        listing = set(self.others.get(device, ()))
        if owner is not None and device not in self.revoked:
            listing.add(owner)
        return sorted(one for one in listing if (one, device) not in self.revoked_elsewhere)


Directory = Callable[[frozenset[bytes]], Devices]
"""Returns what a set of evidence says; must not depend on order, time or anything else."""


@dataclass(frozen=True, slots=True)
class Auth:
    """What a set of operations authorises.

    Attributes:
        roles: member → role.
        devices: unrevoked, honest device of a member → person. A device that several members list
            acts for the one with the highest role, of equals for the one with the least id.
        leaves: those that stand in the MLS tree, which keepers' devices do not.
        removals: bit set of the live removals.
        owner: any device ever seen → person; the one it acts for where it acts for one.
        successor: who is admin only because nobody else is left that could be one.
    """

    roles: Mapping[bytes, Role]
    devices: Mapping[bytes, bytes]
    leaves: frozenset[bytes]
    removals: int
    owner: Mapping[bytes, bytes]
    successor: bytes | None = None

    def role_of(self, device: bytes) -> Role | None:
        """Return the role a device acts in, or None where it is not in."""
        person = self.devices.get(device)
        return None if person is None else self.roles[person]


@dataclass(frozen=True, slots=True, eq=False)
class _Action:
    """An action that was permitted when it was made.

    Attributes:
        index: its place in the history.
        author: the person who did it.
        device: the device that signed it.
        person: whom it concerns; None for settings and revocations.
        role: the role it grants; None where it grants none.
        is_removal: it takes something away.
        is_add: it makes a member.
        leaves: its target did it.
        revoked: (person, device) pairs it revokes.
        content: what the operation says.
        grounds: what made its author a member, and what gave the author its role.
    """

    index: int
    author: bytes
    device: bytes
    person: bytes | None
    role: Role | None
    is_removal: bool
    is_add: bool
    leaves: bool
    revoked: frozenset[tuple[bytes, bytes]]
    content: RemovePerson | Sealed | None
    grounds: tuple[tuple[_Action, ...], ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Standing:
    """A member's grants that count: what made it one, and what gives its role."""

    adds: tuple[_Action, ...]
    ranks: tuple[_Action, ...]

    @property
    def role(self) -> Role:
        first = self.ranks[0].role
        if len(self.ranks) == 1 and first is not None:
            return first
        demotions = [item.role for item in self.ranks if item.is_removal and item.role]
        return min(demotions) if demotions else max(item.role for item in self.ranks if item.role)


class Authorisation:
    """The actions of a group, each recorded after everything that happened before it."""

    def __init__(self, history: ControlHistory, directory: Directory) -> None:
        self._history = history
        self._directory = directory
        self._actions: list[_Action] = []
        self._removals: list[_Action] = []
        self._grants: dict[bytes, list[_Action]] = {}
        self._alone: dict[bytes, _Standing | None] = {}
        self._evidence: list[tuple[int, tuple[bytes, ...]]] = []
        self._places: dict[tuple[bytes, int], list[int]] = {}
        self._authors: dict[int, tuple[bytes, int]] = {}
        self._forks: list[tuple[bytes, int]] = []
        self._relevant = 0
        self._kills: dict[tuple[int, int], bool] = {}
        self._judged: dict[int, Auth] = {}
        self._evidential = 0
        self._devices: dict[int, Devices] = {}

    def note(self, index: int, device: bytes, seq_num: int) -> None:
        """Note who wrote the operation at ``index``, so that forks of a log are seen."""
        self._authors[index] = (device, seq_num)
        places = self._places.setdefault((device, seq_num), [])
        for other in places:
            self._forks.append((device, 1 << other | 1 << index))
            self._relevant |= 1 << other | 1 << index
        places.append(index)

    def judge(self, known: int) -> Auth:
        """Return what the operations in the bit set ``known`` authorise.

        It must hold everything that happened before any of them.
        """
        known &= self._relevant
        auth = self._judged.get(known)
        if auth is None:
            auth = self._judge(known)
            if len(self._judged) >= _MAX_CACHED:
                self._judged.clear()
            self._judged[known] = auth
        return auth

    @property
    def relevant(self) -> int:
        """Bit set of the operations that can make a difference to `judge`."""
        return self._relevant

    @property
    def evidence(self) -> frozenset[bytes]:
        """All statements about persons that were recorded."""
        return frozenset(item for _, items in self._evidence for item in items)

    def persons(self) -> frozenset[bytes]:
        """Return every person that was ever added."""
        return frozenset(item.person for item in self._actions if item.is_add and item.person)

    def removal_at(self, index: int) -> RemovePerson | None:
        """Return what the removal at ``index`` says; None where none, or none permitted, is."""
        contents = (item.content for item in self._actions if item.index == index)
        content = next(contents, None)
        return content if isinstance(content, RemovePerson) else None

    def counts(self, index: int, known: int) -> bool:
        """Tell whether the action at ``index`` counts, and was not undone by a concurrent one."""
        removals = self.judge(known).removals
        action = next(item for item in self._actions if item.index == index)
        if action.is_removal:
            return bool(removals >> index & 1)
        live = (item for item in self._actions if removals >> item.index & 1)
        return not any(self._is_killed_by(action, removal) for removal in live)

    def is_forked(self, device: bytes) -> bool:
        """Tell whether a device signed two operations for one place of its log."""
        return any(author == device for author, _ in self._forks)

    def exclusions(self, device: bytes, known: int) -> list[tuple[bytes, int]]:
        """Return where the live removals stand that keep a device out: (author, place in its log).

        Those of its person, by whomever, and those of the device itself.
        """
        auth = self.judge(known)
        person = auth.owner.get(device)
        return [
            self._authors[item.index]
            for item in self._actions
            if auth.removals >> item.index & 1
            and (
                any(device == revoked for _, revoked in item.revoked)
                or (item.person is not None and item.person == person and item.role is None)
            )
        ]

    def live_removals(self, known: int) -> list[tuple[int, RemovePerson]]:
        """Return the live removals of persons within ``known``: (index, content)."""
        live = self.judge(known).removals
        return [
            (item.index, item.content)
            for item in self._actions
            if live >> item.index & 1 and isinstance(item.content, RemovePerson)
        ]

    def removals_of(self, person: bytes, known: int) -> list[tuple[int, RemovePerson | None]]:
        """Return live removals of a person within ``known``: (index, content; None for leaving)."""
        live = self.judge(known).removals
        return [
            (item.index, item.content if isinstance(item.content, RemovePerson) else None)
            for item in self._actions
            if live >> item.index & 1 and item.person == person and item.role is None
        ]

    def settings(self, known: int) -> list[int]:
        """Return indices of the settings that count, causally later ones last."""
        removals = self.judge(known).removals
        live = [item for item in self._actions if removals >> item.index & 1]
        return [
            item.index
            for item in self._actions
            if isinstance(item.content, Sealed)
            and known >> item.index & 1
            and not any(self._is_killed_by(item, removal) for removal in live)
        ]

    # Recording

    def record(
        self,
        index: int,
        device: bytes,
        content: (Create | PersonEvidence | AddPerson | RemovePerson | SetRole | Leave | Sealed),
    ) -> bool:
        """Record the action at ``index``; False where its author may not do it, for good."""
        past = self._history.past(index)
        auth = self.judge(past)
        if isinstance(content, Create | PersonEvidence):
            return self._record_evidence(index, device, content)
        person = auth.devices.get(device)
        if person is None or not _is_permitted(auth, person, content):
            return False
        live = self._live(past, self._devices_of(past))
        standing = self._standing_of(self._grants.get(person, ()), past, live)
        grounds = () if standing is None else (standing.adds, standing.ranks)
        self._keep(_action(index, device, person, content, auth=auth, grounds=grounds))
        return True

    def _record_evidence(self, index: int, device: bytes, content: Create | PersonEvidence) -> bool:
        past = self._history.past(index)
        before = self._devices_of(past)
        self._evidence.append((index, content.evidence))
        self._evidential |= 1 << index
        self._relevant |= 1 << index
        after = self._devices_of(past | 1 << index)
        if isinstance(content, Create):
            author = next(iter(after.persons_of(device)), None)
            if author is None:
                return False
            self._keep(
                _Action(
                    index,
                    author,
                    device,
                    author,
                    Role.ADMIN,
                    is_removal=False,
                    is_add=True,
                    leaves=False,
                    revoked=frozenset(),
                    content=None,
                    grounds=(),
                )
            )
        elif revoked := after.revocations - before.revocations:
            self._keep(
                _Action(
                    index,
                    b"",
                    device,
                    None,
                    None,
                    is_removal=True,
                    is_add=False,
                    leaves=False,
                    revoked=revoked,
                    content=None,
                    grounds=(),
                )
            )
        return True

    def _keep(self, action: _Action) -> None:
        self._actions.append(action)
        if action.is_removal:
            self._removals.append(action)
        if action.person is not None and action.role is not None:
            grants = self._grants.setdefault(action.person, [])
            grants.append(action)
            if len(grants) == 1:
                self._alone[action.person] = self._standing_of(grants, 1 << action.index, [])
        self._relevant |= 1 << action.index

    # Judging

    def would_admit(self, known: int, device: bytes, evidence: Iterable[bytes]) -> bool:
        """Tell whether ``evidence``, added to what is known, shows a device to be a member's."""
        devices = self._directory(self._evidence_in(known) | frozenset(evidence))
        forked = any(device == one and known & pair == pair for one, pair in self._forks)
        is_in = devices.owner.get(device) in self.judge(known).roles
        return is_in and device not in devices.revoked and not forked

    def _evidence_in(self, known: int) -> frozenset[bytes]:
        return frozenset(
            item for index, items in self._evidence if known >> index & 1 for item in items
        )

    def _devices_of(self, known: int) -> Devices:
        known &= self._evidential
        devices = self._devices.get(known)
        if devices is None:
            devices = self._directory(self._evidence_in(known))
            if len(self._devices) >= _MAX_CACHED:
                self._devices.clear()
            self._devices[known] = devices
        return devices

    def _judge(self, known: int) -> Auth:
        directory = self._devices_of(known)
        live = self._live(known, directory)
        standing = self._standing(known, live)
        roles = {person: item.role for person, item in standing.items()}
        successor: bytes | None = None
        if roles and Role.ADMIN not in roles.values():
            successor = self._eldest(standing)
            roles[successor] = Role.ADMIN
        forked = {device for device, pair in self._forks if known & pair == pair}
        devices: dict[bytes, bytes] = {}
        revoked, others = directory.revoked, directory.others
        for device, owner in directory.owner.items():
            if device in forked:
                continue
            if device not in others:
                if owner in roles and device not in revoked:
                    devices[device] = owner
                continue
            # The list is sorted: of equals the one with the least id stays.
            members = [person for person in directory.persons_of(device) if person in roles]
            if members:
                devices[device] = max(members, key=roles.__getitem__)
        leaves = frozenset(
            device for device, person in devices.items() if roles[person] > Role.KEEPER
        )
        bits = sum(1 << item.index for item in live)
        return Auth(roles, devices, leaves, bits, {**directory.owner, **devices}, successor)

    def _eldest(self, members: Mapping[bytes, _Standing]) -> bytes:
        """Return who becomes admin where none is left: the member added first, if no keeper."""

        def age(entry: tuple[bytes, _Standing]) -> tuple[bool, int, bytes]:
            person, standing = entry
            depth = min(self._history.past(add.index).bit_count() for add in standing.adds)
            return standing.role is Role.KEEPER, depth, person

        return min(members.items(), key=age)[0]

    def _standing(self, known: int, live: list[_Action]) -> dict[bytes, _Standing]:
        """Return each member's grants that count where exactly the removals ``live`` do."""
        standing: dict[bytes, _Standing] = {}
        for person, grants in self._grants.items():
            if not live and len(grants) == 1:
                # Most members were added once, and nothing has happened to them since.
                found = self._alone[person] if known >> grants[0].index & 1 else None
            else:
                found = self._standing_of(grants, known, live)
            if found is not None:
                standing[person] = found
        return standing

    def _standing_of(
        self, grants: Sequence[_Action], known: int, live: list[_Action]
    ) -> _Standing | None:
        """Return which of one person's grants count, or None where none makes it a member."""
        items = [
            item
            for item in grants
            if known >> item.index & 1 and not any(self._ends(removal, item) for removal in live)
        ]
        adds = tuple(item for item in items if item.is_add)
        if not adds:
            return None
        # A role counts only for somebody who is in by an addition that counts.
        based = [
            item for item in items if item.is_add or any(self._before(add, item) for add in adds)
        ]
        ranks = tuple(
            item for item in based if not any(self._before(item, other) for other in based)
        )
        return _Standing(adds, ranks)

    def _ends(self, removal: _Action, grant: _Action) -> bool:
        undone = (
            removal.role is None
            and removal.person is not None
            and removal.person == grant.person
            and not self._before(removal, grant)
        )
        return undone or (removal is not grant and self._is_killed_by(grant, removal))

    def _live(self, known: int, directory: Devices) -> list[_Action]:
        """Return the removals that count: not killed by one that counts and is no equal."""
        if not self._removals:
            return []
        revocations = directory.revocations
        removals = [
            item
            for item in self._removals
            if known >> item.index & 1
            # A revocation is judged by its person's own chain, never by the group.
            and (not item.revoked or item.revoked & revocations)
        ]
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
            killed = self._kills[key] = self._judge_kill(action, removal)
        return killed

    def _judge_kill(self, action: _Action, removal: _Action) -> bool:
        if action is removal or action.revoked:
            return False
        if self._before(action, removal) or self._before(removal, action):
            return False
        grants = action.role is not None and not action.is_removal
        if grants and action.person is not None and action.person == removal.person:
            return True
        if removal.leaves:
            return False
        if removal.revoked:
            targeted = (action.author, action.device) in removal.revoked
        else:
            # Whoever is demoted may still go.
            keeps = removal.role is not None and action.leaves
            targeted = action.author == removal.person and not keeps
        return targeted or any(
            bool(ground) and all(self._is_killed_by(grant, removal) for grant in ground)
            for ground in action.grounds
        )

    def _before(self, first: _Action, second: _Action) -> bool:
        return bool(self._history.past(second.index) >> first.index & 1)


def _is_permitted(
    auth: Auth, person: bytes, content: AddPerson | RemovePerson | SetRole | Leave | Sealed
) -> bool:
    roles = auth.roles
    is_admin = roles[person] is Role.ADMIN
    is_last = is_admin and sum(role is Role.ADMIN for role in roles.values()) == 1
    match content:
        case Leave():
            return not is_last
        case AddPerson(target, _):
            return is_admin and target not in roles
        case RemovePerson(target, _):
            return is_admin and target in roles and not (is_last and target == person)
        case SetRole(target, role) if target == person == auth.successor:
            # Taking the office for good: otherwise it ends as soon as anybody else is admin.
            return role is Role.ADMIN
        case SetRole(target, role):
            changes = target in roles and roles[target] is not role
            return is_admin and changes and not (is_last and target == person)
        case Sealed():
            return is_admin


def _action(
    index: int,
    device: bytes,
    person: bytes,
    content: AddPerson | RemovePerson | SetRole | Leave | Sealed,
    *,
    auth: Auth,
    grounds: tuple[tuple[_Action, ...], ...],
) -> _Action:
    target: bytes | None = None
    role: Role | None = None
    kept: RemovePerson | Sealed | None = None
    match content:
        case AddPerson(target, role):
            pass
        case SetRole(target, role):
            pass
        case RemovePerson(target, _):
            kept = content
        case Leave():
            target = person
        case Sealed():
            kept = content
    demotes = isinstance(content, SetRole) and content.role < auth.roles[content.person]
    removes = isinstance(content, RemovePerson | Leave)
    return _Action(
        index,
        person,
        device,
        target,
        role,
        is_removal=removes or demotes,
        is_add=isinstance(content, AddPerson),
        leaves=removes and target == person,
        revoked=frozenset(),
        content=kept,
        grounds=grounds,
    )


def _reachable(start: int, edges: Mapping[int, frozenset[int]]) -> frozenset[int]:
    """Return what can be reached from ``start`` by at least one edge."""
    found: set[int] = set()
    frontier: Iterable[int] = edges[start]
    while frontier:
        found.update(frontier)
        frontier = {after for item in frontier for after in edges[item]} - found
    return frozenset(found)
