"""Welcome, GroupInfo and the outer frame, MLSMessage (RFC 9420 §6, §12.4.3)."""

from __future__ import annotations

from dataclasses import dataclass, field

from lutra.mls.codec import MAX_MESSAGE_BYTES, Reader, decode_whole, optional, u16, u32, vector
from lutra.mls.errors import MlsMalformedError, MlsUsageError, UnsupportedError
from lutra.mls.framing import PublicMessage, WireFormat
from lutra.mls.key_package import KeyPackage
from lutra.mls.key_schedule import GroupContext
from lutra.mls.leaf import PROTOCOL_MLS10, Extensions, decode_extensions, encode_extensions
from lutra.mls.private_message import PrivateMessage
from lutra.mls.proposals import HpkeCiphertext, PreSharedKeyId
from lutra.mls.suites import CipherSuite


@dataclass(frozen=True, slots=True)
class GroupInfo:
    """The public state of an epoch, signed by a member (§12.4.3)."""

    context: GroupContext
    extensions: Extensions
    confirmation_tag: bytes
    signer: int
    signature: bytes

    @classmethod
    def create(
        cls,
        suite: CipherSuite,
        context: GroupContext,
        extensions: Extensions,
        *,
        confirmation_tag: bytes,
        signer: int,
        signature_key: tuple[bytes, bytes],
    ) -> GroupInfo:
        """Make and sign a GroupInfo; ``signature_key`` is (private, public)."""
        unsigned = cls(context, extensions, confirmation_tag, signer, b"")
        signature = suite.sign_with_label(*signature_key, b"GroupInfoTBS", unsigned._tbs())
        return cls(context, extensions, confirmation_tag, signer, signature)

    def _tbs(self) -> bytes:
        return (
            self.context.encoded
            + encode_extensions(self.extensions)
            + vector(self.confirmation_tag)
            + u32(self.signer)
        )

    def encode(self) -> bytes:
        """Encode as GroupInfo."""
        return self._tbs() + vector(self.signature)

    @classmethod
    def decode(cls, reader: Reader) -> GroupInfo:
        """Decode a GroupInfo."""
        return cls(
            GroupContext.decode(reader),
            decode_extensions(reader),
            reader.vector(),
            reader.u32(),
            reader.vector(),
        )

    def is_signed(self, suite: CipherSuite, signature_key: bytes) -> bool:
        """Tell whether the holder of ``signature_key`` signed this."""
        return suite.is_signed_with_label(
            signature_key, b"GroupInfoTBS", self._tbs(), self.signature
        )


@dataclass(frozen=True, slots=True)
class GroupSecrets:
    """What a Welcome seals to each newcomer (§12.4.3.1)."""

    joiner_secret: bytes = field(repr=False)
    path_secret: bytes | None = field(repr=False)
    psks: tuple[PreSharedKeyId, ...]

    def encode(self) -> bytes:
        """Encode as GroupSecrets."""
        path = None if self.path_secret is None else vector(self.path_secret)
        psks = b"".join(psk.encode() for psk in self.psks)
        return vector(self.joiner_secret) + optional(path) + vector(psks)

    @classmethod
    def decode(cls, reader: Reader) -> GroupSecrets:
        """Decode GroupSecrets."""
        joiner = reader.vector()
        path = reader.vector() if reader.present() else None
        return cls(joiner, path, reader.items(PreSharedKeyId.decode))


@dataclass(frozen=True, slots=True)
class EncryptedGroupSecrets:
    """One newcomer's part of a Welcome."""

    new_member: bytes
    sealed: HpkeCiphertext

    def encode(self) -> bytes:
        """Encode as EncryptedGroupSecrets."""
        return vector(self.new_member) + self.sealed.encode()

    @classmethod
    def decode(cls, reader: Reader) -> EncryptedGroupSecrets:
        """Decode EncryptedGroupSecrets."""
        return cls(reader.vector(), HpkeCiphertext.decode(reader))


@dataclass(frozen=True, slots=True)
class Welcome:
    """Lets newcomers into an epoch (§12.4.3.1)."""

    suite_id: int
    secrets: tuple[EncryptedGroupSecrets, ...]
    encrypted_group_info: bytes

    def encode(self) -> bytes:
        """Encode as Welcome."""
        secrets = b"".join(secret.encode() for secret in self.secrets)
        return u16(self.suite_id) + vector(secrets) + vector(self.encrypted_group_info)

    @classmethod
    def decode(cls, reader: Reader) -> Welcome:
        """Decode a Welcome."""
        return cls(reader.u16(), reader.items(EncryptedGroupSecrets.decode), reader.vector())

    def secrets_for(self, reference: bytes) -> EncryptedGroupSecrets | None:
        """Return the part for the key package with this KeyPackageRef, if there is one."""
        for entry in self.secrets:
            if entry.new_member == reference:
                return entry
        return None


Message = PublicMessage | PrivateMessage | Welcome | GroupInfo | KeyPackage
"""What an MLSMessage may carry."""

_DECODERS = {
    WireFormat.PUBLIC_MESSAGE: PublicMessage.decode,
    WireFormat.PRIVATE_MESSAGE: PrivateMessage.decode,
    WireFormat.WELCOME: Welcome.decode,
    WireFormat.GROUP_INFO: GroupInfo.decode,
    WireFormat.KEY_PACKAGE: KeyPackage.decode,
}
_WIRE_FORMATS: dict[type, WireFormat] = {
    PublicMessage: WireFormat.PUBLIC_MESSAGE,
    PrivateMessage: WireFormat.PRIVATE_MESSAGE,
    Welcome: WireFormat.WELCOME,
    GroupInfo: WireFormat.GROUP_INFO,
    KeyPackage: WireFormat.KEY_PACKAGE,
}


def encode_message(message: Message) -> bytes:
    """Encode as MLSMessage.

    Raises:
        MlsUsageError: it is larger than receivers accept.
    """
    encoded = u16(PROTOCOL_MLS10) + u16(_WIRE_FORMATS[type(message)]) + message.encode()
    if len(encoded) > MAX_MESSAGE_BYTES:
        raise MlsUsageError("A message is too large to be sent.", "2.1", length=len(encoded))
    return encoded


def decode_message(data: bytes) -> Message:
    """Decode an MLSMessage.

    Raises:
        MlsMalformedError: the bytes are none.
        UnsupportedError: version, wire format, or a part inside is of an unknown kind.
    """
    return decode_whole(_decode_message, data)


def _decode_message(reader: Reader) -> Message:
    version = reader.u16()
    if version != PROTOCOL_MLS10:
        raise UnsupportedError("A message is of another version of MLS.", "6", version=version)
    wire_format = reader.u16()
    decoder = _DECODERS.get(wire_format)  # pyright: ignore[reportArgumentType]
    if decoder is None:
        raise UnsupportedError("A message is of an unknown kind.", "6", wire_format=wire_format)
    message = decoder(reader)
    if isinstance(message, KeyPackage) and message.version != version:
        raise MlsMalformedError("A key package is framed in another version of MLS.", "10")
    return message
