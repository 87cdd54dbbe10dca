"""Newcomers get everything from whoever is there, however little they knew when they met."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.node.world import Device, World
from lutra.groups.contents import Role
from lutra.node.engine import Engine
from lutra.sync.peek import place_of
from lutra.sync.replica import WireOperation


class Choir:
    """Ana's group with a page, Ben and Cleo in it; Ben lets Dora in, who has nothing of it yet."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ana, self.ben, self.cleo = (world.add(name) for name in ("Ana", "Ben", "Cleo"))
        self.group = self.ana.run(lambda e: e.create_group("Choir"))
        self.page = self.ana.run(lambda e: e.create_document(self.group, "Notes", "start"))
        world.join(self.ana, self.ben, self.group)
        world.join(self.ana, self.cleo, self.group)
        ben = self.ben.engine.persons.id
        self.ana.run(lambda e: e.membership.set_role(self.group, ben, Role.ADMIN))
        world.connect_all()
        world.settle()
        world.cut_all()
        self.dora = world.add("Dora")
        world.join(self.ben, self.dora, self.group)

    def creation(self) -> WireOperation:
        """Return the operation that began the group: the first one of Ana's."""
        operations = self.ana.run(lambda e: e.operations_of(self.group, self.group))
        first = (self.ana.device, 0)
        return next(
            item
            for item in operations
            if (place_of(item.header).key.author, place_of(item.header).seq_num) == first
        )

    def founders_meet_alone(self) -> None:
        """Have Ana and Ben meet, who have removed each other: both are out."""
        self.world.cut_all()
        self.world.connect(self.ana, self.ben)
        self.world.settle()
        self.world.cut_all()
        assert self.ben.device not in self.ben.roster(self.group) | self.ana.roster(self.group)

    def write_for(self, reader: Device, writer: Device) -> None:
        """See to it that what one of two connected devices writes reaches the other."""
        writer.insert(self.page, "news ")
        self.world.settle()
        assert reader.text(self.page).startswith("news ")


@pytest.fixture
def choir(tmp_path: Path) -> Iterator[Choir]:
    world = World(tmp_path)
    try:
        yield Choir(world)
    finally:
        world.close()


def deliver(world: World, *, hellos: int) -> None:
    """Deliver the first frames on the only wire, in both directions."""
    (wire,) = world.wires.values()
    for place in (0, 1):
        for _ in range(hellos):
            frame = wire.queues[place].popleft()
            wire.ends[1 - place].run(lambda e, f=frame: e.sessions.receive(wire.number, [f]))


@pytest.mark.parametrize("turned", [False, True])
def test_a_newcomer_goes_on_with_a_member_it_has_only_half_heard_of(
    choir: Choir, turned: bool
) -> None:
    """The group's history comes in parts, and its first names nobody but its creator."""
    world, dora, ben = choir.world, choir.dora, choir.ben
    world.connect(*((dora, ben) if turned else (ben, dora)))
    deliver(world, hellos=1)
    creation = choir.creation()
    dora.run(lambda e: e.ingest(choir.group, [creation]))
    assert dora.roster(choir.group) == {choir.ana.device}
    world.settle()
    choir.write_for(dora, ben)


@pytest.mark.parametrize("turned", [False, True])
def test_a_newcomer_that_had_nothing_to_show_introduces_itself_once_it_has(
    choir: Choir, turned: bool
) -> None:
    """Dora meets Cleo, who has not heard of her, before she has heard of anybody."""
    world, dora, cleo = choir.world, choir.dora, choir.cleo
    world.connect(*((dora, cleo) if turned else (cleo, dora)))
    world.settle()
    assert dora.device not in cleo.roster(choir.group)
    operations = choir.ben.run(lambda e: e.operations_of(choir.group, choir.group))
    dora.run(lambda e: e.ingest(choir.group, operations))
    world.settle()
    assert dora.device in cleo.roster(choir.group)
    choir.write_for(dora, cleo)


@pytest.mark.parametrize("turned", [False, True])
def test_a_newcomer_is_asked_who_it_is_while_it_does_not_know_who_asks(
    choir: Choir, turned: bool
) -> None:
    world, dora, cleo = choir.world, choir.dora, choir.cleo
    world.connect(*((dora, cleo) if turned else (cleo, dora)))
    creation = choir.creation()
    # Its announcement is under way; now it takes Ana for the only member.
    dora.run(lambda e: e.ingest(choir.group, [creation]))
    world.settle()
    operations = choir.ben.run(lambda e: e.operations_of(choir.group, choir.group))
    dora.run(lambda e: e.ingest(choir.group, operations))
    world.settle()
    choir.write_for(dora, cleo)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("stay", [False, True])
def test_who_is_in_again_shows_it_to_those_that_have_heard_of_the_removal_only(
    choir: Choir, turned: bool, stay: bool
) -> None:
    world, ana, ben, cleo = choir.world, choir.ana, choir.ben, choir.cleo
    person = cleo.engine.persons.id
    pair = (ben, cleo) if turned else (cleo, ben)
    world.connect(*pair)
    for one in (ben, cleo):
        world.connect(ana, one)
    ana.run(lambda e: e.membership.remove(choir.group, person))
    world.settle()
    assert cleo.device not in ben.roster(choir.group) | cleo.roster(choir.group)
    for one in (ben, cleo):
        world.cut(ana, one)
    if not stay:
        world.cut(*pair)
    ana.run(lambda e: e.membership.add_again(choir.group, person))
    world.connect(ana, cleo)
    world.settle()
    world.cut(ana, cleo)
    world.connect(*pair)
    world.settle()
    choir.write_for(ben, cleo)


@pytest.mark.parametrize("turned", [False, True])
def test_who_is_out_tells_an_own_device_that_it_is_out_too(choir: Choir, turned: bool) -> None:
    """Ana and Ben have removed each other; only their laptops have met since."""
    world, ana, ben = choir.world, choir.ana, choir.ben
    phone = world.add("Ben-phone", sibling=ben)
    world.connect_all()
    world.settle()
    world.cut_all()
    ana.run(lambda e: e.membership.remove(choir.group, ben.engine.persons.id))
    world.connect(ben, phone)
    ben.run(lambda e: e.membership.remove(choir.group, ana.engine.persons.id))
    world.settle()
    choir.founders_meet_alone()
    assert phone.device in phone.roster(choir.group)
    world.connect(*((phone, ben) if turned else (ben, phone)))
    world.settle()
    assert phone.device not in phone.roster(choir.group)


def test_who_is_out_can_be_found_until_a_member_knows_it(choir: Choir) -> None:
    """Ana and Ben have removed each other, and met; Cleo has not heard of the one by Ana."""
    world, ana, ben, cleo = choir.world, choir.ana, choir.ben, choir.cleo
    world.connect(ben, cleo)
    world.settle()
    ben.run(lambda e: e.membership.remove(choir.group, ana.engine.persons.id))
    ana.run(lambda e: e.membership.remove(choir.group, ben.engine.persons.id))
    world.settle()
    choir.founders_meet_alone()
    assert ben.device in cleo.roster(choir.group)
    assert choir.group in ben.run(Engine.reach).secrets
    world.connect(ben, cleo)
    world.settle()
    assert cleo.roster(choir.group) == {cleo.device}
    assert choir.group not in ben.run(Engine.reach).secrets
