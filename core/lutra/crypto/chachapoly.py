"""ChaCha20-Poly1305 (RFC 8439) under counter nonces, as the Noise framework uses it."""

from __future__ import annotations

import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from lutra.errors import DecryptionError

KEY_BYTES = 32
TAG_BYTES = 16

_nonce = struct.Struct("<4xQ").pack


class ChaChaPoly:
    """One key; the caller makes sure that no counter is used twice."""

    __slots__ = ("_aead",)

    def __init__(self, key: bytes) -> None:
        self._aead = ChaCha20Poly1305(key)

    def encrypt(self, counter: int, plaintext: bytes | memoryview, context: bytes | None) -> bytes:
        """Return ciphertext and 16-byte tag; the nonce is 4 zero bytes and ``counter`` in LE."""
        return self._aead.encrypt(_nonce(counter), plaintext, context)

    def decrypt(self, counter: int, sealed: bytes | memoryview, context: bytes | None) -> bytes:
        """Return the plaintext.

        Raises:
            DecryptionError: key, counter, context or ciphertext differ from what was sealed.
        """
        try:
            return self._aead.decrypt(_nonce(counter), sealed, context)
        except InvalidTag:
            raise DecryptionError("An encrypted message does not open with its key.") from None

    def __repr__(self) -> str:
        return "ChaChaPoly(…)"


# OpenSSL looks a cipher up at its first use, for a millisecond: now, not while somebody connects.
ChaCha20Poly1305(bytes(KEY_BYTES))
