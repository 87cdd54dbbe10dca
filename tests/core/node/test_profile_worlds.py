"""Random lives of `join-on` and `sealed` groups: edits, newcomers, partitions; then peace."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.node.world import Device, World
from lutra.documents.checkpoint import CheckpointPolicy
from lutra.groups.contents import Profile

MAX_DEVICES = 5


class Life:
    """Does what chance says; every character is inserted once only, and deleted characters are
    remembered.
    """

    def __init__(self, world: World, profile: Profile) -> None:
        self.world = world
        self.rng = world.rng
        self.founder = world.add("d0")
        self.group = self.founder.run(lambda e: e.create_group("Otters", profile))
        self.join()
        world.connect_all()
        world.settle()
        self.pages: list[bytes] = []
        self.shown: dict[bytes, set[str]] = {}
        self.next = 0x4E00

    def letter(self) -> str:
        self.next += 1
        return chr(self.next)

    def act(self) -> None:
        actions = [self.edit] * 8 + [self.create] + [self.link] * 4 + [self.crash, self.wait]
        self.rng.choice([*actions, self.delete, self.join, self.renew, self.checkpoint])()
        for _ in range(self.rng.choice((0, 2, 10, 50))):
            if not self.world.step():
                break

    def some_page(self) -> tuple[Device, bytes] | None:
        device = self.rng.choice(self.world.devices)
        if device.device not in device.roster(self.group):
            return None
        known = [row.id for row in device.store.documents.list(self.group)]
        return (device, self.rng.choice(known)) if known else None

    def edit(self) -> None:
        found = self.some_page()
        if found is None:
            return
        device, page = found
        text = "".join(self.letter() for _ in range(self.rng.randint(1, 3)))
        device.insert(page, text, self.rng.randint(0, len(device.text(page))))
        self.shown[page].update(text)

    def delete(self) -> None:
        found = self.some_page()
        if found is None:
            return
        device, page = found
        text = device.text(page)
        if len(text) < 4:
            return
        at = self.rng.randint(0, len(text) - 2)
        device.run(lambda e: e.edit(page, lambda content: content.splice(at, 1, "")))
        self.shown[page].discard(text[at])

    def create(self) -> None:
        device = self.rng.choice(self.world.devices)
        if device.device in device.roster(self.group):
            letter = self.letter()
            page = device.run(lambda e: e.create_document(self.group, letter, letter))
            self.pages.append(page)
            self.shown[page] = {letter}

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

    def join(self) -> None:
        if len(self.world.devices) < MAX_DEVICES:
            device = self.world.add(f"d{len(self.world.devices)}")
            self.world.join(self.founder, device, self.group)
            self.world.connect(self.founder, device)

    def renew(self) -> None:
        device = self.rng.choice(self.world.devices)
        if device.device in device.roster(self.group):
            replica = device.engine._groups

            def renew(_: object) -> None:
                replica.get(self.group).renew(replica.signer(self.group))
                replica.save(self.group)

            device.run(renew)

    def checkpoint(self) -> None:
        found = self.some_page()
        if found is not None:
            device, page = found
            device.engine._documents._policy = CheckpointPolicy(
                growth=0, min_tail_bytes=1, min_tail_operations=2
            )
            device.run(lambda e: e._documents.checkpoint(page))

    def rest(self) -> None:
        """Connect everybody, wait, and compare."""
        self.world.connect_all()
        self.world.settle(seconds=1200.0)
        devices = self.world.devices
        assert len({device.roster(self.group) for device in devices}) == 1
        assert len({device.epoch(self.group) for device in devices}) == 1
        assert None not in {device.epoch(self.group) for device in devices}
        for device in devices:
            assert device.group_name(self.group) == "Otters"
            assert device.store.drafts.documents_with_drafts() == []
            assert device.store.forks.list() == []
            assert {row.id for row in device.store.documents.list(self.group)} == set(self.pages)
            assert device.store.operations.waiting(self.group) == [], device.name
        for page in self.pages:
            texts = {device.text(page) for device in devices}
            assert len(texts) == 1
            assert set(texts.pop()) == self.shown[page]


@pytest.mark.parametrize("profile", [Profile.JOIN_ON, Profile.SEALED])
@pytest.mark.parametrize("seed", range(6))
def test_all_come_to_agree(tmp_path: Path, seed: int, profile: Profile) -> None:
    run(tmp_path, seed, profile, actions=60)


@pytest.mark.soak
@pytest.mark.parametrize("profile", [Profile.JOIN_ON, Profile.SEALED])
@pytest.mark.parametrize("seed", range(1000, 1060))
def test_long_lives(tmp_path: Path, seed: int, profile: Profile) -> None:
    run(tmp_path, seed, profile, actions=150)


def run(folder: Path, seed: int, profile: Profile, *, actions: int) -> None:
    world = World(folder, seed)
    try:
        life = Life(world, profile)
        life.create()
        for _ in range(actions):
            life.act()
        life.rest()
    finally:
        world.close()
