"""SPAKE2 over Ed25519's group: a shared key from a short password, one guess per exchange.

The exchange is given by its 32-byte seed, so that it can be stored and taken up again. One seed
must answer one peer's share only: every further answer would be a further guess.
"""

from __future__ import annotations

import spake2
from spake2.ed25519_basic import NotOnCurve

from lutra.crypto.kdf import hkdf
from lutra.errors import MalformedError

SHARE_BYTES = 32
SEED_BYTES = 32


class Spake2:
    """One side of an exchange.

    Args:
        first: True on side A, False on side B; the two sides must differ.
        password: what both sides know.
        context: what both sides must agree on besides; bound into the key.
        seed: 32 secret random bytes, fresh for every exchange.
    """

    __slots__ = ("_peer_side", "_protocol", "share")

    share: bytes

    def __init__(self, *, first: bool, password: bytes, context: bytes, seed: bytes) -> None:
        side = spake2.SPAKE2_A if first else spake2.SPAKE2_B
        self._peer_side = b"B" if first else b"A"
        self._protocol = side(
            password,
            idA=context,
            idB=context,
            entropy_f=lambda length: hkdf(seed, b"lutra spake2 scalar", length),
        )
        # The library puts the side in front, which both sides know.
        self.share = self._protocol.start()[1:]

    def finish(self, peer_share: bytes) -> bytes:
        """Return the 32-byte key; the same on both sides only if the passwords are.

        Raises:
            MalformedError: the share is no element of the group, or was reflected.
        """
        try:
            return self._protocol.finish(self._peer_side + peer_share)
        except (spake2.SPAKEError, NotOnCurve, ValueError):
            raise MalformedError("The other side's share of a key exchange is not sound.") from None

    def __repr__(self) -> str:
        return "Spake2(…)"
