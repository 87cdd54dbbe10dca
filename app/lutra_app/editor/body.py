"""The editor of a page's text.

A QTextEdit whose own undo, rich-text paste and automatic formatting are off: every edit reaches
the `Binding`, which keeps the replica equal. While an input method composes, remote edits wait.
"""

from __future__ import annotations

from PySide6.QtCore import QMimeData, QPointF, QRectF, Qt, QUrl, Signal
from PySide6.QtGui import (
    QDesktopServices,
    QInputMethodEvent,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QTextBlock,
    QTextCursor,
    QTextOption,
)
from PySide6.QtWidgets import QFrame, QTextEdit

from lutra_app.editor import decoration, structure
from lutra_app.editor.binding import Binding, Delta
from lutra_app.editor.carets import RemoteCarets
from lutra_app.editor.formats import CHECKS, INDENT_WIDTH, Formats, kind_of, marks_of
from lutra_app.editor.paste import safe_link, spans_of
from lutra_app.editor.steady import Steady
from lutra_app.i18n import tr
from lutra_app.theme.theme import Theme, text_font

_MARK_KEYS = {
    Qt.Key.Key_B: "bold",
    Qt.Key.Key_I: "italic",
    Qt.Key.Key_U: "underline",
    Qt.Key.Key_E: "code",
}
_KIND_KEYS = {
    Qt.Key.Key_7: "ol",
    Qt.Key.Key_Ampersand: "ol",
    Qt.Key.Key_8: "ul",
    Qt.Key.Key_Asterisk: "ul",
    Qt.Key.Key_9: "check",
    Qt.Key.Key_ParenLeft: "check",
}
_HEADING_KEYS = {
    Qt.Key.Key_0: "",
    Qt.Key.Key_1: "h1",
    Qt.Key.Key_2: "h2",
    Qt.Key.Key_3: "h3",
}


class BodyEdit(QTextEdit):
    """The text of a page.

    Signals:
        undo_wanted: the person pressed the keys for undo.
        redo_wanted: the person pressed the keys for redo.
        link_wanted: the person wants to link the selection.
        left_upwards: the caret left the first line upwards.
        typed: the person is writing; quiet chrome may recede.
        composed: the input method is done with a word; others' edits may come in again.
    """

    undo_wanted = Signal()
    redo_wanted = Signal()
    link_wanted = Signal()
    left_upwards = Signal()
    typed = Signal()
    composed = Signal()

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._binding: Binding | None = None
        self._composing = False
        self.carets = RemoteCarets(theme, self)
        self.carets.moved.connect(self._show_carets)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setProperty("role", "text")
        self.setAccessibleName(tr("Text of the page"))
        self.setUndoRedoEnabled(False)
        self.setAcceptRichText(True)
        self.setTabChangesFocus(False)
        self.setCursorWidth(2)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.setMouseTracking(True)
        self.viewport().setMouseTracking(True)
        document = self.document()
        document.setDefaultFont(text_font())
        document.setIndentWidth(INDENT_WIDTH)
        document.setDocumentMargin(0)
        option = QTextOption()
        option.setTextDirection(Qt.LayoutDirection.LayoutDirectionAuto)
        option.setWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        document.setDefaultTextOption(option)

    # -- binding -------------------------------------------------------------------------

    def bind(self, binding: Binding) -> None:
        """Edit through this binding from now on; it belongs to this editor's document."""
        self._binding = binding
        binding.line_appended.connect(self._stay_before)

    def _stay_before(self, end: int) -> None:
        cursor = self.textCursor()
        anchor, position = min(cursor.anchor(), end), min(cursor.position(), end)
        if (anchor, position) != (cursor.anchor(), cursor.position()):
            cursor.setPosition(anchor)
            cursor.setPosition(position, QTextCursor.MoveMode.KeepAnchor)
            self.setTextCursor(cursor)

    def unbind(self) -> None:
        """Take no more edits until another binding comes."""
        self._binding = None

    def formats(self) -> Formats:
        """Return the formats to draw with in the theme's colours."""
        return Formats(self._theme.colors, text_font())

    @property
    def binding(self) -> Binding | None:
        """The binding in force."""
        return self._binding

    @property
    def composing(self) -> bool:
        """Whether an input method is in the middle of a word."""
        return self._composing

    def apply(self, delta: Delta, *, follow: bool = False) -> None:
        """Apply edits that are in the replica but not yet in the document.

        Never while `composing`: what an input method commits must meet the text it was begun in,
        so replicas take in others' edits only once `composed` was sent.

        Args:
            delta: what changed.
            follow: put the caret where the change is (undo, redo) instead of keeping it.
        """
        if self._binding is None or not delta:
            return
        steady = Steady(self)
        self._binding.apply(delta)
        steady.restore([delta], follow=follow)

    # -- input ---------------------------------------------------------------------------

    def inputMethodEvent(self, event: QInputMethodEvent) -> None:
        """Compose; what others type meanwhile comes in when the word is done."""
        was_composing, self._composing = self._composing, bool(event.preeditString())
        if event.commitString() or event.replacementLength():
            self.typed.emit()
        super().inputMethodEvent(event)
        if was_composing and not self._composing:
            self.composed.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Handle what a page adds to plain typing."""
        if self._binding is None or self.isReadOnly():
            super().keyPressEvent(event)
            return
        if self._command(event) or self._structural(event):
            event.accept()
            self.ensureCursorVisible()
            return
        text = event.text()
        super().keyPressEvent(event)
        if text and text.isprintable():
            self.typed.emit()
            cursor = self.textCursor()
            if text in "*_`~" and structure.mark_typed(self._binding, cursor):
                self.setTextCursor(cursor)
                self._type_plain(cursor)

    def _type_plain(self, cursor: QTextCursor) -> None:
        """Go on typing without the marks of the text just finished."""
        assert self._binding is not None
        self.setCurrentCharFormat(self.formats().char({}, kind_of(cursor.block())))

    def _command(self, event: QKeyEvent) -> bool:
        if event.matches(QKeySequence.StandardKey.Undo):
            self.undo_wanted.emit()
            return True
        if event.matches(QKeySequence.StandardKey.Redo) or _is_ctrl(event, Qt.Key.Key_Y):
            self.redo_wanted.emit()
            return True
        if event.matches(QKeySequence.StandardKey.Paste):
            return False
        key, modifiers = Qt.Key(event.key()), event.modifiers()
        control = Qt.KeyboardModifier.ControlModifier
        shift = Qt.KeyboardModifier.ShiftModifier
        alt = Qt.KeyboardModifier.AltModifier
        modifiers &= ~Qt.KeyboardModifier.KeypadModifier
        if modifiers == control and key in _MARK_KEYS:
            self.toggle_mark(_MARK_KEYS[key])
            return True
        if modifiers == control and key == Qt.Key.Key_K and self.textCursor().hasSelection():
            self.link_wanted.emit()
            return True
        if modifiers == control | shift and key == Qt.Key.Key_X:
            self.toggle_mark("strike")
            return True
        if modifiers == control | shift and key == Qt.Key.Key_V:
            self._paste_plain()
            return True
        if modifiers == control | shift and key in _KIND_KEYS:
            self.toggle_kind(_KIND_KEYS[key])
            return True
        if modifiers == control | alt and key in _HEADING_KEYS:
            self.toggle_kind(_HEADING_KEYS[key])
            return True
        if modifiers == control and key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            return self._toggle_check_here()
        return False

    def _structural(self, event: QKeyEvent) -> bool:
        assert self._binding is not None
        key, modifiers = Qt.Key(event.key()), event.modifiers()
        cursor = self.textCursor()
        plain = modifiers in (
            Qt.KeyboardModifier.NoModifier,
            Qt.KeyboardModifier.KeypadModifier,
        )
        done = False
        if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and plain:
            self.typed.emit()
            done = structure.enter(self._binding, cursor)
            if not done:
                cursor.insertBlock()
                done = True
        elif key == Qt.Key.Key_Backspace and plain:
            done = structure.backspace_at_start(self._binding, cursor)
        elif key == Qt.Key.Key_Tab and plain:
            done = structure.change_indent(self._binding, cursor, 1)
            if not done:
                cursor.insertText("\t")
                done = True
        elif key == Qt.Key.Key_Backtab:
            structure.change_indent(self._binding, cursor, -1)
            done = True
        elif event.text() == " " and plain:
            done = structure.space_typed(self._binding, cursor)
        elif event.text() == "`":
            done = structure.fence_typed(self._binding, cursor)
        elif key == Qt.Key.Key_Up and plain and self._on_first_line():
            self.left_upwards.emit()
            return True
        if done:
            self.setTextCursor(cursor)
        return done

    def _on_first_line(self) -> bool:
        cursor = self.textCursor()
        return not cursor.movePosition(QTextCursor.MoveOperation.Up)

    # -- formatting ----------------------------------------------------------------------

    def has_mark(self, name: str) -> bool:
        """Return whether the selection (or what is typed next) has a mark all through."""
        cursor = self.textCursor()
        if not cursor.hasSelection():
            return bool(marks_of(self.currentCharFormat()).get(name))
        probe = QTextCursor(cursor)
        for position in range(cursor.selectionStart() + 1, cursor.selectionEnd() + 1):
            probe.setPosition(position)
            if probe.atBlockStart():
                continue
            if not marks_of(probe.charFormat()).get(name):
                return False
        return True

    def set_frozen(self, frozen: bool) -> None:
        """Only let the page be read, or let it be written again; the caret stays either way."""
        flags = Qt.TextInteractionFlag
        reading = flags.TextSelectableByMouse | flags.TextSelectableByKeyboard
        self.setTextInteractionFlags(reading if frozen else flags.TextEditorInteraction)

    def toggle_mark(self, name: str) -> None:
        """Set or remove a mark on the selection, or for what is typed next."""
        if self.isReadOnly():
            return
        cursor = self.textCursor()
        is_set = self.has_mark(name)
        if cursor.hasSelection() and self._binding is not None:
            structure.toggle_mark(self._binding, cursor, name, is_set=is_set)
            return
        marks = marks_of(self.currentCharFormat())
        marks.pop(name, None)
        if not is_set:
            marks[name] = True
        self.setCurrentCharFormat(self.formats().char(marks, kind_of(cursor.block())))

    def set_link(self, address: str | None) -> None:
        """Link the selection to an address, or remove the link."""
        cursor = self.textCursor()
        if self._binding is not None and cursor.hasSelection() and not self.isReadOnly():
            self._binding.set_mark(cursor.selectionStart(), cursor.selectionEnd(), "link", address)

    def toggle_kind(self, kind: str) -> None:
        """Make the selected lines headings, lists … or paragraphs again."""
        if self._binding is None or self.isReadOnly():
            return
        cursor = self.textCursor()
        structure.toggle_kind(self._binding, cursor, kind)
        self.setTextCursor(cursor)

    def _toggle_check_here(self) -> bool:
        block = self.textCursor().block()
        kind = kind_of(block)
        if self._binding is None or kind not in CHECKS:
            return False
        structure.toggle_check(self._binding, block.position(), kind)
        return True

    # -- clipboard -----------------------------------------------------------------------

    def canInsertFromMimeData(self, source: QMimeData) -> bool:
        """Take text; images have no place on a page yet."""
        return source.hasText() or source.hasHtml()

    def insertFromMimeData(self, source: QMimeData) -> None:
        """Paste or drop, reduced to what a page knows."""
        self._insert(source, plain=kind_of(self.textCursor().block()) == "code")

    def _paste_plain(self) -> None:
        from PySide6.QtGui import QGuiApplication

        self._insert(QGuiApplication.clipboard().mimeData(), plain=True)

    def _insert(self, source: QMimeData, *, plain: bool) -> None:
        if self._binding is None or self.isReadOnly():
            return
        cursor = self.textCursor()
        self._binding.insert(cursor, spans_of(source, plain=plain))
        self.setTextCursor(cursor)
        self.ensureCursorVisible()
        self.typed.emit()

    # -- mouse ---------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Tick check boxes; follow links with Ctrl."""
        point = event.position()
        if event.button() == Qt.MouseButton.LeftButton:
            line = self._check_at(point)
            if line is not None and self._binding is not None and not self.isReadOnly():
                structure.toggle_check(self._binding, line.block.position(), line.kind)
                event.accept()
                return
            link = self._link_at(point)
            if link and event.modifiers() & Qt.KeyboardModifier.ControlModifier:
                QDesktopServices.openUrl(QUrl(link))
                event.accept()
                return
        super().mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Show a hand over what can be clicked."""
        super().mouseMoveEvent(event)
        control = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        hand = self._check_at(event.position()) is not None
        hand = hand or (control and self._link_at(event.position()) is not None)
        shape = Qt.CursorShape.PointingHandCursor if hand else Qt.CursorShape.IBeamCursor
        self.viewport().setCursor(shape)

    def _link_at(self, point: QPointF) -> str | None:
        cursor = self.cursorForPosition(point.toPoint())
        link = marks_of(cursor.charFormat()).get("link")
        return safe_link(link) if isinstance(link, str) else None

    def _check_at(self, point: QPointF) -> decoration.Line | None:
        area = QRectF(0, point.y() - 1, self.viewport().width(), 2)
        for line in decoration.visible_lines(self.document(), area, self._offset()):
            if line.kind in CHECKS and decoration.check_rect(line).contains(point.toPoint()):
                return line
        return None

    # -- painting ------------------------------------------------------------------------

    def _offset(self) -> QPointF:
        return QPointF(self.horizontalScrollBar().value(), self.verticalScrollBar().value())

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw markers and wells, then the text, then other people's carets."""
        painter = QPainter(self.viewport())
        area = QRectF(event.rect())
        lines = list(decoration.visible_lines(self.document(), area, self._offset()))
        decoration.paint_lines(
            painter, lines, self._theme.colors, decoration.number_font(text_font())
        )
        painter.end()
        super().paintEvent(event)
        if self.carets.carets():
            painter = QPainter(self.viewport())
            self.carets.paint(painter, self)
            painter.end()

    def _show_carets(self) -> None:
        self.setExtraSelections(self.carets.selections(self.document()))
        self.viewport().update()

    def restyle(self) -> None:
        """Draw in the theme's colours again."""
        if self._binding is not None:
            self._binding.restyle(self.formats())
        self._show_carets()

    def first_visible(self) -> QTextBlock:
        """Return the line at the top of the view."""
        return self.cursorForPosition(self.viewport().rect().topLeft()).block()


def _is_ctrl(event: QKeyEvent, key: Qt.Key) -> bool:
    return event.key() == key and event.modifiers() == Qt.KeyboardModifier.ControlModifier
