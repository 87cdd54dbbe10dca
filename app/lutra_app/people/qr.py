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

    def __init__(self, side: int = 200) -> None:
        super().__init__()
        self._rows: tuple[tuple[int, ...], ...] = ()
        self.setFixedSize(side, side)
        self.setAccessibleName(tr("Invite as a QR code; the same as the code below"))

    def show_text(self, text: str) -> None:
        """Show `text`."""
        # Only needed when somebody invites, and slow to import.
        import segno

        code = segno.make(text, error="m", micro=False)
        self._rows = tuple(tuple(row) for row in code.matrix)
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
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        painter.setBrush(QColor(_INK))
        modules = len(self._rows) + 2 * _QUIET_MODULES
        ratio = self.devicePixelRatioF()
        size = max(1, int(self.width() * ratio / modules)) / ratio
        start = (self.width() - size * len(self._rows)) / 2
        for y, row in enumerate(self._rows):
            for x, dark in enumerate(row):
                if dark:
                    painter.drawRect(QRectF(start + x * size, start + y * size, size, size))
