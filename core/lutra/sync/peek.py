"""Reads an operation's place out of its header without decoding the rest.

A session needs log and sequence number of every operation that passes, at about a microsecond
each; the replica decodes and verifies in full. The positions follow from the header's one
deterministic form (see `lutra.operation`): only the payload hash and the backlink are optional,
and ``log`` is the first key of the extensions.
"""

from __future__ import annotations

from typing import NamedTuple

from lutra.errors import MalformedError
from lutra.operation import LogKey

_START = b"\x01\x58\x20"  # version 1, then a byte string of 32: the author's key
_SIZE_AT = 1 + 1 + 2 + 32 + 2 + 64
_HASH_ELEMENT = 2 + 32
_LOG_KEY = b"\x63log\x58\x20"
_WIDTHS = {24: 1, 25: 2, 26: 4}


class Place(NamedTuple):
    """Where an operation claims to stand, and the size of its body in bytes."""

    key: LogKey
    seq_num: int
    body_bytes: int


def place_of(header: bytes) -> Place:
    """Return the log, sequence number and body size that an operation claims.

    Raises:
        MalformedError: the bytes cannot be an operation's header.
    """
    try:
        if header[1:4] != _START:
            raise MalformedError("An operation's header does not begin as it must.")
        size, place = _number(header, _SIZE_AT)
        seq_num, place = _number(header, place + _HASH_ELEMENT if size else place)
        if seq_num:
            place += _HASH_ELEMENT
    except IndexError:
        raise MalformedError("An operation's header is too short.") from None
    log_at = place + 1 + len(_LOG_KEY)
    log = header[log_at : log_at + 32]
    if header[place + 1 : log_at] != _LOG_KEY or len(log) != 32:
        raise MalformedError("An operation's header does not name its log.")
    return Place(LogKey(header[4:36], log), seq_num, size)


def _number(header: bytes, place: int) -> tuple[int, int]:
    """Read an unsigned CBOR integer of at most 32 bits; returns it and the place after it."""
    first = header[place]
    if first < 24:
        return first, place + 1
    width = _WIDTHS.get(first)
    if width is None:
        raise MalformedError("An operation's header has no number where one must be.")
    end = place + 1 + width
    return int.from_bytes(header[place + 1 : end], "big"), end
