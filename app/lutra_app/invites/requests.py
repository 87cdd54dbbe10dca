"""Who waits to be let in: names, digits to compare, approve or decline."""

from __future__ import annotations

from PySide6.QtWidgets import QVBoxLayout, QWidget

from lutra.node.events import InvitesChanged, JoinRequested
from lutra.node.views import JoinRequestView
from lutra_app.bridge import Bridge
from lutra_app.i18n import tr
from lutra_app.people.words import role_name, when_text
from lutra_app.shell.flow import Flow
from lutra_app.shell.task import plain, primary
from lutra_app.theme.parts import side_by_side
from lutra_app.theme.theme import Theme
from lutra_app.theme.tokens import Space
from lutra_app.theme.widgets import Avatar, label, panel


class Requests(Flow):
    """The sheet of requests."""

    def __init__(self, bridge: Bridge, theme: Theme, over: QWidget) -> None:
        super().__init__(bridge, theme, over, heading=tr("Waiting to come in"))
        self.rows: list[QWidget] = []
        self._first = self

    def begin(self) -> None:
        """Open with who waits now."""
        self.show_step(heading=tr("Waiting to come in"))
        self.open_task()
        self._look()

    def _look(self) -> None:
        self.ask(lambda node: node.requests(), self._show)

    def _show(self, requests: list[JoinRequestView]) -> None:
        if not requests:
            self.show_step(
                label(tr("Nobody waits any more."), "lead", wrap=True),
                buttons=(primary(tr("Done"), self.close_sheet),),
            )
            return
        self.rows = [self._card(request) for request in requests]
        self.show_step(
            label(
                tr(
                    "Names are what people call themselves. The digits are on their screen too: "
                    "ask for them, by phone or across the table, before you let anybody in."
                ),
                "muted",
                wrap=True,
            ),
            *self.rows,
            buttons=(plain(tr("Later"), self.close_sheet),),
        )

    def _card(self, request: JoinRequestView) -> QWidget:
        card = panel("well")
        column = QVBoxLayout(card)
        column.setContentsMargins(Space.M, Space.M, Space.M, Space.M)
        column.setSpacing(Space.S)
        name = request.name or tr("Unknown person")
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(label(name, "subheading", wrap=True))
        words.addWidget(
            label(
                tr(
                    "{device} · to “{group}” as {role} · {when}",
                    device=request.device_name or tr("Unknown device"),
                    group=request.group_name,
                    role=role_name(request.role).lower(),
                    when=when_text(request.time),
                ),
                "muted",
                wrap=True,
            )
        )
        head = side_by_side(Avatar(self.theme, name, request.person, 32))
        head.setStretch(0, 0)
        head.addLayout(words, 1)
        digits = label(request.comparison, "digits")
        digits.setAccessibleName(tr("Comparison digits: {digits}", digits=request.comparison))
        decline = plain(tr("Decline"), lambda: self._decide(request, approve=False), "danger")
        approve = plain(
            tr("The digits are the same: let in"),
            lambda: self._decide(request, approve=True),
            "primary",
        )
        for button in (decline, approve):
            button.setAccessibleName(f"{button.text()}: {name}")
        card.setProperty("approve", approve)
        column.addLayout(head)
        column.addWidget(digits)
        row = side_by_side(decline, approve)
        row.setStretch(0, 0)
        column.addLayout(row)
        return card

    def _decide(self, request: JoinRequestView, *, approve: bool) -> None:
        device = request.device
        self.ask(
            lambda node: node.approve(device) if approve else node.decline(device),
            lambda _: self._look(),
            busy=tr("Letting {name} in …", name=request.name) if approve else "",
        )

    def happened(self, event: object) -> None:
        """Follow who comes and goes."""
        if isinstance(event, InvitesChanged | JoinRequested):
            self._look()
