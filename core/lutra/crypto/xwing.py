"""X-Wing, the hybrid of ML-KEM-768 and X25519, as HPKE KEM 0x647A (MLKEM768-X25519).

The mechanism is draft-connolly-cfrg-xwing-kem; DeriveKeyPair is draft-ietf-hpke-pq's, which hashes
the key material with labels. A private key is the 32-byte seed of both halves.
"""

from __future__ import annotations

import hashlib

from cryptography.exceptions import InternalError
from cryptography.hazmat.primitives.asymmetric import mlkem
from nacl import bindings
from nacl.exceptions import RuntimeError as SodiumError

from lutra.crypto.kem import VERSION_LABEL
from lutra.crypto.random import Random
from lutra.errors import MalformedError

_MLKEM_PUBLIC_BYTES = 1184
_MLKEM_CIPHERTEXT_BYTES = 1088
_MLKEM_MODULUS = 3329
_MLKEM_NUMBER_BYTES = 1152
"""Where the numbers of 12 bits in a public key end and the seed of its matrix begins."""
_EACH_24_BITS = sum(1 << place for place in range(0, _MLKEM_NUMBER_BYTES * 8, 24))
_EVEN = _EACH_24_BITS * 0xFFF
_UP_TO_CARRY = _EACH_24_BITS * (0x1000 - _MLKEM_MODULUS)
_CARRIES = _EACH_24_BITS << 12
_COMBINER_LABEL = b"\\.//^\\"


def _expand(seed: bytes) -> tuple[mlkem.MLKEM768PrivateKey, bytes]:
    expanded = hashlib.shake_256(seed).digest(96)
    return mlkem.MLKEM768PrivateKey.from_seed_bytes(expanded[:64]), expanded[64:]


def _check_private(private_key: bytes) -> None:
    if len(private_key) != XWing.private_bytes:
        raise MalformedError("A private key does not have the length of an X-Wing seed.")


class XWing:
    """KEM 0x647A; see `lutra.crypto.kem.Kem` for the operations."""

    kem_id = 0x647A
    private_bytes = 32
    public_bytes = _MLKEM_PUBLIC_BYTES + 32
    enc_bytes = _MLKEM_CIPHERTEXT_BYTES + 32

    def derive_key_pair(self, ikm: bytes) -> tuple[bytes, bytes]:
        """DeriveKeyPair of draft-ietf-hpke-pq: SHAKE256.LabeledDerive of the seed."""
        label = b"DeriveKeyPair"
        labeled = b"%b%bKEM%b%b%b%b" % (
            ikm,
            VERSION_LABEL,
            self.kem_id.to_bytes(2, "big"),
            len(label).to_bytes(2, "big"),
            label,
            self.private_bytes.to_bytes(2, "big"),
        )
        seed = hashlib.shake_256(labeled).digest(self.private_bytes)
        return seed, self.public_key(seed)

    def public_key(self, private_key: bytes) -> bytes:
        """Return the public key of a 32-byte seed."""
        _check_private(private_key)
        post_quantum, classical = _expand(private_key)
        return post_quantum.public_key().public_bytes_raw() + bindings.crypto_scalarmult_base(
            classical
        )

    def check_public_key(self, public_key: bytes) -> None:
        """Raise `MalformedError` unless the bytes are a public key.

        This is all that FIPS 203 (§7.2) asks of one: its length, and that its numbers are below
        the modulus. The library tells the same, but expands the key to its matrix first.
        """
        if len(public_key) != self.public_bytes:
            raise MalformedError("A public key does not have the length of an X-Wing key.")
        numbers = int.from_bytes(public_key[:_MLKEM_NUMBER_BYTES], "little")
        # Every other number, and then the others, so that there is room for each one's carry.
        if ((numbers & _EVEN) + _UP_TO_CARRY | (numbers >> 12 & _EVEN) + _UP_TO_CARRY) & _CARRIES:
            raise MalformedError("A public key is not a valid ML-KEM-768 key.")

    def encapsulate(self, public_key: bytes, random: Random) -> tuple[bytes, bytes]:
        """Return (shared secret, encapsulation).

        ``random`` feeds the X25519 half; the ML-KEM half draws from the library's own generator,
        which offers no other way.
        """
        post_quantum = self._parse(public_key)
        classical = public_key[_MLKEM_PUBLIC_BYTES:]
        ephemeral = random(32)
        shared_pq, ciphertext = post_quantum.encapsulate()
        enc_classical = bindings.crypto_scalarmult_base(ephemeral)
        shared_classical = _exchange(ephemeral, classical)
        shared = _combine(shared_pq, shared_classical, enc_classical, classical)
        return shared, ciphertext + enc_classical

    def decapsulate(self, enc: bytes, private_key: bytes, public_key: bytes | None) -> bytes:
        """Return the shared secret of an encapsulation."""
        if len(enc) != self.enc_bytes:
            raise MalformedError("An encapsulated key does not have the length of X-Wing's.")
        _check_private(private_key)
        post_quantum, classical = _expand(private_key)
        shared_pq = post_quantum.decapsulate(enc[:_MLKEM_CIPHERTEXT_BYTES])
        enc_classical = enc[_MLKEM_CIPHERTEXT_BYTES:]
        shared_classical = _exchange(classical, enc_classical)
        if public_key is None:
            own = bindings.crypto_scalarmult_base(classical)
        else:
            own = public_key[_MLKEM_PUBLIC_BYTES:]
        return _combine(shared_pq, shared_classical, enc_classical, own)

    def _parse(self, public_key: bytes) -> mlkem.MLKEM768PublicKey:
        if len(public_key) != self.public_bytes:
            raise MalformedError("A public key does not have the length of an X-Wing key.")
        try:
            return mlkem.MLKEM768PublicKey.from_public_bytes(public_key[:_MLKEM_PUBLIC_BYTES])
        except (ValueError, InternalError):
            raise MalformedError("A public key is not a valid ML-KEM-768 key.") from None


def _exchange(private_key: bytes, public_key: bytes) -> bytes:
    # X-Wing does not reject small-order points: the combiner covers them, and a zero result is
    # what X25519 yields there.
    try:
        return bindings.crypto_scalarmult(private_key, public_key)
    except SodiumError:
        return bytes(32)


def _combine(shared_pq: bytes, shared_classical: bytes, enc: bytes, public_key: bytes) -> bytes:
    return hashlib.sha3_256(
        shared_pq + shared_classical + enc + public_key + _COMBINER_LABEL
    ).digest()


XWING = XWing()
