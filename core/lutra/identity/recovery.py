"""Recovery kits: a device key kept offline, as twelve words on paper.

The words carry 128 secret bits and 16 bits of check sum over them; every word has a check letter of
its own besides, so that a typing mistake is told by the word's number. The Ed25519 key is derived
from the secret bits. Its public half, which peers find in the person's device log, is all that a
restoring device needs to recognise the person among what peers or bundles hold. A second key, of
`lutra.crypto.hpke.HYBRID`, comes from the same bits: bundles are sealed to it.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from lutra.crypto.hashing import blake3_derive, equal_constant_time
from lutra.crypto.hpke import HYBRID
from lutra.crypto.random import Random, system_random
from lutra.crypto.signing import SigningKey
from lutra.identity.device_log import KitConsent, kit_consent
from lutra.identity.errors import WordsError
from lutra.identity.words import from_words, near_words, to_words

WORDS = 12
SECRET_BYTES = 16
_SUM_BYTES = 2
_TESTED_WORDS = 2
_QR_PREFIX = "LUTRA:KIT/1/"


@dataclass(frozen=True, slots=True)
class Sheet:
    """What is printed; secret as a whole.

    Attributes:
        title: heading, with the person's name.
        instructions: plain sentences, in order.
        words: the twelve words, in order.
        qr: payload of the QR code, in its alphanumeric alphabet.
        mark: public letters that tell this kit from others; not secret.
        made: the day it was made, as text.
    """

    title: str
    instructions: tuple[str, ...]
    words: tuple[str, ...]
    qr: str
    mark: str
    made: str

    def text(self) -> str:
        """Return the sheet as text for a printer without pictures."""
        rows = [
            "   ".join(f"{place + 1:2}. {self.words[place]}" for place in range(start, start + 4))
            for start in range(0, len(self.words), 4)
        ]
        lines = (self.title, "", *self.instructions, "", *rows, "", f"{self.mark} · {self.made}")
        return "\n".join(lines) + "\n"

    def __repr__(self) -> str:
        return f"Sheet(mark={self.mark!r})"


class RecoveryKit:
    """A kit's secret; shown on purpose only, by `words` and `sheet`."""

    __slots__ = ("_secret", "key")

    key: SigningKey

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self.key = SigningKey(blake3_derive("lutra recovery kit key v1", secret))

    @classmethod
    def generate(cls, random: Random = system_random) -> RecoveryKit:
        """Make a new kit from 128 random bits."""
        return cls(random(SECRET_BYTES))

    @classmethod
    def restore(cls, text: str) -> RecoveryKit:
        """Read a kit from its words (or the payload of its QR code).

        Raises:
            WordsError: naming the words that are wrong, where that can be told.
        """
        text = text.strip()
        if text.upper().startswith(_QR_PREFIX):
            return cls(_checked(_unbase32(text[len(_QR_PREFIX) :])))
        value = from_words(text.replace(",", " ").split(), WORDS)
        return cls(_checked(value.to_bytes(SECRET_BYTES + _SUM_BYTES, "big")))

    def words(self) -> tuple[str, ...]:
        """Return the words to write down."""
        return to_words(int.from_bytes(self._payload(), "big"), WORDS)

    def places_to_test(self, random: Random = system_random) -> tuple[int, ...]:
        """Choose the numbers, from 1, of two words to be typed back at set-up."""
        places: set[int] = set()
        while len(places) < _TESTED_WORDS:
            byte = random(1)[0]
            # 252 is the largest multiple of 12 in a byte: no number is likelier than another.
            if byte < 252:
                places.add(byte % WORDS + 1)
        return tuple(sorted(places))

    def check_words(self, typed: dict[int, str]) -> tuple[int, ...]:
        """Return the numbers of typed words that differ from the kit's; none means passed."""
        words = self.words()
        return tuple(
            place
            for place, word in sorted(typed.items())
            if not equal_constant_time(word.strip().lower().encode(), words[place - 1].encode())
        )

    def consent(self, person: bytes, random: Random = system_random) -> KitConsent:
        """Return the kit's agreement to act for a person."""
        return kit_consent(self.key, self._sealing_pair()[1], person, random)

    def unseal(self, enc: bytes, info: bytes, ciphertext: bytes) -> bytes:
        """Open what `seal_to_kit` made.

        Raises:
            DecryptionError, MalformedError: it was not sealed to this kit, or for something else.
        """
        private, public = self._sealing_pair()
        return HYBRID.open(private, enc, info, b"", ciphertext, public_key=public)

    @property
    def mark(self) -> str:
        """Public letters that tell this kit from others."""
        return kit_mark(self.key.public)

    def sheet(self, person_name: str, made: str) -> Sheet:
        """Return what to print; ``made`` is the day as the person writes it."""
        return Sheet(
            title=f"Recovery kit of {person_name}",
            instructions=(
                "These words give back your identity if all your devices are lost.",
                "Whoever holds them can act as you: keep this sheet where you keep passports.",
                "To use it: install Lutra on a new device, choose “Restore”, type the words.",
                "The words bring back who you are. Your texts come from your other devices, from "
                "people you share with, or from a bundle.",
            ),
            words=self.words(),
            qr=_QR_PREFIX + base64.b32encode(self._payload()).decode().rstrip("="),
            mark=self.mark,
            made=made,
        )

    def _sealing_pair(self) -> tuple[bytes, bytes]:
        seed = blake3_derive("lutra recovery kit sealing key v1", self._secret)
        return HYBRID.derive_key_pair(seed)

    def _payload(self) -> bytes:
        return self._secret + _sum(self._secret)

    def __repr__(self) -> str:
        return f"RecoveryKit(mark={self.mark!r})"


def kit_mark(public_key: bytes) -> str:
    """Return the letters by which a sheet and an entry in the list of devices find together."""
    letters = base64.b32encode(blake3_derive("lutra recovery kit mark v1", public_key)).decode()
    return f"{letters[:4]}-{letters[4:8]}"


def seal_to_kit(
    sealing_key: bytes, info: bytes, plaintext: bytes, random: Random = system_random
) -> tuple[bytes, bytes]:
    """Encrypt to a kit's sealing key; returns (encapsulated key, ciphertext).

    Raises:
        MalformedError: it is no such key.
    """
    return HYBRID.seal(sealing_key, info, b"", plaintext, random)


def suggestions(words: Sequence[str]) -> tuple[tuple[int, str], ...]:
    """Return (number, word) for each change of one letter that makes the twelve words right."""
    found: list[tuple[int, str]] = []
    for place, word in enumerate(words):
        for other in near_words(word, place):
            changed = [*words[:place], other, *words[place + 1 :]]
            try:
                RecoveryKit.restore(" ".join(changed))
            except WordsError:
                continue
            found.append((place + 1, other))
    return tuple(found)


def _sum(secret: bytes) -> bytes:
    return blake3_derive("lutra recovery kit check sum v1", secret)[:_SUM_BYTES]


def _checked(payload: bytes) -> bytes:
    secret, given = payload[:SECRET_BYTES], payload[SECRET_BYTES:]
    if len(given) != _SUM_BYTES or not equal_constant_time(_sum(secret), given):
        raise WordsError(
            "Each word could be right, but together they are not a recovery kit. Several may be "
            "mistyped, or come from different sheets.",
            words=[],
        )
    return secret


def _unbase32(letters: str) -> bytes:
    try:
        return base64.b32decode(letters.upper() + "=" * (-len(letters) % 8))
    except ValueError:
        raise WordsError("This is not the code of a recovery kit.", words=[]) from None
