"""The editor's copy: UTF-16 positions, changes to repeat, undo of own edits, cursors."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lutra.documents.delta import Delete, Delta, Insert, Retain, Span
from lutra.documents.document import Document
from lutra.documents.errors import DocumentStateError, EditRangeError
from lutra.documents.peers import peer_id
from lutra.documents.replica import Changes, Replica

ANA = b"a" * 32
BEN = b"b" * 32
PAGE = b"p" * 32

# Letters, a surrogate pair, a combining accent, Hebrew, Arabic, a joined family, line ends.
TEXTS = st.lists(
    st.sampled_from(["a", "b", " ", "\n", "😀", "\u0301", "ש", "ل", "👨‍👩‍👧", "é"]), max_size=6
).map("".join)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Screen:
    """What a window shows: applies changes to plain UTF-16, as Qt would."""

    def __init__(self, text: str) -> None:
        self.units = text.encode("utf-16-le")

    @property
    def text(self) -> str:
        return self.units.decode("utf-16-le")

    def splice(self, position: int, delete: int, insert: str) -> None:
        self.units = (
            self.units[: position * 2]
            + insert.encode("utf-16-le")
            + self.units[(position + delete) * 2 :]
        )

    def apply(self, delta: Delta) -> None:
        at = 0
        for step in delta:
            match step:
                case Insert(text):
                    self.splice(at, 0, text)
                    at += len(text.encode("utf-16-le")) // 2
                case Delete(length):
                    self.splice(at, length, "")
                case Retain(length):
                    at += length


def page(text: str = "", title: str = "") -> Document:
    document = Document.create(PAGE, ANA)
    document.splice(0, 0, text)
    document.splice_title(0, 0, title)
    return document


def window(document: Document, device: bytes = ANA, slot: int = 1, clock: Clock | None = None):
    return Replica(document.snapshot(), peer_id(device, PAGE, slot), clock=clock or Clock())


def type_in(replica: Replica, clock: Clock, position: int, text: str) -> None:
    for offset, letter in enumerate(text):
        clock.now += 0.1
        replica.edit_body(position + offset, 0, letter)


def exchange(*replicas: Replica) -> None:
    versions = [replica.version for replica in replicas]
    for target, version in zip(replicas, versions, strict=True):
        for source in replicas:
            if source is not target:
                target.import_updates(source.updates_since(version))


def test_edits_travel_through_the_node_to_another_window() -> None:
    document = page("Hello", "A page")
    left, right = window(document, slot=1), window(document, slot=2)
    left.edit_body(5, 0, " world")
    left.edit_title(6, 0, "!")
    update = left.take_updates()
    assert update is not None
    assert left.take_updates() is None
    document.apply_local(update)
    changes = right.import_updates(update)
    assert changes == Changes(body=(Retain(5), Insert(" world")), title=(Retain(6), Insert("!")))
    assert document.text == left.body == right.body == "Hello world"
    assert document.title == left.title == right.title == "A page!"


def test_positions_are_utf16() -> None:
    replica = window(page("a😀b"))
    replica.edit_body(3, 1, "c")
    assert replica.body == "a😀c"
    replica.edit_body(1, 2, "")
    assert replica.body == "ac"


@pytest.mark.parametrize(
    ("position", "delete", "insert"),
    [(2, 0, "x"), (0, 2, ""), (2, 1, ""), (5, 0, "x"), (0, 9, ""), (-1, 0, "x"), (3, -1, "")],
)
def test_an_edit_outside_the_text_or_inside_a_character_changes_nothing(
    position: int, delete: int, insert: str
) -> None:
    replica = window(page("a😀b"))
    with pytest.raises(EditRangeError):
        replica.edit_body(position, delete, insert)
    assert replica.body == "a😀b"
    assert replica.take_updates() is None
    assert not replica.can_undo


def test_a_lone_surrogate_is_refused() -> None:
    replica = window(page("ab"))
    with pytest.raises(EditRangeError):
        replica.edit_body(0, 1, "\ud83d")
    assert replica.body == "ab"


def test_a_damaged_snapshot_is_named() -> None:
    with pytest.raises(DocumentStateError):
        Replica(b"not a document", 1)


def test_given_attributes_are_exact_and_missing_ones_are_inherited() -> None:
    replica = window(page("bold plain\n"))
    replica.format_body(0, 4, "bold", True)
    replica.format_body(10, 11, "block", "h1")
    replica.edit_body(4, 0, "er")
    replica.edit_body(6, 0, "!", {})
    replica.edit_body(7, 0, "?", {"italic": True, "link": "https://example.org"})
    assert replica.body_spans() == [
        Span("bolder", {"bold": True}),
        Span("!"),
        Span("?", {"italic": True, "link": "https://example.org"}),
        Span(" plain"),
        Span("\n", {"block": "h1"}),
    ]


def test_undo_takes_back_words_and_redo_brings_them_again() -> None:
    clock = Clock()
    replica = window(page(), clock=clock)
    type_in(replica, clock, 0, "one two")
    clock.now += 1
    type_in(replica, clock, 7, "!")
    assert replica.undo() == Changes(body=(Retain(7), Delete(1)))
    assert replica.body == "one two"
    replica.undo()
    assert replica.body == "one "
    replica.undo()
    assert replica.body == ""
    assert not replica.can_undo
    assert replica.undo() is None
    for expected in ("one ", "one two", "one two!"):
        replica.redo()
        assert replica.body == expected
    assert replica.redo() is None


def test_backspacing_a_word_is_one_step() -> None:
    clock = Clock()
    replica = window(page("a 😀 word"), clock=clock)
    for position in (8, 7, 6, 5):
        clock.now += 0.1
        replica.edit_body(position, 1, "")
    assert replica.body == "a 😀 "
    assert replica.undo() == Changes(body=(Retain(5), Insert("word")))
    assert replica.body == "a 😀 word"


def test_undo_restores_formatting() -> None:
    replica = window(page("abcdef"))
    replica.format_body(1, 5, "bold", True)
    replica.format_body(2, 3, "bold", None)
    before = replica.body_spans()
    replica.edit_body(0, 6, "new")
    replica.undo()
    assert replica.body_spans() == before
    replica.undo()
    assert replica.body_spans() == [Span("a"), Span("bcde", {"bold": True}), Span("f")]
    replica.undo()
    assert replica.body_spans() == [Span("abcdef")]


def test_undo_leaves_the_edits_of_others() -> None:
    clock = Clock()
    document = page("shared text")
    mine, theirs = window(document, clock=clock), window(document, BEN, clock=clock)
    type_in(mine, clock, 6, "MINE")
    exchange(mine, theirs)
    theirs.edit_body(8, 0, "-theirs-")  # in the middle of my word
    theirs.edit_body(0, 1, "S")
    theirs.edit_title(0, 0, "Their title")
    exchange(mine, theirs)
    mine.undo()
    assert mine.body == "Shared-theirs- text"
    assert mine.title == "Their title"
    assert not mine.can_undo
    mine.redo()
    exchange(mine, theirs)
    assert mine.body == theirs.body
    assert set(mine.body) > set("MINE")


def test_a_word_stays_one_step_while_others_type() -> None:
    clock = Clock()
    document = page("....")
    mine, theirs = window(document, clock=clock), window(document, BEN, clock=clock)
    for count, letter in enumerate("word"):
        clock.now += 0.1
        mine.edit_body(4 + 3 * count, 0, letter)
        theirs.edit_body(0, 0, "x")
        theirs.edit_body(1, 0, "y")
        exchange(mine, theirs)
    assert mine.body == theirs.body == "xyxyxyxy....word"
    mine.undo()
    assert mine.body == "xyxyxyxy...."


def test_undo_does_not_reach_back_before_the_window_was_opened() -> None:
    first = window(page())
    first.edit_body(0, 0, "earlier")
    again = Replica(first.take_updates() or b"", first.peer)
    assert not again.can_undo


def test_cursors_stay_with_their_characters() -> None:
    document = page("one 😀 two")
    mine, theirs = window(document), window(document, BEN)
    cursor = mine.cursor("body", 7, 1)
    theirs.edit_body(0, 0, "😀😀 ")
    exchange(mine, theirs)
    assert mine.resolve(cursor) == ("body", 12)
    assert theirs.resolve(cursor) == ("body", 12)
    theirs.edit_body(8, 7, "")
    exchange(mine, theirs)
    assert mine.resolve(cursor) == theirs.resolve(cursor) == ("body", 8)
    assert mine.resolve(mine.cursor("title", 0)) == ("title", 0)


def test_a_cursor_that_makes_no_sense_resolves_to_nothing() -> None:
    replica = window(page("text"))
    stranger = window(Document.create(PAGE, BEN), BEN)
    stranger.edit_body(0, 0, "unknown here")
    assert replica.resolve(stranger.cursor("body", 3)) is None
    good = replica.cursor("body", 2)
    generator = random.Random(7)
    for _ in range(500):
        bad = bytearray(good)
        bad[generator.randrange(len(bad))] = generator.randrange(256)
        found = replica.resolve(bytes(bad[: generator.randrange(len(bad) + 1)]))
        assert found is None or 0 <= found[1] <= 4


EDITS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(["type", "delete", "format", "undo", "redo", "exchange", "wait"]),
        st.floats(0, 1),
        st.floats(0, 1),
        TEXTS,
    ),
    max_size=40,
)


def boundary(text: str, share: float) -> int:
    """A UTF-16 position between two code points."""
    return len(text[: round(share * len(text))].encode("utf-16-le")) // 2


@settings(max_examples=150, deadline=None)
@given(edits=EDITS, start=TEXTS)
def test_windows_converge_and_screens_follow(edits: list, start: str) -> None:
    clock = Clock()
    document = page(start)
    windows = [window(document, device, 1, clock) for device in (ANA, BEN, b"c" * 32)]
    screens = [Screen(start) for _ in windows]

    def meet() -> None:
        versions = [replica.version for replica in windows]
        for target, (replica, screen) in enumerate(zip(windows, screens, strict=True)):
            for source, other in enumerate(windows):
                if source != target:
                    screen.apply(replica.import_updates(other.updates_since(versions[target])).body)

    for who, what, first, second, text in edits:
        replica, screen = windows[who], screens[who]
        low, high = sorted((boundary(screen.text, first), boundary(screen.text, second)))
        match what:
            case "type":
                replica.edit_body(low, 0, text)
                screen.splice(low, 0, text)
            case "delete":
                replica.edit_body(low, high - low, text)
                screen.splice(low, high - low, text)
            case "format":
                if low < high:
                    replica.format_body(low, high, "bold", True if text else None)
            case "undo" | "redo":
                changes = replica.undo() if what == "undo" else replica.redo()
                screen.apply(changes.body if changes else ())
            case "exchange":
                meet()
            case _:
                clock.now += first
        assert replica.body == screen.text
    meet()
    assert windows[0].body_spans() == windows[1].body_spans() == windows[2].body_spans()
    assert {screen.text for screen in screens} == {windows[0].body}


@settings(max_examples=100, deadline=None)
@given(
    mine=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), TEXTS), min_size=1, max_size=8),
    start=TEXTS,
)
def test_undoing_everything_alone_restores_the_start(mine: list, start: str) -> None:
    replica = window(page(start))
    replica.format_body(0, boundary(start, 1), "bold", True) if start else None
    initial = replica.body_spans()
    replica = Replica(Document.load(PAGE, ANA, None, [replica.updates_since(b"\0")]).snapshot(), 5)
    for first, second, text in mine:
        low, high = sorted((boundary(replica.body, first), boundary(replica.body, second)))
        replica.edit_body(low, high - low, text)
    final = replica.body_spans()
    while replica.can_undo:
        replica.undo()
    assert replica.body_spans() == initial
    while replica.can_redo:
        replica.redo()
    assert replica.body_spans() == final


def test_edits_not_yet_taken_survive_an_import() -> None:
    document = Document.create(b"d" * 32, b"a" * 32)
    document.splice(0, 0, "base")
    snapshot = document.snapshot()
    mine = Replica(snapshot, peer_id(b"a" * 32, b"d" * 32, 1))
    theirs = Replica(snapshot, peer_id(b"b" * 32, b"d" * 32, 1))
    theirs.edit_body(0, 0, "theirs ")
    update = theirs.take_updates()
    assert update is not None
    mine.edit_body(4, 0, " mine")
    mine.import_updates(update)
    own = mine.take_updates()
    assert own is not None
    theirs.import_updates(own)
    assert theirs.body == mine.body == "theirs base mine"
