"""A device that signs two histories: both reach everybody, and all come to the same."""

from __future__ import annotations

import pytest

from core.node.world import Device, World, back_up, bring_back
from lutra.groups.contents import Role


def person(device: Device) -> bytes:
    return device.engine.persons.id


def world_of_four(world: World) -> tuple[bytes, bytes, list[Device]]:
    """Ana, Ben and Mallory are admins, Dora is a writer; they share one page."""
    devices = [world.add(name) for name in ("ana", "ben", "mallory", "dora")]
    ana = devices[0]
    group = ana.run(lambda e: e.create_group("Otters"))
    page = ana.run(lambda e: e.create_document(group, "Page", "text"))
    for other in devices[1:]:
        world.join(ana, other, group)
    world.connect_all()
    world.settle()
    for other in devices[1:3]:
        ana.run(lambda e, other=other: e.membership.set_role(group, person(other), Role.ADMIN))
    world.settle()
    return group, page, devices


def known(device: Device, group: bytes) -> frozenset[bytes]:
    history = device.engine._groups.get(group).control.history
    return frozenset(history.id(index) for index in range(len(history)))


@pytest.mark.parametrize("length", [1, 3])
@pytest.mark.parametrize("restarts", [False, True])
def test_two_histories_shown_to_two_members_come_together(
    world: World, length: int, restarts: bool
) -> None:
    group, page, (ana, ben, mallory, dora) = world_of_four(world)
    world.cut_all()
    back_up(mallory)
    world.connect(mallory, ana)
    for number in range(length):
        mallory.run(lambda e, n=number: e.rename_group(group, f"For Ana {n}"))
    world.settle()
    ana.insert(page, "ana ")
    world.settle()
    assert ana.group_name(group) == f"For Ana {length - 1}"
    bring_back(world, mallory)
    world.connect(mallory, ben)
    mallory.run(lambda e: e.membership.set_role(group, person(dora), Role.READER))
    for number in range(length):
        mallory.run(lambda e, n=number: e.rename_group(group, f"For Ben {n}"))
    world.settle()
    ben.insert(page, "ben ")
    ben.run(lambda e: e.membership.set_role(group, person(dora), Role.ADMIN))
    world.settle()
    assert ben.group_name(group) == f"For Ben {length - 1}"
    world.cut_all()
    if restarts:
        ana.restart()
        ben.restart()
    # Dora hears both sides.
    world.connect(ana, dora)
    world.connect(dora, ben)
    world.settle(seconds=120.0)
    honest = (ana, ben, dora)
    assert len({known(device, group) for device in honest}) == 1
    assert {device.roster(group) for device in honest} == {frozenset(d.device for d in honest)}
    assert len({device.epoch(group) for device in honest}) == 1
    assert ana.epoch(group) is not None
    assert len({device.group_name(group) for device in honest}) == 1
    texts = {device.text(page) for device in honest}
    assert len(texts) == 1
    text = texts.pop()
    assert "ana " in text
    assert "ben " in text
    for device in honest:
        device.restart()
    world.connect(ana, dora)
    world.connect(dora, ben)
    dora.insert(page, "dora ")
    world.settle(seconds=120.0)
    assert {device.text(page) for device in honest} == {f"dora {text}"}
    assert len({known(device, group) for device in honest}) == 1
    # Nothing of Mallory's is taken any more, and she is told.
    world.connect(mallory, dora)
    world.settle()
    assert not mallory.run(lambda e: e.queries.group(group)).member


def test_a_fork_costs_nothing_in_later_sessions(world: World) -> None:
    group, _, (ana, ben, mallory, _) = world_of_four(world)
    world.cut_all()
    back_up(mallory)
    world.connect(mallory, ana)
    mallory.run(lambda e: e.rename_group(group, "For Ana"))
    world.settle()
    bring_back(world, mallory)
    world.connect(mallory, ben)
    mallory.run(lambda e: e.rename_group(group, "For Ben"))
    world.settle()
    world.cut_all()
    world.connect(ana, ben)
    world.settle(seconds=120.0)
    assert known(ana, group) == known(ben, group)
    world.cut_all()
    world.connect(ana, ben)
    world.settle()
    for device in (ana, ben):
        (entry,) = device.engine.sessions._entries.values()
        assert entry.session.statistics.operations_sent == 0
