"""Encrypted messages: content encryption, sender data, padding (RFC 9420 §6.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lutra.crypto.random import Random
from lutra.mls.codec import Reader, u32, u64, vector
from lutra.mls.errors import MlsDecryptionError, MlsMalformedError
from lutra.mls.framing import (
    AuthenticatedContent,
    ContentType,
    FramedContent,
    Sender,
    WireFormat,
    decode_auth,
    decode_body,
    decode_content_type,
    encode_body,
)
from lutra.mls.secret_tree import APPLICATION, HANDSHAKE, RatchetLimits, SecretTree
from lutra.mls.suites import CipherSuite


@dataclass(frozen=True, slots=True)
class PrivateMessage:
    """A signed and encrypted message (§6.3)."""

    group_id: bytes
    epoch: int
    content_type: ContentType
    authenticated_data: bytes
    encrypted_sender_data: bytes
    ciphertext: bytes

    def encode(self) -> bytes:
        """Encode as PrivateMessage."""
        return b"".join(
            (
                vector(self.group_id),
                u64(self.epoch),
                bytes((self.content_type,)),
                vector(self.authenticated_data),
                vector(self.encrypted_sender_data),
                vector(self.ciphertext),
            )
        )

    @classmethod
    def decode(cls, reader: Reader) -> PrivateMessage:
        """Decode a PrivateMessage."""
        return cls(
            reader.vector(),
            reader.u64(),
            decode_content_type(reader),
            reader.vector(),
            reader.vector(),
            reader.vector(),
        )


def sender_data_key_nonce(
    suite: CipherSuite, sender_data_secret: bytes, ciphertext: bytes
) -> tuple[bytes, bytes]:
    """Derive key and nonce of the sender data from a sample of the ciphertext (§6.3.2)."""
    return suite.sender_data_keys(sender_data_secret, ciphertext[: suite.hash_bytes])


def _ratchet_of(content_type: ContentType) -> int:
    return APPLICATION if content_type is ContentType.APPLICATION else HANDSHAKE


def _guarded(nonce: bytes, guard: bytes) -> bytes:
    mixed = int.from_bytes(nonce[:4], "big") ^ int.from_bytes(guard, "big")
    return mixed.to_bytes(4, "big") + nonce[4:]


def protect_private(
    content: AuthenticatedContent,
    tree: SecretTree,
    sender_data_secret: bytes,
    *,
    padding: int,
    random: Random,
) -> tuple[PrivateMessage, SecretTree]:
    """Encrypt a member's authenticated content; returns the secret tree without the used key.

    Args:
        content: content signed for the private wire format.
        tree: message secrets of the epoch.
        sender_data_secret: of the epoch.
        padding: zero bytes appended to the content.
        random: source of the reuse guard.
    """
    suite = tree.suite
    framed = content.content
    content_type = framed.content_type
    leaf = framed.sender.index
    tree, generation, key, nonce = tree.next_key(leaf, _ratchet_of(content_type))
    plaintext = encode_body(framed.body) + content.encode_auth() + bytes(padding)
    guard = random(4)
    head = vector(framed.group_id) + u64(framed.epoch) + bytes((content_type,))
    aad = head + vector(framed.authenticated_data)
    ciphertext = suite.aead_class(key).encrypt(_guarded(nonce, guard), plaintext, aad)
    data_key, data_nonce = sender_data_key_nonce(suite, sender_data_secret, ciphertext)
    sender_data = suite.aead_class(data_key).encrypt(
        data_nonce, u32(leaf) + u32(generation) + guard, head
    )
    message = PrivateMessage(
        framed.group_id,
        framed.epoch,
        content_type,
        framed.authenticated_data,
        sender_data,
        ciphertext,
    )
    return message, tree


def unprotect_private(
    message: PrivateMessage,
    tree: SecretTree,
    sender_data_secret: bytes,
    *,
    is_member: Callable[[int], bool],
    limits: RatchetLimits,
) -> tuple[AuthenticatedContent, SecretTree]:
    """Decrypt a message; the caller still has to verify its signature.

    Args:
        message: what was received.
        tree: message secrets of the epoch.
        sender_data_secret: of the epoch.
        is_member: tells whether a leaf index is occupied.
        limits: bounds on skipped keys.

    Returns:
        the content and the secret tree without the used key.

    Raises:
        MlsDecryptionError: the message does not open, or its sender is no member.
        MlsMalformedError: the plaintext is malformed or its padding not zero.
        UsedKeyError: the message was opened before.
        TooFarAheadError: too many messages before it are missing.
    """
    suite = tree.suite
    head = vector(message.group_id) + u64(message.epoch) + bytes((message.content_type,))
    key, nonce = sender_data_key_nonce(suite, sender_data_secret, message.ciphertext)
    sender_data = Reader(suite.aead_open(key, nonce, message.encrypted_sender_data, head))
    leaf, generation, guard = sender_data.u32(), sender_data.u32(), sender_data.take(4)
    sender_data.finish()
    if not is_member(leaf):
        raise MlsDecryptionError("A message names a sender who is no member.", "6.3.2")
    tree, key, nonce = tree.key_at(leaf, _ratchet_of(message.content_type), generation, limits)
    aad = head + vector(message.authenticated_data)
    plaintext = suite.aead_open(key, _guarded(nonce, guard), message.ciphertext, aad)
    reader = Reader(plaintext)
    body = decode_body(reader, message.content_type)
    encoded_body = reader.since(0)
    signature, tag = decode_auth(reader, message.content_type)
    if any(reader.rest()):
        raise MlsMalformedError("The padding of a message is not zero.", "6.3.1")
    framed = FramedContent.of_encoded(
        message.group_id,
        message.epoch,
        Sender.member(leaf),
        message.authenticated_data,
        body=body,
        encoded_body=encoded_body,
    )
    return AuthenticatedContent(WireFormat.PRIVATE_MESSAGE, framed, signature, tag), tree
