"""The key exchange of joining, what is derived from it, and the comparison code.

See `lutra.identity.key_agreement`. What names the channel is its handshake hash and both keys that
were proved on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

from lutra.codec import decode, encode
from lutra.crypto.aead import seal, unseal
from lutra.crypto.hashing import blake3_derive, blake3_keyed
from lutra.crypto.random import Random
from lutra.groups.invite_secret import SECRET_BYTES, InviteSecret
from lutra.identity.key_agreement import AgreedKeys, KeyAgreement, digits

LOCATOR_BYTES = 32
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

    def __init__(self, secret: InviteSecret, side: Side, channel: Channel, random: Random) -> None:
        self._agreement = KeyAgreement(
            JoinKeys.label,
            secret=secret.secret,
            number=secret.number,
            first=side is Side.JOINING,
            channel=(channel.binding(),),
            random=random,
        )
        self.share = self._agreement.share

    def finish(self, peer_share: bytes, commitment: bytes) -> JoinKeys:
        """Return the keys; raises `MalformedError` for a share that is not sound."""
        return JoinKeys(*self._agreement.finish(peer_share, commitment), commitment)


@dataclass(frozen=True, slots=True, repr=False)
class JoinKeys(AgreedKeys):
    """What both sides share; the joining side is bound by the commitment."""

    label: ClassVar[str] = "lutra join v2"

    def seal(self, side: Side, fields: list[Any], random: Random) -> bytes:
        """Encrypt a message of ``side``.

        The cipher does not commit to its key: what was not preceded by a proof must not be opened.
        """
        return seal(self.key(f"seal {side.name}"), encode(fields), self.transcript, random)

    def unseal(self, side: Side, sealed: bytes, max_bytes: int) -> Any:
        """Decrypt a message of ``side``; raises `DecryptionError` or `MalformedError`."""
        plaintext = unseal(self.key(f"seal {side.name}"), sealed, self.transcript)
        return decode(plaintext, max_bytes=max_bytes)

    def signed(self, card: bytes) -> bytes:
        """Return what a device signs to show that a card is its own, on this channel."""
        return b"lutra join card v2\0" + encode([self.transcript, card])

    def ticket(self) -> InviteSecret:
        """Return the secret by which both sides go on later, on other channels."""
        return InviteSecret(self.key("ticket")[:SECRET_BYTES])

    def comparison(self, card: bytes, blinding: bytes) -> str:
        """Return the digits for both screens.

        The joining side is committed to its card before it knows the other's share, and reveals it
        after: nobody between the two can choose what makes two codes alike.
        """
        said = encode([self.transcript, card, blinding])
        return digits("lutra join comparison v2", said)
