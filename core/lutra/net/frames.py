"""Frames inside a channel's plaintext stream.

Plaintexts of Noise messages, one after the other, are a byte stream of frames: kind (1 byte),
length (3 bytes, big-endian), payload. Small frames share a Noise message, large ones span several.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from lutra.net.errors import ChannelError, FrameTooLargeError

HEADER_BYTES = 4
MAX_FRAME_BYTES = 4 * 1024 * 1024
_MAX_CONTROL_BYTES = 128


class FrameKind(IntEnum):
    """What a frame is for.

    DATA is the application's; PROOF the responder's device proof; KEEPALIVE says that the sender
    is there; CLOSE carries one byte, a `CloseReason`; CHOSEN says that of all channels between the
    two devices the sender wants to use this one.
    """

    DATA = 0
    PROOF = 1
    KEEPALIVE = 2
    CLOSE = 3
    CHOSEN = 4


class Purpose(IntEnum):
    """What the initiator wants a channel for.

    PEER: to work together for as long as both are there; one such channel between two devices is
    enough. ERRAND: for one thing, such as joining by an invite, beside whatever other channels
    there are.
    """

    PEER = 0
    ERRAND = 1


class CloseReason(IntEnum):
    """Why a side ends a channel."""

    NORMAL = 0
    DUPLICATE = 1
    NOT_ADMITTED = 2
    VIOLATION = 3
    GOING_AWAY = 4
    BUSY = 5
    SELF = 6


def frame_header(kind: FrameKind, length: int) -> bytes:
    """Return the four bytes before a payload of ``length`` bytes.

    Raises:
        FrameTooLargeError: more than `MAX_FRAME_BYTES`.
    """
    if length > MAX_FRAME_BYTES:
        raise FrameTooLargeError(
            "A message to another device is too large to send.", bytes=length, limit=MAX_FRAME_BYTES
        )
    return ((kind << 24) | length).to_bytes(HEADER_BYTES, "big")


class FrameReader:
    """Cuts plaintexts, fed in any portions, into frames; holds at most one unfinished frame."""

    __slots__ = ("_header", "_kind", "_missing", "_payload")

    def __init__(self) -> None:
        self._header = b""
        self._kind = FrameKind.DATA
        self._missing = 0
        self._payload = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[FrameKind, bytes]]:
        """Yield the frames that ``data`` completes; take all of them before feeding again.

        Raises:
            ChannelError: a kind that does not exist, or more bytes than its kind may have.
        """
        position, size = 0, len(data)
        while position < size:
            if self._missing:
                part = data[position : position + self._missing]
                position += len(part)
                self._missing -= len(part)
                self._payload += part
                if not self._missing:
                    payload, self._payload = bytes(self._payload), bytearray()
                    yield self._kind, payload
                continue
            wanted = HEADER_BYTES - len(self._header)
            self._header += data[position : position + wanted]
            position += wanted
            if position > size:
                return
            length = self._parse_header()
            if size - position >= length:
                yield self._kind, data[position : position + length]
                position += length
            else:
                self._missing = length

    def _parse_header(self) -> int:
        number, length = self._header[0], int.from_bytes(self._header[1:], "big")
        self._header = b""
        if number > FrameKind.CHOSEN:
            raise ChannelError("The other device sent a message of an unknown kind.", kind=number)
        self._kind = FrameKind(number)
        limit = MAX_FRAME_BYTES if self._kind is FrameKind.DATA else _MAX_CONTROL_BYTES
        if length > limit:
            raise ChannelError(
                "The other device announced a message that is too large.", bytes=length, limit=limit
            )
        return length
