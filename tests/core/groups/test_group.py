"""Groups of a few devices: adding, removing, forks, re-entry."""

from __future__ import annotations

from lutra.groups.contents import PERSON, PersonEvidence, Profile, Role, encode_content
from lutra.groups.keys import Reception
from sim.device import Clock, Device, settle, synchronise


def people(clock: Clock, *names: str, profile: Profile = Profile.ARCHIVE) -> list[Device]:
    """Devices named "person" or "person/device", all in one group founded by the first."""
    devices: list[Device] = []
    for name in names:
        person = name.split("/")[0]
        sibling = next((item for item in devices if item.person_name == person), None)
        devices.append(Device(name, person, clock, sibling=sibling))
    devices[0].found(profile)
    for device in devices[1:]:
        invite(devices[0], device)
        synchronise(*[item for item in devices if item._group is not None])
    settle(clock, *devices)
    return devices


def invite(host: Device, guest: Device, role: Role = Role.ADMIN) -> None:
    guest.open(host.group.id)
    offer = guest.offer()
    if guest.person in host.group.roles():
        host.do(lambda group: group.introduce(host, guest.evidence, [offer]))
        host.do(lambda group: group.reconcile(host))
        return
    host.do(
        lambda group: group.add_person(
            host, guest.person, role, evidence=guest.evidence, offers=[offer]
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


def test_two_commits_at_once_end_in_one_head_and_both_renewals_count() -> None:
    clock = Clock()
    anna, ben, cleo = devices = people(clock, "anna", "ben", "cleo")
    for device in (anna, ben):
        device.do(lambda group, device=device: group.renew(device))
    synchronise(*devices)
    heads = {device.group.control.head().id for device in devices}
    assert len(heads) == 1
    settle(clock, *devices)
    agree(*devices)
    head = cleo.group.control.head()
    authors = {node.author for node in head.path()}
    assert {anna.id, ben.id} <= authors
    # Whatever was written under the losing epoch can be read by all.
    assert len({frozenset(device.group.secrets) for device in devices}) == 1


def test_a_removal_made_while_another_member_adds() -> None:
    clock = Clock()
    anna, ben, cleo = people(clock, "anna", "ben", "cleo")
    dora = Device("dora", "dora", clock)
    anna.do(lambda group: group.remove_person(anna, cleo.person))
    invite(ben, dora)
    settle(clock, ben, cleo, dora)
    agree(ben, cleo, dora)
    known_to_cleo = set(cleo.group.secrets)
    settle(clock, anna, ben, dora)
    agree(anna, ben, dora)
    assert set(anna.group.secrets) == set(dora.group.secrets)
    settle(clock, anna, ben, cleo, dora)
    assert anna.group.current_epoch().id not in cleo.group.secrets
    assert known_to_cleo >= set(cleo.group.secrets) & known_to_cleo


def test_two_admins_who_remove_each_other_are_both_out() -> None:
    clock = Clock()
    anna, ben, cleo = people(clock, "anna", "ben", "cleo")
    anna.do(lambda group: group.remove_person(anna, ben.person))
    ben.do(lambda group: group.remove_person(ben, anna.person))
    settle(clock, anna, ben, cleo)
    assert cleo.group.roles() == {cleo.person: Role.ADMIN}
    agree(cleo)
    assert not anna.group.is_member(anna.id)
    assert not ben.group.is_member(ben.id)


def test_a_device_that_lost_its_state_is_added_anew() -> None:
    clock = Clock()
    anna, ben, _ = devices = people(clock, "anna", "ben", "cleo")
    ben._group = ben.group_class.resume(
        ben.group.id, ben.setup, ben.store.operations.values(), anna_like_empty(ben)
    )
    assert ben.group.current_epoch() is None
    settle(clock, *devices)
    agree(*devices)
    assert set(ben.group.secrets) == set(anna.group.secrets)


def anna_like_empty(device: Device) -> bytes:
    """The private state of a device that holds nothing."""
    return device.group_class(device.group.id, device.setup).private_state()


def test_a_device_nobody_answers_enters_by_itself() -> None:
    clock = Clock()
    anna, ben = people(clock, "anna", "ben")
    ben._group = ben.group_class.resume(
        ben.group.id, ben.setup, ben.store.operations.values(), anna_like_empty(ben)
    )
    settle(clock, ben, seconds=15 * 60)
    agree(ben)
    settle(clock, anna, ben)
    agree(anna, ben)
    assert set(ben.group.secrets) == set(anna.group.secrets)


def test_a_second_device_of_a_person_gets_all_keys() -> None:
    clock = Clock()
    anna, ben = people(clock, "anna", "ben")
    phone = Device("anna/phone", "anna", clock, sibling=anna)
    invite(anna, phone)
    settle(clock, anna, ben, phone)
    agree(anna, ben, phone)
    assert set(phone.group.secrets) == set(anna.group.secrets)
    anna.chain.remove(anna.key, phone.id, clock.now)
    anna.do(lambda group: group.introduce(anna, anna.untold()))
    assert anna.group.current_epoch() is None
    settle(clock, anna, ben, phone)
    agree(anna, ben)
    assert anna.group.current_epoch().id not in phone.group.secrets


def test_newcomers_of_a_join_on_group_read_nothing_older() -> None:
    clock = Clock()
    anna, ben = people(clock, "anna", "ben", profile=Profile.JOIN_ON)
    agree(anna, ben)
    assert set(ben.group.secrets) < set(anna.group.secrets)


def test_a_crash_before_storing_equals_nothing_and_after_it_no_crash() -> None:
    clock = Clock()
    anna, ben = people(clock, "anna", "ben")
    anna.lose(lambda group: group.renew(anna))
    agree(anna, ben)
    anna.do(lambda group: group.renew(anna))
    anna.restart()
    synchronise(anna, ben)
    agree(anna, ben)
    settle(clock, anna, ben)
    agree(anna, ben)


def test_a_member_who_commits_to_a_wrong_key_is_outvoted() -> None:
    clock = Clock()
    anna, ben, cleo = people(clock, "anna", "ben", "cleo")
    tampered = tamper(cleo)
    settle(clock, anna, ben)
    anna.deliver(anna.lacks(cleo))
    assert tampered in {node.id for node in anna.group.control.tree}
    settle(clock, anna, ben, cleo)
    agree(anna, ben)
    assert anna.group.current_epoch().id != tampered


def tamper(device: Device) -> bytes:
    """Have a device publish a commit that names another key than it made; returns its epoch."""
    from lutra.groups import group as module

    honest = module.kid_of
    module.kid_of = lambda secret: honest(honest(secret))
    try:
        device.do(lambda group: group.renew(device))
    finally:
        module.kid_of = honest
    return device.group.control.head().id


def test_names_are_read_by_members() -> None:
    clock = Clock()
    anna, ben = people(clock, "anna", "ben")
    anna.do(lambda group: group.rename(anna, "Kitchen"))
    anna.do(lambda group: group.publish_card(anna, "Anna", "laptop"))
    settle(clock, anna, ben)
    assert ben.group.name == "Kitchen"
    assert [item.name for item in ben.group.members() if item.device == anna.id] == ["Anna"]
    assert ben.group.discovery_secret == anna.group.discovery_secret is not None


def test_foreign_and_repeated_operations() -> None:
    clock = Clock()
    anna, _ = people(clock, "anna", "ben")
    mallory = Device("mallory", "mallory", clock)
    mallory.found()
    operation = next(iter(mallory.store.operations.values()))

    assert anna.group.receive(operation) is Reception.FOREIGN
    known = next(iter(anna.store.operations.values()))
    assert anna.group.receive(known) is Reception.KNOWN


def test_a_device_shows_by_itself_that_it_is_a_members() -> None:
    clock = Clock()
    anna, ben = people(clock, "anna", "ben")
    phone = Device("anna/phone", "anna", clock, sibling=anna)
    phone.open(anna.group.id)
    # Only Ben is met, who knows nothing of the phone.
    synchronise(ben, phone)
    assert not ben.group.is_member(phone.id)
    phone.do(lambda group: group.introduce_itself(phone, phone.evidence))
    settle(clock, ben, phone)
    assert ben.group.person_of(phone.id) == anna.person
    agree(ben, phone)
    settle(clock, anna, ben, phone)
    agree(anna, ben, phone)
    assert set(phone.group.secrets) == set(anna.group.secrets)
    assert phone.group.introduce_itself(phone, phone.evidence) == []


def test_nobody_else_can_show_that() -> None:
    clock = Clock()
    anna, ben = people(clock, "anna", "ben")
    stranger = Device("cleo", "cleo", clock)
    stranger.open(anna.group.id)
    synchronise(ben, stranger)
    assert stranger.group.introduce_itself(stranger, stranger.evidence) == []
    # A stranger that does not keep to the rules is refused by everybody else.
    for evidence in (stranger.evidence, anna.evidence, (b"nonsense",)):
        stranger._last = None
        operation = stranger.sign_control(
            PERSON,
            encode_content(PersonEvidence(tuple(evidence))),
            epoch=None,
            secret=None,
            previous=stranger.group.heads(),
        )
        assert ben.group.receive(operation) is Reception.FOREIGN
        assert stranger.group.receive(operation) is Reception.FOREIGN
    # Nor can a person that was removed.
    anna.do(lambda group: group.remove_person(anna, ben.person))
    phone = Device("ben/phone", "ben", clock, sibling=ben)
    phone.open(anna.group.id)
    synchronise(anna, phone)
    assert phone.group.introduce_itself(phone, phone.evidence) == []
