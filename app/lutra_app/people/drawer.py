"""The right pane: people of the group, and the page's history."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QButtonGroup,
    QFrame,
    QHBoxLayout,
    QScrollArea,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from lutra_app.i18n import tr
from lutra_app.people.history import HistoryPanel
from lutra_app.people.panel import PeoplePanel
from lutra_app.theme.theme import Theme
from lutra_app.theme.tokens import Space
from lutra_app.theme.widgets import IconButton


class Drawer(QFrame):
    """The right pane.

    Signals:
        close_wanted: fold the drawer away.
        history_wanted: the person looks at the history.
    """

    close_wanted = Signal()
    history_wanted = Signal()

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self.setProperty("role", "panel")
        self.people = PeoplePanel(theme)
        self.history = HistoryPanel(theme)
        self._stack = QStackedWidget()
        self._stack.addWidget(_scrolling(self.people))
        self._stack.addWidget(_scrolling(self.history))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, Space.S, 0, 0)
        layout.setSpacing(Space.S)
        layout.addLayout(self._make_tabs())
        layout.addWidget(self._stack, 1)

    def _make_tabs(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setContentsMargins(Space.L, 0, Space.S, 0)
        row.setSpacing(Space.XS)
        group = QButtonGroup(self)
        for index, name in enumerate((tr("People"), tr("History"))):
            tab = QToolButton()
            tab.setText(name)
            tab.setAccessibleName(name)
            tab.setProperty("role", "tab")
            tab.setCheckable(True)
            tab.setChecked(index == 0)
            tab.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            group.addButton(tab, index)
            row.addWidget(tab)
        group.idClicked.connect(self.show_tab)
        self._tabs = group
        close = IconButton(self._theme, "x", tr("Close the drawer"))
        close.clicked.connect(self.close_wanted)
        row.addStretch(1)
        row.addWidget(close)
        return row

    def show_tab(self, index: int) -> None:
        """Show people (0) or history (1)."""
        self._tabs.button(index).setChecked(True)
        self._stack.setCurrentIndex(index)
        if index == 1:
            self.history_wanted.emit()

    def shows_history(self) -> bool:
        """Return whether the history is in front."""
        return self._stack.currentIndex() == 1


def _scrolling(widget: QWidget) -> QScrollArea:
    area = QScrollArea()
    area.setWidget(widget)
    area.setWidgetResizable(True)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    return area
