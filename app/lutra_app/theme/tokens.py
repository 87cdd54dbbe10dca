"""Every colour, distance, type size and duration the desktop uses: nothing else sets its own.

Colours are sRGB ``#rrggbb``. Each text colour has a contrast of at least 4.5:1 on each surface it
is used on (`tests/app/test_theme.py` computes it, WCAG 2.2 §1.4.3). Distances are device
independent pixels on a 4 px grid.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Colors:
    """One complete set of colours.

    ``page`` carries the document, ``panel`` the sidebar and drawer, ``raised`` menus and cards.
    ``people`` are the colours persons get; white or black text on them is ``on_person``.
    """

    name: str
    dark: bool
    page: str
    panel: str
    raised: str
    sunken: str
    hover: str
    pressed: str
    line: str
    control_line: str
    text: str
    muted: str
    accent: str
    accent_hover: str
    accent_soft: str
    on_accent: str
    selection: str
    danger: str
    danger_soft: str
    warning: str
    good: str
    code: str
    shadow: str
    focus: str
    on_person: str
    people: tuple[str, ...]


LIGHT = Colors(
    name="light",
    dark=False,
    page="#fffefc",
    panel="#f6f4f0",
    raised="#ffffff",
    sunken="#f1eee9",
    hover="#ece8e1",
    pressed="#e3ded5",
    line="#e7e3db",
    control_line="#918b80",
    text="#23211d",
    muted="#67625a",
    accent="#0b6963",
    accent_hover="#085650",
    accent_soft="#dcedea",
    on_accent="#ffffff",
    selection="#c9e3df",
    danger="#ab2a20",
    danger_soft="#fbe9e6",
    warning="#7d5200",
    good="#226b35",
    code="#7a3b12",
    shadow="#1f1c17",
    focus="#0b6963",
    on_person="#ffffff",
    people=(
        "#b23a48",
        "#9a5100",
        "#6d6500",
        "#39742a",
        "#00766a",
        "#0a7090",
        "#2f62b8",
        "#5f52c4",
        "#8a46b0",
        "#a83a80",
    ),
)

DARK = Colors(
    name="dark",
    dark=True,
    page="#1c1d1f",
    panel="#161718",
    raised="#27292b",
    sunken="#242628",
    hover="#232527",
    pressed="#2d3033",
    line="#2c2e31",
    control_line="#7d8288",
    text="#e9e6e0",
    muted="#a5a199",
    accent="#6fd0c4",
    accent_hover="#8bdcd2",
    accent_soft="#1e3735",
    on_accent="#0a2421",
    selection="#24504c",
    danger="#ff9b90",
    danger_soft="#40211e",
    warning="#e9b757",
    good="#83cc8f",
    code="#f0b48a",
    shadow="#000000",
    focus="#6fd0c4",
    on_person="#17181a",
    people=(
        "#ff9aa2",
        "#f5ae6b",
        "#d9c94e",
        "#93d47d",
        "#5fd3c3",
        "#6fc9e8",
        "#93b8ff",
        "#b5aaff",
        "#d9a0f5",
        "#f59bcb",
    ),
)

HIGH_CONTRAST_LIGHT = Colors(
    name="high-contrast-light",
    dark=False,
    page="#ffffff",
    panel="#ffffff",
    raised="#ffffff",
    sunken="#f2f2f2",
    hover="#e4e4e4",
    pressed="#d4d4d4",
    line="#000000",
    control_line="#000000",
    text="#000000",
    muted="#2b2b2b",
    accent="#003a8c",
    accent_hover="#00265c",
    accent_soft="#dbe8ff",
    on_accent="#ffffff",
    selection="#b5d3ff",
    danger="#8a0000",
    danger_soft="#ffe9e9",
    warning="#5a3900",
    good="#004d13",
    code="#5c2300",
    shadow="#000000",
    focus="#003a8c",
    on_person="#ffffff",
    people=(
        "#8a0f22",
        "#713700",
        "#4b4500",
        "#155107",
        "#00524a",
        "#004d66",
        "#0d3f8f",
        "#3d2f9e",
        "#64218a",
        "#7f155c",
    ),
)

HIGH_CONTRAST_DARK = Colors(
    name="high-contrast-dark",
    dark=True,
    page="#000000",
    panel="#000000",
    raised="#000000",
    sunken="#141414",
    hover="#262626",
    pressed="#383838",
    line="#ffffff",
    control_line="#ffffff",
    text="#ffffff",
    muted="#dedede",
    accent="#ffe14d",
    accent_hover="#fff0a3",
    accent_soft="#332d00",
    on_accent="#000000",
    selection="#4d4400",
    danger="#ffb3ab",
    danger_soft="#330a06",
    warning="#ffd27a",
    good="#9dffad",
    code="#ffd0b0",
    shadow="#000000",
    focus="#ffe14d",
    on_person="#000000",
    people=(
        "#ffb3ba",
        "#ffc48a",
        "#f5e663",
        "#aef59a",
        "#7df0e0",
        "#9be1ff",
        "#b5d0ff",
        "#d0c8ff",
        "#ebc2ff",
        "#ffc2e3",
    ),
)


class Space:
    """The spacing scale, in device independent pixels."""

    HAIR = 2
    XS = 4
    S = 8
    M = 12
    L = 16
    XL = 24
    XXL = 32
    HUGE = 48


class Radius:
    """Corner radii, in device independent pixels."""

    S = 4
    M = 6
    L = 10


class Type:
    """The type scale, in device independent pixels."""

    CAPTION = 12
    SMALL = 13
    UI = 14
    LEAD = 16
    TEXT = 17
    H3 = 19
    H2 = 23
    H1 = 28
    TITLE = 36
    LINE_HEIGHT_PERCENT = 150
    SANS = (
        "Inter",
        "Segoe UI Variable Text",
        "Segoe UI",
        "SF Pro Text",
        ".AppleSystemUIFont",
        "Cantarell",
        "Ubuntu",
        "Noto Sans",
        "DejaVu Sans",
    )
    MONO = (
        "JetBrains Mono",
        "Cascadia Mono",
        "SF Mono",
        "Menlo",
        "Consolas",
        "Noto Sans Mono",
        "DejaVu Sans Mono",
    )


class Motion:
    """Durations, in milliseconds; all are 0 when the person turned motion off."""

    QUICK = 120
    CALM = 160
    FLAG_SHOWN = 2500
    FLAG_FADE = 180


class Width:
    """Widths of the shell, in device independent pixels."""

    SIDEBAR = 264
    SIDEBAR_LEAST = 208
    SIDEBAR_MOST = 440
    DRAWER = 312
    DRAWER_LEAST = 256
    DRAWER_MOST = 520
    PAGE_LEAST = 440
    WINDOW_LEAST = 360
    COLUMN_CHARACTERS = 68
