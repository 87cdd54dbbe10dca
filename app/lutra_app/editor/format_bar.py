"""The bar that floats over selected text: marks and kinds of lines for those who use the mouse."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QPoint, QRect, Qt, QTimer
from PySide6.QtGui import QTextCursor
from PySide6.QtWidgets import QFrame, QHBoxLayout

from lutra_app.editor.body import BodyEdit
from lutra_app.editor.formats import CHECKS, kind_of
from lutra_app.i18n import tr
from lutra_app.theme.theme import Theme
from lutra_app.theme.tokens import Space
from lutra_app.theme.widgets import IconButton, set_role

_DELAY_MS = 120


class FormatBar(QFrame):
    """Appears above a selection; its buttons show what the selection has."""

    def __init__(self, theme: Theme, page: BodyEdit) -> None:
        super().__init__(page.viewport())
        self._theme, self._page = theme, page
        set_role(self, "card")
        self._marks: dict[str, IconButton] = {}
        self._kinds: dict[str, IconButton] = {}
        row = QHBoxLayout(self)
        row.setContentsMargins(Space.XS, Space.XS, Space.XS, Space.XS)
        row.setSpacing(Space.HAIR)
        for name, icon, text, keys in (
            ("bold", "text-bolder", tr("Bold"), "Ctrl+B"),
            ("italic", "text-italic", tr("Italic"), "Ctrl+I"),
            ("underline", "text-underline", tr("Underline"), "Ctrl+U"),
            ("strike", "text-strikethrough", tr("Strike through"), "Ctrl+Shift+X"),
            ("code", "code", tr("Code"), "Ctrl+E"),
        ):
            self._marks[name] = self._add(
                row, icon, text, keys, lambda _, name=name: page.toggle_mark(name)
            )
        self._marks["link"] = self._add(
            row, "link", tr("Link"), "Ctrl+K", lambda _: page.link_wanted.emit()
        )
        row.addSpacing(Space.S)
        for kind, icon, text, keys in (
            ("h1", "text-h-one", tr("Heading 1"), "Ctrl+Alt+1"),
            ("h2", "text-h-two", tr("Heading 2"), "Ctrl+Alt+2"),
            ("ul", "list-bullets", tr("Bulleted list"), "Ctrl+Shift+8"),
            ("check", "check-square", tr("Check list"), "Ctrl+Shift+9"),
            ("quote", "quotes", tr("Quote"), ">"),
        ):
            self._kinds[kind] = self._add(
                row, icon, text, keys, lambda _, kind=kind: page.toggle_kind(kind)
            )
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_DELAY_MS)
        self._soon.timeout.connect(self.follow)
        page.selectionChanged.connect(self._selection_changed)
        page.typed.connect(self.hide)
        page.verticalScrollBar().valueChanged.connect(self._soon.start)
        self.hide()

    def _add(
        self, row: QHBoxLayout, icon: str, text: str, keys: str, action: Callable[[bool], None]
    ) -> IconButton:
        made = IconButton(self._theme, icon, text, shortcut=keys)
        made.setCheckable(True)
        # The keyboard stays in the text; every button has keys of its own.
        made.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        made.clicked.connect(action)
        made.clicked.connect(self.follow)
        row.addWidget(made)
        return made

    def _selection_changed(self) -> None:
        if self._page.textCursor().hasSelection():
            self._soon.start()
        else:
            self._soon.stop()
            self.hide()

    def follow(self) -> None:
        """Stand above the selection and show what it has; hide if there is none."""
        page = self._page
        cursor = page.textCursor()
        if not cursor.hasSelection() or page.isReadOnly():
            self.hide()
            return
        for name, button in self._marks.items():
            button.setChecked(page.has_mark(name))
        kind = kind_of(page.document().findBlock(cursor.selectionStart()))
        for name, button in self._kinds.items():
            button.setChecked(name == kind or (name == "check" and kind in CHECKS))
        self.adjustSize()
        self.move(self._place(cursor))
        self.show()
        self.raise_()

    def _place(self, cursor: QTextCursor) -> QPoint:
        start, end = QTextCursor(cursor), QTextCursor(cursor)
        start.setPosition(cursor.selectionStart())
        end.setPosition(cursor.selectionEnd())
        first, last = self._page.cursorRect(start), self._page.cursorRect(end)
        area = self._page.viewport().rect()
        middle = (first.left() + last.left()) // 2 if first.top() == last.top() else first.left()
        x = min(max(middle - self.width() // 2, Space.S), area.width() - self.width() - Space.S)
        above = first.top() - self.height() - Space.S
        below = QRect(last).bottom() + Space.S
        y = above if above >= Space.XS else min(below, area.height() - self.height() - Space.S)
        return QPoint(max(x, 0), max(y, 0))
