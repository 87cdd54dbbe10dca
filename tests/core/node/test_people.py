"""Persons met in groups: views, safety numbers, and the loud news that verified keys changed."""

from __future__ import annotations

import pytest

from core.node.world import Device, World
from lutra.errors import NotFoundError, UsageError
from lutra.identity.recovery import RecoveryKit
from lutra.node.acquaintances import SafetyNumberDiffersError
from lutra.node.events import VerifiedKeysChanged
from lutra.node.person_views import PersonView


def met(world: World) -> tuple[Device, Device]:
    ana, ben = world.add("ana"), world.add("ben")
    group = ana.run(lambda e: e.create_group("Otters"))
    world.join(ana, ben, group)
    world.connect_all()
    world.settle()
    return ana, ben


def view(device: Device, other: Device) -> PersonView:
    return device.run(lambda e: e.people.get(other.engine.persons.id))


def number(device: Device, other: Device) -> str:
    return " ".join(device.run(lambda e: e.people.safety_number(other.engine.persons.id)).number)


def change_keys(device: Device) -> None:
    """Add a recovery kit: somebody else can act for the person from now on."""
    kit = RecoveryKit.generate(device.world.random_bytes)
    device.run(lambda e: e.persons.add_recovery(kit.consent(e.persons.id)))


def test_who_is_known_with_which_devices(world: World) -> None:
    ana, ben = met(world)
    mine, theirs = ana.run(lambda e: e.people.list())
    assert (mine.me, mine.name, theirs.me, theirs.name) == (True, "ana", False, "ben")
    assert [(one.name, one.me, one.active) for one in mine.devices] == [
        ("ana's laptop", True, True)
    ]
    assert [(one.device, one.name) for one in theirs.devices] == [(ben.device, "ben's laptop")]
    assert mine.groups == theirs.groups
    assert len(mine.groups) == 1
    assert (theirs.trust, theirs.kits) == ("unverified", 0)


def test_both_see_the_same_number_and_can_verify_by_digits_or_code(world: World) -> None:
    ana, ben = met(world)
    person = ben.engine.persons.id
    assert number(ana, ben) == number(ben, ana)
    assert len(number(ana, ben).replace(" ", "")) == 60
    ana.run(lambda e: e.people.verify(person, number(ben, ana)))
    assert view(ana, ben).trust == "verified"
    assert view(ben, ana).trust == "unverified"
    ana.run(lambda e: e.people.withdraw(person))
    assert view(ana, ben).trust == "unverified"
    scanned = ben.run(lambda e: e.people.safety_number(ana.engine.persons.id)).qr
    ana.run(lambda e: e.people.verify(person, scanned.lower()))
    assert view(ana, ben).trust == "verified"
    ana.restart()
    assert view(ana, ben).trust == "verified"


def test_another_number_verifies_nothing(world: World) -> None:
    ana, ben = met(world)
    person = ben.engine.persons.id
    right = number(ana, ben)
    wrong = right[:-1] + ("0" if right[-1] != "0" else "1")
    for given in (wrong, right[:-1], "", "1" * 60):
        with pytest.raises(SafetyNumberDiffersError):
            ana.run(lambda e, given=given: e.people.verify(person, given))
    with pytest.raises(UsageError):
        ana.run(lambda e: e.people.verify(person, "no number"))
    with pytest.raises(UsageError):
        ana.run(lambda e: e.people.verify(ana.engine.persons.id, right))
    with pytest.raises(NotFoundError):
        ana.run(lambda e: e.people.verify(bytes(32), right))
    assert view(ana, ben).trust == "unverified"


def test_changed_keys_of_a_verified_person_are_said_loudly_until_seen(world: World) -> None:
    ana, ben = met(world)
    person = ben.engine.persons.id
    ana.run(lambda e: e.people.verify(person, number(ana, ben)))
    before = number(ana, ben)
    change_keys(ben)
    world.settle()
    assert VerifiedKeysChanged(person, "ben") in ana.events
    assert (view(ana, ben).trust, view(ana, ben).unseen) == ("changed", True)
    assert number(ana, ben) == number(ben, ana) != before
    with pytest.raises(SafetyNumberDiffersError):
        ana.run(lambda e: e.people.verify(person, before))
    ana.restart()
    assert view(ana, ben).unseen
    ana.run(lambda e: e.people.mark_seen(person))
    assert (view(ana, ben).trust, view(ana, ben).unseen) == ("changed", False)
    ana.run(lambda e: e.people.verify(person, number(ana, ben)))
    assert view(ana, ben).trust == "verified"


def test_changed_keys_of_others_make_no_noise(world: World) -> None:
    ana, ben = met(world)
    change_keys(ben)
    world.settle()
    assert not [event for event in ana.events if isinstance(event, VerifiedKeysChanged)]
    assert view(ana, ben).kits == 1
