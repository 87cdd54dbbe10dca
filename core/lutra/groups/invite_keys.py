"""The key exchange of joining, what is derived from it, and the comparison code.

A short code is the password of SPAKE2; a 128-bit secret is the key itself, and the shares are
nonces. Either way the keys depend on everything both sides said and on the channel: its handshake
hash and both keys it proved. A relay between two victims has two channels and so gets nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from lutra.codec import decode, encode
from lutra.crypto.aead import seal, unseal
from lutra.crypto.hashing import blake3_derive, blake3_keyed, equal_constant_time
from lutra.crypto.kdf import hkdf
from lutra.crypto.pake import Spake2
from lutra.crypto.random import Random
from lutra.groups.invite_secret import SECRET_BYTES, InviteSecret

LOCATOR_BYTES = 32
SHARE_BYTES = 32
NUMBER_BYTES = 2


class Side(Enum):
    """Who takes part."""

    JOINING = "joining"
    INVITING = "inviting"


@dataclass(frozen=True, slots=True)
class Channel:
    """The encrypted connection that the exchange runs on.

    Attributes:
        handshake_hash: unique to the connection and the same on both ends.
        joining: the key the joining end has proven; made for this connection.
        inviting: the key the inviting end has proven, likewise.
    """

    handshake_hash: bytes
    joining: bytes
    inviting: bytes

    def binding(self) -> bytes:
        """Return what names the channel."""
        return encode([self.handshake_hash, self.joining, self.inviting])


def locator(secret: InviteSecret, channel: Channel) -> bytes:
    """Return what tells the inviting device, and nobody else, which of its invites is used.

    For a 128-bit secret it is a proof of knowing it on this channel, different on every other; for
    a short code it is the public number.
    """
    if secret.number is not None:
        return secret.number.to_bytes(NUMBER_BYTES, "big")
    key = blake3_derive("lutra invite locator v2", secret.secret)
    return blake3_keyed(key, channel.binding())


class Exchange:
    """One attempt at agreeing on a key over one channel.

    Attributes:
        share: what this side says; 32 bytes.
    """

    share: bytes

    def __init__(self, secret: InviteSecret, side: Side, channel: Channel, random: Random) -> None:
        self._secret = secret
        self._side = side
        self._binding = channel.binding()
        self._spake: Spake2 | None = None
        if secret.is_short:
            self._spake = Spake2(
                first=side is Side.JOINING,
                password=encode([secret.number, secret.secret]),
                context=encode(["lutra join v2", self._binding]),
                seed=random(32),
            )
            self.share = self._spake.share
        else:
            self.share = random(SHARE_BYTES)

    def finish(self, peer_share: bytes, commitment: bytes) -> JoinKeys:
        """Return the keys; raises `MalformedError` for a share that is not sound."""
        if self._spake is not None:
            shared = self._spake.finish(peer_share)
        else:
            shared = blake3_derive("lutra invite key v2", self._secret.secret)
        shares = [self.share, peer_share]
        if self._side is Side.INVITING:
            shares.reverse()
        said = [self._secret.is_short, self._binding, *shares, commitment]
        transcript = blake3_derive("lutra join transcript v2", encode(said))
        return JoinKeys(hkdf(shared, transcript), transcript, commitment)

    def __repr__(self) -> str:
        return "Exchange(…)"


@dataclass(frozen=True, slots=True)
class JoinKeys:
    """What both sides share if their secrets are the same.

    Attributes:
        master: 32 secret bytes.
        transcript: hash of everything said, and of the channel it was said on.
        commitment: what the joining side is bound to introduce itself with.
    """

    master: bytes
    transcript: bytes
    commitment: bytes

    def proof(self, side: Side) -> bytes:
        """Return the proof that ``side`` knows the secret."""
        return blake3_keyed(self._key(f"proof {side.name}"), self.transcript)

    def is_proven(self, side: Side, proof: bytes) -> bool:
        """Check a proof of ``side`` in constant time."""
        return equal_constant_time(proof, self.proof(side))

    def seal(self, side: Side, fields: list[Any], random: Random) -> bytes:
        """Encrypt a message of ``side``.

        The cipher does not commit to its key: what was not preceded by a proof must not be opened.
        """
        return seal(self._key(f"seal {side.name}"), encode(fields), self.transcript, random)

    def unseal(self, side: Side, sealed: bytes, max_bytes: int) -> Any:
        """Decrypt a message of ``side``; raises `DecryptionError` or `MalformedError`."""
        plaintext = unseal(self._key(f"seal {side.name}"), sealed, self.transcript)
        return decode(plaintext, max_bytes=max_bytes)

    def signed(self, card: bytes) -> bytes:
        """Return what a device signs to show that a card is its own, on this channel."""
        return b"lutra join card v2\0" + encode([self.transcript, card])

    def ticket(self) -> InviteSecret:
        """Return the secret by which both sides go on later, on other channels."""
        return InviteSecret(self._key("ticket")[:SECRET_BYTES])

    def comparison(self, card: bytes, blinding: bytes) -> str:
        """Return the digits for both screens.

        The joining side is committed to its card before it knows the other's share, and reveals it
        after: nobody between the two can choose what makes two codes alike.
        """
        said = encode([self.transcript, card, blinding])
        return digits(blake3_derive("lutra join comparison v2", said))

    def _key(self, purpose: str) -> bytes:
        return hkdf(self.master, b"lutra join v2 " + purpose.encode())

    def __repr__(self) -> str:
        return "JoinKeys(…)"


def digits(hash_value: bytes) -> str:
    """Return six digits for people to compare."""
    number = int.from_bytes(hash_value[:8], "big") % 10**6
    text = f"{number:06}"
    return f"{text[:3]} {text[3:]}"


def commit(card: bytes, blinding: bytes) -> bytes:
    """Return a commitment to a card that tells nothing about it."""
    return blake3_keyed(blinding, card)
