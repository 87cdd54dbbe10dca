"""The signature algorithms of MLS cipher suites: Ed25519, Ed448 and ECDSA on the NIST curves.

Keys are bytes in the formats RFC 9420 §5.1.1 names: EdDSA keys are native, ECDSA private keys are
big-endian integers and public keys uncompressed points. Signatures are encoded as in TLS 1.3.
"""

from __future__ import annotations

from typing import Protocol

from cryptography.exceptions import InternalError, InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from nacl import bindings

from lutra.crypto.random import Random, system_random
from lutra.crypto.sodium import is_ed25519_signature
from lutra.errors import UsageError


class SignatureScheme(Protocol):
    """One signature algorithm; stateless."""

    def generate(self, random: Random = system_random) -> tuple[bytes, bytes]:
        """Return a fresh (private key, public key)."""
        ...

    def public_key(self, private_key: bytes) -> bytes:
        """Return the public half of a private key."""
        ...

    def sign(self, private_key: bytes, message: bytes, public_key: bytes) -> bytes:
        """Sign; ``public_key`` must be the private key's other half."""
        ...

    def is_valid(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Tell whether a signature fits; malformed keys and signatures do not."""
        ...


class Ed25519:
    """Ed25519 through libsodium."""

    def generate(self, random: Random = system_random) -> tuple[bytes, bytes]:
        """See `SignatureScheme.generate`."""
        seed = random(32)
        return seed, bindings.crypto_sign_seed_keypair(seed)[0]

    def public_key(self, private_key: bytes) -> bytes:
        """See `SignatureScheme.public_key`."""
        if len(private_key) != 32:
            raise UsageError("An Ed25519 private key must have 32 bytes.")
        return bindings.crypto_sign_seed_keypair(private_key)[0]

    def sign(self, private_key: bytes, message: bytes, public_key: bytes) -> bytes:
        """See `SignatureScheme.sign`."""
        if len(private_key) != 32 or len(public_key) != 32:
            raise UsageError("An Ed25519 key must have 32 bytes.")
        return bindings.crypto_sign(message, private_key + public_key)[:64]

    def is_valid(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """See `SignatureScheme.is_valid`."""
        return is_ed25519_signature(public_key, message, signature)


_P448 = 2**448 - 2**224 - 1
# Points whose multiples by the cofactor vanish: one signature fits every message under such a key.
# libsodium refuses their like on Ed25519; OpenSSL lets those of order 4 pass here.
_SMALL_ORDER_448 = frozenset(
    y.to_bytes(56, "little") + sign
    for y in (0, 1, _P448 - 1, _P448, _P448 + 1)
    for sign in (b"\x00", b"\x80")
)


class Ed448:
    """Ed448 through `cryptography`; keys of small order are refused."""

    def generate(self, random: Random = system_random) -> tuple[bytes, bytes]:
        """See `SignatureScheme.generate`."""
        private = random(57)
        return private, self.public_key(private)

    def public_key(self, private_key: bytes) -> bytes:
        """See `SignatureScheme.public_key`."""
        if len(private_key) != 57:
            raise UsageError("An Ed448 private key must have 57 bytes.")
        key = ed448.Ed448PrivateKey.from_private_bytes(private_key)
        return key.public_key().public_bytes_raw()

    def sign(self, private_key: bytes, message: bytes, public_key: bytes) -> bytes:
        """See `SignatureScheme.sign`."""
        return ed448.Ed448PrivateKey.from_private_bytes(private_key).sign(message)

    def is_valid(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """See `SignatureScheme.is_valid`."""
        if public_key in _SMALL_ORDER_448:
            return False
        try:
            ed448.Ed448PublicKey.from_public_bytes(public_key).verify(signature, message)
        except (InvalidSignature, ValueError, InternalError):
            return False
        return True


class Ecdsa:
    """ECDSA on a NIST curve, with deterministic nonces (RFC 6979) when signing."""

    def __init__(self, curve: ec.EllipticCurve, digest: hashes.HashAlgorithm) -> None:
        self._curve = curve
        self._digest = digest
        self._bytes = (curve.key_size + 7) // 8

    def generate(self, random: Random = system_random) -> tuple[bytes, bytes]:
        """See `SignatureScheme.generate`; rejection sampling keeps keys uniform."""
        excess = self._bytes * 8 - self._curve.key_size
        while True:
            candidate = int.from_bytes(random(self._bytes), "big") >> excess
            if 0 < candidate < self._curve.group_order:
                private = candidate.to_bytes(self._bytes, "big")
                return private, self.public_key(private)

    def _key(self, private_key: bytes) -> ec.EllipticCurvePrivateKey:
        value = int.from_bytes(private_key, "big")
        if not 0 < value < self._curve.group_order:
            raise UsageError("A private key is outside the range of its curve.")
        return ec.derive_private_key(value, self._curve)

    def public_key(self, private_key: bytes) -> bytes:
        """See `SignatureScheme.public_key`."""
        public = self._key(private_key).public_key()
        return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def sign(self, private_key: bytes, message: bytes, public_key: bytes) -> bytes:
        """See `SignatureScheme.sign`."""
        algorithm = ec.ECDSA(self._digest, deterministic_signing=True)
        return self._key(private_key).sign(message, algorithm)

    def is_valid(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """See `SignatureScheme.is_valid`."""
        if len(public_key) != 1 + 2 * self._bytes or public_key[0] != 4:
            return False
        try:
            key = ec.EllipticCurvePublicKey.from_encoded_point(self._curve, public_key)
            key.verify(signature, message, ec.ECDSA(self._digest))
        except (InvalidSignature, ValueError):
            return False
        return True


ED25519 = Ed25519()
ED448 = Ed448()
ECDSA_P256 = Ecdsa(ec.SECP256R1(), hashes.SHA256())
ECDSA_P384 = Ecdsa(ec.SECP384R1(), hashes.SHA384())
ECDSA_P521 = Ecdsa(ec.SECP521R1(), hashes.SHA512())
