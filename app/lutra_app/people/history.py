"""The drawer's history: who changed the page when, newest first."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from lutra.node.views import ChangeView
from lutra_app.i18n import plural, tr
from lutra_app.people.words import when_text
from lutra_app.theme.parts import clear
from lutra_app.theme.theme import Theme
from lutra_app.theme.tokens import Space
from lutra_app.theme.widgets import Avatar, label


class HistoryPanel(QWidget):
    """Who changed the page when, newest first."""

    MOST = 100

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._shown: tuple[ChangeView, ...] | None = None
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(Space.L, Space.S, Space.L, Space.L)
        self._layout.setSpacing(Space.XS)
        self._layout.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.show_changes(())

    def show_changes(self, changes: Sequence[ChangeView]) -> None:
        """Show these changes, given oldest first."""
        newest = tuple(reversed(changes))[: self.MOST]
        if newest == self._shown:
            return
        self._shown = newest
        clear(self._layout)
        if not newest:
            self._layout.addWidget(
                label(tr("Every change of this page will be listed here."), "muted", wrap=True)
            )
        for change in newest:
            self._layout.addWidget(self._row(change))

    def _row(self, change: ChangeView) -> QWidget:
        holder = QWidget()
        row = QHBoxLayout(holder)
        row.setContentsMargins(0, Space.XS, 0, Space.XS)
        row.setSpacing(Space.M)
        name = change.name or tr("Somebody")
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(label(name))
        edits = plural(change.edits, "{count} edit", "{count} edits")
        when = when_text(change.time)
        detail = f"{edits} · {when}" if when else edits
        words.addWidget(label(detail, "muted"))
        row.addWidget(Avatar(self._theme, name, change.device or bytes(32), 28))
        row.addLayout(words, 1)
        holder.setAccessibleName(f"{name}, {detail}")
        return holder
