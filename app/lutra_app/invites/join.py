"""Join a group by code, short code or link, and see what became of it.

An attempt goes on in the node, over restarts, until it is let in, refused or given up; this sheet
begins attempts and lists them.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QLineEdit, QVBoxLayout, QWidget

from lutra.node.events import JoinChanged
from lutra.node.views import JoinView
from lutra_app.bridge import Bridge
from lutra_app.i18n import tr
from lutra_app.invites.nearby import NearbySteps
from lutra_app.people.words import when_text
from lutra_app.shell.flow import Flow
from lutra_app.shell.task import plain, primary
from lutra_app.theme.parts import link_button, side_by_side
from lutra_app.theme.theme import Theme
from lutra_app.theme.tokens import Space
from lutra_app.theme.widgets import label, panel

_PATIENCE = 8.0
"""Seconds the sheet waits for an answer before it says that the attempt goes on by itself."""


class Join(Flow):
    """The sheet; `joined` is called with the id of a group this device was let into."""

    def __init__(
        self, bridge: Bridge, theme: Theme, over: QWidget, joined: Callable[[bytes], None]
    ) -> None:
        super().__init__(bridge, theme, over, heading=tr("Join a group"))
        self._joined = joined
        self._joins: list[JoinView] = []
        self._waits_for: bytes | None = None
        self._typed, self._place = "", ""
        self._nearby = NearbySteps(self, self._show_form, self._watch)
        self._make_fields()

    def _make_fields(self) -> None:
        self.field = QLineEdit()
        self.field.setPlaceholderText(tr("Code or link"))
        self.field.setAccessibleName(tr("Code or link"))
        self.address = QLineEdit()
        self.address.setPlaceholderText(tr("Address, such as 192.168.1.20:4100"))
        self.address.setAccessibleName(tr("Address of the inviting device"))
        self.address.setProperty("role", "code")
        self.address.hide()
        self.go = primary(tr("Join"), self._join)
        self.field.textChanged.connect(self._note_code)
        self.address.textChanged.connect(self._note_address)
        self.field.returnPressed.connect(self.go.click)

    def begin(self, code: str = "") -> None:
        """Open with a code filled in, and with the attempts under way."""
        self._waits_for = None
        self._typed, self._place = code, ""
        self._show_form()
        self.open_task()
        self._look()

    def _look(self) -> None:
        self.ask(lambda node: node.joins(), self._list)

    def _list(self, joins: list[JoinView]) -> None:
        self._joins = joins
        waiting = next((one for one in joins if one.id == self._waits_for), None)
        if waiting is not None:
            self._show_attempt(waiting)
        elif joins and not self._typed:
            self._show_form()

    # -- entering ------------------------------------------------------------------------

    def _show_form(self) -> None:
        self._waits_for = None
        typed, address = self._typed, self._place
        self._make_fields()
        self.field.setText(typed)
        self.address.setText(address)
        self.address.setVisible(bool(address))
        self.go.setEnabled(bool(typed))
        more = link_button(tr("They are not found? Give their address"), self._show_address)
        more.setVisible(not address)
        self._more = more
        listed = QVBoxLayout()
        listed.setSpacing(Space.S)
        for join in self._joins:
            listed.addWidget(self._card(join))
        items: list[QWidget | QVBoxLayout] = [
            label(
                tr(
                    "Ask somebody in the group for an invite and type or paste it here. Nothing "
                    "about you is shown before their device has proved that it made the invite."
                ),
                "muted",
                wrap=True,
            ),
            self.field,
            self.address,
            more,
            link_button(tr("Be invited by somebody nearby"), self._nearby.be_seen),
        ]
        if self._joins:
            items += [_section(tr("Under way"))]
            items += [listed]
        self.show_step(
            *items,
            heading=tr("Join a group"),
            buttons=(plain(tr("Cancel"), self.close_sheet), self.go),
            focus=self.field,
        )

    def _note_code(self, text: str) -> None:
        self._typed = text
        self.go.setEnabled(bool(text.strip()))

    def _note_address(self, text: str) -> None:
        self._place = text

    def _show_address(self) -> None:
        self._more.hide()
        self.address.show()
        self.address.setFocus()
        self.place()

    def _card(self, join: JoinView) -> QWidget:
        card = panel("well")
        column = QVBoxLayout(card)
        column.setContentsMargins(Space.M, Space.M, Space.M, Space.M)
        column.setSpacing(Space.S)
        column.addWidget(label(_title(join)))
        column.addWidget(label(f"{_sentence(join)} {when_text(join.since)}", "muted", wrap=True))
        over = join.state in ("refused", "expired")
        stop = plain(tr("Forget it") if over else tr("Give up"), lambda: self._cancel(join.id))
        stop.setAccessibleName(f"{stop.text()}: {_title(join)}")
        column.addLayout(side_by_side(stop, stretch=False))
        return card

    def _join(self) -> None:
        code, address = self._typed.strip(), self._place.strip()
        if not code:
            return
        self.ask(
            lambda node: node.join(code, address or None, wait=_PATIENCE),
            self._answer,
            busy=tr("Looking for the device that made this invite …"),
        )

    # -- what becomes of it --------------------------------------------------------------

    def _answer(self, join: JoinView | None) -> None:
        if join is None:
            self._show_form()
        elif join.state == "admitted":
            self.close_sheet()
            self._joined(join.group)
        else:
            self._typed = ""
            self._show_attempt(join)

    def _watch(self, join: JoinView | None) -> None:
        self._answer(join)

    def _show_attempt(self, join: JoinView) -> None:
        self._waits_for = join.id
        over = join.state in ("refused", "expired")
        items: list[QWidget] = [label(_sentence(join), "lead", wrap=True)]
        if join.comparison:
            digits = label(join.comparison, "digits")
            digits.setAccessibleName(tr("Comparison digits: {digits}", digits=join.comparison))
            items += [
                digits,
                label(
                    tr("Whoever lets you in sees the same digits. Compare them before they do."),
                    "muted",
                    wrap=True,
                ),
            ]
        if not over:
            items.append(
                label(
                    tr("You can close this and go on: it continues by itself, also tomorrow."),
                    "muted",
                    wrap=True,
                )
            )
        stop = plain(tr("Forget it") if over else tr("Give up"), lambda: self._cancel(join.id))
        self.show_step(
            *items,
            heading=_title(join),
            buttons=(stop, primary(tr("Go on"), self.close_sheet)),
            back=self._show_form,
        )

    def _cancel(self, join: bytes) -> None:
        self._waits_for = None

        def done(_: None) -> None:
            self._joins = [one for one in self._joins if one.id != join]
            self._show_form()

        self.ask(lambda node: node.cancel_join(join), done)

    def happened(self, event: object) -> None:
        """Follow the attempts."""
        if self._nearby.happened(event):
            return
        if not isinstance(event, JoinChanged):
            return
        if event.state == "admitted" and event.join == self._waits_for:
            self.close_sheet()
            self._joined(event.group)
        elif self._waits_for is not None:
            self._look()


def _section(text: str) -> QWidget:
    return label(text, "section")


def _title(join: JoinView) -> str:
    if join.state == "seeking":
        return tr("Looking for the inviting device")
    if join.state == "waiting":
        return tr("Waiting for approval")
    return tr("This invite did not work")


def _sentence(join: JoinView) -> str:
    if join.state == "seeking":
        return tr("It was not found yet. Both devices must be on, and Lutra open there.")
    if join.state == "waiting":
        who = join.inviter
        if who:
            return tr("{name} has to let you in.", name=who)
        return tr("Somebody there has to let you in.")
    return join.reason
