"""Receiving messages as a member (RFC 9420 §6, §12.4.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from lutra.mls.errors import (
    InvalidCommitError,
    InvalidProposalError,
    MlsMalformedError,
    MlsSignatureError,
    OwnMessageError,
)
from lutra.mls.framing import AuthenticatedContent, PublicMessage, Sender, SenderType
from lutra.mls.key_schedule import (
    external_init_receiver,
    joiner_secret,
    schedule_from_joiner,
)
from lutra.mls.private_message import PrivateMessage, unprotect_private
from lutra.mls.proposal_list import SentProposal
from lutra.mls.proposals import Commit, Proposal, encode_proposal
from lutra.mls.secret_tree import SecretTree
from lutra.mls.services import Policy, PskLookup, Services
from lutra.mls.state import MemberState, Status, psk_secret_for
from lutra.mls.transition import (
    PublicState,
    Transition,
    advance,
    check_place,
    check_signature,
    check_single_proposal,
    confirmed_context,
)
from lutra.mls.treekem import PrivateKeys, open_path, prune_keys

_SMALL_BYTES = 1 << 16
"""Proposals up to this size are bounded by their number alone."""


@dataclass(frozen=True, slots=True)
class Opened:
    """Authenticated content and the state without the key that opened it."""

    content: AuthenticatedContent
    state: MemberState


def unprotect(
    state: MemberState, message: PublicMessage | PrivateMessage, services: Services
) -> Opened:
    """Open a message and check who sent it (§6.2, §6.3).

    Raises:
        MlsRemoteError: it is not an authentic message of this group and epoch.
        OwnMessageError: it is one's own.
    """
    public = state.public
    if isinstance(message, PrivateMessage):
        check_place(public, message.group_id, message.epoch)
        content, secret_tree = unprotect_private(
            message,
            state.secret_tree,
            state.secrets.need("sender_data"),
            is_member=lambda leaf: _is_other_member(state, leaf),
            limits=services.policy.limits,
        )
        state = state.with_messages(secret_tree)
    else:
        content = message.authenticated()
        check_place(public, content.content.group_id, content.content.epoch)
        if isinstance(content.content.body, bytes):
            raise MlsMalformedError("Application data came unencrypted.", "6")
        if content.content.sender.sender_type is SenderType.MEMBER and not message.has_membership(
            public.suite, state.secrets.need("membership_key"), public.context
        ):
            raise MlsSignatureError("A message has a wrong membership tag.", "6.2")
    # The signature first: any member could put our name on a public message.
    check_signature(public, content, services)
    if content.content.sender == Sender.member(state.own_index):
        raise OwnMessageError("A message came back to its sender.", "12.4.2")
    return Opened(content, state)


def _is_other_member(state: MemberState, leaf: int) -> bool:
    if leaf == state.own_index:
        raise OwnMessageError("A message came back to its sender.", "12.4.2")
    return state.public.tree.leaf(leaf) is not None


def receive_proposal(
    state: MemberState, content: AuthenticatedContent, services: Services
) -> tuple[MemberState, bytes]:
    """Keep a received proposal; returns the state with it, and its reference.

    Raises:
        MlsRemoteError: the proposal can never be committed in this epoch.
    """
    public, reference = keep_proposal(state.public, content, services)
    return replace(state, public=public), reference


def keep_proposal(
    public: PublicState, content: AuthenticatedContent, services: Services
) -> tuple[PublicState, bytes]:
    """Keep a proposal in a public state; see `receive_proposal`."""
    body = content.content.body
    if isinstance(body, bytes | Commit):
        raise InvalidProposalError("A message holds no proposal.", "12.1")
    proposal: Proposal = body
    sender = content.content.sender
    _check_room(public, sender, proposal, services.policy)
    check_single_proposal(public, sender, proposal, services)
    reference = content.reference(public.suite)
    return public.with_proposal(reference, SentProposal(sender, proposal)), reference


def _check_room(public: PublicState, sender: Sender, proposal: Proposal, policy: Policy) -> None:
    """Keep one sender from crowding out the others, and all from filling the memory."""
    waiting = public.proposals.values()
    own = sum(1 for sent in waiting if sent.sender == sender)
    if len(waiting) >= policy.max_proposals or own >= policy.max_sender_proposals:
        raise InvalidProposalError("Too many proposals wait in this epoch.", "12.1")
    size = len(encode_proposal(proposal))
    if size > _SMALL_BYTES:
        held = (len(encode_proposal(sent.proposal)) for sent in waiting)
        if size + sum(other for other in held if other > _SMALL_BYTES) > policy.max_proposal_bytes:
            raise InvalidProposalError("The proposals of this epoch are too large.", "12.1")


def receive_commit(
    state: MemberState, content: AuthenticatedContent, services: Services, psks: PskLookup
) -> tuple[MemberState, Transition]:
    """Enter the epoch a commit begins (§12.4.2).

    Returns:
        the new state (of a removed member, without secrets) and what the commit did.

    Raises:
        MlsRemoteError: a rule is broken; the given state stays usable.
    """
    commit = content.content.body
    if not isinstance(commit, Commit):
        raise InvalidCommitError("A message holds no commit.", "12.4")
    transition = advance(state.public, commit, content.content.sender, services)
    if state.own_index in transition.plan.removes:
        return state.removed(), transition
    return _enter(state, content, transition, services, psks), transition


def _enter(
    state: MemberState,
    content: AuthenticatedContent,
    transition: Transition,
    services: Services,
    psks: PskLookup,
) -> MemberState:
    public, suite = state.public, state.public.suite
    private_keys, signature_private, pending = _own_keys(state, transition)
    commit_secret = suite.zero
    if transition.path is not None:
        opened = open_path(
            transition.tree,
            transition.committer,
            transition.path,
            transition.context,
            own=state.own_index,
            private_keys=private_keys,
            added=frozenset(transition.added),
        )
        private_keys = {**private_keys, **opened.private_keys}
        commit_secret = opened.commit_secret
    psk = psk_secret_for(state, transition.plan.psks, psks)
    init = _init_secret(state, transition)
    context = confirmed_context(public, transition.context, content)
    joiner = joiner_secret(suite, init, commit_secret, context)
    schedule = schedule_from_joiner(suite, joiner, psk, context)
    tag = content.confirmation_tag or b""
    if not suite.has_mac(
        schedule.secrets.need("confirmation_key"), context.confirmed_transcript_hash, tag
    ):
        raise MlsSignatureError("A commit has a wrong confirmation tag.", "12.4.2")
    reinit = transition.plan.reinit
    return MemberState(
        public=PublicState.create(suite, context, transition.tree, tag),
        own_index=state.own_index,
        signature_private=signature_private,
        private_keys=private_keys,
        secrets=schedule.secrets,
        secret_tree=SecretTree.start(suite, transition.tree.leaf_count, schedule.encryption),
        pending_updates=pending,
        resumption=state.next_resumption(services.policy),
        status=Status.ACTIVE if reinit is None else Status.REINITIALISED,
        reinit=reinit,
    )


def _own_keys(
    state: MemberState, transition: Transition
) -> tuple[PrivateKeys, bytes, Mapping[bytes, tuple[bytes, bytes]]]:
    """Return private keys and signature key after one's own update, if the commit holds it."""
    keys = prune_keys(state.private_keys, transition.tree)
    leaf = transition.plan.updates.get(state.own_index)
    if leaf is None:
        return keys, state.signature_private, {}
    pending = state.pending_updates.get(leaf.encryption_key)
    if pending is None:
        raise InvalidCommitError("A commit holds an update this device does not know.", "12.1.2")
    keys[state.own_index * 2] = pending[0]
    return keys, pending[1], {}


def _init_secret(state: MemberState, transition: Transition) -> bytes:
    kem_output = transition.plan.kem_output
    if kem_output is None:
        return state.secrets.need("init")
    return external_init_receiver(state.public.suite, state.secrets.need("external"), kem_output)
