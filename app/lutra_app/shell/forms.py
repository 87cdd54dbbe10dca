"""The short task that needs one field: link a selection."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QProgressBar, QWidget

from lutra_app.i18n import tr
from lutra_app.shell.sheet import Sheet
from lutra_app.theme.theme import Theme
from lutra_app.theme.tokens import Space
from lutra_app.theme.widgets import button, label


class Form(Sheet):
    """A sheet with a heading, a sentence, one field, and what went wrong."""

    def __init__(
        self, theme: Theme, window: QWidget, *, heading: str, sentence: str, field: str, go: str
    ) -> None:
        super().__init__(theme, window)
        self.card.setAccessibleName(heading)
        self.field = QLineEdit()
        self.field.setPlaceholderText(field)
        self.field.setAccessibleName(field)
        self.go = button(go, "primary")
        self.stop = button(tr("Cancel"))
        self.error = label("", "error", wrap=True)
        self.error.hide()
        self.note = label("", "muted", wrap=True)
        self.note.hide()
        self.progress = QProgressBar()
        self.progress.setRange(0, 0)
        self.progress.setTextVisible(False)
        self.progress.setAccessibleName(tr("Working"))
        self.progress.hide()
        self.buttons = QHBoxLayout()
        self.buttons.setSpacing(Space.S)
        self.buttons.addStretch(1)
        self.buttons.addWidget(self.stop)
        self.buttons.addWidget(self.go)
        for widget in (label(heading, "heading"), label(sentence, "muted", wrap=True), self.field):
            self.content.addWidget(widget)
        self.content.addWidget(self.error)
        self.content.addWidget(self.note)
        self.content.addWidget(self.progress)
        self.content.addSpacing(Space.XS)
        self.content.addLayout(self.buttons)
        self.field.textChanged.connect(self._typed)
        self.field.returnPressed.connect(self.go.click)
        self.stop.clicked.connect(self.close_sheet)
        self.go.setEnabled(False)

    def ask(self, text: str = "") -> None:
        """Open with `text` in the field."""
        self.field.setText(text)
        self.field.selectAll()
        self._typed(text)
        self.set_busy("")
        self.open(self.field)

    def fail(self, message: str) -> None:
        """Say what went wrong; what was typed stays."""
        self.set_busy("")
        self.error.setText(message)
        self.error.show()
        self.field.setFocus()
        self.place()

    def set_busy(self, sentence: str) -> None:
        """Show that something is under way, or (empty) that nothing is."""
        busy = bool(sentence)
        self.error.hide()
        self.note.setText(sentence)
        self.note.setVisible(busy)
        self.progress.setVisible(busy)
        self.field.setEnabled(not busy)
        self.go.setEnabled(not busy and bool(self.field.text().strip()))
        self.stop.setText(tr("Stop") if busy else tr("Cancel"))
        self.stop.setAccessibleName(self.stop.text())
        if self.isVisible():
            self.place()

    def _typed(self, text: str) -> None:
        self.error.hide()
        self.go.setEnabled(bool(text.strip()))


class LinkForm(Form):
    """Link the selection to an address; an empty field removes the link."""

    def __init__(self, theme: Theme, window: QWidget, link: Callable[[str], None]) -> None:
        super().__init__(
            theme,
            window,
            heading=tr("Link"),
            sentence=tr("Where the selected words lead. Ctrl+click follows a link."),
            field="https://",
            go=tr("Link"),
        )
        self.go.clicked.connect(lambda: link(self.field.text().strip()))

    def _typed(self, text: str) -> None:
        self.error.hide()
        self.go.setEnabled(True)
        self.go.setText(tr("Link") if text.strip() else tr("Remove the link"))
