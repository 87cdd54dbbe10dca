"""Whatever the order of arrival, the same control operations make the same group."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.groups.parties import SEALING, SIGNING, Party, friends, tell
from lutra.groups.errors import NotAMemberError
from lutra.groups.group import Group
from lutra.groups.keys import Reception
from lutra.operation import Operation

STEPS = st.lists(
    st.tuples(
        st.sampled_from(("add", "remove", "rename", "card", "reconcile", "tell", "tell", "tell")),
        st.integers(0, 5),
        st.integers(0, 5),
    ),
    max_size=30,
)
SLOW = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def live(steps: list[tuple[str, int, int]]) -> list[Party]:
    """Let six devices, three of them members, do what is asked as far as they may."""
    parties = friends(3)
    parties += [Party(number, parties[0].group.id) for number in range(3, 6)]
    for action, who, whom in steps:
        act(action, parties[who], parties[whom])
    return parties


def act(action: str, party: Party, other: Party) -> None:
    group, log = party.group, party.log
    if action == "tell":
        tell(party, other)
    elif not group.is_member(party.device):
        return
    elif action == "add" and not group.is_member(other.device):
        party.note(group.add(log, other.device, other.sealing.public))
    elif action == "remove" and group.is_member(other.device):
        party.note(group.remove(log, other.device))
    elif action == "rename":
        party.note(group.rename(log, f"by {party.number}"))
    elif action == "card":
        party.note(group.publish_card(log, f"person {party.number}", "laptop"))
    elif action == "reconcile":
        party.note(group.reconcile(log))


@SLOW
@given(steps=STEPS, shuffled=st.randoms(use_true_random=False))
def test_order_of_arrival_does_not_matter(
    steps: list[tuple[str, int, int]], shuffled: random.Random
) -> None:
    operations = {item.id: item for party in live(steps) for item in party.known.values()}
    late = [Party(0, next(iter(operations.values())).log) for _ in range(2)]
    for party in late:
        order = list(operations.values())
        shuffled.shuffle(order)
        receive_one_by_one(party, order)
    assert late[0].view() == late[1].view()
    assert late[0].group.name == late[1].group.name
    assert late[0].group.secrets == late[1].group.secrets
    assert late[0].group.members() == late[1].group.members()


def receive_one_by_one(party: Party, order: list[Operation]) -> None:
    """Offer operations until the first that fits, and from the beginning again."""
    waiting = order
    while waiting:
        for place, operation in enumerate(waiting):
            if party.group.receive(operation) is not Reception.WAITING:
                party.note([operation])
                waiting = waiting[:place] + waiting[place + 1 :]
                break
        else:
            raise AssertionError("operations follow unknown ones")


@SLOW
@given(steps=STEPS)
def test_removed_devices_get_no_key_made_by_somebody_who_knew(
    steps: list[tuple[str, int, int]],
) -> None:
    parties = live(steps)
    for party in parties:
        for other in parties:
            tell(other, party)
    for party in [party for party in parties if party.group.is_member(party.device)]:
        party.note(party.group.reconcile(party.log))
        for other in parties:
            tell(party, other)
    members = [party for party in parties if party.group.is_member(party.device)]
    for member in members:
        current = member.group.current_epoch()
        assert current is not None
        for party in parties:
            assert (current.id in party.group.secrets) == (party in members)


@SLOW
@given(steps=STEPS)
def test_members_come_to_rest_on_one_key(steps: list[tuple[str, int, int]]) -> None:
    parties = live(steps)
    for _ in range(8):
        for party in parties:
            for other in parties:
                tell(other, party)
        ranked = [(party.group.reconcile_rank(), party.number) for party in parties]
        due = sorted((rank, number) for rank, number in ranked if rank is not None)
        if not due:
            break
        first = parties[due[0][1]]
        first.note(first.group.reconcile(first.log))
    else:
        raise AssertionError("reconciling goes on for ever")
    members = [party for party in parties if party.group.is_member(party.device)]
    assert len({party.view() for party in members}) <= 1
    assert len({party.group.current_epoch() for party in members}) <= 1


def test_who_is_out_cannot_speak() -> None:
    ana, ben = friends(2)
    ana.note(ana.group.remove(ana.log, ben.device))
    tell(ana, ben)
    late = Group(ana.group.id, SIGNING[2].public, SEALING[2])
    for operation in ana.known.values():
        late.receive(operation)
    with pytest.raises(NotAMemberError):
        ben.group.require_membership()
    forged = ben.log.sign_control(
        "group.remove", b"", epoch=None, secret=None, previous=late.heads()
    )
    assert late.receive(forged) is Reception.FOREIGN
