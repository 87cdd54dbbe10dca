"""Results as text for people: plain lines and columns that also read well aloud."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Sequence
from typing import Any

_COMMANDING = ("Cc", "Zl", "Zp", "Cs")
SHORT_ID = 8
"""How many letters of an id are shown in lists; commands accept six or more."""


def short(identifier: str) -> str:
    """Shorten an id's text form for a list."""
    return identifier[:SHORT_ID]


def moment(milliseconds: int) -> str:
    """Write a time in the local zone; empty if it is not known."""
    if not milliseconds:
        return ""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(milliseconds / 1000))


def harmless(text: str, *, kept: str = "") -> str:
    """Replace what would command a terminal, in names and texts that come from other people.

    Args:
        text: what is to be shown.
        kept: control characters that are wanted, for example line breaks.
    """
    return "".join(
        character
        if character in kept or unicodedata.category(character) not in _COMMANDING
        else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Align rows, each of which stays one line; the last column keeps its own width."""
    if not rows:
        return ""
    rows = [[harmless(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def count(number: int, noun: str) -> str:
    """Write a number with its noun: `1 page`, `2 pages`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def page_state(status: dict[str, Any]) -> str:
    """Say in one line where a page's content is."""
    devices, holders = status["devices"], status["holders"]
    if status["unpublished"]:
        return "Saved on this device; not sent yet."
    if devices == 1:
        return "Saved on this device; nobody else is in the group yet."
    if holders == devices:
        return f"Saved here and on all {devices} devices of the group."
    waiting = ", ".join(status["waiting_for"])
    tail = f"; {waiting} not yet" if waiting else ""
    return f"Saved on this device; {holders} of {devices} devices have it{tail}."
