"""Keeps caret and view where they are while other people's edits come in."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtGui import QTextCursor
from PySide6.QtWidgets import QTextEdit

from lutra.documents.delta import Delete, Insert, Retain, utf16_length
from lutra_app.editor.binding import Delta


def moved(position: int, delta: Delta) -> int:
    """Return where a position is after `delta`; text inserted right at it goes behind it."""
    at = 0
    for part in delta:
        if at > position or (at == position and isinstance(part, Retain)):
            break
        match part:
            case Retain():
                at += part.length
            case Insert():
                length = utf16_length(part.text)
                if at < position:
                    position += length
                at += length
            case Delete():
                position -= min(part.length, position - at)
    return position


def end_of_change(delta: Delta) -> int | None:
    """Return the position right after the last change, or None if nothing changed."""
    at, end = 0, None
    for part in delta:
        match part:
            case Retain():
                at += part.length
                end = at if part.attributes else end
            case Insert():
                at += utf16_length(part.text)
                end = at
            case Delete():
                end = at
    return end


class Steady:
    """Remembers caret, selection and scroll position; `restore` puts them back in place.

    The view is held at the caret where that is in sight, otherwise at the first visible line.
    """

    def __init__(self, edit: QTextEdit) -> None:
        self._edit = edit
        cursor = edit.textCursor()
        self._anchor, self._position = cursor.anchor(), cursor.position()
        rect = edit.cursorRect(cursor)
        view = edit.viewport().rect()
        if view.top() <= rect.top() and rect.bottom() <= view.bottom():
            self._held = self._position
        else:
            self._held = edit.cursorForPosition(view.topLeft()).position()
        self._top = self._top_of(self._held)
        self._scroll = edit.verticalScrollBar().value()

    def restore(self, deltas: Sequence[Delta], *, follow: bool) -> None:
        """Put caret and view back after `deltas` were applied."""
        anchor, position, held = self._anchor, self._position, self._held
        target: int | None = None
        for delta in deltas:
            anchor, position, held = (moved(p, delta) for p in (anchor, position, held))
            target = end_of_change(delta) if follow else None
        cursor = self._edit.textCursor()
        if target is not None:
            cursor.setPosition(target)
            self._edit.setTextCursor(cursor)
            self._edit.ensureCursorVisible()
            return
        if (cursor.anchor(), cursor.position()) != (anchor, position):
            cursor.setPosition(anchor)
            cursor.setPosition(position, QTextCursor.MoveMode.KeepAnchor)
            self._edit.setTextCursor(cursor)
        bar = self._edit.verticalScrollBar()
        bar.setValue(self._scroll)
        shift = self._top_of(held) - self._top
        if shift:
            bar.setValue(self._scroll + shift)

    def _top_of(self, position: int) -> int:
        cursor = QTextCursor(self._edit.document())
        cursor.setPosition(min(position, self._edit.document().characterCount() - 1))
        return self._edit.cursorRect(cursor).top()
