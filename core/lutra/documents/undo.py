"""Undo and redo of one person's own edits.

Each entry is the delta that takes a group of own edits back, always written against the text as
it is now: edits of others rewrite all entries. That costs microseconds wherever the edit lies,
while going back through a long document's history takes tens of milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from lutra.documents.delta import Delta, compose, position_after, transform

Root = Literal["body", "title"]
EditKind = Literal["insert", "delete", "other"]

GROUP_PAUSE_SECONDS: Final = 0.5
MAX_ENTRIES: Final = 200


@dataclass(frozen=True, slots=True)
class Edit:
    """One own edit, as the grouping needs to see it.

    Attributes:
        root: text it was made in.
        kind: typing, deleting, or anything that stands alone.
        start: position where it begins, in code points.
        end: position after it: where typing or forward deletion would go on.
        text: what was inserted.
    """

    root: Root
    kind: EditKind
    start: int
    end: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """The way back from a group of edits in one text."""

    root: Root
    delta: Delta


class UndoStack:
    """Entries to undo and redo, newest last.

    A group goes on while edits of one kind follow each other at one place with pauses under half
    a second, and ends where a new word begins.
    """

    __slots__ = ("_last", "_last_time", "_redo", "_undo")

    def __init__(self) -> None:
        self._undo: list[Entry] = []
        self._redo: list[Entry] = []
        self._last: Edit | None = None
        self._last_time = 0.0

    @property
    def can_undo(self) -> bool:
        """There is an own edit to take back."""
        return bool(self._undo)

    @property
    def can_redo(self) -> bool:
        """There is an undone edit to make again."""
        return bool(self._redo)

    def record(self, edit: Edit, way_back: Delta, now: float) -> None:
        """Note an own edit.

        Args:
            edit: what was done.
            way_back: the delta that takes it back.
            now: seconds of any steady clock.
        """
        self._redo.clear()
        if not way_back:
            return
        if self._undo and self._continues(edit, now):
            group = self._undo[-1]
            self._undo[-1] = Entry(group.root, compose(way_back, group.delta))
        else:
            self._push(self._undo, Entry(edit.root, way_back))
        self._last = edit
        self._last_time = now

    def close_group(self) -> None:
        """Let the next edit begin a group of its own."""
        self._last = None

    def pop_undo(self) -> Entry | None:
        """Take out the newest entry; give its own way back to `push_redo`."""
        self._last = None
        return self._undo.pop() if self._undo else None

    def pop_redo(self) -> Entry | None:
        """Take out the newest undone entry; give its own way back to `push_undo`."""
        self._last = None
        return self._redo.pop() if self._redo else None

    def push_undo(self, entry: Entry) -> None:
        """Note the way back from a redone entry."""
        if entry.delta:
            self._push(self._undo, entry)

    def push_redo(self, entry: Entry) -> None:
        """Note the way back from an undone entry."""
        if entry.delta:
            self._push(self._redo, entry)

    def rebase(self, root: Root, remote: Delta) -> None:
        """Rewrite all entries after somebody else's edits."""
        if not remote:
            return
        self._undo = _rebased(self._undo, root, remote)
        self._redo = _rebased(self._redo, root, remote)
        if self._last is not None and self._last.root == root:
            self._last = _moved(self._last, remote)

    def _continues(self, edit: Edit, now: float) -> bool:
        last = self._last
        if last is None or edit.root != last.root or edit.kind != last.kind:
            return False
        if now - self._last_time >= GROUP_PAUSE_SECONDS:
            return False
        if edit.kind == "insert":
            begins_word = last.text[-1:].isspace() and not edit.text[:1].isspace()
            return edit.start == last.end and not begins_word and "\n" not in edit.text
        # Backspace ends where the last deletion began; the delete key stays at one place.
        return edit.kind == "delete" and last.start in {edit.start, edit.end}

    @staticmethod
    def _push(stack: list[Entry], entry: Entry) -> None:
        stack.append(entry)
        if len(stack) > MAX_ENTRIES:
            del stack[0]


def _rebased(stack: Sequence[Entry], root: Root, remote: Delta) -> list[Entry]:
    rebased: list[Entry] = []
    for entry in reversed(stack):
        if entry.root != root:
            rebased.append(entry)
            continue
        delta = transform(remote, entry.delta, earlier_first=True)
        remote = transform(entry.delta, remote, earlier_first=False)
        if delta:
            rebased.append(Entry(root, delta))
    rebased.reverse()
    return rebased


def _moved(edit: Edit, remote: Delta) -> Edit:
    start = position_after(edit.start, remote)
    return replace(edit, start=start, end=start + edit.end - edit.start)
