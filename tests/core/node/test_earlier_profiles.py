"""A profile of every version that was ever in use opens, and nothing in it is lost."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lutra.errors import LutraError
from lutra.groups.errors import ReadOnlyGroupError
from lutra.node.engine import Engine
from lutra.node.events import Trouble
from lutra.store.store import Store

VERSION_1 = Path(__file__).parents[2] / "profiles" / "version1.db"
NOW = 1_790_000_100_000


def open_engine(path: Path) -> Engine:
    return Engine(Store.open(path, bytes(32)), now=lambda: NOW, monotonic=lambda: 0.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return Path(shutil.copy(VERSION_1, tmp_path / "ana.db"))


@pytest.fixture
def engine(path: Path) -> Iterator[Engine]:
    made = open_engine(path)
    yield made
    made.close()


def texts(engine: Engine) -> dict[str, list[tuple[str, str]]]:
    return {
        group.name: sorted(
            (page.title, engine.queries.text(page.id))
            for page in engine.queries.documents(group.id)
        )
        for group in engine.queries.groups()
    }


EXPECTED = {
    "Reading circle": [("Notes", "First line\nSecond 🦦 line")],
    "Reading circle (earlier Lutra)": [("Notes", "First line\nSecond 🦦 line")],
    "Ben's garden (earlier Lutra)": [("Beds", "Peas, Beans")],
}


def test_own_groups_begin_anew_and_others_stay_readable(engine: Engine) -> None:
    _, effects = engine.run(engine.start)
    assert texts(engine) == EXPECTED
    told = [event for event in effects.events if isinstance(event, Trouble)]
    assert [event.code for event in told] == ["group.earlier-form"]
    assert "Ben's garden" in told[0].message


def test_formatting_comes_along_and_the_new_group_can_be_written_in(engine: Engine) -> None:
    engine.run(engine.start)
    group = next(one for one in engine.queries.groups() if one.name == "Reading circle")
    assert group.member
    assert group.ready
    page = engine.queries.documents(group.id)[0]
    assert engine.queries.content(page.id).spans()[0].attributes == {"bold": True}
    engine.run(lambda: engine.edit(page.id, lambda made: made.splice(0, 0, "!")))
    assert engine.queries.text(page.id).startswith("!First")


def test_earlier_groups_are_read_only(engine: Engine) -> None:
    engine.run(engine.start)
    for group in engine.queries.groups():
        if not group.name.endswith("(earlier Lutra)"):
            continue
        assert not group.member
        page = engine.queries.documents(group.id)[0]
        with pytest.raises(ReadOnlyGroupError):
            engine.run(lambda page=page: engine.edit(page.id, lambda made: made.splice(0, 0, "x")))
        with pytest.raises(LutraError):
            engine.run(lambda group=group: engine.invitations.invite(group.id))


def test_it_happens_once(path: Path) -> None:
    for _ in range(3):
        engine = open_engine(path)
        engine.run(engine.start)
        assert texts(engine) == EXPECTED
        engine.close()
