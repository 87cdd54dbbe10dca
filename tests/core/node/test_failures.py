"""Full disks, crashes, old backups, copied profiles: nothing is lost, nothing crashes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any

import pytest

from core.node.world import KEY, Device, World, back_up, bring_back
from lutra.groups.contents import Role
from lutra.groups.errors import NotAMemberError
from lutra.node import document_registry
from lutra.node.engine import Engine
from lutra.node.events import Trouble
from lutra.operation import LogKey
from lutra.store.backup import RESTORED
from lutra.store.errors import DiskFullError
from lutra.store.store import Store


class Failing:
    """Makes the n-th write to a store fail, as a full disk does."""

    def __init__(self, device: Device, nth: int) -> None:
        self.left = nth
        connection = device.store.connection
        self.run, self.run_many = connection.run, connection.run_many
        self.connection = connection

    def _count(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise DiskFullError("The disk is full.")

    def fail_run(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        self._count()
        return self.run(sql, parameters)

    def fail_run_many(self, sql: str, parameters: Any) -> int:
        self._count()
        return self.run_many(sql, parameters)


@contextmanager
def failing(device: Device, nth: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Failing]:
    fault = Failing(device, nth)
    with monkeypatch.context() as patch:
        kind = type(fault.connection)
        patch.setattr(kind, "run", lambda _, *args: fault.fail_run(*args))
        patch.setattr(kind, "run_many", lambda _, *args: fault.fail_run_many(*args))
        yield fault


def tables(device: Device) -> list[tuple[object, ...]]:
    connection = device.store.connection
    names = [
        row[0]
        for row in connection.rows("SELECT name FROM sqlite_master WHERE type = 'table'")
        if not row[0].startswith(("sqlite_", "search"))
    ]
    return [(name, *row) for name in names for row in connection.rows(f"SELECT * FROM {name}")]


def seen(device: Device, group: bytes) -> tuple[object, ...]:
    """Return what the engine's memory says."""
    pages = [row.id for row in device.store.documents.list(group)]
    return (
        device.roster(group),
        device.epoch(group),
        device.group_name(group),
        [device.engine.queries.text(page) for page in pages],
        [item.id for item in device.engine._logs.head_set(group, True).items()],
        [item.id for item in device.engine._logs.head_set(group, False).items()],
        device.engine._upkeep.resting(),
        device.engine._documents.drafted(),
    )


def pair(world: World) -> tuple[bytes, bytes, Device, Device]:
    ana, ben = world.add("ana"), world.add("ben")
    group = ana.run(lambda e: e.create_group("Otters"))
    page = ana.run(lambda e: e.create_document(group, "Page", "text"))
    world.join(ana, ben, group)
    world.connect(ana, ben)
    world.settle()
    return group, page, ana, ben


def actions(
    world: World, group: bytes, page: bytes, other: Device
) -> list[Callable[[Engine], Any]]:
    return [
        lambda e: e.create_group("Badgers"),
        lambda e: e.create_document(group, "New", "new"),
        lambda e: e.edit(page, lambda content: content.splice(0, 0, "more ")),
        lambda e: e.publish(page),
        lambda e: e.rename_group(group, "Beavers"),
        lambda e: e.invitations.invite(group, short=True),
        lambda e: e.remove_person(group, other.engine.persons.id),
        Engine.tick,
        Engine.finish,
        lambda e: e.create_document(group, "Long", Random(1).randbytes(100_000).hex()),
    ]


@pytest.mark.parametrize("number", range(10))
def test_a_write_that_fails_leaves_everything_as_before(
    world: World, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    group, page, ana, ben = pair(world)
    action = actions(world, group, page, ben)[number]
    world.cut_all()
    ana.insert(page, "draft ")
    world.clock.seconds += 5.0
    before, memory = tables(ana), seen(ana, group)
    for nth in range(1, 100):
        with failing(ana, nth, monkeypatch) as fault:
            try:
                ana.run(action)
            except DiskFullError:
                pass
            else:
                assert fault.left > 0
                break
        assert tables(ana) == before
        assert seen(ana, group) == memory
        world.clock.seconds += 2.0
    else:
        raise AssertionError("it never went through")
    world.connect(ana, ben)
    world.settle()
    if number != 6:
        assert ben.text(page) == ana.text(page)
    assert ana.text(page).endswith("draft text")


def test_what_was_due_when_the_disk_was_full_is_done_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, page, ana, ben = pair(world)
    world.cut_all()
    ana.insert(page, "draft ")
    world.clock.seconds += 2.0
    with failing(ana, 1, monkeypatch), pytest.raises(DiskFullError):
        ana.run(Engine.tick)
    assert ana.deadline is not None
    assert ana.deadline > world.clock.seconds
    world.settle()
    assert ana.store.drafts.documents_with_drafts() == []
    world.connect(ana, ben)
    world.settle()
    assert ben.text(page) == "draft text"


def test_sessions_whose_transaction_failed_end_and_others_take_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, page, ana, ben = pair(world)
    wire = world.wire(ana, ben)
    assert wire is not None
    ana.insert(page, "more ")
    frames = list(wire.queues[0])
    assert frames
    wire.queues[0].clear()
    with failing(ben, 2, monkeypatch), pytest.raises(DiskFullError):
        ben.run(lambda e: e.sessions.receive(wire.number, frames))
    assert ben.text(page) == "text"
    assert wire.closed
    world.settle()
    assert ben.text(page) == "more text"
    status = ana.run(lambda e: e.queries.status(page))
    assert (status.holders, status.waiting) == (2, 0)


def test_drafts_are_published_once_after_a_crash(world: World) -> None:
    group, page, ana, ben = pair(world)
    world.cut_all()
    before = len(ana.run(lambda e: e.operations_of(group, page)))
    ana.insert(page, "draft ")
    ana.restart()
    assert ana.text(page) == "draft text"
    world.settle(seconds=1.0)
    ana.restart()
    world.settle(seconds=1.0)
    assert len(ana.run(lambda e: e.operations_of(group, page))) == before + 1
    world.connect(ana, ben)
    world.settle()
    assert ben.text(page) == "draft text"


def test_a_long_edit_is_split_into_operations(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document_registry, "MAX_EDITS", 10)
    group, page, ana, ben = pair(world)
    world.cut_all()
    ana.insert(page, "0123456789" * 10)
    world.settle()
    assert len(ana.run(lambda e: e.operations_of(group, page))) >= 11
    world.connect(ana, ben)
    world.settle()
    assert ben.text(page) == ana.text(page) == "0123456789" * 10 + "text"


def test_a_checkpoint_while_others_are_behind_or_ahead(world: World) -> None:
    group, page, ana, ben = pair(world)
    ben.insert(page, "ben ")
    world.settle()
    world.cut_all()
    ben.insert(page, "offline ")
    for number in range(300):
        ana.insert(page, f"{number} " + "lorem ipsum " * 20)
        ana.run(lambda e: e.publish(page))
    world.settle()
    log = LogKey(ana.device, page)
    head = ana.store.logs.head(log)
    assert head is not None
    assert head.first_seq > 0
    cleo = world.add("cleo")
    world.join(ana, cleo, group)
    world.connect_all()
    world.settle()
    assert ana.text(page) == ben.text(page) == cleo.text(page)
    assert "offline " in ana.text(page)
    for device in (ana, ben, cleo):
        status = device.run(lambda e: e.queries.status(page))
        assert (status.holders, status.waiting) == (3, 0)
        device.restart()
    assert len({device.text(page) for device in (ana, ben, cleo)}) == 1


def test_an_old_copy_adopts_its_own_newer_operations(world: World) -> None:
    group, page, ana, ben = pair(world)
    back_up(ana)
    ana.insert(page, "newer ")
    ana.run(lambda e: e.rename_group(group, "Beavers"))
    world.settle()
    bring_back(world, ana)
    assert ana.text(page) == "text"
    world.connect(ana, ben)
    world.settle()
    assert ana.text(page) == "newer text"
    assert ana.group_name(group) == "Beavers"
    count = len(ben.run(lambda e: e.operations_of(group, page)))
    ana.insert(page, "newest ")
    world.settle()
    assert ben.text(page) == "newest newer text"
    assert len(ben.run(lambda e: e.operations_of(group, page))) == count + 1
    assert ana.store.forks.list() == ben.store.forks.list() == []


def test_an_old_copy_that_writes_first_is_noticed_and_survives(world: World) -> None:
    group, page, ana, ben = pair(world)
    other = ana.run(lambda e: e.create_document(group, "Other", "other"))
    world.settle()
    back_up(ana)
    ana.insert(page, "newer ")
    world.settle()
    bring_back(world, ana)
    ana.insert(page, "different ")
    world.settle()
    world.connect(ana, ben)
    world.settle()
    for device in (ana, ben):
        assert {fork.key for fork in device.store.forks.list()} == {LogKey(ana.device, page)}
        assert any(isinstance(item, Trouble) and item.code == "log.fork" for item in device.events)
    assert ben.text(page) == "newer text"
    # What is written there stays on this device; the rest of the group goes on.
    ana.insert(page, "late ")
    ana.insert(other, "more ")
    ben.insert(page, "ben ")
    world.settle()
    assert ben.text(other) == "more other"
    assert "late " in ana.text(page)
    assert ana.run(lambda e: e.queries.status(page)).unpublished
    ana.restart()
    world.connect(ana, ben)
    world.settle()
    assert "late " in ana.text(page)
    assert "ben " in ana.text(page)
    ana.run(Engine.finish)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("changes", [1, 3])
def test_a_copied_profile_that_changes_the_group_does_not_stop_it(
    world: World, seed: int, changes: int
) -> None:
    world.rng.seed(seed)
    group, page, ana, ben = pair(world)
    cleo = world.add("cleo")
    world.join(ana, cleo, group)
    world.connect_all()
    world.settle()
    ana.run(lambda e: e.membership.set_role(group, ben.engine.persons.id, Role.ADMIN))
    world.settle()
    back_up(ana)
    ana.run(lambda e: e.rename_group(group, "Beavers"))
    world.settle()
    bring_back(world, ana)
    for number in range(changes):
        ana.run(lambda e, number=number: e.rename_group(group, f"Badgers {number}"))
    world.connect_all()
    world.settle()
    for device in (ana, ben, cleo):
        codes = [item.code for item in device.events if isinstance(item, Trouble)]
        assert "log.fork" in codes
    # Nobody can tell the copy from the original, so the device is out until it is set up anew.
    assert ben.roster(group) == cleo.roster(group) == {ben.device, cleo.device}
    assert ben.epoch(group) == cleo.epoch(group) is not None
    held = [set(each.engine._groups.get(group).heads()) for each in (ben, cleo)]
    assert held[0] == held[1]
    ben.run(lambda e: e.remove_person(group, cleo.engine.persons.id))
    ben.insert(page, "after ")
    world.settle()
    assert ben.roster(group) == {ben.device}
    assert ben.text(page) == "after text"
    # The copy says so, and keeps what is on it.
    with pytest.raises(NotAMemberError):
        ana.run(lambda e: e.rename_group(group, "Stoats"))
    with pytest.raises(NotAMemberError):
        ana.insert(page, "here ")
    ana.restart()
    world.connect_all()
    world.settle()
    assert ana.text(page) == "text"
    view = ana.run(lambda e: e.queries.group(group))
    assert view.departure is not None
    assert view.departure.reason == "device"
    ana.run(Engine.finish)


def restore(world: World, device: Device) -> None:
    """Put the old copy in the present one's place as `lutra.store.backup.restore` does."""
    with Store.open(device.path.with_suffix(".old"), KEY) as store:
        store.settings.set(RESTORED, 1)
    bring_back(world, device)
    device.device = device.engine.signing_key.public


def test_a_restored_backup_goes_on_as_a_new_device(world: World) -> None:
    group, page, ana, ben = pair(world)
    old = ana.device
    world.cut_all()
    ana.insert(page, "draft ")
    back_up(ana)
    ana.insert(page, "newer ")
    world.settle()
    world.connect(ana, ben)
    world.settle()
    assert ben.text(page) == "newer draft text"
    restore(world, ana)
    assert ana.device != old
    assert ana.text(page) == "draft text"
    world.connect(ana, ben)
    world.settle(seconds=120.0)
    # The old device has published the draft, and the new one has made it anew: nothing is lost.
    assert ana.text(page) == ben.text(page)
    assert sorted(ana.text(page).split()) == ["draft", "draft", "newer", "text"]
    ana.insert(page, "newest ")
    world.settle(seconds=120.0)
    assert ben.text(page) == ana.text(page)
    assert "newest " in ben.text(page)
    assert ana.roster(group) == ben.roster(group) == {ana.device, ben.device}
    assert ana.epoch(group) == ben.epoch(group) is not None
    assert ana.store.forks.list() == ben.store.forks.list() == []
    assert ana.engine.persons.own.state.equivocating == frozenset()
    ana.run(lambda e: e.rename_group(group, "Beavers"))
    world.settle()
    assert ben.group_name(group) == "Beavers"
    ana.restart()
    assert ana.engine.signing_key.public == ana.device


def test_a_restored_backup_of_somebody_alone_goes_on_too(world: World) -> None:
    ana = world.add("ana")
    group = ana.run(lambda e: e.create_group("Otters"))
    page = ana.run(lambda e: e.create_document(group, "Page", "text"))
    world.settle()
    back_up(ana)
    old = ana.device
    restore(world, ana)
    ana.insert(page, "more ")
    world.settle(seconds=3600.0)
    assert ana.roster(group) == {ana.device}
    assert ana.store.drafts.documents_with_drafts() == []
    assert old not in ana.engine.persons.own.state.active()
    assert ana.text(page) == "more text"
