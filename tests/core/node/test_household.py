"""People with two devices each, some away while others remove and add somebody, in any order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path

import pytest

from core.node.world import Device, World
from lutra.groups.contents import Role
from lutra.node import session_hub
from lutra.sync.limits import Limits
from lutra.sync.session import Session


class Household:
    """Ana, Ben and Cleo with two devices each in one group with one page; Dora beside them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ana, self.ben, self.cleo = (self.person(name) for name in ("Ana", "Ben", "Cleo"))
        self.dora = world.add("Dora")
        everybody = (*self.ana, *self.ben, *self.cleo)
        self.group = self.ana[0].run(lambda e: e.create_group("Choir"))
        self.page = self.ana[0].run(lambda e: e.create_document(self.group, "Notes", "start"))
        for person in (self.ben, self.cleo):
            world.join(self.ana[0], person[0], self.group)
        ben = self.ben[0].engine.persons.id
        self.ana[0].run(lambda e: e.membership.set_role(self.group, ben, Role.ADMIN))
        for pair in combinations(everybody, 2):
            world.connect(*pair)
        world.settle()
        assert all(one.text(self.page) == "start" for one in everybody)
        assert all(len(one.roster(self.group)) == 6 for one in everybody)
        world.cut_all()

    def person(self, name: str) -> tuple[Device, Device]:
        laptop = self.world.add(f"{name}-laptop")
        return laptop, self.world.add(f"{name}-phone", sibling=laptop)

    def append(self, device: Device, text: str) -> None:
        device.insert(self.page, text, len(device.text(self.page)))

    def has(self, device: Device, *texts: str) -> bool:
        if self.page not in {row.id for row in device.store.documents.list(self.group)}:
            return False
        return all(text in device.text(self.page) for text in texts)

    def in_any_order(self, *actions: Callable[[], object]) -> None:
        """Do all, with more or less happening in between."""
        chance = self.world.rng
        for action in chance.sample(actions, len(actions)):
            action()
            for _ in range(chance.choice((0, 0, 3, 30))):
                self.world.step()

    def links(self, pairs: Sequence[tuple[Device, Device]]) -> list[Callable[[], object]]:
        chance = self.world.rng
        return [partial(self.world.connect, *chance.sample(pair, 2)) for pair in pairs]


@pytest.fixture
def world(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world where histories come in many parts, as large ones do."""
    small = Limits(frame_bytes=4096, live_reserve_bytes=8192, slice_operations=3)
    monkeypatch.setattr(session_hub, "Session", partial(Session, limits=small))
    world = World(tmp_path, seed)
    yield world
    world.close()


@pytest.mark.parametrize("seed", range(4))
def test_somebody_is_removed_while_others_are_away_and_add_somebody(world: World) -> None:
    town = Household(world)
    ana, ben, cleo, dora, group = town.ana, town.ben, town.cleo, town.dora, town.group
    world.connect(*ana)
    gone = cleo[0].engine.persons.id
    ana[0].run(lambda e: e.membership.remove(group, gone))
    town.append(ana[1], " ana")
    world.settle()
    assert town.has(ana[0], " ana")
    world.cut_all()

    present = (*ben, *cleo)
    town.in_any_order(*town.links(list(combinations(present, 2))))
    if world.rng.random() < 0.5:
        world.settle()
    world.join(ben[0], dora, group)
    if world.rng.random() < 0.7:
        # Everybody has heard of her before she has heard of anybody.
        world.settle()
    town.in_any_order(
        *town.links([(dora, one) for one in present]), lambda: town.append(cleo[1], " cleo")
    )
    world.settle()
    for writer, text in ((ben[1], " ben"), (dora, " dora")):
        assert all(town.has(one, " cleo") for one in (*present, dora))
        town.append(writer, text)
        world.settle()
        assert all(town.has(one, text) for one in (*present, dora))
    world.cut_all()

    staying = (*ana, *ben, dora)
    town.in_any_order(*town.links(list(combinations((*staying, *cleo), 2))))
    world.settle(seconds=120)
    assert all(town.has(one, " ana", " ben", " dora") for one in staying)
    assert len({one.text(town.page) for one in staying}) == 1
    assert len({one.roster(group) for one in staying}) == 1
    assert dora.roster(group) == {one.device for one in staying}
    assert all(one.device not in one.roster(group) for one in cleo)
    town.append(ana[0], " secret")
    world.settle()
    assert all(town.has(one, " secret") for one in staying)
    assert not any(town.has(one, " secret") for one in cleo)
