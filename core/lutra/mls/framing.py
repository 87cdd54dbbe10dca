"""Message framing: content, its authentication, and the public form (RFC 9420 §6)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from lutra.mls.codec import Reader, u16, u32, u64, vector
from lutra.mls.errors import MlsMalformedError
from lutra.mls.key_schedule import GroupContext
from lutra.mls.leaf import PROTOCOL_MLS10
from lutra.mls.proposals import Commit, Proposal, decode_proposal, encode_proposal
from lutra.mls.suites import CipherSuite


class WireFormat(IntEnum):
    """What an MLSMessage carries (§6)."""

    PUBLIC_MESSAGE = 1
    PRIVATE_MESSAGE = 2
    WELCOME = 3
    GROUP_INFO = 4
    KEY_PACKAGE = 5


class ContentType(IntEnum):
    """What a framed message contains (§6)."""

    APPLICATION = 1
    PROPOSAL = 2
    COMMIT = 3


class SenderType(IntEnum):
    """In what capacity a message was sent (§6)."""

    MEMBER = 1
    EXTERNAL = 2
    NEW_MEMBER_PROPOSAL = 3
    NEW_MEMBER_COMMIT = 4


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sent a message.

    Attributes:
        sender_type: member, external, or new member.
        index: leaf index of a member, place in external_senders of an external sender, else 0.
    """

    sender_type: SenderType
    index: int = 0

    @classmethod
    def member(cls, leaf_index: int) -> Sender:
        """Make the sender for a member's leaf."""
        return cls(SenderType.MEMBER, leaf_index)

    def encode(self) -> bytes:
        """Encode as Sender."""
        if self.sender_type <= SenderType.EXTERNAL:
            return bytes((self.sender_type,)) + u32(self.index)
        return bytes((self.sender_type,))

    @classmethod
    def decode(cls, reader: Reader) -> Sender:
        """Decode a Sender."""
        kind = reader.u8()
        if not 1 <= kind <= 4:
            raise MlsMalformedError("A message has an unknown type of sender.", "6")
        return cls(SenderType(kind), reader.u32() if kind <= SenderType.EXTERNAL else 0)


Body = bytes | Proposal | Commit
"""Application data, a proposal, or a commit."""


def content_type_of(body: Body) -> ContentType:
    """Return the content type that fits a body."""
    if isinstance(body, bytes):
        return ContentType.APPLICATION
    return ContentType.COMMIT if isinstance(body, Commit) else ContentType.PROPOSAL


def encode_body(body: Body) -> bytes:
    """Encode the content of a frame."""
    if isinstance(body, bytes):
        return vector(body)
    return body.encode() if isinstance(body, Commit) else encode_proposal(body)


def decode_content_type(reader: Reader) -> ContentType:
    """Decode a ContentType."""
    kind = reader.u8()
    if not 1 <= kind <= 3:
        raise MlsMalformedError("A message has an unknown type of content.", "6")
    return ContentType(kind)


def decode_body(reader: Reader, content_type: ContentType) -> Body:
    """Decode the content of a frame."""
    if content_type is ContentType.APPLICATION:
        return reader.vector()
    if content_type is ContentType.COMMIT:
        return Commit.decode(reader)
    return decode_proposal(reader)


@dataclass(frozen=True, slots=True)
class FramedContent:
    """A message's content with its place and sender (§6).

    Attributes:
        encoded: the FramedContent as it is signed and hashed.
    """

    group_id: bytes
    epoch: int
    sender: Sender
    authenticated_data: bytes
    body: Body = field(repr=False)
    encoded: bytes = field(repr=False)

    @classmethod
    def create(
        cls, group_id: bytes, epoch: int, sender: Sender, authenticated_data: bytes, body: Body
    ) -> FramedContent:
        """Make a FramedContent and its encoding."""
        return cls.of_encoded(
            group_id, epoch, sender, authenticated_data, body=body, encoded_body=encode_body(body)
        )

    @classmethod
    def of_encoded(
        cls,
        group_id: bytes,
        epoch: int,
        sender: Sender,
        authenticated_data: bytes,
        *,
        body: Body,
        encoded_body: bytes,
    ) -> FramedContent:
        """Make a FramedContent around a body whose encoding is at hand."""
        encoded = b"".join(
            (
                vector(group_id),
                u64(epoch),
                sender.encode(),
                vector(authenticated_data),
                bytes((content_type_of(body),)),
                encoded_body,
            )
        )
        return cls(group_id, epoch, sender, authenticated_data, body, encoded)

    @classmethod
    def decode(cls, reader: Reader) -> FramedContent:
        """Decode a FramedContent."""
        start = reader.position
        group_id = reader.vector()
        epoch = reader.u64()
        sender = Sender.decode(reader)
        authenticated_data = reader.vector()
        body = decode_body(reader, decode_content_type(reader))
        return cls(group_id, epoch, sender, authenticated_data, body, reader.since(start))

    @property
    def content_type(self) -> ContentType:
        """What the frame contains."""
        return content_type_of(self.body)

    def to_be_signed(self, wire_format: WireFormat, context: GroupContext | None) -> bytes:
        """Return FramedContentTBS (§6.1); ``context`` counts for members and new members only."""
        start = u16(PROTOCOL_MLS10) + u16(wire_format) + self.encoded
        kind = self.sender.sender_type
        if kind is SenderType.MEMBER or kind is SenderType.NEW_MEMBER_COMMIT:
            if context is None:
                raise MlsMalformedError("A member's message needs its group's context.", "6.1")
            return start + context.encoded
        return start


@dataclass(frozen=True, slots=True)
class AuthenticatedContent:
    """Content with signature and, for commits, confirmation tag (§6)."""

    wire_format: WireFormat
    content: FramedContent
    signature: bytes
    confirmation_tag: bytes | None

    def encode_auth(self) -> bytes:
        """Encode as FramedContentAuthData (§6.1)."""
        if self.confirmation_tag is None:
            return vector(self.signature)
        return vector(self.signature) + vector(self.confirmation_tag)

    def encode(self) -> bytes:
        """Encode as AuthenticatedContent."""
        return u16(self.wire_format) + self.content.encoded + self.encode_auth()

    @classmethod
    def decode(cls, reader: Reader) -> AuthenticatedContent:
        """Decode an AuthenticatedContent."""
        wire_format = reader.u16()
        if wire_format not in {WireFormat.PUBLIC_MESSAGE, WireFormat.PRIVATE_MESSAGE}:
            raise MlsMalformedError("Framed content has an unknown wire format.", "6")
        content = FramedContent.decode(reader)
        signature, tag = decode_auth(reader, content.content_type)
        return cls(WireFormat(wire_format), content, signature, tag)

    def reference(self, suite: CipherSuite) -> bytes:
        """Return the ProposalRef by which a commit names the proposal in here (§5.2)."""
        return suite.ref_hash(b"MLS 1.0 Proposal Reference", self.encode())

    def is_signed(
        self, suite: CipherSuite, signature_key: bytes, context: GroupContext | None
    ) -> bool:
        """Tell whether ``signature_key`` signed this content (§6.1)."""
        return suite.is_signed_with_label(
            signature_key,
            b"FramedContentTBS",
            self.content.to_be_signed(self.wire_format, context),
            self.signature,
        )


def decode_auth(reader: Reader, content_type: ContentType) -> tuple[bytes, bytes | None]:
    """Decode FramedContentAuthData: (signature, confirmation tag of a commit)."""
    signature = reader.vector()
    return signature, reader.vector() if content_type is ContentType.COMMIT else None


def sign_content(
    suite: CipherSuite,
    signature_key: tuple[bytes, bytes],
    wire_format: WireFormat,
    content: FramedContent,
    context: GroupContext | None,
) -> bytes:
    """Sign content for one wire format; ``signature_key`` is (private, public)."""
    private, public = signature_key
    to_be_signed = content.to_be_signed(wire_format, context)
    return suite.sign_with_label(private, public, b"FramedContentTBS", to_be_signed)


@dataclass(frozen=True, slots=True)
class PublicMessage:
    """A signed, unencrypted message (§6.2)."""

    content: FramedContent
    signature: bytes
    confirmation_tag: bytes | None
    membership_tag: bytes | None

    def encode(self) -> bytes:
        """Encode as PublicMessage."""
        tag = b"" if self.membership_tag is None else vector(self.membership_tag)
        return self.content.encoded + self.authenticated().encode_auth() + tag

    @classmethod
    def decode(cls, reader: Reader) -> PublicMessage:
        """Decode a PublicMessage."""
        content = FramedContent.decode(reader)
        signature, confirmation_tag = decode_auth(reader, content.content_type)
        is_member = content.sender.sender_type is SenderType.MEMBER
        return cls(content, signature, confirmation_tag, reader.vector() if is_member else None)

    def authenticated(self) -> AuthenticatedContent:
        """Return the content in the form that is signed and hashed."""
        return AuthenticatedContent(
            WireFormat.PUBLIC_MESSAGE, self.content, self.signature, self.confirmation_tag
        )

    def has_membership(
        self, suite: CipherSuite, membership_key: bytes, context: GroupContext
    ) -> bool:
        """Tell whether the membership tag of a member's message is right."""
        to_be_maced = _to_be_maced(self.authenticated(), context)
        return self.membership_tag is not None and suite.has_mac(
            membership_key, to_be_maced, self.membership_tag
        )


def _to_be_maced(content: AuthenticatedContent, context: GroupContext) -> bytes:
    """Return AuthenticatedContentTBM, the input of the membership tag (§6.2)."""
    signed = content.content.to_be_signed(WireFormat.PUBLIC_MESSAGE, context)
    return signed + content.encode_auth()


def protect_public(
    suite: CipherSuite,
    content: AuthenticatedContent,
    membership_key: bytes | None,
    context: GroupContext,
) -> PublicMessage:
    """Put authenticated content into a PublicMessage; members add their membership tag."""
    if content.content.content_type is ContentType.APPLICATION:
        raise MlsMalformedError("Application data must be sent encrypted.", "6")
    tag = None
    if content.content.sender.sender_type is SenderType.MEMBER:
        if membership_key is None:
            raise MlsMalformedError("A member's message needs the membership key.", "6.2")
        tag = suite.mac(membership_key, _to_be_maced(content, context))
    return PublicMessage(content.content, content.signature, content.confirmation_tag, tag)
