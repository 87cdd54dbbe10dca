"""BLAKE3 hashes, plain and keyed, and constant-time comparison."""

from __future__ import annotations

import hmac

from blake3 import blake3

HASH_BYTES = 32


def blake3_hash(data: bytes) -> bytes:
    """Return the 32-byte BLAKE3 hash of ``data``."""
    return blake3(data).digest()


def blake3_keyed(key: bytes, data: bytes) -> bytes:
    """Return the 32-byte BLAKE3 MAC of ``data`` under a 32-byte ``key``."""
    return blake3(data, key=key).digest()


def blake3_derive(context: str, material: bytes) -> bytes:
    """Derive 32 bytes from ``material`` for one named purpose (BLAKE3 ``derive_key`` mode)."""
    return blake3(material, derive_key_context=context).digest()


def equal_constant_time(left: bytes, right: bytes) -> bool:
    """Compare two byte strings without revealing where they differ."""
    return hmac.compare_digest(left, right)
