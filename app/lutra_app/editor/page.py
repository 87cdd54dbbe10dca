"""The page: a large title and the text in one centred column that scrolls as a whole."""

from __future__ import annotations

from functools import cache

from PySide6.QtCore import QPoint, QRectF, QSizeF, Qt
from PySide6.QtGui import QFontMetricsF, QKeyEvent, QPainter, QPaintEvent, QResizeEvent, QTextCursor

from lutra_app.editor.body import BodyEdit
from lutra_app.editor.format_bar import FormatBar
from lutra_app.editor.title import TitleEdit, TitleFormats
from lutra_app.i18n import tr
from lutra_app.theme.theme import Theme, text_font
from lutra_app.theme.tokens import Space, Width

_TITLE_GAP = Space.L
_BOTTOM = 160
_MARGIN = Space.XXL
_MARGIN_NARROW = Space.XL
_SAMPLE = "We meet at the boat house on Friday evening, and everybody brings a lamp and a rope."


@cache
def _ideal_width() -> int:
    """Return the width of a line of `Width.COLUMN_CHARACTERS` average characters."""
    sample = QFontMetricsF(text_font()).horizontalAdvance(_SAMPLE)
    return round(sample / len(_SAMPLE) * Width.COLUMN_CHARACTERS)


class PageBody(BodyEdit):
    """The text with the title above it and a hint while it is empty."""

    def __init__(self, theme: Theme) -> None:
        super().__init__(theme)
        self.title = TitleEdit(theme)
        self.title.setParent(self.viewport())
        self.title.height_changed.connect(self.arrange)
        self.title.left_downwards.connect(self._enter_body)
        self.left_upwards.connect(self._enter_title)
        self.verticalScrollBar().valueChanged.connect(self._place_title)
        self.format_bar = FormatBar(theme, self)
        self._margins = (-1, -1, -1)
        self._arranging = False

    def unbind(self) -> None:
        """Take no more edits in text and title until other bindings come."""
        super().unbind()
        self.title.unbind()

    def set_frozen(self, frozen: bool) -> None:
        """Only let text and title be read, or let them be written again."""
        super().set_frozen(frozen)
        self.title.set_frozen(frozen)

    def column(self) -> tuple[int, int]:
        """Return the left edge and the width of the column in the viewport."""
        ideal = _ideal_width()
        # The scroll bar comes and goes without moving the text.
        available = self.width()
        margin = _MARGIN if available > ideal else _MARGIN_NARROW
        width = min(ideal, available - 2 * margin)
        return (available - width) // 2, max(width, 80)

    def arrange(self) -> None:
        """Give title and text the column's width."""
        if self._arranging:
            return
        self._arranging = True
        left, width = self.column()
        self.title.setFixedWidth(width)
        self.title.document().setTextWidth(width)
        height = self.title.wanted_height()
        self.title.setFixedHeight(height)
        above = self._above()
        right = self.viewport().width() - left - width
        margins = (left, above + height + _TITLE_GAP, right)
        if margins != self._margins:
            self._margins = margins
            self._set_margins(*margins)
        self._place_title()
        self._arranging = False

    def _above(self) -> int:
        return Space.HUGE if self.viewport().width() > 620 else Space.XL

    def _set_margins(self, left: int, top: int, right: int) -> None:
        """Set the frame's margins; they are layout, not content, and tell no one of an edit."""
        binding = self.binding
        frame = self.document().rootFrame()
        layout = frame.frameFormat()
        layout.setLeftMargin(left)
        layout.setRightMargin(right)
        layout.setTopMargin(top)
        layout.setBottomMargin(_BOTTOM)
        if binding is None:
            frame.setFrameFormat(layout)
        else:
            with binding.layout_only():
                frame.setFrameFormat(layout)

    def _place_title(self) -> None:
        left, _ = self.column()
        self.title.move(QPoint(left, self._above() - self.verticalScrollBar().value()))

    def _enter_body(self) -> None:
        self.setFocus(Qt.FocusReason.TabFocusReason)
        self.moveCursor(QTextCursor.MoveOperation.Start)

    def _enter_title(self) -> None:
        self.title.setFocus(Qt.FocusReason.BacktabFocusReason)
        self.title.moveCursor(QTextCursor.MoveOperation.End)

    def restyle(self) -> None:
        """Draw title and text in the theme's colours again."""
        super().restyle()
        self.title.restyle(self.title_formats())

    def title_formats(self) -> TitleFormats:
        """Return the formats to draw the title with."""
        return TitleFormats(self._theme)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the column centred."""
        super().resizeEvent(event)
        self.arrange()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Go back to the title from the very start of the text."""
        at_start = self.textCursor().position() == 0 and not self.textCursor().hasSelection()
        if event.key() == Qt.Key.Key_Left and at_start and not event.modifiers():
            self._enter_title()
            return
        super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the text, and a hint while there is none."""
        super().paintEvent(event)
        if self.document().isEmpty() and not self.composing and not self.isReadOnly():
            painter = QPainter(self.viewport())
            painter.setFont(text_font())
            painter.setPen(self._theme.color("muted"))
            start = self.cursorRect().topLeft()
            left, width = self.column()
            place = QRectF(QPoint(left, start.y()), QSizeF(width, 120))
            flags = Qt.AlignmentFlag.AlignLeft | Qt.TextFlag.TextWordWrap
            painter.drawText(
                place, int(flags), tr("Write here. # makes a heading, - a list, [] a task.")
            )
            painter.end()
