"""The node's copy: updates checked, durable pieces equal the whole, nobody speaks for another."""

from __future__ import annotations

import json
import random
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lutra.codec import encode
from lutra.documents.body import MAX_UPDATE_BYTES, decode_body, encode_body, kept_form, read_kept
from lutra.documents.checkpoint import CheckpointPolicy
from lutra.documents.delta import Span
from lutra.documents.document import Document
from lutra.documents.errors import (
    CounterGapError,
    DamagedUpdateError,
    DocumentStateError,
    EditRangeError,
    ForeignPeerError,
)
from lutra.documents.export import to_json
from lutra.documents.peers import owns, peer_id
from lutra.documents.replica import Replica
from lutra.errors import LocalError, MalformedError

ANA = b"a" * 32
BEN = b"b" * 32
EVE = b"e" * 32
PAGE = b"p" * 32
TEXTS = st.text(st.sampled_from("ab \n😀\u0301ש"), max_size=6)


def blank(device: bytes) -> Document:
    """A copy of a document that somebody else made, before anything arrived."""
    return Document.load(PAGE, device, None, [])


def taken(document: Document) -> bytes:
    update = document.take_local()
    assert update is not None
    return update


# Peer ids


def test_peer_ids_belong_to_one_device_document_and_slot() -> None:
    ids = {
        peer_id(device, document, slot)
        for device in (ANA, BEN)
        for document in (PAGE, b"q" * 32)
        for slot in range(16)
    }
    assert len(ids) == 64
    assert all(0 <= peer < 2**64 for peer in ids)
    assert owns(ANA, PAGE, peer_id(ANA, PAGE, 15))
    assert not owns(BEN, PAGE, peer_id(ANA, PAGE, 15))
    assert not owns(ANA, b"q" * 32, peer_id(ANA, PAGE, 0))


@pytest.mark.parametrize("slot", [-1, 16])
def test_there_are_sixteen_slots(slot: int) -> None:
    with pytest.raises(LocalError):
        peer_id(ANA, PAGE, slot)


# Editing


def test_positions_count_code_points() -> None:
    document = Document.create(PAGE, ANA, schema="page", created=5)
    document.splice(0, 0, "a😀b")
    document.splice(1, 1, "é")
    document.splice(2, 1, "")
    document.splice_title(0, 0, "Title")
    assert (document.text, document.title, len(document)) == ("aé", "Title", 2)
    assert document.meta == {"schema": "page", "created": 5}


@pytest.mark.parametrize(
    ("position", "delete", "insert"),
    [(4, 0, "x"), (2, 2, ""), (2, 2, "x"), (-1, 0, "x"), (0, -1, "x"), (0, 1, "\ud800")],
)
def test_an_impossible_edit_changes_nothing(position: int, delete: int, insert: str) -> None:
    document = Document.create(PAGE, ANA)
    document.splice(0, 0, "a😀b")
    document.splice_title(0, 0, "a😀b")
    document.take_local()
    with pytest.raises(EditRangeError):
        document.splice(position, delete, insert)
    with pytest.raises(EditRangeError):
        document.splice_title(position, delete, insert)
    assert document.text == document.title == "a😀b"
    assert document.take_local() is None
    assert not document.broken


@given(TEXTS, TEXTS)
def test_replacing_a_text_reaches_it(old: str, new: str) -> None:
    document = Document.create(PAGE, ANA)
    document.splice(0, 0, old)
    document.replace_text(new)
    document.replace_title(new)
    assert document.text == document.title == new


def test_replacing_a_text_touches_only_what_differs() -> None:
    ana, ben = Document.create(PAGE, ANA), blank(BEN)
    ana.splice(0, 0, "The quick brown fox")
    ben.import_updates([taken(ana)], ANA)
    ana.replace_text("The slow brown fox")
    ben.splice(19, 0, " jumps")
    ben.import_updates([taken(ana)], ANA)
    assert ben.text == "The slow brown fox jumps"


def test_formatting_fields_and_export() -> None:
    document = Document.create(PAGE, ANA)
    document.insert_spans(0, [Span("Head"), Span("\n", {"block": "h1"}), Span("text\n")])
    document.format(5, 9, "bold", True)
    document.format(5, 6, "bold", None)
    document.set_field("due", "2026-12-01")
    document.set_field("gone", 1)
    document.set_field("gone", None)
    document.splice_title(0, 0, "T")
    exported = json.loads(json.dumps(to_json(document)))
    assert exported == {
        "title": "T",
        "meta": {"schema": "page"},
        "fields": {"due": "2026-12-01"},
        "text": "Head\ntext\n",
        "body": [
            {"text": "Head"},
            {"text": "\n", "attributes": {"block": "h1"}},
            {"text": "t"},
            {"text": "ext", "attributes": {"bold": True}},
            {"text": "\n"},
        ],
    }


# Updates in and out


def test_updates_of_somebody_else_are_refused_whole() -> None:
    ana, ben, eve = Document.create(PAGE, ANA), blank(BEN), blank(EVE)
    ana.splice(0, 0, "secret plan")
    update = taken(ana)
    eve.splice(0, 0, "evil")
    own = taken(eve)
    with pytest.raises(ForeignPeerError):
        ben.import_updates([own, update], EVE)
    with pytest.raises(ForeignPeerError):
        ben.apply_local(update)
    eve.import_updates([update], ANA)
    with pytest.raises(ForeignPeerError):
        ben.import_updates([eve.updates_since(ben.version)], EVE)
    assert ben.text == ""
    assert ben.waiting() is None
    assert not ben.broken
    ben.import_updates([own], EVE)
    assert ben.text == "evil"


def test_missing_edits_are_noticed() -> None:
    ana, ben = Document.create(PAGE, ANA), blank(BEN)
    updates = []
    for position, letter in enumerate("abc"):
        ana.splice(position, 0, letter)
        updates.append(taken(ana))
    ben.import_updates(updates[:1], ANA)
    with pytest.raises(CounterGapError):
        ben.import_updates(updates[2:], ANA)
    assert ben.text == "a"
    ben.import_updates(updates[1:], ANA)
    ben.import_updates(updates, ANA)  # again: nothing new
    assert ben.text == "abc"


def test_a_gap_inside_one_update_is_noticed() -> None:
    ana = Document.create(PAGE, ANA)
    pieces = []
    for letter in "abc":
        ana.splice(0, 0, letter)
        pieces.append(taken(ana))
    header, blocks = pieces[0][:22], [piece[22:] for piece in pieces]
    with pytest.raises(CounterGapError):
        blank(BEN).import_updates([header + blocks[0] + blocks[2]], ANA)


@pytest.mark.parametrize("cut", [0, 3, 21, 23, 30, -1])
def test_cut_off_updates_are_refused(cut: int) -> None:
    ana = Document.create(PAGE, ANA)
    ana.splice(0, 0, "text")
    update = taken(ana)[:cut]
    ben = blank(BEN)
    with pytest.raises(DamagedUpdateError):
        ben.import_updates([update], ANA)
    assert ben.text == ""


def test_a_snapshot_is_not_an_update() -> None:
    ana = Document.create(PAGE, ANA)
    ana.splice(0, 0, "text")
    with pytest.raises(DamagedUpdateError):
        blank(BEN).import_updates([ana.snapshot()], ANA)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_no_byte_of_an_update_can_be_changed(data: st.DataObject) -> None:
    ana = Document.create(PAGE, ANA)
    ana.splice(0, 0, "some text")
    ana.format(0, 4, "bold", True)
    update = bytearray(taken(ana))
    # Bytes 4 to 15 of the header are reserved, and Loro does not look at them.
    at = data.draw(st.integers(0, 3) | st.integers(16, len(update) - 1))
    update[at] ^= data.draw(st.integers(1, 255))
    ben = blank(BEN)
    with pytest.raises((DamagedUpdateError, ForeignPeerError, CounterGapError)):
        ben.import_updates([bytes(update)], ANA)
    assert ben.text == ""


def test_edits_wait_for_those_they_build_on() -> None:
    ana, ben = Document.create(PAGE, ANA), blank(BEN)
    ana.splice(0, 0, "base")
    ana.splice_title(0, 0, "Old")
    first = taken(ana)
    ben.import_updates([first], ANA)
    ben.splice(4, 0, " more")
    ben.replace_title("New")
    second = taken(ben)
    ben.splice(9, 0, "!")
    third = taken(ben)

    cara = blank(EVE)
    cara.import_updates([second], BEN)
    cara.import_updates([third], BEN)  # no gap: the one before it waits here
    waiting = cara.waiting()
    assert cara.text == ""
    assert waiting is not None
    again = Document.load(PAGE, EVE, cara.snapshot(), [waiting])
    for document in (cara, again):
        assert document.title == ""
        document.import_updates([first], ANA)
        assert (document.text, document.title) == ("base more!", "New")
        assert document.waiting() is None


def test_the_title_is_read_anew_only_after_it_may_have_changed() -> None:
    ana, ben = Document.create(PAGE, ANA), blank(BEN)
    ana.splice_title(0, 0, "One")
    ben.import_updates([taken(ana)], ANA)
    assert ben.title == "One"
    ana.splice(0, 0, "body text about a title")
    ben.import_updates([taken(ana)], ANA)
    assert ben.title == "One"
    ana.splice_title(3, 0, " more")
    revision = ben.revision
    ben.import_updates([taken(ana)], ANA)
    assert ben.title == "One more"
    assert ben.revision > revision


def test_windows_of_one_device_publish_together() -> None:
    document = Document.create(PAGE, ANA)
    document.splice(0, 0, "node ")
    assert document.take_local() is not None
    windows = [Replica(document.snapshot(), peer_id(ANA, PAGE, slot)) for slot in (1, 2)]
    for number, window in enumerate(windows):
        window.edit_body(5, 0, f"window{number} ")
        update = window.take_updates()
        assert update is not None
        document.apply_local(update)
    assert document.take_local() is None
    update, counters = document.export_unpublished({})
    assert counters == document.own_counters
    assert set(counters) == {peer_id(ANA, PAGE, slot) for slot in range(3)}
    assert document.export_unpublished(counters) == (b"", counters)
    ben = blank(BEN)
    ben.import_updates([update], ANA)
    assert ben.text == document.text
    document.splice(0, 0, "x")
    update, later = document.export_unpublished(counters)
    ben.import_updates([update], ANA)
    assert ben.text == document.text
    assert later[document.peer] == counters[document.peer] + 1


def test_a_window_that_lost_an_update_is_refused() -> None:
    document = Document.create(PAGE, ANA)
    window = Replica(document.snapshot(), peer_id(ANA, PAGE, 1))
    window.edit_body(0, 0, "lost")
    window.take_updates()
    window.edit_body(4, 0, "kept")
    update = window.take_updates()
    assert update is not None
    with pytest.raises(CounterGapError):
        document.apply_local(update)


# Stored states


def test_a_stored_document_opens_without_an_update_that_cannot_be_applied() -> None:
    ana = Document.create(PAGE, ANA)
    snapshot = ana.snapshot(verified=True)
    ana.take_local()
    parts = []
    for letter in "abc":
        ana.splice(len(ana), 0, letter)
        parts.append(taken(ana))
    damaged = [parts[0], b"loro-nonsense", *parts[1:]]
    document = Document.load(PAGE, ANA, snapshot, damaged)
    assert (document.text, document.skipped) == ("abc", 1)
    with pytest.raises(DocumentStateError):
        Document.load(PAGE, ANA, b"nonsense", [])
    with pytest.raises(DocumentStateError):
        document.updates_since(b"\xff\xff")


EDITS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(["edit", "title", "format", "crash", "publish", "sync", "compact"]),
        st.floats(0, 1),
        st.floats(0, 1),
        TEXTS,
    ),
    max_size=30,
)


class Device:
    """What the engine does with a document, in memory: drafts, log, snapshot and tail."""

    def __init__(self, device: bytes, document: Document) -> None:
        self.device = device
        self.document = document
        self.snapshot: bytes | None = None
        self.tail: list[bytes] = []
        self.drafts: list[bytes] = []
        self.published: dict[int, int] = {}
        self.log: list[bytes] = []
        self.read: dict[bytes, int] = {}
        self.save()

    def save(self) -> None:
        update = self.document.take_local()
        if update is not None:
            self.drafts.append(update)

    def publish(self) -> None:
        update, self.published = self.document.export_unpublished(self.published)
        if update:
            self.log.append(encode_body(update))
        self.tail += self.drafts
        self.drafts.clear()

    def crash(self) -> None:
        text = self.document.spans()
        parts = [*self.tail, *self.drafts]
        self.document = Document.load(PAGE, self.device, self.snapshot, parts)
        assert self.document.spans() == text
        assert self.document.skipped == 0

    def compact(self) -> None:
        if not self.drafts:
            self.snapshot = self.document.snapshot(verified=True)
            waiting = self.document.waiting()
            self.tail = [] if waiting is None else [waiting]

    def fetch(self, other: Device) -> None:
        new = [decode_body(body) for body in other.log[self.read.get(other.device, 0) :]]
        self.read[other.device] = len(other.log)
        if new:
            self.document.import_updates(new, other.device)
            self.tail += new


@settings(max_examples=120, deadline=None)
@given(EDITS)
def test_devices_converge_through_crashes_and_checkpoints(edits: list) -> None:
    devices = [Device(ANA, Document.create(PAGE, ANA))]
    devices += [Device(device, blank(device)) for device in (BEN, EVE)]
    for who, what, first, second, text in edits:
        device = devices[who]
        document = device.document
        size = len(document)
        low, high = sorted((round(first * size), round(second * size)))
        match what:
            case "edit":
                document.splice(low, high - low, text)
            case "title":
                document.splice_title(round(first * len(document.title)), 0, text)
            case "format":
                if low < high:
                    document.format(low, high, "bold", True if text else None)
            case "crash":
                device.crash()
            case "publish":
                device.publish()
            case "compact":
                device.compact()
            case _:
                device.fetch(devices[(who + 1) % 3])
        device.save()
    for device in devices:
        device.publish()
    for device in devices:
        for other in devices:
            if other is not device:
                device.fetch(other)
        device.crash()
    states = [(device.document.title, device.document.spans()) for device in devices]
    assert states[0] == states[1] == states[2]

    # A newcomer gets the same from one checkpoint per author, in any order.
    newcomer = blank(b"n" * 32)
    for device in reversed(devices):
        checkpoint = decode_body(encode_body(device.document.checkpoint()))
        if checkpoint:
            newcomer.import_updates([checkpoint], device.device)
    assert (newcomer.title, newcomer.spans()) == states[0]
    assert newcomer.waiting() is None


def test_a_checkpoint_and_the_tail_of_every_author_equal_the_history() -> None:
    ana, ben = Document.create(PAGE, ANA), blank(BEN)
    logs: dict[bytes, list[bytes]] = {ANA: [], BEN: []}
    for round_number in range(40):
        author, other = (ana, ben) if round_number % 2 else (ben, ana)
        author.splice(len(author) // 2, 0, f"word{round_number} ")
        author.splice(0, min(len(author), round_number % 3), "")
        update = taken(author)
        if round_number == 25:
            logs[author.device] = [author.checkpoint()]
        else:
            logs[author.device].append(update)
        other.import_updates([update], author.device)
    assert len(logs[ANA]) < 20
    cara = blank(EVE)
    cara.import_batch([(device, update) for device in (BEN, ANA) for update in logs[device]])
    assert cara.text == ana.text == ben.text


# Operation bodies


@given(st.binary(max_size=5000))
def test_bodies_round_trip(update: bytes) -> None:
    assert decode_body(encode_body(update)) == update


def test_long_updates_are_packed_and_short_ones_are_not() -> None:
    assert len(encode_body(b"word " * 1000)) < 200
    assert len(encode_body(b"k" * 90)) == 90 + 11


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"v": 2, "loro": b""},
        {"v": 1},
        {"v": 1, "loro": "text"},
        {"v": 1, "loro": b"", "more": 1},
        {"v": 1, "size": 3, "zlib": b"nonsense"},
        {"v": 1, "size": 0, "zlib": b""},
        {"v": 1, "size": MAX_UPDATE_BYTES + 1, "zlib": b"x"},
    ],
)
def test_other_bodies_are_refused(value: object) -> None:
    with pytest.raises(MalformedError):
        decode_body(encode(value))


@pytest.mark.parametrize("off", [-1, 1])
def test_a_body_must_unpack_to_the_size_it_states(off: int) -> None:
    data = b"word " * 1000
    body = encode({"v": 1, "size": len(data) + off, "zlib": zlib.compress(data)})
    with pytest.raises(MalformedError):
        decode_body(body)


# History and checkpoints


def test_history_shows_who_wrote_when_and_brings_any_moment_back() -> None:
    now = [1_700_000_000]
    ana = Document.create(PAGE, ANA, clock=lambda: now[0])
    ben = Document.load(PAGE, BEN, None, [], clock=lambda: now[0])
    ana.splice(0, 0, "first ")
    ben.import_updates([taken(ana)], ANA)
    now[0] += 3600
    ben.splice(6, 0, "second ")
    ana.import_updates([taken(ben)], BEN)
    now[0] += 3600
    ana.splice(0, 6, "")
    ana.take_local()
    changes = ana.history()
    assert [(change.peer == ana.peer, change.time) for change in changes] == [
        (True, 1_700_000_000),
        (False, 1_700_003_600),
        (True, 1_700_007_200),
    ]
    assert [ana.text_at(change.version) for change in changes] == [
        "first ",
        "first second ",
        "second ",
    ]
    ana.restore(changes[0].version)
    assert ana.text == "first "
    ben.import_updates([ana.checkpoint()], ANA)
    assert ben.text == "first "
    assert ben.text_at(changes[2].version) == "second "


def test_checkpoints_cost_a_constant_factor() -> None:
    policy = CheckpointPolicy()
    checkpoint = tail = operations = written = rewritten = 0
    for _ in range(200_000):
        written += 120
        tail += 120
        operations += 1
        if policy.due(checkpoint_bytes=checkpoint, tail_bytes=tail, tail_operations=operations):
            checkpoint = written  # as if nothing could be compacted
            rewritten += checkpoint
            tail = operations = 0
        assert tail <= max(checkpoint, policy.min_tail_bytes) + 120
    assert 0 < rewritten <= 2 * written


def test_short_tails_make_no_checkpoint() -> None:
    policy = CheckpointPolicy()
    assert not policy.due(checkpoint_bytes=0, tail_bytes=10**6, tail_operations=3)
    assert not policy.due(checkpoint_bytes=0, tail_bytes=10**3, tail_operations=10**3)
    assert not policy.due(checkpoint_bytes=10**6, tail_bytes=10**6 - 1, tail_operations=10**3)
    assert policy.due(checkpoint_bytes=10**6, tail_bytes=10**6, tail_operations=10**3)


def test_replacing_a_long_text_by_another_is_quick_and_exact() -> None:
    generator = random.Random(3)
    lines = ["".join(generator.choices("abcdefgh ", k=60)) for _ in range(3000)]
    others = ["".join(generator.choices("abcdefgh ", k=60)) for _ in range(3000)]
    document = Document.create(PAGE, ANA)
    for text in ("\n".join(lines), "\n".join(others), "\n".join(reversed(lines)), "short"):
        document.replace_text(text)
        assert document.text == text


def test_updates_are_kept_in_their_shorter_form() -> None:
    document = Document.create(PAGE, ANA)
    document.splice(0, 0, "a")
    letter = document.take_local() or b""
    document.splice(0, 0, "All otters hold hands. " * 400)
    page = document.take_local() or b""
    assert kept_form(letter, encode_body(letter)) == letter
    assert len(kept_form(page, encode_body(page))) < len(page) // 2
    for update in (letter, page):
        assert read_kept(kept_form(update, encode_body(update))) == update
        assert read_kept(update) == update
    with pytest.raises(MalformedError):
        read_kept(b"neither")
