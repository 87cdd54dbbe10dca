"""XChaCha20-Poly1305 with a random 24-byte nonce in front of the ciphertext."""

from __future__ import annotations

from nacl import bindings

from lutra.crypto.random import Random, system_random
from lutra.crypto.sodium import xchacha20poly1305_open
from lutra.errors import DecryptionError

KEY_BYTES = 32
NONCE_BYTES = 24
TAG_BYTES = 16
OVERHEAD_BYTES = NONCE_BYTES + TAG_BYTES


def seal(key: bytes, plaintext: bytes, context: bytes, random: Random = system_random) -> bytes:
    """Encrypt ``plaintext`` bound to ``context``; returns nonce, ciphertext and tag in one."""
    nonce = random(NONCE_BYTES)
    return nonce + bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(
        plaintext, context, nonce, key
    )


def unseal(key: bytes, sealed: bytes, context: bytes) -> bytes:
    """Open what `seal` made.

    Raises:
        DecryptionError: key, context or ciphertext differ from what was sealed.
    """
    if len(sealed) < OVERHEAD_BYTES:
        raise DecryptionError("An encrypted text is too short to be whole.")
    text = xchacha20poly1305_open(key, sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context)
    if text is None:
        raise DecryptionError("An encrypted text does not open with the key at hand.")
    return text
