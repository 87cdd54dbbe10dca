"""The key exchange of pairing, what is derived from it, and the comparison code.

See `lutra.identity.key_agreement`. What names the channel is its handshake hash and both keys that
were proved on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from lutra.codec import decode, encode
from lutra.crypto.aead import seal, unseal
from lutra.crypto.hashing import blake3_keyed
from lutra.crypto.random import Random
from lutra.identity.key_agreement import AgreedKeys, KeyAgreement, digits
from lutra.identity.pairing_code import PairingSecret
from lutra.identity.pairing_messages import MAX_FRAME_BYTES, VERSION
from lutra.identity.pairing_table import Side


@dataclass(frozen=True, slots=True)
class Channel:
    """The encrypted connection that pairing runs on.

    Attributes:
        handshake_hash: unique to the connection and the same on both ends.
        own: the public key this end proved in the handshake; it may be a one-time key.
        peer: the public key the other end proved.
    """

    handshake_hash: bytes
    own: bytes
    peer: bytes

    def binding(self, side: Side) -> list[bytes]:
        """Return what names the channel, in the same order on both ends."""
        keys = [self.own, self.peer] if side is Side.ENTERS else [self.peer, self.own]
        return [self.handshake_hash, *keys]


class Exchange:
    """One attempt at agreeing on a key over one channel."""

    def __init__(self, secret: PairingSecret, side: Side, channel: Channel, random: Random) -> None:
        self._agreement = KeyAgreement(
            SessionKeys.label,
            secret=secret.secret,
            number=secret.number,
            first=side is Side.ENTERS,
            channel=tuple(channel.binding(side)),
            random=random,
        )
        self.share = self._agreement.share

    def finish(self, peer_share: bytes, commitment: bytes) -> SessionKeys:
        """Return the keys; raises `MalformedError` for a share that is not sound."""
        return SessionKeys(*self._agreement.finish(peer_share, commitment), commitment)


@dataclass(frozen=True, slots=True, repr=False)
class SessionKeys(AgreedKeys):
    """What both sides share; the entering side is bound by the commitment."""

    label: ClassVar[str] = f"lutra pairing v{VERSION}"

    def resumption(self, side: Side, own_side: Side, channel: Channel) -> bytes:
        """Return the proof of ``side`` that it takes part again, on another channel."""
        return blake3_keyed(self.key(f"resume {side.name}"), encode(channel.binding(own_side)))

    def seal(
        self, side: Side, own_side: Side, channel: Channel, fields: list[Any], random: Random
    ) -> bytes:
        """Encrypt a message of ``side`` on one channel."""
        key = self.key(f"seal {side.name}")
        return seal(key, encode(fields), encode(channel.binding(own_side)), random)

    def unseal(self, side: Side, own_side: Side, channel: Channel, sealed: bytes) -> Any:
        """Decrypt a message of ``side``; raises `DecryptionError` or `MalformedError`."""
        context = encode(channel.binding(own_side))
        plaintext = unseal(self.key(f"seal {side.name}"), sealed, context)
        return decode(plaintext, max_bytes=MAX_FRAME_BYTES, max_depth=4)

    def signed(self, side: Side, card: bytes) -> bytes:
        """Return what a device signs to show that the card of ``side`` is its own."""
        return b"lutra pairing card v1\0" + encode([side.name, self.transcript, card])

    def comparison(self, enters: bytes, blinding: bytes, shows: bytes) -> str:
        """Return the digits for both screens, from both cards.

        The entering side is committed to its card before it sees the other's, which is random, and
        reveals it last: nobody between the two can choose what makes two codes alike.
        """
        said = encode([self.transcript, enters, blinding, shows])
        return digits("lutra pairing comparison v1", said)
