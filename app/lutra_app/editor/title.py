"""The title of a page: one large line that wraps, in the same column as the text."""

from __future__ import annotations

from PySide6.QtCore import QMimeData, QSize, Qt, Signal
from PySide6.QtGui import (
    QFont,
    QInputMethodEvent,
    QKeyEvent,
    QKeySequence,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextOption,
)
from PySide6.QtWidgets import QFrame, QTextEdit

from lutra.documents.delta import Span
from lutra_app.editor.binding import Binding, Delta
from lutra_app.editor.formats import Attributes, Formats, Place
from lutra_app.editor.paste import tidy
from lutra_app.editor.steady import Steady
from lutra_app.i18n import tr
from lutra_app.theme.theme import Theme, ui_font
from lutra_app.theme.tokens import Type


class TitleFormats(Formats):
    """The title has no attributes; its look comes from the widget's own font."""

    def __init__(self, theme: Theme) -> None:
        super().__init__(theme.colors, title_font())
        self._title = QTextCharFormat()
        self._title.setFont(
            title_font(), QTextCharFormat.FontPropertiesInheritanceBehavior.FontPropertiesAll
        )
        self._title.setForeground(theme.color("text"))
        self._line = QTextBlockFormat()
        proportional = QTextBlockFormat.LineHeightTypes.ProportionalHeight
        self._line.setLineHeight(112, int(proportional.value))

    def char(self, marks: Attributes, kind: str) -> QTextCharFormat:
        """Return the one format of titles."""
        return self._title

    def block(self, attributes: Attributes, place: Place = Place.ALONE) -> QTextBlockFormat:
        """Return the one format of a title's lines."""
        return self._line


def title_font() -> QFont:
    """Return the font of titles."""
    font = ui_font()
    font.setPixelSize(Type.TITLE)
    font.setWeight(QFont.Weight.DemiBold)
    font.setLetterSpacing(QFont.SpacingType.PercentageSpacing, 98)
    return font


class TitleEdit(QTextEdit):
    """The title.

    Signals:
        left_downwards: go on in the text (Enter, Down, Tab).
        undo_wanted: the person pressed the keys for undo.
        redo_wanted: the person pressed the keys for redo.
        typed: the person is writing.
        height_changed: the title wraps differently.
        composed: the input method is done with a word.
    """

    left_downwards = Signal()
    undo_wanted = Signal()
    redo_wanted = Signal()
    typed = Signal()
    height_changed = Signal()
    composed = Signal()

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._binding: Binding | None = None
        self._composing = False
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setAccessibleName(tr("Title of the page"))
        self.setPlaceholderText(tr("Untitled"))
        self.setUndoRedoEnabled(False)
        self.setAcceptRichText(False)
        self.setTabChangesFocus(True)
        self.setCursorWidth(2)
        self.setProperty("role", "title")
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        document = self.document()
        document.setDocumentMargin(0)
        document.setDefaultFont(title_font())
        option = QTextOption()
        option.setTextDirection(Qt.LayoutDirection.LayoutDirectionAuto)
        option.setWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        document.setDefaultTextOption(option)
        document.documentLayout().documentSizeChanged.connect(lambda _: self.height_changed.emit())

    def bind(self, binding: Binding) -> None:
        """Edit through this binding from now on."""
        self._binding = binding

    def unbind(self) -> None:
        """Take no more edits until another binding comes."""
        self._binding = None

    def set_frozen(self, frozen: bool) -> None:
        """Only let the title be read, or let it be written again."""
        flags = Qt.TextInteractionFlag
        reading = flags.TextSelectableByMouse | flags.TextSelectableByKeyboard
        self.setTextInteractionFlags(reading if frozen else flags.TextEditorInteraction)

    def apply(self, delta: Delta) -> None:
        """Apply edits that are in the replica but not yet shown; never while `composing`."""
        if self._binding is None or not delta:
            return
        steady = Steady(self)
        self._binding.apply(delta)
        steady.restore([delta], follow=False)

    def restyle(self, formats: TitleFormats) -> None:
        """Draw in other formats."""
        if self._binding is not None:
            self._binding.restyle(formats)

    def wanted_height(self) -> int:
        """Return how high the title is at its present width."""
        return max(round(self.document().size().height()), self.fontMetrics().height()) + 2

    def sizeHint(self) -> QSize:
        """Return the size the layout should give."""
        return QSize(200, self.wanted_height())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Leave the title downwards; never break its line."""
        if event.matches(QKeySequence.StandardKey.Undo):
            self.undo_wanted.emit()
            return
        if event.matches(QKeySequence.StandardKey.Redo):
            self.redo_wanted.emit()
            return
        key = event.key()
        if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Tab):
            self.left_downwards.emit()
            return
        if key == Qt.Key.Key_Down and self._on_last_line():
            self.left_downwards.emit()
            return
        super().keyPressEvent(event)
        if event.text().isprintable() and event.text():
            self.typed.emit()

    def inputMethodEvent(self, event: QInputMethodEvent) -> None:
        """Compose; what others type meanwhile comes in when the word is done."""
        was_composing, self._composing = self._composing, bool(event.preeditString())
        super().inputMethodEvent(event)
        if was_composing and not self._composing:
            self.composed.emit()

    @property
    def composing(self) -> bool:
        """Whether an input method is in the middle of a word."""
        return self._composing

    def insertFromMimeData(self, source: QMimeData) -> None:
        """Paste as one line."""
        if self._binding is None or self.isReadOnly():
            return
        text = " ".join(tidy(source.text()).split())
        cursor = self.textCursor()
        self._binding.insert(cursor, [Span(text)] if text else [])
        self.setTextCursor(cursor)

    def _on_last_line(self) -> bool:
        return not self.textCursor().movePosition(QTextCursor.MoveOperation.Down)
