"""Where other people are on the page: carets with a name flag that fades, and selections."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QEasingCurve, QObject, QRectF, Qt, QVariantAnimation, Signal
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontMetricsF,
    QPainter,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
)
from PySide6.QtWidgets import QTextEdit

from lutra_app.theme.theme import Theme, ui_font
from lutra_app.theme.tokens import Motion, Radius, Space, Type


@dataclass(frozen=True, slots=True)
class RemoteCaret:
    """One person's caret, in positions of the document as it is now.

    Attributes:
        device: public key of the person's device.
        name: what the person is called.
        anchor: where the selection starts.
        head: where the caret is.
    """

    device: bytes
    name: str
    anchor: int
    head: int


class RemoteCarets(QObject):
    """The carets on one page.

    Signals:
        moved: paint again.
    """

    moved = Signal()

    def __init__(self, theme: Theme, parent: QObject) -> None:
        super().__init__(parent)
        self._theme = theme
        self._carets: dict[bytes, RemoteCaret] = {}
        self._fades: dict[bytes, QVariantAnimation] = {}

    def carets(self) -> list[RemoteCaret]:
        """Return the carets there are."""
        return list(self._carets.values())

    def show_all(self, carets: list[RemoteCaret], *, wake: bool = True) -> None:
        """Show exactly these; a caret that moved by its person's doing shows its flag again."""
        now = {caret.device: caret for caret in carets}
        for device in self._carets.keys() - now.keys():
            fade = self._fades.pop(device, None)
            if fade is not None:
                fade.stop()
                fade.deleteLater()
        for device, caret in now.items():
            if device not in self._fades or (wake and self._carets.get(device) != caret):
                self._wake(device)
        self._carets = now
        self.moved.emit()

    def _wake(self, device: bytes) -> None:
        fade = self._fades.get(device)
        if fade is None:
            fade = self._fades[device] = QVariantAnimation(self)
            fade.setEasingCurve(QEasingCurve.Type.InQuad)
            fade.setStartValue(1.0)
            fade.setEndValue(0.0)
            fade.valueChanged.connect(self.moved)
        fade.stop()
        shown, gone = Motion.FLAG_SHOWN, max(1, self._theme.duration(Motion.FLAG_FADE))
        fade.setDuration(shown + gone)
        fade.setKeyValueAt(shown / (shown + gone), 1.0)
        fade.start()

    def selections(self, document: QTextDocument) -> list[QTextEdit.ExtraSelection]:
        """Return people's selections, in their colours."""
        made: list[QTextEdit.ExtraSelection] = []
        end = document.characterCount() - 1
        for caret in self._carets.values():
            if caret.anchor == caret.head:
                continue
            color = self._theme.person_color(caret.device)
            color.setAlphaF(0.30 if self._theme.colors.dark else 0.20)
            selection = QTextEdit.ExtraSelection()
            shade = QTextCharFormat()
            shade.setBackground(color)
            selection.format = shade  # type: ignore[attr-defined]
            cursor = QTextCursor(document)
            cursor.setPosition(min(caret.anchor, end))
            cursor.setPosition(min(caret.head, end), QTextCursor.MoveMode.KeepAnchor)
            selection.cursor = cursor  # type: ignore[attr-defined]
            made.append(selection)
        return made

    def paint(self, painter: QPainter, edit: QTextEdit) -> None:
        """Draw carets and flags over the text."""
        end = edit.document().characterCount() - 1
        cursor = QTextCursor(edit.document())
        area = QRectF(edit.viewport().rect())
        for caret in self._carets.values():
            cursor.setPosition(min(caret.head, end))
            rect = QRectF(edit.cursorRect(cursor))
            if rect.bottom() < area.top() or rect.top() > area.bottom():
                continue
            color = self._theme.person_color(caret.device)
            painter.fillRect(QRectF(rect.left() - 1, rect.top(), 2, rect.height()), color)
            self._paint_flag(painter, caret, rect, area, color)

    def _paint_flag(
        self, painter: QPainter, caret: RemoteCaret, rect: QRectF, area: QRectF, color: QColor
    ) -> None:
        fade = self._fades.get(caret.device)
        opacity = float(fade.currentValue() or 0.0) if fade is not None else 0.0
        if opacity <= 0.0:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(color)
            painter.drawRoundedRect(QRectF(rect.left() - 3, rect.top() - 3, 6, 6), 2, 2)
            return
        font = ui_font()
        font.setPixelSize(Type.CAPTION - 1)
        font.setWeight(QFont.Weight.DemiBold)
        metrics = QFontMetricsF(font)
        width = metrics.horizontalAdvance(caret.name) + 2 * (Space.XS + 2)
        height = metrics.height() + 4
        left = min(rect.left() - 1, area.right() - width - Space.XS)
        top = rect.top() - height
        if top < area.top():
            top = rect.bottom()
        flag = QRectF(max(left, area.left()), top, width, height)
        painter.save()
        painter.setOpacity(opacity)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(color)
        painter.drawRoundedRect(flag, Radius.S, Radius.S)
        painter.setPen(QColor(self._theme.colors.on_person))
        painter.setFont(font)
        painter.drawText(flag, int(Qt.AlignmentFlag.AlignCenter), caret.name)
        painter.restore()
