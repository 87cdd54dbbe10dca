"""Leaf nodes: credentials, capabilities, lifetimes, extensions (RFC 9420 §5.3, §7.2)."""

from __future__ import annotations

from dataclasses import dataclass, field

from lutra.crypto.random import Random
from lutra.mls.codec import Reader, u16, u16_vector, u32, u64, vector
from lutra.mls.errors import MlsMalformedError, UnsupportedError
from lutra.mls.suites import CipherSuite

PROTOCOL_MLS10 = 1

CREDENTIAL_BASIC = 1
CREDENTIAL_X509 = 2

SOURCE_KEY_PACKAGE = 1
SOURCE_UPDATE = 2
SOURCE_COMMIT = 3

EXTENSION_APPLICATION_ID = 1
EXTENSION_RATCHET_TREE = 2
EXTENSION_REQUIRED_CAPABILITIES = 3
EXTENSION_EXTERNAL_PUB = 4
EXTENSION_EXTERNAL_SENDERS = 5
DEFAULT_EXTENSIONS = frozenset(range(1, 6))
"""Extension types everybody supports and nobody lists (§7.2)."""

DEFAULT_PROPOSALS = frozenset(range(1, 8))
"""Proposal types everybody supports and nobody lists (§7.2)."""

GREASE = tuple(0x0A0A + 0x1010 * index for index in range(15))
"""Values that must be ignored wherever unknown values may appear (§13.5)."""


@dataclass(frozen=True, slots=True)
class Credential:
    """Who a key claims to belong to (§5.3).

    Attributes:
        credential_type: 1 basic, 2 X.509.
        identity: for basic credentials, in the application's own format.
        certificates: for X.509, DER certificates, end entity first; not interpreted here.
    """

    credential_type: int
    identity: bytes = b""
    certificates: tuple[bytes, ...] = ()

    @classmethod
    def basic(cls, identity: bytes) -> Credential:
        """Make a basic credential."""
        return cls(CREDENTIAL_BASIC, identity)

    def encode(self) -> bytes:
        """Encode as Credential."""
        if self.credential_type == CREDENTIAL_BASIC:
            return b"\x00\x01" + vector(self.identity)
        certificates = b"".join(vector(certificate) for certificate in self.certificates)
        return u16(self.credential_type) + vector(certificates)

    @classmethod
    def decode(cls, reader: Reader) -> Credential:
        """Decode a Credential; unknown types cannot be delimited and are refused."""
        credential_type = reader.u16()
        if credential_type == CREDENTIAL_BASIC:
            return cls(CREDENTIAL_BASIC, reader.vector())
        if credential_type == CREDENTIAL_X509:
            return cls(CREDENTIAL_X509, b"", reader.items(Reader.vector))
        raise UnsupportedError(
            "A credential is of an unknown type.", "5.3", credential_type=credential_type
        )


@dataclass(frozen=True, slots=True)
class Extension:
    """A typed extension (§13.4)."""

    extension_type: int
    data: bytes

    def encode(self) -> bytes:
        """Encode as Extension."""
        return u16(self.extension_type) + vector(self.data)

    @classmethod
    def decode(cls, reader: Reader) -> Extension:
        """Decode an Extension."""
        return cls(reader.u16(), reader.vector())


Extensions = tuple[Extension, ...]


def encode_extensions(extensions: Extensions) -> bytes:
    """Encode ``Extension extensions<V>``."""
    return vector(b"".join(extension.encode() for extension in extensions))


def decode_extensions(reader: Reader) -> Extensions:
    """Decode ``Extension extensions<V>``; no type may appear twice (§13.4)."""
    extensions = reader.items(Extension.decode)
    if len(extensions) > 1 and len({e.extension_type for e in extensions}) < len(extensions):
        raise MlsMalformedError("A list holds two extensions of one type.", "13.4")
    return extensions


def find_extension(extensions: Extensions, extension_type: int) -> bytes | None:
    """Return the data of the extension of a type, if there is one."""
    for extension in extensions:
        if extension.extension_type == extension_type:
            return extension.data
    return None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a client supports (§7.2); values listed by default everywhere are left out."""

    versions: tuple[int, ...] = (PROTOCOL_MLS10,)
    cipher_suites: tuple[int, ...] = ()
    extensions: tuple[int, ...] = ()
    proposals: tuple[int, ...] = ()
    credentials: tuple[int, ...] = (CREDENTIAL_BASIC,)

    def encode(self) -> bytes:
        """Encode as Capabilities."""
        return (
            u16_vector(self.versions)
            + u16_vector(self.cipher_suites)
            + u16_vector(self.extensions)
            + u16_vector(self.proposals)
            + u16_vector(self.credentials)
        )

    @classmethod
    def decode(cls, reader: Reader) -> Capabilities:
        """Decode Capabilities."""
        return cls(
            reader.u16_items(),
            reader.u16_items(),
            reader.u16_items(),
            reader.u16_items(),
            reader.u16_items(),
        )

    def supported_extensions(self) -> frozenset[int]:
        """Return all extension types supported, those of RFC 9420 included."""
        return DEFAULT_EXTENSIONS.union(self.extensions)

    def supported_proposals(self) -> frozenset[int]:
        """Return all proposal types supported, those of RFC 9420 included."""
        return DEFAULT_PROPOSALS.union(self.proposals)


def with_grease(capabilities: Capabilities, random: Random) -> Capabilities:
    """Add one GREASE value to each list that others must tolerate one in (§13.5)."""
    picks = [GREASE[byte % len(GREASE)] for byte in random(4)]
    return Capabilities(
        capabilities.versions,
        (*capabilities.cipher_suites, picks[0]),
        (*capabilities.extensions, picks[1]),
        (*capabilities.proposals, picks[2]),
        (*capabilities.credentials, picks[3]),
    )


def grease_extension(random: Random, listed: tuple[int, ...] = GREASE) -> Extension:
    """Make an extension of a GREASE type, of those ``listed``, with a few random bytes (§13.5)."""
    choices = [kind for kind in listed if kind in GREASE] or GREASE
    pick, length = random(2)
    return Extension(choices[pick % len(choices)], random(length % 16))


@dataclass(frozen=True, slots=True)
class Lifetime:
    """When a leaf from a key package is valid: seconds since 1970, both ends included."""

    not_before: int
    not_after: int


@dataclass(frozen=True, slots=True)
class RequiredCapabilities:
    """What every member must support: the required_capabilities extension (§11.1)."""

    extensions: tuple[int, ...] = ()
    proposals: tuple[int, ...] = ()
    credentials: tuple[int, ...] = ()

    def encode(self) -> bytes:
        """Encode as RequiredCapabilities."""
        return (
            u16_vector(self.extensions) + u16_vector(self.proposals) + u16_vector(self.credentials)
        )

    @classmethod
    def decode(cls, reader: Reader) -> RequiredCapabilities:
        """Decode RequiredCapabilities."""
        return cls(reader.u16_items(), reader.u16_items(), reader.u16_items())

    def extension(self) -> Extension:
        """Return the GroupContext extension that states these requirements."""
        return Extension(EXTENSION_REQUIRED_CAPABILITIES, self.encode())


@dataclass(frozen=True, slots=True)
class ExternalSender:
    """Someone outside who may propose: an entry of the external_senders extension (§12.1.8.1)."""

    signature_key: bytes
    credential: Credential

    def encode(self) -> bytes:
        """Encode as ExternalSender."""
        return vector(self.signature_key) + self.credential.encode()

    @classmethod
    def decode(cls, reader: Reader) -> ExternalSender:
        """Decode an ExternalSender."""
        return cls(reader.vector(), Credential.decode(reader))


def external_senders_extension(senders: tuple[ExternalSender, ...]) -> Extension:
    """Return the GroupContext extension that admits external senders."""
    return Extension(
        EXTENSION_EXTERNAL_SENDERS, vector(b"".join(sender.encode() for sender in senders))
    )


@dataclass(frozen=True, slots=True, eq=False)
class LeafNode:
    """A member's leaf (§7.2), signed by the member.

    Attributes:
        source: 1 key package, 2 update, 3 commit.
        lifetime: present for leaves from key packages.
        parent_hash: present for leaves from commits.
        encoded: the leaf as it travels; equality of leaves is equality of these bytes.
    """

    encryption_key: bytes
    signature_key: bytes
    credential: Credential
    capabilities: Capabilities
    source: int
    lifetime: Lifetime | None
    parent_hash: bytes | None
    extensions: Extensions
    signature: bytes
    encoded: bytes = field(repr=False)

    @classmethod
    def decode(cls, reader: Reader) -> LeafNode:
        """Decode a LeafNode."""
        start = reader.position
        encryption_key = reader.vector()
        signature_key = reader.vector()
        credential = Credential.decode(reader)
        capabilities = Capabilities.decode(reader)
        source = reader.u8()
        lifetime = parent_hash = None
        if source == SOURCE_KEY_PACKAGE:
            lifetime = Lifetime(reader.u64(), reader.u64())
        elif source == SOURCE_COMMIT:
            parent_hash = reader.vector()
        elif source != SOURCE_UPDATE:
            raise MlsMalformedError("A leaf node has an unknown source.", "7.2")
        extensions = decode_extensions(reader)
        signature = reader.vector()
        return cls(
            encryption_key,
            signature_key,
            credential,
            capabilities,
            source,
            lifetime,
            parent_hash,
            extensions,
            signature,
            reader.since(start),
        )

    def is_signed(self, suite: CipherSuite, group_id: bytes, leaf_index: int) -> bool:
        """Tell whether the leaf's signature is valid at its place in its group."""
        unsigned = self.encoded[: -len(vector(self.signature))]
        content = _to_be_signed(unsigned, self.source, group_id, leaf_index)
        return suite.is_signed_with_label(
            self.signature_key, b"LeafNodeTBS", content, self.signature
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LeafNode) and self.encoded == other.encoded

    def __hash__(self) -> int:
        return hash(self.encoded)


def _to_be_signed(unsigned: bytes, source: int, group_id: bytes, leaf_index: int) -> bytes:
    if source == SOURCE_KEY_PACKAGE:
        return unsigned
    return unsigned + vector(group_id) + u32(leaf_index)


@dataclass(frozen=True, slots=True)
class LeafContent:
    """What a member says about itself in a leaf, apart from keys."""

    credential: Credential
    capabilities: Capabilities
    extensions: Extensions = ()

    @classmethod
    def of(cls, leaf: LeafNode) -> LeafContent:
        """Return what an existing leaf says."""
        return cls(leaf.credential, leaf.capabilities, leaf.extensions)


def sign_leaf(
    suite: CipherSuite,
    content: LeafContent,
    *,
    encryption_key: bytes,
    signature_key: tuple[bytes, bytes],
    lifetime: Lifetime | None = None,
    parent_hash: bytes | None = None,
    group_id: bytes = b"",
    leaf_index: int = 0,
) -> LeafNode:
    """Make and sign a leaf node.

    A ``lifetime`` makes a leaf for a key package, a ``parent_hash`` one for a commit, neither one
    for an update. ``signature_key`` is (private, public).
    """
    private_key, public_key = signature_key
    if lifetime is not None:
        source = SOURCE_KEY_PACKAGE
        varying = u64(lifetime.not_before) + u64(lifetime.not_after)
    elif parent_hash is not None:
        source = SOURCE_COMMIT
        varying = vector(parent_hash)
    else:
        source = SOURCE_UPDATE
        varying = b""
    unsigned = (
        vector(encryption_key)
        + vector(public_key)
        + content.credential.encode()
        + content.capabilities.encode()
        + bytes((source,))
        + varying
        + encode_extensions(content.extensions)
    )
    signature = suite.sign_with_label(
        private_key,
        public_key,
        b"LeafNodeTBS",
        _to_be_signed(unsigned, source, group_id, leaf_index),
    )
    return LeafNode(
        encryption_key,
        public_key,
        content.credential,
        content.capabilities,
        source,
        lifetime,
        parent_hash,
        content.extensions,
        signature,
        unsigned + vector(signature),
    )
