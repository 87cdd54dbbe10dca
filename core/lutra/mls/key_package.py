"""Key packages: the offer to be added to a group (RFC 9420 §10)."""

from __future__ import annotations

from dataclasses import dataclass, field

from lutra.crypto.random import Random, system_random
from lutra.errors import MalformedError, UsageError
from lutra.mls.codec import Reader, decode_whole, u16, vector
from lutra.mls.errors import InvalidKeyPackageError, MlsMalformedError, MlsUsageError
from lutra.mls.leaf import (
    PROTOCOL_MLS10,
    SOURCE_KEY_PACKAGE,
    Capabilities,
    Credential,
    Extensions,
    LeafContent,
    LeafNode,
    Lifetime,
    decode_extensions,
    encode_extensions,
    grease_extension,
    sign_leaf,
    with_grease,
)
from lutra.mls.suites import SUITES, CipherSuite, suite_for

DEFAULT_CAPABILITIES = Capabilities(cipher_suites=tuple(SUITES))
"""MLS 1.0, every suite of this library, basic credentials, default extensions and proposals."""


@dataclass(frozen=True, slots=True, eq=False)
class KeyPackage:
    """A signed offer to be added (§10); use each once.

    Attributes:
        encoded: the key package as it travels, without the MLSMessage frame.
    """

    version: int
    suite_id: int
    init_key: bytes
    leaf: LeafNode
    extensions: Extensions
    signature: bytes
    encoded: bytes = field(repr=False)

    @classmethod
    def decode(cls, reader: Reader) -> KeyPackage:
        """Decode a KeyPackage."""
        start = reader.position
        return cls(
            reader.u16(),
            reader.u16(),
            reader.vector(),
            LeafNode.decode(reader),
            decode_extensions(reader),
            reader.vector(),
            reader.since(start),
        )

    def encode(self) -> bytes:
        """Return the encoding."""
        return self.encoded

    def reference(self) -> bytes:
        """Return the KeyPackageRef by which a Welcome names this key package (§5.2)."""
        suite = suite_for(self.suite_id)
        return suite.ref_hash(b"MLS 1.0 KeyPackage Reference", self.encoded)

    def check(self, suite: CipherSuite) -> None:
        """Check what a key package shows by itself (§10.1), its lifetime and credential excepted.

        Raises:
            InvalidKeyPackageError: a rule of §10.1 is broken.
            MlsMalformedError: a key is not one of the suite.
        """
        if self.version != PROTOCOL_MLS10 or self.suite_id != suite.suite_id:
            raise InvalidKeyPackageError("A key package is for another cipher suite.", "10.1")
        leaf = self.leaf
        if leaf.source != SOURCE_KEY_PACKAGE:
            raise InvalidKeyPackageError("A key package holds a leaf from elsewhere.", "10.1")
        if leaf.encryption_key == self.init_key:
            raise InvalidKeyPackageError("A key package uses one key for two purposes.", "10.1")
        suite.check_hpke_key(self.init_key, "10.1")
        suite.check_hpke_key(leaf.encryption_key, "10.1")
        unsigned = self.encoded[: -len(vector(self.signature))]
        if not suite.is_signed_with_label(
            leaf.signature_key, b"KeyPackageTBS", unsigned, self.signature
        ) or not leaf.is_signed(suite, b"", 0):
            raise InvalidKeyPackageError("A key package is not signed by its owner.", "10.1")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KeyPackage) and self.encoded == other.encoded

    def __hash__(self) -> int:
        return hash(self.encoded)


@dataclass(frozen=True, slots=True)
class KeyPackageBundle:
    """A key package with the private keys that belong to it; keep it secret until used.

    Attributes:
        key_package: what is published.
        init_private: opens the Welcome.
        leaf_private: private key of the leaf.
        signature_private: private signature key, in the suite's format.
    """

    key_package: KeyPackage
    init_private: bytes = field(repr=False)
    leaf_private: bytes = field(repr=False)
    signature_private: bytes = field(repr=False)

    def check_private_keys(self) -> None:
        """Check that the leaf's private keys are those of its public ones.

        Signing with another public key than one's own would give an Ed25519 private key away.

        Raises:
            MlsUsageError: they are not.
        """
        suite, leaf = suite_for(self.key_package.suite_id), self.key_package.leaf
        try:
            keys = (
                suite.hpke.public_key(self.leaf_private),
                suite.signatures.public_key(self.signature_private),
            )
        except (MalformedError, UsageError):
            keys = (b"", b"")
        if keys != (leaf.encryption_key, leaf.signature_key):
            raise MlsUsageError("A key package's private keys are not its own.", "10")

    def to_bytes(self) -> bytes:
        """Serialise, private keys included."""
        return (
            self.key_package.encoded
            + vector(self.init_private)
            + vector(self.leaf_private)
            + vector(self.signature_private)
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> KeyPackageBundle:
        """Read what `to_bytes` wrote.

        Raises:
            MlsMalformedError: the bytes are something else.
        """

        def decode(reader: Reader) -> KeyPackageBundle:
            return cls(KeyPackage.decode(reader), reader.vector(), reader.vector(), reader.vector())

        return decode_whole(decode, data)


def create_key_package(
    suite_id: int,
    credential: Credential,
    signature_private: bytes,
    *,
    lifetime: Lifetime,
    capabilities: Capabilities = DEFAULT_CAPABILITIES,
    leaf_extensions: Extensions = (),
    extensions: Extensions = (),
    grease: bool = True,
    random: Random = system_random,
) -> KeyPackageBundle:
    """Make a key package.

    Args:
        suite_id: cipher suite the key package is for.
        credential: whose it is.
        signature_private: private signature key, in the suite's format.
        lifetime: when others may use it.
        capabilities: what the device supports.
        leaf_extensions: extensions of the leaf, each listed in ``capabilities``.
        extensions: extensions of the key package itself.
        grease: add values that others must ignore, so that none forgets to (§13.5).
        random: source of the new keys.

    Raises:
        UnsupportedError: the suite is not implemented.
    """
    suite = suite_for(suite_id)
    if lifetime.not_after < lifetime.not_before:
        raise MlsMalformedError("A lifetime ends before it begins.", "7.2")
    init_private, init_key = suite.hpke.generate_key_pair(random)
    leaf_private, leaf_key = suite.hpke.generate_key_pair(random)
    public = suite.signatures.public_key(signature_private)
    if grease:
        capabilities = with_grease(capabilities, random)
        extensions = (*extensions, grease_extension(random, capabilities.extensions))
    leaf = sign_leaf(
        suite,
        LeafContent(credential, capabilities, leaf_extensions),
        encryption_key=leaf_key,
        signature_key=(signature_private, public),
        lifetime=lifetime,
    )
    unsigned = (
        u16(PROTOCOL_MLS10)
        + u16(suite_id)
        + vector(init_key)
        + leaf.encoded
        + encode_extensions(extensions)
    )
    signature = suite.sign_with_label(signature_private, public, b"KeyPackageTBS", unsigned)
    key_package = KeyPackage(
        PROTOCOL_MLS10,
        suite_id,
        init_key,
        leaf,
        extensions,
        signature,
        unsigned + vector(signature),
    )
    return KeyPackageBundle(key_package, init_private, leaf_private, signature_private)
