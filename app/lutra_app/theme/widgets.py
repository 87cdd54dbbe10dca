"""Small building blocks that take their look from the theme by role."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import (
    QFrame,
    QLabel,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QWidget,
)

from lutra_app.theme.persons import initials
from lutra_app.theme.theme import Theme
from lutra_app.theme.tokens import Type

ICON = QSize(18, 18)


def label(text: str, role: str = "", *, wrap: bool = False) -> QLabel:
    """Return a label; `role` is one of the style sheet's label roles."""
    widget = QLabel(text)
    widget.setTextFormat(Qt.TextFormat.PlainText)
    if role:
        widget.setProperty("role", role)
    if wrap:
        widget.setWordWrap(True)
        widget.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
    return widget


def button(text: str, role: str = "") -> QPushButton:
    """Return a push button; `role` is one of the style sheet's button roles."""
    widget = QPushButton(text)
    widget.setAccessibleName(text)
    widget.setAutoDefault(False)
    widget.setCursor(Qt.CursorShape.PointingHandCursor)
    if role:
        widget.setProperty("role", role)
    return widget


class IconButton(QToolButton):
    """A square button that shows one icon; its name is spoken and shown as a tip."""

    def __init__(self, theme: Theme, icon: str, name: str, *, shortcut: str = "") -> None:
        super().__init__()
        self._theme, self._icon = theme, icon
        self.setAccessibleName(name)
        self.setToolTip(f"{name}  {shortcut}".rstrip())
        self.setIconSize(ICON)
        self.setAutoRaise(True)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        theme.changed.connect(self._recolor)
        self._recolor()

    def show_icon(self, icon: str) -> None:
        """Show another icon."""
        self._icon = icon
        self._recolor()

    def _recolor(self) -> None:
        self.setIcon(self._theme.icon(self._icon))


def rule() -> QFrame:
    """Return a hairline between two parts."""
    widget = QFrame()
    widget.setProperty("role", "rule")
    return widget


def panel(role: str) -> QFrame:
    """Return an empty surface: ``page``, ``panel``, ``card``, ``well`` or ``notice``."""
    widget = QFrame()
    widget.setProperty("role", role)
    return widget


def set_role(widget: QWidget, role: str) -> None:
    """Give a widget another role and draw it so."""
    widget.setProperty("role", role)
    widget.style().unpolish(widget)
    widget.style().polish(widget)


def paint_avatar(
    painter: QPainter, rect: QRect, name: str, device: bytes, theme: Theme, *, ring: str = ""
) -> None:
    """Draw a person's initials on a disc of the person's colour."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(theme.person_color(device))
    painter.drawEllipse(QRectF(rect))
    if ring:
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(QColor(ring), 2))
        painter.drawEllipse(QRectF(rect))
    font = QFont(painter.font())
    font.setPixelSize(max(9, int(rect.height() * 0.42)))
    font.setWeight(QFont.Weight.DemiBold)
    painter.setFont(font)
    painter.setPen(QColor(theme.colors.on_person))
    painter.drawText(rect, int(Qt.AlignmentFlag.AlignCenter), initials(name))
    painter.restore()


class Avatar(QWidget):
    """One person as a disc with initials."""

    def __init__(self, theme: Theme, name: str, device: bytes, size: int = 28) -> None:
        super().__init__()
        self._theme, self._name, self._device = theme, name, device
        self.setFixedSize(size, size)
        self.setAccessibleName(name)
        theme.changed.connect(self.update)

    def show_person(self, name: str, device: bytes) -> None:
        """Show another person."""
        self._name, self._device = name, device
        self.setAccessibleName(name)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the disc."""
        painter = QPainter(self)
        paint_avatar(
            painter, self.rect().adjusted(1, 1, -1, -1), self._name, self._device, self._theme
        )


class AvatarRow(QWidget):
    """The people who are on the page now, overlapping; more than `MOST` become a number."""

    MOST = 4
    SIZE = 26
    STEP = 20

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._people: tuple[tuple[str, bytes], ...] = ()
        self.setFixedHeight(self.SIZE + 2)
        self.setFixedWidth(0)
        theme.changed.connect(self.update)

    def show_people(self, people: Sequence[tuple[str, bytes]]) -> None:
        """Show these (name, device) pairs."""
        self._people = tuple(people)
        count = min(len(self._people), self.MOST + 1)
        self.setFixedWidth(self.SIZE + 2 + self.STEP * (count - 1) if count else 0)
        names = ", ".join(name for name, _ in self._people)
        self.setAccessibleName(names)
        self.setToolTip(names)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the discs, the first one on top."""
        painter = QPainter(self)
        shown = self._people[: self.MOST]
        rest = len(self._people) - len(shown)
        page = self._theme.colors.page
        if rest:
            rect = QRect(1 + self.STEP * len(shown), 1, self.SIZE, self.SIZE)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self._theme.color("pressed"))
            painter.drawEllipse(rect)
            painter.setPen(self._theme.color("text"))
            font = QFont(painter.font())
            font.setPixelSize(Type.CAPTION - 1)
            painter.setFont(font)
            painter.drawText(rect, int(Qt.AlignmentFlag.AlignCenter), f"+{rest}")
        for index in range(len(shown) - 1, -1, -1):
            name, device = shown[index]
            rect = QRect(1 + self.STEP * index, 1, self.SIZE, self.SIZE)
            paint_avatar(painter, rect, name, device, self._theme, ring=page)
