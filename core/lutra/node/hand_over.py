"""What a device gives a new one of the same person: secrets, groups, and where to continue."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from lutra.codec import decode, encode
from lutra.errors import MalformedError
from lutra.groups.cards import MAX_NAME_LENGTH
from lutra.net.connection import Address

_FORM = 1
_MAX_BYTES = 4 * 1024 * 1024
_MAX_ADDRESSES = 32
_MAX_HOST = 255


@dataclass(frozen=True, slots=True)
class HandOver:
    """A hand-over, opened.

    Attributes:
        secret: what a person's own devices share.
        name: what the person is called.
        groups: what `OwnDevices.hand_over` returned.
        pages: group → how many pages it has, the group that changed last first.
        port: TCP port the giving device listens at for its peers; 0 if it does not.
        addresses: where it can be reached.
    """

    secret: bytes = field(repr=False)
    name: str
    groups: bytes = field(repr=False)
    pages: dict[bytes, int]
    port: int
    addresses: tuple[Address, ...]

    def encode(self) -> bytes:
        """Return the bytes; they hold secrets."""
        addresses = [[one.host, one.port] for one in self.addresses[:_MAX_ADDRESSES]]
        pages = [[group, count] for group, count in self.pages.items()]
        return encode([_FORM, self.secret, self.name, self.groups, pages, self.port, addresses])

    @classmethod
    def decode(cls, content: bytes) -> HandOver:
        """Read a hand-over.

        Raises:
            MalformedError: it has not its form.
        """
        value = decode(content, max_bytes=_MAX_BYTES)
        fields = cast("list[Any]", value) if type(value) is list else []
        if len(fields) != 7 or fields[0] != _FORM:
            raise _malformed()
        _, secret, name, groups, pages, port, addresses = fields
        right = type(secret) is bytes and len(secret) == 32 and type(groups) is bytes
        named = type(name) is str and 0 < len(name) <= MAX_NAME_LENGTH
        if not right or not named or type(pages) is not list or type(addresses) is not list:
            raise _malformed()
        counts = dict(_count(one) for one in cast("list[Any]", pages))
        places = cast("list[Any]", addresses)
        if not _is_number(port) or port > 65535 or len(places) > _MAX_ADDRESSES:
            raise _malformed()
        return cls(secret, name, groups, counts, port, tuple(_address(one) for one in places))


def _address(value: Any) -> Address:
    fields = cast("list[Any]", value) if type(value) is list else []
    if len(fields) != 2 or type(fields[0]) is not str or not 0 < len(fields[0]) <= _MAX_HOST:
        raise _malformed()
    if not _is_number(fields[1]) or not 0 < fields[1] < 65536:
        raise _malformed()
    return Address(fields[0], fields[1])


def _count(value: Any) -> tuple[bytes, int]:
    fields = cast("list[Any]", value) if type(value) is list else []
    if len(fields) != 2 or type(fields[0]) is not bytes or not _is_number(fields[1]):
        raise _malformed()
    return fields[0], fields[1]


def _is_number(value: Any) -> bool:
    return type(value) is int and value >= 0


def _malformed() -> MalformedError:
    return MalformedError("What the other device handed over has not its form.")
