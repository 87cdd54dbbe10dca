"""Devices removed from their person: told, readable, silent, and wiped where that was asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.node.nodes import Home, until
from core.node.world import Device, World
from lutra.crypto.signing import SigningKey
from lutra.errors import UsageError
from lutra.groups.errors import NotAMemberError
from lutra.identity.device_log import consent
from lutra.identity.errors import DeviceNotInPersonError
from lutra.identity.person import Person
from lutra.node.events import DeviceRemoved
from lutra.store.errors import ProfileWipedError
from lutra.store.profile import Profile


def two_devices_and_a_friend(world: World) -> tuple[bytes, bytes, Device, Device, Device]:
    ana, ben = world.add("ana"), world.add("ben")
    group = ana.run(lambda e: e.create_group("Otters"))
    page = ana.run(lambda e: e.create_document(group, "Page", "text"))
    world.join(ana, ben, group)
    world.connect_all()
    world.settle()
    phone = world.add("phone", sibling=ana)
    world.connect_all()
    world.settle(seconds=120.0)
    assert phone.text(page) == "text"
    assert ben.roster(group) == {ana.device, ben.device, phone.device}
    return group, page, ana, ben, phone


@pytest.mark.parametrize("wipe", [False, True])
@pytest.mark.parametrize("meets", ["own", "friend"])
def test_a_removed_device_hears_of_it_from_anybody(world: World, wipe: bool, meets: str) -> None:
    group, page, ana, ben, phone = two_devices_and_a_friend(world)
    world.cut(ana, phone)
    world.cut(ben, phone)
    ana.run(lambda e: e.remove_own_device(phone.device, wipe=wipe))
    ana.insert(page, "secret ")
    world.settle(seconds=120.0)
    assert ana.roster(group) == ben.roster(group) == {ana.device, ben.device}
    assert ana.epoch(group) == ben.epoch(group) is not None
    assert phone.wipe is None
    world.connect(phone, ana if meets == "own" else ben)
    world.settle()
    assert [event for event in phone.events if isinstance(event, DeviceRemoved)] == [
        DeviceRemoved(wiped=wipe)
    ]
    assert (phone.wipe is not None) is wipe
    assert phone.text(page) == "text"
    view = phone.run(lambda e: e.queries.group(group))
    assert view.departure is not None
    assert (view.member, view.departure.reason) == (False, "device")
    with pytest.raises(NotAMemberError):
        phone.insert(page, "no ")
    with pytest.raises(NotAMemberError):
        phone.run(lambda e: e.create_group("Own"))
    with pytest.raises(DeviceNotInPersonError):
        phone.run(lambda e: e.remove_own_device(ana.device, wipe=True))
    phone.restart()
    # Until it is done, the wish stays.
    assert (phone.wipe is not None) is wipe
    assert sum(isinstance(event, DeviceRemoved) for event in phone.events) == 1


def test_a_device_does_not_wipe_itself_by_accident(world: World) -> None:
    ana = world.add("ana")
    with pytest.raises(UsageError):
        ana.run(lambda e: e.remove_own_device(ana.device, wipe=True))


async def test_a_wiped_profile_is_gone_and_says_why(tmp_path: Path) -> None:
    home = await Home.make(tmp_path, "ana")
    node = await home.open()
    group = await node.create_group("Otters")
    await node.create_document(group.id, "Page", "a secret of mine")
    profile = home.profile
    events = node.events()
    phone = SigningKey(bytes(32))
    agreed = consent(phone, node.identity.person)
    await node._call(lambda e: e.persons.add_device(agreed, "phone"))
    operations = await node._call(lambda e: e.persons.own.operations())
    person = Person(node.identity.person, operations)
    removal = person.remove(phone, node.identity.device, 0, wipe=True)
    await node._call(lambda e: e.persons.learn_operations([removal]))

    async def is_wiped() -> bool:
        return not profile.database.exists()

    await until(is_wiped, "everything is deleted")
    await node.close()
    assert DeviceRemoved(wiped=True) in [event async for event in events]
    events.close()
    left = {path.name for path in profile.directory.rglob("*") if path.is_file()}
    assert left <= {"wiped.txt", "lock"}
    with pytest.raises(ProfileWipedError, match="removed by another of your devices"):
        Profile.open(profile.directory)
    # A new profile may begin there.
    again = Profile.create(profile.directory)
    assert Profile.open(profile.directory) == again
