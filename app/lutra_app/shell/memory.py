"""What the window remembers between starts: sizes, the open page, the theme. Nothing secret.

Page ids are kept, titles and texts never are.
"""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QByteArray, QSettings
from PySide6.QtWidgets import QMainWindow

from lutra_app.shell.panes import Panes, Side
from lutra_app.theme.theme import CHOICES
from lutra_app.theme.tokens import Width


class Memory:
    """Settings of the window, in ``window.ini`` of the profile."""

    def __init__(self, directory: Path) -> None:
        self._settings = QSettings(str(directory / "window.ini"), QSettings.Format.IniFormat)

    @property
    def theme(self) -> str:
        """The theme the person chose."""
        value = self._settings.value("theme", "system")
        return value if value in CHOICES else "system"

    @theme.setter
    def theme(self, choice: str) -> None:
        self._settings.setValue("theme", choice)

    @property
    def motion(self) -> bool:
        """Whether things may move."""
        return bool(self._settings.value("motion", True, type=bool))

    @motion.setter
    def motion(self, wanted: bool) -> None:
        self._settings.setValue("motion", wanted)

    @property
    def page(self) -> bytes | None:
        """The page that was open."""
        value = self._settings.value("page", "")
        try:
            return bytes.fromhex(value) if isinstance(value, str) and value else None
        except ValueError:
            return None

    @page.setter
    def page(self, document: bytes | None) -> None:
        self._settings.setValue("page", document.hex() if document else "")

    def restore(self, window: QMainWindow, panes: Panes) -> None:
        """Give window and panes their sizes back."""
        geometry = self._settings.value("geometry")
        if isinstance(geometry, QByteArray):
            window.restoreGeometry(geometry)
        for side, width, shown in (
            (Side.LEFT, Width.SIDEBAR, True),
            (Side.RIGHT, Width.DRAWER, False),
        ):
            panes.restore(
                side,
                width=int(self._settings.value(f"{side.value}/width", width, type=int)),  # type: ignore[arg-type]
                shown=bool(self._settings.value(f"{side.value}/shown", shown, type=bool)),
            )

    def remember(self, window: QMainWindow, panes: Panes) -> None:
        """Keep the sizes as they are now; whether a floating pane is out says nothing."""
        self._settings.setValue("geometry", window.saveGeometry())
        for side in Side:
            self._settings.setValue(f"{side.value}/width", panes.width_of(side))
            if not panes.is_floating(side):
                self._settings.setValue(f"{side.value}/shown", panes.is_shown(side))
