"""One person: devices, role, verification, removal; what can be done depends on who looks."""

from __future__ import annotations

from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from lutra.groups.contents import Role
from lutra.node.events import GroupsChanged, PersonChanged, VerifiedKeysChanged
from lutra.node.person_views import PersonView
from lutra.node.views import GroupView
from lutra_app.bridge import Bridge
from lutra_app.i18n import tr
from lutra_app.people.removal import RemovalSteps
from lutra_app.people.roster import Member, roster
from lutra_app.people.verify import VerifySteps
from lutra_app.people.words import role_name, roles
from lutra_app.shell.flow import Flow
from lutra_app.shell.task import plain, primary
from lutra_app.theme.parts import Choices, IconLabel, link_button
from lutra_app.theme.theme import Theme
from lutra_app.theme.tokens import Space
from lutra_app.theme.widgets import Avatar, label, panel


class PersonSheet(Flow):
    """The sheet of a person in a group."""

    def __init__(self, bridge: Bridge, theme: Theme, over: QWidget) -> None:
        super().__init__(bridge, theme, over, heading=tr("Person"))
        self._group: GroupView | None = None
        self._person = b""
        self._overview = False
        self.member: Member | None = None
        self.verifying = VerifySteps(self, self.refresh)
        self.removal = RemovalSteps(self, self.refresh)

    def begin(self, group: GroupView, person: bytes, *, verify: bool = False) -> None:
        """Open for a person of a group.

        Args:
            group: the group.
            person: who.
            verify: go straight to comparing safety numbers.
        """
        self._group, self._person = group, person
        self.show_step(heading=tr("Person"))
        self.open_task()
        if verify:
            self._overview = False
            self.verifying.begin(person, self._name())
        else:
            self.refresh()

    def _name(self) -> str:
        group = self._group
        members = roster(group, {}) if group is not None else ()
        found = next((one.name for one in members if one.person == self._person), "")
        return found or tr("Unknown person")

    def refresh(self) -> None:
        """Show the person as it is now."""
        group = self._group
        assert group is not None

        async def look(node: object) -> tuple[GroupView, list[PersonView]]:
            return await node.group(group.id), await node.people.list()  # type: ignore[attr-defined]

        self._overview = True
        self.removal.leave()
        self.ask(look, self._show)

    def _show(self, found: tuple[GroupView, list[PersonView]]) -> None:
        if not self._overview:
            return
        group, people = found
        self._group = group
        members = roster(group, {one.id: one for one in people})
        member = next((one for one in members if one.person == self._person), None)
        self.member = member
        if member is None:
            self.show_step(
                label(tr("This person is not in the group any more."), "lead", wrap=True),
                buttons=(primary(tr("Done"), self.close_sheet),),
            )
            return
        name = member.name or tr("Unknown person")
        items: list[QWidget | QVBoxLayout | QHBoxLayout] = [self._head(member, name)]
        if not member.me:
            items.append(self._trust(member))
        items.append(label(tr("Devices"), "section"))
        items.append(self._devices(member))
        admin = group.member and group.role == "admin"
        buttons = [primary(tr("Done"), self.close_sheet)]
        if not member.me:
            items.append(link_button(tr("Compare safety numbers"), lambda: self._verify(name)))
        if admin and member.person != member.devices[0].device:
            items.append(
                link_button(tr("Change what {name} may do", name=name), lambda: self._roles(member))
            )
            if not member.me:
                buttons.insert(
                    0,
                    plain(
                        tr("Remove from the group …"), lambda: self._remove(group, member), "danger"
                    ),
                )
        self.show_step(
            *items,
            heading=tr("{name} (you)", name=name) if member.me else name,
            buttons=buttons,
        )

    def _head(self, member: Member, name: str) -> QHBoxLayout:
        assert self._group is not None
        row = QHBoxLayout()
        row.setSpacing(Space.M)
        row.addWidget(Avatar(self.theme, name, member.person, 44))
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(label(role_name(member.role)))
        words.addWidget(label(tr("in “{group}”", group=self._group.name), "muted", wrap=True))
        row.addLayout(words, 1)
        return row

    def _trust(self, member: Member) -> QWidget:
        card = panel("notice" if member.trust == "changed" else "well")
        row = QHBoxLayout(card)
        row.setContentsMargins(Space.M, Space.S, Space.M, Space.S)
        row.setSpacing(Space.M)
        icon, color, text = {
            "verified": (
                "shield-check",
                "good",
                tr("Verified: you have compared safety numbers."),
            ),
            "changed": (
                "warning",
                "danger",
                tr(
                    "The keys have changed since you compared them. A new device does that; so "
                    "does somebody else in between. Compare again."
                ),
            ),
        }.get(
            member.trust,
            ("shield", "muted", tr("Not verified: you have not compared safety numbers yet.")),
        )
        row.addWidget(IconLabel(self.theme, icon, color, 20))
        row.addWidget(label(text, wrap=True), 1)
        return card

    def _devices(self, member: Member) -> QVBoxLayout:
        column = QVBoxLayout()
        column.setSpacing(Space.S)
        for device in member.devices:
            row = QHBoxLayout()
            row.setSpacing(Space.S)
            row.addWidget(IconLabel(self.theme, "desktop", "good" if device.online else "muted"))
            row.addWidget(label(device.device_name or tr("Unknown device"), wrap=True), 1)
            where = (
                tr("this device")
                if device.me
                else tr("connected")
                if device.online
                else tr("not in reach")
            )
            row.addWidget(label(where, "muted"))
            column.addLayout(row)
        return column

    # -- what can be done ----------------------------------------------------------------

    def _verify(self, name: str) -> None:
        self._overview = False
        self.verifying.begin(self._person, name)

    def _remove(self, group: GroupView, member: Member) -> None:
        self._overview = False
        self.removal.begin(group.id, member.person)

    def _roles(self, member: Member) -> None:
        self._overview = False
        choices = Choices(tr("Role"), roles(), member.role)
        self.role = choices
        items: list[QWidget] = [choices]
        if member.me:
            items.append(
                label(
                    tr("Give up being admin only if somebody else is one: only they can undo it."),
                    "warning",
                    wrap=True,
                )
            )
        self.show_step(
            *items,
            heading=tr("What {name} may do", name=member.name),
            buttons=(
                plain(tr("Cancel"), self.refresh),
                primary(tr("Change"), lambda: self._change(choices.key)),
            ),
            back=self.refresh,
        )

    def _change(self, role: str) -> None:
        group, person = self._group, self._person
        assert group is not None
        wanted = Role[role.upper()]
        self.ask(
            lambda node: node.set_role(group.id, person, wanted),
            lambda _: self.refresh(),
            busy=tr("Changing …"),
        )

    def happened(self, event: object) -> None:
        """Follow changes of the person."""
        if self._overview and isinstance(
            event, GroupsChanged | PersonChanged | VerifiedKeysChanged
        ):
            self.refresh()
        self.removal.happened(event)
