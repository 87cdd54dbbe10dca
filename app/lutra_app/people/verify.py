"""Comparing safety numbers with a person: digits and a QR code, then marking it verified."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QLineEdit, QWidget

from lutra.node.person_views import SafetyNumberView
from lutra_app.i18n import tr
from lutra_app.shell.task import plain, primary
from lutra_app.theme.parts import link_button, side_by_side
from lutra_app.theme.qr import QrCode
from lutra_app.theme.theme import mono_font
from lutra_app.theme.tokens import Space, Type
from lutra_app.theme.widgets import label

if TYPE_CHECKING:
    from lutra_app.shell.flow import Flow

_ACROSS = 4


class VerifySteps:
    """Steps of a sheet: show the number, compare it, or type what the other one scanned.

    Args:
        flow: the sheet they are shown in.
        back: shows the person again.
    """

    def __init__(self, flow: Flow, back: Callable[[], None]) -> None:
        self._flow, self._back = flow, back
        self._name = ""

    def begin(self, person: bytes, name: str) -> None:
        """Fetch and show the number to compare with a person."""
        self._name = name
        self._flow.ask(lambda node: node.people.safety_number(person), self._show)

    def _show(self, number: SafetyNumberView) -> None:
        qr = QrCode(168, tr("The safety number as a QR code"))
        qr.show_text(number.qr)
        centred = side_by_side(qr)
        centred.setAlignment(qr, Qt.AlignmentFlag.AlignHCenter)
        items: list[QWidget] = [
            label(
                tr(
                    "Meet {name}, or call. In their Lutra, your sheet shows a number too. If both "
                    "are the same, nobody stands between you.",
                    name=self._name,
                ),
                "muted",
                wrap=True,
            ),
            number_grid(number.number),
        ]
        buttons = [
            plain(tr("They differ"), self._differ),
            primary(tr("They are the same"), lambda: self._verify(number, "".join(number.number))),
        ]
        links = [link_button(tr("Type a number or a scanned code"), lambda: self._type(number))]
        if number.trust == "verified":
            links.append(link_button(tr("Take the mark back"), lambda: self._withdraw(number)))
        if number.trust == "changed":
            links.append(link_button(tr("I know of it, compare later"), lambda: self._seen(number)))
        self._flow.show_step(
            *items,
            centred,
            *links,
            heading=tr("Safety number with {name}", name=self._name),
            buttons=buttons,
            back=self._back,
        )

    def _verify(self, number: SafetyNumberView, compared: str) -> None:
        self._flow.ask(
            lambda node: node.people.verify(number.person, compared), lambda _: self._back()
        )

    def _withdraw(self, number: SafetyNumberView) -> None:
        self._flow.ask(lambda node: node.people.withdraw(number.person), lambda _: self._back())

    def _seen(self, number: SafetyNumberView) -> None:
        self._flow.ask(lambda node: node.people.mark_seen(number.person), lambda _: self._back())

    def _type(self, number: SafetyNumberView) -> None:
        field = QLineEdit()
        field.setPlaceholderText(tr("Sixty digits, or a scanned code"))
        field.setAccessibleName(tr("Number or scanned code of the other person"))
        compare = primary(tr("Compare"), lambda: self._verify(number, field.text()))
        compare.setEnabled(False)
        field.textChanged.connect(lambda text: compare.setEnabled(bool(text.strip())))
        field.returnPressed.connect(compare.click)
        self._flow.show_step(
            field,
            heading=tr("Compare with what {name} has", name=self._name),
            buttons=(compare,),
            focus=field,
            back=lambda: self._show(number),
        )

    def _differ(self) -> None:
        self._flow.show_step(
            label(tr("Do not verify."), "subheading"),
            label(
                tr(
                    "Different numbers mean that at least one of you sees other keys than the "
                    "other one has. Often a device was added or removed a moment ago: connect "
                    "both and compare again."
                ),
                wrap=True,
            ),
            label(
                tr(
                    "If they still differ, somebody may stand in between. Write nothing secret in "
                    "this group until you know who {name} is here.",
                    name=self._name,
                ),
                wrap=True,
            ),
            heading=tr("The numbers differ"),
            buttons=(primary(tr("Back"), self._back),),
            back=self._back,
        )


def number_grid(groups: tuple[str, ...]) -> QWidget:
    """Return twelve groups of digits in three lines."""
    holder = QWidget()
    holder.setAccessibleName(tr("Safety number: {number}", number=" ".join(groups)))
    grid = QGridLayout(holder)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setHorizontalSpacing(Space.M)
    grid.setVerticalSpacing(Space.XS)
    for index, text in enumerate(groups):
        item = label(text, "code-large")
        item.setFont(mono_font(Type.H3))
        item.setAlignment(Qt.AlignmentFlag.AlignCenter)
        grid.addWidget(item, index // _ACROSS, index % _ACROSS)
    return holder
