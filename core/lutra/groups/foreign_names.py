"""Names that strangers give themselves, made fit to be shown."""

from __future__ import annotations

from typing import Any

from lutra.errors import RemoteError
from lutra.groups.cards import MAX_NAME_LENGTH

_JOINERS = "\u200c\u200d"
"""Invisible, but parts of words and emoji."""


def foreign_name(value: Any) -> str:
    """Return a name that a stranger sent, without line breaks and marks that turn text around.

    Raises:
        RemoteError: it is no text, too long, or nothing of it can be seen.
    """
    if type(value) is not str or len(value) > MAX_NAME_LENGTH:
        raise RemoteError("A stranger's name has not its form.")
    shown = "".join(one if one.isprintable() or one in _JOINERS else " " for one in value)
    shown = " ".join(shown.split())
    if not shown.strip(_JOINERS):
        raise RemoteError("A stranger's name has not its form.")
    return shown
