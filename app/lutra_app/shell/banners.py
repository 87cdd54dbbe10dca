"""Sentences above the page that stay true until something is done about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QBoxLayout, QFrame, QPushButton, QVBoxLayout, QWidget

from lutra_app.i18n import tr
from lutra_app.theme.parts import IconLabel
from lutra_app.theme.theme import Theme
from lutra_app.theme.tokens import Space
from lutra_app.theme.widgets import IconButton, button, label, panel

_NARROW = 520


@dataclass(frozen=True, slots=True)
class Banner:
    """One sentence with at most one thing to do.

    Attributes:
        text: the sentence.
        icon: a Phosphor name.
        loud: something is wrong.
        action: what the button says; empty for no button.
        run: what it does.
        dismiss: called when the person puts the banner away; None if it cannot be.
    """

    text: str
    icon: str = "info"
    loud: bool = False
    action: str = ""
    run: Callable[[], None] | None = None
    dismiss: Callable[[], None] | None = None


class Banners(QWidget):
    """The banners, each under a key of its own."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._shown: dict[str, Banner] = {}
        self._strips: dict[str, _Strip] = {}
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(Space.L, 0, Space.L, 0)
        self._layout.setSpacing(0)

    def show_banner(self, key: str, banner: Banner | None) -> None:
        """Show a banner under a key, or none any more."""
        before = self._shown.get(key)
        same = before is not None and banner is not None and before.text == banner.text
        if banner is None or not same:
            strip = self._strips.pop(key, None)
            if strip is not None:
                strip.hide()
                strip.deleteLater()
            self._shown.pop(key, None)
        if banner is None:
            return
        self._shown[key] = banner
        if same:
            self._strips[key].banner = banner
            return
        strip = _Strip(self._theme, banner)
        self._strips[key] = strip
        self._layout.addWidget(strip)

    def enable(self, key: str, enabled: bool) -> None:
        """Let the button of a banner be pressed, or not."""
        if key in self._strips:
            self._strips[key].action.setEnabled(enabled)

    def text(self, key: str) -> str:
        """Return what a banner says; empty if there is none."""
        return self._shown[key].text if key in self._shown else ""

    def button(self, key: str) -> QPushButton:
        """Return the button of a banner that is shown."""
        return self._strips[key].action


class _Strip(QFrame):
    def __init__(self, theme: Theme, banner: Banner) -> None:
        super().__init__()
        self.banner = banner
        holder = panel("notice" if banner.loud else "banner")
        self._row = QBoxLayout(QBoxLayout.Direction.LeftToRight, holder)
        self._row.setContentsMargins(Space.M, Space.S, Space.S, Space.S)
        self._row.setSpacing(Space.M)
        words = QBoxLayout(QBoxLayout.Direction.LeftToRight)
        words.setSpacing(Space.M)
        top = Qt.AlignmentFlag.AlignTop
        color = "danger" if banner.loud else "accent"
        words.addWidget(IconLabel(theme, banner.icon, color))
        text = label(banner.text, wrap=True)
        text.setAccessibleName(banner.text)
        words.addWidget(text, 1)
        if banner.dismiss is not None:
            close = IconButton(theme, "x", tr("Dismiss"))
            close.clicked.connect(self._dismiss)
            words.addWidget(close, 0, top)
        self.action = button(banner.action)
        self.action.setVisible(bool(banner.action))
        self.action.clicked.connect(self._run)
        self._row.addLayout(words, 1)
        self._row.addWidget(self.action)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, Space.S)
        layout.addWidget(holder)

    def resizeEvent(self, event: object) -> None:
        """Put the button below the words where it is narrow."""
        narrow = self.width() < _NARROW
        side = Qt.AlignmentFlag.AlignRight if narrow else Qt.AlignmentFlag.AlignVCenter
        self._row.setAlignment(self.action, side)
        self._row.setDirection(
            QBoxLayout.Direction.TopToBottom if narrow else QBoxLayout.Direction.LeftToRight
        )

    def _run(self) -> None:
        if self.banner.run is not None:
            self.banner.run()

    def _dismiss(self) -> None:
        if self.banner.dismiss is not None:
            self.banner.dismiss()
