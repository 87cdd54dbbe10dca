"""How attributes of the text look, and how they are read back.

The attributes themselves (`bold`, `link`, `block` …) travel inside the Qt formats as one canonical
JSON string, so that attributes this version does not know survive every edit. Fonts, colours and
margins are derived from them and are never read back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from functools import lru_cache

from PySide6.QtGui import (
    QColor,
    QFont,
    QTextBlock,
    QTextBlockFormat,
    QTextCharFormat,
    QTextFormat,
)

from lutra_app.theme.theme import mono_font
from lutra_app.theme.tokens import Colors, Space, Type

Attributes = Mapping[str, object]

MARKS = int(QTextFormat.Property.UserProperty) + 1
BLOCK = int(QTextFormat.Property.UserProperty) + 2

PARAGRAPH = ""
HEADINGS = ("h1", "h2", "h3")
CHECKS = ("check", "checked")
LISTS = ("ul", "ol", *CHECKS)
BLOCK_NAMES = ("block", "indent", "language")
MAX_INDENT = 6
INDENT_WIDTH = 26

_HEADING_SIZE = {"h1": Type.H1, "h2": Type.H2, "h3": Type.H3}
_ABOVE = {"h1": Space.XXL, "h2": Space.XL, "h3": Space.XL, "quote": Space.M, "code": Space.XL}
_BELOW = {"h1": Space.S, "h2": Space.S, "h3": Space.XS, "quote": Space.M, "code": Space.XL}
_GROUPED = frozenset((*LISTS, "quote", "code"))
_WITHIN = {"quote": 0, "code": 0}
_GAP = Space.S
_ITEM_GAP = Space.HAIR


class Place(Enum):
    """Where a line stands among neighbours of its kind: decides the space around it."""

    ALONE = "alone"
    FIRST = "first"
    MIDDLE = "middle"
    LAST = "last"


def place_of(block: QTextBlock) -> Place:
    """Return where a line of a list, quote or code stands; other lines always stand alone."""
    kind = kind_of(block)
    if kind not in _GROUPED:
        return Place.ALONE
    above = _same_group(block.previous(), kind)
    below = _same_group(block.next(), kind)
    if above:
        return Place.MIDDLE if below else Place.LAST
    return Place.FIRST if below else Place.ALONE


def _same_group(block: QTextBlock, kind: str) -> bool:
    if not block.isValid():
        return False
    other = kind_of(block)
    return other == kind or (other in LISTS and kind in LISTS)


@lru_cache(maxsize=4096)
def _decode(text: str) -> dict[str, object]:
    return json.loads(text) if text else {}


def _encode(attributes: Attributes) -> str:
    if not attributes:
        return ""
    return json.dumps(dict(attributes), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def marks_of(char_format: QTextCharFormat) -> dict[str, object]:
    """Return the marks a character's format carries."""
    return dict(_decode(char_format.property(MARKS) or ""))


def block_of(block: QTextBlock) -> dict[str, object]:
    """Return the attributes of a line (those on the newline that ends it)."""
    return dict(_decode(block.blockFormat().property(BLOCK) or ""))


def kind_of(block: QTextBlock) -> str:
    """Return what a line is: ``h1`` … ``code``, or `PARAGRAPH`."""
    return str(_decode(block.blockFormat().property(BLOCK) or "").get("block", PARAGRAPH))


def indent_of(block: QTextBlock) -> int:
    """Return how deep a line is indented, from 0 to `MAX_INDENT`."""
    value = _decode(block.blockFormat().property(BLOCK) or "").get("indent", 0)
    return min(max(value, 0), MAX_INDENT) if isinstance(value, int) else 0


def as_block(attributes: Attributes) -> dict[str, object]:
    """Return only what describes a line."""
    return {name: value for name, value in attributes.items() if name in BLOCK_NAMES}


def as_marks(attributes: Attributes) -> dict[str, object]:
    """Return only what describes characters."""
    return {name: value for name, value in attributes.items() if name not in BLOCK_NAMES}


class Formats:
    """Qt formats for one set of colours, each made once."""

    def __init__(self, colors: Colors, font: QFont) -> None:
        self._colors = colors
        self._font = font
        self._chars: dict[tuple[str, str], QTextCharFormat] = {}
        self._blocks: dict[tuple[str, Place], QTextBlockFormat] = {}

    def char(self, marks: Attributes, kind: str) -> QTextCharFormat:
        """Return the format of characters with `marks` in a line of `kind`."""
        key = (_encode(marks), kind)
        found = self._chars.get(key)
        if found is None:
            found = self._chars[key] = self._make_char(marks, key[0], kind)
        return found

    def block(self, attributes: Attributes, place: Place = Place.ALONE) -> QTextBlockFormat:
        """Return the format of a line with `attributes` at a place among its like."""
        key = (_encode(attributes), place)
        found = self._blocks.get(key)
        if found is None:
            found = self._blocks[key] = self._make_block(attributes, key[0], place)
        return found

    def _make_char(self, marks: Attributes, encoded: str, kind: str) -> QTextCharFormat:
        made = QTextCharFormat()
        if encoded:
            made.setProperty(MARKS, encoded)
        size = _HEADING_SIZE.get(kind, Type.TEXT)
        code = kind == "code" or bool(marks.get("code"))
        font = mono_font() if code else QFont(self._font)
        # Monospaced letters look larger than others of the same size.
        font.setPixelSize(round(size * 0.88) if code else size)
        bold = bool(marks.get("bold"))
        if kind in HEADINGS:
            font.setWeight(QFont.Weight.Bold if bold else QFont.Weight.DemiBold)
            font.setLetterSpacing(QFont.SpacingType.PercentageSpacing, 99)
        elif bold:
            font.setWeight(QFont.Weight.DemiBold)
        font.setItalic(bool(marks.get("italic")))
        font.setStrikeOut(bool(marks.get("strike")))
        font.setUnderline(bool(marks.get("underline") or marks.get("link")))
        made.setFont(font, QTextCharFormat.FontPropertiesInheritanceBehavior.FontPropertiesAll)
        made.setForeground(QColor(self._foreground(marks, kind)))
        if marks.get("code") and kind != "code":
            made.setBackground(QColor(self._colors.sunken))
        return made

    def _foreground(self, marks: Attributes, kind: str) -> str:
        if marks.get("link"):
            return self._colors.accent
        if marks.get("code") and kind != "code":
            return self._colors.code
        return self._colors.muted if kind in ("quote", "checked") else self._colors.text

    def _make_block(self, attributes: Attributes, encoded: str, place: Place) -> QTextBlockFormat:
        made = QTextBlockFormat()
        if encoded:
            made.setProperty(BLOCK, encoded)
        kind = str(attributes.get("block", PARAGRAPH))
        indent = attributes.get("indent", 0)
        depth = min(max(indent, 0), MAX_INDENT) if isinstance(indent, int) else 0
        within = _WITHIN.get(kind, _ITEM_GAP)
        above = _ABOVE.get(kind, _ITEM_GAP if kind in LISTS else 0)
        below = _BELOW.get(kind, _GAP)
        made.setTopMargin(within if place in (Place.MIDDLE, Place.LAST) else above)
        made.setBottomMargin(within if place in (Place.FIRST, Place.MIDDLE) else below)
        made.setIndent(depth + (1 if kind in (*LISTS, "quote", "code") else 0))
        if kind == "code":
            made.setRightMargin(Space.L)
            made.setNonBreakableLines(False)
        if kind in HEADINGS:
            made.setHeadingLevel(HEADINGS.index(kind) + 1)
        line = 128 if kind in HEADINGS else 140 if kind == "code" else Type.LINE_HEIGHT_PERCENT
        made.setLineHeight(line, int(QTextBlockFormat.LineHeightTypes.ProportionalHeight.value))
        return made
