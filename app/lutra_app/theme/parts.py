"""Building blocks of lists: rows one can press, one choice out of a few, codes to copy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QAbstractButton,
    QButtonGroup,
    QHBoxLayout,
    QLabel,
    QLayout,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from lutra_app.i18n import tr
from lutra_app.theme.theme import Theme, mono_font
from lutra_app.theme.tokens import Space, Type
from lutra_app.theme.widgets import button, label

_COPIED_MS = 2000
_ICON = 18


@dataclass(frozen=True, slots=True)
class Option:
    """One of a few things to choose from.

    Attributes:
        key: what it stands for.
        text: what people read.
        detail: a sentence about it; may be empty.
    """

    key: str
    text: str
    detail: str = ""


class IconLabel(QLabel):
    """An icon as a picture, in a colour of the theme."""

    def __init__(self, theme: Theme, icon: str, color: str = "muted", size: int = _ICON) -> None:
        super().__init__()
        self._theme, self._icon, self._color, self._size = theme, icon, color, size
        theme.changed.connect(self._draw)
        self._draw()

    def _draw(self) -> None:
        color = getattr(self._theme.colors, self._color)
        self.setPixmap(self._theme.icon(self._icon, color).pixmap(QSize(self._size, self._size)))


class RowButton(QPushButton):
    """A row of a list that can be pressed: a picture, two lines of words, something at the end."""

    def __init__(
        self, text: str, detail: str = "", *, picture: QWidget | None = None, role: str = "row"
    ) -> None:
        super().__init__()
        self.setProperty("role", role)
        self.setAutoDefault(False)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setSizePolicy(_wide_policy())
        self.title = label(text, "", wrap=True)
        self.detail = label(detail, "muted", wrap=True)
        self.detail.setVisible(bool(detail))
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(Space.S, Space.S, Space.S, Space.S)
        self._row.setSpacing(Space.M)
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(self.title)
        words.addWidget(self.detail)
        if picture is not None:
            self._row.addWidget(picture)
        self._row.addLayout(words, 1)
        for part in (self.title, self.detail, picture):
            if part is not None:
                part.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAccessibleName(f"{text}, {detail}" if detail else text)

    def add_end(self, widget: QWidget) -> None:
        """Put something that only shows at the row's end."""
        widget.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._row.addWidget(widget)

    def hasHeightForWidth(self) -> bool:
        """Rows grow with their words."""
        return True

    def heightForWidth(self, width: int) -> int:
        """Return what the words need."""
        return self._row.totalHeightForWidth(width)

    def sizeHint(self) -> QSize:
        """Return what the words need."""
        return self._row.totalSizeHint()

    def minimumSizeHint(self) -> QSize:
        """Return what the words need at least."""
        return self._row.totalMinimumSize()


def _wide_policy() -> QSizePolicy:
    policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
    policy.setHeightForWidth(True)
    return policy


class _OneOf(QWidget):
    """One of a few options.

    Signals:
        chosen: the key of the option.
    """

    chosen = Signal(str)

    def __init__(self, options: Sequence[Option]) -> None:
        super().__init__()
        self._options = tuple(options)
        self._group = QButtonGroup(self)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(Space.XS)
        self._group.idClicked.connect(lambda index: self.chosen.emit(self._options[index].key))

    @property
    def key(self) -> str:
        """The key of what is chosen."""
        return self._options[self._group.checkedId()].key

    def choose(self, key: str) -> None:
        """Choose an option as a click would."""
        self._button(key).click()

    def _button(self, key: str) -> QAbstractButton:
        index = next(i for i, option in enumerate(self._options) if option.key == key)
        return self._group.button(index)


class Choices(_OneOf):
    """Options each with a sentence, below each other; arrow keys move between them."""

    def __init__(self, name: str, options: Sequence[Option], chosen: str) -> None:
        super().__init__(options)
        for index, option in enumerate(options):
            row = RowButton(option.text, option.detail, role="choice")
            row.setCheckable(True)
            row.setChecked(option.key == chosen)
            row.setAccessibleName(f"{name}: {option.text}. {option.detail}")
            self._group.addButton(row, index)
            self._layout.addWidget(row)

    def row(self, key: str) -> RowButton:
        """Return the row of an option."""
        found = self._button(key)
        assert isinstance(found, RowButton)
        return found


class Segments(_OneOf):
    """Short options in a row, under a caption."""

    def __init__(self, name: str, options: Sequence[Option], chosen: str) -> None:
        super().__init__(options)
        self._layout.addWidget(label(name, "section"))
        row = QHBoxLayout()
        row.setSpacing(Space.XS)
        for index, option in enumerate(options):
            item = QToolButton()
            item.setProperty("role", "segment")
            item.setText(option.text)
            item.setAccessibleName(f"{name}: {option.text}")
            item.setCheckable(True)
            item.setChecked(option.key == chosen)
            item.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            item.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            self._group.addButton(item, index)
            row.addWidget(item)
        self._layout.addLayout(row)


def code_label(text: str, name: str, size: int = Type.UI) -> QLabel:
    """Return a code to read out or select; long ones wrap after their hyphens."""
    shown = label(spaced(text), "", wrap=True)
    shown.setFont(mono_font(size))
    shown.setProperty("role", "code-large" if size > Type.UI else "code")
    shown.setAlignment(Qt.AlignmentFlag.AlignCenter)
    shown.setTextInteractionFlags(
        Qt.TextInteractionFlag.TextSelectableByMouse
        | Qt.TextInteractionFlag.TextSelectableByKeyboard
    )
    shown.setAccessibleName(f"{name}: {text}")
    return shown


def spaced(code: str) -> str:
    """Return a code that may wrap after its hyphens, where people pause."""
    return code.replace("-", "-\u200b")


def copy_button(text: str, copied: str) -> QPushButton:
    """Return a button called `text` that copies `copied`."""
    made = button(text)

    def copy() -> None:
        QGuiApplication.clipboard().setText(copied)
        made.setText(tr("Copied"))
        QTimer.singleShot(_COPIED_MS, made, lambda: made.setText(text))

    made.clicked.connect(copy)
    return made


def side_by_side(*widgets: QWidget, stretch: bool = True) -> QHBoxLayout:
    """Return widgets in one row, equally wide or packed to the left."""
    row = QHBoxLayout()
    row.setSpacing(Space.S)
    for widget in widgets:
        row.addWidget(widget, 1 if stretch else 0)
    if not stretch:
        row.addStretch(1)
    return row


def link_button(text: str, clicked: Callable[[], None]) -> QPushButton:
    """Return a quiet way on."""
    made = button(text, "link")
    made.clicked.connect(clicked)
    return made


def clear(layout: QLayout) -> None:
    """Take everything out of a layout, for other things to be put in."""
    while layout.count():
        item = layout.takeAt(0)
        if item is None:
            return
        widget, inner = item.widget(), item.layout()
        if widget is not None:
            widget.hide()
            widget.deleteLater()
        elif inner is not None:
            clear(inner)
