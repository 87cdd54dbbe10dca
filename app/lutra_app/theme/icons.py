"""Icons: one family (Phosphor, regular weight), drawn in the theme's colours.

The font comes with qtawesome. It is read from that package without importing it, because the
import loads a second binding of all of Qt and doubles the time to the first window.
"""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from pathlib import Path

from PySide6.QtCore import QPoint, QRect, QSize, Qt
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontDatabase,
    QIcon,
    QIconEngine,
    QPainter,
    QPixmap,
)

from lutra.errors import EnvironmentalError

_FONT = "phosphor-*.ttf"
_CHARACTERS = "phosphor-charmap-*.json"


class IconFontError(EnvironmentalError):
    """The icon font that comes with qtawesome is missing or cannot be read."""

    code = "app.icon-font"


@cache
def _font() -> tuple[str, dict[str, str]]:
    """Return the font's family and its glyphs by name."""
    spec = importlib.util.find_spec("qtawesome")
    if spec is None or spec.origin is None:
        raise IconFontError("The icons are missing: install Lutra with its desktop extra.")
    folder = Path(spec.origin).parent / "fonts"
    fonts, characters = sorted(folder.glob(_FONT)), sorted(folder.glob(_CHARACTERS))
    if not fonts or not characters:
        raise IconFontError("The icons are missing: install qtawesome again.")
    families = QFontDatabase.applicationFontFamilies(
        QFontDatabase.addApplicationFont(str(fonts[-1]))
    )
    if not families:
        raise IconFontError("The icon font cannot be read: install qtawesome again.")
    names = json.loads(characters[-1].read_text(encoding="utf-8"))
    return families[0], {name: chr(int(code, 16)) for name, code in names.items()}


def paint(painter: QPainter, rect: QRect, name: str, color: QColor) -> None:
    """Draw the icon ``name`` centred in ``rect``, as high as it."""
    family, glyphs = _font()
    font = QFont(family)
    font.setPixelSize(max(1, min(rect.width(), rect.height())))
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.TextAntialiasing)
    painter.setFont(font)
    painter.setPen(color)
    painter.drawText(rect, int(Qt.AlignmentFlag.AlignCenter), glyphs[name])
    painter.restore()


class _Engine(QIconEngine):
    def __init__(self, name: str, color: QColor, disabled: QColor) -> None:
        super().__init__()
        self._name, self._color, self._disabled = name, color, disabled

    def paint(self, painter: QPainter, rect: QRect, mode: QIcon.Mode, state: QIcon.State) -> None:
        color = self._disabled if mode == QIcon.Mode.Disabled else self._color
        paint(painter, rect, self._name, color)

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        return self.scaledPixmap(size, mode, state, 1.0)

    def scaledPixmap(
        self, size: QSize, mode: QIcon.Mode, state: QIcon.State, scale: float
    ) -> QPixmap:
        pixmap = QPixmap(size)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        self.paint(painter, QRect(QPoint(0, 0), size), mode, state)
        painter.end()
        pixmap.setDevicePixelRatio(scale)
        return pixmap

    def clone(self) -> QIconEngine:
        return _Engine(self._name, self._color, self._disabled)


def icon(name: str, color: str, disabled: str | None = None) -> QIcon:
    """Return the icon ``name`` (as Phosphor calls it) in ``color``."""
    return QIcon(_Engine(name, QColor(color), QColor(disabled or color)))
