"""A QR code drawn as crisp squares, readable by every camera in both themes."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from lutra_app.i18n import tr
from lutra_app.theme.tokens import Radius

_QUIET_MODULES = 3
_INK = "#14130f"
_PAPER = "#ffffff"


class QrCode(QWidget):
    """Shows one text as a QR code; dark on white always, because cameras expect it."""

    def __init__(self, side: int = 200, name: str = "") -> None:
        super().__init__()
        self._rows: tuple[tuple[int, ...], ...] = ()
        self.setFixedSize(side, side)
        self.setAccessibleName(name or tr("The code below as a QR code"))

    def show_text(self, text: str) -> None:
        """Show `text`."""
        self._rows = _modules(text)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the modules on whole pixels."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(_PAPER))
        painter.drawRoundedRect(QRectF(self.rect()), Radius.M, Radius.M)
        if not self._rows:
            return
        modules = len(self._rows) + 2 * _QUIET_MODULES
        ratio = self.devicePixelRatioF()
        size = max(1, int(self.width() * ratio / modules)) / ratio
        start = (self.width() - size * len(self._rows)) / 2
        _paint(painter, self._rows, start, start, size)


def paint_qr(painter: QPainter, area: QRectF, text: str) -> None:
    """Draw a text's QR code into a square, on paper."""
    rows = _modules(text)
    size = area.width() / (len(rows) + 2 * _QUIET_MODULES)
    painter.save()
    _paint(painter, rows, area.x() + size * _QUIET_MODULES, area.y() + size * _QUIET_MODULES, size)
    painter.restore()


def _modules(text: str) -> tuple[tuple[int, ...], ...]:
    # Only needed when somebody invites or pairs, and slow to import.
    import segno

    code = segno.make(text, error="m", micro=False)
    return tuple(tuple(row) for row in code.matrix)


def _paint(
    painter: QPainter, rows: tuple[tuple[int, ...], ...], left: float, top: float, size: float
) -> None:
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(_INK))
    for y, row in enumerate(rows):
        for x, dark in enumerate(row):
            if dark:
                painter.drawRect(QRectF(left + x * size, top + y * size, size, size))
