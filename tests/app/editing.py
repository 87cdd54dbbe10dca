"""An editor over a replica, without a node: what the tests of typing work on."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QMimeData, Qt
from PySide6.QtGui import QInputMethodEvent, QTextCursor
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from lutra.documents.document import Document
from lutra.documents.peers import peer_id
from lutra.documents.replica import Replica
from lutra_app.editor.binding import Binding
from lutra_app.editor.models import BodyModel
from lutra_app.editor.page import PageBody
from lutra_app.editor.pieces import normal_pieces
from lutra_app.theme.theme import Theme

DOCUMENT = b"d" * 32


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def snapshot_of(text: str) -> bytes:
    document = Document.create(DOCUMENT, b"z" * 32)
    document.splice(0, 0, text)
    return document.snapshot()


class Editor:
    """One window's page: `page` is what one types in, `replica` what must be the same."""

    def __init__(
        self,
        theme: Theme,
        text: str = "",
        *,
        device: bytes = b"a" * 32,
        snapshot: bytes | None = None,
    ) -> None:
        self.clock = Clock()
        self.replica = Replica(
            snapshot or snapshot_of(text), peer_id(device, DOCUMENT, 1), clock=self.clock
        )
        self.page = PageBody(theme)
        self.page.resize(720, 480)
        self.binding = Binding(self.page.document(), BodyModel(self.replica), self.page.formats())
        self.binding.load()
        self.page.bind(self.binding)
        self.page.undo_wanted.connect(self.undo)
        self.page.redo_wanted.connect(self.redo)
        self._waiting: list[bytes] = []
        self.page.composed.connect(self.receive)
        self.page.show()

    def close(self) -> None:
        self.page.close()
        self.page.deleteLater()

    # -- what a person does --------------------------------------------------------------

    def type(self, text: str) -> None:
        """Press a key for each character; what is on no key comes from an input method."""
        for character in text:
            if character == "\n":
                self.key(Qt.Key.Key_Return)
            elif character.isascii():
                QTest.keyClick(self.page, character)
            else:
                self.commit(character)

    def key(
        self, key: Qt.Key, modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier
    ) -> None:
        QTest.keyClick(self.page, key, modifiers)

    def compose(self, preedit: str) -> None:
        QApplication.sendEvent(self.page, QInputMethodEvent(preedit, []))

    def commit(self, text: str) -> None:
        event = QInputMethodEvent()
        event.setCommitString(text)
        QApplication.sendEvent(self.page, event)

    def paste(self, *, html: str = "", text: str = "") -> None:
        mime = QMimeData()
        if html:
            mime.setHtml(html)
        if text:
            mime.setText(text)
        self.page.insertFromMimeData(mime)

    def put_caret(self, anchor: int, position: int | None = None) -> None:
        cursor = self.page.textCursor()
        cursor.setPosition(self._whole(anchor))
        if position is not None:
            cursor.setPosition(self._whole(position), QTextCursor.MoveMode.KeepAnchor)
        self.page.setTextCursor(cursor)

    def _whole(self, position: int) -> int:
        """Return a position that does not cut a character in two, as no caret does."""
        position = min(position, self.replica.body_length)
        here = self.page.document().characterAt(position)
        return position - 1 if here and 0xDC00 <= ord(here) <= 0xDFFF else position

    def undo(self) -> None:
        changes = self.replica.undo()
        if changes is not None:
            self.page.apply(changes.body, follow=True)

    def redo(self) -> None:
        changes = self.replica.redo()
        if changes is not None:
            self.page.apply(changes.body, follow=True)

    # -- what others do ------------------------------------------------------------------

    def receive(self, updates: Sequence[bytes] = ()) -> None:
        """Take in others' edits as a page's session does: not in the middle of a word."""
        self._waiting.extend(updates)
        if self._waiting and not self.page.composing:
            updates, self._waiting = self._waiting, []
            self.page.apply(self.replica.import_updates(*updates).body)

    # -- what must hold ------------------------------------------------------------------

    @property
    def caret(self) -> int:
        return self.page.textCursor().position()

    def kinds(self) -> list[str]:
        """Return what each line with attributes on its newline is."""
        kinds: list[str] = []
        for span in self.replica.body_spans():
            kinds += [str(span.attributes.get("block", ""))] * span.text.count("\n")
        return kinds

    def marked(self, name: str) -> str:
        return "".join(s.text for s in self.replica.body_spans() if s.attributes.get(name))

    def check(self) -> None:
        """Document and replica are the same: characters, marks and lines."""
        assert self.binding.text() == self.replica.body
        assert self.binding.pieces() == normal_pieces(self.replica.body_spans())
