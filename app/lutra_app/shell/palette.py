"""The command palette: type a few letters, jump to a page or run a command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import (
    QAbstractListModel,
    QEvent,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRect,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QKeyEvent, QPainter
from PySide6.QtWidgets import (
    QLineEdit,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from lutra_app.i18n import tr
from lutra_app.shell.sheet import Sheet
from lutra_app.theme import icons
from lutra_app.theme.theme import Theme
from lutra_app.theme.tokens import Radius, Space, Type
from lutra_app.theme.widgets import rule

_ROW = 38
_MOST_ROWS = 9
_MOST_FOUND = 60


@dataclass(frozen=True, slots=True)
class Command:
    """Something the palette can do.

    Attributes:
        text: what people search for and read.
        icon: a Phosphor name.
        run: what happens.
        hint: the group of a page, or the shortcut of a command.
    """

    text: str
    icon: str
    run: Callable[[], None]
    hint: str = ""


def rank(query: str, text: str) -> int | None:
    """Return how well `text` fits the query (smaller is better), or None if it does not.

    All words must occur; matches at the start of the text, then of a word, come first.
    """
    folded = text.casefold()
    score = 0
    for word in query.casefold().split():
        at = folded.find(word)
        if at < 0:
            return None
        score += 0 if at == 0 else 1 if not folded[at - 1].isalnum() else 2
    return score


class _Model(QAbstractListModel):
    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.found: list[Command] = []

    def show_commands(self, found: list[Command]) -> None:
        self.beginResetModel()
        self.found = found
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.found)

    def data(
        self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole
    ) -> object:
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return self.found[index.row()].text
        return None


class _Delegate(QStyledItemDelegate):
    def __init__(self, theme: Theme, model: _Model) -> None:
        super().__init__(model)
        self._theme, self._model = theme, model

    def sizeHint(
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> QSize:
        return QSize(100, _ROW)

    def paint(
        self,
        painter: QPainter,
        option: QStyleOptionViewItem,
        index: QModelIndex | QPersistentModelIndex,
    ) -> None:
        command = self._model.found[index.row()]
        rect: QRect = option.rect.adjusted(Space.S, 1, -Space.S, -1)  # type: ignore[attr-defined]
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if option.state & QStyle.StateFlag.State_Selected:  # type: ignore[attr-defined]
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self._theme.color("accent_soft"))
            painter.drawRoundedRect(rect, Radius.M, Radius.M)
        inner = rect.adjusted(Space.S, 0, -Space.M, 0)
        mark = QRect(inner.left(), inner.center().y() - 8, 17, 17)
        icons.paint(painter, mark, command.icon, self._theme.color("muted"))
        inner.setLeft(mark.right() + Space.M)
        font = painter.font()
        font.setPixelSize(Type.CAPTION)
        painter.setFont(font)
        metrics = painter.fontMetrics()
        hint = metrics.elidedText(
            command.hint, Qt.TextElideMode.ElideRight, max(0, inner.width() // 2)
        )
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        painter.setPen(self._theme.color("muted"))
        painter.drawText(inner, int(right), hint)
        inner.setRight(inner.right() - metrics.horizontalAdvance(hint) - Space.M)
        font.setPixelSize(Type.UI)
        painter.setFont(font)
        painter.setPen(self._theme.color("text"))
        text = painter.fontMetrics().elidedText(
            command.text, Qt.TextElideMode.ElideRight, inner.width()
        )
        left = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(inner, int(left), text)
        painter.restore()


class Palette(Sheet):
    """The sheet with a search field and what it finds.

    Signals:
        searched: the person changed the query; the caller may add what takes longer to find.
    """

    searched = Signal(str)

    def __init__(self, theme: Theme, window: QWidget) -> None:
        super().__init__(theme, window, width=580, top=True)
        self.content.setContentsMargins(0, 0, 0, Space.S)
        self.content.setSpacing(0)
        self._all: tuple[Command, ...] = ()
        self._field = QLineEdit()
        self._field.setProperty("role", "palette")
        self._field.setPlaceholderText(tr("Jump to a page or run a command"))
        self._field.setAccessibleName(tr("Jump to a page or run a command"))
        self._field.textChanged.connect(self._search)
        self._field.installEventFilter(self)
        self._model = _Model(self)
        self._list = QListView()
        self._list.setModel(self._model)
        self._list.setItemDelegate(_Delegate(theme, self._model))
        self._list.setUniformItemSizes(True)
        self._list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._list.setAccessibleName(tr("Pages and commands"))
        self._list.clicked.connect(lambda index: self._run(index.row()))
        self._list.setMouseTracking(True)
        self._list.entered.connect(self._list.setCurrentIndex)
        self.content.addWidget(self._field)
        self.content.addWidget(rule())
        self.content.addSpacing(Space.XS)
        self.content.addWidget(self._list)

    def ask(self, commands: Sequence[Command], query: str = "") -> None:
        """Open with these commands."""
        self._all = tuple(commands)
        self._field.setText(query)
        self._search(query)
        self.open(self._field)

    def found(self) -> list[str]:
        """Return the texts now listed, best first."""
        return [command.text for command in self._model.found]

    def _search(self, query: str) -> None:
        ranked: list[tuple[int, int, Command]] = []
        for order, command in enumerate(self._all):
            score = rank(query, command.text)
            if score is not None:
                ranked.append((score, order, command))
        ranked.sort(key=lambda item: item[:2])
        self._model.show_commands([command for _, _, command in ranked[:_MOST_FOUND]])
        if self._model.found:
            self._list.setCurrentIndex(self._model.index(0))
        rows = min(max(len(self._model.found), 1), _MOST_ROWS)
        self._list.setFixedHeight(rows * _ROW)
        self.searched.emit(query)

    def _run(self, row: int) -> None:
        if not 0 <= row < len(self._model.found):
            return
        command = self._model.found[row]
        self.close_sheet()
        command.run()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Move through the list while the keyboard stays in the field."""
        if (
            watched is self._field
            and isinstance(event, QKeyEvent)
            and event.type() == QEvent.Type.KeyPress
            and self._key(Qt.Key(event.key()))
        ):
            return True
        return super().eventFilter(watched, event)

    def _key(self, key: Qt.Key) -> bool:
        steps = {
            Qt.Key.Key_Down: 1,
            Qt.Key.Key_Up: -1,
            Qt.Key.Key_PageDown: 8,
            Qt.Key.Key_PageUp: -8,
        }
        if key in steps and self._model.found:
            row = self._list.currentIndex().row() + steps[key]
            row = min(max(row, 0), len(self._model.found) - 1)
            self._list.setCurrentIndex(self._model.index(row))
            return True
        if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._run(self._list.currentIndex().row())
            return True
        return False
