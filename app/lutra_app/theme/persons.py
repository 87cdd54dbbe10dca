"""The colour and initials of a person: the same wherever the person appears."""

from __future__ import annotations

import unicodedata

from lutra_app.theme.tokens import Colors


def person_color(who: bytes, colors: Colors) -> str:
    """Return the colour that goes with an id or a public key: evenly spread bytes."""
    return colors.people[int.from_bytes(who[:4], "big") % len(colors.people)]


def initials(name: str) -> str:
    """Return one or two capital letters for a name; ``?`` for an empty one."""
    words = [word for word in name.split() if word]
    if not words:
        return "?"
    picked = [words[0], words[-1]] if len(words) > 1 else words
    return "".join(_first_character(word) for word in picked).upper()


def _first_character(word: str) -> str:
    """Return the first character with the combining marks that belong to it."""
    end = 1
    while end < len(word) and (
        unicodedata.combining(word[end]) or word[end] in "\u200d\ufe0f" or word[end - 1] == "\u200d"
    ):
        end += 1
    return word[:end]
