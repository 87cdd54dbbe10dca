"""Invite somebody: for what, how long, how often; then the code in every form."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from lutra.groups.contents import Role
from lutra.node.events import InvitesChanged
from lutra.node.views import GroupView, InviteView
from lutra_app.bridge import Bridge
from lutra_app.i18n import plural, tr
from lutra_app.invites.nearby import NearbySteps
from lutra_app.people.words import date_text, role_name, roles
from lutra_app.shell.flow import Flow
from lutra_app.shell.task import plain, primary
from lutra_app.theme.parts import (
    Choices,
    IconLabel,
    Option,
    RowButton,
    Segments,
    code_label,
    copy_button,
    link_button,
    side_by_side,
)
from lutra_app.theme.qr import QrCode
from lutra_app.theme.theme import Theme
from lutra_app.theme.tokens import Type
from lutra_app.theme.widgets import label

_HOUR = 3600 * 1000
_DAY = 24 * _HOUR


class Invite(Flow):
    """The sheet of a group's invites."""

    def __init__(self, bridge: Bridge, theme: Theme, over: QWidget) -> None:
        super().__init__(bridge, theme, over, heading=tr("Invite somebody"))
        self._group: GroupView | None = None
        self._shown: InviteView | None = None
        self._nearby = NearbySteps(self, self._show_form, lambda _: None)
        self.make = primary(tr("Make the invite"), self._make)

    def begin(self, group: GroupView) -> None:
        """Open for a group."""
        self._group, self._shown = group, None
        self._show_form()
        self.open_task()

    @property
    def shown(self) -> InviteView | None:
        """The invite that is on the sheet."""
        return self._shown

    # -- making --------------------------------------------------------------------------

    def _show_form(self) -> None:
        group = self._group
        assert group is not None
        self._shown = None
        self.role = Choices(tr("Role"), roles(), "writer")
        self.lifetime = Segments(
            tr("Good for"),
            (
                Option(str(_HOUR), tr("an hour")),
                Option(str(_DAY), tr("a day")),
                Option(str(7 * _DAY), tr("a week")),
                Option(str(30 * _DAY), tr("a month")),
            ),
            str(7 * _DAY),
        )
        self.uses = Segments(
            tr("For"),
            (
                Option("1", tr("one person")),
                Option("5", "5"),
                Option("20", "20"),
                Option("100", "100"),
            ),
            "1",
        )
        self.approval = Segments(
            tr("Letting in"),
            (Option("by-hand", tr("after I approve")), Option("automatic", tr("at once"))),
            "automatic",
        )
        self.make = primary(tr("Make the invite"), self._make)
        self.show_step(
            self.role,
            self.lifetime,
            self.uses,
            self.approval,
            link_button(tr("People nearby"), lambda: self._nearby.look_around(group.id)),
            link_button(tr("Invites you have made"), self._look),
            heading=tr("Invite into “{group}”", group=group.name),
            buttons=(plain(tr("Cancel"), self.close_sheet), self.make),
            focus=self.make,
        )

    def _make(self) -> None:
        group = self._group
        assert group is not None
        role = Role[self.role.key.upper()]
        uses, lifetime = int(self.uses.key), int(self.lifetime.key)
        by_hand = self.approval.key == "by-hand"
        self.ask(
            lambda node: node.invite(
                group.id, role=role, uses=uses, lifetime=lifetime, by_hand=by_hand, short=True
            ),
            self._show,
            busy=tr("Making the invite …"),
        )

    # -- showing -------------------------------------------------------------------------

    def _show(self, invite: InviteView) -> None:
        self._shown = invite
        qr = QrCode(184, tr("The invite as a QR code; the same as the link"))
        qr.show_text(invite.qr)
        items: list[QWidget] = [
            label(
                tr("On the other device choose “Join a group” and give one of these."),
                "muted",
                wrap=True,
            ),
        ]
        if invite.short_code:
            items += [
                label(tr("To say, good for an hour and one try"), "section"),
                code_label(invite.short_code, tr("Short code"), Type.H3),
            ]
        elif invite.short_state == "guessed":
            items.append(
                label(
                    tr("Somebody tried the short code with wrong words: it is dead."),
                    "error",
                    wrap=True,
                )
            )
        centred = side_by_side(qr)
        centred.setAlignment(qr, Qt.AlignmentFlag.AlignHCenter)
        details = [
            label(tr("To send, type or scan"), "section"),
            code_label(invite.code, tr("Invite code")),
        ]
        rest: list[QWidget] = [label(_terms(invite), "muted", wrap=True)]
        if not invite.short_code:
            rest.append(link_button(tr("Make a short code to say"), lambda: self._renew(invite)))
        self.show_step(
            *items,
            *details,
            centred,
            side_by_side(
                copy_button(tr("Copy code"), invite.code),
                copy_button(tr("Copy link"), invite.link),
            ),
            *rest,
            heading=tr("The invite"),
            buttons=(
                plain(tr("Withdraw"), lambda: self._revoke(invite), "danger"),
                primary(tr("Done"), self.close_sheet),
            ),
            back=self._show_form,
        )

    def _renew(self, invite: InviteView) -> None:
        self.ask(lambda node: node.renew_short_code(invite.id), self._show)

    def _revoke(self, invite: InviteView) -> None:
        self.ask(lambda node: node.revoke_invite(invite.id), lambda _: self._look())

    # -- the list ------------------------------------------------------------------------

    def _look(self) -> None:
        group = self._group
        assert group is not None
        self._shown = None
        self.ask(lambda node: node.invites(group.id), self._list)

    def _list(self, invites: list[InviteView]) -> None:
        rows: list[QWidget] = [self._row(invite) for invite in invites if invite.state == "open"]
        if not rows:
            rows = [label(tr("None can be used at present."), "muted", wrap=True)]
        self.show_step(
            *rows,
            heading=tr("Invites you have made"),
            buttons=(primary(tr("New invite"), self._show_form),),
            back=self._show_form,
        )

    def _row(self, invite: InviteView) -> RowButton:
        row = RowButton(
            role_name(invite.role),
            _terms(invite),
            picture=IconLabel(self.theme, "link", "muted", 20),
            role="choice",
        )
        row.clicked.connect(lambda: self._show(invite))
        return row

    def happened(self, event: object) -> None:
        """Follow what becomes of the invite that is shown."""
        if self._nearby.happened(event):
            return
        group, shown = self._group, self._shown
        if (
            isinstance(event, InvitesChanged)
            and shown is not None
            and group is not None
            and event.group == group.id
        ):
            self.ask(lambda node: node.invites(group.id), self._follow)

    def _follow(self, invites: list[InviteView]) -> None:
        shown = self._shown
        now = next((one for one in invites if shown is not None and one.id == shown.id), None)
        if now is None or now == shown:
            return
        if now.state == "used":
            self._shown = now
            self.say(tr("This invite was used."), good=True)
        elif now.state == "open":
            self._show(now)


def _terms(invite: InviteView) -> str:
    how = tr("You approve each person.") if invite.by_hand else tr("Lets in at once.")
    uses = plural(
        invite.uses,
        "Makes {count} more person a {role} until {when}.",
        "Makes {count} more people {role} until {when}.",
        role=role_name(invite.role).lower(),
        when=date_text(invite.expires),
    )
    return f"{uses} {how} " + tr("This device must be on, with Lutra open.")
