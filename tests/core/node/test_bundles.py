"""Bundles between devices that never meet: everything arrives, nobody else reads them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from core.node.world import Device, World
from lutra.codec import encode
from lutra.errors import MalformedError
from lutra.groups.contents import Role
from lutra.net.bundles import (
    BLOCK_BYTES,
    BundleError,
    BundleReader,
    BundleWriter,
    DamagedBundleError,
    ForeignBundleError,
    IncompleteBundleError,
)
from lutra.node.bundle_files import (
    BundleExistsError,
    BundleFileError,
    export_bundle,
    import_bundle,
)
from lutra.node.bundle_views import BundleProgress, BundleView, ImportView
from lutra.node.engine import Engine

Result = TypeVar("Result")


class Calls:
    """Runs an engine's calls on the test's own thread."""

    def __init__(self, device: Device) -> None:
        self._device = device

    async def call(self, function: Callable[[Engine], Result]) -> Result:
        return self._device.run(function)


class Courier:
    """Carries bundles between devices on a stick."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.number = 0

    async def export(self, device: Device, *groups: bytes) -> Path:
        return (await self.view(device, *groups)).path

    async def view(self, device: Device, *groups: bytes) -> BundleView:
        self.number += 1
        scope = device.run(
            lambda e: e.bundles.scope_of_groups(groups) if groups else e.bundles.scope_of_person()
        )
        path = self.folder / f"{self.number}.bundle"
        return await export_bundle(Calls(device), path, scope)

    async def carry(self, source: Device, target: Device, *groups: bytes) -> ImportView:
        path = await self.export(source, *groups)
        view = await import_bundle(Calls(target), path)
        source.world.settle(30)
        return view


@pytest.fixture
def courier(tmp_path: Path) -> Courier:
    return Courier(tmp_path)


def three(world: World) -> tuple[Device, Device, Device, bytes]:
    ana, ben, cara = world.add("ana"), world.add("ben"), world.add("cara")
    group = ana.run(lambda e: e.create_group("Otters"))
    world.join(ana, ben, group)
    world.join(ana, cara, group)
    return ana, ben, cara, group


def person_of(device: Device) -> bytes:
    return device.engine.persons.id


async def test_devices_that_never_meet_converge(world: World, courier: Courier) -> None:
    ana, ben, cara, group = three(world)
    page = ana.run(lambda e: e.create_document(group, "Page", "one"))
    for target in (ben, cara):
        await courier.carry(ana, target, group)
    # The newcomers ask for their keys, and Ana gives them.
    for source in (ben, cara):
        await courier.carry(source, ana, group)
    for target in (ben, cara):
        await courier.carry(ana, target, group)
    assert ben.text(page) == cara.text(page) == "one"
    assert ana.roster(group) == ben.roster(group) == cara.roster(group)
    ben.insert(page, "ben ")
    cara.insert(page, " cara", len("one"))
    await courier.carry(ben, cara, group)
    await courier.carry(cara, ana, group)
    await courier.carry(ana, ben, group)
    assert ana.text(page) == ben.text(page) == cara.text(page)
    assert ana.text(page) == "ben one cara"
    assert ana.epoch(group) == ben.epoch(group) == cara.epoch(group) is not None


async def test_twice_is_harmless_and_counted(world: World, courier: Courier) -> None:
    ana, ben, _, group = three(world)
    for number in range(5):
        ana.run(lambda e, n=number: e.create_document(group, f"Page {n}", "text"))
    path = await courier.export(ana, group)
    first = await import_bundle(Calls(ben), path)
    again = await import_bundle(Calls(ben), path)
    (one,) = first.groups
    assert (one.group, one.refused, one.known, one.pages) == (group, 0, 0, 0)
    assert one.new == first.new > 5
    assert (again.new, again.refused, again.known) == (0, 0, first.new)
    world.settle(30)
    # With the keys the pages can be read.
    await courier.carry(ben, ana, group)
    last = await courier.carry(ana, ben, group)
    assert len(ben.run(lambda e: e.queries.documents(group))) == 5
    assert ben.group_name(group) == "Otters"
    assert last.refused == 0


async def test_nothing_is_claimed_to_be_held_by_others(world: World, courier: Courier) -> None:
    ana, ben, cara, group = three(world)
    page = ana.run(lambda e: e.create_document(group, "Page", "one"))
    for source, target in ((ana, ben), (ana, cara), (ben, ana), (cara, ana), (ana, ben)):
        await courier.carry(source, target, group)
    status = ben.run(lambda e: e.queries.status(page))
    # Ben has Ana's own operations, which proves that Ana wrote them; of Cara nothing is known.
    assert (status.devices, status.holders, status.connected) == (3, 2, 0)
    assert ana.run(lambda e: e.queries.status(page)).holders == 1


async def test_removal_travels_and_the_removed_persons_bundle_changes_nothing(
    world: World, courier: Courier
) -> None:
    ana, ben, cara, group = three(world)
    page = ana.run(lambda e: e.create_document(group, "Page", "one"))
    for source, target in (
        (ana, ben),
        (ana, cara),
        (ben, ana),
        (cara, ana),
        (ana, ben),
        (ana, cara),
    ):
        await courier.carry(source, target, group)
    cara.insert(page, "known to Ana ")
    await courier.carry(cara, ana, group)
    ana.run(lambda e: e.remove_person(group, person_of(cara)))
    ana.insert(page, "after ")
    await courier.carry(ana, ben, group)
    assert ben.text(page) == "after known to Ana one"
    assert cara.device not in ben.roster(group)
    # Cara does not know yet, and writes on.
    cara.insert(page, "too late ")
    late = await courier.carry(cara, ben, group)
    assert late.refused > 0
    assert ben.text(page) == "after known to Ana one"
    assert cara.device not in ben.roster(group)
    # She can take in theirs, but what was written since does not open for her.
    await courier.carry(ben, cara, group)
    assert "after" not in cara.text(page)
    assert cara.device not in cara.roster(group)


async def test_a_role_travels(world: World, courier: Courier) -> None:
    ana, ben, _, group = three(world)
    for source, target in ((ana, ben), (ben, ana), (ana, ben)):
        await courier.carry(source, target, group)
    signer = ana.engine._groups.signer(group)
    replica = ana.engine._groups.get(group)
    ana.run(lambda e: replica.set_role(signer, person_of(ben), Role.READER))
    ana.run(lambda e: e._groups.save(group))
    await courier.carry(ana, ben, group)
    assert ben.run(lambda e: e.queries.group(group)).role == "reader"


async def test_a_stranger_cannot_open_it(world: World, courier: Courier) -> None:
    ana, _, _, group = three(world)
    stranger = world.add("stranger")
    stranger.run(lambda e: e.create_group("Otters"))
    path = await courier.export(ana, group)
    with pytest.raises(ForeignBundleError):
        await import_bundle(Calls(stranger), path)
    data = path.read_bytes()
    for known in (group, b"Otters", ana.device, person_of(ana), b"lutra", b"LUTRA"):
        assert known not in data


async def test_a_member_of_one_group_sees_nothing_of_the_others(
    world: World, courier: Courier
) -> None:
    ana, ben, _, group = three(world)
    other = ana.run(lambda e: e.create_group("Secret"))
    ana.run(lambda e: e.create_document(other, "Hidden", "hidden"))
    view = await courier.view(ana)
    assert other in view.groups
    brought = await import_bundle(Calls(ben), view.path)
    assert [one.group for one in brought.groups] == [group]
    assert other not in ben.run(Engine.group_ids)


async def test_pages_of_all_sizes_in_slices(world: World, courier: Courier) -> None:
    ana, ben, _, group = three(world)
    for source, target in ((ana, ben), (ben, ana), (ana, ben)):
        await courier.carry(source, target, group)
    rng = world.rng
    texts = {}
    for number in range(60):
        text = "".join(chr(rng.randint(97, 122)) for _ in range(rng.choice((1, 300, 60_000))))
        texts[ana.run(lambda e, n=number, t=text: e.create_document(group, str(n), t))] = text
    seen: list[BundleProgress] = []
    scope = ana.run(lambda e: e.bundles.scope_of_groups([group]))
    path = courier.folder / "large.bundle"
    view = await export_bundle(Calls(ana), path, scope, progress=seen.append)
    assert view.size == path.stat().st_size > 500_000
    assert (seen[-1].done, len(seen) > 3) == (seen[-1].total, True)
    brought = await import_bundle(Calls(ben), path, progress=seen.append)
    assert brought.pages == 60
    assert {seen[-1].phase, seen[0].phase} == {"reading", "writing"}
    assert {page: ben.text(page) for page in texts} == texts


async def test_what_is_written_meanwhile_does_not_break_a_bundle(
    world: World, courier: Courier
) -> None:
    ana, ben, _, group = three(world)
    for source, target in ((ana, ben), (ben, ana), (ana, ben)):
        await courier.carry(source, target, group)
    pages = [ana.run(lambda e: e.create_document(group, "Page", "x" * 90_000)) for _ in range(8)]

    def meanwhile(progress: BundleProgress) -> None:
        if progress.phase == "writing" and progress.done < progress.total:
            ana.run(lambda e: e.rename_group(group, f"Otters {progress.done}"))
            for page in pages:
                ana.insert(page, "more ")
                ana.run(lambda e, page=page: e.publish(page))

    scope = ana.run(lambda e: e.bundles.scope_of_groups([group]))
    path = courier.folder / "moving.bundle"
    await export_bundle(Calls(ana), path, scope, progress=meanwhile)
    brought = await import_bundle(Calls(ben), path)
    assert brought.refused == 0
    assert brought.pages == 8
    await courier.carry(ana, ben, group)
    assert [ben.text(page) for page in pages] == [ana.text(page) for page in pages]


async def test_every_damage_is_refused_or_harmless(world: World, courier: Courier) -> None:
    """Flipped bytes and cut ends: the target is unchanged, or has all of it."""
    ana, ben, _, group = three(world)
    ana.run(lambda e: e.create_document(group, "Page", "one"))
    path = await courier.export(ana, group)
    data = path.read_bytes()
    reader = BundleReader(path.open("rb"))
    (section,) = reader.find(ana.run(lambda e: e.bundles.locks())).values()
    start = 32 + section._block * BLOCK_BYTES
    reader._file.close()
    damaged = path.with_name("damaged")
    before = ben.run(lambda e: e.queries.counts())
    places = {*range(0, 32, 5), *range(start, start + 64), *range(start, len(data), 1499)}
    places.add(start + section.blocks * BLOCK_BYTES - 1)
    for place in sorted(places):
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        damaged.write_bytes(changed)
        if place >= start + section.blocks * BLOCK_BYTES:
            await import_bundle(Calls(ana), damaged)
            continue
        with pytest.raises(BundleError):
            await import_bundle(Calls(ben), damaged)
        assert ben.run(lambda e: e.queries.counts()) == before
    for size in (0, 31, 32, 5000, len(data) - 1, len(data) - BLOCK_BYTES):
        damaged.write_bytes(data[:size])
        with pytest.raises(IncompleteBundleError):
            await import_bundle(Calls(ben), damaged)
    assert ben.run(lambda e: e.queries.counts()) == before


async def test_the_damaged_part_is_named(world: World, courier: Courier) -> None:
    ana = world.add("ana")
    groups = [ana.run(lambda e, n=name: e.create_group(n)) for name in ("Otters", "Beavers")]
    path = await courier.export(ana, *groups)
    with path.open("rb") as file:
        found = BundleReader(file).find(ana.run(lambda e: e.bundles.locks()))
    data = bytearray(path.read_bytes())
    data[32 + found[groups[1]]._block * BLOCK_BYTES + BLOCK_BYTES // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedBundleError, match="Beavers") as caught:
        await import_bundle(Calls(ana), path)
    assert caught.value.details["group"] == groups[1]


async def test_files_that_cannot_be_used(world: World, courier: Courier, tmp_path: Path) -> None:
    ana, _, _, group = three(world)
    path = await courier.export(ana, group)
    before = path.read_bytes()
    scope = ana.run(lambda e: e.bundles.scope_of_groups([group]))
    with pytest.raises(BundleExistsError):
        await export_bundle(Calls(ana), path, scope)
    assert path.read_bytes() == before
    await export_bundle(Calls(ana), path, scope, overwrite=True)
    assert path.read_bytes() != before
    with pytest.raises(BundleFileError):
        await export_bundle(Calls(ana), tmp_path / "nowhere" / "file", scope)
    with pytest.raises(BundleFileError):
        await import_bundle(Calls(ana), tmp_path / "nowhere")
    (tmp_path / "text").write_text("no bundle")
    with pytest.raises(IncompleteBundleError):
        await import_bundle(Calls(ana), tmp_path / "text")


async def test_cancelling_leaves_no_file(world: World, courier: Courier) -> None:
    ana, ben, _, group = three(world)
    for source, target in ((ana, ben), (ben, ana), (ana, ben)):
        await courier.carry(source, target, group)
    for _ in range(8):
        ana.run(lambda e: e.create_document(group, "Page", "x" * 90_000))
    whole = await courier.export(ana, group)
    files = set(courier.folder.iterdir())
    scope = ana.run(lambda e: e.bundles.scope_of_groups([group]))
    running: asyncio.Task[object]

    def stop(progress: BundleProgress) -> None:
        if progress.phase != "checking":
            running.cancel()

    target = courier.folder / "cancelled"
    running = asyncio.ensure_future(export_bundle(Calls(ana), target, scope, progress=stop))
    with pytest.raises(asyncio.CancelledError):
        await running
    assert set(courier.folder.iterdir()) == files
    # An interrupted import goes on where it was, the next time.
    running = asyncio.ensure_future(import_bundle(Calls(ben), whole, progress=stop))
    with pytest.raises(asyncio.CancelledError):
        await running
    rest = await import_bundle(Calls(ben), whole)
    assert rest.refused == 0
    assert rest.known > 0
    assert len(ben.run(lambda e: e.queries.documents(group))) == 8


async def test_a_member_who_writes_a_bundle_of_lies_changes_nothing(
    world: World, courier: Courier
) -> None:
    ana, ben, _, group = three(world)
    for source, target in ((ana, ben), (ben, ana), (ana, ben)):
        await courier.carry(source, target, group)
    lock = ana.run(lambda e: e.bundles.lock(group))
    before = ben.run(lambda e: e.queries.counts())
    lies = [
        b"nonsense",
        encode(["unknown", 1]),
        encode(["operations", [[b"header", b"body", b"more"]]]),
        encode(["operations", b"none"]),
        encode(["forks", [[b"one"]]]),
        encode(["hand-over", bytes(32), bytes(100)]),
    ]
    for number, lie in enumerate(lies):
        path = courier.folder / f"lie{number}"
        with path.open("w+b") as file:
            writer = BundleWriter(file)
            writer.begin(lock)
            writer.add(lie)
            writer.finish()
        with pytest.raises(MalformedError):
            await import_bundle(Calls(ben), path)
    path = courier.folder / "junk"
    with path.open("w+b") as file:
        writer = BundleWriter(file)
        writer.begin(lock)
        writer.add(encode(["operations", [[b"header", b"body"], [b"", None]]]))
        writer.add(encode(["forks", [[b"one", b"two"]]]))
        writer.finish()
    taken = await import_bundle(Calls(ben), path)
    assert (taken.new, taken.refused) == (0, 3)
    assert ben.run(lambda e: e.queries.counts()) == before
