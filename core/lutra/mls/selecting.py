"""Which received proposals a commit takes in (RFC 9420 §12.2, §12.4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Sequence
from typing import TypeVar

from lutra.mls.errors import MlsRemoteError
from lutra.mls.framing import Sender
from lutra.mls.key_package import KeyPackage
from lutra.mls.proposal_list import SentProposal, apply_plan, plan_proposals
from lutra.mls.proposals import (
    USAGE_APPLICATION,
    Add,
    GroupContextExtensions,
    PreSharedKey,
    Proposal,
    ReInit,
    Remove,
    Update,
)
from lutra.mls.services import PskLookup, Services
from lutra.mls.state import MemberState
from lutra.mls.transition import check_new_members

_Item = TypeVar("_Item")
_MISFITS = 4
"""Proposals of one sender that may spoil the list before its others are left out too."""


def select_proposals(
    state: MemberState,
    services: Services,
    psks: PskLookup,
    by_value: Sequence[SentProposal] = (),
    *,
    usage: int = USAGE_APPLICATION,
) -> dict[bytes, SentProposal]:
    """Choose received proposals that can be committed together, by reference.

    Removes win over updates of the same leaf, later updates over earlier ones; one's own update
    and one's own removal cannot be committed by oneself; pre-shared keys must be at hand; a
    re-initialisation waits for everything else. A proposal that still spoils the list is left
    out, and with several of them everything else its sender proposed, so that nobody can hold up
    a group by proposing nonsense.

    Args:
        state: the committer's.
        services: for credential checks, time, limits.
        psks: finds pre-shared keys.
        by_value: what the commit holds besides; the choice fits to it.
        usage: see `plan_proposals`.
    """
    chosen = _by_subject(state, psks, by_value)
    judge = _Judge(state, services, usage)
    refused: Counter[Sender] = Counter()

    def fits(items: list[tuple[bytes, SentProposal]]) -> bool:
        return judge.fits([*(sent for _, sent in items), *by_value])

    def is_worth(item: tuple[bytes, SentProposal]) -> bool:
        return refused[item[1].sender] < _MISFITS

    def refuse(item: tuple[bytes, SentProposal]) -> None:
        refused[item[1].sender] += 1

    return dict(_fitting(list(chosen.items()), fits, is_worth, refuse))


def select_additions(
    state: MemberState,
    services: Services,
    additions: Sequence[Add],
    by_value: Sequence[Proposal],
    checked: Container[KeyPackage],
) -> list[Add]:
    """Choose additions that can be committed together, and with the other proposals of a commit.

    A key package may be valid by itself and yet use a key that somebody else in the group has.

    Args:
        state: the committer's.
        services: for credential checks, time, limits.
        additions: to choose from, wanted most first.
        by_value: what the commit holds besides.
        checked: see `plan_proposals`.
    """
    judge = _Judge(state, services, USAGE_APPLICATION, checked)
    own = Sender.member(state.own_index)

    def fits(items: list[Add]) -> bool:
        return judge.fits([SentProposal(own, one) for one in (*by_value, *items)])

    return _fitting(list(additions), fits)


def _fitting(
    items: list[_Item],
    fits: Callable[[list[_Item]], bool],
    is_worth: Callable[[_Item], bool] = lambda _: True,
    refuse: Callable[[_Item], None] = lambda _: None,
) -> list[_Item]:
    """Return the items that fit together, earlier ones first.

    Halves are tried whole, so that a few misfits among many cost little.
    """
    fitting: list[_Item] = []
    pending = [items]
    while pending:
        part = [item for item in pending.pop() if is_worth(item)]
        if not part:
            continue
        if fits([*fitting, *part]):
            fitting += part
        elif len(part) == 1:
            refuse(part[0])
        else:
            half = len(part) // 2
            pending += [part[half:], part[:half]]
    return fitting


def _by_subject(
    state: MemberState, psks: PskLookup, by_value: Sequence[SentProposal]
) -> dict[bytes, SentProposal]:
    received = state.public.proposals
    taken = {_subject(sent) for sent in by_value}
    chosen: dict[object, bytes] = {}
    for reference, sent in received.items():
        subject = _subject(sent)
        before = received.get(chosen.get(subject, b""))
        if before is not None and isinstance(before.proposal, Remove):
            continue
        if subject in taken or subject == ("leaf", state.own_index):
            continue
        if isinstance(sent.proposal, ReInit):
            continue
        if isinstance(sent.proposal, PreSharedKey) and not state.has_psk(sent.proposal.psk, psks):
            continue
        chosen[subject] = reference
    references = set(chosen.values())
    if not references and not by_value:
        reinits = [r for r, sent in received.items() if isinstance(sent.proposal, ReInit)]
        references = set(reinits[:1])
    return {r: sent for r, sent in received.items() if r in references}


def _subject(sent: SentProposal) -> object:
    """Return what a proposal is about; a commit can hold one proposal about it."""
    proposal = sent.proposal
    match proposal:
        case Update():
            return "leaf", sent.sender.index
        case Remove(removed):
            return "leaf", removed
        case Add(key_package):
            return "client", key_package.leaf.signature_key
        case GroupContextExtensions():
            return "extensions"
        case PreSharedKey(psk):
            return psk
        case _:
            return proposal


class _Judge:
    """Tries lists of proposals; what was found valid by itself is not verified again."""

    def __init__(
        self,
        state: MemberState,
        services: Services,
        usage: int,
        checked: Container[KeyPackage] = frozenset(),
    ) -> None:
        self._state = state
        self._services = services
        self._usage = usage
        self._checked = checked
        self._known: set[object] = set()

    def fits(self, proposals: Sequence[SentProposal]) -> bool:
        """Tell whether a member could commit these proposals together."""
        public = self._state.public
        try:
            plan = plan_proposals(
                public.context,
                public.tree,
                proposals,
                self._services,
                committer=self._state.own_index,
                is_sending=True,
                usage=self._usage,
                known=self._known,
                checked=self._checked,
            )
            draft = public.tree.edit()
            added = apply_plan(draft, plan)
            check_new_members(public, draft.freeze(), plan, added)
        except MlsRemoteError:
            return False
        return True
