"""Making commits, Welcomes and GroupInfos (RFC 9420 §12.4.1, §12.4.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from lutra.mls.codec import vector
from lutra.mls.errors import MlsUsageError
from lutra.mls.framing import (
    AuthenticatedContent,
    FramedContent,
    Sender,
    SenderType,
    WireFormat,
    sign_content,
)
from lutra.mls.key_schedule import (
    GroupContext,
    KeySchedule,
    joiner_secret,
    schedule_from_joiner,
    welcome_key_nonce,
)
from lutra.mls.leaf import (
    EXTENSION_EXTERNAL_PUB,
    EXTENSION_RATCHET_TREE,
    Extension,
    Extensions,
    LeafContent,
    LeafNode,
    find_extension,
    grease_extension,
    sign_leaf,
)
from lutra.mls.leaf_validation import check_replacement
from lutra.mls.messages import (
    EncryptedGroupSecrets,
    GroupInfo,
    GroupSecrets,
    Message,
    Welcome,
)
from lutra.mls.proposal_list import ProposalPlan, SentProposal, apply_plan, plan_proposals
from lutra.mls.proposals import (
    USAGE_APPLICATION,
    Commit,
    HpkeCiphertext,
    Proposal,
    ProposalOrRef,
    UpdatePath,
)
from lutra.mls.ratchet_tree import RatchetTree, TreeDraft
from lutra.mls.secret_tree import SecretTree
from lutra.mls.selecting import select_proposals
from lutra.mls.sending import protect_handshake
from lutra.mls.services import PskLookup, Services, no_psks
from lutra.mls.state import MemberState, Status, psk_secret_for
from lutra.mls.transition import (
    PublicState,
    check_new_members,
    confirmed_context,
    provisional_context,
)
from lutra.mls.treekem import NewPath, apply_new_path, generate_path, prune_keys, seal_path


@dataclass(frozen=True, slots=True)
class CommitOptions:
    """How to commit.

    Attributes:
        references: which received proposals to commit, by reference; ``None`` takes all that fit
            together.
        path: whether to renew one's own keys even where no proposal demands it.
        wire_format: public or private; ``None`` for the policy's.
        authenticated_data: sent along, signed but not encrypted.
        leaf: new credential, capabilities and extensions of one's leaf; ``None`` keeps them.
        signature_private: one's new private signature key; ``None`` keeps it.
        welcome_tree: whether the Welcome carries the ratchet tree.
        group_info_extensions: further extensions of the Welcome's GroupInfo.
        usage: usage of a resumption key besides ``application``: branching or re-initialisation.
    """

    references: Sequence[bytes] | None = None
    path: bool = True
    wire_format: WireFormat | None = None
    authenticated_data: bytes = b""
    leaf: LeafContent | None = None
    signature_private: bytes | None = field(default=None, repr=False)
    welcome_tree: bool = True
    group_info_extensions: Extensions = ()
    usage: int = USAGE_APPLICATION


@dataclass(frozen=True, slots=True)
class NewEpoch:
    """What making a commit yields.

    Attributes:
        message: the commit, to be sent.
        welcome: for those added, if any.
        state: the epoch it begins.
        previous: the epoch it was made in, without the message key it used.
    """

    message: Message
    welcome: Welcome | None
    state: MemberState
    previous: MemberState


def create_commit(
    state: MemberState,
    proposals: Sequence[Proposal],
    options: CommitOptions,
    services: Services,
    psks: PskLookup = no_psks,
) -> NewEpoch:
    """Commit proposals by value and by reference (§12.4.1).

    Raises:
        InactiveGroupError: the group has ended.
        MlsRemoteError: the proposals do not form a valid list.
        MlsUsageError: a reference is unknown.
    """
    state.need_active()
    public = state.public
    own = Sender.member(state.own_index)
    by_value = [SentProposal(own, proposal) for proposal in proposals]
    if options.references is None:
        chosen = select_proposals(state, services, psks, by_value, usage=options.usage)
    else:
        chosen = _named(state, options.references)
    sent = [*chosen.values(), *by_value]
    plan = plan_proposals(
        public.context,
        public.tree,
        sent,
        services,
        committer=state.own_index,
        is_sending=True,
        usage=options.usage,
    )
    entries: tuple[ProposalOrRef, ...] = (*chosen, *proposals)
    return build_commit(state, entries, plan, options, services, psks=psks)


def _named(state: MemberState, references: Sequence[bytes]) -> dict[bytes, SentProposal]:
    try:
        return {reference: state.public.proposals[reference] for reference in references}
    except KeyError:
        raise MlsUsageError("A proposal to be committed is unknown here.", "12.4") from None


@dataclass(frozen=True, slots=True)
class _Renewal:
    """A committer's new keys, and the tree and path that go with them."""

    tree: RatchetTree
    context: GroupContext
    path: UpdatePath | None
    secrets: NewPath | None
    leaf_private: bytes | None = field(repr=False)
    signature_key: tuple[bytes, bytes] = field(repr=False)
    is_external: bool


def build_commit(
    state: MemberState,
    entries: tuple[ProposalOrRef, ...],
    plan: ProposalPlan,
    options: CommitOptions,
    services: Services,
    *,
    psks: PskLookup,
    init_secret: bytes | None = None,
) -> NewEpoch:
    """Build a commit from a checked plan; ``init_secret`` is that of an external commit."""
    public, suite = state.public, state.public.suite
    is_external = init_secret is not None
    draft = public.tree.edit()
    added = apply_plan(draft, plan)
    if is_external:
        state = replace(state, own_index=draft.free_leaf())
    renewal = _renew(state, draft, plan, added, options, services=services, is_external=is_external)
    content = _sign(state, Commit(entries, renewal.path), renewal, options, services)
    context = confirmed_context(public, renewal.context, content)
    commit_secret = suite.zero if renewal.secrets is None else renewal.secrets.commit_secret
    psk = psk_secret_for(state, plan.psks, psks)
    init = state.secrets.need("init") if init_secret is None else init_secret
    joiner = joiner_secret(suite, init, commit_secret, context)
    schedule = schedule_from_joiner(suite, joiner, psk, context)
    tag = suite.mac(schedule.secrets.need("confirmation_key"), context.confirmed_transcript_hash)
    content = replace(content, confirmation_tag=tag)
    message, previous = protect_handshake(state, content, services)
    entered = _entered(
        state,
        renewal,
        plan,
        context=context,
        tag=tag,
        schedule=schedule,
        services=services,
    )
    welcome = None
    if added:
        welcome = _welcome(
            entered,
            plan,
            added,
            path=renewal.secrets,
            schedule=schedule,
            options=options,
            services=services,
        )
    return NewEpoch(message, welcome, entered, previous)


def _sign(
    state: MemberState,
    commit: Commit,
    renewal: _Renewal,
    options: CommitOptions,
    services: Services,
) -> AuthenticatedContent:
    """Frame and sign a commit; its confirmation tag follows."""
    public = state.public
    if renewal.is_external:
        wire_format = WireFormat.PUBLIC_MESSAGE
        sender, signer = Sender(SenderType.NEW_MEMBER_COMMIT), renewal.signature_key
    else:
        wire_format = options.wire_format or services.policy.handshake_format
        sender, signer = Sender.member(state.own_index), state.signature_key()
    framed = FramedContent.create(
        public.context.group_id,
        public.context.epoch,
        sender,
        options.authenticated_data,
        commit,
    )
    signature = sign_content(public.suite, signer, wire_format, framed, public.context)
    return AuthenticatedContent(wire_format, framed, signature, b"")


def _renew(
    state: MemberState,
    draft: TreeDraft,
    plan: ProposalPlan,
    added: list[int],
    options: CommitOptions,
    *,
    services: Services,
    is_external: bool,
) -> _Renewal:
    """Finish the new tree, with fresh keys of the committer if there is to be a path."""
    public, suite, own = state.public, state.public.suite, state.own_index
    old_leaf = None if is_external else public.tree.leaf(own)
    if not (plan.needs_path or options.path or is_external):
        if options.leaf is not None or options.signature_private is not None:
            raise MlsUsageError("A new leaf needs a commit with a path.", "12.4")
        tree = draft.freeze()
        check_new_members(public, tree, plan, added)
        context = provisional_context(public, tree, plan.extensions)
        return _Renewal(tree, context, None, None, None, state.signature_key(), is_external=False)
    leaf_content = options.leaf or (None if old_leaf is None else LeafContent.of(old_leaf))
    if leaf_content is None:
        raise MlsUsageError("A newcomer must say who it is.", "12.4.3.2")
    if options.signature_private is not None or is_external:
        private = options.signature_private or state.signature_private
        signature_key = private, suite.signatures.public_key(private)
    else:
        signature_key = state.signature_key()
    leaf_private, leaf_public = suite.hpke.generate_key_pair(services.random)
    secrets = generate_path(draft, own, services.random)

    def make_leaf(parent_hash: bytes) -> LeafNode:
        return sign_leaf(
            suite,
            leaf_content,
            encryption_key=leaf_public,
            signature_key=signature_key,
            parent_hash=parent_hash,
            group_id=public.context.group_id,
            leaf_index=own,
        )

    leaf = apply_new_path(draft, secrets, make_leaf)
    if old_leaf is not None:
        check_replacement(old_leaf, leaf, services)
    tree = draft.freeze()
    check_new_members(public, tree, plan, (*added, own))
    context = provisional_context(public, tree, plan.extensions)
    path = seal_path(tree, secrets, leaf, context, added=frozenset(added), random=services.random)
    return _Renewal(
        tree, context, path, secrets, leaf_private, signature_key, is_external=is_external
    )


def _entered(
    state: MemberState,
    renewal: _Renewal,
    plan: ProposalPlan,
    *,
    context: GroupContext,
    tag: bytes,
    schedule: KeySchedule,
    services: Services,
) -> MemberState:
    suite = state.public.suite
    private_keys = prune_keys(state.private_keys, renewal.tree)
    if renewal.secrets is not None and renewal.leaf_private is not None:
        private_keys.update(renewal.secrets.private_keys)
        private_keys[state.own_index * 2] = renewal.leaf_private
    pending: Mapping[bytes, tuple[bytes, bytes]] = {}
    return MemberState(
        public=PublicState.create(suite, context, renewal.tree, tag),
        own_index=state.own_index,
        signature_private=renewal.signature_key[0],
        private_keys=private_keys,
        secrets=schedule.secrets,
        secret_tree=SecretTree.start(suite, renewal.tree.leaf_count, schedule.encryption),
        pending_updates=pending,
        resumption=state.next_resumption(services.policy),
        status=Status.ACTIVE if plan.reinit is None else Status.REINITIALISED,
        reinit=plan.reinit,
    )


def make_group_info(
    state: MemberState,
    services: Services,
    *,
    with_tree: bool,
    with_external_pub: bool,
    extensions: Extensions = (),
) -> GroupInfo:
    """Make a signed GroupInfo of the present epoch (§12.4.3)."""
    public = state.public
    listed = list(extensions)
    if with_tree:
        listed.append(Extension(EXTENSION_RATCHET_TREE, public.tree.encode()))
    if with_external_pub:
        _, key = public.suite.hpke.derive_key_pair(state.secrets.need("external"))
        listed.append(Extension(EXTENSION_EXTERNAL_PUB, vector(key)))
    extra = grease_extension(services.random)
    if services.policy.grease and find_extension(extensions, extra.extension_type) is None:
        listed.append(extra)
    return GroupInfo.create(
        public.suite,
        public.context,
        tuple(listed),
        confirmation_tag=public.confirmation_tag,
        signer=state.own_index,
        signature_key=state.signature_key(),
    )


def _welcome(
    state: MemberState,
    plan: ProposalPlan,
    added: list[int],
    *,
    path: NewPath | None,
    schedule: KeySchedule,
    options: CommitOptions,
    services: Services,
) -> Welcome:
    suite = state.public.suite
    group_info = make_group_info(
        state,
        services,
        with_tree=options.welcome_tree,
        with_external_pub=False,
        extensions=options.group_info_extensions,
    )
    key, nonce = welcome_key_nonce(suite, schedule.welcome)
    encrypted = suite.aead_class(key).encrypt(nonce, group_info.encode(), b"")
    seal = suite.sealer(b"Welcome", encrypted, services.random)
    secrets: list[EncryptedGroupSecrets] = []
    for leaf_index, key_package in zip(added, plan.key_packages, strict=True):
        path_secret = None if path is None else path.secret_for(leaf_index)
        group_secrets = GroupSecrets(schedule.joiner, path_secret, plan.psks).encode()
        sealed = seal(key_package.init_key, group_secrets)
        secrets.append(EncryptedGroupSecrets(key_package.reference(), HpkeCiphertext(*sealed)))
    return Welcome(suite.suite_id, tuple(secrets), encrypted)
