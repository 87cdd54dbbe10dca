"""Which received proposals a commit takes in (RFC 9420 §12.2, §12.4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from lutra.mls.errors import MlsRemoteError
from lutra.mls.framing import Sender
from lutra.mls.proposal_list import SentProposal, apply_plan, plan_proposals
from lutra.mls.proposals import (
    USAGE_APPLICATION,
    Add,
    GroupContextExtensions,
    PreSharedKey,
    ReInit,
    Remove,
    Update,
)
from lutra.mls.services import PskLookup, Services
from lutra.mls.state import MemberState
from lutra.mls.transition import check_new_members

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
    known: set[object] = set()
    refused: Counter[Sender] = Counter()
    fitting: dict[bytes, SentProposal] = {}
    # Halves are tried whole, so that a few misfits among many cost little.
    pending = [list(chosen.items())]
    while pending:
        part = [item for item in pending.pop() if refused[item[1].sender] < _MISFITS]
        if not part:
            continue
        proposals = [*fitting.values(), *(sent for _, sent in part), *by_value]
        if _fits(state, proposals, services, usage, known):
            fitting.update(part)
        elif len(part) == 1:
            refused[part[0][1].sender] += 1
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


def _fits(
    state: MemberState,
    proposals: Sequence[SentProposal],
    services: Services,
    usage: int,
    known: set[object],
) -> bool:
    public = state.public
    try:
        plan = plan_proposals(
            public.context,
            public.tree,
            proposals,
            services,
            committer=state.own_index,
            is_sending=True,
            usage=usage,
            known=known,
        )
        draft = public.tree.edit()
        added = apply_plan(draft, plan)
        check_new_members(public, draft.freeze(), plan, added)
    except MlsRemoteError:
        return False
    return True
