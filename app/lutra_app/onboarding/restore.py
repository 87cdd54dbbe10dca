"""Coming back by a recovery kit on a new device: name, twelve words, perhaps a bundle."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QLineEdit, QWidget

from lutra_app.bridge import Bridge
from lutra_app.i18n import tr
from lutra_app.recovery.words import WordFields
from lutra_app.shell.flow import Flow
from lutra_app.shell.task import plain, primary
from lutra_app.theme.parts import Option, Segments, link_button
from lutra_app.theme.theme import Theme
from lutra_app.theme.widgets import label

_LOST = "lost"


class Restore(Flow):
    """The sheet."""

    def __init__(self, bridge: Bridge, theme: Theme, over: QWidget) -> None:
        super().__init__(bridge, theme, over, heading=tr("Restore"), width=520)
        self.bundle: Path | None = None
        self.words = WordFields()
        self.name = QLineEdit()
        self.address = QLineEdit()
        self.earlier = self._make_choice()
        self.go = primary(tr("Restore"), self._restore)

    def begin(self, name: str = "") -> None:
        """Open with empty fields."""
        self.bundle = None
        self.words = WordFields()
        self.name = QLineEdit(name)
        self.name.setPlaceholderText(tr("Your name"))
        self.name.setAccessibleName(tr("Your name"))
        self.address = QLineEdit()
        self.address.setPlaceholderText(tr("Address of a device of yours or of a friend"))
        self.address.setAccessibleName(tr("Address of a device of yours or of a friend"))
        self.address.hide()
        self.earlier = self._make_choice()
        self._file = label("", "muted", wrap=True)
        self._file.hide()
        self._more = link_button(tr("Nobody is found? Give an address"), self._show_address)
        self.go = primary(tr("Restore"), self._restore)
        self._check()
        self.words.changed.connect(self._check)
        self.name.textChanged.connect(self._check)
        self.show_step(
            label(
                tr(
                    "Type the twelve words of your recovery kit. One of your devices, or somebody "
                    "you share a group with, must be on in the same network; or use a bundle."
                ),
                "muted",
                wrap=True,
            ),
            self.name,
            self.words,
            self.earlier,
            link_button(tr("I have a bundle …"), self._ask_bundle),
            self._file,
            self._more,
            self.address,
            heading=tr("Restore with a recovery kit"),
            buttons=(plain(tr("Cancel"), self.close_sheet), self.go),
            focus=self.words.fields[0] if name else self.name,
        )
        self.open_task()

    @staticmethod
    def _make_choice() -> Segments:
        return Segments(
            tr("My earlier devices"),
            (
                Option("kept", tr("I still have some")),
                Option(_LOST, tr("all are lost: remove them")),
            ),
            "kept",
        )

    def _check(self) -> None:
        self.go.setEnabled(self.words.complete and bool(self.name.text().strip()))

    def _show_address(self) -> None:
        self._more.hide()
        self.address.show()
        self.address.setFocus()
        self.place()

    def _ask_bundle(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, tr("Open a bundle"), str(Path.home()))
        if chosen:
            self.use_bundle(Path(chosen))

    def use_bundle(self, path: Path) -> None:
        """Restore from a bundle too."""
        self.bundle = path
        self._file.setText(tr("Bundle: {name}", name=path.name))
        self._file.show()
        self.place()

    def _restore(self) -> None:
        self.busy(tr("Looking for whoever knows you. This takes up to half a minute …"))
        self._stops.append(
            self.bridge.restore(
                self.words.text(),
                self.name.text().strip(),
                bundle=self.bundle,
                address=self.address.text().strip(),
                remove_lost=self.earlier.key == _LOST,
            )
        )
