"""A sheet: one card over the window for a short task. Escape or a click beside it ends it.

Sheets take the place of dialogs; there is never more than one.
"""

from __future__ import annotations

from PySide6.QtCore import QEasingCurve, QEvent, QObject, QPoint, Qt, QVariantAnimation, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QVBoxLayout, QWidget

from lutra_app.theme.theme import Theme
from lutra_app.theme.tokens import Motion, Radius, Space
from lutra_app.theme.widgets import panel

_SHADOW = 18


class Sheet(QWidget):
    """The overlay with its card.

    Signals:
        closed: the sheet is gone.
    """

    closed = Signal()

    def __init__(
        self, theme: Theme, window: QWidget, *, width: int = 440, top: bool = False
    ) -> None:
        super().__init__(window)
        self._theme, self._width, self._top = theme, width, top
        self._over = window
        self._opacity = 1.0
        self._before: QWidget | None = None
        self.card: QFrame = panel("card")
        self.card.setParent(self)
        self.content = QVBoxLayout(self.card)
        self.content.setContentsMargins(Space.XL, Space.XL, Space.XL, Space.XL)
        self.content.setSpacing(Space.M)
        self._fade = QVariantAnimation(self)
        self._fade.setStartValue(0.0)
        self._fade.setEndValue(1.0)
        self._fade.setEasingCurve(QEasingCurve.Type.OutCubic)
        self._fade.valueChanged.connect(self._set_opacity)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        window.installEventFilter(self)
        self.hide()

    def open(self, focus: QWidget) -> None:
        """Show the sheet with the keyboard at `focus`; another one that is open goes."""
        for other in self._over.findChildren(Sheet):
            if other is not self:
                other.close_sheet()
        self._before = self.window().focusWidget()
        self.place()
        self.show()
        self.raise_()
        duration = self._theme.duration(Motion.QUICK)
        if duration:
            self._fade.setDuration(duration)
            self._fade.start()
        focus.setFocus(Qt.FocusReason.PopupFocusReason)

    def close_sheet(self) -> None:
        """Take the sheet away and give the keyboard back."""
        if not self.isVisible():
            return
        self.hide()
        if self._before is not None:
            self._before.setFocus(Qt.FocusReason.PopupFocusReason)
            self._before = None
        self.closed.emit()

    def place(self) -> None:
        """Put the card where it belongs in the window as it is now."""
        self.setGeometry(self._over.rect())
        width = min(self._width, self.width() - 2 * Space.L)
        self.card.setFixedWidth(width)
        layout = self.content
        grows = layout.hasHeightForWidth()
        height = layout.totalHeightForWidth(width) if grows else self.card.sizeHint().height()
        height = min(height, self.height() - 2 * Space.L)
        x = (self.width() - width) // 2
        y = self.height() // 8 if self._top else max(Space.L, (self.height() - height) * 2 // 5)
        self.card.setGeometry(x, y, width, height)

    def _set_opacity(self, value: float) -> None:
        self._opacity = value
        self.update()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Follow the window's size."""
        if event.type() == QEvent.Type.Resize and self.isVisible():
            self.place()
        return super().eventFilter(watched, event)

    def event(self, event: QEvent) -> bool:
        """Fit the card when its content grows or shrinks."""
        if event.type() == QEvent.Type.LayoutRequest and self.isVisible():
            self.place()
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Close on Escape; let no key reach what is below."""
        if event.key() == Qt.Key.Key_Escape:
            self.close_sheet()
        event.accept()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Close on a click beside the card."""
        if not self.card.geometry().contains(event.position().toPoint()):
            self.close_sheet()

    def focusNextPrevChild(self, next: bool) -> bool:  # noqa: A002 - Qt's name
        """Keep the keyboard inside the card."""
        fields = [
            child
            for child in self.card.findChildren(QWidget)
            if child.isVisible()
            and child.isEnabled()
            and child.focusPolicy() & Qt.FocusPolicy.TabFocus
        ]
        if not fields:
            return False
        # As read: from top to bottom, whatever was made first.
        corner = QPoint(0, 0)
        places = {field: field.mapTo(self.card, corner) for field in fields}
        fields.sort(key=lambda field: (places[field].y(), places[field].x()))
        focused = self.window().focusWidget()
        at = fields.index(focused) if focused in fields else -1
        fields[(at + (1 if next else -1)) % len(fields)].setFocus(
            Qt.FocusReason.TabFocusReason if next else Qt.FocusReason.BacktabFocusReason
        )
        return True

    def paintEvent(self, event: QPaintEvent) -> None:
        """Dim the window and draw the card's shadow."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(0, 0, 0, round(90 * self._opacity)))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        for step in range(_SHADOW, 0, -2):
            painter.setBrush(QColor(0, 0, 0, round(5 * self._opacity)))
            painter.drawRoundedRect(
                self.card.geometry().adjusted(-step, -step + 6, step, step + 6),
                Radius.L + step,
                Radius.L + step,
            )
