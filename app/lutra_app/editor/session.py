"""One open page: editor, replica and node kept in step.

Keystrokes are in the replica at once and travel to the node as updates; the node makes them
durable and tells others. What others write arrives as events and is gathered for a moment, so that
a flood of small updates is drawn in few steps, each short.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QElapsedTimer, QObject, QTimer, Signal, SignalInstance

from lutra.documents.errors import EditRangeError
from lutra.documents.replica import Changes, Replica
from lutra.node.events import DocumentChanged, PresenceChanged
from lutra_app.bridge import Bridge
from lutra_app.editor.binding import Binding
from lutra_app.editor.carets import RemoteCaret
from lutra_app.editor.models import BodyModel, TitleModel
from lutra_app.editor.page import PageBody

if TYPE_CHECKING:
    from lutra.node.editor_session import EditorSession

_PRESENCE_MS = 60
_GATHER_MS = 4
_SLICE_MS = 10
_SLOW_SAVE_MS = 400
_MOST_GATHER_MS = 60
_LEAST_BATCH = 16
_FIRST_BATCH = 64
_MOST_BATCH = 1024


class PageSession(QObject):
    """One page in one window.

    Args:
        bridge: the way to the node.
        editor: the node's side of it.
        page: where it is shown.

    Attributes:
        refused: why the node did not take what was typed last, a sentence; empty if it takes all.
            What was typed is on the page, and here until it is saved again.

    Signals:
        saving: keystrokes take noticeably long to become durable (True), or are durable (False).
        settled: the node has answered everything that was handed over; `refused` says how.
        title_changed: the title is this now.
        people_changed: who is on the page: (name, device) pairs.
    """

    saving = Signal(bool)
    settled = Signal()
    title_changed = Signal(str)
    people_changed = Signal(list)

    def __init__(self, bridge: Bridge, editor: EditorSession, page: PageBody) -> None:
        super().__init__(page)
        self.document = editor.document
        self._bridge = bridge
        self._editor = editor
        self._page = page
        self._updates: deque[bytes] = deque()
        self._batch = _FIRST_BATCH
        self._presence: dict[bytes, PresenceChanged] = {}
        self._unsaved: list[bytes] = []
        self._under_way = 0
        self._closed = False
        self.refused = ""
        self._follow_title = ""
        self.replica = Replica(editor.snapshot, editor.peer)
        body, title = BodyModel(self.replica), TitleModel(self.replica)
        self.body = Binding(page.document(), body, page.formats())
        self.title = Binding(page.title.document(), title, page.title_formats(), plain=True)
        self._gather = self._timer(_GATHER_MS, self._take_in)
        self._tell_presence = self._timer(_PRESENCE_MS, self._send_presence)
        self._slow_save = self._timer(_SLOW_SAVE_MS, lambda: self.saving.emit(True))
        self._connect()
        self.title.load()
        self.body.load()
        page.bind(self.body)
        page.title.bind(self.title)
        page.arrange()

    def _timer(self, milliseconds: int, slot: Callable[[], None]) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(milliseconds)
        timer.timeout.connect(slot)
        return timer

    def _wires(self) -> list[tuple[SignalInstance, Callable[[], None]]]:
        """Return what connects the page, which outlives the session, with it."""
        page = self._page
        return [
            (page.undo_wanted, self.undo),
            (page.redo_wanted, self.redo),
            (page.composed, self._go_on),
            (page.cursorPositionChanged, self._moved),
            (page.selectionChanged, self._moved),
            (page.title.undo_wanted, self.undo),
            (page.title.redo_wanted, self.redo),
            (page.title.composed, self._go_on),
        ]

    def _connect(self) -> None:
        self.body.edited.connect(self.flush)
        self.title.edited.connect(self.flush)
        self.title.changed.connect(self._note_title)
        for signal, slot in self._wires():
            signal.connect(slot)

    def close(self) -> None:
        """Hand over what is left and give the editing place back."""
        if self._closed:
            return
        self.flush()
        self._closed = True
        for timer in (self._gather, self._tell_presence, self._slow_save):
            timer.stop()
        page = self._page
        for signal, slot in self._wires():
            signal.disconnect(slot)
        page.unbind()
        self.body.release()
        self.title.release()
        page.carets.show_all([])
        editor = self._editor
        self._bridge.ask(lambda _: editor.close())
        self.deleteLater()

    # -- own edits -----------------------------------------------------------------------

    def flush(self) -> None:
        """Hand the node what was typed since the last time."""
        if self._closed:
            return
        update = self.replica.take_updates()
        if update is None:
            return
        self._unsaved.append(update)
        self._hand_over(update)
        self._place_carets(wake=False)
        self._tell_presence.start()

    @property
    def unsaved(self) -> int:
        """How many hand-overs to the node are not durable yet."""
        return len(self._unsaved)

    @property
    def under_way(self) -> bool:
        """The node has not answered everything yet."""
        return self._under_way > 0

    def save_again(self) -> None:
        """Hand over once more what the node did not take; `settled` follows."""
        self.refused = ""
        for update in self._unsaved:
            self._hand_over(update)

    def let_go(self) -> None:
        """What is not saved here is kept elsewhere."""
        self.refused = ""
        self._unsaved.clear()

    def _hand_over(self, update: bytes) -> None:
        editor = self._editor
        self._under_way += 1
        if not self._slow_save.isActive():
            self._slow_save.start()

        def saved(_: None) -> None:
            self._unsaved.remove(update)
            self._answered()

        self._bridge.ask(lambda _: editor.apply(update), saved, self._not_saved)

    def _not_saved(self, message: str) -> None:
        # What follows on it is refused as well, for no reason that would tell a person anything.
        self.refused = self.refused or message
        self._answered()

    def _answered(self) -> None:
        self._under_way -= 1
        if self._closed or self._under_way:
            return
        self._slow_save.stop()
        if not self.refused:
            self.saving.emit(False)
        self.settled.emit()

    def undo(self) -> None:
        """Take back the person's own last edits."""
        if not self._composing and not self._page.isReadOnly():
            self._repeat(self.replica.undo())

    def redo(self) -> None:
        """Make the last undone edits again."""
        if not self._composing and not self._page.isReadOnly():
            self._repeat(self.replica.redo())

    def _repeat(self, changes: Changes | None) -> None:
        if changes is None:
            return
        self._page.apply(changes.body, follow=True)
        self._page.title.apply(changes.title)
        self.flush()

    def _note_title(self) -> None:
        title = self.replica.title
        if title != self._follow_title:
            self._follow_title = title
            self.title_changed.emit(title)

    # -- others' edits -------------------------------------------------------------------

    def take(self, event: DocumentChanged | PresenceChanged) -> None:
        """Take an event of this page."""
        if self._closed or event.document != self.document:
            return
        if isinstance(event, PresenceChanged):
            self._note_presence(event)
        elif event.slot != self._editor.slot:
            self._updates.extend(event.updates)
            self._go_on()

    @property
    def _composing(self) -> bool:
        """An input method is in the middle of a word: others' edits wait for its end."""
        return self._page.composing or self._page.title.composing

    def _go_on(self) -> None:
        if self._updates and not self._gather.isActive():
            self._gather.start()

    def _take_in(self) -> None:
        """Import a batch whose size adapts to what one short slice can hold."""
        if self._closed or not self._updates or self._composing:
            return
        self.flush()
        clock = QElapsedTimer()
        clock.start()
        count = min(self._batch, len(self._updates))
        updates = [self._updates.popleft() for _ in range(count)]
        changes = self.replica.import_updates(*updates)
        self._page.apply(changes.body)
        self._page.title.apply(changes.title)
        self._place_carets(wake=False)
        spent = clock.elapsed()
        if spent > _SLICE_MS:
            self._batch = max(_LEAST_BATCH, self._batch // 2)
        elif spent * 2 < _SLICE_MS and count == self._batch:
            self._batch = min(_MOST_BATCH, self._batch * 2)
        # A long paragraph takes its time to lay out anew, however small the change in it: keys and
        # painting get at least as much time as that.
        self._gather.setInterval(min(max(_GATHER_MS, spent), _MOST_GATHER_MS))
        if self._updates:
            self._gather.start()

    # -- presence ------------------------------------------------------------------------

    def _moved(self) -> None:
        if not self._tell_presence.isActive():
            self._tell_presence.start()

    def _send_presence(self) -> None:
        if self._closed:
            return
        cursor = self._page.textCursor()
        try:
            anchor = self.replica.cursor("body", cursor.anchor())
            head = self.replica.cursor("body", cursor.position())
        except EditRangeError:
            # While an input method composes, Qt's caret may lie outside the text.
            return
        editor = self._editor
        self._bridge.ask(lambda _: editor.set_presence(anchor, head))

    def _note_presence(self, event: PresenceChanged) -> None:
        if event.head is None:
            self._presence.pop(event.device, None)
        else:
            self._presence[event.device] = event
        self._place_carets(wake=True)
        people = [(item.name, item.device) for item in self._presence.values()]
        self.people_changed.emit(people)

    def _place_carets(self, *, wake: bool) -> None:
        if not self._presence and not self._page.carets.carets():
            return
        carets: list[RemoteCaret] = []
        for item in self._presence.values():
            anchor, head = self._resolve(item.anchor), self._resolve(item.head)
            if head is not None:
                anchor = head if anchor is None else anchor
                carets.append(RemoteCaret(item.device, item.name, anchor, head))
        self._page.carets.show_all(carets, wake=wake)

    def _resolve(self, cursor: bytes | None) -> int | None:
        found = self.replica.resolve(cursor) if cursor is not None else None
        return found[1] if found is not None and found[0] == "body" else None
