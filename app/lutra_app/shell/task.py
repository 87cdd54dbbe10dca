"""A sheet for a task of several steps: heading, a part that scrolls, buttons below.

Each step says what it shows with `show_step`; what is under way is told by `busy`, what went wrong
by `fail`. What was entered stays until the next step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QSize, Qt, QTimer
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLayout,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from lutra_app.i18n import tr
from lutra_app.shell.sheet import Sheet
from lutra_app.theme.parts import clear
from lutra_app.theme.theme import Theme
from lutra_app.theme.tokens import Space
from lutra_app.theme.widgets import IconButton, button, label, set_role

_LEAST = 96
_EDGE = 3


class _Fitting(QScrollArea):
    """As high as its content where there is room, else it scrolls."""

    def __init__(self) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        policy = QSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.setMinimumHeight(0)

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        inner = self.widget()
        layout = inner.layout() if inner is not None else None
        return layout.totalHeightForWidth(width) if layout is not None else _LEAST

    def sizeHint(self) -> QSize:
        width = max(self.width(), 240)
        return QSize(width, self.heightForWidth(width))

    def minimumSizeHint(self) -> QSize:
        return QSize(120, min(_LEAST, self.heightForWidth(max(self.width(), 240))))


class _Step(QWidget):
    """What scrolls: how low it may be is for its height at a width to say, not for a guess."""

    def minimumSizeHint(self) -> QSize:
        return QSize(0, 0)


class Task(Sheet):
    """A sheet whose content changes from step to step."""

    def __init__(self, theme: Theme, window: QWidget, *, heading: str, width: int = 480) -> None:
        super().__init__(theme, window, width=width)
        self.heading = label(heading, "heading", wrap=True)
        self.back = IconButton(theme, "arrow-left", tr("Back"))
        self.back.clicked.connect(self._go_back)
        self.back.hide()
        self._back: Callable[[], None] | None = None
        dismiss = IconButton(theme, "x", tr("Close"))
        dismiss.clicked.connect(self.close_sheet)
        head = QHBoxLayout()
        head.setSpacing(Space.S)
        head.addWidget(self.back, 0, Qt.AlignmentFlag.AlignTop)
        head.addWidget(self.heading, 1)
        head.addWidget(dismiss, 0, Qt.AlignmentFlag.AlignTop)
        self._scroll = _Fitting()
        self._scroll.verticalScrollBar().rangeChanged.connect(self._overflowed)
        self.error = label("", "error", wrap=True)
        self.note = label("", "muted", wrap=True)
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setAccessibleName(tr("Progress"))
        self._foot = QHBoxLayout()
        self._foot.setSpacing(Space.S)
        self.content.addLayout(head)
        self.content.addWidget(self._scroll, 1)
        for widget in (self.error, self.note, self.progress):
            widget.hide()
            self.content.addWidget(widget)
        self.content.addLayout(self._foot)
        self.card.setAccessibleName(heading)
        self._first: QWidget | None = None
        self._held: list[QWidget] = []

    def show_step(
        self,
        *items: QWidget | QLayout | int,
        heading: str = "",
        buttons: Sequence[QPushButton] = (),
        focus: QWidget | None = None,
        back: Callable[[], None] | None = None,
    ) -> None:
        """Show a step in place of the one before.

        Args:
            items: what it holds, from top to bottom; a number is a distance.
            heading: the card's heading, if it changes.
            buttons: below, the last one being the way on; the one before ends or goes back.
            focus: where the keyboard goes; by default the first field or button.
            back: where the arrow beside the heading leads; None hides it.
        """
        old = self._scroll.takeWidget()
        if old is not None:
            # The step may be left from a slot of one of its own buttons.
            old.hide()
            old.setParent(self)
            old.deleteLater()
        if heading:
            self.heading.setText(heading)
            self.card.setAccessibleName(heading)
        self.settle()
        self._back = back
        self.back.setVisible(back is not None)
        holder = _Step()
        column = QVBoxLayout(holder)
        column.setContentsMargins(_EDGE, _EDGE, _EDGE, _EDGE)
        column.setSpacing(Space.M)
        for item in items:
            if isinstance(item, int):
                column.addSpacing(item)
            elif isinstance(item, QLayout):
                column.addLayout(item)
            else:
                column.addWidget(item)
        column.addStretch(1)
        self._scroll.setWidget(holder)
        clear(self._foot)
        if buttons:
            self._foot.addStretch(1)
        for widget in buttons:
            self._foot.addWidget(widget)
            # Else it would be shown, and could take the keyboard, only with the next event.
            widget.show()
        self._held = list(buttons)
        self._first = focus or (buttons[-1] if buttons else self.back)
        if self.isVisible():
            self._fit()
            self._first.setFocus(Qt.FocusReason.OtherFocusReason)

    def open_task(self) -> None:
        """Show the sheet at its step."""
        self.open(self._first or self)
        self._fit()

    def fail(self, message: str) -> None:
        """Say what went wrong; the step can be tried again."""
        self.settle()
        self.error.setText(message)
        self.error.setAccessibleName(message)
        self.error.show()
        self._fit()

    def say(self, sentence: str, *, good: bool = False) -> None:
        """Say something about the step that is no error."""
        self.settle()
        set_role(self.note, "good" if good else "muted")
        self.note.setText(sentence)
        self.note.setVisible(bool(sentence))
        self._fit()

    def busy(self, sentence: str, done: int = 0, total: int = 0) -> None:
        """Say what is under way, and how far it is if that is known; the way on is held."""
        self.error.hide()
        set_role(self.note, "muted")
        self.note.setText(sentence)
        self.note.setAccessibleName(sentence)
        self.note.show()
        self.progress.setRange(0, total)
        self.progress.setValue(done)
        self.progress.show()
        for widget in self._held[-1:]:
            if widget.property("role") == "primary":
                widget.setEnabled(False)
        self._fit()

    def settle(self) -> None:
        """Nothing is under way, and nothing is wrong."""
        if self.progress.isVisibleTo(self.card):
            for widget in self._held[-1:]:
                widget.setEnabled(True)
        for widget in (self.error, self.note, self.progress):
            widget.hide()
        self._fit()

    def _fit(self) -> None:
        if self.isVisible():
            self.place()
            # Widgets take their fonts and paddings from the style only once they are shown.
            QTimer.singleShot(0, self, self.place)

    def _overflowed(self, _: int, most: int) -> None:
        """Look whether there is room for what does not fit any more, as when fonts change."""
        if most and self.isVisible():
            QTimer.singleShot(0, self, self.place)

    def place(self) -> None:
        """Give the card the height its step needs."""
        for part in self.card.findChildren(QWidget):
            part.ensurePolished()
        # Layouts learn of a new font or text only with the next event; the height is wanted now.
        for layout in self.card.findChildren(QLayout):
            layout.invalidate()
        self._scroll.updateGeometry()
        self.content.invalidate()
        super().place()

    def _go_back(self) -> None:
        if self._back is not None:
            self._back()


def primary(text: str, clicked: Callable[[], object]) -> QPushButton:
    """Return the button that leads on."""
    made = button(text, "primary")
    made.clicked.connect(lambda *_: clicked())
    return made


def plain(text: str, clicked: Callable[[], object], role: str = "") -> QPushButton:
    """Return a button beside it."""
    made = button(text, role)
    made.clicked.connect(lambda *_: clicked())
    return made
