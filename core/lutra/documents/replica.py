"""An editor window's own copy of a document.

It lives on the window's thread, so that typing never waits for the node: edits go into the copy
at once and travel to the node as updates. Positions and lengths are UTF-16 units, as in Qt.
Only one thread may use a `Replica`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from loro import (
    Cursor,
    Diff,
    DiffEvent,
    EventTriggerKind,
    ExportMode,
    PositionType,
    Side,
    TextDelta,
)

from lutra.documents import crdt
from lutra.documents.delta import (
    Attributes,
    AttributeValue,
    Delete,
    Delta,
    Insert,
    Retain,
    Span,
    Step,
    compose,
    invert,
    normalised,
    to_utf16,
)
from lutra.documents.errors import DamagedUpdateError, DocumentStateError, EditRangeError
from lutra.documents.undo import Edit, EditKind, Entry, Root, UndoStack

if TYPE_CHECKING:
    from loro import ContainerID, LoroText

_SIDES: Final = {-1: Side.Left, 0: Side.Middle, 1: Side.Right}


@dataclass(frozen=True, slots=True)
class Changes:
    """What a window must repeat in the texts it shows; lengths in UTF-16 units."""

    body: Delta = ()
    title: Delta = ()

    def __bool__(self) -> bool:
        return bool(self.body or self.title)


class Replica:
    """Edits, updates, undo and cursors of one editor window."""

    def __init__(
        self, snapshot: bytes, peer: int, *, clock: Callable[[], float] = time.time
    ) -> None:
        """Open the copy.

        Args:
            snapshot: from `Document.snapshot`; holds all edits ever made under ``peer``.
            peer: this window's Loro peer id, from `peer_id` with a slot nobody else uses now.
            clock: seconds since 1970; dates edits and groups them for undo.

        Raises:
            DocumentStateError: the snapshot cannot be read.
        """
        self.peer = peer
        self._clock = clock
        self._doc = crdt.new_loro_doc(peer)
        self._edits = crdt.EditGuard(self._doc)
        try:
            self._doc.import_(snapshot)
            crdt.read_all(self._doc)
        except BaseException as error:
            crdt.abandon(self._doc, error)
            if crdt.is_loro_failure(error):
                raise DocumentStateError("The document cannot be opened for editing.") from error
            raise
        self._texts: dict[Root, LoroText] = {
            "body": self._doc.get_text(crdt.BODY),
            "title": self._doc.get_text(crdt.TITLE),
        }
        self._undo = UndoStack()
        self._taken = self._end()
        # The callback must not refer to self: Python could not free the pair promptly.
        events: list[DiffEvent] = []
        self._events = events
        self._subscription = self._doc.subscribe_root(events.append)

    # Reading

    @property
    def title(self) -> str:
        """The title as it is now."""
        return self._texts["title"].to_string()

    @property
    def body(self) -> str:
        """The body without formatting, as it is now."""
        return self._texts["body"].to_string()

    @property
    def body_length(self) -> int:
        """The length of the body in UTF-16 units."""
        return self._texts["body"].len_utf16

    @property
    def title_length(self) -> int:
        """The length of the title in UTF-16 units."""
        return self._texts["title"].len_utf16

    def body_spans(self, start: int = 0, end: int | None = None) -> list[Span]:
        """Return the body, or a stretch of it, with its formatting.

        Raises:
            EditRangeError: outside the text or inside a surrogate pair.
        """
        text = self._texts["body"]
        if start == 0 and end is None:
            return crdt.spans_of(text.to_delta())
        last = text.len_unicode if end is None else self._code_points(text, end)
        return crdt.reader_of(text)(self._code_points(text, start), last)

    @property
    def version(self) -> bytes:
        """Everything this copy knows, in a form for `Document.updates_since`."""
        self._commit()
        return self._doc.oplog_vv.encode()

    # Editing

    def edit_body(
        self, position: int, delete: int, insert: str, attributes: Attributes | None = None
    ) -> None:
        """Replace a stretch of the body.

        Args:
            position: where.
            delete: how much is removed.
            insert: the new text.
            attributes: exactly these are set on it; None lets it take on those around it.

        Raises:
            EditRangeError: outside the text, inside a surrogate pair, or ``insert`` is not valid
                Unicode; nothing changed.
        """
        self._edit("body", position, delete, insert, attributes)

    def edit_title(self, position: int, delete: int, insert: str) -> None:
        """Replace a stretch of the title; see `edit_body`."""
        self._edit("title", position, delete, insert, None)

    def format_body(self, start: int, end: int, name: str, value: AttributeValue) -> None:
        """Set a mark or block attribute on a stretch of the body; None takes it away.

        Raises:
            EditRangeError: the stretch is empty, outside the text or cuts a surrogate pair.
        """
        text = self._texts["body"]
        first, last = self._code_points(text, start), self._code_points(text, end)
        if first >= last:
            raise EditRangeError("There is nothing to format.")
        delta = (Retain(first), Retain(last - first, {name: value}))
        way_back = invert(delta, crdt.reader_of(text))
        with self._edits:
            crdt.set_attribute(text, first, last, name, value)
        self._undo.record(Edit("body", "other", first, last), way_back, self._clock())

    # Updates

    def take_updates(self) -> bytes | None:
        """Return the edits made here since the last call as one update, or None."""
        self._commit()
        end = self._end()
        if end == self._taken:
            return None
        update = crdt.export_ranges(self._doc, {self.peer: (self._taken, end)})
        self._taken = end
        return update

    def import_updates(self, *updates: bytes) -> Changes:
        """Take in edits of others, as they come from the node; several at once are cheaper.

        Raises:
            DamagedUpdateError: an update cannot be read; open the document again.
        """
        self._commit()
        # Edits made here and not yet taken stay to be taken.
        all_taken = self._taken == self._end()
        old = {root: _old_text(text) for root, text in self._texts.items()}
        self._events.clear()
        try:
            crdt.import_all(self._doc, updates)
        except BaseException as error:
            if crdt.is_loro_failure(error):
                self._edits.give_up(error)
                raise DamagedUpdateError("An edit is damaged and was not shown.") from error
            raise
        deltas = self._imported()
        if all_taken:
            self._taken = self._end()
        for root, delta in deltas.items():
            self._undo.rebase(root, delta)
        return Changes(
            body=self._to_utf16("body", deltas.get("body", ()), old["body"]),
            title=self._to_utf16("title", deltas.get("title", ()), old["title"]),
        )

    def updates_since(self, version: bytes) -> bytes:
        """Return the edits of everybody that are not in ``version``."""
        self._commit()
        return self._doc.export(ExportMode.Updates(crdt.version_of(version)))

    # Undo

    @property
    def can_undo(self) -> bool:
        """There is an own edit to take back."""
        return self._undo.can_undo

    @property
    def can_redo(self) -> bool:
        """There is an undone edit to make again."""
        return self._undo.can_redo

    def undo(self) -> Changes | None:
        """Take back the last group of own edits and nobody else's; None if there is none."""
        entry = self._undo.pop_undo()
        if entry is None:
            return None
        changes, way_back = self._apply(entry)
        self._undo.push_redo(way_back)
        return changes

    def redo(self) -> Changes | None:
        """Make the last undone group of edits again; None if there is none."""
        entry = self._undo.pop_redo()
        if entry is None:
            return None
        changes, way_back = self._apply(entry)
        self._undo.push_undo(way_back)
        return changes

    @contextmanager
    def undo_as_one(self) -> Generator[None]:
        """Make all edits of a `with` block one step of undo."""
        self._undo.begin_joining()
        try:
            yield
        finally:
            self._undo.end_joining()

    def close_undo_group(self) -> None:
        """Let the next edit be undone by itself, as after the caret was moved."""
        self._undo.close_group()

    # Cursors

    def cursor(self, root: Root, position: int, side: int = 0) -> bytes:
        """Return a cursor that keeps its place while others edit.

        Args:
            root: "body" or "title".
            position: in UTF-16 units.
            side: -1 stays with the character before, 1 with the one after, 0 lets Loro choose.

        Raises:
            EditRangeError: outside the text or inside a surrogate pair.
        """
        text = self._texts[root]
        with self._edits:
            cursor = text.get_cursor(self._code_points(text, position), _SIDES[side])
        if cursor is None:
            raise EditRangeError("A cursor lies outside the text.")
        return cursor.encode()

    def resolve(self, cursor: bytes) -> tuple[Root, int] | None:
        """Return the text and position of a cursor, or None if this copy cannot place it."""
        try:
            decoded = Cursor.decode(cursor)
            root = _root_of(decoded.container)
            if root is None:
                return None
            position = self._doc.get_cursor_pos(decoded).current.pos
        except BaseException as error:
            # Cursors come from other devices: unreadable or pointing at edits not here yet.
            if crdt.is_loro_failure(error):
                return None
            raise
        text = self._texts[root]
        return root, _utf16_position(text, min(position, text.len_unicode))

    def _edit(
        self, root: Root, position: int, delete: int, insert: str, attributes: Attributes | None
    ) -> None:
        text = self._texts[root]
        start = self._code_points(text, position)
        length = self._code_points(text, position + delete) - start if delete else 0
        if length < 0:
            raise EditRangeError("An edit cannot remove a negative length.")
        removed = crdt.reader_of(text)(start, start + length) if length else []
        with self._edits:
            if length:
                text.splice(start, length, insert)
            else:
                text.insert(start, insert)
            if insert and attributes is not None:
                crdt.set_exactly(text, start, start + len(insert), attributes)
        way_back = normalised(
            [
                Retain(start),
                Delete(len(insert)),
                *(Insert(part.text, part.attributes) for part in removed),
            ]
        )
        kind: EditKind = "other"
        if not delete:
            kind = "insert"
        elif not insert:
            kind = "delete"
        edit = Edit(root, kind, start, start + (len(insert) or length), insert)
        self._undo.record(edit, way_back, self._clock())

    def _apply(self, entry: Entry) -> tuple[Changes, Entry]:
        """Carry out an undo entry; return what changed and the way back."""
        text = self._texts[entry.root]
        old = _old_text(text)
        way_back = invert(entry.delta, crdt.reader_of(text))
        at = 0
        with self._edits:
            for step in entry.delta:
                match step:
                    case Insert(inserted, attributes):
                        text.insert(at, inserted)
                        crdt.set_exactly(text, at, at + len(inserted), attributes)
                        at += len(inserted)
                    case Delete(length):
                        text.delete(at, length)
                    case Retain(length, attributes):
                        for name, value in attributes.items():
                            crdt.set_attribute(text, at, at + length, name, value)
                        at += length
        shown = self._to_utf16(entry.root, entry.delta, old)
        changes = Changes(body=shown) if entry.root == "body" else Changes(title=shown)
        return changes, Entry(entry.root, way_back)

    def _imported(self) -> dict[Root, Delta]:
        deltas: dict[Root, Delta] = {}
        for event in self._events:
            # A batch of updates announces itself as a checkout.
            if event.triggered_by == EventTriggerKind.Local:
                continue
            for change in event.events:
                root = _root_of(change.target)
                if root is not None and isinstance(change.diff, Diff.Text):
                    delta = _delta_of(change.diff.diff)
                    deltas[root] = compose(deltas[root], delta) if root in deltas else delta
        self._events.clear()
        return deltas

    def _to_utf16(self, root: Root, delta: Delta, old_text: str | None) -> Delta:
        text = self._texts[root]
        if not delta:
            return ()
        if old_text is None and text.len_utf16 == text.len_unicode:
            return delta
        return to_utf16(delta, old_text, lambda position: _utf16_position(text, position))

    def _code_points(self, text: LoroText, position: int) -> int:
        """Return a UTF-16 position as one in code points."""
        units = text.len_utf16
        if 0 <= position <= units:
            if units == text.len_unicode:
                return position
            found = crdt.convert_position(text, position, PositionType.Utf16, PositionType.Unicode)
            if found is not None and _utf16_position(text, found) == position:
                return found
        raise EditRangeError("A position lies outside the text or inside a character.")

    def _commit(self) -> None:
        self._doc.commit_with(timestamp=int(self._clock()))

    def _end(self) -> int:
        last = self._doc.oplog_vv.get_last(self.peer)
        return 0 if last is None else last + 1


def _old_text(text: LoroText) -> str | None:
    """Return the text if code points and UTF-16 units differ in it, otherwise None."""
    return None if text.len_utf16 == text.len_unicode else text.to_string()


def _utf16_position(text: LoroText, position: int) -> int:
    found = crdt.convert_position(text, position, PositionType.Unicode, PositionType.Utf16)
    if found is None:
        raise EditRangeError("A position lies outside the text.")
    return found


def _root_of(container: ContainerID) -> Root | None:
    match getattr(container, "name", None):
        case crdt.BODY:
            return "body"
        case crdt.TITLE:
            return "title"
        case _:
            return None


def _delta_of(parts: Sequence[TextDelta]) -> Delta:
    steps: list[Step] = []
    for part in parts:
        if isinstance(part, TextDelta.Insert):
            steps.append(Insert(part.insert, crdt.attributes_of(part.attributes)))
        elif isinstance(part, TextDelta.Delete):
            steps.append(Delete(part.delete))
        elif isinstance(part, TextDelta.Retain):
            steps.append(Retain(part.retain, crdt.attributes_of(part.attributes)))
    return normalised(steps)
