"""What newcomers read, and that nothing is lost, in `join-on` and `sealed` groups."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.node.world import Device, World
from lutra.documents.body import read_kept
from lutra.documents.checkpoint import CheckpointPolicy
from lutra.documents.state_body import StateBody, encode_state, pack
from lutra.documents.states import state_of
from lutra.errors import DecryptionError
from lutra.groups.bodies import Bodies
from lutra.groups.contents import Profile
from lutra.groups.data_keys import BodyCipher
from lutra.groups.errors import UnreadableBodyError
from lutra.node.document_states import KIND, state_log
from lutra.node.engine import Engine
from lutra.operation import LogKey, Operation
from lutra.store.operations import OperationState


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
        tail = map(read_kept, device.store.documents.tail(row.id))
        texts += [item.decode("utf-8", "replace") for item in tail]
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


@ROOMS
def test_the_history_of_a_newcomer_begins_with_what_it_was_there_for(room: Room) -> None:
    page = room.page(room.anna, "one")
    room.world.settle()
    ben = room.join("ben")
    room.meet()
    assert ben.run(lambda e: e.queries.history(page)) == []
    assert room.anna.run(lambda e: e.queries.history(page)) != []
    room.anna.insert(page, " two", 3)
    room.meet()
    assert [item.edits for item in ben.run(lambda e: e.queries.history(page))] == [4]


@ROOMS
def test_no_key_a_newcomer_holds_opens_what_came_before(room: Room) -> None:
    anna = room.anna
    page = room.page(anna, "before")
    room.world.settle()
    ben = room.join("ben")
    room.meet()
    anna.insert(page, "after ")
    room.meet()
    log = ben.store.operations.of_log(LogKey(anna.device, page))
    operations = [item.decode() for item in log]
    assert len(operations) == 2
    replica = ben.engine._groups.get(room.group)
    held = [_opens_with_secrets(replica.secrets, item) for item in operations]
    # What is sealed is not under those secrets at all; what was read once is not read again.
    assert held == [False, replica.profile is Profile.JOIN_ON]
    ben.restart()
    bodies = ben.engine._groups.get(room.group).bodies
    assert not any(_opens(bodies, item) for item in operations[:1])
    assert _opens(bodies, operations[1]) == (replica.profile is Profile.JOIN_ON)


def _opens_with_secrets(secrets: dict[bytes, bytes], operation: Operation) -> bool:
    for secret in secrets.values():
        try:
            BodyCipher().open(secret, operation.header, operation.body or b"")
        except DecryptionError:
            continue
        return True
    return False


def _opens(bodies: Bodies, operation: Operation) -> bool:
    try:
        bodies.open(operation.header, operation.body or b"")
    except (DecryptionError, UnreadableBodyError):
        return False
    return True


@pytest.mark.parametrize("room", [Profile.SEALED], indirect=True)
def test_a_stolen_profile_opens_no_message_that_was_read(room: Room) -> None:
    page = room.page(room.anna, "one")
    ben = room.join("ben")
    room.meet()
    for number in range(20):
        room.anna.insert(page, f"{number} ")
        ben.insert(page, f"({number}) ")
        room.meet()
    for device in room.devices:
        device.restart()
        bodies = device.engine._groups.get(room.group).bodies
        for key in (LogKey(one.device, page) for one in room.devices):
            operations = [item.decode() for item in device.store.operations.of_log(key)]
            assert operations
            assert not any(_opens(bodies, item) for item in operations)
    room.meet()
    assert len(room.texts(page)) == 1


@pytest.mark.parametrize("room", [Profile.JOIN_ON], indirect=True)
def test_a_checkpoint_after_an_admission_leaves_deleted_words_out(room: Room) -> None:
    anna = room.anna
    page = room.page(anna, "The password was XQZKW")
    room.world.settle()
    replace(anna, page, "Nothing to see")
    room.world.settle()
    cleo = room.join("cleo")
    room.meet()
    dora = room.join("dora")
    room.world.connect(anna, dora)
    anna.engine._documents._policy = CheckpointPolicy(
        growth=0, min_tail_bytes=1, min_tail_operations=1
    )
    assert anna.run(lambda e: e._documents.checkpoint(page))
    anna.engine._documents._policy = CheckpointPolicy()
    room.meet()
    anna.insert(page, "!", 14)
    room.meet()
    room.agree(page, "Nothing to see!")
    log = dora.store.operations.of_log(LogKey(anna.device, page))
    assert [item.decode().header.extensions.prune for item in log] == [True, False]
    for device in (cleo, dora):
        assert "XQZKW" not in everything(device)
    assert "XQZKW" in everything(anna)


@ROOMS
def test_one_member_does_the_work(room: Room) -> None:
    pages = [room.page(room.anna, str(number)) for number in range(20)]
    ben = room.join("ben")
    room.meet()
    room.join("cleo")
    room.meet()
    for page in pages:
        publishers = {row.publisher for row in room.anna.store.states.of(page)}
        assert publishers == {room.anna.device}
    assert room.anna.store.states.content(pages[0], ben.device) == []


def test_in_archives_nobody_publishes_states(tmp_path: Path) -> None:
    room = Room(tmp_path, Profile.ARCHIVE)
    page = room.page(room.anna, "one")
    ben = room.join("ben")
    room.meet()
    room.agree(page, "one")
    assert room.anna.store.states.of(page) == ben.store.states.of(page) == []
    room.world.close()


@pytest.mark.parametrize("room", [Profile.JOIN_ON], indirect=True)
def test_a_state_that_puts_words_into_anothers_mouth_is_refused(room: Room) -> None:
    """Each part must be of the device it names, and in the log of its own document."""
    page = room.page(room.anna, "one")
    other = room.page(room.anna, "other")
    ben = room.join("ben")
    room.meet()
    content = ben.run(lambda e: e.queries.content(page))
    (part,) = state_of(content.full_update(), page, [room.anna.device])
    for document, author in ((page, ben.device), (other, room.anna.device)):
        state = StateBody(document, {}, pack([(author, part[1])]))

        def publish(engine: Engine, state: StateBody = state) -> None:
            replica = engine._groups.get(room.group)
            epoch = replica.current_epoch()
            assert epoch is not None
            engine._logs.sign_next(
                room.group,
                state_log(page),
                kind=KIND,
                body=encode_state(state),
                epoch=epoch.id,
                seal=replica.bodies.seal,
                previous=replica.heads(),
            )

        ben.run(publish)
    room.meet()
    log = room.anna.store.operations.of_log(LogKey(ben.device, state_log(page)))
    assert [item.state for item in log] == [OperationState.REFUSED] * 2
    assert room.anna.text(page) == "one"
