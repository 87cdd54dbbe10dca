"""Sending application data and proposals as a member (RFC 9420 §6, §12.1, §15)."""

from __future__ import annotations

from dataclasses import replace

from lutra.mls.errors import MlsUsageError
from lutra.mls.framing import (
    AuthenticatedContent,
    FramedContent,
    Sender,
    WireFormat,
    protect_public,
    sign_content,
)
from lutra.mls.leaf import LeafContent, LeafNode, sign_leaf
from lutra.mls.messages import Message
from lutra.mls.private_message import protect_private
from lutra.mls.proposal_list import SentProposal
from lutra.mls.proposals import Proposal, Update
from lutra.mls.services import Services
from lutra.mls.state import MemberState
from lutra.mls.transition import check_single_proposal


def sign_as_member(
    state: MemberState,
    body: bytes | Proposal,
    wire_format: WireFormat,
    authenticated_data: bytes,
) -> AuthenticatedContent:
    """Frame and sign data or a proposal for the present epoch."""
    context = state.public.context
    framed = FramedContent.create(
        context.group_id,
        context.epoch,
        Sender.member(state.own_index),
        authenticated_data,
        body,
    )
    signature = sign_content(
        state.public.suite, state.signature_key(), wire_format, framed, context
    )
    return AuthenticatedContent(wire_format, framed, signature, None)


def protect_handshake(
    state: MemberState, content: AuthenticatedContent, services: Services
) -> tuple[Message, MemberState]:
    """Put a proposal or commit into the form it was signed for."""
    if content.wire_format is WireFormat.PUBLIC_MESSAGE:
        key = state.secrets.membership_key
        return protect_public(state.public.suite, content, key, state.public.context), state
    message, secret_tree = protect_private(
        content,
        state.secret_tree,
        state.secrets.need("sender_data"),
        padding=0,
        random=services.random,
    )
    return message, state.with_messages(secret_tree)


def send_application(
    state: MemberState,
    data: bytes,
    authenticated_data: bytes,
    padding: int | None,
    services: Services,
) -> tuple[Message, MemberState]:
    """Encrypt application data; see `Group.encrypt`."""
    policy = services.policy
    state.need_active()
    if state.public.proposals and policy.hold_with_proposals:
        raise MlsUsageError("Proposals wait: commit before sending.", "12.4")
    if padding is None:
        padding = -len(data) % policy.padding_block if policy.padding_block else 0
    content = sign_as_member(state, data, WireFormat.PRIVATE_MESSAGE, authenticated_data)
    message, secret_tree = protect_private(
        content,
        state.secret_tree,
        state.secrets.need("sender_data"),
        padding=padding,
        random=services.random,
    )
    return message, state.with_messages(secret_tree)


def send_proposal(
    state: MemberState,
    proposal: Proposal,
    authenticated_data: bytes,
    wire_format: WireFormat | None,
    services: Services,
) -> tuple[Message, MemberState]:
    """Frame a proposal and keep it; see `Group.propose`."""
    state.need_active()
    sender = Sender.member(state.own_index)
    check_single_proposal(state.public, sender, proposal, services)
    content = sign_as_member(
        state, proposal, wire_format or services.policy.handshake_format, authenticated_data
    )
    message, state = protect_handshake(state, content, services)
    reference = content.reference(state.public.suite)
    public = state.public.with_proposal(reference, SentProposal(sender, proposal))
    return message, replace(state, public=public)


def make_update(
    state: MemberState,
    content: LeafContent | None,
    signature_private: bytes | None,
    services: Services,
) -> tuple[Update, MemberState]:
    """Make an update of one's own leaf; the state remembers its private keys."""
    state.need_active()
    suite = state.public.suite
    leaf: LeafNode | None = state.public.tree.leaf(state.own_index)
    if content is None and leaf is not None:
        content = LeafContent.of(leaf)
    if content is None:
        raise MlsUsageError("This device is no longer in the group.", "12.4.2")
    private = signature_private or state.signature_private
    leaf_private, leaf_public = suite.hpke.generate_key_pair(services.random)
    updated = sign_leaf(
        suite,
        content,
        encryption_key=leaf_public,
        signature_key=(private, suite.signatures.public_key(private)),
        group_id=state.public.context.group_id,
        leaf_index=state.own_index,
    )
    pending = {**state.pending_updates, leaf_public: (leaf_private, private)}
    return Update(updated), replace(state, pending_updates=pending)
