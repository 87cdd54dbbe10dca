"""The drawer's people: members person by person, what can be done, and where the page is held."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from lutra.node.person_views import PersonView
from lutra.node.views import DocumentStatus, GroupView, MemberView
from lutra_app.i18n import plural, tr
from lutra_app.people.roster import Member, roster
from lutra_app.people.words import devices_text, profile_words, role_name
from lutra_app.shell.state import page_state
from lutra_app.theme.parts import IconLabel, RowButton, clear, link_button
from lutra_app.theme.theme import Theme
from lutra_app.theme.tokens import Space
from lutra_app.theme.widgets import Avatar, button, label, rule

_MARKS = {"verified": ("shield-check", "good"), "changed": ("warning", "danger")}


class PeoplePanel(QWidget):
    """Members of the group and where the page is held.

    Signals:
        invite_wanted: make an invite.
        person_wanted: show a person of this group: (group, person).
        group_wanted: show what can be done with this group.
        requests_wanted: show who waits to be let in.
    """

    invite_wanted = Signal()
    person_wanted = Signal(bytes, bytes)
    group_wanted = Signal(bytes)
    requests_wanted = Signal()

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._here: frozenset[bytes] = frozenset()
        self._group: GroupView | None = None
        self._shown: object = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(Space.L, Space.S, Space.L, Space.L)
        layout.setSpacing(Space.S)
        self._name = label("", "subheading", wrap=True)
        self._summary = label("", "muted", wrap=True)
        self.requests = button("", "primary")
        self.requests.clicked.connect(self.requests_wanted)
        self.requests.hide()
        self._members = QVBoxLayout()
        self._members.setSpacing(0)
        self.invite = button(tr("Invite somebody"), "primary")
        self.invite.clicked.connect(self.invite_wanted)
        self.more = link_button(tr("Group: name, history, leave …"), self._want_group)
        self._state = label("", "muted", wrap=True)
        self._profile = label("", "muted", wrap=True)
        self._lock = label(
            tr(
                "Only the devices listed here can read these pages. "
                "They are encrypted on this device before they leave it."
            ),
            "muted",
            wrap=True,
        )
        for item in (self._name, self._summary, self.requests):
            layout.addWidget(item)
        layout.addLayout(self._members)
        layout.addSpacing(Space.XS)
        layout.addWidget(self.invite)
        layout.addWidget(self.more)
        layout.addWidget(rule())
        for caption, text in (
            (tr("This page"), self._state),
            (tr("What newcomers read"), self._profile),
            (tr("Encryption"), self._lock),
        ):
            layout.addSpacing(Space.XS)
            layout.addWidget(label(caption, "section"))
            layout.addWidget(text)
        layout.addStretch(1)

    def show_group(
        self, group: GroupView | None, people: Mapping[bytes, PersonView], waiting: int = 0
    ) -> None:
        """Show a group.

        Args:
            group: which one; None if there is none.
            people: what is known of the persons in it.
            waiting: how many ask to be let in here.
        """
        self._group = group
        self.setEnabled(group is not None)
        self.invite.setVisible(group is not None and group.member and group.role == "admin")
        self.more.setVisible(group is not None)
        self.requests.setVisible(bool(waiting))
        self.requests.setText(
            plural(waiting, "{count} person waits to come in", "{count} people wait to come in")
        )
        self.requests.setAccessibleName(self.requests.text())
        if group is None:
            self._name.setText(tr("No group is open"))
            self._summary.setText("")
            self._profile.setText("")
            self._fill(())
            return
        members = roster(group, people)
        self._name.setText(group.name)
        self._profile.setText(profile_words(group.profile))
        self._summary.setText(_summary(members))
        self._fill(members)

    def show_here(self, devices: frozenset[bytes]) -> None:
        """Mark the people who are on the open page."""
        if devices != self._here:
            self._here = devices
            members = self._shown[0] if isinstance(self._shown, tuple) else ()
            self._fill(members)

    def show_state(self, status: DocumentStatus | None) -> None:
        """Say where the open page is held."""
        self._state.setText(page_state(status).sentence if status is not None else "")

    def row(self, name: str) -> RowButton | None:
        """Return the row of the person called `name`."""
        rows = (self._members.itemAt(at) for at in range(self._members.count()))
        for item in rows:
            widget = item.widget() if item is not None else None
            if isinstance(widget, RowButton) and widget.property("person") == name:
                return widget
        return None

    def _fill(self, members: tuple[Member, ...]) -> None:
        wanted = (members, self._here)
        if self._shown == wanted:
            return
        self._shown = wanted
        clear(self._members)
        for member in members:
            self._members.addWidget(self._row(member))

    def _row(self, member: Member) -> RowButton:
        name = member.name or tr("Unknown person")
        title = tr("{name} (you)", name=name) if member.me else name
        lines = [role_name(member.role), *(self._device(device) for device in member.devices)]
        row = RowButton(
            title,
            "\n".join(line for line in lines if line),
            picture=Avatar(self._theme, name, member.person, 32),
        )
        row.setProperty("person", name)
        trust = _trust(member.trust)
        if member.trust in _MARKS and not member.me:
            icon, color = _MARKS[member.trust]
            mark = IconLabel(self._theme, icon, color)
            mark.setToolTip(trust)
            row.add_end(mark)
            row.setAccessibleName(f"{row.accessibleName()}, {trust}")
        row.clicked.connect(lambda: self._want_person(member.person))
        return row

    def _device(self, device: MemberView) -> str:
        where = (
            tr("this device")
            if device.me
            else tr("on this page")
            if device.device in self._here
            else tr("connected")
            if device.online
            else tr("not in reach")
        )
        return f"{device.device_name} · {where}" if device.device_name else where

    def _want_person(self, person: bytes) -> None:
        if self._group is not None:
            self.person_wanted.emit(self._group.id, person)

    def _want_group(self) -> None:
        if self._group is not None:
            self.group_wanted.emit(self._group.id)


def _summary(members: tuple[Member, ...]) -> str:
    devices = [device for member in members for device in member.devices]
    if len(devices) == 1:
        return tr("Only this device so far")
    online = sum(1 for device in devices if device.online and not device.me)
    around = tr("{count} connected now", count=online) if online else tr("none connected now")
    people = plural(len(members), "{count} person", "{count} people")
    return f"{people} · {devices_text(len(devices))} · {around}"


def _trust(trust: str) -> str:
    if trust == "verified":
        return tr("verified")
    return tr("keys changed since they were verified") if trust == "changed" else ""
