"""Who is in, with which role, by sets of operations in any order."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from lutra.crypto.signing import SigningKey
from lutra.groups.authorisation import Auth, Authorisation, Devices
from lutra.groups.contents import (
    AddPerson,
    Create,
    Leave,
    PersonEvidence,
    Profile,
    RemovePerson,
    Role,
    SetRole,
)
from lutra.groups.history import ControlHistory
from lutra.operation import Extensions, Operation, sign_operation


def person_id(name: str) -> bytes:
    return hashlib.sha256(b"person " + name.encode()).digest()


def belongs(person: bytes, device: bytes) -> bytes:
    """A statement that a device is a person's (device chains say it with two signatures)."""
    return b"+" + person + device


def revoked(device: bytes) -> bytes:
    """A statement that a device's person revoked it."""
    return b"-" + device


def directory(evidence: frozenset[bytes]) -> Devices:
    owner = {item[33:]: item[1:33] for item in sorted(evidence) if item[:1] == b"+"}
    return Devices(owner, frozenset(item[1:] for item in evidence if item[:1] == b"-"))


NAMES = ("anna", "ben", "cleo", "dora", "emil")
KEYS = {name: SigningKey(person_id(name)) for name in NAMES}
GROUP = bytes(32)
Action = AddPerson | RemovePerson | SetRole | Leave | PersonEvidence | Create


@dataclass
class Table:
    """Operations of one-device persons, and what they say."""

    operations: list[tuple[Operation, Action]] = field(default_factory=list)

    def act(self, name: str, action: Action, *after: Operation) -> Operation:
        """Have a person act, knowing exactly what ``after`` names and what it did itself."""
        key = KEYS[name]
        own = [item for item, _ in self.operations if item.author == key.public]
        operation = sign_operation(
            key,
            seq_num=len(own),
            backlink=own[-1].id if own else None,
            body=b"body",
            extensions=Extensions(
                GROUP, "group.test", GROUP, previous=tuple(sorted({item.id for item in after}))
            ),
        )
        self.operations.append((operation, action))
        return operation

    def found(self) -> Operation:
        evidence = tuple(sorted(belongs(person_id(name), KEYS[name].public) for name in NAMES))
        return self.act("anna", Create(GROUP, Profile.ARCHIVE, evidence, b"", GROUP))

    def judge(self, order: list[int] | None = None) -> tuple[Authorisation, ControlHistory, Auth]:
        history = ControlHistory()
        authorisation = Authorisation(history, directory)
        waiting = [self.operations[place] for place in order or range(len(self.operations))]
        while waiting:
            left = [item for item in waiting if not self._take(history, authorisation, *item)]
            assert len(left) < len(waiting)
            waiting = left
        return authorisation, history, authorisation.judge(history.everything)

    @staticmethod
    def _take(
        history: ControlHistory, authorisation: Authorisation, operation: Operation, action: Action
    ) -> bool:
        if history.missing(operation):
            return False
        past = history.past_of(operation)
        index = history.add(operation)
        authorisation.note(index, operation.author, operation.seq_num)
        if not past or operation.author in authorisation.judge(past).devices:
            authorisation.record(index, operation.author, action)
        return True

    def roles(self) -> dict[str, Role]:
        names = {person_id(name): name for name in NAMES}
        return {names[person]: role for person, role in self.judge()[2].roles.items()}


def person(name: str) -> bytes:
    return person_id(name)


def trio(*roles: Role) -> tuple[Table, Operation]:
    """Anna has founded a group and added Ben and Cleo (admins unless said otherwise)."""
    table = Table()
    last = table.found()
    given_roles = roles or (Role.ADMIN, Role.ADMIN)
    for name, role in zip(("ben", "cleo"), given_roles, strict=True):
        last = table.act("anna", AddPerson(person(name), role), last)
    return table, last


def test_only_admins_add_and_everybody_may_leave() -> None:
    table, last = trio(Role.WRITER, Role.READER)
    table.act("ben", AddPerson(person("dora"), Role.READER), last)
    table.act("cleo", Leave(), last)
    assert table.roles() == {"anna": Role.ADMIN, "ben": Role.WRITER}


def test_the_only_admin_can_neither_leave_nor_step_down() -> None:
    table, last = trio(Role.WRITER, Role.READER)
    table.act("anna", Leave(), last)
    table.act("anna", SetRole(person("anna"), Role.READER), last)
    table.act("anna", RemovePerson(person("anna")), last)
    assert table.roles()["anna"] is Role.ADMIN


def test_a_removal_voids_what_its_target_did_meanwhile() -> None:
    table, last = trio()
    table.act("anna", RemovePerson(person("ben")), last)
    table.act("ben", AddPerson(person("dora"), Role.ADMIN), last)
    table.act("ben", RemovePerson(person("cleo")), last)
    assert set(table.roles()) == {"anna", "cleo"}


def test_a_removal_voids_what_those_did_whom_its_target_added_meanwhile() -> None:
    table, last = trio()
    table.act("anna", RemovePerson(person("ben")), last)
    added = table.act("ben", AddPerson(person("dora"), Role.ADMIN), last)
    table.act("dora", AddPerson(person("emil"), Role.WRITER), added)
    table.act("dora", RemovePerson(person("cleo")), added)
    assert set(table.roles()) == {"anna", "cleo"}


def test_what_a_removal_knew_of_stays() -> None:
    table, last = trio()
    added = table.act("ben", AddPerson(person("dora"), Role.WRITER), last)
    table.act("anna", RemovePerson(person("ben")), added)
    assert set(table.roles()) == {"anna", "cleo", "dora"}


def test_those_who_remove_each_other_in_a_circle_are_all_out() -> None:
    table, last = trio()
    table.act("anna", RemovePerson(person("ben")), last)
    table.act("ben", RemovePerson(person("cleo")), last)
    table.act("cleo", RemovePerson(person("anna")), last)
    assert table.roles() == {}


def test_a_removal_from_outside_a_circle_decides_it() -> None:
    table, last = trio()
    last = table.act("anna", AddPerson(person("dora"), Role.ADMIN), last)
    table.act("anna", RemovePerson(person("ben")), last)
    table.act("ben", RemovePerson(person("anna")), last)
    # Nobody removes Dora: her removal of Ben counts, and Ben's removal of Cleo does not.
    table.act("dora", RemovePerson(person("ben")), last)
    table.act("ben", RemovePerson(person("cleo")), last)
    assert "cleo" in table.roles()
    assert "anna" in table.roles()


def test_removing_wins_over_adding_at_once_and_adding_again_later_works() -> None:
    table, last = trio()
    removed = table.act("anna", RemovePerson(person("cleo")), last)
    table.act("ben", SetRole(person("cleo"), Role.WRITER), last)
    assert set(table.roles()) == {"anna", "ben"}
    table.act("ben", AddPerson(person("cleo"), Role.READER), removed)
    assert table.roles()["cleo"] is Role.READER


def test_demoting_wins_over_promoting_at_once() -> None:
    table, last = trio(Role.WRITER, Role.ADMIN)
    table.act("anna", SetRole(person("ben"), Role.READER), last)
    table.act("cleo", SetRole(person("ben"), Role.ADMIN), last)
    assert table.roles()["ben"] is Role.READER


def test_a_demoted_admin_keeps_the_right_to_leave() -> None:
    table, last = trio()
    table.act("anna", SetRole(person("ben"), Role.READER), last)
    table.act("ben", Leave(), last)
    assert set(table.roles()) == {"anna", "cleo"}


def test_leaving_voids_additions_of_oneself_only() -> None:
    table, last = trio()
    table.act("ben", AddPerson(person("dora"), Role.WRITER), last)
    table.act("ben", Leave(), last)
    assert set(table.roles()) == {"anna", "cleo", "dora"}


def test_the_eldest_becomes_admin_where_none_is_left() -> None:
    table = Table()
    last = table.found()
    for name, role in (("ben", Role.KEEPER), ("cleo", Role.READER), ("dora", Role.ADMIN)):
        last = table.act("anna", AddPerson(person(name), role), last)
    table.act("anna", RemovePerson(person("dora")), last)
    table.act("dora", RemovePerson(person("anna")), last)
    assert table.roles() == {"ben": Role.KEEPER, "cleo": Role.ADMIN}


def test_who_is_admin_by_succession_can_take_the_office_for_good() -> None:
    table = Table()
    last = table.found()
    for name, role in (("ben", Role.WRITER), ("dora", Role.ADMIN)):
        last = table.act("anna", AddPerson(person(name), role), last)
    first = table.act("anna", RemovePerson(person("dora")), last)
    second = table.act("dora", RemovePerson(person("anna")), last)
    office = table.act("ben", SetRole(person("ben"), Role.ADMIN), first, second)
    table.act("ben", AddPerson(person("anna"), Role.ADMIN), office)
    assert table.roles() == {"ben": Role.ADMIN, "anna": Role.ADMIN}


def test_nobody_else_takes_an_office() -> None:
    table = Table()
    last = table.found()
    last = table.act("anna", AddPerson(person("ben"), Role.WRITER), last)
    table.act("ben", SetRole(person("ben"), Role.ADMIN), last)
    table.act("anna", SetRole(person("anna"), Role.WRITER), last)
    assert table.roles() == {"anna": Role.ADMIN, "ben": Role.WRITER}


def test_a_revoked_device_is_out_and_so_is_what_it_did_meanwhile() -> None:
    table, last = trio()
    table.act("ben", AddPerson(person("dora"), Role.WRITER), last)
    table.act("anna", PersonEvidence((revoked(KEYS["ben"].public),)), last)
    _, _, auth = table.judge()
    assert KEYS["ben"].public not in auth.devices
    assert person("ben") in auth.roles
    assert person("dora") not in auth.roles


def test_a_device_that_writes_two_things_at_one_place_is_out() -> None:
    table, last = trio()
    table.act("ben", AddPerson(person("dora"), Role.WRITER), last)
    other = Table(table.operations[:-1])
    other.act("ben", AddPerson(person("emil"), Role.WRITER), last)
    table.operations.append(other.operations[-1])
    _, _, auth = table.judge()
    assert KEYS["ben"].public not in auth.devices
    assert KEYS["anna"].public in auth.devices


_EVENTS = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.sampled_from(("add", "remove", "role", "leave", "revoke")),
        st.sampled_from(NAMES),
        st.sampled_from(list(Role)),
        st.integers(0, 2**16),
    ),
    max_size=14,
)


def lived(events: list[tuple[str, str, str, Role, int]]) -> Table:
    """A table in which everybody acts on arbitrary parts of what exists."""
    table, last = trio()
    everything = [item for item, _ in table.operations]
    for author, kind, target, role, mask in events:
        action: Action
        match kind:
            case "add":
                action = AddPerson(person(target), role)
            case "remove":
                action = RemovePerson(person(target))
            case "role":
                action = SetRole(person(target), role)
            case "leave":
                action = Leave()
            case _:
                action = PersonEvidence((revoked(KEYS[target].public),) if mask % 5 == 0 else ())
        known = [item for bit, item in enumerate(everything) if mask >> bit & 1]
        everything.append(table.act(author, action, last, *known))
    return table


@settings(max_examples=150)
@given(_EVENTS, st.integers(0, 2**32))
def test_order_decides_nothing_and_members_have_an_admin(
    events: list[tuple[str, str, str, Role, int]], seed: int
) -> None:
    table = lived(events)
    _, _, auth = table.judge()
    order = list(range(len(table.operations)))
    random.Random(seed).shuffle(order)
    _, _, shuffled = table.judge(order)
    assert auth.roles == shuffled.roles
    assert auth.devices == shuffled.devices
    assert not auth.roles or Role.ADMIN in auth.roles.values()


@settings(max_examples=60)
@given(_EVENTS)
def test_what_was_judged_once_never_changes(
    events: list[tuple[str, str, str, Role, int]],
) -> None:
    table = lived(events)
    authorisation, history, _ = table.judge()
    partial = Table(table.operations[: len(table.operations) // 2])
    _, _, then = partial.judge()
    known = history.closure([item.id for item, _ in partial.operations])
    assert known is not None
    assert authorisation.judge(known).roles == then.roles
