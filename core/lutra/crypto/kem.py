"""What HPKE asks of a key encapsulation mechanism (RFC 9180 §4), and its labelled derivations."""

from __future__ import annotations

import hmac
from typing import Protocol

from lutra.crypto.random import Random

VERSION_LABEL = b"HPKE-v1"


class Kem(Protocol):
    """A key encapsulation mechanism; keys and encapsulations travel as plain bytes.

    Attributes:
        kem_id: code point in the HPKE KEM registry.
        private_bytes: length of a serialised private key.
        public_bytes: length of a serialised public key.
        enc_bytes: length of an encapsulated key.
    """

    kem_id: int
    private_bytes: int
    public_bytes: int
    enc_bytes: int

    def derive_key_pair(self, ikm: bytes) -> tuple[bytes, bytes]:
        """Return the (private, public) pair that ``ikm`` determines (RFC 9180 §7.1.3)."""
        ...

    def public_key(self, private_key: bytes) -> bytes:
        """Return the public half of a private key."""
        ...

    def encapsulate(self, public_key: bytes, random: Random) -> tuple[bytes, bytes]:
        """Return (shared secret, encapsulation) for the holder of ``public_key``.

        Raises:
            MalformedError: ``public_key`` is not a key of this mechanism.
        """
        ...

    def decapsulate(self, enc: bytes, private_key: bytes, public_key: bytes | None) -> bytes:
        """Return the shared secret; knowing ``public_key`` already saves its computation.

        Raises:
            MalformedError: ``enc`` is not an encapsulation of this mechanism.
        """
        ...

    def check_public_key(self, public_key: bytes) -> None:
        """Raise `MalformedError` unless the bytes are a public key of this mechanism."""
        ...


def labeled_extract(
    suite: bytes, salt: bytes, label: bytes, ikm: bytes, *, hash_name: str
) -> bytes:
    """LabeledExtract of RFC 9180 §4."""
    return hmac.digest(salt, VERSION_LABEL + suite + label + ikm, hash_name)


def labeled_expand(
    suite: bytes, prk: bytes, label: bytes, info: bytes, length: int, *, hash_name: str
) -> bytes:
    """LabeledExpand of RFC 9180 §4."""
    labeled = length.to_bytes(2, "big") + VERSION_LABEL + suite + label + info
    block = hmac.digest(prk, labeled + b"\x01", hash_name)
    output = block
    counter = 2
    while len(output) < length:
        block = hmac.digest(prk, block + labeled + bytes((counter,)), hash_name)
        output += block
        counter += 1
    return output[:length]
