"""Sidebar · page · drawer: three panes that fold away and float when the window is narrow.

A side pane stands beside the page where the page keeps at least `Width.PAGE_LEAST`; otherwise it
floats over the page and goes when the page is clicked. Widths are dragged at the inner edge and
remembered by the caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from PySide6.QtCore import (
    QEasingCurve,
    QEvent,
    QObject,
    QRect,
    Qt,
    QVariantAnimation,
    Signal,
)
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QWidget

from lutra_app.theme.theme import Theme
from lutra_app.theme.tokens import Motion, Width


class Side(Enum):
    """Which side a pane is on."""

    LEFT = "left"
    RIGHT = "right"


_WIDTHS = {
    Side.LEFT: (Width.SIDEBAR, Width.SIDEBAR_LEAST, Width.SIDEBAR_MOST),
    Side.RIGHT: (Width.DRAWER, Width.DRAWER_LEAST, Width.DRAWER_MOST),
}


@dataclass(slots=True)
class _Pane:
    """One side pane. `shown` runs from 0 (away) to 1 (fully there)."""

    widget: QWidget
    grip: QWidget
    animation: QVariantAnimation
    width: int
    least: int
    most: int
    wanted: bool
    shown: float
    floating: bool = False


class _Grip(QWidget):
    """The edge one drags."""

    dragged = Signal(int)
    released = Signal()

    def __init__(self, parent: QWidget, theme: Theme) -> None:
        super().__init__(parent)
        self._theme = theme
        self.setCursor(Qt.CursorShape.SplitHCursor)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self.dragged.emit(self.mapToParent(event.position().toPoint()).x())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self.released.emit()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(QRect(self.width() // 2, 0, 1, self.height()), self._theme.color("line"))


class _Shade(QWidget):
    """Dims the page under a floating pane and takes the click that sends the pane away."""

    clicked = Signal()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.clicked.emit()

    def paintEvent(self, event: QPaintEvent) -> None:
        QPainter(self).fillRect(self.rect(), QColor(0, 0, 0, 70))


class Panes(QWidget):
    """The three panes.

    Signals:
        resized: a width or the visibility of a pane changed by the person; remember it.
    """

    resized = Signal()
    _GRIP = 9

    def __init__(self, theme: Theme, left: QWidget, page: QWidget, right: QWidget) -> None:
        super().__init__()
        self._theme = theme
        self.page = page
        page.setParent(self)
        self._shade = _Shade(self)
        self._shade.hide()
        self._shade.clicked.connect(self.dismiss)
        self._panes = {
            Side.LEFT: self._pane(Side.LEFT, left),
            Side.RIGHT: self._pane(Side.RIGHT, right),
        }

    def _pane(self, side: Side, widget: QWidget) -> _Pane:
        wanted = side is Side.LEFT
        width, least, most = _WIDTHS[side]
        widget.setParent(self)
        widget.setVisible(wanted)
        grip = _Grip(self, self._theme)
        grip.setVisible(wanted)
        animation = QVariantAnimation(self)
        animation.setEasingCurve(QEasingCurve.Type.OutCubic)
        pane = _Pane(widget, grip, animation, width, least, most, wanted, float(wanted))
        animation.valueChanged.connect(lambda value: self._move(pane, float(value)))
        grip.dragged.connect(lambda x: self._drag(side, x))
        grip.released.connect(self.resized)
        widget.installEventFilter(self)
        return pane

    def is_shown(self, side: Side) -> bool:
        """Return whether the pane is wanted and not waiting behind a narrow window."""
        return self._panes[side].wanted

    def is_floating(self, side: Side) -> bool:
        """Return whether the pane lies over the page rather than beside it."""
        return self._panes[side].floating

    def width_of(self, side: Side) -> int:
        """Return a pane's width in device independent pixels."""
        return self._panes[side].width

    def restore(self, side: Side, *, width: int, shown: bool) -> None:
        """Take up a remembered width and visibility, without motion."""
        pane = self._panes[side]
        pane.width = min(max(width, pane.least), pane.most)
        pane.wanted, pane.shown = shown, float(shown)
        self._arrange()

    def toggle(self, side: Side) -> None:
        """Show a hidden pane or hide a shown one."""
        self.show_pane(side, not self._panes[side].wanted)

    def show_pane(self, side: Side, shown: bool) -> None:
        """Slide a pane in or out."""
        pane = self._panes[side]
        if pane.wanted == shown:
            return
        pane.wanted = shown
        if shown and pane.floating:
            other = self._panes[Side.RIGHT if side is Side.LEFT else Side.LEFT]
            if other.floating:
                other.wanted, other.shown = False, 0.0
        pane.animation.stop()
        duration = self._theme.duration(Motion.CALM)
        if duration:
            pane.animation.setDuration(duration)
            pane.animation.setStartValue(pane.shown)
            pane.animation.setEndValue(1.0 if shown else 0.0)
            pane.animation.start()
        else:
            self._move(pane, 1.0 if shown else 0.0)
        self.resized.emit()

    def dismiss(self) -> None:
        """Send every floating pane away."""
        for side, pane in self._panes.items():
            if pane.floating and pane.wanted:
                self.show_pane(side, False)

    def _move(self, pane: _Pane, shown: float) -> None:
        pane.shown = shown
        self._arrange()

    def _drag(self, side: Side, x: int) -> None:
        pane = self._panes[side]
        width = x if side is Side.LEFT else self.width() - x
        if width < pane.least - 60:
            self.show_pane(side, False)
            return
        pane.width = min(max(width, pane.least), pane.most)
        self._arrange()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Decide which panes stand beside the page and place everything."""
        super().resizeEvent(event)
        self._float()
        self._arrange()

    def _float(self) -> None:
        """Set which panes float; a pane that starts to float goes away, one that stops returns."""
        left, right = self._panes[Side.LEFT], self._panes[Side.RIGHT]
        wide = self.width() - Width.PAGE_LEAST
        for pane, floating in (
            (left, wide < left.width),
            (right, wide < right.width + (left.width if wide >= left.width else 0)),
        ):
            if floating != pane.floating:
                pane.floating = floating
                pane.animation.stop()
                if pane is left:
                    pane.wanted, pane.shown = not floating, float(not floating)
                elif floating:
                    pane.wanted, pane.shown = False, 0.0

    def _arrange(self) -> None:
        width, height = self.width(), self.height()
        start, end = 0, width
        for side, pane in self._panes.items():
            visible = pane.shown > 0.001
            pane.widget.setVisible(visible)
            pane.grip.setVisible(visible)
            if not visible:
                continue
            extent = min(pane.width, width - 40) if pane.floating else pane.width
            offset = round(extent * (1.0 - pane.shown))
            x = -offset if side is Side.LEFT else width - extent + offset
            pane.widget.setGeometry(x, 0, extent, height)
            edge = x + extent if side is Side.LEFT else x
            pane.grip.setGeometry(edge - self._GRIP // 2, 0, self._GRIP, height)
            if not pane.floating:
                start = edge if side is Side.LEFT else start
                end = edge if side is Side.RIGHT else end
        self.page.setGeometry(start, 0, max(1, end - start), height)
        self._stack()

    def _stack(self) -> None:
        floating = [pane for pane in self._panes.values() if pane.floating and pane.shown > 0.001]
        self._shade.setVisible(bool(floating))
        if floating:
            self._shade.setGeometry(self.rect())
            self._shade.raise_()
        for pane in sorted(self._panes.values(), key=lambda pane: pane.floating):
            pane.widget.raise_()
            pane.grip.raise_()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Let Escape send a floating pane away."""
        if (
            event.type() == QEvent.Type.KeyPress
            and event.key() == Qt.Key.Key_Escape  # type: ignore[attr-defined]
            and any(pane.floating and pane.wanted for pane in self._panes.values())
        ):
            self.dismiss()
            return True
        return super().eventFilter(watched, event)
