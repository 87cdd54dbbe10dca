"""People nearby: being seen, looking around, inviting and being invited on one network."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QWidget

from lutra.errors import LutraError
from lutra.node.events import NearbyChanged
from lutra.node.views import JoinView, NearbyInvitationView, NearbyPersonView, NearbyView
from lutra_app.i18n import tr
from lutra_app.shell.task import plain, primary
from lutra_app.theme.parts import IconLabel, RowButton
from lutra_app.theme.widgets import label

if TYPE_CHECKING:
    from lutra.node.node import Node
    from lutra_app.shell.flow import Flow

SECONDS = 300.0
"""For how long one is seen, or looks around, unless one stops before."""


async def _look(node: Node, *, show: bool, look: bool) -> NearbyView:
    if show:
        node.show_nearby(SECONDS)
    if look:
        node.look_nearby(SECONDS)
    return node.nearby()


async def _stop(node: Node) -> None:
    try:
        node.show_nearby(0)
        node.look_nearby(0)
    except LutraError:
        # The network has gone meanwhile, and the looking with it.
        return


class NearbySteps:
    """Steps of a sheet: be seen and answer, or look and invite.

    Args:
        flow: the sheet they are shown in.
        back: shows the step before.
        answered: called with how far joining has come.
    """

    def __init__(
        self, flow: Flow, back: Callable[[], None], answered: Callable[[JoinView | None], None]
    ) -> None:
        self._flow, self._back, self._answered = flow, back, answered
        self._active = False
        self._group: bytes | None = None
        flow.closed.connect(self.stop)

    def be_seen(self) -> None:
        """Let others nearby see this person, and list who invites."""
        self._active, self._group = True, None
        self._flow.ask(lambda node: _look(node, show=True, look=False), self._show)

    def look_around(self, group: bytes) -> None:
        """List who can be seen, to be invited into a group."""
        self._active, self._group = True, group
        self._flow.ask(lambda node: _look(node, show=False, look=True), self._show)

    def stop(self) -> None:
        """Be seen and look no more."""
        if self._active:
            self._active = False
            self._flow.bridge.ask(_stop, failed=lambda _: None)

    def happened(self, event: object) -> bool:
        """Take an event; True if these steps are shown and it was for them."""
        if self._active and isinstance(event, NearbyChanged):
            self._flow.ask(lambda node: _look(node, show=False, look=False), self._show)
            return True
        return False

    def _leave(self) -> None:
        self.stop()
        self._back()

    def _show(self, view: NearbyView) -> None:
        if not self._active:
            return
        if self._group is None:
            self._show_invitations(view)
        else:
            self._show_people(view, self._group)

    # -- being invited -------------------------------------------------------------------

    def _show_invitations(self, view: NearbyView) -> None:
        items: list[QWidget] = [
            label(
                tr(
                    "For five minutes people on this network who look around see your name and "
                    "your device's name, and can invite you."
                ),
                "muted",
                wrap=True,
            )
        ]
        items += [self._invitation(invitation) for invitation in view.invitations]
        if not view.invitations:
            items.append(label(tr("Nobody has invited you yet. This list is live."), wrap=True))
        self._flow.show_step(
            *items,
            heading=tr("Be invited by somebody nearby"),
            buttons=(plain(tr("Stop"), self._leave),),
            back=self._leave,
        )

    def _invitation(self, invitation: NearbyInvitationView) -> RowButton:
        row = RowButton(
            tr("{name} invites you", name=invitation.name),
            tr(
                "{device} · digits {digits}. Press if their screen shows the same.",
                device=invitation.device_name,
                digits=invitation.comparison,
            ),
            picture=IconLabel(self._flow.theme, "hand-waving", "accent", 24),
            role="choice",
        )
        row.clicked.connect(lambda: self._ask_answer(invitation))
        return row

    def _ask_answer(self, invitation: NearbyInvitationView) -> None:
        digits = label(invitation.comparison, "digits")
        digits.setAccessibleName(tr("Comparison digits: {digits}", digits=invitation.comparison))
        self._flow.show_step(
            label(
                tr(
                    "{name} on {device} invites you. Does their screen show these digits?",
                    name=invitation.name,
                    device=invitation.device_name,
                ),
                "lead",
                wrap=True,
            ),
            digits,
            heading=tr("An invitation"),
            buttons=(
                plain(tr("Different"), lambda: self._answer(invitation.id, accept=False)),
                primary(tr("They are the same"), lambda: self._answer(invitation.id, accept=True)),
            ),
            back=self.be_seen,
        )

    def _answer(self, invitation: str, *, accept: bool) -> None:
        self._active = False
        self._flow.ask(
            lambda node: node.answer_nearby(invitation, accept=accept, wait=8.0),
            self._answered,
            busy=tr("Answering …"),
        )

    # -- inviting ------------------------------------------------------------------------

    def _show_people(self, view: NearbyView, group: bytes) -> None:
        items: list[QWidget] = [
            label(
                tr(
                    "Whoever is on this network and lets themselves be seen is listed here: "
                    "on the other device choose “Join a group”, then “Be invited by somebody "
                    "nearby”."
                ),
                "muted",
                wrap=True,
            )
        ]
        items += [self._person(person, group) for person in view.people]
        if not view.people:
            items.append(label(tr("Nobody is seen yet. This list is live."), wrap=True))
        self._flow.show_step(
            *items,
            heading=tr("People nearby"),
            buttons=(plain(tr("Done"), self._leave),),
            back=self._leave,
        )

    def _person(self, person: NearbyPersonView, group: bytes) -> RowButton:
        asked = person.state == "asked"
        detail = (
            tr(
                "Invited. Their screen must show {digits}; then let them in.",
                digits=person.comparison,
            )
            if asked
            else person.device_name
        )
        row = RowButton(
            person.name,
            detail,
            picture=IconLabel(self._flow.theme, "user-plus", "accent", 24),
            role="choice",
        )
        row.setEnabled(not asked)
        row.clicked.connect(lambda: self._invite(person.id, group))
        return row

    def _invite(self, person: str, group: bytes) -> None:
        async def invite(node: Node) -> NearbyView:
            await node.invite_nearby(person, group)
            return node.nearby()

        self._flow.ask(invite, self._show, busy=tr("Inviting …"))
