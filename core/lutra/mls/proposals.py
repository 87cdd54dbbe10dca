"""Proposals and commits: what changes a group (RFC 9420 §12.1, §12.4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from lutra.mls.codec import Reader, optional, u16, u32, u64, vector
from lutra.mls.errors import MlsMalformedError, UnsupportedError
from lutra.mls.key_package import KeyPackage
from lutra.mls.leaf import Extensions, LeafNode, decode_extensions, encode_extensions

ADD = 1
UPDATE = 2
REMOVE = 3
PSK = 4
REINIT = 5
EXTERNAL_INIT = 6
GROUP_CONTEXT_EXTENSIONS = 7
PRIVATE_USE = 0xF000
"""The first proposal type of the private-use range; there, bodies are one opaque vector."""

PSK_EXTERNAL = 1
PSK_RESUMPTION = 2

USAGE_APPLICATION = 1
USAGE_REINIT = 2
USAGE_BRANCH = 3


@dataclass(frozen=True, slots=True)
class PreSharedKeyId:
    """Names a pre-shared key (§8.4).

    Attributes:
        psk_type: 1 external, 2 resumption.
        psk_id: name of an external key.
        usage: of a resumption key: 1 application, 2 re-initialisation, 3 branching.
        group_id: group of a resumption key.
        epoch: epoch of a resumption key.
        nonce: fresh for every use, as long as the suite's hash.
    """

    psk_type: int
    nonce: bytes
    psk_id: bytes = b""
    usage: int = 0
    group_id: bytes = b""
    epoch: int = 0

    @classmethod
    def external(cls, psk_id: bytes, nonce: bytes) -> PreSharedKeyId:
        """Name an external key."""
        return cls(PSK_EXTERNAL, nonce, psk_id)

    @classmethod
    def resumption(
        cls, group_id: bytes, epoch: int, nonce: bytes, usage: int = USAGE_APPLICATION
    ) -> PreSharedKeyId:
        """Name the resumption key of an epoch."""
        return cls(PSK_RESUMPTION, nonce, b"", usage, group_id, epoch)

    def encode(self) -> bytes:
        """Encode as PreSharedKeyID."""
        if self.psk_type == PSK_EXTERNAL:
            return b"\x01" + vector(self.psk_id) + vector(self.nonce)
        return (
            bytes((self.psk_type, self.usage))
            + vector(self.group_id)
            + u64(self.epoch)
            + vector(self.nonce)
        )

    @classmethod
    def decode(cls, reader: Reader) -> PreSharedKeyId:
        """Decode a PreSharedKeyID."""
        psk_type = reader.u8()
        if psk_type == PSK_EXTERNAL:
            psk_id = reader.vector()
            return cls(psk_type, reader.vector(), psk_id)
        if psk_type != PSK_RESUMPTION:
            raise MlsMalformedError("A pre-shared key is of an unknown type.", "8.4")
        usage = reader.u8()
        if usage not in {USAGE_APPLICATION, USAGE_REINIT, USAGE_BRANCH}:
            raise MlsMalformedError("A resumption key has an unknown usage.", "8.4")
        group_id = reader.vector()
        epoch = reader.u64()
        return cls(psk_type, reader.vector(), b"", usage, group_id, epoch)


@dataclass(frozen=True, slots=True)
class Add:
    """Add the owner of a key package (§12.1.1)."""

    key_package: KeyPackage
    proposal_type = ADD

    def encode_body(self) -> bytes:
        """Encode as Add."""
        return self.key_package.encoded


@dataclass(frozen=True, slots=True)
class Update:
    """Replace the sender's leaf (§12.1.2)."""

    leaf: LeafNode
    proposal_type = UPDATE

    def encode_body(self) -> bytes:
        """Encode as Update."""
        return self.leaf.encoded


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove the member at a leaf index (§12.1.3)."""

    removed: int
    proposal_type = REMOVE

    def encode_body(self) -> bytes:
        """Encode as Remove."""
        return u32(self.removed)


@dataclass(frozen=True, slots=True)
class PreSharedKey:
    """Mix a pre-shared key into the key schedule (§12.1.4)."""

    psk: PreSharedKeyId
    proposal_type = PSK

    def encode_body(self) -> bytes:
        """Encode as PreSharedKey."""
        return self.psk.encode()


@dataclass(frozen=True, slots=True)
class ReInit:
    """Close the group and go on in a new one with these parameters (§12.1.5)."""

    group_id: bytes
    version: int
    suite_id: int
    extensions: Extensions
    proposal_type = REINIT

    def encode_body(self) -> bytes:
        """Encode as ReInit."""
        return (
            vector(self.group_id)
            + u16(self.version)
            + u16(self.suite_id)
            + encode_extensions(self.extensions)
        )


@dataclass(frozen=True, slots=True)
class ExternalInit:
    """Start the next epoch from a secret sealed to the group (§12.1.6)."""

    kem_output: bytes
    proposal_type = EXTERNAL_INIT

    def encode_body(self) -> bytes:
        """Encode as ExternalInit."""
        return vector(self.kem_output)


@dataclass(frozen=True, slots=True)
class GroupContextExtensions:
    """Replace the extensions of the group context (§12.1.7)."""

    extensions: Extensions
    proposal_type = GROUP_CONTEXT_EXTENSIONS

    def encode_body(self) -> bytes:
        """Encode as GroupContextExtensions."""
        return encode_extensions(self.extensions)


@dataclass(frozen=True, slots=True)
class CustomProposal:
    """A proposal of a private-use type: the application's business, carried by MLS (§12.1).

    Valid only where every member lists the type in its capabilities; it needs a path.
    """

    proposal_type: int
    body: bytes

    def encode_body(self) -> bytes:
        """Encode the body, one opaque vector."""
        return vector(self.body)


Proposal = (
    Add
    | Update
    | Remove
    | PreSharedKey
    | ReInit
    | ExternalInit
    | GroupContextExtensions
    | CustomProposal
)


def encode_proposal(proposal: Proposal) -> bytes:
    """Encode as Proposal."""
    return u16(proposal.proposal_type) + proposal.encode_body()


def decode_proposal(reader: Reader) -> Proposal:
    """Decode a Proposal; a type whose body is unknown cannot be delimited and is refused."""
    proposal_type = reader.u16()
    match proposal_type:
        case 1:
            return Add(KeyPackage.decode(reader))
        case 2:
            return Update(LeafNode.decode(reader))
        case 3:
            return Remove(reader.u32())
        case 4:
            return PreSharedKey(PreSharedKeyId.decode(reader))
        case 5:
            return ReInit(reader.vector(), reader.u16(), reader.u16(), decode_extensions(reader))
        case 6:
            return ExternalInit(reader.vector())
        case 7:
            return GroupContextExtensions(decode_extensions(reader))
        case _ if proposal_type >= PRIVATE_USE:
            return CustomProposal(proposal_type, reader.vector())
        case _:
            raise UnsupportedError(
                "A proposal is of an unknown type.", "13.2", proposal_type=proposal_type
            )


ProposalOrRef = Proposal | bytes
"""A proposal by value, or the reference of one sent before."""


def encode_proposal_or_ref(entry: ProposalOrRef) -> bytes:
    """Encode as ProposalOrRef."""
    if isinstance(entry, bytes):
        return b"\x02" + vector(entry)
    return b"\x01" + encode_proposal(entry)


def _decode_proposal_or_ref(reader: Reader) -> ProposalOrRef:
    kind = reader.u8()
    if kind == 1:
        return decode_proposal(reader)
    if kind == 2:
        return reader.vector()
    raise MlsMalformedError("A commit names a proposal in an unknown way.", "12.4")


class HpkeCiphertext(NamedTuple):
    """A secret sealed to a public key (§7.6)."""

    kem_output: bytes
    ciphertext: bytes

    def encode(self) -> bytes:
        """Encode as HPKECiphertext."""
        return vector(self.kem_output) + vector(self.ciphertext)

    @classmethod
    def decode(cls, reader: Reader) -> HpkeCiphertext:
        """Decode an HPKECiphertext."""
        return cls(reader.vector(), reader.vector())


@dataclass(frozen=True, slots=True)
class UpdatePathNode:
    """A new node key with its path secret, sealed to the copath's resolution (§7.6)."""

    encryption_key: bytes
    encrypted_path_secrets: tuple[HpkeCiphertext, ...]

    def encode(self) -> bytes:
        """Encode as UpdatePathNode."""
        sealed = b"".join(secret.encode() for secret in self.encrypted_path_secrets)
        return vector(self.encryption_key) + vector(sealed)

    @classmethod
    def decode(cls, reader: Reader) -> UpdatePathNode:
        """Decode an UpdatePathNode."""
        return cls(reader.vector(), reader.items(HpkeCiphertext.decode))


@dataclass(frozen=True, slots=True)
class UpdatePath:
    """New keys for a member's leaf and filtered direct path (§7.6)."""

    leaf: LeafNode
    nodes: tuple[UpdatePathNode, ...]

    def encode(self) -> bytes:
        """Encode as UpdatePath."""
        return self.leaf.encoded + vector(b"".join(node.encode() for node in self.nodes))

    @classmethod
    def decode(cls, reader: Reader) -> UpdatePath:
        """Decode an UpdatePath."""
        return cls(LeafNode.decode(reader), reader.items(UpdatePathNode.decode))


@dataclass(frozen=True, slots=True)
class Commit:
    """A list of proposals taking effect, and perhaps new keys of the committer (§12.4)."""

    proposals: tuple[ProposalOrRef, ...]
    path: UpdatePath | None
    encoded: bytes = field(repr=False, compare=False, default=b"")

    def encode(self) -> bytes:
        """Encode as Commit."""
        if self.encoded:
            return self.encoded
        proposals = b"".join(encode_proposal_or_ref(entry) for entry in self.proposals)
        return vector(proposals) + optional(None if self.path is None else self.path.encode())

    @classmethod
    def decode(cls, reader: Reader) -> Commit:
        """Decode a Commit."""
        start = reader.position
        proposals = reader.items(_decode_proposal_or_ref)
        path = UpdatePath.decode(reader) if reader.present() else None
        return cls(proposals, path, reader.since(start))
