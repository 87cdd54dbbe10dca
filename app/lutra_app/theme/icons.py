"""Icons: one family (Phosphor, regular weight), drawn in the theme's colours.

The font comes with qtawesome. It is read from that package without importing it, because the
import loads a second binding of all of Qt and doubles the time to the first window.
"""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from pathlib import Path

from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QColor, QFont, QFontDatabase, QIcon, QPainter, QPixmap

from lutra.errors import EnvironmentalError

_FONT = "phosphor-*.ttf"
_SIDE = 18
_SCALES = (1.0, 1.5, 2.0, 3.0)
_CHARACTERS = "phosphor-charmap-*.json"


class IconFontError(EnvironmentalError):
    """The icon font that comes with qtawesome is missing or cannot be read."""

    code = "app.icon-font"


@cache
def font() -> tuple[str, dict[str, str]]:
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
    family, glyphs = font()
    letters = QFont(family)
    letters.setPixelSize(max(1, min(rect.width(), rect.height())))
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.TextAntialiasing)
    painter.setFont(letters)
    painter.setPen(color)
    painter.drawText(rect, int(Qt.AlignmentFlag.AlignCenter), glyphs[name])
    painter.restore()


@cache
def icon(name: str, color: str) -> QIcon:
    """Return the icon ``name`` (as Phosphor calls it) in ``color``, sharp at usual scalings.

    Raises:
        KeyError: the family has no such icon.
    """
    if name not in font()[1]:
        raise KeyError(name)
    made = QIcon()
    for scale in _SCALES:
        side = round(_SIDE * scale)
        pixmap = QPixmap(side, side)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        paint(painter, QRect(0, 0, side, side), name, QColor(color))
        painter.end()
        pixmap.setDevicePixelRatio(scale)
        made.addPixmap(pixmap)
    return made
