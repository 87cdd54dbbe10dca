"""What is true of the open page: asked of the node when something moves, said in the state line."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer

from lutra.node.views import DocumentStatus
from lutra_app.bridge import Bridge
from lutra_app.people.panel import PeoplePanel
from lutra_app.shell.page_area import StateLine
from lutra_app.shell.state import page_state

_STATUS_MS = 80


class PageStatus(QObject):
    """Keeps the state line true.

    Args:
        bridge: the way to the node.
        line: says it below the page.
        people: says it in the drawer.
        parent: lives as long.
    """

    def __init__(
        self, bridge: Bridge, line: StateLine, people: PeoplePanel, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._bridge, self._line, self._people = bridge, line, people
        self._document: bytes | None = None
        self._status: DocumentStatus | None = None
        self._trouble: str | None = None
        self._saving = False
        self._asked = False
        self._check = QTimer(self)
        self._check.setSingleShot(True)
        self._check.setInterval(_STATUS_MS)
        self._check.timeout.connect(self._ask)

    def begin(self, document: bytes) -> None:
        """Follow another page."""
        self._document = document
        self._status, self._trouble, self._saving = None, None, False
        self._show()
        self._ask()

    def stop(self) -> None:
        """Follow no page."""
        self._document = None
        self._check.stop()

    def look_soon(self) -> None:
        """Something has moved: ask again in a moment."""
        if not self._check.isActive():
            self._check.start()

    def note_saving(self, saving: bool) -> None:
        """Keystrokes take noticeably long to become durable, or are durable."""
        self._saving = saving
        if not saving:
            self._trouble = None
            self.look_soon()
        self._show()

    def note_trouble(self, message: str) -> None:
        """Saving has failed: a sentence."""
        self._trouble = message
        self._show()

    def _ask(self) -> None:
        document = self._document
        if document is None or self._asked:
            return
        self._asked = True

        def failed(_: str) -> None:
            # The page is being made; its status follows with the next event.
            self._asked = False

        self._bridge.ask(lambda node: node.document_status(document), self._note, failed)

    def _note(self, status: DocumentStatus) -> None:
        self._asked = False
        if status.document != self._document:
            self._ask()
            return
        self._status = status
        self._show()

    def _show(self) -> None:
        self._line.show_state(page_state(self._status, saving=self._saving, trouble=self._trouble))
        self._people.show_state(self._status)
