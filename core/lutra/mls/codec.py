"""The TLS presentation language as RFC 9420 uses it: strict, bounded, one encoding per value.

Vectors carry a variable-size length header (§2.1.2) of one, two or four bytes; a header longer
than needed is refused, so that decoding and encoding are inverse to each other and structures may
keep the bytes they were read from.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TypeVar

from lutra.mls.errors import MlsMalformedError

MAX_VECTOR_BYTES = (1 << 30) - 1
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""The largest message accepted; a commit of 1,000 members under the hybrid suite is 1.3 MB."""
MAX_ITEMS = 1 << 17
"""The longest list accepted, as long as the largest tree: entries may take one byte to send and a
hundred to hold."""

_T = TypeVar("_T")


def u16(value: int) -> bytes:
    """Encode a uint16."""
    return value.to_bytes(2, "big")


def u32(value: int) -> bytes:
    """Encode a uint32."""
    return value.to_bytes(4, "big")


def u64(value: int) -> bytes:
    """Encode a uint64."""
    return value.to_bytes(8, "big")


def vector_header(length: int) -> bytes:
    """Encode the length header of a vector (§2.1.2)."""
    if length < 64:
        return bytes((length,))
    if length < 16384:
        return (0x4000 | length).to_bytes(2, "big")
    if length <= MAX_VECTOR_BYTES:
        return (0x80000000 | length).to_bytes(4, "big")
    raise MlsMalformedError("A value is too long to be encoded.", "2.1.2")


def vector(data: bytes) -> bytes:
    """Encode ``opaque data<V>``."""
    length = len(data)
    if length < 64:
        return bytes((length,)) + data
    return vector_header(length) + data


def u16_vector(values: tuple[int, ...]) -> bytes:
    """Encode ``uint16 values<V>``."""
    return vector(struct.pack(f">{len(values)}H", *values))


def u32_vector(values: tuple[int, ...]) -> bytes:
    """Encode ``uint32 values<V>``."""
    return vector(struct.pack(f">{len(values)}I", *values))


def optional(encoded: bytes | None) -> bytes:
    """Encode ``optional<T>`` (§2.1.1) from the encoding of the value, if there is one."""
    return b"\x00" if encoded is None else b"\x01" + encoded


class Reader:
    """Reads values from bytes, never past the end of the vector it stands in.

    Every method raises `MlsMalformedError` where the bytes do not hold what is asked for.
    """

    __slots__ = ("data", "end", "position")

    def __init__(self, data: bytes, position: int = 0, end: int | None = None) -> None:
        self.data = data
        self.position = position
        self.end = len(data) if end is None else end

    def take(self, length: int) -> bytes:
        """Return the next ``length`` bytes."""
        start = self.position
        stop = start + length
        if stop > self.end:
            raise MlsMalformedError("A message ends too early.", "2.1")
        self.position = stop
        return self.data[start:stop]

    def u8(self) -> int:
        """Read a uint8."""
        position = self.position
        if position >= self.end:
            raise MlsMalformedError("A message ends too early.", "2.1")
        self.position = position + 1
        return self.data[position]

    def u16(self) -> int:
        """Read a uint16."""
        return int.from_bytes(self.take(2), "big")

    def u32(self) -> int:
        """Read a uint32."""
        return int.from_bytes(self.take(4), "big")

    def u64(self) -> int:
        """Read a uint64."""
        return int.from_bytes(self.take(8), "big")

    def length(self) -> int:
        """Read a vector's length header; the length may exceed what is left."""
        first = self.u8()
        if first < 64:
            return first
        if first < 128:
            value = ((first & 0x3F) << 8) | self.u8()
            smallest = 64
        elif first < 192:
            value = ((first & 0x3F) << 24) | int.from_bytes(self.take(3), "big")
            smallest = 16384
        else:
            raise MlsMalformedError("A length header has an invalid prefix.", "2.1.2")
        if value < smallest:
            raise MlsMalformedError("A length is not encoded in its shortest form.", "2.1.2")
        return value

    def vector(self) -> bytes:
        """Read ``opaque data<V>``."""
        start = self.position
        if start < self.end and (length := self.data[start]) < 64:
            start += 1
        else:
            length = self.length()
            start = self.position
        stop = start + length
        if stop > self.end:
            raise MlsMalformedError("A message ends too early.", "2.1")
        self.position = stop
        return self.data[start:stop]

    def inner(self) -> Reader:
        """Read a vector's header and return a reader confined to its contents."""
        length = self.length()
        start = self.position
        stop = start + length
        if stop > self.end:
            raise MlsMalformedError("A message ends too early.", "2.1")
        self.position = stop
        return Reader(self.data, start, stop)

    def items(self, decode: Callable[[Reader], _T], most: int = MAX_ITEMS) -> tuple[_T, ...]:
        """Read ``T values<V>``, at most ``most`` of them."""
        inner = self.inner()
        values: list[_T] = []
        while inner.position < inner.end:
            if len(values) >= most:
                raise MlsMalformedError("A list is longer than allowed.", "2.1")
            values.append(decode(inner))
        return tuple(values)

    def u16_items(self) -> tuple[int, ...]:
        """Read ``uint16 values<V>``."""
        data = self.vector()
        if len(data) & 1:
            raise MlsMalformedError("A list of 16-bit numbers has an odd length.", "2.1")
        return struct.unpack(f">{len(data) >> 1}H", data)

    def u32_items(self) -> tuple[int, ...]:
        """Read ``uint32 values<V>``."""
        data = self.vector()
        if len(data) & 3:
            raise MlsMalformedError("A list of 32-bit numbers has a broken length.", "2.1")
        return struct.unpack(f">{len(data) >> 2}I", data)

    def present(self) -> bool:
        """Read the presence octet of an ``optional<T>`` (§2.1.1)."""
        flag = self.u8()
        if flag > 1:
            raise MlsMalformedError("An optional value has an invalid presence octet.", "2.1.1")
        return flag == 1

    def since(self, start: int) -> bytes:
        """Return the bytes read since ``start``."""
        return self.data[start : self.position]

    def rest(self) -> bytes:
        """Return everything that is left."""
        return self.take(self.end - self.position)

    def finish(self) -> None:
        """Check that nothing is left."""
        if self.position != self.end:
            raise MlsMalformedError("A message has bytes after its end.", "2.1")


def decode_whole(decode: Callable[[Reader], _T], data: bytes) -> _T:
    """Decode a received structure that must fill ``data`` exactly."""
    if len(data) > MAX_MESSAGE_BYTES:
        raise MlsMalformedError("A message is larger than allowed.", "2.1")
    return decode_stored(decode, data)


def decode_stored(decode: Callable[[Reader], _T], data: bytes) -> _T:
    """Decode a structure of one's own that must fill ``data`` exactly, whatever its size.

    A state grows with what others sent; it must never grow beyond what can be read again.
    """
    reader = Reader(data)
    value = decode(reader)
    reader.finish()
    return value
