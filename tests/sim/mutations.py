"""Rules of groups broken on purpose: the simulator has to notice each of them.

Each mutation is what somebody might write by mistake, or take out as superfluous. Seeds that are
known to show it are tried first, so that looking is quick.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from lutra.groups import (
    authorisation,
    bodies,
    commits,
    control_state,
    cuts,
    data_rules,
    gate,
    group,
    keyring,
    planning,
    sealing,
)
from lutra.groups import head as head_module
from lutra.groups.authorisation import Authorisation
from lutra.groups.contents import Opinion, Role
from lutra.groups.control_state import ControlState
from lutra.groups.head import HeadChooser
from lutra.groups.planning import Plan
from lutra.groups.reconcile import Changes, changes_for

Patch = pytest.MonkeyPatch


@dataclass(frozen=True)
class Mutation:
    """A broken rule.

    Attributes:
        apply: breaks it.
        seeds: lives that are known to show it.
    """

    apply: Callable[[Patch], None]
    seeds: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        return self.apply.__name__.strip("_")


# The gate (§2.6.2)


def _gate_ignores_removals_unknown_to_the_committer(patch: Patch) -> None:
    patch.setattr(gate, "is_open", lambda node, auth: auth.leaves.issuperset(node.roster))


def _gate_ignores_the_roster(patch: Patch) -> None:
    patch.setattr(gate, "is_open", lambda node, auth: not auth.removals & ~node.known)


# The head (§2.4)


def _devices_vote_instead_of_persons(patch: Patch) -> None:
    honest = HeadChooser._support

    def support(self: HeadChooser, auth: Any, known: int) -> Any:
        alone = dict(zip(auth.devices, auth.devices, strict=True))
        counted = authorisation.Auth(auth.roles, alone, auth.leaves, auth.removals, alone)
        return honest(self, counted, known)

    patch.setattr(HeadChooser, "_support", support)
    patch.setattr(head_module, "_roster_persons", lambda node, auth: frozenset(node.roster))


def _best_by(patch: Patch, rank: Callable[..., Any]) -> None:
    def best(self: HeadChooser, parent: Any, eligible: Any, auth: Any, support: Any) -> Any:
        return min(eligible, key=lambda child: rank(self, child, auth, support, parent))

    patch.setattr(HeadChooser, "_best", best)


def _ties_are_broken_by_the_commit(patch: Patch) -> None:
    def rank(_: Any, child: Any, auth: Any, support: Any, parent: Any) -> Any:
        entitled = head_module._roster_persons(parent, auth)
        surplus = len(child.roster.keys() - auth.leaves)
        return -len(support[child.id] & entitled), surplus, child.id

    _best_by(patch, rank)


def _the_longest_chain_wins(patch: Patch) -> None:
    honest = HeadChooser._choose
    now = [0]

    def choose(self: HeadChooser, known: int) -> Any:
        now[0] = known
        return honest(self, known)

    def depth(tree: Any, node: Any) -> int:
        known = [child for child in tree.children(node) if now[0] >> child.index & 1]
        return 1 + max((depth(tree, child) for child in known), default=0)

    patch.setattr(HeadChooser, "_choose", choose)
    _best_by(patch, lambda self, child, *_: (-depth(self._tree, child), child.author))


def _the_first_to_arrive_wins(patch: Patch) -> None:
    _best_by(patch, lambda *_: 0)


def _votes_for_any_epoch_count(patch: Patch) -> None:
    honest = ControlState._hear

    def hear(self: ControlState, operation: Any, index: int, content: Opinion) -> None:
        if operation.kind != control_state.ACK:
            return honest(self, operation, index, content)
        node = self.tree.get(content.epoch)
        if node is None:
            raise control_state.ControlError("unknown")
        return self.chooser.vote(index, operation.author, node)

    patch.setattr(ControlState, "_hear", hear)


# Commits (§2.3)


def _commits_keep_a_removed_leaf(patch: Patch) -> None:
    def changes(parent: Any, auth: Any, unserved: Any) -> Changes:
        honest = changes_for(parent, auth, unserved)
        gone = sorted(honest.removes - unserved)[1:]
        return Changes(frozenset(gone) | (honest.removes & unserved), honest.may_add)

    patch.setattr(commits, "changes_for", changes)
    patch.setattr(planning, "changes_for", changes)


def _commits_are_judged_by_all_that_is_known(patch: Patch) -> None:
    for name in ("auth", "head"):
        honest = getattr(ControlState, name)
        patch.setattr(ControlState, name, lambda self, known=None, honest=honest: honest(self))


def _wrong_keys_are_taken_for_right(patch: Patch) -> None:
    patch.setattr(keyring.Keyring, "_check", lambda *_: None)


# Who is in (§2.2, §2.12)


def _additions_by_the_removed_stay(patch: Patch) -> None:
    honest = Authorisation._judge_kill

    def judge(self: Authorisation, action: Any, removal: Any) -> bool:
        return not (action.is_add and action.person != removal.person) and honest(
            self, action, removal
        )

    patch.setattr(Authorisation, "_judge_kill", judge)


def _forked_logs_are_tolerated(patch: Patch) -> None:
    patch.setattr(Authorisation, "note", lambda *_: None)


def _nobody_follows_the_last_admin(patch: Patch) -> None:
    eldest, judge = Authorisation._eldest, Authorisation._judge
    promoted: list[bytes] = []

    def choose(self: Authorisation, members: Any) -> bytes:
        promoted.append(eldest(self, members))
        return promoted[-1]

    def alone(self: Authorisation, known: int) -> Any:
        promoted.clear()
        auth = judge(self, known)
        return replace(auth, roles={**auth.roles, **dict.fromkeys(promoted, Role.WRITER)})

    patch.setattr(Authorisation, "_eldest", choose)
    patch.setattr(Authorisation, "_judge", alone)


# Links and renewals (§2.5.3, §2.7)


def _links_are_not_repaired(patch: Patch) -> None:
    patch.setattr(planning, "_unlinked", lambda control, ring, head: {})


def _keys_are_linked_from_a_shut_epoch(patch: Patch) -> None:
    """Link other keys at once, before the commit that shuts out the removed."""

    def plan(control: Any, ring: Any, device: bytes, now: int) -> Plan | None:
        honest = planning.plan_commit(control, ring, device, now)
        if honest is None or not honest.is_commit or control.is_gate_open(honest.head):
            return honest
        unlinked = planning._unlinked(control, ring, honest.head)
        return Plan(honest.head, (), unlinked, is_commit=False) if unlinked else honest

    def link(self: ControlState, author: bytes, past: int, content: Any) -> None:
        self.links.add(content.source, content.links)

    patch.setattr(group, "plan_commit", plan)
    patch.setattr(ControlState, "_link", link)


def _lost_renewals_are_forgotten(patch: Patch) -> None:
    patch.setattr(planning, "_is_renewal_due", lambda control, ring, head: ring.renewal == b"")


# Storage (§2.6.1)


def _keys_are_not_stored(patch: Patch) -> None:
    def state(self: group.Group) -> bytes:
        return group.Keyring(self._services).to_bytes()

    patch.setattr(group.Group, "private_state", state)


# Deletion in `sealed` groups (§2.9)


def _parents_are_kept_in_sealed_groups(patch: Patch) -> None:
    patch.setattr(keyring.Keyring, "forget", lambda *_: None)


def _keys_of_messages_are_kept(patch: Patch) -> None:
    def opened(group: Any, author: bytes, body: bytes, context: bytes) -> tuple[bytes, Any]:
        return sealing.unseal(group, author, body, context)[0], group

    patch.setattr(bodies, "unseal", opened)


# Texts (§2.6.4, §2.11)


def _cuts_are_ignored(patch: Patch) -> None:
    patch.setattr(data_rules.DataRules, "_removals_of", lambda self, person: [])


def _cuts_are_never_extended(patch: Patch) -> None:
    patch.setattr(cuts.CutBook, "extend", lambda *_: None)


MUTATIONS = [
    Mutation(_gate_ignores_removals_unknown_to_the_committer, (7, 58)),
    Mutation(_gate_ignores_the_roster, (62, 70)),
    Mutation(_devices_vote_instead_of_persons, (85, 110)),
    Mutation(_ties_are_broken_by_the_commit, (21, 22)),
    Mutation(_the_longest_chain_wins, (28, 51)),
    Mutation(_the_first_to_arrive_wins, (1, 2)),
    Mutation(_votes_for_any_epoch_count, (6, 14)),
    Mutation(_commits_keep_a_removed_leaf, (1, 2)),
    Mutation(_commits_are_judged_by_all_that_is_known, (0, 1)),
    Mutation(_wrong_keys_are_taken_for_right, (56,)),
    Mutation(_additions_by_the_removed_stay, (17,)),
    Mutation(_forked_logs_are_tolerated, (18, 23)),
    Mutation(_nobody_follows_the_last_admin, (7, 15)),
    Mutation(_links_are_not_repaired, (29, 35)),
    Mutation(_keys_are_linked_from_a_shut_epoch, (23, 6)),
    Mutation(_lost_renewals_are_forgotten, (2, 6)),
    Mutation(_keys_are_not_stored, (0, 1)),
    Mutation(_parents_are_kept_in_sealed_groups, (3, 9)),
    Mutation(_keys_of_messages_are_kept, (3, 9)),
    Mutation(_cuts_are_ignored, (1, 4)),
    Mutation(_cuts_are_never_extended, (22, 30)),
]
