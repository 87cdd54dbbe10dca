"""The drawer: people of the group, an invite for others, and where the page is held."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QButtonGroup,
    QFrame,
    QHBoxLayout,
    QLayout,
    QScrollArea,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from lutra.node.views import ChangeView, DocumentStatus, GroupView, InviteView, MemberView
from lutra_app.i18n import plural, tr
from lutra_app.people.qr import QrCode
from lutra_app.shell.state import page_state
from lutra_app.theme.theme import Theme, mono_font
from lutra_app.theme.tokens import Space, Type
from lutra_app.theme.widgets import Avatar, IconButton, button, label, rule

_COPIED_MS = 2000


class Drawer(QFrame):
    """The right pane.

    Signals:
        invite_wanted: make an invite into the group shown.
        close_wanted: fold the drawer away.
        history_wanted: the person looks at the history.
    """

    invite_wanted = Signal()
    close_wanted = Signal()
    history_wanted = Signal()

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self.setProperty("role", "panel")
        self.people = PeoplePanel(theme)
        self.people.invite_wanted.connect(self.invite_wanted)
        self.history = HistoryPanel(theme)
        self._stack = QStackedWidget()
        self._stack.addWidget(_scrolling(self.people))
        self._stack.addWidget(_scrolling(self.history))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, Space.S, 0, 0)
        layout.setSpacing(Space.S)
        layout.addLayout(self._make_tabs())
        layout.addWidget(self._stack, 1)

    def _make_tabs(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setContentsMargins(Space.L, 0, Space.S, 0)
        row.setSpacing(Space.XS)
        group = QButtonGroup(self)
        for index, name in enumerate((tr("People"), tr("History"))):
            tab = QToolButton()
            tab.setText(name)
            tab.setAccessibleName(name)
            tab.setProperty("role", "tab")
            tab.setCheckable(True)
            tab.setChecked(index == 0)
            tab.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            group.addButton(tab, index)
            row.addWidget(tab)
        group.idClicked.connect(self.show_tab)
        self._tabs = group
        close = IconButton(self._theme, "x", tr("Close the drawer"))
        close.clicked.connect(self.close_wanted)
        row.addStretch(1)
        row.addWidget(close)
        return row

    def show_tab(self, index: int) -> None:
        """Show people (0) or history (1)."""
        self._tabs.button(index).setChecked(True)
        self._stack.setCurrentIndex(index)
        if index == 1:
            self.history_wanted.emit()

    def shows_history(self) -> bool:
        """Return whether the history is in front."""
        return self._stack.currentIndex() == 1


def _scrolling(widget: QWidget) -> QScrollArea:
    area = QScrollArea()
    area.setWidget(widget)
    area.setWidgetResizable(True)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    return area


def _clear(layout: QLayout) -> None:
    while layout.count():
        item = layout.takeAt(0)
        widget = item.widget() if item is not None else None
        if widget is not None:
            widget.hide()
            widget.deleteLater()


class PeoplePanel(QWidget):
    """Members of the group, the invite, and where the page is held.

    Signals:
        invite_wanted: make an invite.
    """

    invite_wanted = Signal()

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._here: frozenset[bytes] = frozenset()
        self._group: GroupView | None = None
        self._shown: tuple[MemberView, ...] | None = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(Space.L, Space.S, Space.L, Space.L)
        layout.setSpacing(Space.S)
        self._name = label("", "subheading", wrap=True)
        self._summary = label("", "muted", wrap=True)
        self._members = QVBoxLayout()
        self._members.setSpacing(Space.XS)
        self._invite = button(tr("Invite somebody"), "primary")
        self._invite.clicked.connect(self.invite_wanted)
        self._card = InviteCard(theme)
        self._card.hide()
        self._state = label("", "muted", wrap=True)
        self._lock = label(
            tr(
                "Only the devices listed here can read these pages. "
                "They are encrypted on this device before they leave it."
            ),
            "muted",
            wrap=True,
        )
        layout.addWidget(self._name)
        layout.addWidget(self._summary)
        layout.addSpacing(Space.XS)
        layout.addLayout(self._members)
        layout.addSpacing(Space.S)
        layout.addWidget(self._invite)
        layout.addWidget(self._card)
        layout.addSpacing(Space.S)
        layout.addWidget(rule())
        layout.addSpacing(Space.XS)
        layout.addWidget(label(tr("This page"), "section"))
        layout.addWidget(self._state)
        layout.addSpacing(Space.S)
        layout.addWidget(label(tr("Encryption"), "section"))
        layout.addWidget(self._lock)
        layout.addStretch(1)

    def show_group(self, group: GroupView | None) -> None:
        """Show a group; an invite into another one disappears."""
        if group is None or (self._group is not None and group.id != self._group.id):
            self._card.hide()
            self._invite.show()
        self._group = group
        self.setEnabled(group is not None)
        self._invite.setEnabled(group is not None and group.member)
        if group is None:
            self._name.setText(tr("No group is open"))
            self._summary.setText("")
            self._fill(())
            return
        members = tuple(member for member in group.members if member.present)
        online = sum(1 for member in members if member.online and not member.me)
        self._name.setText(group.name)
        devices = plural(len(members), "{count} device", "{count} devices")
        around = tr("{count} connected now", count=online) if online else tr("none connected now")
        self._summary.setText(
            tr("Only this device so far") if len(members) == 1 else f"{devices} · {around}"
        )
        self._fill(members)

    def show_here(self, devices: frozenset[bytes]) -> None:
        """Mark the people who are on the open page."""
        if devices != self._here:
            self._here = devices
            members, self._shown = self._shown or (), None
            self._fill(members)

    def show_state(self, status: DocumentStatus | None) -> None:
        """Say where the open page is held."""
        self._state.setText(page_state(status).sentence if status is not None else "")

    def show_invite(self, invite: InviteView) -> None:
        """Show an invite to hand over."""
        self._card.show_invite(invite)
        self._card.show()
        self._invite.hide()

    def _fill(self, members: Sequence[MemberView]) -> None:
        if self._shown == tuple(members):
            return
        self._shown = tuple(members)
        _clear(self._members)
        for member in sorted(members, key=lambda member: (not member.me, not member.online)):
            self._members.addWidget(_MemberRow(self._theme, member, member.device in self._here))


class _MemberRow(QWidget):
    def __init__(self, theme: Theme, member: MemberView, here: bool) -> None:
        super().__init__()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, Space.XS, 0, Space.XS)
        row.setSpacing(Space.M)
        name = member.name or tr("Unknown person")
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(label(tr("{name} (you)", name=name) if member.me else name))
        where = (
            tr("this device")
            if member.me
            else tr("on this page")
            if here
            else tr("connected")
            if member.online
            else tr("not in reach")
        )
        detail = f"{member.device_name} · {where}" if member.device_name else where
        words.addWidget(label(detail, "muted"))
        row.addWidget(Avatar(theme, name, member.device, 32))
        row.addLayout(words, 1)
        self.setAccessibleName(f"{name}, {detail}")


class InviteCard(QFrame):
    """An invite: QR code, the same as letters, and until when it is good."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.setProperty("role", "card")
        self._invite: InviteView | None = None
        self._qr = QrCode(196)
        self._code = label("", wrap=True)
        self._code.setFont(mono_font(Type.UI))
        self._code.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._code.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
            | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self._code.setAccessibleName(tr("Invite code"))
        self._expires = label("", "muted", wrap=True)
        self._copy_code = button(tr("Copy code"))
        self._copy_link = button(tr("Copy link"))
        self._copy_code.clicked.connect(
            lambda: self._copy(self._copy_code, self._invite.code if self._invite else "")
        )
        self._copy_link.clicked.connect(
            lambda: self._copy(self._copy_link, self._invite.link if self._invite else "")
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(Space.L, Space.L, Space.L, Space.L)
        layout.setSpacing(Space.M)
        layout.addWidget(
            label(tr("On the other device choose “Join with a code”."), "muted", wrap=True)
        )
        layout.addWidget(self._qr, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addWidget(self._code)
        row = QHBoxLayout()
        row.setSpacing(Space.S)
        row.addWidget(self._copy_code, 1)
        row.addWidget(self._copy_link, 1)
        layout.addLayout(row)
        layout.addWidget(self._expires)

    def show_invite(self, invite: InviteView) -> None:
        """Show an invite."""
        self._invite = invite
        self._qr.show_text(invite.link)
        self._code.setText(spaced(invite.code))
        when = datetime.fromtimestamp(invite.expires / 1000)
        self._expires.setText(
            plural(
                invite.uses,
                "Good for {count} device until {when}. Keep Lutra open here while they join.",
                "Good for {count} devices until {when}. Keep Lutra open here while they join.",
                when=f"{when:%d %B, %H:%M}",
            )
        )

    def _copy(self, source: QWidget, text: str) -> None:
        QGuiApplication.clipboard().setText(text)
        before = source.property("text")
        source.setProperty("text", tr("Copied"))
        QTimer.singleShot(_COPIED_MS, source, lambda: source.setProperty("text", before))


def spaced(code: str) -> str:
    """Return a code that may wrap after its hyphens, where people pause."""
    return code.replace("-", "-\u200b")


class HistoryPanel(QWidget):
    """Who changed the page when, newest first."""

    MOST = 100

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._shown: tuple[ChangeView, ...] | None = None
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(Space.L, Space.S, Space.L, Space.L)
        self._layout.setSpacing(Space.XS)
        self._layout.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.show_changes(())

    def show_changes(self, changes: Sequence[ChangeView]) -> None:
        """Show these changes, given oldest first."""
        newest = tuple(reversed(changes))[: self.MOST]
        if newest == self._shown:
            return
        self._shown = newest
        _clear(self._layout)
        if not newest:
            self._layout.addWidget(
                label(tr("Every change of this page will be listed here."), "muted", wrap=True)
            )
        for change in newest:
            self._layout.addWidget(self._row(change))

    def _row(self, change: ChangeView) -> QWidget:
        holder = QWidget()
        row = QHBoxLayout(holder)
        row.setContentsMargins(0, Space.XS, 0, Space.XS)
        row.setSpacing(Space.M)
        name = change.name or tr("Somebody")
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(label(name))
        edits = plural(change.edits, "{count} edit", "{count} edits")
        when = when_text(change.time)
        detail = f"{edits} · {when}" if when else edits
        words.addWidget(label(detail, "muted"))
        row.addWidget(Avatar(self._theme, name, change.device or bytes(32), 28))
        row.addLayout(words, 1)
        holder.setAccessibleName(f"{name}, {detail}")
        return holder


def when_text(milliseconds: int, now: datetime | None = None) -> str:
    """Return a time as people say it; empty if it is not known."""
    if not milliseconds:
        return ""
    when, today = datetime.fromtimestamp(milliseconds / 1000), now or datetime.now()
    if when.date() == today.date():
        return tr("today, {time}", time=f"{when:%H:%M}")
    if (today.date() - when.date()).days == 1:
        return tr("yesterday, {time}", time=f"{when:%H:%M}")
    return f"{when:%d %B %Y, %H:%M}"
