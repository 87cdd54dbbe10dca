"""Steps of pairing on a network: show or enter a code, compare digits, watch it go through.

The same steps serve a device that takes in another one, a new device, and a device whose identity
is to be merged. Closing the sheet does not end a pairing; cancelling does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLayout, QLineEdit, QWidget

from lutra.node.device_views import PairingView
from lutra.node.events import PairingChanged
from lutra_app.i18n import tr
from lutra_app.shell.task import plain, primary
from lutra_app.theme.parts import code_label, copy_button, link_button, side_by_side
from lutra_app.theme.qr import QrCode
from lutra_app.theme.tokens import Type
from lutra_app.theme.widgets import label

if TYPE_CHECKING:
    from lutra.node.verbs_pairing import Pairs
    from lutra_app.shell.flow import Flow

_ENTERING = ("ready", "connected", "confirming", "introducing")
_FINISHING = ("agreeing", "admitting", "delivering")


async def _view(pairs: Pairs) -> PairingView | None:
    return pairs.pairing.view


class PairingSteps:
    """Steps of a sheet.

    Args:
        flow: the sheet they are shown in.
        new: this device is the new one.
        back: shows the step before, while nothing is under way.
        done: called when the pairing has succeeded.
    """

    def __init__(
        self,
        flow: Flow,
        *,
        new: bool,
        back: Callable[[], None],
        done: Callable[[PairingView], None],
    ) -> None:
        self._flow, self._new, self._back, self._done = flow, new, back, done
        self._active = False
        self._shown: PairingView | None = None
        self.code = QLineEdit()
        self.address = QLineEdit()
        self.connect_button = primary(tr("Connect"), self._enter)

    # -- beginning -----------------------------------------------------------------------

    def begin(self, *, show: bool, link: bool = False) -> None:
        """Show a code here (or a link), or ask for the other device's."""
        self._active = True
        self._shown = None
        if show:
            self._flow.ask_pairing(
                lambda pairs: pairs.pairing.show(new=self._new, link=link),
                self._show,
                failed=self._failed_to_begin,
            )
        else:
            self._ask_code()

    def resume(self, otherwise: Callable[[], None]) -> None:
        """Go on with a pairing that is under way, or call `otherwise`."""

        def look(view: PairingView | None) -> None:
            if view is None or view.ended or view.new is not self._new:
                otherwise()
            else:
                self._active = True
                self._show(view)

        self._flow.ask_pairing(_view, look)

    def leave(self) -> None:
        """Show these steps no more; a pairing under way goes on."""
        self._active = False

    def _failed_to_begin(self, message: str) -> None:
        self._flow.show_step(
            label(message, wrap=True),
            buttons=(
                plain(tr("End the other pairing"), self.cancel),
                primary(tr("Back"), self._leave),
            ),
            back=self._leave,
        )

    def _leave(self) -> None:
        self._active = False
        self._back()

    # -- the code ------------------------------------------------------------------------

    def _ask_code(self) -> None:
        self.code = QLineEdit()
        self.code.setPlaceholderText(tr("Code or link"))
        self.code.setAccessibleName(tr("Code or link the other device shows"))
        self.address = QLineEdit()
        self.address.setPlaceholderText(tr("Its address, if it is not found"))
        self.address.setAccessibleName(tr("Address the other device shows"))
        self.connect_button = primary(tr("Connect"), self._enter)
        self.connect_button.setEnabled(False)
        self.code.textChanged.connect(
            lambda text: self.connect_button.setEnabled(bool(text.strip()))
        )
        self.code.returnPressed.connect(self.connect_button.click)
        self.address.returnPressed.connect(self.connect_button.click)
        self._flow.show_step(
            label(
                tr("Type what the other device shows. Each code takes one try only."),
                "muted",
                wrap=True,
            ),
            self.code,
            self.address,
            heading=tr("Enter the code"),
            buttons=(plain(tr("Cancel"), self._leave), self.connect_button),
            focus=self.code,
            back=self._leave,
        )

    def _enter(self) -> None:
        code, address = self.code.text().strip(), self.address.text().strip()
        addresses = (address,) if address else ()
        self._flow.ask_pairing(
            lambda pairs: pairs.pairing.enter(code, new=self._new, addresses=addresses),
            self._show,
        )

    def cancel(self) -> None:
        """End the pairing on both devices."""
        self._flow.ask_pairing(
            lambda pairs: pairs.pairing.cancel(), self._show, failed=lambda _: self._leave()
        )

    # -- what is shown -------------------------------------------------------------------

    def happened(self, event: object) -> None:
        """Follow the pairing."""
        if self._active and isinstance(event, PairingChanged):
            self._flow.ask_pairing(_view, self._take)

    def _take(self, view: PairingView | None) -> None:
        if view is not None:
            self._show(view)

    def _show(self, view: PairingView) -> None:
        if not self._active or view == self._shown:
            return
        self._shown = view
        if view.state == "done":
            self._active = False
            self._done(view)
        elif view.ended:
            self._show_end(view)
        elif view.state == "comparing":
            self._show_comparison(view)
        elif view.state in _FINISHING:
            self._wait(
                tr("Almost there"),
                tr("Confirm on the other device too, if it still asks."),
            )
        elif view.state in _ENTERING and view.shows:
            self._show_code(view)
        else:
            self._wait(
                tr("Looking for the other device"),
                tr("Both devices must be on, in the same network, and Lutra open on both."),
            )

    def _show_code(self, view: PairingView) -> None:
        items: list[QWidget | QLayout] = [
            label(
                tr(
                    "On the new device choose “I have Lutra on another device”, then “Enter the "
                    "code”."
                )
                if not self._new
                else tr(
                    "On the other device open “Your devices”, choose “Add a device”, then “Enter "
                    "the code”."
                ),
                "muted",
                wrap=True,
            )
        ]
        if view.code:
            items += [
                code_label(view.code, tr("Pairing code"), Type.H3),
                link_button(tr("Show a link and QR code instead"), self._switch),
            ]
        else:
            qr = QrCode(196, tr("The pairing link as a QR code"))
            qr.show_text(view.link)
            centred = side_by_side(qr)
            centred.setAlignment(qr, Qt.AlignmentFlag.AlignHCenter)
            items += [
                centred,
                side_by_side(copy_button(tr("Copy link"), view.link)),
                label(
                    tr("Whoever gets this link can try to pair: send it only to yourself."),
                    "muted",
                    wrap=True,
                ),
            ]
        if view.addresses:
            items.append(
                label(
                    tr(
                        "If it is not found, type there: {addresses}",
                        addresses=", ".join(view.addresses),
                    ),
                    "muted",
                    wrap=True,
                )
            )
        if view.strangers:
            items.append(
                label(
                    tr("Somebody who does not know the code has tried to connect."),
                    "warning",
                    wrap=True,
                )
            )
        self._flow.show_step(
            *items,
            heading=tr("Waiting for the other device"),
            buttons=(plain(tr("Cancel"), self.cancel),),
        )

    def _switch(self) -> None:
        self._active = False
        self._flow.ask_pairing(
            lambda pairs: pairs.pairing.cancel(), lambda _: self.begin(show=True, link=True)
        )

    def _wait(self, heading: str, sentence: str) -> None:
        self._flow.show_step(
            label(sentence, wrap=True),
            heading=heading,
            buttons=(plain(tr("Cancel"), self.cancel),),
        )
        self._flow.busy("")

    def _show_comparison(self, view: PairingView) -> None:
        digits = label(view.comparison, "digits")
        digits.setAccessibleName(tr("Comparison digits: {digits}", digits=view.comparison))
        digits.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        other = view.device_name or tr("the other device")
        who = tr("{device}, of {name}", device=other, name=view.person_name)
        items: list[QWidget] = [
            label(
                tr("Do both screens show these digits?"),
                "lead",
                wrap=True,
            ),
            digits,
            label(
                tr("The other device says it is {who}.", who=who if view.person_name else other),
                "muted",
                wrap=True,
            ),
        ]
        if view.asks_to_merge:
            items.append(
                label(
                    tr(
                        "This device has an identity already. It becomes part of {name}: your "
                        "groups come along where you are admin; the others stay under the old "
                        "identity. To keep both apart, say no and use another profile.",
                        name=view.person_name or tr("the other person"),
                    ),
                    "warning",
                    wrap=True,
                )
            )
        merge = view.asks_to_merge
        self._flow.show_step(
            *items,
            heading=tr("Compare"),
            buttons=(
                plain(tr("Different"), self.cancel, "danger"),
                primary(
                    tr("They are the same: merge") if merge else tr("They are the same"),
                    lambda: self._accept(merge=merge),
                ),
            ),
        )

    def _accept(self, *, merge: bool) -> None:
        self._flow.ask_pairing(lambda pairs: pairs.pairing.accept(merge=merge), self._show)

    def _show_end(self, view: PairingView) -> None:
        if view.state == "cancelled":
            sentence = view.sentence or tr("The pairing was ended. Nothing has changed.")
        else:
            sentence = view.sentence or tr("The devices were not paired. Nothing has changed.")
        self._flow.show_step(
            label(sentence, wrap=True),
            heading=tr("Not paired"),
            buttons=(
                plain(tr("Close"), self._flow.close_sheet),
                primary(tr("Try again"), self._leave),
            ),
            back=self._leave,
        )
