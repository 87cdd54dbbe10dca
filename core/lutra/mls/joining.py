"""Entering a group: creating it, by Welcome, by external commit (RFC 9420 §11, §12.4.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lutra.mls import tree_math
from lutra.mls.codec import decode_whole
from lutra.mls.committing import CommitOptions, NewEpoch, build_commit
from lutra.mls.errors import (
    InvalidTreeError,
    InvalidWelcomeError,
    MlsSignatureError,
    MlsUsageError,
)
from lutra.mls.framing import Sender, SenderType
from lutra.mls.key_package import KeyPackageBundle
from lutra.mls.key_schedule import (
    EpochSecrets,
    GroupContext,
    external_init_sender,
    psk_secret,
    schedule_from_epoch_secret,
    schedule_from_joiner,
    welcome_key_nonce,
    welcome_secret,
)
from lutra.mls.leaf import (
    EXTENSION_EXTERNAL_PUB,
    EXTENSION_RATCHET_TREE,
    PROTOCOL_MLS10,
    Extensions,
    LeafContent,
    find_extension,
)
from lutra.mls.leaf_validation import (
    check_external_senders,
    check_key_package,
    check_members,
    check_total_lifetime,
)
from lutra.mls.messages import GroupInfo, GroupSecrets, Welcome
from lutra.mls.proposal_list import SentProposal, plan_proposals
from lutra.mls.proposals import (
    PSK_RESUMPTION,
    USAGE_APPLICATION,
    USAGE_BRANCH,
    USAGE_REINIT,
    ExternalInit,
    PreSharedKey,
    PreSharedKeyId,
    Proposal,
    Remove,
)
from lutra.mls.ratchet_tree import RatchetTree
from lutra.mls.secret_tree import SecretTree
from lutra.mls.services import PskLookup, Services
from lutra.mls.state import MemberState, Status, find_psk
from lutra.mls.suites import CipherSuite, suite_for
from lutra.mls.transition import PublicState
from lutra.mls.tree_validation import check_keys, check_parent_hashes, check_unmerged_leaves
from lutra.mls.treekem import PrivateKeys, derive_upwards


def create_state(
    bundle: KeyPackageBundle, group_id: bytes, extensions: Extensions, services: Services
) -> MemberState:
    """Make a group of one (§11).

    Raises:
        InvalidKeyPackageError: the key package is not valid now.
        MlsUsageError: its private keys are others.
        InvalidLeafError: it does not support the group's extensions.
    """
    key_package = bundle.key_package
    suite = suite_for(key_package.suite_id)
    bundle.check_private_keys()
    check_key_package(key_package, suite, services, is_sending=True)
    tree = RatchetTree.single(suite, key_package.leaf)
    check_members(tree, extensions, None)
    check_external_senders(extensions, (), services)
    context = GroupContext.create(
        suite.suite_id,
        group_id,
        0,
        tree_hash=tree.tree_hash(),
        confirmed_transcript_hash=b"",
        extensions=extensions,
    )
    schedule = schedule_from_epoch_secret(suite, services.random(suite.hash_bytes))
    tag = suite.mac(schedule.secrets.need("confirmation_key"), b"")
    return MemberState(
        public=PublicState.create(suite, context, tree, tag),
        own_index=0,
        signature_private=bundle.signature_private,
        private_keys={0: bundle.leaf_private},
        secrets=schedule.secrets,
        secret_tree=SecretTree.start(suite, 1, schedule.encryption),
        pending_updates={},
        resumption=(),
    )


def check_joined_tree(tree: RatchetTree, context: GroupContext, services: Services) -> None:
    """Check everything a newcomer must check in a tree (§12.4.3.1).

    Raises:
        InvalidTreeError: tree hash, parent hashes, unmerged leaves or keys are wrong.
        InvalidLeafError: a leaf does not fit, or an external sender is refused.
        InvalidKeyPackageError: a leaf's lifetime is longer than the policy allows.
    """
    if tree.tree_hash() != context.tree_hash:
        raise InvalidTreeError("A tree is not the one its group agreed on.", "12.4.3.1")
    check_keys(tree)
    check_unmerged_leaves(tree)
    check_parent_hashes(tree)
    check_members(tree, context.extensions, None)
    check_external_senders(context.extensions, (), services)
    for index, leaf in tree.members():
        check_total_lifetime(leaf.lifetime, services)
        if not leaf.is_signed(tree.suite, context.group_id, index):
            raise InvalidTreeError("A leaf is not signed by its member.", "7.3", leaf=index)
        if not services.authenticate(leaf.credential, leaf.signature_key):
            raise InvalidTreeError("The credential of a member was refused.", "5.3.1", leaf=index)


def public_state_from_info(
    info: GroupInfo, tree: RatchetTree | None, services: Services
) -> PublicState:
    """Verify a GroupInfo and its tree.

    Args:
        info: what a member published.
        tree: the tree, where the GroupInfo does not carry it.
        services: for credential checks.

    Raises:
        InvalidWelcomeError: there is no tree, or the signer is no member.
        MlsSignatureError: the signature is wrong.
        InvalidTreeError: the tree is not valid.
    """
    suite = suite_for(info.context.suite_id)
    carried = find_extension(info.extensions, EXTENSION_RATCHET_TREE)
    if tree is None:
        if carried is None:
            raise InvalidWelcomeError("The ratchet tree is missing.", "12.4.3.3")
        tree = RatchetTree.decode(suite, carried)
    signer = tree.leaf(info.signer)
    if signer is None:
        raise InvalidWelcomeError("A group's state is signed by nobody in it.", "12.4.3.1")
    if not info.is_signed(suite, signer.signature_key):
        raise MlsSignatureError("A group's state is not signed by its signer.", "12.4.3")
    check_joined_tree(tree, info.context, services)
    return PublicState.create(suite, info.context, tree, info.confirmation_tag)


def _is_special(psk: PreSharedKeyId) -> bool:
    return psk.psk_type == PSK_RESUMPTION and psk.usage in {USAGE_REINIT, USAGE_BRANCH}


def open_group_secrets(
    welcome: Welcome, bundle: KeyPackageBundle, suite: CipherSuite
) -> GroupSecrets:
    """Open one's part of a Welcome (§12.4.3.1).

    Raises:
        InvalidWelcomeError: there is none, or it is for another suite.
        MlsDecryptionError: it does not open.
    """
    key_package = bundle.key_package
    if key_package.suite_id != welcome.suite_id:
        raise InvalidWelcomeError("A Welcome is for another cipher suite.", "12.4.3.1")
    entry = welcome.secrets_for(key_package.reference())
    if entry is None:
        raise InvalidWelcomeError("A Welcome is not for this key package.", "12.4.3.1")
    plain = suite.decrypt_with_label(
        (bundle.init_private, key_package.init_key),
        b"Welcome",
        welcome.encrypted_group_info,
        entry.sealed.kem_output,
        entry.sealed.ciphertext,
    )
    secrets = decode_whole(GroupSecrets.decode, plain)
    special = [psk for psk in secrets.psks if _is_special(psk)]
    if len(special) > 1:
        raise InvalidWelcomeError("A Welcome continues two groups at once.", "12.4.3.1")
    return secrets


def join_by_welcome(
    welcome: Welcome,
    bundle: KeyPackageBundle,
    services: Services,
    psks: PskLookup,
    *,
    tree: RatchetTree | None,
    parent: MemberState | None,
) -> MemberState:
    """Enter a group by Welcome (§12.4.3.1).

    Args:
        welcome: what the adder sent.
        bundle: the key package it was for.
        services: for credential checks and limits.
        psks: finds pre-shared keys.
        tree: the tree, where the Welcome does not carry it.
        parent: state of the group this one branches off or replaces.

    Raises:
        MlsRemoteError: some rule is broken; the subclass and its section say which.
        MlsUsageError: the bundle's private keys do not fit its key package.
    """
    suite = suite_for(welcome.suite_id)
    bundle.check_private_keys()
    secrets = open_group_secrets(welcome, bundle, suite)
    lookup = psks if parent is None else _lookup_with(parent, psks)
    found = [(psk, find_psk(psk, lookup)) for psk in secrets.psks]
    psk = psk_secret(suite, found)
    key, nonce = welcome_key_nonce(suite, welcome_secret(suite, secrets.joiner_secret, psk))
    plain = suite.aead_open(key, nonce, welcome.encrypted_group_info, b"")
    info = decode_whole(GroupInfo.decode, plain)
    if info.context.suite_id != welcome.suite_id:
        raise InvalidWelcomeError("A Welcome leads into another suite.", "12.4.3.1")
    public = public_state_from_info(info, tree, services)
    own = _own_leaf(public.tree, bundle)
    private_keys = _joined_keys(public.tree, own, info.signer, bundle, secrets.path_secret)
    schedule = schedule_from_joiner(suite, secrets.joiner_secret, psk, info.context)
    confirmation_key = schedule.secrets.need("confirmation_key")
    transcript = info.context.confirmed_transcript_hash
    if not suite.has_mac(confirmation_key, transcript, info.confirmation_tag):
        raise MlsSignatureError("A Welcome has a wrong confirmation tag.", "12.4.3.1")
    special = [psk_id for psk_id in secrets.psks if _is_special(psk_id)]
    if parent is not None and not special:
        raise InvalidWelcomeError("A group does not continue the one it should.", "12.4.3.1")
    for psk_id in special:
        _check_continuation(psk_id, public, parent)
    return MemberState(
        public=public,
        own_index=own,
        signature_private=bundle.signature_private,
        private_keys=private_keys,
        secrets=schedule.secrets,
        secret_tree=SecretTree.start(suite, public.tree.leaf_count, schedule.encryption),
        pending_updates={},
        resumption=(),
    )


def _lookup_with(parent: MemberState, psks: PskLookup) -> PskLookup:
    return lambda psk_id: parent.find_psk(psk_id, psks)


def _own_leaf(tree: RatchetTree, bundle: KeyPackageBundle) -> int:
    for index, leaf in tree.members():
        if leaf == bundle.key_package.leaf:
            return index
    raise InvalidWelcomeError("A Welcome leads into a group without its owner.", "12.4.3.1")


def _joined_keys(
    tree: RatchetTree,
    own: int,
    signer: int,
    bundle: KeyPackageBundle,
    path_secret: bytes | None,
) -> PrivateKeys:
    keys: PrivateKeys = {own * 2: bundle.leaf_private}
    if path_secret is not None:
        if signer == own:
            raise InvalidWelcomeError("A Welcome is signed by the newcomer.", "12.4.3.1")
        start = tree_math.common_ancestor(own * 2, signer * 2)
        keys.update(derive_upwards(tree, signer, start, path_secret)[0])
    # Others will seal to these nodes: a newcomer without the key could not follow the group.
    for index in tree_math.direct_path(own * 2, tree.leaf_count):
        node = tree.parent_node(index)
        if node is not None and index not in keys and own not in node.unmerged_leaves:
            raise InvalidWelcomeError("A Welcome withholds a path secret.", "12.4.3.1")
    return keys


def _check_continuation(
    psk: PreSharedKeyId, public: PublicState, parent: MemberState | None
) -> None:
    """Check that a group branches off, or replaces, the group whose key it uses (§12.4.3.1)."""
    context = public.context
    if context.epoch != 1:
        raise InvalidWelcomeError("A group that continues another begins late.", "12.4.3.1")
    if parent is None or (psk.group_id, psk.epoch) != (
        parent.public.context.group_id,
        parent.public.context.epoch,
    ):
        raise InvalidWelcomeError("The group that is continued is unknown here.", "12.4.3.1")
    before = {leaf.credential for _, leaf in parent.public.tree.members()}
    after = {leaf.credential for _, leaf in public.tree.members()}
    if psk.usage == USAGE_BRANCH:
        if context.suite_id != parent.public.context.suite_id or not after <= before:
            raise InvalidWelcomeError("A branch does not fit its group.", "11.3")
        return
    reinit = parent.reinit
    if (
        reinit is None
        or (reinit.version, reinit.group_id, reinit.suite_id)
        != (PROTOCOL_MLS10, context.group_id, context.suite_id)
        or reinit.extensions != context.extensions
        or not before <= after
    ):
        raise InvalidWelcomeError("A new group is not the one agreed on.", "11.2")


@dataclass(frozen=True, slots=True)
class ExternalJoin:
    """How to join by external commit.

    Attributes:
        signature_private: one's private signature key, in the suite's format.
        content: credential, capabilities and extensions of one's leaf.
        removes: leaf index of one's own earlier appearance, if there is one (resync).
        psks: names of pre-shared keys to mix in.
        authenticated_data: sent along, signed but not encrypted.
    """

    signature_private: bytes = field(repr=False)
    content: LeafContent
    removes: int | None = None
    psks: Sequence[PreSharedKeyId] = ()
    authenticated_data: bytes = b""


def join_by_commit(
    info: GroupInfo,
    request: ExternalJoin,
    services: Services,
    psks: PskLookup,
    *,
    tree: RatchetTree | None,
) -> NewEpoch:
    """Enter a group by external commit (§12.4.3.2).

    Raises:
        InvalidWelcomeError: the GroupInfo has no external key or no tree.
        MlsRemoteError: the GroupInfo, its tree or the request breaks a rule.
    """
    public = public_state_from_info(info, tree, services)
    encoded = find_extension(info.extensions, EXTENSION_EXTERNAL_PUB)
    if encoded is None:
        raise InvalidWelcomeError("A group's state has no key for joining.", "12.4.3.2")
    external_pub = decode_whole(lambda reader: reader.vector(), encoded)
    kem_output, init = external_init_sender(public.suite, external_pub, services.random)
    proposals: list[Proposal] = [ExternalInit(kem_output)]
    if request.removes is not None:
        proposals.append(Remove(request.removes))
    proposals.extend(PreSharedKey(psk) for psk in request.psks)
    sender = Sender(SenderType.NEW_MEMBER_COMMIT)
    plan = plan_proposals(
        public.context,
        public.tree,
        [SentProposal(sender, proposal) for proposal in proposals],
        services,
        committer=None,
        is_sending=True,
        usage=USAGE_APPLICATION,
    )
    if request.removes is not None:
        old = public.tree.leaf(request.removes)
        if old is None or not services.succeeds(old.credential, request.content.credential):
            raise MlsUsageError("Only one's own old leaf can be replaced.", "12.2")
    outside = MemberState(
        public=public,
        own_index=-1,
        signature_private=request.signature_private,
        private_keys={},
        secrets=EpochSecrets(None, None, None, None, None, None, b"", None),
        secret_tree=SecretTree.empty(public.suite, public.tree.leaf_count),
        pending_updates={},
        resumption=(),
        status=Status.ACTIVE,
    )
    options = CommitOptions(leaf=request.content, authenticated_data=request.authenticated_data)
    return build_commit(
        outside, tuple(proposals), plan, options, services, psks=psks, init_secret=init
    )
