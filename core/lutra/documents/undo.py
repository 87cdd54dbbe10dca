"""Undo and redo of one person's own edits.

Each entry is the delta that takes a group of own edits back. The newest is written against the
text as it is now, the one below against the text after the newest was taken back, and so on. Edits
of others wait beside the newest entry and rewrite it only when it is needed, passing on to the
one below: receiving costs microseconds however long the stack is, and so does undo, while going
back through a long document's history would take tens of milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, Literal

from lutra.documents.delta import Delta, compose, position_after, transform

Root = Literal["body", "title"]
EditKind = Literal["insert", "delete", "other"]

GROUP_PAUSE_SECONDS: Final = 0.5
MAX_ENTRIES: Final = 200
MAX_JOINED_STEPS: Final = 2048


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
    """Entries to undo and redo.

    A group goes on while edits of one kind follow each other at one place with pauses under half
    a second, and ends where a new word begins.
    """

    __slots__ = ("_depth", "_joining", "_last", "_last_time", "_redo", "_undo")

    def __init__(self) -> None:
        self._undo = _Stack()
        self._redo = _Stack()
        self._last: Edit | None = None
        self._last_time = 0.0
        self._depth = 0
        self._joining = False

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
        joins = self._joining or self._continues(edit, now)
        group = self._undo.pop() if joins else None
        if group is not None and group.root == edit.root:
            self._undo.push(Entry(edit.root, compose(way_back, group.delta)))
        else:
            if group is not None:
                self._undo.push(group)
            self._undo.push(Entry(edit.root, way_back))
        self._last = edit
        self._last_time = now
        self._joining = self._depth > 0

    def begin_joining(self) -> None:
        """Let all edits until `end_joining` belong to one group, after the first one of them."""
        self._depth += 1

    def end_joining(self) -> None:
        """End what `begin_joining` began."""
        self._depth -= 1
        self._joining = self._joining and self._depth > 0

    def close_group(self) -> None:
        """Let the next edit begin a group of its own."""
        self._last = None

    def pop_undo(self) -> Entry | None:
        """Take out the newest entry; give its own way back to `push_redo`."""
        self._last = None
        return self._undo.pop()

    def pop_redo(self) -> Entry | None:
        """Take out the newest undone entry; give its own way back to `push_undo`."""
        self._last = None
        return self._redo.pop()

    def push_undo(self, entry: Entry) -> None:
        """Note the way back from a redone entry."""
        self._undo.push(entry)

    def push_redo(self, entry: Entry) -> None:
        """Note the way back from an undone entry."""
        self._redo.push(entry)

    def rebase(self, root: Root, remote: Delta) -> None:
        """Take somebody else's edits into account."""
        if not remote:
            return
        self._undo.rebase(root, remote)
        self._redo.rebase(root, remote)
        last = self._last
        if last is not None and last.root == root:
            start = position_after(last.start, remote)
            self._last = replace(last, start=start, end=start + last.end - last.start)

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


@dataclass(slots=True)
class _Level:
    """An entry and the edits of others that came since it was the newest, oldest first."""

    entry: Entry
    remote: dict[Root, list[Delta]] = field(default_factory=lambda: {"body": [], "title": []})

    def add(self, root: Root, delta: Delta) -> None:
        waiting = self.remote[root]
        waiting.append(delta)
        # Joining equals first keeps the work per edit logarithmic, as in a binary counter.
        while len(waiting) > 1 and len(waiting[-2]) <= len(waiting[-1]) <= MAX_JOINED_STEPS:
            newer = waiting.pop()
            waiting[-1] = compose(waiting[-1], newer)


class _Stack:
    __slots__ = ("_levels",)

    def __init__(self) -> None:
        self._levels: list[_Level] = []

    def __bool__(self) -> bool:
        return bool(self._levels)

    def clear(self) -> None:
        self._levels.clear()

    def push(self, entry: Entry) -> None:
        if entry.delta:
            self._levels.append(_Level(entry))
            if len(self._levels) > MAX_ENTRIES:
                del self._levels[0]

    def rebase(self, root: Root, remote: Delta) -> None:
        if self._levels:
            self._levels[-1].add(root, remote)

    def pop(self) -> Entry | None:
        """Take out the newest entry that still does something, written against the text now."""
        while self._levels:
            level = self._levels.pop()
            below = self._levels[-1] if self._levels else None
            own = level.entry.root
            delta = level.entry.delta
            for root, waiting in level.remote.items():
                for remote in waiting:
                    passed = remote
                    if root == own:
                        passed = transform(delta, remote, earlier_first=False)
                        delta = transform(remote, delta, earlier_first=True)
                    if below is not None and passed:
                        below.add(root, passed)
            if delta:
                return Entry(own, delta)
        return None
