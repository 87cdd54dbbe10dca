"""Storing and resuming a member's state: one strict, versioned encoding."""

from __future__ import annotations

from dataclasses import replace

from lutra.errors import UsageError
from lutra.mls.codec import (
    MAX_VECTOR_BYTES,
    Reader,
    decode_stored,
    decode_whole,
    optional,
    u32,
    u64,
    vector,
)
from lutra.mls.errors import MlsMalformedError, MlsUsageError
from lutra.mls.framing import Sender
from lutra.mls.key_schedule import EpochSecrets, GroupContext
from lutra.mls.proposal_list import SentProposal
from lutra.mls.proposals import ReInit, decode_proposal, encode_proposal
from lutra.mls.ratchet_tree import RatchetTree
from lutra.mls.secret_tree import SecretTree
from lutra.mls.state import MemberState, Status
from lutra.mls.suites import suite_for
from lutra.mls.transition import PublicState

_FORMAT = 1
_SECRET_NAMES = (
    "sender_data",
    "exporter",
    "external",
    "confirmation_key",
    "membership_key",
    "resumption_psk",
    "init",
)


def encode_public(public: PublicState, *, with_tree: bool) -> bytes:
    """Serialise a public state."""
    proposals = b"".join(
        vector(reference) + sent.sender.encode() + vector(encode_proposal(sent.proposal))
        for reference, sent in public.proposals.items()
    )
    return b"".join(
        (
            bytes((_FORMAT,)),
            public.context.encoded,
            optional(vector(public.tree.encode()) if with_tree else None),
            vector(public.confirmation_tag),
            vector(proposals),
        )
    )


def decode_public(reader: Reader, tree: RatchetTree | None) -> PublicState:
    """Read what `encode_public` wrote.

    Raises:
        MlsMalformedError: the bytes are something else.
        MlsUsageError: the tree is missing, or another one.
    """
    if reader.u8() != _FORMAT:
        raise MlsMalformedError("A stored group has an unknown format.", "2")
    context = GroupContext.decode(reader)
    suite = suite_for(context.suite_id)
    if reader.present():
        tree = RatchetTree.decode(suite, reader.vector())
    if tree is None or tree.tree_hash() != context.tree_hash:
        raise MlsUsageError("A stored group needs the tree of its epoch.", "7.8")
    public = PublicState.create(suite, context, tree, reader.vector())
    return replace(public, proposals=dict(reader.items(_decode_sent, MAX_VECTOR_BYTES)))


def _decode_sent(reader: Reader) -> tuple[bytes, SentProposal]:
    reference = reader.vector()
    sender = Sender.decode(reader)
    return reference, SentProposal(sender, decode_whole(decode_proposal, reader.vector()))


def encode_state(state: MemberState, *, with_tree: bool) -> bytes:
    """Serialise a member's state, secrets included."""
    secrets = state.secrets
    kept = b"".join(
        optional(None if (secret := getattr(secrets, name)) is None else vector(secret))
        for name in _SECRET_NAMES
    )
    pending = b"".join(
        vector(public) + vector(private) + vector(signature)
        for public, (private, signature) in state.pending_updates.items()
    )
    return b"".join(
        (
            encode_public(state.public, with_tree=with_tree),
            u32(state.own_index),
            bytes((state.status,)),
            vector(state.signature_private),
            vector(b"".join(u32(node) + vector(key) for node, key in state.private_keys.items())),
            vector(secrets.epoch_authenticator),
            kept,
            state.secret_tree.encode(),
            vector(pending),
            vector(b"".join(u64(epoch) + vector(psk) for epoch, psk in state.resumption)),
            optional(None if state.reinit is None else encode_proposal(state.reinit)),
        )
    )


def decode_state(data: bytes, tree: RatchetTree | None) -> MemberState:
    """Read what `encode_state` wrote; ``tree`` is needed where it was left out.

    Raises:
        MlsMalformedError: the bytes are something else.
        MlsUsageError: the tree is missing, or another one.
    """
    return decode_stored(lambda reader: _decode_state(reader, tree), data)


def _decode_state(reader: Reader, tree: RatchetTree | None) -> MemberState:
    public = decode_public(reader, tree)
    own_index = reader.u32()
    status = reader.u8()
    if status > Status.REINITIALISED:
        raise MlsMalformedError("A stored group has an unknown status.", "2")
    signature_private = reader.vector()
    private_keys = dict(reader.items(lambda r: (r.u32(), r.vector())))
    authenticator = reader.vector()
    kept = {name: reader.vector() if reader.present() else None for name in _SECRET_NAMES}
    secret_tree = SecretTree.decode(public.suite, reader)
    if secret_tree.leaves != public.tree.leaf_count:
        raise MlsMalformedError("Stored message keys are of another tree.", "9")
    pending = dict(reader.items(lambda r: (r.vector(), (r.vector(), r.vector())), MAX_VECTOR_BYTES))
    resumption = reader.items(lambda r: (r.u64(), r.vector()), MAX_VECTOR_BYTES)
    reinit = decode_proposal(reader) if reader.present() else None
    if reinit is not None and not isinstance(reinit, ReInit):
        raise MlsMalformedError("A stored group is malformed.", "2")
    state = MemberState(
        public=public,
        own_index=own_index,
        signature_private=signature_private,
        private_keys=private_keys,
        secrets=EpochSecrets(epoch_authenticator=authenticator, **kept),
        secret_tree=secret_tree,
        pending_updates=pending,
        resumption=resumption,
        status=Status(status),
        reinit=reinit,
    )
    if state.status is not Status.REMOVED:
        _check_own_keys(state)
    return state


def _check_own_keys(state: MemberState) -> None:
    """Check that a stored state's own keys have the form of keys and fit its leaf.

    Signing with another public key than one's own would give an Ed25519 private key away.
    """
    suite, tree = state.public.suite, state.public.tree
    longest = suite.hpke.kem.private_bytes
    if any(
        node >= tree.node_count or len(key) > longest for node, key in state.private_keys.items()
    ):
        raise MlsMalformedError("A stored group holds keys of another kind.", "7.5")
    leaf = tree.leaf(state.own_index)
    try:
        own = suite.signatures.public_key(state.signature_private)
    except UsageError:
        own = None
    if leaf is None or own != leaf.signature_key:
        raise MlsMalformedError("A stored group's keys are not those of its member.", "7.3")
