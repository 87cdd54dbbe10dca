"""The bodies of control operations: strict forms for what members say about their group.

Bodies are deterministic CBOR lists. Keys and membership travel in the open inside control
operations (newcomers must be able to check them); names are encrypted under an epoch's key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from lutra.codec import decode, encode
from lutra.groups.errors import ControlError

CREATE = "group.create"
ADD = "group.add"
REMOVE = "group.remove"
EPOCH = "group.epoch"
LINKS = "group.links"
CARD = "group.card"
SETTINGS = "group.settings"

ENCRYPTED_KINDS = frozenset({CARD, SETTINGS})
KINDS = frozenset({CREATE, ADD, REMOVE, EPOCH, LINKS, CARD, SETTINGS})

MAX_RECIPIENTS = 2_000
MAX_LINKS = 20_000
MAX_NAME_LENGTH = 200
_HYBRID_PUBLIC_BYTES = 1216
_HYBRID_ENC_BYTES = 1120
_SEALED_SECRET_BYTES = 32 + 16


@dataclass(frozen=True, slots=True)
class Create:
    """The first operation of a group; the group's id is derived from author and nonce."""

    nonce: bytes
    sealing_key: bytes


@dataclass(frozen=True, slots=True)
class Add:
    """Adds a device, with the public key that secrets are sealed to."""

    device: bytes
    sealing_key: bytes


@dataclass(frozen=True, slots=True)
class Remove:
    """Removes a device; removing oneself is leaving."""

    device: bytes


@dataclass(frozen=True, slots=True)
class SealedSecret:
    """An epoch's secret, sealed to one device."""

    device: bytes
    enc: bytes
    ciphertext: bytes


@dataclass(frozen=True, slots=True)
class NewEpoch:
    """Gives a fresh data secret to everybody who is in.

    Attributes:
        commitment: ties the secret, so that all recipients get the same one.
        seals: one for each device of the roster, sorted by device.
        linked: the epochs whose secrets ``links`` holds, sorted.
        links: these epochs' secrets, encrypted under the new one.
    """

    commitment: bytes
    seals: tuple[SealedSecret, ...]
    linked: tuple[bytes, ...]
    links: bytes


@dataclass(frozen=True, slots=True)
class Links:
    """Secrets that an epoch's own links lack, encrypted under that epoch's secret."""

    source: bytes
    linked: tuple[bytes, ...]
    links: bytes


@dataclass(frozen=True, slots=True)
class Card:
    """How a member wants to be called; encrypted."""

    name: str
    device_name: str


@dataclass(frozen=True, slots=True)
class Settings:
    """The group's name; encrypted."""

    name: str


def encode_control(content: Create | Add | Remove | NewEpoch | Links) -> bytes:
    """Return the body of an unencrypted control operation."""
    match content:
        case Create():
            return encode([content.nonce, content.sealing_key])
        case Add():
            return encode([content.device, content.sealing_key])
        case Remove():
            return encode([content.device])
        case NewEpoch():
            seals = [[seal.device, seal.enc, seal.ciphertext] for seal in content.seals]
            return encode([content.commitment, seals, list(content.linked), content.links])
        case Links():
            return encode([content.source, list(content.linked), content.links])


def decode_control(kind: str, body: bytes) -> Create | Add | Remove | NewEpoch | Links:
    """Read the body of an unencrypted control operation.

    Raises:
        ControlError: the kind is unknown or the body has not its form.
        MalformedError: the body is not deterministic CBOR.
    """
    fields = _list(decode(body))
    if kind == CREATE and len(fields) == 2:
        return Create(_bytes(fields[0], 32), _bytes(fields[1], _HYBRID_PUBLIC_BYTES))
    if kind == ADD and len(fields) == 2:
        return Add(_bytes(fields[0], 32), _bytes(fields[1], _HYBRID_PUBLIC_BYTES))
    if kind == REMOVE and len(fields) == 1:
        return Remove(_bytes(fields[0], 32))
    if kind == EPOCH and len(fields) == 4:
        return NewEpoch(
            _bytes(fields[0], 32), _seals(fields[1]), _ids(fields[2]), _any_bytes(fields[3])
        )
    if kind == LINKS and len(fields) == 3:
        return Links(_bytes(fields[0], 32), _ids(fields[1]), _any_bytes(fields[2]))
    raise ControlError("A group message is of a kind or form this program does not know.")


def encode_names(content: Card | Settings) -> bytes:
    """Return the plaintext of an encrypted control operation."""
    if isinstance(content, Card):
        return encode([content.name, content.device_name])
    return encode([content.name])


def decode_names(kind: str, plaintext: bytes) -> Card | Settings:
    """Read the plaintext of an encrypted control operation.

    Raises:
        ControlError: it has not its form.
        MalformedError: it is not deterministic CBOR.
    """
    fields = _list(decode(plaintext))
    if kind == CARD and len(fields) == 2:
        return Card(_name(fields[0]), _name(fields[1]))
    if kind == SETTINGS and len(fields) == 1:
        return Settings(_name(fields[0]))
    raise ControlError("A group message is of a kind or form this program does not know.")


def _list(value: Any) -> list[Any]:
    if type(value) is not list:
        raise ControlError("A group message is not a list.")
    return cast("list[Any]", value)


def _any_bytes(value: Any) -> bytes:
    if type(value) is not bytes:
        raise ControlError("A group message lacks bytes where it must have some.")
    return value


def _bytes(value: Any, length: int) -> bytes:
    checked = _any_bytes(value)
    if len(checked) != length:
        raise ControlError("A group message has a key or id of the wrong size.")
    return checked


def _ids(value: Any) -> tuple[bytes, ...]:
    ids = tuple(_bytes(item, 32) for item in _list(value)[: MAX_LINKS + 1])
    if len(ids) > MAX_LINKS or list(ids) != sorted(set(ids)):
        raise ControlError("A group message lists too many ids, or not in order.")
    return ids


def _seals(value: Any) -> tuple[SealedSecret, ...]:
    rows = _list(value)
    if not 1 <= len(rows) <= MAX_RECIPIENTS:
        raise ControlError("A group message has too many or no recipients.")
    seals: list[SealedSecret] = []
    for row in rows:
        fields = _list(row)
        if len(fields) != 3:
            raise ControlError("A group message has a recipient without a key.")
        seals.append(
            SealedSecret(
                _bytes(fields[0], 32),
                _bytes(fields[1], _HYBRID_ENC_BYTES),
                _bytes(fields[2], _SEALED_SECRET_BYTES),
            )
        )
    devices = [seal.device for seal in seals]
    if devices != sorted(set(devices)):
        raise ControlError("A group message has recipients twice or not in order.")
    return tuple(seals)


def _name(value: Any) -> str:
    if type(value) is not str or not 0 < len(value) <= MAX_NAME_LENGTH:
        raise ControlError("A name is empty or too long.")
    return value
