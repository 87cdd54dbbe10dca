"""The key exchange of pairing, what is derived from it, and the comparison code.

A short code is the password of SPAKE2; a link's 128-bit secret is the key itself and shares are
nonces. Either way the keys depend on everything both sides said and on the channel: its handshake
hash and both keys it proved. A relay between two victims has two channels and so gets nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lutra.codec import decode, encode
from lutra.crypto.aead import seal, unseal
from lutra.crypto.hashing import blake3_derive, blake3_keyed, equal_constant_time
from lutra.crypto.kdf import hkdf
from lutra.crypto.pake import Spake2
from lutra.crypto.random import Random
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
        self._secret = secret
        self._side = side
        self._binding = channel.binding(side)
        self._spake: Spake2 | None = None
        if secret.is_short:
            # The commitment is bound below, with everything else that was said.
            self._spake = Spake2(
                first=side is Side.ENTERS,
                password=encode([secret.number, secret.secret]),
                context=encode(["lutra pairing v1", *self._binding]),
                seed=random(32),
            )
            self.share = self._spake.share
        else:
            self.share = random(32)

    def finish(self, peer_share: bytes, commitment: bytes) -> SessionKeys:
        """Return the keys; raises `MalformedError` for a share that is not sound."""
        if self._spake is not None:
            shared = self._spake.finish(peer_share)
        else:
            shared = blake3_derive("lutra pairing link key v1", self._secret.secret)
        shares = [self.share, peer_share]
        if self._side is Side.SHOWS:
            shares.reverse()
        said = [VERSION, self._secret.is_short, *self._binding, *shares, commitment]
        transcript = blake3_derive("lutra pairing transcript v1", encode(said))
        return SessionKeys(hkdf(shared, transcript), transcript, commitment)


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """What both sides share if their secrets are the same.

    Attributes:
        master: 32 secret bytes.
        transcript: hash of everything said, and of the channel it was said on.
        commitment: what the entering side is bound to introduce itself with.
    """

    master: bytes
    transcript: bytes
    commitment: bytes

    def proof(self, side: Side) -> bytes:
        """Return the proof that ``side`` knows the secret."""
        return blake3_keyed(self._key(f"proof {side.name}"), self.transcript)

    def resumption(self, side: Side, own_side: Side, channel: Channel) -> bytes:
        """Return the proof of ``side`` that it takes part again, on another channel."""
        return blake3_keyed(self._key(f"resume {side.name}"), encode(channel.binding(own_side)))

    def seal(
        self, side: Side, own_side: Side, channel: Channel, fields: list[Any], random: Random
    ) -> bytes:
        """Encrypt a message of ``side`` on one channel."""
        key = self._key(f"seal {side.name}")
        return seal(key, encode(fields), encode(channel.binding(own_side)), random)

    def unseal(self, side: Side, own_side: Side, channel: Channel, sealed: bytes) -> Any:
        """Decrypt a message of ``side``; raises `DecryptionError` or `MalformedError`."""
        context = encode(channel.binding(own_side))
        plaintext = unseal(self._key(f"seal {side.name}"), sealed, context)
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
        number = int.from_bytes(blake3_derive("lutra pairing comparison v1", said)[:8], "big")
        digits = f"{number % 10**6:06}"
        return f"{digits[:3]} {digits[3:]}"

    def _key(self, purpose: str) -> bytes:
        return hkdf(self.master, b"lutra pairing v1 " + purpose.encode())

    def __repr__(self) -> str:
        return "SessionKeys(…)"


def commit(card: bytes, blinding: bytes) -> bytes:
    """Return a commitment to a card that tells nothing about it."""
    return blake3_keyed(blinding, card)


def same(left: bytes, right: bytes) -> bool:
    """Compare proofs in constant time."""
    return equal_constant_time(left, right)
