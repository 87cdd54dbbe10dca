"""The public half of an epoch and of a commit: what anybody with the tree can check.

`PublicState` is an epoch without secrets; `advance` applies a commit's proposals and path to it.
Members and outside observers run the same code (RFC 9420 §12.4.2).
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lutra.mls.codec import u16, vector
from lutra.mls.errors import (
    InvalidCommitError,
    InvalidLeafError,
    InvalidProposalError,
    MlsSignatureError,
    WrongEpochError,
    WrongGroupError,
)
from lutra.mls.framing import (
    AuthenticatedContent,
    FramedContent,
    Sender,
    SenderType,
)
from lutra.mls.key_package import KeyPackage
from lutra.mls.key_schedule import (
    GroupContext,
    confirmed_transcript_hash,
    interim_transcript_hash,
)
from lutra.mls.leaf import SOURCE_COMMIT, Extensions
from lutra.mls.leaf_validation import (
    check_leaf_signature,
    check_members,
    check_replacement,
    external_senders,
)
from lutra.mls.proposal_list import (
    ProposalPlan,
    SentProposal,
    apply_plan,
    check_proposal_sender,
    plan_proposals,
)
from lutra.mls.proposals import Add, Commit, Proposal, UpdatePath
from lutra.mls.ratchet_tree import RatchetTree, TreeDraft
from lutra.mls.services import Services
from lutra.mls.suites import CipherSuite
from lutra.mls.treekem import apply_update_path, check_path_shape

_LAST_EPOCH = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class PublicState:
    """An epoch as anybody may know it.

    Attributes:
        suite: cipher suite.
        context: group context.
        tree: ratchet tree.
        confirmation_tag: of the commit that began the epoch.
        interim_transcript_hash: names the epoch among all possible ones.
        proposals: proposals received in this epoch, by reference.
    """

    suite: CipherSuite
    context: GroupContext
    tree: RatchetTree
    confirmation_tag: bytes = field(repr=False)
    interim_transcript_hash: bytes
    proposals: Mapping[bytes, SentProposal]

    @classmethod
    def create(
        cls, suite: CipherSuite, context: GroupContext, tree: RatchetTree, confirmation_tag: bytes
    ) -> PublicState:
        """Make the state of a new epoch."""
        interim = interim_transcript_hash(
            suite, context.confirmed_transcript_hash, confirmation_tag
        )
        return cls(suite, context, tree, confirmation_tag, interim, {})

    def with_proposal(self, reference: bytes, sent: SentProposal) -> PublicState:
        """Return the state with one more proposal."""
        return replace(self, proposals={**self.proposals, reference: sent})

    def without_proposal(self, reference: bytes) -> PublicState:
        """Return the state with one proposal forgotten."""
        kept = {key: sent for key, sent in self.proposals.items() if key != reference}
        return replace(self, proposals=kept)


@dataclass(frozen=True, slots=True)
class Transition:
    """A commit's effect on the public state, confirmation aside.

    Attributes:
        plan: the proposals by effect.
        proposals: the proposals in order, references resolved.
        tree: tree of the new epoch.
        context: provisional context: new epoch, tree and extensions, old transcript hash.
        committer: leaf index of the committer in the new tree.
        added: leaf indices of new members, an external committer excepted.
        path: the update path.
    """

    plan: ProposalPlan
    proposals: tuple[SentProposal, ...]
    tree: RatchetTree
    context: GroupContext
    committer: int
    added: tuple[int, ...]
    path: UpdatePath | None


def check_place(state: PublicState, group_id: bytes, epoch: int) -> None:
    """Check that a message belongs to this group and epoch.

    Raises:
        WrongGroupError: it belongs to another group.
        WrongEpochError: it belongs to another epoch.
    """
    if group_id != state.context.group_id:
        raise WrongGroupError("A message belongs to another group.", "6")
    if epoch != state.context.epoch:
        raise WrongEpochError(
            "A message belongs to another epoch.", "12.4.2", epoch=epoch, here=state.context.epoch
        )


def signature_key_of(state: PublicState, content: FramedContent, services: Services) -> bytes:
    """Return the key that must have signed content from its sender (§6.1).

    Raises:
        MlsSignatureError: there is no such sender.
        InvalidProposalError: the sender may not send this.
        InvalidCommitError: a commit comes from somebody who may not commit.
    """
    sender, body = content.sender, content.body
    if sender.sender_type is SenderType.MEMBER:
        leaf = state.tree.leaf(sender.index)
        if leaf is None:
            raise MlsSignatureError("A message names a sender who is no member.", "6.1")
        return leaf.signature_key
    if sender.sender_type is SenderType.NEW_MEMBER_COMMIT:
        if not isinstance(body, Commit) or body.path is None:
            raise InvalidCommitError("A newcomer sent no commit with a path.", "12.4.3.2")
        return body.path.leaf.signature_key
    if isinstance(body, bytes | Commit):
        raise InvalidProposalError("Somebody outside sent more than a proposal.", "6.1")
    check_proposal_sender(sender, body)
    if sender.sender_type is SenderType.EXTERNAL:
        admitted = external_senders(state.context.extensions)
        if sender.index >= len(admitted):
            raise MlsSignatureError("A message names an unknown external sender.", "12.1.8.1")
        return admitted[sender.index].signature_key
    if not services.policy.new_member_proposals or not isinstance(body, Add):
        raise InvalidProposalError("Newcomers may not propose themselves here.", "12.1.8")
    return body.key_package.leaf.signature_key


def check_signature(state: PublicState, content: AuthenticatedContent, services: Services) -> None:
    """Check who signed content (§6.1).

    Raises:
        MlsSignatureError: its sender did not.
    """
    key = signature_key_of(state, content.content, services)
    if not content.is_signed(state.suite, key, state.context):
        raise MlsSignatureError("A message is not signed by its sender.", "6.1")


def check_single_proposal(
    state: PublicState, sender: Sender, proposal: Proposal, services: Services
) -> None:
    """Check what a proposal shows by itself before it is kept (§12.1).

    Raises:
        MlsRemoteError: it can never be committed in this epoch.
    """
    if isinstance(proposal, Add) or sender.sender_type is not SenderType.NEW_MEMBER_PROPOSAL:
        # Anybody but the proposer may commit it; index -1 is nobody's.
        plan_proposals(
            state.context, state.tree, [SentProposal(sender, proposal)], services, committer=-1
        )


def resolve_proposals(
    state: PublicState, commit: Commit, sender: Sender
) -> tuple[SentProposal, ...]:
    """Look up a commit's proposals (§12.4).

    Raises:
        InvalidCommitError: one was never received, is named twice, or an external commit names
            one by reference.
    """
    is_external = sender.sender_type is SenderType.NEW_MEMBER_COMMIT
    resolved: list[SentProposal] = []
    seen: set[bytes] = set()
    for entry in commit.proposals:
        if not isinstance(entry, bytes):
            resolved.append(SentProposal(sender, entry))
            continue
        if is_external:
            raise InvalidCommitError("An external commit refers to proposals.", "12.4.3.2")
        sent = state.proposals.get(entry)
        if sent is None or entry in seen:
            raise InvalidCommitError(
                "A commit refers to a proposal that was not received.", "12.4", reference=entry
            )
        seen.add(entry)
        resolved.append(sent)
    return tuple(resolved)


def provisional_context(
    state: PublicState, tree: RatchetTree, extensions: Extensions | None
) -> GroupContext:
    """Return the provisional group context of a commit (§12.4.1).

    Raises:
        InvalidCommitError: the group is in the last epoch that can be numbered.
    """
    old = state.context
    if old.epoch >= _LAST_EPOCH:
        raise InvalidCommitError("A group has used up its epochs.", "8.1")
    return GroupContext.create(
        old.suite_id,
        old.group_id,
        old.epoch + 1,
        tree_hash=tree.tree_hash(),
        confirmed_transcript_hash=old.confirmed_transcript_hash,
        extensions=old.extensions if extensions is None else extensions,
    )


def check_new_members(
    state: PublicState, tree: RatchetTree, plan: ProposalPlan, changed: Sequence[int]
) -> None:
    """Check that the members of the new tree fit together (§12.2, last point).

    Raises:
        InvalidLeafError: somebody does not support what is used or required.
        InvalidTreeError: a key occurs twice.
    """
    if plan.extensions is not None:
        check_members(tree, plan.extensions, None)
    else:
        check_members(tree, state.context.extensions, (*changed, *plan.updates))


def advance(
    state: PublicState,
    commit: Commit,
    sender: Sender,
    services: Services,
    checked: Container[KeyPackage] = frozenset(),
) -> Transition:
    """Apply a received commit's proposals and path (§12.4.2).

    Args:
        state: the epoch before.
        commit: what was received.
        sender: who sent it.
        services: the group's.
        checked: key packages that `KeyPackage.check` has passed for the group's suite.

    Raises:
        MlsRemoteError: some rule is broken; the subclass and its section say which.
    """
    if sender.sender_type not in {
        SenderType.MEMBER,
        SenderType.NEW_MEMBER_COMMIT,
    }:
        raise InvalidCommitError("A commit comes from somebody who may not commit.", "6.1")
    is_external = sender.sender_type is SenderType.NEW_MEMBER_COMMIT
    proposals = resolve_proposals(state, commit, sender)
    plan = plan_proposals(
        state.context,
        state.tree,
        proposals,
        services,
        committer=None if is_external else sender.index,
        checked=checked,
    )
    if commit.path is None and (plan.needs_path or is_external):
        raise InvalidCommitError("A commit lacks its update path.", "12.4")
    draft = state.tree.edit()
    added = tuple(apply_plan(draft, plan))
    committer = draft.free_leaf() if is_external else sender.index
    changed = added
    if commit.path is not None:
        _apply_path(state, draft, plan, commit.path, committer=committer, services=services)
        changed = (*added, committer)
    tree = draft.freeze()
    if commit.path is not None:
        check_path_shape(tree, committer, commit.path, frozenset(added))
    check_new_members(state, tree, plan, changed)
    context = provisional_context(state, tree, plan.extensions)
    return Transition(plan, proposals, tree, context, committer, added, commit.path)


def _apply_path(
    state: PublicState,
    draft: TreeDraft,
    plan: ProposalPlan,
    path: UpdatePath,
    *,
    committer: int,
    services: Services,
) -> None:
    leaf = path.leaf
    if leaf.source != SOURCE_COMMIT:
        raise InvalidLeafError("An update path holds a leaf from elsewhere.", "7.3")
    check_leaf_signature(leaf, state.suite, state.context.group_id, committer)
    # A resync is judged as the update of the leaf it removes (§12.2).
    replaced = committer if plan.kem_output is None else next(iter(plan.removes), None)
    old = None if replaced is None else state.tree.leaf(replaced)
    if old is not None:
        check_replacement(old, leaf, services)
    elif not services.authenticate(leaf.credential, leaf.signature_key):
        raise InvalidLeafError("The credential of a newcomer was refused.", "5.3.1")
    apply_update_path(draft, committer, path)


def confirmed_context(
    state: PublicState, provisional: GroupContext, content: AuthenticatedContent
) -> GroupContext:
    """Return the new epoch's context, the commit hashed into its transcript (§8.2)."""
    hashed = u16(content.wire_format) + content.content.encoded + vector(content.signature)
    return GroupContext.create(
        provisional.suite_id,
        provisional.group_id,
        provisional.epoch,
        tree_hash=provisional.tree_hash,
        confirmed_transcript_hash=confirmed_transcript_hash(
            state.suite, state.interim_transcript_hash, hashed
        ),
        extensions=provisional.extensions,
    )
