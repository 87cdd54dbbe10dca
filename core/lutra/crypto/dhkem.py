"""DHKEM (RFC 9180 §4.1) over X25519, X448 and the NIST curves."""

from __future__ import annotations

from typing import Protocol

from cryptography.exceptions import InternalError
from cryptography.hazmat.primitives.asymmetric import ec, x448
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from nacl import bindings
from nacl.exceptions import RuntimeError as SodiumError

from lutra.crypto.kem import labeled_expand, labeled_extract
from lutra.crypto.random import Random
from lutra.errors import MalformedError


class DhGroup(Protocol):
    """A Diffie-Hellman group with HPKE's serialisations (RFC 9180 §7.1)."""

    private_bytes: int
    public_bytes: int
    secret_bytes: int

    def derive_private(self, suite: bytes, prk: bytes, hash_name: str) -> bytes:
        """Return the private key that the extracted key material determines (§7.1.3)."""
        ...

    def public_key(self, private_key: bytes) -> bytes:
        """Return the public key; raise `MalformedError` unless ``private_key`` is a private one."""
        ...

    def exchange(self, private_key: bytes, public_key: bytes) -> bytes:
        """Return the shared point; raise `MalformedError` where §7.1.4 forbids it."""
        ...

    def check_public_key(self, public_key: bytes) -> None:
        """Raise `MalformedError` unless the bytes are a valid public key."""
        ...


_P25519 = 2**255 - 19
_P448 = 2**448 - 2**224 - 1
# Points whose shared secret with anybody is zero (RFC 7748 §6, §7), in all their encodings: a
# member with such a key could be added to a group, and nobody could seal to it afterwards.
_SMALL_ORDER_25519 = frozenset(
    u.to_bytes(32, "little")
    for u in (
        0,
        1,
        0x00B8495F16056286FDB1329CEB8D09DA6AC49FF1FAE35616AEB8413B7C7AEBE0,
        0x57119FD0DD4E22D8868E1C58C45C44045BEF839C55B1D0B1248C50A3BC959C5F,
        _P25519 - 1,
        _P25519,
        _P25519 + 1,
    )
)
_SMALL_ORDER_448 = frozenset(u.to_bytes(56, "little") for u in (0, 1, _P448 - 1, _P448, _P448 + 1))


def _check_private(private_key: bytes, length: int) -> None:
    # libsodium reads past the end of a key that is too short.
    if len(private_key) != length:
        raise MalformedError("A private key does not have the length of its algorithm's keys.")


class X25519Group:
    """X25519 through libsodium, which refuses all-zero results."""

    private_bytes = public_bytes = secret_bytes = 32

    def derive_private(self, suite: bytes, prk: bytes, hash_name: str) -> bytes:
        """See `DhGroup.derive_private`."""
        return labeled_expand(suite, prk, b"sk", b"", 32, hash_name=hash_name)

    def public_key(self, private_key: bytes) -> bytes:
        """See `DhGroup.public_key`."""
        _check_private(private_key, 32)
        return bindings.crypto_scalarmult_base(private_key)

    def exchange(self, private_key: bytes, public_key: bytes) -> bytes:
        """See `DhGroup.exchange`."""
        _check_private(private_key, 32)
        if len(public_key) != 32:
            raise MalformedError("A public key does not have the length of an X25519 key.")
        try:
            return bindings.crypto_scalarmult(private_key, public_key)
        except SodiumError:
            raise MalformedError("A public key is a point of small order.") from None

    def check_public_key(self, public_key: bytes) -> None:
        """See `DhGroup.check_public_key`."""
        if len(public_key) != 32:
            raise MalformedError("A public key does not have the length of an X25519 key.")
        # The highest bit is not part of the number (RFC 7748 §5).
        if public_key[:31] + bytes((public_key[31] & 0x7F,)) in _SMALL_ORDER_25519:
            raise MalformedError("A public key is a point of small order.")


class X448Group:
    """X448 through `cryptography`."""

    private_bytes = public_bytes = 56
    secret_bytes = 64

    def derive_private(self, suite: bytes, prk: bytes, hash_name: str) -> bytes:
        """See `DhGroup.derive_private`."""
        return labeled_expand(suite, prk, b"sk", b"", 56, hash_name=hash_name)

    def public_key(self, private_key: bytes) -> bytes:
        """See `DhGroup.public_key`."""
        _check_private(private_key, 56)
        key = x448.X448PrivateKey.from_private_bytes(private_key)
        return key.public_key().public_bytes_raw()

    def exchange(self, private_key: bytes, public_key: bytes) -> bytes:
        """See `DhGroup.exchange`."""
        _check_private(private_key, 56)
        try:
            peer = x448.X448PublicKey.from_public_bytes(public_key)
            return x448.X448PrivateKey.from_private_bytes(private_key).exchange(peer)
        except (ValueError, InternalError):
            raise MalformedError("A public key is not a usable X448 key.") from None

    def check_public_key(self, public_key: bytes) -> None:
        """See `DhGroup.check_public_key`."""
        if len(public_key) != 56:
            raise MalformedError("A public key does not have the length of an X448 key.")
        if public_key in _SMALL_ORDER_448:
            raise MalformedError("A public key is a point of small order.")


class NistGroup:
    """P-256, P-384 or P-521 through `cryptography`; public keys are uncompressed points."""

    def __init__(self, curve: ec.EllipticCurve, bitmask: int) -> None:
        self.private_bytes = (curve.key_size + 7) // 8
        self.public_bytes = 1 + 2 * self.private_bytes
        self.secret_bytes = {32: 32, 48: 48, 66: 64}[self.private_bytes]
        self._curve = curve
        self._order = curve.group_order
        self._bitmask = bitmask

    def derive_private(self, suite: bytes, prk: bytes, hash_name: str) -> bytes:
        """See `DhGroup.derive_private`; rejection sampling, at most 256 candidates."""
        for counter in range(256):
            candidate = labeled_expand(
                suite, prk, b"candidate", bytes((counter,)), self.private_bytes, hash_name=hash_name
            )
            candidate = bytes((candidate[0] & self._bitmask,)) + candidate[1:]
            if 0 < int.from_bytes(candidate, "big") < self._order:
                return candidate
        raise MalformedError("No private key can be derived from this material.")

    def _private(self, private_key: bytes) -> ec.EllipticCurvePrivateKey:
        # Some store these numbers without their leading zeros; the range is what counts.
        value = int.from_bytes(private_key, "big")
        if not 0 < value < self._order:
            raise MalformedError("A private key is outside the range of its curve.")
        return ec.derive_private_key(value, self._curve)

    def _public(self, public_key: bytes) -> ec.EllipticCurvePublicKey:
        if len(public_key) != self.public_bytes or public_key[0] != 4:
            raise MalformedError("A public key is not an uncompressed point of its curve.")
        try:
            return ec.EllipticCurvePublicKey.from_encoded_point(self._curve, public_key)
        except ValueError:
            raise MalformedError("A public key is not a point of its curve.") from None

    def public_key(self, private_key: bytes) -> bytes:
        """See `DhGroup.public_key`."""
        return (
            self._private(private_key)
            .public_key()
            .public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        )

    def exchange(self, private_key: bytes, public_key: bytes) -> bytes:
        """See `DhGroup.exchange`."""
        return self._private(private_key).exchange(ec.ECDH(), self._public(public_key))

    def check_public_key(self, public_key: bytes) -> None:
        """See `DhGroup.check_public_key`."""
        self._public(public_key)


class DhKem:
    """The KEM that RFC 9180 §4.1 builds from a Diffie-Hellman group and a hash."""

    def __init__(self, kem_id: int, group: DhGroup, hash_name: str) -> None:
        self.kem_id = kem_id
        self.private_bytes = group.private_bytes
        self.public_bytes = self.enc_bytes = group.public_bytes
        self._group = group
        self._hash = hash_name
        self._suite = b"KEM" + kem_id.to_bytes(2, "big")

    def derive_key_pair(self, ikm: bytes) -> tuple[bytes, bytes]:
        """See `Kem.derive_key_pair`."""
        prk = labeled_extract(self._suite, b"", b"dkp_prk", ikm, hash_name=self._hash)
        private = self._group.derive_private(self._suite, prk, self._hash)
        return private, self._group.public_key(private)

    def public_key(self, private_key: bytes) -> bytes:
        """See `Kem.public_key`."""
        return self._group.public_key(private_key)

    def check_public_key(self, public_key: bytes) -> None:
        """See `Kem.check_public_key`."""
        self._group.check_public_key(public_key)

    def encapsulate(self, public_key: bytes, random: Random) -> tuple[bytes, bytes]:
        """See `Kem.encapsulate`."""
        if isinstance(self._group, X25519Group):
            # Clamping makes any 32 random bytes a uniform X25519 key: no derivation needed.
            ephemeral = random(32)
            enc = bindings.crypto_scalarmult_base(ephemeral)
        else:
            ephemeral, enc = self.derive_key_pair(random(self.private_bytes))
        return self._shared(self._group.exchange(ephemeral, public_key), enc, public_key), enc

    def decapsulate(self, enc: bytes, private_key: bytes, public_key: bytes | None) -> bytes:
        """See `Kem.decapsulate`."""
        shared = self._group.exchange(private_key, enc)
        return self._shared(shared, enc, public_key or self._group.public_key(private_key))

    def _shared(self, dh: bytes, enc: bytes, public_key: bytes) -> bytes:
        prk = labeled_extract(self._suite, b"", b"eae_prk", dh, hash_name=self._hash)
        return labeled_expand(
            self._suite,
            prk,
            b"shared_secret",
            enc + public_key,
            self._group.secret_bytes,
            hash_name=self._hash,
        )


P256 = DhKem(0x0010, NistGroup(ec.SECP256R1(), 0xFF), "sha256")
P384 = DhKem(0x0011, NistGroup(ec.SECP384R1(), 0xFF), "sha384")
P521 = DhKem(0x0012, NistGroup(ec.SECP521R1(), 0x01), "sha512")
X25519 = DhKem(0x0020, X25519Group(), "sha256")
X448 = DhKem(0x0021, X448Group(), "sha512")
