"""What newcomers read, and that nothing is lost, in `join-on` and `sealed` groups."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.node.world import Device, World
from lutra.groups.contents import Profile


class Room:
    """Anna's group in a world of its own."""

    def __init__(self, folder: Path, profile: Profile, seed: int = 0) -> None:
        self.world = World(folder, seed)
        self.anna = self.world.add("anna")
        self.group = self.anna.run(lambda e: e.create_group("Otters", profile))
        self.devices = [self.anna]

    def join(self, name: str, via: Device | None = None) -> Device:
        device = self.world.add(name)
        self.world.join(via or self.anna, device, self.group)
        self.devices.append(device)
        return device

    def meet(self, *devices: Device, seconds: float = 60.0) -> None:
        """Connect some devices, or all, and let everything happen."""
        chosen = devices or tuple(self.devices)
        for place, left in enumerate(chosen):
            for right in chosen[place + 1 :]:
                self.world.connect(left, right)
        self.world.settle(seconds)

    def page(self, device: Device, text: str) -> bytes:
        return device.run(lambda e: e.create_document(self.group, "Page", text))

    def texts(self, document: bytes) -> set[str]:
        return {device.text(document) for device in self.devices}

    def agree(self, document: bytes, text: str) -> None:
        assert {device.name: device.text(document) for device in self.devices} == {
            device.name: text for device in self.devices
        }
        for device in self.devices:
            assert device.store.operations.waiting(self.group) == []
            assert device.store.drafts.documents_with_drafts() == []


@pytest.fixture
def room(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Room]:
    room = Room(tmp_path, request.param)
    yield room
    room.world.close()


ROOMS = pytest.mark.parametrize("room", [Profile.JOIN_ON, Profile.SEALED], indirect=True)


def replace(device: Device, document: bytes, text: str) -> None:
    device.run(lambda e: e.edit(document, lambda content: content.replace_text(text)))


@ROOMS
def test_a_newcomer_reads_the_state_and_not_the_past(room: Room) -> None:
    anna = room.anna
    page = room.page(anna, "The password was XQZKW")
    room.world.settle()
    anna.run(
        lambda e: e.edit(page, lambda content: content.splice(13, len(content) - 13, "is gone"))
    )
    room.world.settle()
    ben = room.join("ben")
    room.meet()
    room.agree(page, "The password is gone")
    assert "XQZKW" not in everything(ben)
    assert "XQZKW" in everything(anna)


def everything(device: Device) -> str:
    """All a device can read: its documents' whole history, and all it holds of states."""
    texts: list[str] = []
    for row in device.store.documents.list():
        content = device.run(lambda e, row=row: e.queries.content(row.id))
        texts += [content._doc.export_json_updates(*_all(content)), content.text]
        stored = device.store.documents.snapshot(row.id)
        texts.append((stored or b"").decode("utf-8", "replace"))
        texts += [item.decode("utf-8", "replace") for item in device.store.documents.tail(row.id)]
    return "".join(texts)


def _all(content):
    from loro import VersionVector

    return VersionVector(), content._doc.oplog_vv


@ROOMS
def test_both_write_on_after_an_admission(room: Room) -> None:
    page = room.page(room.anna, "one ")
    room.world.settle()
    ben = room.join("ben")
    room.meet()
    ben.insert(page, "two ", 4)
    room.meet()
    room.anna.insert(page, "three", 8)
    room.meet()
    room.agree(page, "one two three")


@ROOMS
def test_edits_made_elsewhere_at_the_time_of_an_admission(room: Room) -> None:
    page = room.page(room.anna, "one")
    ben = room.join("ben")
    room.meet()
    room.world.cut_all()
    ben.insert(page, " ben", 3)
    room.world.settle()
    cleo = room.join("cleo")
    room.meet(room.anna, cleo)
    cleo.insert(page, "cleo ", 0)
    room.world.settle()
    room.meet()
    room.agree(page, "cleo one ben")


@ROOMS
def test_the_author_of_a_late_edit_need_not_be_there(room: Room) -> None:
    page = room.page(room.anna, "one")
    ben, dora = room.join("ben"), room.join("dora")
    room.meet()
    room.world.cut_all()
    ben.insert(page, " ben", 3)
    room.meet(ben, dora)
    room.world.cut_all()
    cleo = room.join("cleo")
    room.meet(room.anna, cleo)
    room.world.cut_all()
    room.meet(dora, cleo)
    assert cleo.text(page) == "one ben"
    room.meet()
    room.agree(page, "one ben")


@ROOMS
def test_newcomers_learn_what_everybody_and_the_group_are_called(room: Room) -> None:
    room.join("ben")
    room.meet()
    cleo = room.join("cleo")
    room.meet()
    for device in room.devices:
        assert device.group_name(room.group) == "Otters"
        members = device.run(lambda e: e.queries.group(room.group)).members
        assert {member.name for member in members} == {"anna", "ben", "cleo"}
    assert cleo.epoch(room.group) == room.anna.epoch(room.group)
