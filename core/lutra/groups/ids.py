"""What names a group, and what its members recognise one another's devices by."""

from __future__ import annotations

from lutra.crypto.hashing import blake3_derive


def group_id(creator: bytes, nonce: bytes) -> bytes:
    """Return the id of the group that ``creator`` starts with ``nonce``."""
    return blake3_derive("lutra group id v1", creator + nonce)


def discovery_secret(creator: bytes, nonce: bytes) -> bytes:
    """Return the secret behind a group's tags on the network.

    It follows from the creation, which members and keepers hold and nobody else, and not from any
    key, so that keepers and newcomers without old keys find the others too. The group's id, which
    is shown to people, does not tell it.
    """
    return blake3_derive("lutra discovery v2", creator + nonce)
