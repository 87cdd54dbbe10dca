"""Random lives of several devices: edits, group changes, partitions, crashes; then peace."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from core.node.world import Device, World
from lutra.errors import LutraError
from lutra.groups.contents import Role
from lutra.groups.errors import LastAdminError, NoKeyError


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
            if members_change:
                person = device.engine.persons.id
                founder.run(lambda e, p=person: e.membership.set_role(self.group, p, Role.ADMIN))
        # Everybody knows everybody: a removal would void additions its author has not heard of.
        world.connect_all()
        world.settle()
        world.cut_all()
        self.documents: list[bytes] = []
        self.letters: dict[bytes, set[str]] = {}
        self.written: dict[bytes, dict[bytes, set[str]]] = {}
        self.next = 0x4E00

    def letter(self) -> str:
        self.next += 1
        return chr(self.next)

    def members(self) -> list[Device]:
        return [device for device in self.world.devices if self.is_member(device)]

    def is_member(self, device: Device) -> bool:
        return device.device in device.roster(self.group)

    def writers(self) -> list[Device]:
        return [device for device in self.members() if self.role(device) in ("writer", "admin")]

    def admins(self) -> list[Device]:
        return [device for device in self.members() if self.role(device) == "admin"]

    def role(self, device: Device) -> str:
        return device.run(lambda e: e.queries.group(self.group)).role

    def act(self) -> None:
        choices = [self.edit] * 8 + [self.create] + [self.link] * 4 + [self.crash, self.wait]
        if self.members_change:
            choices += [self.remove, self.add_again, self.set_role, self.leave, self.rename]
        self.rng.choice(choices)()
        for _ in range(self.rng.choice((0, 2, 10, 50))):
            if not self.world.step():
                break
        self.check_holders()

    def edit(self) -> None:
        writers = self.writers()
        if not writers:
            return
        device = self.rng.choice(writers)
        known = [row.id for row in device.store.documents.list(self.group)]
        if not known:
            return
        document = self.rng.choice(known)
        text = "".join(self.letter() for _ in range(self.rng.randint(1, 3)))
        position = self.rng.randint(0, len(device.text(document)))
        device.insert(document, text, position)
        self.letters[document].update(text)
        self.written.setdefault(document, {}).setdefault(device.device, set()).update(text)

    def create(self) -> None:
        writers = self.writers()
        if not writers:
            return
        device = self.rng.choice(writers)
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

    def pick(self) -> tuple[Device, Device, bytes] | None:
        """Return an admin, another device, and that one's person."""
        admins = self.admins()
        if not admins or self.rng.random() < 0.5:
            return None
        by = self.rng.choice(admins)
        target = self.rng.choice([device for device in self.world.devices if device is not by])
        return by, target, target.engine.persons.id

    def remove(self) -> None:
        picked = self.pick()
        # The last one added is never removed, so that somebody is left.
        if picked is None or picked[1] is self.world.devices[-1]:
            return
        by, target, person = picked
        if target.device in by.roster(self.group):
            by.run(lambda e: e.membership.remove(self.group, person))

    def add_again(self) -> None:
        picked = self.pick()
        if picked is not None and picked[1].device not in picked[0].roster(self.group):
            by, _, person = picked
            by.run(lambda e: e.membership.add_again(self.group, person))

    def set_role(self) -> None:
        picked = self.pick()
        if picked is not None and picked[1].device in picked[0].roster(self.group):
            by, _, person = picked
            role = self.rng.choice((Role.READER, Role.WRITER, Role.ADMIN))
            by.run(lambda e: e.membership.set_role(self.group, person, role))

    def leave(self) -> None:
        device = self.rng.choice(self.world.devices[:-1])
        if self.is_member(device) and self.rng.random() < 0.2:
            with contextlib.suppress(LastAdminError):
                device.run(lambda e: e.membership.leave(self.group))

    def rename(self) -> None:
        name, admins = self.letter(), self.admins()
        if admins:
            with contextlib.suppress(NoKeyError):
                self.rng.choice(admins).run(lambda e: e.rename_group(self.group, name))

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
        first = self.world.devices[-1]
        roster = first.roster(self.group)
        left = [device for device in self.world.devices if device.device in roster]
        assert first in left
        # Who was removed while away has heard of it.
        assert left == self.members()
        assert len({device.roster(self.group) for device in left}) == 1
        assert len({device.epoch(self.group) for device in left}) == 1
        assert first.epoch(self.group) is not None
        assert len({device.group_name(self.group) for device in left}) == 1
        for device in left:
            if self.role(device) != "reader":
                assert device.store.drafts.documents_with_drafts() == []
            assert device.store.operations.waiting(self.group) == []
            assert device.store.forks.list() == []
        # What only a removed device had is its own, and so is what one that may only read since
        # then wrote before it knew.
        writers = [device for device in left if self.role(device) != "reader"]
        there = {row.id for device in writers for row in device.store.documents.list(self.group)}
        assert self.members_change or there == set(self.documents)
        for document in there:
            self.check_document(document, writers)

    def check_document(self, document: bytes, devices: list[Device]) -> None:
        texts = {device.text(document) for device in devices}
        assert len(texts) == 1
        titles = {device.run(lambda e: e.queries.document(document)).title for device in devices}
        assert len(titles) == 1
        if self.members_change:
            # Whoever is in has lost nothing, whatever happened to it in between.
            text = texts.pop()
            for device in devices:
                written = self.written.get(document, {}).get(device.device, set())
                assert written <= set(text), (device.name, written - set(text))
        else:
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
