"""The body of a document operation, before encryption.

CBOR ``{"v": 1, "loro": update}``, or ``{"v": 1, "size": n, "zlib": compressed}`` where deflating
pays: a checkpoint of a long text shrinks to less than half, a single keystroke would grow.
"""

from __future__ import annotations

import zlib
from typing import Any, cast

from lutra.codec import decode, encode
from lutra.errors import MalformedError

VERSION = 1
MAX_UPDATE_BYTES = 16 * 1024 * 1024
_UPDATE_MAGIC = b"loro"
_COMPRESS_FROM_BYTES = 512
_COMPRESSION_LEVEL = 1
_PLAIN = encode({"v": VERSION, "loro": b""})[:-1]
"""What every uncompressed body begins with."""


def encode_body(update: bytes) -> bytes:
    """Return the operation body that carries ``update``."""
    if len(update) >= _COMPRESS_FROM_BYTES:
        packed = zlib.compress(update, _COMPRESSION_LEVEL)
        if len(packed) < len(update) * 9 // 10:
            return encode({"v": VERSION, "size": len(update), "zlib": packed})
    return encode({"v": VERSION, "loro": update})


def decode_body(data: bytes) -> bytes:
    """Return the Loro update inside an operation body.

    Raises:
        MalformedError: not a body of version 1, or one that unpacks to more or less than it says
            or to more than `MAX_UPDATE_BYTES`.
    """
    if data.startswith(_PLAIN):
        update = _plain_update(data)
        if update is not None:
            return update
    value = decode(data)
    if not isinstance(value, dict):
        raise MalformedError("A document operation has no readable body.")
    fields = cast(dict[Any, Any], value)
    if fields.get("v") != VERSION:
        raise MalformedError("A document operation has a body of an unknown version.")
    match fields:
        case {"loro": bytes(update)} if len(fields) == 2:
            return update
        case {"size": int(size), "zlib": bytes(packed)} if len(fields) == 3:
            return _unpack(packed, size)
        case _:
            raise MalformedError("A document operation has no readable body.")


def kept_form(update: bytes, body: bytes) -> bytes:
    """Return how an update that came in ``body`` is kept: as itself, or packed if that is less."""
    return body if len(body) < len(update) else update


def read_kept(kept: bytes) -> bytes:
    """Return the update that `kept_form` made into ``kept``.

    Raises:
        MalformedError: it is neither an update nor a body.
    """
    return kept if kept.startswith(_UPDATE_MAGIC) else decode_body(kept)


def _plain_update(data: bytes) -> bytes | None:
    """Return the update of an uncompressed body of usual size: most bodies, so a shorter way.

    It is as strict: what begins with `_PLAIN` and ends with one byte string, whose length is as
    short as can be, is its own re-encoding.
    """
    at = len(_PLAIN)
    match data[at : at + 1]:
        case b"\x58":
            start, least = at + 2, 24
        case b"\x59":
            start, least = at + 3, 256
        case _:
            return None
    size = int.from_bytes(data[at + 1 : start], "big")
    return data[start:] if size >= least and len(data) - start == size else None


def _unpack(packed: bytes, size: int) -> bytes:
    if not 0 < size <= MAX_UPDATE_BYTES:
        raise MalformedError(
            "A document operation unpacks to more than is allowed.", limit=MAX_UPDATE_BYTES
        )
    inflater = zlib.decompressobj()
    try:
        update = inflater.decompress(packed, size)
    except zlib.error as error:
        raise MalformedError("A document operation has a damaged body.") from error
    # The end marker of the stream may still be waiting when the output is exactly full.
    if not inflater.eof and len(update) == size and inflater.unconsumed_tail:
        try:
            excess = inflater.decompress(inflater.unconsumed_tail, 1)
        except zlib.error as error:
            raise MalformedError("A document operation has a damaged body.") from error
        update += excess
    if len(update) != size or not inflater.eof or inflater.unused_data:
        raise MalformedError("A document operation does not unpack to the size it states.")
    return update
