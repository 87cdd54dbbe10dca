"""The theme in force: follows the system's light, dark and contrast settings."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QFont, QGuiApplication, QIcon, QPalette
from PySide6.QtWidgets import QApplication

from lutra_app.theme import icons, tokens
from lutra_app.theme.persons import person_color
from lutra_app.theme.stylesheet import stylesheet

CHOICES = ("system", "light", "dark")


class Theme(QObject):
    """The colours in force for one application.

    Attributes:
        colors: the set of colours to paint with now.

    Signals:
        changed: `colors` is another set; repaint.
    """

    changed = Signal()

    def __init__(self, application: QApplication, *, choice: str = "system", motion: bool = True):
        super().__init__(application)
        self._application = application
        self._choice = choice
        self.motion = motion
        self.colors = tokens.LIGHT
        self._owners: dict[bytes, bytes] = {}
        hints = QGuiApplication.styleHints()
        hints.colorSchemeChanged.connect(self._follow)
        hints.accessibility().contrastPreferenceChanged.connect(self._follow)
        application.setStyle("Fusion")
        application.setFont(ui_font())
        self._apply(self._wanted())

    @property
    def choice(self) -> str:
        """What the person chose: one of `CHOICES`."""
        return self._choice

    def choose(self, choice: str) -> None:
        """Follow the system, or stay light or dark."""
        self._choice = choice
        self._follow()

    def duration(self, milliseconds: int) -> int:
        """Return how long a motion lasts: 0 where the person wants none."""
        return milliseconds if self.motion else 0

    def icon(self, name: str, color: str | None = None) -> QIcon:
        """Return an icon in the colour of quiet controls, or in `color`."""
        return icons.icon(name, color or self.colors.muted)

    def color(self, name: str) -> QColor:
        """Return one colour by its token's name."""
        return QColor(getattr(self.colors, name))

    def set_owners(self, owners: Mapping[bytes, bytes]) -> None:
        """Learn which device is whose, so that a person has one colour everywhere."""
        self._owners.update(owners)

    def person_color(self, who: bytes) -> QColor:
        """Return the colour of a person, given by its id or one of its devices."""
        return QColor(person_color(self._owners.get(who, who), self.colors))

    def _wanted(self) -> tokens.Colors:
        hints = QGuiApplication.styleHints()
        contrast = hints.accessibility().contrastPreference()
        system_dark = hints.colorScheme() == Qt.ColorScheme.Dark
        dark = self._choice == "dark" or (self._choice == "system" and system_dark)
        if contrast == Qt.ContrastPreference.HighContrast:
            return tokens.HIGH_CONTRAST_DARK if dark else tokens.HIGH_CONTRAST_LIGHT
        return tokens.DARK if dark else tokens.LIGHT

    def _follow(self) -> None:
        wanted = self._wanted()
        if wanted is not self.colors:
            self._apply(wanted)

    def apply(self, colors: tokens.Colors) -> None:
        """Use exactly these colours until the system or the person changes something."""
        self._apply(colors)

    def _apply(self, colors: tokens.Colors) -> None:
        self.colors = colors
        self._application.setPalette(_palette(colors))
        self._application.setStyleSheet(stylesheet(colors))
        self.changed.emit()


def ui_font() -> QFont:
    """Return the interface's font at its normal size."""
    font = QFont()
    font.setFamilies(list(tokens.Type.SANS))
    font.setPixelSize(tokens.Type.UI)
    font.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
    return font


def text_font() -> QFont:
    """Return the font of a page's text."""
    font = ui_font()
    font.setPixelSize(tokens.Type.TEXT)
    return font


def mono_font(size: int = tokens.Type.SMALL) -> QFont:
    """Return the font of code and of codes to copy."""
    font = QFont()
    font.setFamilies(list(tokens.Type.MONO))
    font.setPixelSize(size)
    font.setStyleHint(QFont.StyleHint.Monospace)
    return font


def _palette(c: tokens.Colors) -> QPalette:
    role = QPalette.ColorRole
    palette = QPalette()
    for name, color in (
        (role.Window, c.page),
        (role.WindowText, c.text),
        (role.Base, c.page),
        (role.AlternateBase, c.sunken),
        (role.Text, c.text),
        (role.PlaceholderText, c.muted),
        (role.Button, c.raised),
        (role.ButtonText, c.text),
        (role.BrightText, c.danger),
        (role.ToolTipBase, c.text),
        (role.ToolTipText, c.page),
        (role.Highlight, c.selection),
        (role.HighlightedText, c.text),
        (role.Link, c.accent),
        (role.LinkVisited, c.accent),
        (role.Light, c.raised),
        (role.Midlight, c.hover),
        (role.Mid, c.pressed),
        (role.Dark, c.control_line),
        (role.Shadow, c.shadow),
        (role.Accent, c.accent),
    ):
        palette.setColor(name, QColor(color))
    return palette
