"""Deterministic CBOR (RFC 8949 §4.2.1), strict in both directions.

Received bytes must equal their own re-encoding; otherwise one signature would fit several
operation ids. To keep cbor2's canonical order identical to the bytewise order of RFC 8949, the
keys of one map are either all text, all unsigned integers or all byte strings.
"""

from __future__ import annotations

from typing import Any, cast

import cbor2

from lutra.errors import LocalError, MalformedError

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 16
_MAX_INT = 2**64 - 1
_MIN_INT = -(2**64)


class EncodingError(LocalError):
    """A value has no deterministic encoding."""

    code = "codec.encoding"


def encode(value: Any) -> bytes:
    """Return the one encoding of ``value``.

    Args:
        value: None, bool, int of at most 64 bits, float, str, bytes, or lists, tuples and dicts
            of these.

    Raises:
        EncodingError: the value has another type, mixed map keys, or is nested too deeply.
    """
    fault = _fault_of(value, MAX_DEPTH)
    if fault is not None:
        raise EncodingError(f"A value cannot be encoded: {fault}.")
    try:
        return cbor2.dumps(value, canonical=True)
    except (cbor2.CBOREncodeError, UnicodeEncodeError) as error:
        raise EncodingError("A value cannot be encoded: a text is not valid Unicode.") from error


def decode(data: bytes, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> Any:
    """Return the value that ``data`` is the deterministic encoding of.

    Raises:
        MalformedError: too large, nested too deeply, not CBOR, of a type outside `encode`'s, or
            not the one deterministic encoding of its value.
    """
    if len(data) > max_bytes:
        raise MalformedError(
            f"Received data of {len(data)} bytes exceeds the limit of {max_bytes} bytes.",
            size=len(data),
            limit=max_bytes,
        )
    value = _loads_bounded(data, max_depth)
    fault = _fault_of(value, max_depth)
    if fault is not None:
        raise MalformedError(f"Received data is not acceptable: {fault}.")
    if cbor2.dumps(value, canonical=True) != data:
        raise MalformedError("Received data is not in the one deterministic form.")
    return value


def _loads_bounded(data: bytes, max_depth: int) -> Any:
    try:
        return cbor2.loads(
            data,
            max_depth=max_depth,
            allow_indefinite=False,
            allow_duplicate_keys=False,
        )
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise MalformedError("Received data is not valid CBOR.") from error


def _fault_of(value: Any, depth: int) -> str | None:
    kind = cast("type[object]", type(value))
    if value is None or kind in (bool, str, bytes, float):
        return None
    if kind is int:
        return None if _MIN_INT <= value <= _MAX_INT else "a number is too large"
    if depth == 0:
        return "it is nested too deeply"
    if kind is list or kind is tuple:
        for item in cast("list[Any]", value):
            fault = _fault_of(item, depth - 1)
            if fault is not None:
                return fault
        return None
    if kind is dict:
        return _fault_of_map(cast("dict[Any, Any]", value), depth)
    return f"it contains a value of type {kind.__name__}"


def _fault_of_map(mapping: dict[Any, Any], depth: int) -> str | None:
    kinds: set[type[object]] = {type(key) for key in mapping}
    if len(kinds) > 1:
        return "a map mixes types of keys"
    if kinds and not kinds <= {str, int, bytes}:
        return "a map has keys that are neither text, numbers nor bytes"
    if kinds == {int} and not all(0 <= key <= _MAX_INT for key in mapping):
        return "a map has a negative or too large key"
    for item in mapping.values():
        fault = _fault_of(item, depth - 1)
        if fault is not None:
            return fault
    return None
