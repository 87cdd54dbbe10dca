"""Keeps a QTextDocument and one text of a `Replica` the same, both ways, at every step.

Local: Qt edits its document (keys, input methods, drag and drop, screen readers); each
`contentsChange` is compared with the replica and only what differs goes into the replica, so that
an edit Qt reports too broadly never deletes and rewrites other people's text.

Remote: `Changes` from the replica are applied to the document with the caret kept where it is.

Positions are UTF-16 code units on both sides and equal: a line's end in Qt is the newline in the
text, and carries the line's attributes. The last line has no newline, hence no attributes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QTextBlock, QTextCursor, QTextDocument

from lutra.documents.delta import Delete, Insert, Retain, Span, utf16_length
from lutra_app.editor.formats import (
    Attributes,
    Formats,
    as_block,
    as_marks,
    block_of,
    kind_of,
    place_of,
)
from lutra_app.editor.pieces import (
    Piece,
    append_piece,
    common_head,
    common_tail,
    decode,
    encode,
    encode_line,
    fragments,
    merged,
    normal_pieces,
    shown,
    side_by_side,
)

Delta = Sequence[Retain | Insert | Delete]


class TextModel(Protocol):
    """One text of a replica: the body, or the title."""

    def spans(self, start: int, end: int) -> Sequence[Span]:
        """Return the text between two positions with its attributes."""
        ...

    def length(self) -> int:
        """Return how long the text is, in UTF-16 code units."""
        ...

    def edit(self, position: int, delete: int, insert: str, attributes: Attributes) -> None:
        """Replace text."""
        ...

    def format(self, start: int, end: int, name: str, value: object) -> None:
        """Set (or with None remove) one attribute."""
        ...

    def as_one(self) -> AbstractContextManager[None]:
        """Make the edits of a `with` block one step of undo."""
        ...


class Binding(QObject):
    """Binds one document to one text.

    Signals:
        edited: the person's own edit is in the replica.
        changed: the document's text changed, by whomever.
        line_appended: a newline was put at this position, the end of the text, to carry a line's
            attributes; a caret that stood there stays before it.
    """

    edited = Signal()
    changed = Signal()
    line_appended = Signal(int)

    def __init__(
        self, document: QTextDocument, model: TextModel, formats: Formats, *, plain: bool = False
    ) -> None:
        super().__init__(document)
        self._document = document
        self._model = model
        self._formats = formats
        self._plain = plain
        self._applying = 0
        self._stale: list[tuple[int, int]] = []
        document.setUndoRedoEnabled(False)
        document.contentsChange.connect(self._on_contents_change)
        document.contentsChanged.connect(self._on_contents_changed)

    def release(self) -> None:
        """Let go of the document: its changes are nobody's edits any more."""
        self._document.contentsChange.disconnect(self._on_contents_change)
        self._document.contentsChanged.disconnect(self._on_contents_changed)
        self.deleteLater()

    # -- the whole document --------------------------------------------------------------

    def load(self) -> None:
        """Fill the document from the replica."""
        spans = self._model.spans(0, self._model.length())
        with self._quietly() as cursor:
            cursor.select(QTextCursor.SelectionType.Document)
            cursor.removeSelectedText()
            cursor.setBlockFormat(self._formats.block({}))
            cursor.setBlockCharFormat(self._formats.char({}, ""))
            self._insert(cursor, spans)
        self.changed.emit()

    def restyle(self, formats: Formats) -> None:
        """Draw everything in other formats; the text stays as it is."""
        self._formats = formats
        with self._quietly():
            block = self._document.begin()
            while block.isValid():
                self._set_block(block, block_of(block))
                block = block.next()

    def text(self) -> str:
        """Return the document's text with a newline between lines."""
        return "".join(decode(piece.data) for piece in self._pieces(0, self._length()))

    def pieces(self) -> list[Piece]:
        """Return the document's text and attributes as the replica would state them."""
        return self._pieces(0, self._length())

    @contextmanager
    def layout_only(self) -> Iterator[None]:
        """Change margins of the document's frame: nothing of it is an edit."""
        self._applying += 1
        try:
            yield
        finally:
            self._applying -= 1

    # -- formatting asked for by the person ----------------------------------------------

    def set_mark(self, start: int, end: int, name: str, value: object) -> None:
        """Set (None: remove) a mark between two positions; line ends stay without marks."""
        if self._plain:
            return
        with self._model.as_one():
            for first, last in self._line_parts(start, end):
                self._model.format(first, last, name, value)
        with self._quietly():
            self._mark(start, end, {name: value})
        self.edited.emit()

    def set_block(self, start: int, end: int, attributes: dict[str, object]) -> None:
        """Change attributes (None: remove) of each line that meets a range of positions."""
        if self._plain:
            return
        last = self._document.findBlock(end)
        if not last.next().isValid():
            self._append_line()
            last = self._document.findBlock(end)
        block = self._document.findBlock(start)
        with self._model.as_one(), self._quietly():
            while block.isValid() and block.blockNumber() <= last.blockNumber():
                newline = block.position() + block.length() - 1
                now = block_of(block)
                for name, value in attributes.items():
                    if now.get(name) != value:
                        self._model.format(newline, newline + 1, name, value)
                self._set_block(block, merged(now, attributes))
                block = block.next()
        self.edited.emit()

    def as_one(self) -> AbstractContextManager[None]:
        """Make all edits of a `with` block one step of undo."""
        return self._model.as_one()

    def insert(self, cursor: QTextCursor, spans: Sequence[Span]) -> None:
        """Replace a cursor's selection by spans, as an edit of the person."""
        start = cursor.selectionStart()
        removed = cursor.selectionEnd() - start
        position = start
        with self._model.as_one():
            if removed:
                self._model.edit(start, removed, "", {})
            for span in spans:
                self._model.edit(position, 0, span.text, span.attributes)
                position += utf16_length(span.text)
        delta = [Retain(start), Delete(removed), *(Insert(s.text, s.attributes) for s in spans)]
        self.apply([part for part in delta if not isinstance(part, Delete) or part.length])
        cursor.setPosition(position)
        self.edited.emit()

    def _append_line(self) -> None:
        """Give the last line a newline, so that it can have attributes."""
        end = self._length()
        self._model.edit(end, 0, "\n", {})
        with self._quietly() as cursor:
            cursor.setPosition(end)
            self._insert(cursor, [Span("\n", {})])
        self.line_appended.emit(end)

    # -- from the replica to Qt ----------------------------------------------------------

    def apply(self, delta: Delta) -> None:
        """Apply what the replica says has changed."""
        if not delta:
            return
        with self._quietly() as cursor:
            position = 0
            for part in delta:
                match part:
                    case Retain():
                        if part.attributes:
                            self._retain(position, position + part.length, part.attributes)
                        position += part.length
                    case Insert():
                        cursor.setPosition(position)
                        self._insert(cursor, [Span(part.text, part.attributes)])
                        position += utf16_length(part.text)
                    case Delete():
                        self._delete(cursor, position, part.length)
        self.changed.emit()

    def _insert(self, cursor: QTextCursor, spans: Sequence[Span]) -> None:
        """Insert at the cursor; each newline ends the line it stands in with its attributes."""
        after = block_of(cursor.block())
        for span in spans:
            marks = {} if self._plain else merged(as_marks(span.attributes), {})
            ends = {} if self._plain else merged(as_block(span.attributes), {})
            lines = span.text.split("\n")
            for index, line in enumerate(lines):
                if line:
                    cursor.insertText(shown(line), self._formats.char(marks, ""))
                if index < len(lines) - 1:
                    # The new line takes over the format of the old; the line before is restyled.
                    cursor.insertBlock()
                    self._set_block(cursor.block().previous(), ends)
        self._set_block(cursor.block(), after)

    def _delete(self, cursor: QTextCursor, position: int, length: int) -> None:
        end = self._document.findBlock(position + length)
        kept = block_of(end)
        cursor.setPosition(position)
        cursor.setPosition(position + length, QTextCursor.MoveMode.KeepAnchor)
        cursor.removeSelectedText()
        self._set_block(cursor.block(), kept)

    def _retain(self, start: int, end: int, attributes: Attributes) -> None:
        marks, ends = as_marks(attributes), as_block(attributes)
        if marks:
            self._mark(start, end, marks)
        if not ends:
            return
        block = self._document.findBlock(start)
        while block.isValid() and block.position() < end:
            newline = block.position() + block.length() - 1
            if start <= newline < end and block.next().isValid():
                self._set_block(block, merged(block_of(block), ends))
            block = block.next()

    def _mark(self, start: int, end: int, marks: Attributes) -> None:
        cursor = QTextCursor(self._document)
        for block, first, last, now in list(self._runs(start, end)):
            char = self._formats.char(merged(now, marks), kind_of(block))
            cursor.setPosition(first)
            cursor.setPosition(last, QTextCursor.MoveMode.KeepAnchor)
            cursor.setCharFormat(char)

    def _set_block(self, block: QTextBlock, attributes: Attributes) -> None:
        """Give a line attributes and draw it and its characters accordingly."""
        kind = str(attributes.get("block", ""))
        cursor = QTextCursor(block)
        if block_of(block) != attributes:
            cursor.setBlockFormat(self._formats.block(attributes))
        for line in (block.previous(), block, block.next()):
            if line.isValid():
                self._set_space(line)
        plain = self._formats.char({}, kind)
        if block.charFormat() != plain:
            cursor.setBlockCharFormat(plain)
        start = block.position()
        for _, first, last, marks in list(self._runs(start, start + block.length() - 1)):
            wanted = self._formats.char(marks, kind)
            cursor.setPosition(first)
            cursor.setPosition(last, QTextCursor.MoveMode.KeepAnchor)
            if cursor.charFormat() != wanted:
                cursor.setCharFormat(wanted)

    def _set_space(self, block: QTextBlock) -> None:
        """Give a line the space its neighbours call for, and its look in these formats."""
        wanted = self._formats.block(block_of(block), place_of(block))
        if block.blockFormat() != wanted:
            QTextCursor(block).setBlockFormat(wanted)

    # -- from Qt to the replica ----------------------------------------------------------

    def _on_contents_change(self, position: int, removed: int, added: int) -> None:
        if self._applying:
            return
        # Qt counts a newline after the last line in some reports; the text has none.
        old_end = min(position + removed, self._model.length())
        new_end = min(position + added, self._length())
        last = self._document.findBlock(new_end)
        block_end = min(last.position() + last.length(), self._length())
        with self._model.as_one():
            self._write_text(position, old_end, new_end)
            self._write_attributes(position, max(new_end, block_end))
        self._stale.append((position, new_end))

    def _write_text(self, position: int, old_end: int, new_end: int) -> None:
        new = b"".join(piece.data for piece in self._pieces(position, new_end))
        if old_end == position:
            self._write_pieces(position, new_end)
            return
        old = b"".join(encode(span.text) for span in self._model.spans(position, old_end))
        if old == new:
            return
        head = common_head(old, new)
        tail = common_tail(old[head:], new[head:])
        deleted = (len(old) - head - tail) // 2
        start = position + head // 2
        if deleted:
            self._model.edit(start, deleted, "", {})
        self._write_pieces(start, new_end - tail // 2)

    def _write_pieces(self, start: int, end: int) -> None:
        for piece in self._pieces(start, end):
            self._model.edit(start, 0, decode(piece.data), dict(piece.attributes))
            start += len(piece.data) // 2

    def _write_attributes(self, start: int, end: int) -> None:
        """Let the replica's attributes follow the document's where they differ."""
        if self._plain:
            return
        wanted = self._pieces(start, end)
        actual = normal_pieces(self._model.spans(start, end))
        for first, last, new, old in side_by_side(wanted, actual, start):
            if new == old:
                continue
            after, before = dict(new), dict(old)
            for name in sorted(after.keys() | before.keys()):
                if after.get(name) != before.get(name):
                    self._model.format(first, last, name, after.get(name))

    def _on_contents_changed(self) -> None:
        if self._applying:
            return
        if not self._stale:
            return
        stale, self._stale = self._stale, []
        end = self._document.lastBlock()
        if block_of(end) and not self._plain:
            # A line with attributes needs a newline to keep them on.
            kept = block_of(end)
            with self._quietly():
                self._set_block(end, {})
            self.set_block(end.position(), end.position(), kept)
        with self._quietly():
            for first, last in stale:
                block = self._document.findBlock(min(first, self._length()))
                while block.isValid() and block.position() <= last:
                    self._set_block(block, block_of(block))
                    block = block.next()
        self.changed.emit()
        self.edited.emit()

    # -- reading the document ------------------------------------------------------------

    def _length(self) -> int:
        return self._document.characterCount() - 1

    def _pieces(self, start: int, end: int) -> list[Piece]:
        """Return the document between two positions as runs of equal attributes."""
        pieces: list[Piece] = []
        block = self._document.findBlock(start)
        while block.isValid() and block.position() < end:
            base, line = block.position(), encode_line(block)
            for first, last, marks in fragments(block, start, end):
                data = line[2 * (first - base) : 2 * (last - base)]
                append_piece(pieces, data, {} if self._plain else marks)
            newline = base + block.length() - 1
            if start <= newline < end and block.next().isValid():
                append_piece(pieces, encode("\n"), {} if self._plain else block_of(block))
            block = block.next()
        return pieces

    def _runs(
        self, start: int, end: int
    ) -> Iterator[tuple[QTextBlock, int, int, dict[str, object]]]:
        block = self._document.findBlock(start)
        while block.isValid() and block.position() < end:
            for first, last, marks in fragments(block, start, end):
                yield block, first, last, marks
            block = block.next()

    def _line_parts(self, start: int, end: int) -> list[tuple[int, int]]:
        parts: list[tuple[int, int]] = []
        block = self._document.findBlock(start)
        while block.isValid() and block.position() < end:
            first = max(start, block.position())
            last = min(end, block.position() + block.length() - 1)
            if first < last:
                parts.append((first, last))
            block = block.next()
        return parts

    @contextmanager
    def _quietly(self) -> Iterator[QTextCursor]:
        """Edit the document without telling the replica; one layout for all of it."""
        cursor = QTextCursor(self._document)
        self._applying += 1
        cursor.beginEditBlock()
        try:
            yield cursor
        finally:
            cursor.endEditBlock()
            self._applying -= 1
