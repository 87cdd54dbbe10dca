"""Cipher suites (RFC 9420 §5.1) and the labelled primitives every other module builds on.

Besides suites 1 to 7 there is `HYBRID_SUITE`, 0xF04D in the private-use range: HPKE with
MLKEM768-X25519 (0x647A), HKDF-SHA256 and ChaCha20-Poly1305, SHA-256, Ed25519.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

from lutra.crypto import schemes
from lutra.crypto.hpke import Hpke
from lutra.crypto.random import Random
from lutra.errors import DecryptionError, MalformedError
from lutra.mls.codec import u16, vector
from lutra.mls.errors import MlsDecryptionError, MlsMalformedError, UnsupportedError

_LABEL_PREFIX = b"MLS 1.0 "
NONCE_BYTES = 12

Sealer = Callable[[bytes, bytes], tuple[bytes, bytes]]
"""Takes (public key, plaintext), returns (KEM output, ciphertext)."""


class CipherSuite:
    """One cipher suite; stateless, compared by identity.

    Attributes:
        suite_id: code point.
        name: registry name.
        hpke: public-key encryption.
        signatures: signature algorithm.
        hash_bytes: KDF.Nh, length of hashes, MACs and secrets.
        key_bytes: AEAD.Nk.
    """

    __slots__ = (
        "_hash",
        "_hash_name",
        "_ratchet_labels",
        "_sender_data_labels",
        "aead_class",
        "hash_bytes",
        "hpke",
        "key_bytes",
        "name",
        "signatures",
        "suite_id",
        "zero",
    )

    def __init__(
        self,
        suite_id: int,
        name: str,
        hpke: Hpke,
        signatures: schemes.SignatureScheme,
    ) -> None:
        self.suite_id = suite_id
        self.name = name
        self.hpke = hpke
        self.signatures = signatures
        self._hash_name = hpke.hash_name
        self._hash = getattr(hashlib, hpke.hash_name)
        self.hash_bytes = hpke.hash_bytes
        self.key_bytes = hpke.key_bytes
        self.aead_class = hpke.aead_class
        self.zero = bytes(hpke.hash_bytes)
        key = u16(self.key_bytes) + vector(_LABEL_PREFIX + b"key")
        nonce = u16(NONCE_BYTES) + vector(_LABEL_PREFIX + b"nonce")
        following = u16(self.hash_bytes) + vector(_LABEL_PREFIX + b"secret")
        # Ratchet contexts are generations: vectors of four bytes.
        self._ratchet_labels = key + b"\x04", nonce + b"\x04", following + b"\x04"
        self._sender_data_labels = key, nonce

    def hash(self, data: bytes) -> bytes:
        """Hash with the suite's hash function."""
        return self._hash(data).digest()

    def mac(self, key: bytes, data: bytes) -> bytes:
        """MAC: HMAC with the suite's hash function."""
        return hmac.digest(key, data, self._hash_name)

    def has_mac(self, key: bytes, data: bytes, tag: bytes) -> bool:
        """Tell in constant time whether ``tag`` is the MAC of ``data``."""
        return hmac.compare_digest(hmac.digest(key, data, self._hash_name), tag)

    def extract(self, salt: bytes, material: bytes) -> bytes:
        """KDF.Extract."""
        return hmac.digest(salt, material, self._hash_name)

    def expand(self, secret: bytes, info: bytes, length: int) -> bytes:
        """KDF.Expand."""
        block = hmac.digest(secret, info + b"\x01", self._hash_name)
        if length <= len(block):
            return block[:length]
        output = block
        counter = 2
        while len(output) < length:
            if counter > 255:
                raise MlsMalformedError("A derived secret would be too long.", "8")
            block = hmac.digest(secret, block + info + bytes((counter,)), self._hash_name)
            output += block
            counter += 1
        return output[:length]

    def expand_with_label(self, secret: bytes, label: bytes, context: bytes, length: int) -> bytes:
        """ExpandWithLabel (§8)."""
        info = u16(length) + vector(_LABEL_PREFIX + label) + vector(context)
        return self.expand(secret, info, length)

    def derive_secret(self, secret: bytes, label: bytes) -> bytes:
        """DeriveSecret (§8)."""
        info = u16(self.hash_bytes) + vector(_LABEL_PREFIX + label) + b"\x00"
        return hmac.digest(secret, info + b"\x01", self._hash_name)

    def derive_tree_secret(
        self, secret: bytes, label: bytes, generation: int, length: int
    ) -> bytes:
        """DeriveTreeSecret (§9.1)."""
        return self.expand_with_label(secret, label, generation.to_bytes(4, "big"), length)

    def ratchet_step(self, secret: bytes, generation: int) -> tuple[bytes, bytes, bytes]:
        """Return (key, nonce, next secret) of one ratchet generation (§9.1)."""
        key, nonce, following = self._ratchet_labels
        tail = generation.to_bytes(4, "big") + b"\x01"
        name = self._hash_name
        return (
            hmac.digest(secret, key + tail, name)[: self.key_bytes],
            hmac.digest(secret, nonce + tail, name)[:NONCE_BYTES],
            hmac.digest(secret, following + tail, name),
        )

    def sender_data_keys(self, secret: bytes, sample: bytes) -> tuple[bytes, bytes]:
        """Return (key, nonce) of the sender data of a message (§6.3.2)."""
        tail = vector(sample) + b"\x01"
        key, nonce = self._sender_data_labels
        name = self._hash_name
        return (
            hmac.digest(secret, key + tail, name)[: self.key_bytes],
            hmac.digest(secret, nonce + tail, name)[:NONCE_BYTES],
        )

    def ref_hash(self, label: bytes, value: bytes) -> bytes:
        """RefHash (§5.2)."""
        return self._hash(vector(label) + vector(value)).digest()

    def sign_with_label(
        self, private_key: bytes, public_key: bytes, label: bytes, content: bytes
    ) -> bytes:
        """SignWithLabel (§5.1.2)."""
        signed = vector(_LABEL_PREFIX + label) + vector(content)
        return self.signatures.sign(private_key, signed, public_key)

    def is_signed_with_label(
        self, public_key: bytes, label: bytes, content: bytes, signature: bytes
    ) -> bool:
        """VerifyWithLabel (§5.1.2)."""
        signed = vector(_LABEL_PREFIX + label) + vector(content)
        return self.signatures.is_valid(public_key, signed, signature)

    def encrypt_with_label(
        self, public_key: bytes, label: bytes, context: bytes, plaintext: bytes, random: Random
    ) -> tuple[bytes, bytes]:
        """EncryptWithLabel (§5.1.3): returns (KEM output, ciphertext).

        Raises:
            MlsMalformedError: ``public_key`` is no key of this suite.
        """
        return self.sealer(label, context, random)(public_key, plaintext)

    def sealer(self, label: bytes, context: bytes, random: Random) -> Sealer:
        """Return EncryptWithLabel for many recipients: the context is hashed only once."""
        info = self.hpke.info_context(vector(_LABEL_PREFIX + label) + vector(context))
        seal = self.hpke.seal_in

        def seal_to(public_key: bytes, plaintext: bytes) -> tuple[bytes, bytes]:
            try:
                return seal(public_key, info, b"", plaintext, random)
            except MalformedError as error:
                raise MlsMalformedError(error.message, "5.1.3") from None

        return seal_to

    def decrypt_with_label(
        self,
        key_pair: tuple[bytes, bytes],
        label: bytes,
        context: bytes,
        kem_output: bytes,
        ciphertext: bytes,
    ) -> bytes:
        """DecryptWithLabel (§5.1.3); ``key_pair`` is (private, public).

        Raises:
            MlsDecryptionError: the ciphertext was made for another key or context.
        """
        info = vector(_LABEL_PREFIX + label) + vector(context)
        private, public = key_pair
        try:
            return self.hpke.open(private, kem_output, info, b"", ciphertext, public_key=public)
        except (DecryptionError, MalformedError):
            raise MlsDecryptionError(
                "A secret sealed to this device does not open.", "5.1.3"
            ) from None

    def aead_open(self, key: bytes, nonce: bytes, ciphertext: bytes, aad: bytes) -> bytes:
        """Decrypt with the suite's AEAD.

        Raises:
            MlsDecryptionError: key, nonce, associated data or ciphertext do not fit.
        """
        try:
            return self.hpke.aead_open(key, nonce, ciphertext, aad)
        except DecryptionError:
            raise MlsDecryptionError("A message does not decrypt.", "6.3") from None

    def check_hpke_key(self, public_key: bytes, section: str) -> None:
        """Raise `MlsMalformedError` unless ``public_key`` is a key of this suite's KEM."""
        try:
            self.hpke.kem.check_public_key(public_key)
        except MalformedError as error:
            raise MlsMalformedError(error.message, section) from None

    def __repr__(self) -> str:
        return f"CipherSuite(0x{self.suite_id:04x})"

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return suite_for, (self.suite_id,)


HYBRID_SUITE = 0xF04D

SUITES: dict[int, CipherSuite] = {
    suite_id: CipherSuite(suite_id, name, Hpke(*hpke), signatures)
    for suite_id, name, hpke, signatures in (
        (1, "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519", (0x20, 1, 1), schemes.ED25519),
        (2, "MLS_128_DHKEMP256_AES128GCM_SHA256_P256", (0x10, 1, 1), schemes.ECDSA_P256),
        (3, "MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519", (0x20, 1, 3), schemes.ED25519),
        (4, "MLS_256_DHKEMX448_AES256GCM_SHA512_Ed448", (0x21, 3, 2), schemes.ED448),
        (5, "MLS_256_DHKEMP521_AES256GCM_SHA512_P521", (0x12, 3, 2), schemes.ECDSA_P521),
        (6, "MLS_256_DHKEMX448_CHACHA20POLY1305_SHA512_Ed448", (0x21, 3, 3), schemes.ED448),
        (7, "MLS_256_DHKEMP384_AES256GCM_SHA384_P384", (0x11, 2, 2), schemes.ECDSA_P384),
        (
            HYBRID_SUITE,
            "LUTRA_128_MLKEM768X25519_CHACHA20POLY1305_SHA256_Ed25519",
            (0x647A, 1, 3),
            schemes.ED25519,
        ),
    )
}
"""Every suite this library implements, by code point."""


def suite_for(suite_id: int) -> CipherSuite:
    """Return a suite by code point.

    Raises:
        UnsupportedError: it is not implemented here.
    """
    suite = SUITES.get(suite_id)
    if suite is None:
        raise UnsupportedError(
            "A group uses a cipher suite that is not supported here.", "5.1", suite=suite_id
        )
    return suite
