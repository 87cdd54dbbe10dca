"""Groups of a few devices: adding, removing, forks, re-entry."""

from __future__ import annotations

from lutra.groups.mls.contents import Profile, Role
from sim.device import Clock, Device, settle, synchronise


def people(clock: Clock, *names: str, profile: Profile = Profile.ARCHIVE) -> list[Device]:
    """Devices named "person" or "person/device", all in one group founded by the first."""
    devices = [Device(name, name.split("/")[0], clock) for name in names]
    devices[0].found(profile)
    for device in devices[1:]:
        invite(devices[0], device)
        synchronise(*[item for item in devices if item._group is not None])
    settle(clock, *devices)
    return devices


def invite(host: Device, guest: Device, role: Role = Role.ADMIN) -> None:
    guest.open(host.group.id)
    offer = guest.group.create_offer()
    guest.persist([])
    if guest.person in host.group.roles():
        host.do(lambda group: group.introduce(host, [guest.evidence], [offer]))
        host.do(lambda group: group.reconcile(host))
        return
    host.do(
        lambda group: group.add_person(
            host, guest.person, role, evidence=[guest.evidence], offers=[offer]
        )
    )


def agree(*devices: Device) -> None:
    """All stand on one head, hold its key, and its roster is what is authorised."""
    epochs = {device.group.current_epoch() for device in devices}
    assert len(epochs) == 1
    assert None not in epochs
    head = devices[0].group.control.head()
    assert head is not None
    assert frozenset(head.roster) == devices[0].group.control.auth().leaves


def test_two_devices_share_a_key() -> None:
    anna, ben = people(Clock(), "anna", "ben")
    agree(anna, ben)
    assert set(anna.group.secrets) == set(ben.group.secrets)
    before = anna.group.current_epoch()
    ben.do(lambda group: group.renew(ben))
    synchronise(anna, ben)
    agree(anna, ben)
    assert anna.group.current_epoch() != before


def test_the_removed_get_no_later_key() -> None:
    clock = Clock()
    anna, ben, cleo = people(clock, "anna", "ben", "cleo")
    agree(anna, ben, cleo)
    held = set(cleo.group.secrets)
    anna.do(lambda group: group.remove_person(anna, cleo.person))
    settle(clock, anna, ben, cleo)
    agree(anna, ben)
    assert cleo.group.current_epoch() is None
    assert set(cleo.group.secrets) == held
    assert not cleo.group.is_member(cleo.id)
