"""Views and events as plain JSON values: what the control socket and `--json` show."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, cast

from lutra.node.ids import ID_BYTES, LOCAL_ID_BYTES, format_id

_BINARY = frozenset({"updates", "anchor", "head"})
"""Fields that hold data of any length, so that 32 bytes of it are no id."""


def plain(value: object) -> Any:
    """Turn a view into dicts, lists, text and numbers.

    Ids (32 or 16 bytes) become their text form, other bytes and the fields of `_BINARY` base64.

    Raises:
        TypeError: the value has no plain form.
    """
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, bytes):
        is_id = len(value) in (ID_BYTES, LOCAL_ID_BYTES)
        return format_id(value) if is_id else base64.b64encode(value).decode()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _plain_field(field.name, getattr(value, field.name))
            for field in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        items = cast("Mapping[str, object]", value)
        return {str(key): plain(item) for key, item in items.items()}
    if isinstance(value, Sequence):
        return [plain(item) for item in cast("Sequence[object]", value)]
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no plain form")


def _plain_field(name: str, value: object) -> Any:
    if name not in _BINARY or value is None:
        return plain(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return [base64.b64encode(item).decode() for item in cast("Sequence[bytes]", value)]


def plain_event(event: object) -> dict[str, Any]:
    """Turn an event into plain values; its `event` is the class's name."""
    return {"event": type(event).__name__, **plain(event)}
