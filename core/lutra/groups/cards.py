"""What members call themselves and their group: the plaintexts of encrypted control operations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from lutra.codec import decode, encode
from lutra.groups.contents import CARD, SETTINGS
from lutra.groups.errors import ControlError

MAX_NAME_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Card:
    """How a member wants to be called."""

    name: str
    device_name: str


@dataclass(frozen=True, slots=True)
class Settings:
    """The group's name."""

    name: str


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
    value = decode(plaintext)
    fields = cast("list[Any]", value) if type(value) is list else []
    if kind == CARD and len(fields) == 2:
        return Card(_name(fields[0]), _name(fields[1]))
    if kind == SETTINGS and len(fields) == 1:
        return Settings(_name(fields[0]))
    raise ControlError("A group message is of a kind or form this program does not know.")


def _name(value: Any) -> str:
    if type(value) is not str or not 0 < len(value) <= MAX_NAME_LENGTH:
        raise ControlError("A name is empty or too long.")
    return value
