"""Proposals from outside a group: external senders and newcomers (RFC 9420 §12.1.8).

They travel as PublicMessage without a membership tag; a member checks the signature against the
group's external_senders extension, or against the key package a newcomer offers.
"""

from __future__ import annotations

from lutra.mls.epoch_view import EpochView
from lutra.mls.errors import MlsUsageError
from lutra.mls.framing import (
    AuthenticatedContent,
    FramedContent,
    Sender,
    SenderType,
    WireFormat,
    protect_public,
    sign_content,
)
from lutra.mls.key_package import KeyPackageBundle
from lutra.mls.leaf_validation import external_senders
from lutra.mls.messages import encode_message
from lutra.mls.proposals import Add, Proposal


def propose_as_external_sender(
    group: EpochView,
    proposal: Proposal,
    *,
    index: int,
    signature_private: bytes,
    authenticated_data: bytes = b"",
) -> bytes:
    """Return the message by which an external sender proposes something to a group.

    Args:
        group: the epoch it is meant for, for example a `PublicGroup`.
        proposal: Add, Remove, PreSharedKey, ReInit or GroupContextExtensions.
        index: the sender's place in the external_senders extension.
        signature_private: the private key of the public one listed there.
        authenticated_data: sent in the clear, authenticated.

    Raises:
        MlsUsageError: the group has no such external sender.
    """
    senders = external_senders(group.context.extensions)
    if not 0 <= index < len(senders):
        raise MlsUsageError("This group has no external sender at that place.", "12.1.8.1")
    keys = signature_private, senders[index].signature_key
    sender = Sender(SenderType.EXTERNAL, index)
    return _from_outside(group, keys, sender, proposal, authenticated_data)


def propose_oneself(
    group: EpochView, newcomer: KeyPackageBundle, *, authenticated_data: bytes = b""
) -> bytes:
    """Return the message by which a newcomer asks to be added, with its own key package.

    Members take it where `Policy.new_member_proposals` is on.
    """
    keys = newcomer.signature_private, newcomer.key_package.leaf.signature_key
    sender = Sender(SenderType.NEW_MEMBER_PROPOSAL)
    return _from_outside(group, keys, sender, Add(newcomer.key_package), authenticated_data)


def _from_outside(
    group: EpochView,
    keys: tuple[bytes, bytes],
    sender: Sender,
    proposal: Proposal,
    authenticated_data: bytes,
) -> bytes:
    framed = FramedContent.create(group.group_id, group.epoch, sender, authenticated_data, proposal)
    signature = sign_content(group.suite, keys, WireFormat.PUBLIC_MESSAGE, framed, None)
    content = AuthenticatedContent(WireFormat.PUBLIC_MESSAGE, framed, signature, None)
    return encode_message(protect_public(group.suite, content, None, group.context))
