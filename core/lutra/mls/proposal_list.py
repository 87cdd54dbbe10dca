"""Which proposals may be committed together, and what they do (RFC 9420 §12.1-§12.3)."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

from lutra.mls.errors import InvalidLeafError, InvalidProposalError, MlsMalformedError
from lutra.mls.framing import Sender, SenderType
from lutra.mls.key_package import KeyPackage
from lutra.mls.key_schedule import GroupContext
from lutra.mls.leaf import PROTOCOL_MLS10, SOURCE_UPDATE, Extensions, LeafNode
from lutra.mls.leaf_validation import (
    check_external_senders,
    check_key_package,
    check_leaf_signature,
    check_replacement,
)
from lutra.mls.proposals import (
    ADD,
    GROUP_CONTEXT_EXTENSIONS,
    PSK,
    PSK_RESUMPTION,
    REINIT,
    REMOVE,
    USAGE_APPLICATION,
    Add,
    CustomProposal,
    ExternalInit,
    GroupContextExtensions,
    PreSharedKey,
    PreSharedKeyId,
    Proposal,
    ReInit,
    Remove,
    Update,
)
from lutra.mls.ratchet_tree import RatchetTree, TreeDraft
from lutra.mls.services import Services

_EXTERNAL_TYPES = frozenset({ADD, REMOVE, PSK, REINIT, GROUP_CONTEXT_EXTENSIONS})
_PATHLESS = (Add, PreSharedKey, ReInit)


@dataclass(frozen=True, slots=True)
class SentProposal:
    """A proposal and who made it."""

    sender: Sender
    proposal: Proposal


@dataclass(frozen=True, slots=True)
class ProposalPlan:
    """What a valid list of proposals does to a group.

    Attributes:
        key_packages: of members added, in order.
        updates: new leaves by leaf index.
        removes: leaf indices removed.
        psks: keys mixed in, in order.
        extensions: new extensions of the group context, if they change.
        kem_output: of the ExternalInit of an external commit.
        reinit: parameters of the group that replaces this one.
        needs_path: whether the commit must have a path (§12.4).
    """

    key_packages: tuple[KeyPackage, ...]
    updates: dict[int, LeafNode]
    removes: tuple[int, ...]
    psks: tuple[PreSharedKeyId, ...]
    extensions: Extensions | None
    kem_output: bytes | None
    reinit: ReInit | None
    needs_path: bool


def check_proposal_sender(sender: Sender, proposal: Proposal) -> None:
    """Check that a sender of this type may make this proposal (§12.1.8).

    Raises:
        InvalidProposalError: it may not.
    """
    kind = sender.sender_type
    if (
        (kind is SenderType.EXTERNAL and proposal.proposal_type not in _EXTERNAL_TYPES)
        or (kind is SenderType.NEW_MEMBER_PROPOSAL and not isinstance(proposal, Add))
        or (kind is SenderType.NEW_MEMBER_COMMIT and isinstance(proposal, Add | Update | ReInit))
    ):
        raise InvalidProposalError("A sender may not propose this.", "12.1.8")


def plan_proposals(
    context: GroupContext,
    tree: RatchetTree,
    proposals: Sequence[SentProposal],
    services: Services,
    *,
    committer: int | None,
    is_sending: bool = False,
    usage: int = USAGE_APPLICATION,
    known: set[object] | None = None,
    checked: Container[KeyPackage] = frozenset(),
) -> ProposalPlan:
    """Check a list of proposals (§12.2) and sort it by effect.

    Args:
        context: the group's.
        tree: the tree before the commit.
        proposals: in the order of the commit.
        services: for credential checks, time, limits.
        committer: leaf index; ``None`` for an external commit.
        is_sending: whether we are committing ourselves.
        usage: the one usage of resumption keys allowed besides ``application``: of a group that
            is being branched or re-initialised.
        known: key packages and leaves found valid before, which are not verified again; what is
            found valid is added. For lists tried in turn within one call.
        checked: key packages that `KeyPackage.check` has passed for this suite.

    Raises:
        InvalidProposalError: the list, or one proposal, is invalid.
        InvalidKeyPackageError: an Add's key package is.
        InvalidLeafError: an Update's leaf is.
    """
    checker = _Checker(
        context,
        tree,
        services,
        committer=committer,
        is_sending=is_sending,
        usage=usage,
        known=set() if known is None else known,
        checked=checked,
    )
    for sent in proposals:
        check_proposal_sender(sent.sender, sent.proposal)
        checker.take(sent)
    return checker.plan(proposals)


class _Checker:
    """Collects a commit's proposals, refusing the first that does not fit the others."""

    def __init__(
        self,
        context: GroupContext,
        tree: RatchetTree,
        services: Services,
        *,
        committer: int | None,
        is_sending: bool,
        usage: int,
        known: set[object],
        checked: Container[KeyPackage],
    ) -> None:
        self._context = context
        self._tree = tree
        self._services = services
        self._committer = committer
        self._is_sending = is_sending
        self._usage = usage
        self._known = known
        self._checked = checked
        self._adds: list[KeyPackage] = []
        self._updates: dict[int, LeafNode] = {}
        self._removes: dict[int, None] = {}
        self._psks: dict[PreSharedKeyId, None] = {}
        self._extensions: Extensions | None = None
        self._kem_output: bytes | None = None
        self._reinit: ReInit | None = None
        self._custom: set[int] = set()

    def take(self, sent: SentProposal) -> None:
        proposal = sent.proposal
        if self._committer is None and not isinstance(
            proposal, ExternalInit | Remove | PreSharedKey
        ):
            raise InvalidProposalError("An external commit holds a forbidden proposal.", "12.2")
        match proposal:
            case Add(key_package):
                if key_package not in self._known:
                    check_key_package(
                        key_package,
                        self._tree.suite,
                        self._services,
                        is_sending=self._is_sending,
                        checked=self._checked,
                    )
                    self._known.add(key_package)
                self._adds.append(key_package)
            case Update(leaf):
                self._take_update(sent.sender, leaf)
            case Remove(removed):
                self._take_remove(removed)
            case PreSharedKey(psk):
                self._take_psk(psk)
            case GroupContextExtensions(extensions):
                if self._extensions is not None:
                    raise InvalidProposalError("A commit changes the extensions twice.", "12.2")
                check_external_senders(extensions, self._context.extensions, self._services)
                self._extensions = extensions
            case ReInit():
                if proposal.version < PROTOCOL_MLS10:
                    raise InvalidProposalError("A group cannot go back a version.", "12.1.5")
                self._reinit = proposal
            case ExternalInit(kem_output):
                if self._committer is not None or self._kem_output is not None:
                    raise InvalidProposalError("An external init is out of place.", "12.2")
                self._kem_output = kem_output
            case CustomProposal(proposal_type):
                self._custom.add(proposal_type)

    def _take_update(self, sender: Sender, leaf: LeafNode) -> None:
        index = sender.index
        old = self._tree.leaf(index)
        if sender.sender_type is not SenderType.MEMBER or old is None:
            raise InvalidProposalError("An update comes from somebody who is no member.", "12.1.2")
        if index == self._committer:
            raise InvalidProposalError("A committer commits its own update.", "12.2")
        if index in self._updates or index in self._removes:
            raise InvalidProposalError("A commit changes one leaf twice.", "12.2")
        if leaf.source != SOURCE_UPDATE:
            raise InvalidLeafError("An update holds a leaf from elsewhere.", "7.3")
        if (index, leaf) not in self._known:
            check_leaf_signature(leaf, self._tree.suite, self._context.group_id, index)
            check_replacement(old, leaf, self._services)
            self._known.add((index, leaf))
        self._updates[index] = leaf

    def _take_remove(self, removed: int) -> None:
        if self._tree.leaf(removed) is None:
            raise InvalidProposalError("A commit removes somebody who is no member.", "12.1.3")
        if removed == self._committer:
            raise InvalidProposalError("A committer removes itself.", "12.2")
        if removed in self._removes or removed in self._updates:
            raise InvalidProposalError("A commit changes one leaf twice.", "12.2")
        if self._committer is None and self._removes:
            raise InvalidProposalError("An external commit removes more than one leaf.", "12.2")
        self._removes[removed] = None

    def _take_psk(self, psk: PreSharedKeyId) -> None:
        if len(psk.nonce) != self._tree.suite.hash_bytes:
            raise InvalidProposalError("A pre-shared key has a wrong nonce.", "12.1.4")
        if psk.psk_type == PSK_RESUMPTION and psk.usage not in {USAGE_APPLICATION, self._usage}:
            raise InvalidProposalError("A resumption key is used out of place.", "12.1.4")
        if psk in self._psks:
            raise InvalidProposalError("A commit uses one pre-shared key twice.", "12.2")
        self._psks[psk] = None

    def _check_adds(self) -> None:
        if not self._adds:
            return
        staying = {
            self._updates.get(index, leaf).signature_key
            for index, leaf in self._tree.members()
            if index not in self._removes
        }
        for key_package in self._adds:
            if key_package.leaf.signature_key in staying:
                raise InvalidProposalError("A commit adds a client twice.", "12.2")
            staying.add(key_package.leaf.signature_key)

    def _check_custom(self) -> None:
        if not self._custom:
            return
        for index, leaf in self._tree.members():
            if (
                index not in self._removes
                and not self._custom <= leaf.capabilities.supported_proposals()
            ):
                raise InvalidProposalError("A member does not support a proposal.", "12.2")

    def plan(self, proposals: Sequence[SentProposal]) -> ProposalPlan:
        if self._reinit is not None and len(proposals) > 1:
            raise InvalidProposalError("A re-initialisation comes with other proposals.", "12.2")
        if self._committer is None and self._kem_output is None:
            raise InvalidProposalError("An external commit lacks its external init.", "12.2")
        self._check_adds()
        self._check_custom()
        needs_path = not proposals or any(
            not isinstance(sent.proposal, _PATHLESS) for sent in proposals
        )
        return ProposalPlan(
            tuple(self._adds),
            self._updates,
            tuple(self._removes),
            tuple(self._psks),
            self._extensions,
            self._kem_output,
            self._reinit,
            needs_path,
        )


def apply_plan(draft: TreeDraft, plan: ProposalPlan) -> list[int]:
    """Apply proposals to a tree in the order of §12.3; returns leaf indices of new members.

    Raises:
        MlsMalformedError: nobody would be left.
    """
    for index, leaf in plan.updates.items():
        draft.update_leaf(index, leaf)
    for index in plan.removes:
        draft.remove_leaf(index)
    if plan.removes:
        if plan.kem_output is None and next(draft.members(), None) is None:
            raise MlsMalformedError("A commit leaves nobody in the group.", "12.2")
        draft.truncate()
    return draft.add_leaves([key_package.leaf for key_package in plan.key_packages])
