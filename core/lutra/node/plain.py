"""Views and events as plain JSON values: what the control socket and `--json` show."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, cast

from lutra.node.ids import ID_BYTES, format_id


def plain(value: object) -> Any:
    """Turn a view into dicts, lists, text and numbers.

    Ids (32 bytes) become their text form, other bytes base64.

    Raises:
        TypeError: the value has no plain form.
    """
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, bytes):
        return format_id(value) if len(value) == ID_BYTES else base64.b64encode(value).decode()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        items = cast("Mapping[str, object]", value)
        return {str(key): plain(item) for key, item in items.items()}
    if isinstance(value, Sequence):
        return [plain(item) for item in cast("Sequence[object]", value)]
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no plain form")


def plain_event(event: object) -> dict[str, Any]:
    """Turn an event into plain values; its `event` is the class's name."""
    return {"event": type(event).__name__, **plain(event)}
