"""What happens to people: partitions, removals, lost devices, wrong clocks."""

from __future__ import annotations

import pytest

from core.groups.test_group import agree, invite, people
from lutra.groups.contents import Role
from lutra.groups.keys import Reception
from sim.clocks import DAY, Clock
from sim.device import Device, settle, synchronise


def add_device(host: Device, name: str, clock: Clock) -> Device:
    """A person adds a device of its own and brings it into the group."""
    device = Device(name, host.person_name, clock, sibling=host)
    invite(host, device)
    return device


def revoke(device: Device, other: Device) -> None:
    device.chain.remove(device.key, other.id, device.clock())
    device.do(lambda group: group.introduce(device, device.untold()))
    device.do(lambda group: group.reconcile(device))


def remove(device: Device, other: Device) -> None:
    cuts = device.cuts(other.person)
    device.do(lambda group: group.remove_person(device, other.person, cuts))


def texts(device: Device) -> set[bytes]:
    """What a device has in its document, decrypted."""
    applied = (device.store.texts[item] for item in device.store.applied)
    return {text for text in map(device.read, applied) if text is not None}


def test_cleo_is_removed_while_ben_is_cut_off_and_adds_dora() -> None:
    """All reconnect: one roster, Cleo reads nothing by those who knew, nothing of others is lost.

    Ben built on what Cleo wrote before he heard of the removal: that stays, for everyone.
    """
    clock = Clock()
    names = ("anna/1", "anna/2", "ben/1", "ben/2", "cleo/1", "cleo/2")
    anna, anna2, ben, ben2, cleo, cleo2 = people(clock, *names)
    dora = Device("dora/1", "dora", clock)
    cleo.write(b"cleo, before")
    synchronise(anna, anna2, ben, ben2, cleo, cleo2)

    remove(anna, cleo)
    settle(clock, anna, anna2)
    anna.write(b"anna, who knew")
    invite(ben, dora)
    cleo.write(b"cleo, unaware")
    settle(clock, ben, ben2, cleo, cleo2, dora)
    cleo2.write(b"cleo again, unaware")
    settle(clock, ben, ben2, cleo, cleo2, dora)
    ben.write(b"ben, on top of it")
    dora.write(b"dora")

    settle(clock, anna, anna2, ben, ben2, dora)
    agree(anna, anna2, ben, ben2, dora)
    anna2.write(b"anna, later")
    cleo.write(b"cleo, too late")
    settle(clock, anna, anna2, ben, ben2, cleo, cleo2, dora)
    agree(anna, anna2, ben, ben2, dora)

    everything = {
        b"cleo, before",
        b"anna, who knew",
        b"cleo, unaware",
        b"cleo again, unaware",
        b"ben, on top of it",
        b"dora",
        b"anna, later",
    }
    for device in (anna, anna2, ben, ben2, dora):
        assert texts(device) == everything
    for device in (cleo, cleo2):
        opened = {device.read(item) for item in device.store.texts.values()}
        assert not opened & {b"anna, who knew", b"anna, later"}
        assert not device.group.is_member(device.id)


def test_two_admins_remove_each_other() -> None:
    clock = Clock()
    anna, ben, cleo, dora = people(clock, "anna/1", "ben/1", "cleo/1", "dora/1")
    remove(anna, ben)
    remove(ben, anna)
    settle(clock, anna, cleo)
    settle(clock, ben, dora)
    assert cleo.group.is_member(anna.id)
    assert dora.group.is_member(ben.id)
    settle(clock, anna, ben, cleo, dora)
    agree(cleo, dora)
    assert set(cleo.group.roles()) == {cleo.person, dora.person}
    assert Role.ADMIN in cleo.group.roles().values()
    cleo.write(b"without them")
    settle(clock, anna, ben, cleo, dora)
    assert b"without them" in texts(dora)
    for gone in (anna, ben):
        assert gone.group.current_epoch() is None
        assert b"without them" not in {gone.read(item) for item in gone.store.texts.values()}


def test_everybodys_device_but_one_is_replaced_within_a_month_of_partition() -> None:
    clock = Clock()
    names = ("anna/1", "ben/1", "cleo/1", "dora/1")
    stays, *others = people(clock, *names)
    stays.write(b"before")
    synchronise(stays, *others)
    replaced: list[Device] = []
    for old in others:
        clock.now += 9 * DAY
        new = add_device(old, f"{old.person_name}/2", clock)
        synchronise(*others, *replaced, new)
        settle(clock, *others, *replaced, new)
        # The new device takes over and revokes the old one.
        revoke(new, old)
        replaced.append(new)
        settle(clock, *replaced, *(item for item in others if item is not old))
    clock.now += 3 * DAY
    settle(clock, *replaced)
    agree(*replaced)
    replaced[0].write(b"by a new device")
    stays.write(b"by the one that was away")
    settle(clock, stays, *replaced, seconds=15 * 60)
    agree(stays, *replaced)
    for device in (stays, *replaced):
        assert {b"before", b"by a new device", b"by the one that was away"} <= texts(device)
        assert not any(device.group.is_member(old.id) for old in others)


def test_two_devices_of_a_person_revoke_each_other_and_the_first_one_stays() -> None:
    clock = Clock()
    laptop, phone, ben = people(clock, "anna/laptop", "anna/phone", "ben")
    revoke(laptop, phone)
    revoke(phone, laptop)
    settle(clock, laptop, phone, ben)
    agree(laptop, ben)
    assert not ben.group.is_member(phone.id)


def test_a_person_who_lost_all_devices_comes_back_by_a_recovery_kit() -> None:
    clock = Clock()
    anna, ben, cleo = people(clock, "anna/1", "ben/1", "cleo/1")
    kit = anna.make_kit()
    anna.do(lambda group: group.introduce(anna, anna.untold()))
    anna.write(b"before the fire")
    settle(clock, anna, ben, cleo)
    found = Device.restored(kit, "anna/2", anna, witness=ben)
    found.chain.remove(kit.key, anna.id, clock.now)
    invite(ben, found)
    settle(clock, ben, cleo, found)
    agree(ben, cleo, found)
    assert found.person == anna.person
    assert found.group.roles()[found.person] is Role.ADMIN
    assert b"before the fire" in texts(found)
    assert not ben.group.is_member(anna.id)


@pytest.mark.parametrize("years", [-5, 5])
def test_a_clock_that_is_years_off_keeps_nobody_out(years: int) -> None:
    clock = Clock()
    anna, ben = people(clock, "anna", "ben")
    cleo = Device("cleo", "cleo", clock)
    cleo.clock.error = years * 365 * DAY
    # By everybody else's clock its key package is not valid: it enters by itself.
    invite(anna, cleo)
    settle(clock, anna, ben, cleo, seconds=15 * 60)
    agree(anna, ben, cleo)
    cleo.write(b"from another time")
    synchronise(anna, ben, cleo)
    assert b"from another time" in texts(anna)


def test_a_clock_that_is_set_back_makes_nothing_wait_for_years() -> None:
    clock = Clock()
    anna, ben = people(clock, "anna", "ben")
    ben.clock.error = 5 * 365 * DAY
    ben._group = Device.group_class.resume(
        ben.group.id,
        ben.setup,
        ben.store.operations.values(),
        Device.group_class(ben.group.id, ben.setup).private_state(),
    )
    ben.do(lambda group: group.tend(ben))
    ben.clock.error = 0
    settle(clock, ben, seconds=15 * 60)
    assert ben.group.current_epoch() is not None
    settle(clock, anna, ben)
    agree(anna, ben)


def test_what_a_removed_device_writes_later_is_foreign_or_cut() -> None:
    clock = Clock()
    anna, ben, cleo = people(clock, "anna", "ben", "cleo")
    remove(anna, cleo)
    late = cleo.do(lambda group: group.renew(cleo))
    synchronise(anna, ben)
    # Made unaware of the removal: kept, without any weight.
    assert anna.deliver(late) == [Reception.ACCEPTED]
    settle(clock, anna, ben)
    agree(anna, ben)
    text = cleo.write(b"unaware")
    assert text is not None
    assert anna.hear([text]) == []
