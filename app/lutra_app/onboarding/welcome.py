"""The first screen: what people should call you; nothing else is asked."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QResizeEvent
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from lutra_app.i18n import tr
from lutra_app.resources import resource
from lutra_app.theme.parts import link_button
from lutra_app.theme.theme import Theme
from lutra_app.theme.tokens import Space
from lutra_app.theme.widgets import button, label

_WIDTH = 420
_MARK = 72


class Mark(QWidget):
    """Lutra's mark."""

    def __init__(self, size: int = _MARK) -> None:
        super().__init__()
        self._renderer = QSvgRenderer(str(resource("icons/lutra.svg")), self)
        self.setFixedSize(size, size)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the mark."""
        painter = QPainter(self)
        self._renderer.render(painter, QRectF(self.rect()))


class _Screen(QFrame):
    """A centred column with the mark, a heading, a sentence, a field and one button."""

    def __init__(self, *, heading: str, lead: str, field: str, go: str) -> None:
        super().__init__()
        self.setProperty("role", "page")
        self.field = QLineEdit()
        self.field.setProperty("role", "large")
        self.field.setPlaceholderText(field)
        self.field.setAccessibleName(field)
        self.field.setMaxLength(60)
        self.go = button(go, "primary")
        self.go.setMinimumHeight(44)
        self.go.setEnabled(False)
        self.error = label("", "error", wrap=True)
        self.error.hide()
        self.foot = label("", "muted", wrap=True)
        column = QWidget()
        column.setFixedWidth(_WIDTH)
        inner = QVBoxLayout(column)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.setSpacing(Space.M)
        inner.addWidget(Mark())
        inner.addSpacing(Space.S)
        inner.addWidget(label(heading, "display", wrap=True))
        inner.addWidget(label(lead, "lead", wrap=True))
        inner.addSpacing(Space.L)
        inner.addWidget(self.field)
        inner.addWidget(self.error)
        inner.addWidget(self.go)
        self._ways = QVBoxLayout()
        self._ways.setSpacing(0)
        inner.addLayout(self._ways)
        inner.addSpacing(Space.S)
        inner.addWidget(self.foot)
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(column)
        row.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addStretch(2)
        layout.addLayout(row)
        layout.addStretch(3)
        self._column = column
        self.field.textChanged.connect(lambda text: self.go.setEnabled(bool(text.strip())))
        self.field.returnPressed.connect(self.go.click)
        self.setFocusProxy(self.field)

    def add_way(self, way: QWidget) -> None:
        """Put another way on below the button."""
        self._ways.addWidget(way)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fit narrow windows."""
        self._column.setFixedWidth(min(_WIDTH, self.width() - 2 * Space.XL))

    def fail(self, message: str) -> None:
        """Say what went wrong; what was typed stays."""
        self.error.setText(message)
        self.error.show()
        self.set_busy(False)
        self.field.setFocus()

    def set_busy(self, busy: bool) -> None:
        """Hold the field while something is under way."""
        self.field.setEnabled(not busy)
        self.go.setEnabled(not busy and bool(self.field.text().strip()))


class Welcome(_Screen):
    """Asks for the name, or leads to one's identity on another device or on paper.

    Signals:
        named: the person's name.
        pairing_wanted: Lutra is on another device already.
        restoring_wanted: there is a recovery kit.
    """

    named = Signal(str)
    pairing_wanted = Signal()
    restoring_wanted = Signal()

    def __init__(self, theme: Theme) -> None:
        super().__init__(
            heading=tr("Write together.\nNobody in between."),
            lead=tr("What should people call you?"),
            field=tr("Your name"),
            go=tr("Start writing"),
        )
        self.foot.setText(tr("No account, no server. Your pages stay on your devices, encrypted."))
        self.go.clicked.connect(self._start)
        self.pair = link_button(tr("I have Lutra on another device"), self.pairing_wanted.emit)
        self.restore = link_button(tr("Restore with a recovery kit"), self.restoring_wanted.emit)
        self.add_way(self.pair)
        self.add_way(self.restore)

    def _start(self) -> None:
        name = " ".join(self.field.text().split())
        if name:
            self.error.hide()
            self.set_busy(True)
            self.named.emit(name)


class Unlock(_Screen):
    """Asks for the passphrase of a profile that has one.

    Signals:
        given: the passphrase.
    """

    given = Signal(str)

    def __init__(self, theme: Theme) -> None:
        super().__init__(
            heading=tr("Welcome back."),
            lead=tr("This profile is locked with a passphrase."),
            field=tr("Passphrase"),
            go=tr("Unlock"),
        )
        self.field.setEchoMode(QLineEdit.EchoMode.Password)
        self.field.setMaxLength(1024)
        self.go.clicked.connect(self._unlock)

    def _unlock(self) -> None:
        self.error.hide()
        self.set_busy(True)
        self.given.emit(self.field.text())
        self.field.clear()
