"""Persons as devices see them: additions with consent, removals, leaving, names, recovery keys."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.identity.people import World, add, add_recovery, copy, exchange, key, new_person
from lutra.codec import encode
from lutra.errors import SignatureError
from lutra.identity.device_log import (
    Add,
    Consent,
    Remove,
    consent,
    encode_content,
    read_content,
    sign_content,
)
from lutra.identity.errors import DeviceKnownError, DeviceLogError, DeviceNotInPersonError
from lutra.identity.person import Person
from lutra.identity.resolution import predecessors
from lutra.operation import Extensions, Operation, sign_operation


def keys(*numbers: int) -> frozenset[bytes]:
    return frozenset(key(number).public for number in numbers)


def test_devices_are_added_renamed_and_removed() -> None:
    person = new_person()
    add(person, 1, 2, b"laptop")
    person.rename(key(2), None, b"Ana B.", 5)
    person.rename(key(1), key(2).public, b"old laptop", 5)
    assert person.state.active() == keys(1, 2)
    assert person.state.name == b"Ana B."
    laptop = person.state.device(key(2).public)
    assert laptop is not None
    assert (laptop.name, laptop.added_by) == (b"old laptop", key(1).public)
    person.remove(key(1), key(2).public, 6)
    assert person.state.active() == keys(1)
    gone = person.state.device(key(2).public)
    assert gone is not None
    assert gone.removed_by == key(1).public


def test_nobody_is_added_without_agreeing_to_this_very_person() -> None:
    ana, ben = new_person(1), new_person(9)
    agreed = consent(key(2), ben.id)
    with pytest.raises(SignatureError):
        ana.add(key(1), agreed, b"", 1)
    stolen = Consent(key(3).public, agreed.nonce, agreed.signature)
    with pytest.raises(SignatureError):
        ben.add(key(9), stolen, b"", 1)
    assert ana.state.active() == keys(1)


def test_only_active_devices_act_and_removed_ones_need_a_fresh_key() -> None:
    person = new_person()
    add(person, 1, 2)
    with pytest.raises(DeviceNotInPersonError):
        person.rename(key(7), None, b"Eve", 1)
    person.remove(key(1), key(2).public, 1)
    with pytest.raises(DeviceNotInPersonError):
        person.rename(key(2), None, b"Eve", 1)
    with pytest.raises(DeviceKnownError):
        add(person, 1, 2)
    # Even signed by hand, the same key does not come back.
    world = World({1: person})
    world.act(1, Add(consent(key(2), person.id), b""))
    assert person.state.active() == keys(1)


def test_any_device_may_leave_but_not_the_last() -> None:
    person = new_person()
    add(person, 1, 2)
    person.remove(key(1), key(1).public, 1)
    assert person.state.active() == keys(2)
    with pytest.raises(DeviceNotInPersonError):
        person.remove(key(2), key(2).public, 1)
    add_recovery(person, 2, 50)
    person.remove(key(2), key(2).public, 1)
    assert person.state.active() == frozenset()
    assert person.state.recovery_keys() == keys(50)


def test_of_two_that_remove_each_other_the_earlier_stays() -> None:
    one = new_person()
    add(one, 1, 2)
    two = copy(one)
    one.remove(key(1), key(2).public, 1)
    two.remove(key(2), key(1).public, 1)
    exchange(one, two)
    assert one.state == two.state
    assert one.state.active() == keys(1)


def test_removal_beats_concurrent_addition() -> None:
    one = new_person()
    add(one, 1, 2)
    two = copy(one)
    add(two, 2, 3)
    one.remove(key(1), key(2).public, 1)
    exchange(one, two)
    assert one.state.active() == keys(1)
    # What the remover knew stays.
    three = new_person()
    add(three, 1, 2)
    add(three, 2, 3)
    three.remove(key(1), key(2).public, 1)
    assert three.state.active() == keys(1, 3)


def test_in_a_circle_the_senior_stays_and_a_device_that_was_told_still_removes() -> None:
    world = World.start()
    world.replicas[2] = copy(world.replicas[1])
    world.replicas.clear()
    base = new_person()
    add(base, 1, 2)
    add(base, 1, 3)
    world = World({number: copy(base) for number in (1, 2, 3)}, 4)
    world.remove(3, 2)
    world.sync(3, 1)
    world.remove(1, 3)
    world.remove(2, 1)
    exchange(*world.replicas.values())
    # 3 removed 2 first, which voids what 2 did without knowing; 1 knew and removed 3.
    assert base.state.active() == keys(1, 2, 3)
    assert world.replicas[1].state.active() == keys(1)
    ring = World({number: copy(base) for number in (1, 2, 3)}, 4)
    ring.remove(1, 2)
    ring.remove(2, 3)
    ring.remove(3, 1)
    exchange(*ring.replicas.values())
    assert ring.replicas[1].state.active() == keys(1, 3)


def test_a_recovery_key_outranks_devices() -> None:
    base = new_person()
    add_recovery(base, 1, 50)
    add(base, 1, 2)
    thief, owner = copy(base), copy(base)
    with pytest.raises(DeviceNotInPersonError):
        thief.remove(key(1), key(50).public, 1)
    world = World({1: thief}, 3)
    world.remove(1, 50)
    assert thief.state.recovery_keys() == keys(50)
    thief.remove(key(1), key(2).public, 1)
    owner.remove(key(50), key(1).public, 1)
    add(owner, 50, 4, b"new laptop")
    exchange(thief, owner)
    assert owner.state == thief.state
    assert owner.state.active() == keys(2, 4)
    assert owner.state.recovery_keys() == keys(50)


def test_a_thief_cannot_get_before_an_older_kit_by_hiding_what_it_knows() -> None:
    owner = new_person()
    add(owner, 1, 2)
    thief = copy(owner)
    add_recovery(owner, 1, 50)
    # The thief holds device 2 and acts as if the kit had never been made.
    add_recovery(thief, 2, 60)
    thief.remove(key(60), key(1).public, 1)
    exchange(owner, thief)
    assert owner.state.recovery_keys() == keys(50, 60)
    owner.remove(key(50), key(60).public, 1)
    owner.remove(key(50), key(2).public, 1)
    world = World({60: thief}, 70)
    world.remove(60, 50)
    exchange(owner, thief)
    assert owner.state == thief.state
    assert owner.state.recovery_keys() == keys(50)
    # The thief's removal of the first device is void too: it was made without the kit's knowledge.
    assert key(60).public not in owner.state.recovery_keys()


def test_a_device_that_ranks_lower_cannot_void_a_kit_with_its_maker() -> None:
    owner = new_person()
    add(owner, 1, 2)
    thief = copy(owner)
    add_recovery(owner, 1, 50)
    thief.remove(key(2), key(1).public, 1)
    exchange(owner, thief)
    assert owner.state.active() == keys(2)
    assert owner.state.recovery_keys() == keys(50)


def test_a_kit_is_replaced_by_a_newer_one_or_by_itself() -> None:
    person = new_person()
    add_recovery(person, 1, 50)
    add_recovery(person, 1, 51)
    person.remove(key(51), key(50).public, 1)
    assert person.state.recovery_keys() == keys(51)


def test_concurrent_names_the_senior_wins_and_later_ones_replace() -> None:
    one = new_person()
    add(one, 1, 2)
    two = copy(one)
    two.rename(key(2), None, b"two", 10**9)
    one.rename(key(1), None, b"one", 1)
    exchange(one, two)
    assert one.state.name == two.state.name == b"one"
    two.rename(key(2), None, b"both", 1)
    exchange(one, two)
    assert one.state.name == b"both"


def test_a_stranger_can_neither_act_nor_get_between() -> None:
    person = new_person()
    stranger = sign_content(key(66), person.id, Remove(key(1).public), previous=person.heads())
    person.receive(stranger)
    assert person.state.active() == keys(1)
    made = person.rename(key(1), None, b"Ana", 2)
    assert stranger.id not in made.header.extensions.previous
    # One whose backlink belongs to another log is no part of the graph either.
    crooked = sign_content(
        key(1), person.id, Remove(key(1).public), seq_num=1, backlink=stranger.id
    )
    person.receive(crooked)
    add(person, 1, 2)
    assert person.state.active() == keys(1, 2)


def test_a_fork_is_reported_and_locks_nobody_out() -> None:
    person = new_person()
    add(person, 1, 2)
    other = copy(person)
    person.rename(key(1), None, b"here", 1)
    other.rename(key(1), None, b"there", 1)
    exchange(person, other)
    assert person.state == other.state
    assert person.state.equivocating == keys(1)
    assert person.state.active() == keys(1, 2)


def test_malformed_operations_are_refused() -> None:
    person, other = new_person(1), new_person(2)
    with pytest.raises(DeviceLogError):
        person.receive(other.operations()[0])
    moved = sign_content(key(1), other.id, other.operations()[0] and Remove(key(1).public))
    with pytest.raises(DeviceLogError):
        person.receive(moved)


def test_operations_may_come_before_those_they_follow() -> None:
    person = new_person()
    add(person, 1, 2)
    add(person, 2, 3)
    whole = person.operations()
    late = Person(person.id, reversed(whole[1:]))
    assert late.state.devices == ()
    assert late.missing() == {whole[0].id}
    late.receive(whole[0])
    assert late.state == person.state
    assert late.missing() == frozenset()
    assert not late.receive(whole[0])


def before(person: Person, operation: Operation) -> list[Operation]:
    """Return what happened before an operation."""
    known = {one.id: one for one in person.operations()}
    found: dict[bytes, Operation] = {}
    frontier = list(predecessors(operation))
    while frontier:
        one = known[frontier.pop()]
        if one.id not in found:
            found[one.id] = one
            frontier.extend(predecessors(one))
    return list(found.values())


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Devices that add, remove, rename and meet at random; some do what they may not."""
    world = World.start()
    for _ in range(draw(st.integers(1, 14))):
        who = draw(st.sampled_from(sorted(world.replicas)))
        match draw(st.sampled_from(("add", "add", "remove", "remove", "sync", "rename", "kit"))):
            case "add" if len(world.replicas) < 6:
                world.add(who)
            case "kit" if len(world.replicas) < 6:
                world.add(who, recovery=True)
            case "remove":
                world.remove(who, draw(st.sampled_from(sorted(world.replicas))))
            case "rename":
                world.rename(who, draw(st.binary(max_size=2)))
            case _:
                world.sync(who, draw(st.sampled_from(sorted(world.replicas))))
    return world


@settings(deadline=None, max_examples=300)
@given(worlds(), st.integers(0, 10**6))
def test_the_order_of_delivery_changes_nothing(world: World, seed: int) -> None:
    operations = world.everything()
    person = world.replicas[1]
    expected = Person(person.id, operations).state
    Random(seed).shuffle(operations)
    late = Person(person.id)
    for one in operations:
        late.receive(one)
        late.state.active()
    assert late.state == expected


@settings(deadline=None, max_examples=400)
@given(worlds())
def test_nobody_is_locked_out(world: World) -> None:
    state = Person(world.replicas[1].id, world.everything()).state
    assert state.active() or state.recovery_keys()
    for replica in world.replicas.values():
        assert replica.state.active() or replica.state.recovery_keys()


@settings(deadline=None, max_examples=400)
@given(worlds())
def test_what_the_most_senior_device_removed_is_out(world: World) -> None:
    person = Person(world.replicas[1].id, world.everything())
    senior = person.state.devices[0]
    for operation, content in person._operations.values():
        if isinstance(content, Remove) and operation.author == senior.key and senior.active:
            target = person.state.device(content.device)
            leaves = content.device == senior.key
            if Person(person.id, before(person, operation)).state.device(content.device) is None:
                continue  # It was not known to be a device.
            unprotected = target is not None and (senior.recovery or not target.recovery)
            assert leaves or not unprotected or not target.active


def test_a_removal_may_ask_for_everything_to_be_deleted() -> None:
    plain, wish = Remove(key(2).public), Remove(key(2).public, wipe=True)
    # Without the wish it is written as before there was one.
    assert encode_content(plain) == encode([key(2).public])
    assert encode_content(wish) == encode([key(2).public, True])
    for content in (plain, wish):
        operation = sign_content(key(1), bytes(32), content)
        assert read_content(operation, bytes(32)) == content
    for body in ([key(2).public, False], [key(2).public, 1], [key(2).public, True, True]):
        operation = sign_operation(
            key(1),
            seq_num=0,
            backlink=None,
            body=encode(body),
            extensions=Extensions(log=bytes(32), kind="person.remove"),
        )
        with pytest.raises(DeviceLogError):
            read_content(operation, bytes(32))
