"""Two sides that may hold the same secret agree on keys over one channel, at one guess.

A short secret, found by its public number, is the password of SPAKE2; a long one is the key itself
and the shares are nonces. Either way the keys depend on everything both sides said and on the
channel: a relay between two victims has two channels and so gets nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from lutra.codec import encode
from lutra.crypto.hashing import blake3_derive, blake3_keyed, equal_constant_time
from lutra.crypto.kdf import hkdf
from lutra.crypto.pake import SEED_BYTES, SHARE_BYTES, Spake2
from lutra.crypto.random import Random

__all__ = ["SHARE_BYTES", "AgreedKeys", "KeyAgreement", "commit", "digits"]


class KeyAgreement:
    """One attempt of one side.

    Args:
        label: names the protocol and its version; other protocols have other keys.
        secret: what both sides may hold: 128 bits, or a short one.
        number: the public number of a short secret; None for a long one.
        first: True on one side, False on the other.
        channel: what names the channel, in the same order on both sides.
        random: source of the share.

    Attributes:
        share: what this side says; 32 bytes.
    """

    __slots__ = ("_channel", "_first", "_label", "_number", "_secret", "_spake", "share")

    share: bytes

    def __init__(
        self,
        label: str,
        *,
        secret: bytes,
        number: int | None,
        first: bool,
        channel: tuple[bytes, ...],
        random: Random,
    ) -> None:
        self._label = label
        self._secret = secret
        self._number = number
        self._first = first
        self._channel = channel
        self._spake: Spake2 | None = None
        if number is None:
            self.share = random(SHARE_BYTES)
        else:
            self._spake = Spake2(
                first=first,
                password=encode([number, secret]),
                context=encode([label, *channel]),
                seed=random(SEED_BYTES),
            )
            self.share = self._spake.share

    def finish(self, peer_share: bytes, commitment: bytes) -> tuple[bytes, bytes]:
        """Return the master key and the transcript's hash; alike where the secrets are.

        Args:
            peer_share: what the other side said.
            commitment: what the first side is bound to introduce itself with.

        Raises:
            MalformedError: the share is not sound.
        """
        if self._spake is not None:
            shared = self._spake.finish(peer_share)
        else:
            shared = blake3_derive(f"{self._label} long secret", self._secret)
        shares = [self.share, peer_share] if self._first else [peer_share, self.share]
        said = [self._number is not None, *self._channel, *shares, commitment]
        transcript = blake3_derive(f"{self._label} transcript", encode(said))
        return hkdf(shared, transcript), transcript

    def __repr__(self) -> str:
        return "KeyAgreement(…)"


@dataclass(frozen=True, slots=True, repr=False)
class AgreedKeys:
    """What both sides share if their secrets are the same; each protocol has its own kind.

    Attributes:
        label: as in `KeyAgreement`.
        master: 32 secret bytes.
        transcript: hash of everything said, and of the channel it was said on.
        commitment: what the first side is bound to introduce itself with.
    """

    label: ClassVar[str]

    master: bytes
    transcript: bytes
    commitment: bytes

    def proof(self, side: Enum) -> bytes:
        """Return the proof that ``side`` knows the secret."""
        return blake3_keyed(self.key(f"proof {side.name}"), self.transcript)

    def is_proven(self, side: Enum, proof: bytes) -> bool:
        """Check a proof of ``side`` in constant time."""
        return equal_constant_time(proof, self.proof(side))

    def commits_to(self, card: bytes, blinding: bytes) -> bool:
        """Check in constant time what the first side shows against its commitment."""
        return equal_constant_time(self.commitment, commit(card, blinding))

    def key(self, purpose: str) -> bytes:
        """Return the 32-byte key for one purpose."""
        return hkdf(self.master, f"{self.label} {purpose}".encode())

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"


def commit(card: bytes, blinding: bytes) -> bytes:
    """Return a commitment to a card that tells nothing about it."""
    return blake3_keyed(blinding, card)


def digits(context: str, said: bytes) -> str:
    """Return six digits for people to compare: ``123 456``."""
    number = int.from_bytes(blake3_derive(context, said)[:8], "big")
    shown = f"{number % 10**6:06}"
    return f"{shown[:3]} {shown[3:]}"
