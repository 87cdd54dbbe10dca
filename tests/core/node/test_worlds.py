"""Random lives of several devices: edits, group changes, partitions, crashes; then peace."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.node.world import Device, World
from lutra.errors import LutraError


class Life:
    """Does what chance says, and knows what must come of it.

    Every insertion is one character that occurs nowhere else, so that a lost one is missed.
    """

    def __init__(self, world: World, devices: int, *, members_change: bool) -> None:
        self.world = world
        self.rng = world.rng
        self.members_change = members_change
        founder = world.add("d0")
        for number in range(1, devices):
            world.add(f"d{number}", skew_ms=self.rng.randint(-10, 10) * 86_400_000)
        self.group = founder.run(lambda e: e.create_group("Otters"))
        for device in world.devices[1:]:
            world.join(founder, device, self.group)
        # Everybody knows everybody: a removal would void additions its author has not heard of.
        world.connect_all()
        world.settle()
        world.cut_all()
        self.documents: list[bytes] = []
        self.letters: dict[bytes, set[str]] = {}
        self.next = 0x4E00

    def letter(self) -> str:
        self.next += 1
        return chr(self.next)

    def members(self) -> list[Device]:
        return [device for device in self.world.devices if self.is_member(device)]

    def is_member(self, device: Device) -> bool:
        return device.device in device.roster(self.group)

    def act(self) -> None:
        choices = [self.edit] * 8 + [self.create] + [self.link] * 4 + [self.crash, self.wait]
        if self.members_change:
            choices += [self.remove, self.rename]
        self.rng.choice(choices)()
        for _ in range(self.rng.choice((0, 2, 10, 50))):
            if not self.world.step():
                break
        self.check_holders()

    def edit(self) -> None:
        device = self.rng.choice(self.members())
        known = [row.id for row in device.store.documents.list(self.group)]
        if not known:
            return
        document = self.rng.choice(known)
        text = "".join(self.letter() for _ in range(self.rng.randint(1, 3)))
        position = self.rng.randint(0, len(device.text(document)))
        device.insert(document, text, position)
        self.letters[document].update(text)

    def create(self) -> None:
        device = self.rng.choice(self.members())
        letter = self.letter()
        document = device.run(lambda e: e.create_document(self.group, letter, letter))
        self.documents.append(document)
        self.letters[document] = {letter}

    def link(self) -> None:
        left, right = self.rng.sample(self.world.devices, 2)
        if self.world.wire(left, right) is None:
            self.world.connect(left, right)
        else:
            self.world.cut(left, right)

    def crash(self) -> None:
        self.rng.choice(self.world.devices).restart()

    def wait(self) -> None:
        self.world.settle(seconds=self.rng.choice((0.5, 5.0)))

    def remove(self) -> None:
        members = self.members()
        if len(members) > 2 and self.rng.random() < 0.2:
            # The last one added is never removed, so that somebody is left.
            by, target = self.rng.choice(members), self.rng.choice(members[:-1])
            if by is not target and target.device in by.roster(self.group):
                by.run(lambda e: e.remove_device(self.group, target.device))

    def rename(self) -> None:
        name = self.letter()
        self.rng.choice(self.members()).run(lambda e: e.rename_group(self.group, name))

    def check_holders(self) -> None:
        """Nobody is said to hold what it does not."""
        devices = {device.device: device for device in self.world.devices}
        for device in self.world.devices:
            for other in devices.values():
                for key, seq_num in device.store.acknowledgements.of(other.device).items():
                    head = other.store.logs.head(key)
                    assert head is not None
                    assert head.seq_num >= seq_num

    def rest(self) -> None:
        """Connect everybody, wait, and compare."""
        self.world.connect_all()
        self.world.settle(seconds=120.0)
        # Who was removed while away is not told by anybody: nobody syncs with it any more.
        first = self.world.devices[-1]
        roster = first.roster(self.group)
        left = [device for device in self.world.devices if device.device in roster]
        assert first in left
        assert len({device.roster(self.group) for device in left}) == 1
        assert len({device.epoch(self.group) for device in left}) == 1
        assert first.epoch(self.group) is not None
        assert len({device.group_name(self.group) for device in left}) == 1
        for device in left:
            assert device.store.drafts.documents_with_drafts() == []
            assert device.store.operations.waiting(self.group) == []
            assert device.store.forks.list() == []
        # What only a removed device had is its own.
        there = {row.id for device in left for row in device.store.documents.list(self.group)}
        assert self.members_change or there == set(self.documents)
        for document in there:
            self.check_document(document, left)

    def check_document(self, document: bytes, devices: list[Device]) -> None:
        texts = {device.text(document) for device in devices}
        assert len(texts) == 1
        titles = {device.run(lambda e: e.queries.document(document)).title for device in devices}
        assert len(titles) == 1
        if not self.members_change:
            assert set(texts.pop()) == self.letters[document]
            for device in devices:
                status = device.run(lambda e: e.queries.status(document))
                assert (status.holders, status.waiting) == (len(devices), 0)


@pytest.mark.parametrize("seed", range(12))
def test_no_edit_is_lost(tmp_path: Path, seed: int) -> None:
    run(tmp_path, seed, devices=3, members_change=False, actions=60)


@pytest.mark.parametrize("seed", range(100, 110))
def test_members_come_to_agree_whatever_happens_to_them(tmp_path: Path, seed: int) -> None:
    run(tmp_path, seed, devices=4, members_change=True, actions=50)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1000, 1200))
def test_long_lives(tmp_path: Path, seed: int) -> None:
    run(tmp_path, seed, devices=2 + seed % 4, members_change=bool(seed % 3), actions=200)


def run(folder: Path, seed: int, *, devices: int, members_change: bool, actions: int) -> None:
    world = World(folder, seed)
    try:
        life = Life(world, devices, members_change=members_change)
        life.create()
        for _ in range(actions):
            try:
                life.act()
            except LutraError as error:
                raise AssertionError(f"seed {seed}: {error.code}: {error.message}") from error
        life.rest()
    finally:
        world.close()
