"""HKDF (RFC 5869) over SHA-256, and Argon2id for passphrases."""

from __future__ import annotations

import hashlib
import hmac

from nacl import pwhash

SALT_BYTES = 16


def hkdf_extract(salt: bytes, material: bytes, hash_name: str = "sha256") -> bytes:
    """HKDF-Extract: concentrate ``material`` into one pseudorandom key of hash length."""
    if not salt:
        salt = bytes(hashlib.new(hash_name).digest_size)
    return hmac.digest(salt, material, hash_name)


def hkdf_expand(key: bytes, info: bytes, length: int, hash_name: str = "sha256") -> bytes:
    """HKDF-Expand: ``length`` bytes for the purpose ``info`` from a pseudorandom ``key``."""
    block = hmac.digest(key, info + b"\x01", hash_name)
    output = block
    counter = 2
    while len(output) < length:
        block = hmac.digest(key, block + info + bytes([counter]), hash_name)
        output += block
        counter += 1
    return output[:length]


def hkdf(material: bytes, info: bytes, length: int = 32, salt: bytes = b"") -> bytes:
    """Extract and expand in one step."""
    return hkdf_expand(hkdf_extract(salt, material), info, length)


def passphrase_key(passphrase: str, salt: bytes, *, opslimit: int, memlimit: int) -> bytes:
    """Derive a 32-byte key from a passphrase with Argon2id.

    Args:
        passphrase: what the person typed; NFC-normalise it before.
        salt: 16 random bytes, kept beside the wrapped key.
        opslimit: Argon2 passes (``nacl.pwhash.argon2id.OPSLIMIT_MODERATE`` for profiles).
        memlimit: Argon2 memory in bytes.
    """
    return pwhash.argon2id.kdf(32, passphrase.encode(), salt, opslimit=opslimit, memlimit=memlimit)
