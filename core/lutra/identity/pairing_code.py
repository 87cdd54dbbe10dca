"""What two devices share before they pair: a short code for people, or a 128-bit secret.

A short code is a number and two words, such as ``407 tavem dilok``. The number is public: it lets
the devices find each other, and nothing is derived from the words where others could see it. The
words are the password of the key exchange (24 bits, one guess per code). A link or QR code carries
128 bits and cannot be guessed, so an attempt of a stranger does not use it up.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

from lutra.crypto.hashing import blake3_derive, equal_constant_time
from lutra.crypto.random import Random, system_random
from lutra.identity.errors import PairingCodeError, WordsError
from lutra.identity.words import from_words, to_words

SECRET_BYTES = 16
LINK_PREFIX = "lutra:pair/"
_CODE_WORDS = 2
_FIRST_NUMBER, _LAST_NUMBER = 100, 999
_SUM_BYTES = 2


@dataclass(frozen=True, slots=True)
class PairingSecret:
    """A code's or link's secret.

    Attributes:
        number: the public number of a short code; None for a link.
        secret: the words' 24 bits in 3 bytes, or a link's 16 bytes.
    """

    number: int | None
    secret: bytes

    @classmethod
    def short(cls, random: Random = system_random) -> PairingSecret:
        """Make a new short code."""
        span = _LAST_NUMBER - _FIRST_NUMBER + 1
        number = _FIRST_NUMBER + int.from_bytes(random(8), "big") % span
        return cls(number, random(3))

    @classmethod
    def long(cls, random: Random = system_random) -> PairingSecret:
        """Make a new secret for a link or QR code."""
        return cls(None, random(SECRET_BYTES))

    @classmethod
    def parse(cls, text: str) -> PairingSecret:
        """Read a code or link.

        Raises:
            PairingCodeError: it is incomplete or has a typing mistake; no guess was used up.
        """
        text = text.strip()
        if text.lower().startswith(LINK_PREFIX):
            return cls._of_link(text[len(LINK_PREFIX) :])
        parts = text.replace("-", " ").split()
        if len(parts) != 1 + _CODE_WORDS or not (parts[0].isascii() and parts[0].isdigit()):
            raise PairingCodeError("A pairing code is a number and two words.")
        number = int(parts[0])
        if len(parts[0]) != 3 or not _FIRST_NUMBER <= number <= _LAST_NUMBER:
            raise PairingCodeError("The number of a pairing code has three digits.")
        try:
            words = from_words(parts[1:], _CODE_WORDS)
        except WordsError as error:
            raise PairingCodeError(error.message, **error.details) from None
        return cls(number, words.to_bytes(3, "big"))

    @property
    def is_short(self) -> bool:
        """True for a code that could be guessed and is used up by a wrong guess."""
        return self.number is not None

    def text(self) -> str:
        """Return the code or link to show."""
        if self.number is not None:
            words = to_words(int.from_bytes(self.secret, "big"), _CODE_WORDS)
            return f"{self.number} {' '.join(words)}"
        letters = base64.b32encode(self.secret + self._sum()).decode().rstrip("=")
        return LINK_PREFIX + letters.lower()

    @property
    def rendezvous(self) -> bytes:
        """What the announcement's tags are made from; for a code, of the public number only."""
        material = self.secret if self.number is None else self.number.to_bytes(2, "big")
        return blake3_derive("lutra pairing rendezvous v1", material)

    @classmethod
    def _of_link(cls, letters: str) -> PairingSecret:
        try:
            raw = base64.b32decode(letters.upper() + "=" * (-len(letters) % 8))
        except ValueError:
            raw = b""
        found = cls(None, raw[:SECRET_BYTES])
        if len(raw) != SECRET_BYTES + _SUM_BYTES or not equal_constant_time(
            found._sum(), raw[SECRET_BYTES:]
        ):
            raise PairingCodeError("This pairing link is not complete or has a typing mistake.")
        return found

    def _sum(self) -> bytes:
        return blake3_derive("lutra pairing link check sum v1", self.secret)[:_SUM_BYTES]

    def __repr__(self) -> str:
        return "PairingSecret(…)"
