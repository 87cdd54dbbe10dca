"""Roles, removals, leaving, being told, and what becomes of what was written meanwhile."""

from __future__ import annotations

import pytest

from core.node.world import Device, World
from lutra.errors import NotPermittedError, UsageError
from lutra.groups.contents import Role
from lutra.groups.errors import LastAdminError, NotAMemberError, ReadOnlyGroupError
from lutra.node.events import MembershipEnded


def person(device: Device) -> bytes:
    return device.engine.persons.id


def trio(world: World) -> tuple[bytes, bytes, Device, Device, Device]:
    """Ana, admin, with Ben and Cleo in a group that has one page."""
    ana, ben, cleo = (world.add(name) for name in ("ana", "ben", "cleo"))
    group = ana.run(lambda e: e.create_group("Otters"))
    page = ana.run(lambda e: e.create_document(group, "Page", "text"))
    for other in (ben, cleo):
        world.join(ana, other, group)
    world.connect_all()
    world.settle()
    return group, page, ana, ben, cleo


def remove(device: Device, group: bytes, target: Device) -> None:
    device.run(lambda e: e.membership.remove(group, person(target)))


def same_text(page: bytes, *devices: Device) -> str:
    texts = {device.text(page) for device in devices}
    assert len(texts) == 1
    return texts.pop()


def test_what_a_removed_person_wrote_counts_where_others_built_on_it(world: World) -> None:
    group, page, ana, ben, cleo = trio(world)
    world.cut_all()
    world.connect(ben, cleo)
    cleo.insert(page, "cleo ")
    world.settle()
    assert ben.text(page) == "cleo text"
    remove(ana, group, cleo)
    ana.insert(page, "ana ")
    ben.insert(page, "ben on ")
    world.settle()
    cleo.insert(page, "more ")
    world.settle()
    assert ben.text(page) == "more ben on cleo text"
    world.cut_all()
    world.connect(ana, ben)
    world.settle()
    text = same_text(page, ana, ben)
    for part in ("ana ", "more ", "ben on ", "cleo ", "text"):
        assert part in text
    assert ana.roster(group) == ben.roster(group) == {ana.device, ben.device}
    assert ana.epoch(group) == ben.epoch(group) is not None
    # What she writes now, nobody takes.
    world.cut_all()
    cleo.insert(page, "late ")
    world.settle()
    world.connect_all()
    world.settle()
    assert same_text(page, ana, ben) == text
    for device in (ana, ben):
        device.restart()
        assert device.text(page) == text


def test_what_was_refused_before_it_was_vouched_for_comes_without_a_restart(world: World) -> None:
    group, page, ana, ben, cleo = trio(world)
    dora = world.add("dora")
    world.join(ana, dora, group)
    world.connect_all()
    world.settle()
    world.cut_all()
    world.connect(ben, cleo)
    cleo.insert(page, "cleo ")
    world.settle()
    world.cut_all()
    remove(ana, group, cleo)
    world.connect(ana, dora)
    world.settle()
    # Dora knows the removal; she meets Ben's words about it before Ben's pages.
    refused = [
        item
        for item in ben.run(lambda e: e.operations_of(group, page))
        if item not in dora.run(lambda e: e.operations_of(group, page))
    ]
    report = dora.run(lambda e: e.ingest(group, refused))
    assert len(report.refused) == len(refused) > 0
    dora.run(lambda e: e._ingest.forget())
    world.connect(ana, ben)
    world.settle()
    assert same_text(page, ana, ben, dora) == "cleo text"


def test_a_person_that_is_added_again_loses_nothing_of_its_work(world: World) -> None:
    group, page, ana, ben, cleo = trio(world)
    world.cut_all()
    cleo.insert(page, "offline ")
    world.settle()
    remove(ana, group, cleo)
    world.connect_all()
    world.settle()
    assert any(isinstance(event, MembershipEnded) for event in cleo.events)
    assert same_text(page, ana, ben) == "text"
    assert cleo.text(page) == "offline text"
    with pytest.raises(NotAMemberError):
        cleo.insert(page, "no ")
    ana.run(lambda e: e.membership.add_again(group, person(cleo)))
    world.settle()
    assert ana.roster(group) == cleo.roster(group) == {ana.device, ben.device, cleo.device}
    assert cleo.run(lambda e: e.queries.group(group)).member
    assert same_text(page, ana, ben, cleo) == "offline text"
    cleo.insert(page, "again ")
    world.settle()
    assert same_text(page, ana, ben, cleo) == "again offline text"
    for device in (ana, ben, cleo):
        device.restart()
    world.connect_all()
    cleo.insert(page, "and ")
    world.settle()
    assert same_text(page, ana, ben, cleo) == "and again offline text"
    assert ana.store.forks.list() == []


def test_who_was_removed_while_away_is_told_by_whom_and_keeps_what_it_had(world: World) -> None:
    group, page, ana, ben, cleo = trio(world)
    world.cut_all()
    remove(ana, group, cleo)
    world.connect(ana, ben)
    ana.insert(page, "secret ")
    world.settle()
    world.cut_all()
    # Any member will do.
    world.connect(ben, cleo)
    world.settle()
    ended = [event for event in cleo.events if isinstance(event, MembershipEnded)]
    assert ended == [MembershipEnded(group, "removed", person(ana), "ana")]
    view = cleo.run(lambda e: e.queries.group(group))
    assert (view.member, view.role) == (False, "")
    assert view.departure is not None
    assert (view.departure.reason, view.departure.by_name) == ("removed", "ana")
    assert cleo.text(page) == "text"
    held = {item.key.log for item in cleo.engine._logs.head_set(group, False).items()}
    assert held == {page}
    assert not ben.engine._telling.may_tell(group, cleo.device)
    cleo.restart()
    assert cleo.run(lambda e: e.queries.group(group)).departure == view.departure


def two_remove_each_other(world: World) -> tuple[bytes, Device, Device, Device]:
    """A group of three in which both admins removed one another while apart."""
    group, _, ana, ben, cleo = trio(world)
    ana.run(lambda e: e.membership.set_role(group, person(ben), Role.ADMIN))
    world.settle()
    world.cut_all()
    remove(ana, group, ben)
    remove(ben, group, ana)
    world.connect_all()
    world.settle()
    return group, ana, ben, cleo


def test_what_a_removed_admin_did_before_it_knew_still_counts_as_the_rules_say(
    world: World,
) -> None:
    group, ana, ben, cleo = two_remove_each_other(world)
    # Two who remove each other are both out; the eldest of those who are left is admin.
    assert cleo.roster(group) == {cleo.device}
    assert cleo.run(lambda e: e.queries.group(group)).role == "admin"
    for device in (ana, ben):
        assert not device.run(lambda e: e.queries.group(group)).member
    assert cleo.epoch(group) is not None


def test_undoing_a_mutual_removal_leaves_the_successor_an_admin(world: World) -> None:
    group, ana, _, cleo = two_remove_each_other(world)
    cleo.run(lambda e: e.membership.add_again(group, person(ana)))
    cleo.run(lambda e: e.membership.set_role(group, person(ana), Role.WRITER))
    cleo.run(lambda e: e.membership.set_role(group, person(ana), Role.ADMIN))
    world.settle()
    for device in (ana, cleo):
        roles = {
            item.device: item.role
            for item in device.run(lambda e: e.queries.group(group)).members
            if item.present
        }
        assert roles == {ana.device: "admin", cleo.device: "admin"}
    cleo.restart()
    assert cleo.run(lambda e: e.queries.group(group)).role == "admin"
    last = [item for item in cleo.run(lambda e: e.removals.changes(group)) if item.kind == "role"]
    assert (last[-3].person, last[-3].by, last[-3].role) == (person(cleo), person(cleo), "admin")


def test_roles_change_and_the_last_admin_stays(world: World) -> None:
    group, page, ana, ben, cleo = trio(world)
    with pytest.raises(NotPermittedError):
        ben.run(lambda e: e.membership.set_role(group, person(cleo), Role.READER))
    with pytest.raises(NotPermittedError):
        remove(ben, group, cleo)
    with pytest.raises(LastAdminError):
        ana.run(lambda e: e.membership.leave(group))
    with pytest.raises(LastAdminError):
        ana.run(lambda e: e.membership.set_role(group, person(ana), Role.WRITER))
    with pytest.raises(UsageError):
        remove(ana, group, ana)
    ana.run(lambda e: e.membership.set_role(group, person(cleo), Role.READER))
    world.settle()
    with pytest.raises(ReadOnlyGroupError):
        cleo.insert(page, "no ")
    ana.run(lambda e: e.membership.transfer_admin(group, person(ben)))
    world.settle()
    roles = {item.device: item.role for item in ben.run(lambda e: e.queries.group(group)).members}
    assert roles == {ana.device: "writer", ben.device: "admin", cleo.device: "reader"}
    ana.run(lambda e: e.membership.leave(group))
    world.settle()
    assert ben.roster(group) == {ben.device, cleo.device}
    assert ben.epoch(group) == cleo.epoch(group) is not None
    ended = [event for event in ana.events if isinstance(event, MembershipEnded)]
    assert [(event.reason, event.by) for event in ended] == [("left", person(ana))]
    ben.insert(page, "after ")
    world.settle()
    assert (ana.text(page), cleo.text(page)) == ("text", "after text")


def test_renaming_is_for_admins_and_waits_for_keys(world: World) -> None:
    group, _, ana, ben, _ = trio(world)
    with pytest.raises(NotPermittedError):
        ben.run(lambda e: e.membership.rename(group, "Beavers"))
    ana.run(lambda e: e.membership.rename(group, " Beavers "))
    world.settle()
    assert ben.group_name(group) == "Beavers"


def test_one_cannot_remove_others_from_the_personal_group(world: World) -> None:
    ana = world.add("ana")
    group = ana.engine.own_devices.personal
    assert group is not None
    for change in (
        lambda e: e.membership.leave(group),
        lambda e: e.membership.remove(group, person(ana)),
        lambda e: e.membership.set_role(group, person(ana), Role.READER),
    ):
        with pytest.raises(UsageError):
            ana.run(change)
