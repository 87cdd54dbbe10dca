"""Your devices: which there are, adding one, renaming, removing, and merging an identity."""

from __future__ import annotations

from PySide6.QtWidgets import QLineEdit, QWidget

from lutra.node.device_views import DeviceView, PairingView
from lutra.node.events import PeersChanged, PersonChanged
from lutra_app.bridge import Bridge
from lutra_app.devices.files import FileSteps
from lutra_app.devices.pairing import PairingSteps
from lutra_app.i18n import tr
from lutra_app.shell.flow import Flow
from lutra_app.shell.task import plain, primary
from lutra_app.theme.parts import (
    IconLabel,
    Option,
    RowButton,
    Segments,
    link_button,
    side_by_side,
)
from lutra_app.theme.theme import Theme
from lutra_app.theme.widgets import label


class Devices(Flow):
    """The sheet of this person's devices."""

    def __init__(self, bridge: Bridge, theme: Theme, over: QWidget) -> None:
        super().__init__(bridge, theme, over, heading=tr("Your devices"))
        self._listing = False
        self.field = QLineEdit()
        self.wish = self._make_wish()
        self.pairing = PairingSteps(self, new=False, back=self.ask_how, done=self._paired)
        self.merging = PairingSteps(self, new=True, back=self._ask_merge, done=self._merged)
        self.files = FileSteps(
            self, new=False, merge=False, back=self.ask_how, done=self.close_sheet
        )
        self.merge_files = FileSteps(
            self, new=True, merge=True, back=self._ask_merge, done=self._merged_by_files
        )
        self.closed.connect(self._leave_steps)

    def begin(self) -> None:
        """Open at the list, or at a pairing that is under way."""
        self.show_step(heading=tr("Your devices"))
        self.open_task()
        self.pairing.resume(lambda: self.merging.resume(self.look))

    def look(self) -> None:
        """Show the devices there are now."""
        self._leave_steps()
        self._listing = True
        self.ask(lambda node: node.devices(), self._show)

    def _leave_steps(self) -> None:
        self.pairing.leave()
        self.merging.leave()

    def _show(self, devices: list[DeviceView]) -> None:
        if not self._listing:
            return
        active = [device for device in devices if device.active]
        removed = [device for device in devices if not device.active]
        items: list[QWidget] = [
            label(
                tr(
                    "Each has all your groups and pages, and any of them can add or remove "
                    "others. Press one to rename or remove it."
                ),
                "muted",
                wrap=True,
            )
        ]
        items += [self._row(device, alone=len(active) == 1) for device in active]
        if removed:
            names = ", ".join(device.name or tr("unnamed") for device in removed)
            items.append(label(tr("Removed: {names}", names=names), "muted", wrap=True))
        items.append(
            link_button(tr("Make this one of another identity’s devices …"), self._ask_merge)
        )
        self.show_step(
            *items,
            heading=tr("Your devices"),
            buttons=(
                plain(tr("Done"), self.close_sheet),
                primary(tr("Add a device"), self.ask_how),
            ),
        )

    def _row(self, device: DeviceView, *, alone: bool) -> RowButton:
        where = (
            tr("this device")
            if device.me
            else tr("connected")
            if device.online
            else tr("not in reach")
        )
        color = "good" if device.online or device.me else "muted"
        row = RowButton(
            device.name or tr("Unnamed device"),
            where,
            picture=IconLabel(self.theme, "desktop", color, 22),
            role="choice",
        )
        row.clicked.connect(lambda: self._ask_change(device, alone=alone))
        return row

    # -- one device ----------------------------------------------------------------------

    def _ask_change(self, device: DeviceView, *, alone: bool) -> None:
        self._listing = False
        self.field = QLineEdit(device.name)
        self.field.setAccessibleName(tr("Name of the device"))
        rename = primary(tr("Rename"), lambda: self._rename(device))
        rename.setEnabled(False)
        self.field.textChanged.connect(
            lambda text: rename.setEnabled(bool(text.strip()) and text.strip() != device.name)
        )
        self.field.returnPressed.connect(rename.click)
        row = side_by_side(self.field, rename)
        row.setStretch(1, 0)
        items: list[QWidget] = []
        if alone:
            items.append(
                label(tr("It is your only device, so it cannot be removed."), "muted", wrap=True)
            )
        buttons = [plain(tr("Back"), self.look)]
        if not alone:
            buttons.append(plain(tr("Remove …"), lambda: self._ask_removal(device), "danger"))
        self.show_step(
            row,
            *items,
            heading=device.name or tr("Unnamed device"),
            buttons=buttons,
            focus=self.field,
            back=self.look,
        )

    def _rename(self, device: DeviceView) -> None:
        name = self.field.text().strip()
        self.ask(lambda node: node.rename_device(device.device, name), lambda _: self.look())

    def _ask_removal(self, device: DeviceView) -> None:
        name = device.name or tr("Unnamed device")
        sentences = [
            tr(
                "{name} leaves all your groups. What is written from then on is encrypted with "
                "keys it does not get.",
                name=name,
            ),
            tr(
                "Devices that are not connected now go on encrypting for it until they have heard "
                "of the removal."
            ),
            tr(
                "Lutra cannot take back what is on it: if it was stolen, whoever opens it reads "
                "what was there. Only its disk encryption or passphrase stands in the way."
            ),
        ]
        if device.me:
            sentences.insert(
                0, tr("This is the device in front of you: you would be out here yourself.")
            )
        items: list[QWidget] = [label(sentence, wrap=True) for sentence in sentences]
        self.wish = self._make_wish()
        if not device.me:
            items += [
                self.wish,
                label(
                    tr(
                        "It deletes everything if it goes online with an unchanged program. "
                        "Whoever keeps it offline, or has changed its program, keeps what is on it."
                    ),
                    "muted",
                    wrap=True,
                ),
            ]
        self.show_step(
            *items,
            heading=tr("Remove {name}?", name=name),
            buttons=(
                plain(tr("Keep it"), self.look),
                plain(tr("Remove it"), lambda: self._remove(device), "danger"),
            ),
            back=self.look,
        )

    @staticmethod
    def _make_wish() -> Segments:
        return Segments(
            tr("What is on it"),
            (Option("leave", tr("leave it there")), Option("wipe", tr("ask it to delete"))),
            "leave",
        )

    def _remove(self, device: DeviceView) -> None:
        wipe = not device.me and self.wish.key == "wipe"
        self.ask(
            lambda node: node.remove_device(device.device, wipe=wipe),
            lambda _: self.look(),
            busy=tr("Removing …"),
        )

    # -- adding one ----------------------------------------------------------------------

    def ask_how(self) -> None:
        """Ask how the new device is to be added."""
        self._listing = False
        self._leave_steps()
        self._show_ways(
            self.pairing,
            self.files,
            tr("Add a device"),
            tr(
                "Install Lutra on the new device and choose “I have Lutra on another device” "
                "there. Either of the two can show the code."
            ),
        )

    def _ask_merge(self) -> None:
        self._listing = False
        self._leave_steps()
        self._show_ways(
            self.merging,
            self.merge_files,
            tr("Two identities become one"),
            tr(
                "If you are known under another identity on another device, this device can "
                "become one of its devices. On that device open “Your devices” and choose “Add a "
                "device”. To keep both apart, do nothing."
            ),
        )

    def _show_ways(
        self, pairing: PairingSteps, files: FileSteps, heading: str, sentence: str
    ) -> None:
        self.show_step(
            label(sentence, "muted", wrap=True),
            *ways(self.theme, pairing, files),
            heading=heading,
            buttons=(plain(tr("Cancel"), self.look),),
            back=self.look,
        )

    def _paired(self, view: PairingView) -> None:
        name = view.device_name or tr("The new device")
        self.show_step(
            label(tr("{name} is one of your devices now.", name=name), "lead", wrap=True),
            label(
                tr(
                    "It receives your groups and pages as long as both are on and connected; it "
                    "shows there how far it is."
                ),
                wrap=True,
            ),
            heading=tr("Paired"),
            buttons=(
                plain(tr("All devices"), self.look),
                primary(tr("Done"), self.close_sheet),
            ),
        )

    def _merged(self, view: PairingView) -> None:
        self._show_merged(view.person_name, len(view.separate))

    def _merged_by_files(self) -> None:
        self._show_merged("", 0)

    def _show_merged(self, name: str, separate: int) -> None:
        items = [
            label(
                tr("This device belongs to {name} now.", name=name or tr("the other identity")),
                "lead",
                wrap=True,
            )
        ]
        if separate:
            items.append(
                label(
                    tr(
                        "In {count} groups you stay under the old identity, because only an "
                        "admin there can change that.",
                        count=separate,
                    ),
                    wrap=True,
                )
            )
        self.show_step(
            *items,
            heading=tr("One identity"),
            buttons=(primary(tr("Done"), self.close_sheet),),
        )

    def happened(self, event: object) -> None:
        """Follow pairings and the list."""
        self.pairing.happened(event)
        self.merging.happened(event)
        if self._listing and isinstance(event, PeersChanged | PersonChanged):
            self.ask(lambda node: node.devices(), self._show)


def ways(theme: Theme, pairing: PairingSteps, files: FileSteps) -> list[RowButton]:
    """Return the ways to pair, to choose from."""
    rows = [
        (
            "qr-code",
            tr("Show a code here"),
            tr("You type it on the other device."),
            lambda: pairing.begin(show=True),
        ),
        (
            "keyboard",
            tr("Enter the code"),
            tr("The other device shows one."),
            lambda: pairing.begin(show=False),
        ),
        (
            "package",
            tr("By files"),
            tr("For devices that never meet, on a stick or by mail."),
            files.begin,
        ),
    ]
    made: list[RowButton] = []
    for icon, text, detail, run in rows:
        row = RowButton(text, detail, picture=IconLabel(theme, icon, "accent", 22), role="choice")
        row.clicked.connect(lambda *_, run=run: run())
        made.append(row)
    return made
