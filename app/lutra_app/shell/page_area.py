"""The middle pane: a quiet bar, the page, and the state line."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEasingCurve, QEvent, QObject, Qt, QTimer, QVariantAnimation, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QFrame,
    QGraphicsOpacityEffect,
    QHBoxLayout,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from lutra_app.editor.page import PageBody
from lutra_app.i18n import tr
from lutra_app.shell.banners import Banners
from lutra_app.shell.state import State, Tone
from lutra_app.theme.theme import Theme
from lutra_app.theme.tokens import Motion, Space
from lutra_app.theme.widgets import AvatarRow, IconButton, button, label, panel

_BAR_HEIGHT = 48
_RECEDED = 0.25
_REST_MS = 1600
_COLUMN = 420


class PageArea(QFrame):
    """Bar, page and state line.

    Signals:
        sidebar_wanted: show or hide the sidebar.
        drawer_wanted: show or hide the drawer.
        invite_wanted: invite somebody into the group of the page.
        first_page_wanted: make a page.
        join_wanted: enter an invite code.
    """

    sidebar_wanted = Signal()
    drawer_wanted = Signal()
    invite_wanted = Signal()
    first_page_wanted = Signal()
    join_wanted = Signal()

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self.setProperty("role", "page")
        self.page = PageBody(theme)
        self._stack = QStackedWidget()
        self._opening = QWidget()
        self._empty = self._make_empty()
        for widget in (self._opening, self._empty, self.page):
            self._stack.addWidget(widget)
        self._bar = self._make_bar()
        self.banners = Banners(theme)
        self.notice = Notice(theme)
        self.state_line = StateLine(theme)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self._bar)
        layout.addWidget(self.banners)
        layout.addWidget(self.notice)
        layout.addWidget(self._stack, 1)
        layout.addWidget(self.state_line)
        self._quiet = QuietChrome(theme, self._bar)
        self.page.typed.connect(self._quiet.recede)
        self.page.title.typed.connect(self._quiet.recede)
        for widget in (self, self.page.viewport(), self._bar):
            widget.setMouseTracking(True)
            widget.installEventFilter(self._quiet)
        theme.changed.connect(self._restyle)

    def _make_bar(self) -> QWidget:
        bar = QWidget()
        bar.setFixedHeight(_BAR_HEIGHT)
        row = QHBoxLayout(bar)
        row.setContentsMargins(Space.S, 0, Space.S, 0)
        row.setSpacing(Space.S)
        fold = IconButton(self._theme, "list", tr("Show or hide the sidebar"), shortcut="Ctrl+\\")
        fold.clicked.connect(self.sidebar_wanted)
        self._where = label("", "muted")
        self._where.setMinimumWidth(0)
        self.here = AvatarRow(self._theme)
        self._invite = button(tr("Invite"), "quiet")
        self._invite.setIcon(self._theme.icon("user-plus"))
        self._invite.clicked.connect(self.invite_wanted)
        drawer = IconButton(self._theme, "users", tr("People and history"), shortcut="Ctrl+.")
        drawer.clicked.connect(self.drawer_wanted)
        row.addWidget(fold)
        row.addWidget(self._where, 1)
        row.addWidget(self.here)
        row.addWidget(self._invite)
        row.addWidget(drawer)
        return bar

    def _make_empty(self) -> QWidget:
        holder = QWidget()
        column = QWidget()
        column.setMaximumWidth(_COLUMN)
        inner = QVBoxLayout(column)
        inner.setSpacing(Space.M)
        heading = label(tr("Nothing is open"), "heading", wrap=True)
        lead = label(
            tr(
                "Write a page of your own, or join people who invited you. Ctrl+K finds everything."
            ),
            "lead",
            wrap=True,
        )
        buttons = QHBoxLayout()
        buttons.setSpacing(Space.S)
        self.first_page = button(tr("Write a page"), "primary")
        self.first_page.clicked.connect(self.first_page_wanted)
        join = button(tr("Join a group"))
        join.clicked.connect(self.join_wanted)
        buttons.addWidget(self.first_page)
        buttons.addWidget(join)
        buttons.addStretch(1)
        inner.addWidget(heading)
        inner.addWidget(lead)
        inner.addSpacing(Space.S)
        inner.addLayout(buttons)
        layout = QVBoxLayout(holder)
        layout.setContentsMargins(Space.XL, Space.XL, Space.XL, Space.XL)
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(column, 100)
        row.addStretch(1)
        layout.addStretch(2)
        layout.addLayout(row)
        layout.addStretch(3)
        return holder

    def show_page(self, group: str, *, may_invite: bool = True) -> None:
        """Show the page; `group` is where it belongs, and others may be invited into."""
        self._where.setText(group)
        self._invite.setVisible(may_invite)
        self._stack.setCurrentWidget(self.page)
        self.state_line.show()

    def show_empty(self) -> None:
        """Show what can be done when no page is open."""
        self._where.setText("")
        self._invite.hide()
        self.here.show_people([])
        self._stack.setCurrentWidget(self._empty)
        self.state_line.hide()

    def show_opening(self) -> None:
        """Show nothing yet, for the moment until a page is there."""
        self._stack.setCurrentWidget(self._opening)

    def show_people(self, people: Sequence[tuple[str, bytes]]) -> None:
        """Show who is on the page."""
        self.here.show_people(people)

    def _restyle(self) -> None:
        self._invite.setIcon(self._theme.icon("user-plus"))
        self.page.restyle()


class StateLine(QWidget):
    """One sentence with a dot, below the page."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._state = State("", Tone.QUIET)
        self._dot = _Dot(theme)
        self._text = label("", "state")
        self._text.setMinimumWidth(0)
        self.setFixedHeight(30)
        row = QHBoxLayout(self)
        row.setContentsMargins(Space.L, 0, Space.L, Space.XS)
        row.setSpacing(Space.S)
        row.addWidget(self._dot)
        row.addWidget(self._text, 1)

    def show_state(self, state: State) -> None:
        """Show a state; screen readers hear it when it changes."""
        if state == self._state:
            return
        self._state = state
        self._text.setText(state.sentence)
        self._text.setToolTip(state.sentence)
        self._text.setAccessibleName(state.sentence)
        self._dot.show_tone(state.tone)

    @property
    def sentence(self) -> str:
        """The sentence shown."""
        return self._state.sentence


class _Dot(QWidget):
    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme, self._tone = theme, Tone.QUIET
        self.setFixedSize(8, 8)
        theme.changed.connect(self.update)

    def show_tone(self, tone: Tone) -> None:
        self._tone = tone
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._theme.color(self._tone.value))
        painter.drawEllipse(self.rect().adjusted(1, 1, -1, -1))


class Notice(QFrame):
    """Something the person should know, above the page until dismissed."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        holder = panel("notice")
        row = QHBoxLayout(holder)
        row.setContentsMargins(Space.M, Space.XS, Space.XS, Space.XS)
        row.setSpacing(Space.S)
        self._text = label("", wrap=True)
        close = IconButton(theme, "x", tr("Dismiss"))
        close.clicked.connect(self.hide)
        row.addWidget(self._text, 1)
        row.addWidget(close, 0, Qt.AlignmentFlag.AlignTop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(Space.L, 0, Space.L, Space.S)
        layout.addWidget(holder)
        self.hide()

    def show_text(self, text: str) -> None:
        """Show a sentence."""
        self._text.setText(text)
        self._text.setAccessibleName(text)
        self.show()


class QuietChrome(QObject):
    """Lets a bar recede while the person types, and come back with the mouse or a rest."""

    def __init__(self, theme: Theme, bar: QWidget) -> None:
        super().__init__(bar)
        self._theme, self._bar = theme, bar
        self._effect = QGraphicsOpacityEffect(bar)
        self._effect.setEnabled(False)
        bar.setGraphicsEffect(self._effect)
        self._receded = False
        self._fade = QVariantAnimation(self)
        self._fade.setEasingCurve(QEasingCurve.Type.OutCubic)
        self._fade.valueChanged.connect(self._set_opacity)
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(_REST_MS)
        self._rest.timeout.connect(self.return_)

    def recede(self) -> None:
        """The person is typing."""
        self._rest.start()
        if not self._receded:
            self._receded = True
            self._animate(_RECEDED)

    def return_(self) -> None:
        """Show the bar fully again."""
        self._rest.stop()
        if self._receded:
            self._receded = False
            self._animate(1.0)

    def _animate(self, to: float) -> None:
        start = self._effect.opacity() if self._effect.isEnabled() else 1.0
        duration = self._theme.duration(Motion.CALM)
        self._fade.stop()
        if not duration:
            self._set_opacity(to)
            return
        self._fade.setDuration(duration)
        self._fade.setStartValue(start)
        self._fade.setEndValue(to)
        self._fade.start()

    def _set_opacity(self, value: float) -> None:
        self._effect.setOpacity(value)
        self._effect.setEnabled(value < 0.999)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Come back when the mouse moves."""
        if event.type() in (QEvent.Type.MouseMove, QEvent.Type.Enter) and self._receded:
            self.return_()
        return super().eventFilter(watched, event)
