"""The frames of pairing, and what the sealed ones say.

Before the devices know that they share a secret, frames hold nothing but a number for their kind,
random-looking key shares, commitments and proofs. Names and keys follow sealed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Any, cast

from lutra.codec import decode, encode
from lutra.crypto.random import Random
from lutra.errors import RemoteError
from lutra.identity.pairing_table import Role
from lutra.operation import Operation, decode_operation

VERSION = 1
MAX_FRAME_BYTES = 4 * 1024 * 1024
MAX_NAME_LENGTH = 200
MAX_OPERATIONS = 10_000
_ROLES = {Role.EXISTING: 0, Role.NEW: 1}


class PairingMessageError(RemoteError):
    """The other device sent a pairing message that breaks a rule."""

    code = "identity.pairing-message"


class Frame(IntEnum):
    """Kinds of frames."""

    HELLO = 1
    SHARE = 2
    PROOF = 3
    ANSWER = 4
    RESUME = 5
    RESUMED = 6
    SEALED = 7
    BYE = 8


class Sealed(IntEnum):
    """Kinds of sealed messages."""

    CARD = 1
    CONSENT = 2
    ADMISSION = 3
    RECEIPT = 4
    SPENT = 5


class Why(IntEnum):
    """Why a code pairs nothing any more."""

    USED = 1
    EXPIRED = 2


_SHAPES: dict[Frame, tuple[int, ...]] = {
    Frame.HELLO: (32, 32),
    Frame.SHARE: (32,),
    Frame.PROOF: (32,),
    Frame.ANSWER: (32,),
    Frame.RESUME: (32,),
    Frame.RESUMED: (32,),
    Frame.SEALED: (-1,),
    Frame.BYE: (),
}


class Choice(Enum):
    """What becomes of an identity that the new device has already."""

    NONE = 0
    """There is none."""
    KEEP_SEPARATE = 1
    """It stays as it is; the device joins the person under a key of its own for that."""
    MERGE = 2
    """It becomes part of the person: its device log comes along."""


@dataclass(frozen=True, slots=True)
class Card:
    """How a device introduces itself.

    Attributes:
        role: its part in the pairing.
        device: its Ed25519 key.
        person: the person it belongs to; None for a new device without identity.
        person_name: the person's name, for the other screen.
        device_name: the device's name, for the other screen.
        nonce: 32 random bytes; the existing device's is the nonce of the consent.
    """

    role: Role
    device: bytes
    person: bytes | None
    person_name: str
    device_name: str
    nonce: bytes

    @classmethod
    def make(
        cls,
        role: Role,
        device: bytes,
        *,
        person: bytes | None,
        person_name: str,
        device_name: str,
        random: Random,
    ) -> Card:
        """Return a card with fresh randomness."""
        return cls(role, device, person, person_name, device_name, random(32))

    def encode(self) -> bytes:
        """Return the card's bytes."""
        names = [self.person_name, self.device_name]
        return encode([_ROLES[self.role], self.device, self.person, *names, self.nonce])

    @classmethod
    def decode(cls, data: bytes) -> Card:
        """Read a card; raises `PairingMessageError` or `MalformedError`."""
        fields = as_list(decode(data, max_bytes=4096, max_depth=2), 6)
        role = next((one for one, number in _ROLES.items() if _is_number(fields[0], number)), None)
        if role is None or (role is Role.EXISTING and fields[2] is None):
            raise PairingMessageError("The other device's introduction is not complete.")
        person = None if fields[2] is None else sized(fields[2], 32)
        names = (_name(fields[3]), _name(fields[4]))
        return cls(role, sized(fields[1], 32), person, *names, sized(fields[5], 32))


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the new device agrees to.

    Attributes:
        choice: what becomes of an identity it has.
        device: the key to be added.
        signature: that key's consent.
        merged: for `Choice.MERGE`, the operations of its own person.
    """

    choice: Choice
    device: bytes
    signature: bytes
    merged: tuple[Operation, ...]

    def fields(self) -> list[Any]:
        """Return what is sealed."""
        rows = operation_rows(self.merged)
        return [Sealed.CONSENT.value, self.choice.value, self.device, self.signature, rows]

    @classmethod
    def read(cls, fields: Sequence[Any]) -> Agreement:
        """Read what the other device sealed."""
        choice = next((one for one in Choice if _is_number(fields[0], one.value)), None)
        if choice is None:
            raise PairingMessageError("The other device agreed to something unknown.")
        merged = read_operations(fields[3])
        return cls(choice, sized(fields[1], 32), sized(fields[2], 64), merged)


def encode_frame(kind: Frame, *fields: bytes) -> bytes:
    """Return a frame's bytes."""
    head: list[Any] = [kind.value, VERSION] if kind is Frame.HELLO else [kind.value]
    return encode([*head, *fields])


def decode_frame(data: bytes) -> tuple[Frame, tuple[bytes, ...]]:
    """Read a frame; raises `PairingMessageError` or `MalformedError`."""
    value = decode(data, max_bytes=MAX_FRAME_BYTES, max_depth=2)
    items = cast("list[Any]", value) if type(value) is list else []
    kind = next((one for one in Frame if items and _is_number(items[0], one.value)), None)
    if kind is None:
        raise PairingMessageError("The other device sent something unknown while pairing.")
    if kind is Frame.HELLO:
        if len(items) < 2 or not _is_number(items[1], VERSION):
            raise PairingMessageError("The other device pairs in a way this Lutra does not know.")
        del items[1]
    shape = _SHAPES[kind]
    if len(items) != 1 + len(shape):
        raise PairingMessageError("A pairing message has not its form.")
    return kind, tuple(sized(item, size) for item, size in zip(items[1:], shape, strict=True))


def read_why(value: Any) -> Why:
    """Read why a code is spent; raises `PairingMessageError`."""
    why = next((one for one in Why if _is_number(value, one.value)), None)
    if why is None:
        raise PairingMessageError("The other device says something unknown about the code.")
    return why


def operation_rows(operations: Iterable[Operation]) -> list[list[bytes]]:
    """Return operations as plain rows."""
    return [[one.header_bytes, one.body or b""] for one in operations]


def read_operations(value: Any) -> tuple[Operation, ...]:
    """Read and verify operations; raises `RemoteError` subclasses."""
    rows = cast("list[Any]", value) if type(value) is list else None
    if rows is None or len(rows) > MAX_OPERATIONS:
        raise PairingMessageError("The other device sent no list of operations.")
    pairs = [as_list(row, 2) for row in rows]
    return tuple(
        decode_operation(sized(header, -1), sized(body, -1) or None) for header, body in pairs
    )


def as_list(value: Any, length: int) -> list[Any]:
    """Return a list of known length; raises `PairingMessageError`."""
    items = cast("list[Any]", value) if type(value) is list else []
    if len(items) != length:
        raise PairingMessageError("A pairing message has not its form.")
    return items


def sized(value: Any, length: int) -> bytes:
    """Return bytes of known length (-1: any); raises `PairingMessageError`."""
    if type(value) is not bytes or length not in {-1, len(value)}:
        raise PairingMessageError("A pairing message has not its form.")
    return value


def _is_number(value: Any, number: int) -> bool:
    return type(value) is int and value == number


def _name(value: Any) -> str:
    if type(value) is not str or len(value) > MAX_NAME_LENGTH:
        raise PairingMessageError("The other device's name is too long.")
    return value
