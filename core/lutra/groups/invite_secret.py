"""What an invite is to people: a code, a link, a QR code, or a number and two words.

The secret of a code or link has 128 bits and cannot be guessed. A short code is for reading aloud:
a public number by which the devices find each other, and two words that are the password of a key
exchange (24 bits, one guess).
"""

from __future__ import annotations

import base64
from collections.abc import Container, Sequence
from dataclasses import dataclass

from lutra.crypto.hashing import blake3_derive, blake3_hash
from lutra.crypto.random import Random
from lutra.groups.errors import InviteError
from lutra.identity.errors import PairingCodeError
from lutra.identity.pairing_code import LINK_PREFIX as PAIRING_PREFIX
from lutra.identity.pairing_code import PairingSecret

SECRET_BYTES = 16
SHORT_BYTES = 3
LINK_PREFIX = "lutra:join/"
MAX_ADDRESSES = 8
_MAX_ADDRESS_LENGTH = 80
_VERSION = 1
_CHECK_BYTES = 2
_GROUP_OF_LETTERS = 5
_NUMBER_DIGITS = 3


@dataclass(frozen=True, slots=True)
class InviteSecret:
    """An invite's secret; shown to people by `code` and `link` only on purpose.

    Attributes:
        secret: 16 bytes, or the 3 bytes of a short code's words.
        number: the public number of a short code; None otherwise.
    """

    secret: bytes
    number: int | None = None

    @classmethod
    def generate(cls, random: Random) -> InviteSecret:
        """Make a new one from 128 random bits."""
        return cls(random(SECRET_BYTES))

    @classmethod
    def short(cls, random: Random, taken: Container[int] = ()) -> InviteSecret:
        """Make a new short code with a number that is not ``taken``."""
        while True:
            drawn = PairingSecret.short(random)
            if drawn.number is not None and drawn.number not in taken:
                return cls(drawn.secret, drawn.number)

    @classmethod
    def parse(cls, text: str) -> tuple[InviteSecret, tuple[str, ...]]:
        """Read a code, short code or link; returns the secret and the addresses a link may carry.

        Raises:
            InviteError: a letter is wrong or missing, or the invite is of a newer kind. Nothing
                was sent anywhere and no guess used up.
        """
        text = text.strip()
        if text.lower().startswith(PAIRING_PREFIX):
            raise InviteError("This link pairs a new device of your own; it is no invite.")
        if _looks_short(text):
            return cls._parse_short(text), ()
        addresses: tuple[str, ...] = ()
        if text.lower().startswith(LINK_PREFIX):
            text, _, hints = text[len(LINK_PREFIX) :].partition("#")
            addresses = _addresses(hints)
        letters = "".join(text.split()).replace("-", "").upper()
        letters = letters.translate(str.maketrans("018", "OLB"))
        try:
            raw = base64.b32decode(letters + "=" * (-len(letters) % 8))
        except ValueError:
            raw = b""
        payload, check = raw[:-_CHECK_BYTES], raw[-_CHECK_BYTES:]
        if len(payload) != 1 + SECRET_BYTES or blake3_hash(payload)[:_CHECK_BYTES] != check:
            raise InviteError("This invite code is not complete or has a typing mistake.")
        if payload[0] != _VERSION:
            raise InviteError("This invite was made by a newer Lutra. Please update to use it.")
        return cls(payload[1:]), addresses

    @classmethod
    def _parse_short(cls, text: str) -> InviteSecret:
        try:
            read = PairingSecret.parse(text)
        except PairingCodeError as error:
            message = error.message.replace("A pairing code", "A short invite code")
            raise InviteError(message, **error.details) from None
        return cls(read.secret, read.number)

    @property
    def is_short(self) -> bool:
        """True for a code that could be guessed and is used up by a wrong guess."""
        return self.number is not None

    def code(self) -> str:
        """Return what to read out or type: groups of letters and digits, or number and words."""
        if self.number is not None:
            return PairingSecret(self.number, self.secret).text()
        payload = bytes([_VERSION]) + self.secret
        raw = payload + blake3_hash(payload)[:_CHECK_BYTES]
        letters = base64.b32encode(raw).decode().rstrip("=").lower()
        size = _GROUP_OF_LETTERS
        return "-".join(letters[start : start + size] for start in range(0, len(letters), size))

    def link(self, addresses: Sequence[str] = ()) -> str:
        """Return the invite as a link, with the inviting device's addresses if any."""
        hints = f"#{','.join(addresses[:MAX_ADDRESSES])}" if addresses else ""
        return LINK_PREFIX + self.code().replace("-", "") + hints

    @property
    def id(self) -> bytes:
        """Names the invite on this device; it is never sent."""
        material = self.secret if self.number is None else self._number() + self.secret
        return blake3_derive("lutra invite id v1", material)[:16]

    @property
    def rendezvous(self) -> bytes:
        """What the tags are made from by which both devices find each other on the network.

        A short code's are made from its number alone, so that they say nothing about the words.
        """
        if self.number is not None:
            return blake3_derive("lutra short invite rendezvous v1", self._number())
        return blake3_derive("lutra invite rendezvous v1", self.secret)

    def _number(self) -> bytes:
        return (self.number or 0).to_bytes(2, "big")

    def __repr__(self) -> str:
        return "InviteSecret(…)"


def _looks_short(text: str) -> bool:
    parts = text.replace("-", " ").split()
    return len(parts) <= _NUMBER_DIGITS and len(parts[0]) <= _NUMBER_DIGITS if parts else False


def _addresses(hints: str) -> tuple[str, ...]:
    found = [hint for hint in hints.split(",") if 0 < len(hint) <= _MAX_ADDRESS_LENGTH]
    return tuple(found[:MAX_ADDRESSES])
