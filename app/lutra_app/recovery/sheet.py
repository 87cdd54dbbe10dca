"""The paper of a recovery kit: words, QR code and what to do with it, for a printer or as PDF."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QMarginsF, QRectF, QSizeF, Qt
from PySide6.QtGui import (
    QColor,
    QFont,
    QPagedPaintDevice,
    QPageLayout,
    QPageSize,
    QPainter,
    QPdfWriter,
)

from lutra.identity.recovery import Sheet
from lutra_app.theme.qr import paint_qr

_POINTS = 72.0
_MARGIN_MM = 20.0
_RESOLUTION = 300
_INK = QColor("#000000")
_LINES = 4


def save_pdf(sheet: Sheet, path: Path) -> bool:
    """Write the sheet into a PDF file; False if the disk does not take it."""
    writer = QPdfWriter(str(path))
    writer.setResolution(_RESOLUTION)
    writer.setTitle(sheet.title)
    writer.setCreator("Lutra")
    writer.setPageLayout(
        QPageLayout(
            QPageSize(QPageSize.PageSizeId.A4),
            QPageLayout.Orientation.Portrait,
            QMarginsF(_MARGIN_MM, _MARGIN_MM, _MARGIN_MM, _MARGIN_MM),
            QPageLayout.Unit.Millimeter,
        )
    )
    return paint_sheet(writer, sheet)


def paint_sheet(device: QPagedPaintDevice, sheet: Sheet) -> bool:
    """Draw the sheet on one page; False if the device cannot be drawn on."""
    painter = QPainter()
    if not painter.begin(device):
        return False
    scale = painter.device().logicalDpiX() / _POINTS
    painter.scale(scale, scale)
    width = painter.viewport().width() / scale
    painter.setPen(_INK)
    y = _text(painter, sheet.title, 0.0, width, size=22, bold=True) + 14
    for sentence in sheet.instructions:
        y = _text(painter, sentence, y, width, size=11) + 5
    y += 14
    y = _words(painter, sheet, y, width) + 22
    side = 132.0
    paint_qr(painter, QRectF((width - side) / 2, y, side, side), sheet.qr)
    _text(painter, f"{sheet.mark} · {sheet.made}", y + side + 10, width, size=10, centred=True)
    painter.end()
    return True


def _words(painter: QPainter, sheet: Sheet, top: float, width: float) -> float:
    across = len(sheet.words) // _LINES
    cell = QSizeF(width / across, 30.0)
    numbers, words = _font(9), _font(17, fixed=True)
    for index, word in enumerate(sheet.words):
        x, y = index % across * cell.width(), top + index // across * cell.height()
        painter.setFont(numbers)
        flags = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        painter.drawText(QRectF(x, y, 22, cell.height()), flags, f"{index + 1}")
        painter.setFont(words)
        flags = int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        painter.drawText(QRectF(x + 30, y, cell.width() - 30, cell.height()), flags, word)
    return top + _LINES * cell.height()


def _text(
    painter: QPainter,
    text: str,
    top: float,
    width: float,
    *,
    size: int,
    bold: bool = False,
    centred: bool = False,
) -> float:
    """Draw wrapped text; returns where it ends."""
    font = _font(size)
    font.setBold(bold)
    painter.setFont(font)
    side = Qt.AlignmentFlag.AlignHCenter if centred else Qt.AlignmentFlag.AlignLeft
    flags = int(side | Qt.AlignmentFlag.AlignTop | Qt.TextFlag.TextWordWrap)
    drawn = painter.drawText(QRectF(0, top, width, 400.0), flags, text)
    return (drawn if isinstance(drawn, QRectF) else QRectF(drawn)).bottom()


def _font(size: int, *, fixed: bool = False) -> QFont:
    font = QFont("DejaVu Sans Mono" if fixed else "DejaVu Sans")
    font.setStyleHint(QFont.StyleHint.Monospace if fixed else QFont.StyleHint.SansSerif)
    # The painter is scaled to points already.
    font.setPixelSize(size)
    return font
