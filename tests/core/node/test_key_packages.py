"""The key package a newcomer gives away with its admission, and hostile ones."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.node.test_attacks import crafted
from core.node.test_invites import long, made, otters, rows
from core.node.world import Device, Meeting, World
from lutra.errors import RemoteError
from lutra.groups.contents import COMMIT, OFFER, Offer, Offers, Profile
from lutra.groups.group import Group
from lutra.groups.key_packages import create_offer
from lutra.mls import Capabilities, suite_for
from lutra.node.engine import Engine
from lutra.node.join_attempts import Step
from lutra.store.groups import GroupRow


def meet(world: World, *, loses_offer: bool = False) -> tuple[Device, Device, Meeting, bytes]:
    """Let a second device into a group; nothing of the group has reached it yet."""
    ana, group = otters(world)
    ben = world.add("ben")
    meeting = Meeting(world, ana, ben)
    meeting.loses_offer = loses_offer
    assert meeting.join(long(made(ana, group))) is Step.ADMITTED
    return ana, ben, meeting, group


def roster(device: Device, group: bytes) -> set[bytes]:
    """Return the devices in the keys of a group's head."""
    head = device.engine._groups.get(group).control.head()
    assert head is not None
    return set(head.roster)


@pytest.mark.parametrize("restarts", [False, True])
def test_keys_are_made_before_the_newcomer_has_heard_of_the_group(
    world: World, restarts: bool
) -> None:
    ana, ben, _, group = meet(world)
    assert roster(ana, group) == {ana.device, ben.device}
    operations = len(ana.engine._groups.get(group).control.history)
    page = ana.run(lambda e: e.create_document(group, "Notes", "text"))
    if restarts:
        ben.restart()
    world.connect(ana, ben)
    world.settle()
    assert ben.text(page) == "text"
    # No second key package, and no second commit: what follows is the newcomer's card.
    kinds = [item.decode().kind for item in ben.store.operations.control(group)][operations:]
    assert [kind for kind in kinds if kind in (OFFER, COMMIT)] == []


def test_an_offer_that_is_lost_is_made_again_in_the_group(world: World) -> None:
    ana, ben, _, group = meet(world, loses_offer=True)
    assert roster(ana, group) == {ana.device}
    world.connect(ana, ben)
    world.settle()
    assert roster(ana, group) == roster(ben, group) == {ana.device, ben.device}
    assert ben.epoch(group) == ana.epoch(group) is not None


def test_only_a_valid_key_package_of_the_device_itself_is_carried(world: World) -> None:
    ana, ben, _, group = meet(world, loses_offer=True)
    before = rows(ana)
    replica = ben.engine._groups.get(group)
    offer = replica.create_offer(ana.engine._groups.get(group).suite_id)
    stranger = world.add("cleo")
    false = [
        replace(offer, device=stranger.device),
        replace(offer, signature=bytes(64)),
        replace(offer, key_package=offer.key_package[:-1] + bytes(1)),
        Offer(ben.device, b"", b""),
        replica.create_offer(1),
    ]
    for one in false:
        with pytest.raises(RemoteError):
            ana.run(lambda e, one=one: e.invitations.take_offer(group, one))
    assert rows(ana) == before
    # A device that is no member, or has its keys already, gets none this way.
    other = Group(group, stranger.engine._groups._setup()).create_offer()
    ana.run(lambda e: e.invitations.take_offer(group, other))
    assert roster(ana, group) == {ana.device}
    ana.run(lambda e: e.invitations.take_offer(group, offer))
    assert roster(ana, group) == {ana.device, ben.device}
    operations = len(ana.engine._groups.get(group).control.history)
    ana.run(lambda e: e.invitations.take_offer(group, replica.create_offer()))
    assert len(ana.engine._groups.get(group).control.history) == operations
    ana.run(lambda e: e.remove_person(group, ben.engine.persons.id))
    ana.run(lambda e: e.invitations.take_offer(group, offer))
    assert roster(ana, group) == {ana.device}


@pytest.mark.parametrize("profile", list(Profile))
@pytest.mark.parametrize("loses_offer", [False, True])
def test_a_newcomer_can_read_the_groups_name(
    world: World, profile: Profile, loses_offer: bool
) -> None:
    ana, ben = world.add("ana"), world.add("ben")
    group = ana.run(lambda e: e.create_group("Otters", profile))
    meeting = Meeting(world, ana, ben)
    meeting.loses_offer = loses_offer
    meeting.join(long(made(ana, group)))
    assert loses_offer or not ana.engine._groups.get(group).is_name_hidden()
    ben.restart()
    world.connect(ana, ben)
    world.settle()
    assert ben.group_name(group) == "Otters"


@pytest.mark.parametrize("profile", list(Profile))
def test_somebody_added_again_gets_keys_again(world: World, profile: Profile) -> None:
    ana, ben = world.add("ana"), world.add("ben")
    group = ana.run(lambda e: e.create_group("Otters", profile))
    for turn in range(3):
        meeting = Meeting(world, ana, ben)
        meeting.loses_offer = turn == 1
        meeting.join(long(made(ana, group)))
        world.connect(ana, ben)
        world.settle()
        assert ben.epoch(group) == ana.epoch(group) is not None
        assert ben.group_name(group) == "Otters"
        ana.run(lambda e: e.remove_person(group, ben.engine.persons.id))
        world.settle()
        world.cut_all()


def test_key_packages_of_no_use_now_are_not_carried(world: World) -> None:
    ana, ben, _, group = meet(world, loses_offer=True)
    operations = len(ana.engine._groups.get(group).control.history)
    setup = ben.engine._groups.get(group)._setup
    for days in (-100, 100):
        later = setup.clock() // 1000 + days * 24 * 3600
        offer, _ = create_offer(
            ben.device, group, setup.suite_id, setup.sign, now=later, random=setup.random
        )
        ana.run(lambda e, offer=offer: e.invitations.take_offer(group, offer))
    assert len(ana.engine._groups.get(group).control.history) == operations


@pytest.mark.parametrize("way", ["with the admission", "in the group"])
def test_two_devices_with_one_key_do_not_hold_up_a_group(world: World, way: str) -> None:
    ana, group = otters(world)
    ben = world.add("ben")
    phone = world.add("phone", sibling=ben)
    world.connect(ben, phone)
    world.settle()
    world.cut_all()
    row = made(ana, group, uses=3)
    suite = ana.engine._groups.get(group).suite_id
    key = suite_for(suite).signatures.generate(world.random_bytes)[0]
    for device in (ben, phone):
        meeting = Meeting(world, ana, device)
        meeting.loses_offer = True
        assert meeting.join(long(row)) is Step.ADMITTED
        offer = crafted(device, group, key, Capabilities(cipher_suites=(suite,)))
        if way == "with the admission":
            ana.run(lambda e, offer=offer: e.invitations.take_offer(group, offer))
        else:
            ana.run(lambda e, offer=offer: publish(e, group, offer))
        world.settle(300)
    assert roster(ana, group) == {ana.device, ben.device}
    # Others come in all the same, and it does too once it offers what it may.
    cleo = world.add("cleo")
    world.join(ana, cleo, group)
    world.connect(ana, cleo)
    world.settle()
    assert roster(ana, group) == {ana.device, ben.device, cleo.device}
    ana.run(lambda e: publish(e, group, phone.engine._groups.get(group).create_offer()))
    world.settle(300)
    assert phone.device in roster(ana, group)


def publish(engine: Engine, group: bytes, offer: Offer) -> None:
    replica = engine._groups.get(group)
    replica._issue(engine._groups.signer(group), OFFER, Offers((offer,)))
    engine._groups.save(group)


def test_one_key_package_of_a_device_is_carried_whatever_becomes_of_it(world: World) -> None:
    ana, ben, _, group = meet(world, loses_offer=True)
    suite = ana.engine._groups.get(group).suite_id
    before = len(ana.engine._groups.get(group).control.history)
    for _ in range(3):
        # It fits no commit, and its time is over soon.
        key = suite_for(suite).signatures.generate(world.random_bytes)[0]
        offer = crafted(ben, group, key, Capabilities(cipher_suites=(1,)))
        ana.run(lambda e, offer=offer: e.invitations.take_offer(group, offer))
        assert len(ana.engine._groups.get(group).control.history) == before + 1
        world.clock.seconds += 2000
    world.connect(ana, ben)
    world.settle()
    assert ben.epoch(group) == ana.epoch(group) is not None


def test_an_admission_to_a_group_of_an_earlier_lutra_ends_the_attempt(world: World) -> None:
    """Whoever invites may say of any group that it leads there."""
    ana, group = otters(world)
    ben = world.add("ben")
    ben.store.groups.put(GroupRow(group, "Old", b"", 1, 1, form=1))
    assert Meeting(world, ana, ben).join(long(made(ana, group))) is Step.ADMITTED
    assert ben.store.joins.list() == []
