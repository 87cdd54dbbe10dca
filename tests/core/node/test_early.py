"""Operations that come before what they build on are taken in, and passed on, once that is here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.node.world import World
from lutra.errors import UsageError
from lutra.node.engine import Engine
from lutra.sync.replica import WireOperation


class Apart:
    """Ana has renamed the group and written to its page; Ben and Cleo have not heard of either."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ana, self.ben, self.cleo = (world.add(name) for name in ("Ana", "Ben", "Cleo"))
        self.group = self.ana.run(lambda e: e.create_group("Choir"))
        self.page = self.ana.run(lambda e: e.create_document(self.group, "Notes", "start"))
        for one in (self.ben, self.cleo):
            world.join(self.ana, one, self.group)
        world.connect_all()
        world.settle()
        world.cut_all()
        self.ana.run(lambda e: e.rename_group(self.group, "Choirs"))
        self.ana.insert(self.page, "news ")
        self.ana.run(lambda e: e.publish_all())

    @property
    def names(self) -> list[WireOperation]:
        return self.ana.run(lambda e: e.operations_of(self.group, self.group))

    @property
    def texts(self) -> list[WireOperation]:
        return self.ana.run(lambda e: e.operations_of(self.group, self.page))


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[Apart]:
    world = World(tmp_path)
    try:
        yield Apart(world)
    finally:
        world.close()


def fail() -> None:
    raise UsageError("Something else went wrong.")


def test_a_call_that_fails_loses_nothing_that_waits(apart: Apart) -> None:
    ben = apart.ben
    ben.run(lambda e: e.ingest(apart.group, apart.texts))
    assert ben.text(apart.page) == "start"
    with pytest.raises(UsageError):
        ben.run(lambda _: fail())
    ben.run(lambda e: e.ingest(apart.group, apart.names))
    assert ben.text(apart.page) == "news start"


def test_what_was_taken_in_and_undone_waits_again(apart: Apart) -> None:
    ben = apart.ben

    def take_in_and_fail(engine: Engine) -> None:
        engine.ingest(apart.group, apart.names)
        assert engine.queries.text(apart.page) == "news start"
        fail()

    ben.run(lambda e: e.ingest(apart.group, apart.texts))
    with pytest.raises(UsageError):
        ben.run(take_in_and_fail)
    assert ben.text(apart.page) == "start"
    ben.run(lambda e: e.ingest(apart.group, apart.names))
    assert ben.text(apart.page) == "news start"


def test_what_waited_reaches_whoever_brought_what_it_waited_for(apart: Apart) -> None:
    world, ben, cleo = apart.world, apart.ben, apart.cleo
    world.connect(ben, cleo)
    world.settle()
    ben.run(lambda e: e.ingest(apart.group, apart.texts))
    cleo.run(lambda e: e.ingest(apart.group, apart.names))
    world.settle()
    assert ben.text(apart.page) == cleo.text(apart.page) == "news start"
