"""Contrast, and the looks of people."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QApplication

import lutra_app
from lutra_app.shell import attention
from lutra_app.theme import icons
from lutra_app.theme.persons import initials, person_color
from lutra_app.theme.stylesheet import stylesheet
from lutra_app.theme.theme import Theme
from lutra_app.theme.tokens import DARK, HIGH_CONTRAST_DARK, HIGH_CONTRAST_LIGHT, LIGHT, Colors

ALL = (LIGHT, DARK, HIGH_CONTRAST_LIGHT, HIGH_CONTRAST_DARK)
SURFACES = ("page", "panel", "raised", "sunken", "hover", "accent_soft")
TEXTS = ("text", "muted")


def luminance(color: str) -> float:
    """Relative luminance, WCAG 2.2."""
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in QColor(color).getRgbF()[:3]
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("colors", ALL, ids=lambda colors: colors.name)
def test_contrast(colors: Colors) -> None:
    least = 7.0 if "high" in colors.name else 4.5
    pairs = [(getattr(colors, t), getattr(colors, s)) for t in TEXTS for s in SURFACES]
    pairs += [(colors.accent, colors.page), (colors.on_accent, colors.accent)]
    pairs += [(colors.on_accent, colors.accent_hover), (colors.text, colors.selection)]
    pairs += [(colors.danger, surface) for surface in (colors.page, colors.panel, colors.raised)]
    pairs += [(colors.text, colors.danger_soft), (colors.code, colors.sunken)]
    pairs += [(colors.warning, colors.page), (colors.good, colors.page)]
    pairs += [(colors.muted, colors.pressed)]
    pairs += [(colors.on_person, person) for person in colors.people]
    poor = [(a, b, round(contrast(a, b), 2)) for a, b in pairs if contrast(a, b) < least]
    assert poor == []
    # Outlines of fields and check boxes: WCAG 2.2 §1.4.11.
    assert contrast(colors.control_line, colors.page) >= 3.0


@pytest.mark.parametrize(
    ("name", "letters"),
    [
        ("Ana Lima", "AL"),
        ("ben", "B"),
        ("  Chaïm  van der Berg ", "CB"),
        ("e\u0301mile", "E\u0301"),
        ("李小龙", "李"),
        ("", "?"),
    ],
)
def test_initials(name: str, letters: str) -> None:
    assert initials(name) == letters


def test_a_person_keeps_one_place_in_every_theme() -> None:
    device = bytes(range(32))
    places = {colors.people.index(person_color(device, colors)) for colors in ALL}
    assert len(places) == 1


def test_every_icon_in_use_exists(theme: Theme) -> None:
    for name in ("users", "note-pencil", "list", "x", "gear", "check-bold", "file-text", "plus"):
        pixmap = theme.icon(name).pixmap(18, 18).toImage()
        painted = sum(pixmap.pixelColor(x, y).alpha() > 0 for x in range(18) for y in range(18))
        assert painted > 20, name
    with pytest.raises(KeyError):
        theme.icon("no-such-icon")


def test_the_style_sheet_names_no_colour_of_its_own() -> None:
    used = set(stylesheet(LIGHT).lower().split("#")[1:])
    tokens = {value for value in vars_of(LIGHT) if value.startswith("#")}
    assert {f"#{part[:6]}" for part in used} <= tokens


def vars_of(colors: Colors) -> list[str]:
    return [str(getattr(colors, name)) for name in Colors.__dataclass_fields__]


def test_following_the_system(theme: Theme) -> None:
    theme.choose("dark")
    assert theme.colors is DARK
    theme.choose("light")
    assert theme.colors is LIGHT


def test_icon_font_is_found() -> None:
    family, glyphs = icons.font()
    assert family
    assert len(glyphs) > 1000


def test_every_icon_named_is_in_the_family(qapp: QApplication) -> None:
    known = icons.font()[1]
    called = re.compile(
        r'(?:IconLabel|IconButton)\(\s*[\w.]*theme,\s*"([\w-]+)"|Command\([^"]*"[^"]*"\),\s*"([\w-]+)"'
        r'|Banner\(\s*text,\s*"([\w-]+)"|theme\.icon\("([\w-]+)"'
    )
    named = {
        name
        for path in Path(lutra_app.__file__).parent.rglob("*.py")
        for found in called.findall(path.read_text(encoding="utf-8"))
        for name in found
        if name
    }
    assert len(named) > 20
    assert named <= known.keys(), sorted(named - known.keys())
    assert set(attention.ICONS.values()) <= known.keys()
