"""A new device becomes one of somebody's: pairing before there is an identity here."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from lutra.node.device_views import PairingView
from lutra_app.bridge import Bridge
from lutra_app.devices.devices import ways
from lutra_app.devices.files import FileSteps
from lutra_app.devices.pairing import PairingSteps
from lutra_app.i18n import tr
from lutra_app.shell.flow import Flow
from lutra_app.shell.task import plain
from lutra_app.theme.theme import Theme
from lutra_app.theme.widgets import label


class PairThisDevice(Flow):
    """The sheet; the profile waits for its person while it is open."""

    def __init__(self, bridge: Bridge, theme: Theme, over: QWidget) -> None:
        super().__init__(bridge, theme, over, heading=tr("Use my identity here"))
        self._entering = False
        self.pairing = PairingSteps(self, new=True, back=self.ask_how, done=self._paired)
        self.files = FileSteps(self, new=True, merge=False, back=self.ask_how, done=self._enter)
        self.closed.connect(self._leave)

    def begin(self) -> None:
        """Open while the profile gets ready to be paired; `show_ways` follows."""
        self._entering = False
        self.show_step(label(tr("One moment …"), "muted"), heading=tr("Use my identity here"))
        self.open_task()

    def show_ways(self) -> None:
        """Go on: the profile can be paired now."""
        if not self.isVisible():
            self.begin()
        self.pairing.resume(self.ask_how)

    def ask_how(self) -> None:
        """Ask how the devices are to be paired."""
        self.pairing.leave()
        self.show_step(
            label(
                tr(
                    "On the device you have already, open “Your devices” and choose “Add a "
                    "device”. Either of the two can show the code."
                ),
                "muted",
                wrap=True,
            ),
            *ways(self.theme, self.pairing, self.files),
            heading=tr("Use my identity here"),
            buttons=(plain(tr("Cancel"), self.close_sheet),),
        )

    def _paired(self, _: PairingView) -> None:
        self._enter()

    def _enter(self) -> None:
        self._entering = True
        self.show_step(
            label(tr("Paired. Opening your groups …"), "lead", wrap=True), heading=tr("Welcome")
        )
        self.busy("")
        self.bridge.enter()

    def _leave(self) -> None:
        self.pairing.leave()
        if not self._entering:
            self.bridge.stop_pairing()

    def happened(self, event: object) -> None:
        """Follow the pairing."""
        self.pairing.happened(event)
