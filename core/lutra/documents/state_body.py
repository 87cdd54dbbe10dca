"""The body of an operation that carries a document's state, before encryption.

CBOR ``[1, document, covers, parts]``: *covers* says how much of each device's log of the document
the state contains, as ``[device, seq_num]`` pairs, and *parts* are ``[device, body]`` pairs of
everybody's edits, each as `lutra.documents.body` writes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from lutra.codec import decode, encode
from lutra.documents.body import decode_body, encode_body
from lutra.errors import MalformedError

VERSION = 1
_MAX_DEVICES = 100_000


@dataclass(frozen=True, slots=True)
class StateBody:
    """A document's state, or a part of it.

    Attributes:
        document: id of the document.
        covers: device → last operation of that device's log of the document it contains.
        parts: (device, packed update) pairs, to be taken in in this order.
    """

    document: bytes
    covers: Mapping[bytes, int]
    parts: Sequence[tuple[bytes, bytes]] = field(repr=False)

    def updates(self) -> list[tuple[bytes, bytes]]:
        """Return (device, update) pairs.

        Raises:
            MalformedError: one of them is packed wrongly.
        """
        return [(device, decode_body(packed)) for device, packed in self.parts]


def pack(updates: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return (device, packed update) pairs of (device, update) pairs."""
    return [(device, encode_body(update)) for device, update in updates]


def encode_state(state: StateBody) -> bytes:
    """Return a state as bytes, the same for the same content."""
    covers = [[device, state.covers[device]] for device in sorted(state.covers)]
    return encode([VERSION, state.document, covers, [list(part) for part in state.parts]])


def decode_state(data: bytes) -> StateBody:
    """Read a state.

    Raises:
        MalformedError: it has not its form.
    """
    fields = _list(decode(data), 4)
    if fields[0] != VERSION:
        raise MalformedError("A document's state is of an unknown version.")
    covers: dict[bytes, int] = {}
    for item in _list(fields[2]):
        device, seq_num = _list(item, 2)
        if type(seq_num) is not int or not 0 <= seq_num < 2**32:
            raise MalformedError("A document's state names a place that cannot be.")
        covers[_id(device)] = seq_num
    parts: list[tuple[bytes, bytes]] = []
    for item in _list(fields[3]):
        device, packed = _list(item, 2)
        if type(packed) is not bytes:
            raise MalformedError("A document's state has not its form.")
        parts.append((_id(device), packed))
    return StateBody(_id(fields[1]), covers, parts)


def _list(value: Any, length: int | None = None) -> list[Any]:
    if type(value) is not list:
        raise MalformedError("A document's state has not its form.")
    items = cast("list[Any]", value)
    if len(items) > _MAX_DEVICES or (length is not None and len(items) != length):
        raise MalformedError("A document's state has not its form.")
    return items


def _id(value: Any) -> bytes:
    if type(value) is not bytes or len(value) != 32:
        raise MalformedError("A document's state has not its form.")
    return value
