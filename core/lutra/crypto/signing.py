"""Ed25519 signatures (RFC 8032) through libsodium, which rejects malleable signatures."""

from __future__ import annotations

from nacl import bindings

from lutra.crypto.random import Random, system_random
from lutra.crypto.sodium import is_ed25519_signature
from lutra.errors import SignatureError

PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64
SEED_BYTES = 32


class SigningKey:
    """An Ed25519 private key; its ``repr`` shows the public half only."""

    __slots__ = ("_secret", "public")

    public: bytes

    def __init__(self, seed: bytes) -> None:
        self.public, self._secret = bindings.crypto_sign_seed_keypair(seed)

    @classmethod
    def generate(cls, random: Random = system_random) -> SigningKey:
        """Make a new key from 32 random bytes."""
        return cls(random(SEED_BYTES))

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature of ``message``."""
        return bindings.crypto_sign(message, self._secret)[:SIGNATURE_BYTES]

    def seed(self) -> bytes:
        """Return the 32-byte secret seed, for storing the key; keep it out of sight."""
        return self._secret[:SEED_BYTES]

    def __repr__(self) -> str:
        return f"SigningKey(public={self.public.hex()[:16]}…)"


def is_signature(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether ``signature`` is ``public_key``'s signature of ``message``."""
    return is_ed25519_signature(public_key, message, signature)


def verify(public_key: bytes, message: bytes, signature: bytes) -> None:
    """Check a signature.

    Raises:
        SignatureError: it is not ``public_key``'s signature of ``message``.
    """
    if not is_signature(public_key, message, signature):
        raise SignatureError("A signature does not match its content, so it was refused.")
