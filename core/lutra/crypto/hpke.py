"""HPKE (RFC 9180) in base mode, over DHKEMs and the hybrid X-Wing KEM.

`HYBRID` is the suite of invites and of MLS suite 0xF04D: MLKEM768-X25519, HKDF-SHA256,
ChaCha20-Poly1305.
"""

from __future__ import annotations

import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import aead

from lutra.crypto import dhkem, xwing
from lutra.crypto.kem import VERSION_LABEL, Kem
from lutra.crypto.random import Random, system_random
from lutra.errors import DecryptionError, UsageError

KEMS: dict[int, Kem] = {
    kem.kem_id: kem
    for kem in (dhkem.P256, dhkem.P384, dhkem.P521, dhkem.X25519, dhkem.X448, xwing.XWING)
}
_KDF_HASHES = {1: "sha256", 2: "sha384", 3: "sha512"}
_HASH_BYTES = {"sha256": 32, "sha384": 48, "sha512": 64}
_AEADS = {1: (aead.AESGCM, 16), 2: (aead.AESGCM, 32), 3: (aead.ChaCha20Poly1305, 32)}
_NONCE_BYTES = 12
_MODE_BASE = b"\x00"


class HpkeContext:
    """One direction of an HPKE exchange: numbered messages and exported secrets (§5.2, §5.3)."""

    __slots__ = ("_cipher", "_exporter_secret", "_hpke", "_nonce", "_sequence")

    def __init__(self, hpke: Hpke, key: bytes, nonce: bytes, exporter_secret: bytes) -> None:
        self._hpke = hpke
        self._cipher = hpke.aead_class(key)
        self._nonce = int.from_bytes(nonce, "big")
        self._exporter_secret = exporter_secret
        self._sequence = 0

    def _next_nonce(self) -> bytes:
        return (self._nonce ^ self._sequence).to_bytes(_NONCE_BYTES, "big")

    def seal(self, aad: bytes, plaintext: bytes) -> bytes:
        """Encrypt the next message."""
        ciphertext = self._cipher.encrypt(self._next_nonce(), plaintext, aad)
        self._sequence += 1
        return ciphertext

    def open(self, aad: bytes, ciphertext: bytes) -> bytes:
        """Decrypt the next message; a failure does not advance the sequence.

        Raises:
            DecryptionError: it is not the next message of this exchange.
        """
        try:
            plaintext = self._cipher.decrypt(self._next_nonce(), ciphertext, aad)
        except InvalidTag:
            raise DecryptionError("A sealed message does not open with this key.") from None
        self._sequence += 1
        return plaintext

    def export(self, context: bytes, length: int) -> bytes:
        """Return ``length`` bytes of secret for ``context`` (§5.3), at most 255 hashes."""
        return self._hpke.expand(self._exporter_secret, b"sec", context, length)

    def __repr__(self) -> str:
        return f"HpkeContext(sequence={self._sequence})"


class Hpke:
    """One HPKE suite in base mode; stateless and safe to share.

    Args:
        kem: KEM code point, see `KEMS`.
        kdf: 1 HKDF-SHA256, 2 HKDF-SHA384, 3 HKDF-SHA512.
        aead_id: 1 AES-128-GCM, 2 AES-256-GCM, 3 ChaCha20-Poly1305.

    Raises:
        UsageError: a code point is unknown.
    """

    def __init__(self, kem: int, kdf: int, aead_id: int) -> None:
        if kem not in KEMS or kdf not in _KDF_HASHES or aead_id not in _AEADS:
            raise UsageError("This combination of HPKE algorithms is not supported.")
        self.kem = KEMS[kem]
        self.suite_id = b"HPKE" + b"".join(n.to_bytes(2, "big") for n in (kem, kdf, aead_id))
        self.hash_name = _KDF_HASHES[kdf]
        self.hash_bytes = _HASH_BYTES[self.hash_name]
        self.aead_class, self.key_bytes = _AEADS[aead_id]
        prefix = VERSION_LABEL + self.suite_id
        psk_id_hash = hmac.digest(b"", prefix + b"psk_id_hash", self.hash_name)
        self._context_start = _MODE_BASE + psk_id_hash
        self._info_label = prefix + b"info_hash"
        self._secret_label = prefix + b"secret"
        self._key_label = self.key_bytes.to_bytes(2, "big") + prefix + b"key"
        self._nonce_label = _NONCE_BYTES.to_bytes(2, "big") + prefix + b"base_nonce"
        self._exporter_label = self.hash_bytes.to_bytes(2, "big") + prefix + b"exp"
        self._expand_prefix = prefix

    def derive_key_pair(self, ikm: bytes) -> tuple[bytes, bytes]:
        """Return the (private, public) pair determined by ``ikm``."""
        return self.kem.derive_key_pair(ikm)

    def generate_key_pair(self, random: Random = system_random) -> tuple[bytes, bytes]:
        """Return a fresh (private, public) pair."""
        return self.kem.derive_key_pair(random(self.kem.private_bytes))

    def public_key(self, private_key: bytes) -> bytes:
        """Return the public half of ``private_key``."""
        return self.kem.public_key(private_key)

    def seal(
        self,
        public_key: bytes,
        info: bytes,
        aad: bytes,
        plaintext: bytes,
        random: Random = system_random,
    ) -> tuple[bytes, bytes]:
        """Encrypt one message to ``public_key``; returns (encapsulated key, ciphertext).

        Raises:
            MalformedError: ``public_key`` is not a key of this suite.
        """
        return self.seal_in(public_key, self.info_context(info), aad, plaintext, random)

    def info_context(self, info: bytes) -> bytes:
        """Return the key schedule context of ``info`` (§5.1), to seal often under one info."""
        return self._context_start + hmac.digest(b"", self._info_label + info, self.hash_name)

    def seal_in(
        self, public_key: bytes, context: bytes, aad: bytes, plaintext: bytes, random: Random
    ) -> tuple[bytes, bytes]:
        """Do as `seal` does, under the info that `info_context` made ``context`` from.

        Raises:
            MalformedError: ``public_key`` is not a key of this suite.
        """
        shared, enc = self.kem.encapsulate(public_key, random)
        key, nonce, _ = self._message_key(shared, context)
        return enc, self.aead_class(key).encrypt(nonce, plaintext, aad)

    def open(
        self,
        private_key: bytes,
        enc: bytes,
        info: bytes,
        aad: bytes,
        ciphertext: bytes,
        *,
        public_key: bytes | None = None,
    ) -> bytes:
        """Decrypt what `seal` made; ``public_key``, where at hand, saves computing it.

        Raises:
            DecryptionError: key, context or ciphertext are not the ones sealed.
            MalformedError: ``enc`` is not an encapsulated key of this suite.
        """
        shared = self.kem.decapsulate(enc, private_key, public_key)
        key, nonce, _ = self._message_key(shared, self.info_context(info))
        return self.aead_open(key, nonce, ciphertext, aad)

    def aead_open(self, key: bytes, nonce: bytes, ciphertext: bytes, aad: bytes) -> bytes:
        """Decrypt with the suite's AEAD.

        Raises:
            DecryptionError: key, nonce, associated data or ciphertext do not fit.
        """
        try:
            return self.aead_class(key).decrypt(nonce, ciphertext, aad)
        except InvalidTag:
            raise DecryptionError("A sealed message does not open with this key.") from None

    def setup_sender(
        self, public_key: bytes, info: bytes, random: Random = system_random
    ) -> tuple[bytes, HpkeContext]:
        """SetupBaseS: returns (encapsulated key, context)."""
        shared, enc = self.kem.encapsulate(public_key, random)
        return enc, self._context(shared, info)

    def setup_receiver(
        self, enc: bytes, private_key: bytes, info: bytes, public_key: bytes | None = None
    ) -> HpkeContext:
        """SetupBaseR: the receiver's context for an encapsulated key."""
        return self._context(self.kem.decapsulate(enc, private_key, public_key), info)

    def expand(self, secret: bytes, label: bytes, info: bytes, length: int) -> bytes:
        """LabeledExpand under this suite's identifier (§4).

        Raises:
            UsageError: more than 255 hashes are asked for (§5.3).
        """
        if length > 255 * self.hash_bytes:
            raise UsageError("An HPKE secret cannot be that long.")
        labeled = length.to_bytes(2, "big") + self._expand_prefix + label + info
        block = b""
        output = b""
        counter = 1
        while len(output) < length:
            block = hmac.digest(secret, block + labeled + bytes((counter,)), self.hash_name)
            output += block
            counter += 1
        return output[:length]

    def _message_key(self, shared: bytes, context: bytes) -> tuple[bytes, bytes, bytes]:
        """Return (key, base nonce, secret) of §5.1."""
        digest, name = hmac.digest, self.hash_name
        secret = digest(shared, self._secret_label, name)
        tail = context + b"\x01"
        key = digest(secret, self._key_label + tail, name)[: self.key_bytes]
        return key, digest(secret, self._nonce_label + tail, name)[:_NONCE_BYTES], secret

    def _context(self, shared: bytes, info: bytes) -> HpkeContext:
        context = self.info_context(info)
        key, nonce, secret = self._message_key(shared, context)
        exporter = hmac.digest(secret, self._exporter_label + context + b"\x01", self.hash_name)
        return HpkeContext(self, key, nonce, exporter)

    def __repr__(self) -> str:
        return f"Hpke(suite_id={self.suite_id[4:].hex()})"


HYBRID = Hpke(xwing.XWing.kem_id, 1, 3)
"""MLKEM768-X25519, HKDF-SHA256, ChaCha20-Poly1305: Lutra's default."""
