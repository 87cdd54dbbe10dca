"""How ids are written for people: lower-case base32 without padding."""

from __future__ import annotations

import base64
from collections.abc import Iterable

from lutra.errors import NotFoundError, UsageError

ID_BYTES = 32
LOCAL_ID_BYTES = 16
"""Of what has a name on this device only, such as an invite."""
ID_LETTERS = 52
MIN_PREFIX = 6


def format_id(value: bytes) -> str:
    """Return an id's full text form: 52 letters and digits, 26 for a local one."""
    return base64.b32encode(value).decode().rstrip("=").lower()


def short_id(value: bytes) -> str:
    """Return the first 8 letters of an id, enough for people to tell a few apart."""
    return format_id(value[:5])


def parse_id(text: str) -> bytes:
    """Read a full id.

    Raises:
        UsageError: it is not one.
    """
    letters = text.strip().upper()
    try:
        value = base64.b32decode(letters + "=" * (-len(letters) % 8))
    except ValueError:
        value = b""
    if len(value) != ID_BYTES or format_id(value) != letters.lower():
        raise UsageError(f"“{text}” is not an id.")
    return value


def resolve_id(text: str, candidates: Iterable[bytes], noun: str) -> bytes:
    """Return the one candidate whose text form starts with ``text``.

    Args:
        text: a full id or a prefix of at least 6 letters.
        candidates: the ids to choose from.
        noun: what they are, for the error's sentence ("page", "group").

    Raises:
        UsageError: too short, or several candidates fit.
        NotFoundError: none fits.
    """
    prefix = text.strip().lower()
    if len(prefix) < MIN_PREFIX:
        raise UsageError(f"Give at least {MIN_PREFIX} letters of the {noun}'s id.")
    found = [item for item in candidates if format_id(item).startswith(prefix)]
    if not found:
        raise NotFoundError(f"There is no {noun} “{text}” here.")
    if len(found) > 1:
        raise UsageError(f"Several {noun}s start with “{text}”; give more letters.")
    return found[0]
