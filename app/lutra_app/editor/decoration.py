"""What stands beside and behind lines: bullets, numbers, check boxes, quote bars, code wells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPen, QTextBlock, QTextDocument

from lutra_app.editor.formats import CHECKS, INDENT_WIDTH, PARAGRAPH, indent_of, kind_of
from lutra_app.theme import icons
from lutra_app.theme.tokens import Colors, Radius, Space, Type

_CHECK_SIZE = 18
# Wells end round below the last line in sight only if the text ends there.
_BEYOND = 60.0


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the page where it is shown.

    Attributes:
        block: the line.
        kind: what it is, as in `lutra_app.editor.formats.kind_of`.
        rect: its rectangle in the viewport, margins excluded, as wide as the column.
        right_to_left: whether its text runs from right to left.
    """

    block: QTextBlock
    kind: str
    rect: QRectF
    right_to_left: bool

    def gutter(self) -> QRectF:
        """Return the place of the marker: one indent wide, as high as the first text line."""
        layout = self.block.layout()
        height = layout.lineAt(0).height() if layout.lineCount() else self.rect.height()
        # Proportional line height adds its space above the letters.
        indent = (indent_of(self.block) + 1) * INDENT_WIDTH
        x = self.rect.right() - indent if self.right_to_left else self.rect.left() + indent
        x -= 0 if self.right_to_left else INDENT_WIDTH
        return QRectF(x, self.rect.top(), INDENT_WIDTH, height)


def visible_lines(document: QTextDocument, area: QRectF, offset: QPointF) -> Iterator[Line]:
    """Yield the lines that meet `area` (viewport coordinates); `offset` is the scroll position."""
    layout = document.documentLayout()
    frame = document.rootFrame().frameFormat()
    left = frame.leftMargin() - offset.x()
    width = max(1.0, document.textWidth() - frame.leftMargin() - frame.rightMargin())
    block = _block_at(document, area.top() + offset.y())
    while block.isValid():
        rect = layout.blockBoundingRect(block).translated(-offset)
        if rect.top() > area.bottom() + _BEYOND:
            return
        kind = kind_of(block)
        if kind != PARAGRAPH:
            right_to_left = block.textDirection() == Qt.LayoutDirection.RightToLeft
            yield Line(block, kind, QRectF(left, rect.top(), width, rect.height()), right_to_left)
        block = block.next()


def _block_at(document: QTextDocument, y: float) -> QTextBlock:
    """Return a line at or above height `y` of the document, by bisection over the lines."""
    layout = document.documentLayout()
    low, high = 0, document.blockCount() - 1
    while low < high:
        middle = (low + high + 1) // 2
        if layout.blockBoundingRect(document.findBlockByNumber(middle)).top() <= y:
            low = middle
        else:
            high = middle - 1
    block = document.findBlockByNumber(low)
    # Wells and bars span lines and end round: start before the first line in sight.
    for _ in range(2):
        if block.previous().isValid():
            block = block.previous()
    return block


def paint_lines(painter: QPainter, lines: list[Line], colors: Colors, font: QFont) -> None:
    """Draw what belongs to `lines`, below the text."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    _paint_wells(painter, lines, colors)
    _paint_quotes(painter, lines, colors)
    for line in lines:
        if line.kind == "ul":
            _paint_bullet(painter, line, colors)
        elif line.kind == "ol":
            _paint_number(painter, line, colors, font)
        elif line.kind in CHECKS:
            _paint_check(painter, line, colors)


def _united(lines: list[Line], kind: str) -> Iterator[tuple[Line, QRectF]]:
    """Yield each run of neighbouring lines of a kind: its first line and the run's rectangle."""
    first: Line | None = None
    rect, last = QRectF(), -2
    for line in lines:
        if line.kind != kind:
            continue
        if first is not None and line.block.blockNumber() == last + 1:
            rect = rect.united(line.rect)
        else:
            if first is not None:
                yield first, rect
            first, rect = line, QRectF(line.rect)
        last = line.block.blockNumber()
    if first is not None:
        yield first, rect


def _paint_wells(painter: QPainter, lines: list[Line], colors: Colors) -> None:
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(colors.sunken))
    for _, rect in _united(lines, "code"):
        painter.drawRoundedRect(rect.adjusted(0, -Space.M, 0, Space.M), Radius.M, Radius.M)


def _paint_quotes(painter: QPainter, lines: list[Line], colors: Colors) -> None:
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(colors.accent))
    for first, rect in _united(lines, "quote"):
        gutter = first.gutter()
        x = gutter.right() - 5 if first.right_to_left else gutter.left() + 2
        painter.drawRoundedRect(QRectF(x, rect.top(), 3, rect.height()), 1.5, 1.5)


def _paint_bullet(painter: QPainter, line: Line, colors: Colors) -> None:
    center = line.gutter().center()
    depth = indent_of(line.block) % 3
    radius = 2.6
    dot = QRectF(center.x() - radius, center.y() - radius, 2 * radius, 2 * radius)
    painter.setPen(QPen(QColor(colors.muted), 1.3))
    painter.setBrush(QColor(colors.muted) if depth != 1 else Qt.BrushStyle.NoBrush)
    if depth == 2:
        painter.drawRect(dot)
    else:
        painter.drawEllipse(dot)


def _paint_number(painter: QPainter, line: Line, colors: Colors, font: QFont) -> None:
    gutter = line.gutter()
    painter.setFont(font)
    painter.setPen(QColor(colors.muted))
    text = f"{number_of(line.block)}."
    wide = gutter.adjusted(-INDENT_WIDTH, 0, -Space.XS, 0)
    side = Qt.AlignmentFlag.AlignRight
    if line.right_to_left:
        wide = gutter.adjusted(Space.XS, 0, INDENT_WIDTH, 0)
        side = Qt.AlignmentFlag.AlignLeft
    painter.drawText(wide, int(side | Qt.AlignmentFlag.AlignVCenter), text)


def number_of(block: QTextBlock) -> int:
    """Return the number of a numbered line within its list."""
    depth = indent_of(block)
    number = 1
    before = block.previous()
    while before.isValid():
        kind, other = kind_of(before), indent_of(before)
        if kind == "ol" and other == depth:
            number += 1
        elif other <= depth:
            break
        before = before.previous()
    return number


def check_rect(line: Line) -> QRect:
    """Return where a line's check box is drawn and may be clicked."""
    center = line.gutter().center()
    half = _CHECK_SIZE // 2
    shift = 3 if line.right_to_left else -3
    return QRect(int(center.x()) - half + shift, int(center.y()) - half, _CHECK_SIZE, _CHECK_SIZE)


def _paint_check(painter: QPainter, line: Line, colors: Colors) -> None:
    rect = check_rect(line)
    box = QRectF(rect).adjusted(1.5, 1.5, -1.5, -1.5)
    if line.kind == "checked":
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colors.accent))
        painter.drawRoundedRect(box, Radius.S, Radius.S)
        icons.paint(painter, rect.adjusted(3, 3, -3, -3), "check-bold", QColor(colors.on_accent))
    else:
        painter.setPen(QPen(QColor(colors.control_line), 1.5))
        painter.setBrush(QColor(colors.page))
        painter.drawRoundedRect(box, Radius.S, Radius.S)


def number_font(font: QFont) -> QFont:
    """Return the font of list numbers."""
    made = QFont(font)
    made.setPixelSize(Type.TEXT - 1)
    made.setFeature(QFont.Tag("tnum"), 1)
    return made
