"""What the first answer ends, and what comes about documents before it: all must arrive."""

from __future__ import annotations

import random
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from core.sync.model import (
    Clock,
    Link,
    ModelNode,
    ModelReplica,
    assert_converged,
    assert_truthful,
    device,
    document_id,
    group_id,
    run,
    violations,
    wire,
)
from lutra.crypto.hashing import blake3_hash
from lutra.operation import Extensions, Operation, sign_operation
from lutra.sync.limits import Limits
from lutra.sync.replica import WireOperation
from lutra.sync.states import Stage

GROUPS = (group_id(1), group_id(2))
GROUP = GROUPS[0]
KEYS = [device(number) for number in range(25)]
NEWCOMER = device(30)
SMALL = Limits(frame_bytes=8 * 1024, slice_operations=8, live_reserve_bytes=16 * 1024)
EVERYONE = frozenset(key.public for key in KEYS)


def nodes(count: int, clock: Clock) -> list[ModelNode]:
    return [ModelNode(ModelReplica(key, dict.fromkeys(GROUPS, EVERYONE)), clock) for key in KEYS][
        :count
    ]


def notes(group: bytes, count: int) -> list[WireOperation]:
    """Return what members that are away have written to their control logs."""
    extensions = Extensions(log=group, kind="group.note", group=group)
    return [
        wire(sign_operation(key, seq_num=0, backlink=None, body=b"note", extensions=extensions))
        for key in KEYS[25 - count :]
    ]


def test_control_logs_that_become_equal_in_a_later_round_do_not_count_as_equal_at_once() -> None:
    """A third device brings what was missing while the responder's answer is on its way."""
    clock = Clock()
    left, right = nodes(2, clock)
    control = notes(GROUP, 20)
    left.replica.ingest(GROUP, control[:1], b"")
    right.replica.ingest(GROUP, control, b"")
    right.replica.write(GROUP, document_id(1), b"text")
    link = Link(left, right, random.Random(1), SMALL)

    def at_step(step: int) -> bool:
        if link.sessions[0].stage(GROUP) is Stage.CONTROL:
            left.replica.ingest(GROUP, control, KEYS[2].public)
        return False

    run([link], clock, at_step=at_step)
    assert not violations(left, right)
    assert all(session.stage(GROUP) is Stage.LIVE for session in link.sessions)
    assert_converged(left.replica, right.replica)
    assert len(left.replica.contents(GROUP)) == 21


def test_who_is_told_with_equal_control_logs_still_gets_the_branches_it_asks_for() -> None:
    for turned in (False, True):
        clock = Clock()
        ada, ben = nodes(2, clock)
        for node in (ada, ben):
            node.replica.ingest(GROUP, notes(GROUP, 3), b"")
        extensions = Extensions(log=GROUP, kind="group.note", group=GROUP)
        branch = sign_operation(
            KEYS[-1], seq_num=0, backlink=None, body=b"removal", extensions=extensions
        )
        got = hold_beside(ada.replica, branch), hold_beside(ben.replica, None)
        # By the branch Ada knows that Ben was removed.
        ada.replica.removed[GROUP].add(ben.replica.device)
        told: list[bytes] = []
        ada.replica.telling = lambda group, device, told=told: told.append(group)  # type: ignore[method-assign]
        ada.replica.may_tell = lambda group, device, told=told: not told  # type: ignore[method-assign]
        link = Link(*((ben, ada) if turned else (ada, ben)), random.Random(1), SMALL)
        run([link], clock)
        assert not violations(ada, ben)
        assert told == [GROUP]
        assert branch.id in got[1]
        assert all(GROUP not in session.shared_groups for session in link.sessions)


def hold_beside(replica: ModelReplica, branch: Operation | None) -> dict[bytes, WireOperation]:
    """Let a replica keep operations beside their log, as an engine does; returns them by id."""
    beside = {} if branch is None else {branch.id: wire(branch)}
    ingest = replica.ingest

    def by_id(group: bytes, ids: Sequence[bytes], max_bytes: int) -> Sequence[WireOperation | None]:
        return [beside.get(one) for one in ids]

    def ingesting(group: bytes, operations: Sequence[WireOperation], source: bytes) -> object:
        beside.update((blake3_hash(one.header), one) for one in operations)
        return ingest(group, operations, source)

    replica.branches = lambda group: list(beside) if group == GROUP else []  # type: ignore[method-assign]
    replica.lacking = lambda group, ids: [one for one in ids if one not in beside]  # type: ignore[method-assign]
    replica.operations_by_id = by_id  # type: ignore[method-assign]
    replica.ingest = ingesting  # type: ignore[method-assign, assignment]
    return beside


class World:
    """Three members, of whom one may be removed, and much happening while they meet."""

    def __init__(self, seed: int, shared: int, *, away: int) -> None:
        self.rng, self.clock = random.Random(seed), Clock()
        self.nodes = nodes(3, self.clock)
        for group in GROUPS:
            for node in self.nodes:
                control = notes(group, away)
                some = control if self.rng.random() < 0.7 else control[: self.rng.randrange(4)]
                node.replica.ingest(group, some, b"")
        for _ in range(shared):
            operation, group = self._draw(self.rng.choice(self.nodes), quietly=True)
            for node in self.nodes:
                if self.rng.random() < 0.9:
                    node.replica.ingest(group, [wire(operation)], operation.author)
        self.links: list[Link] = []

    def _draw(self, node: ModelNode, *, quietly: bool = False) -> tuple[Operation, bytes]:
        rng, write = self.rng, node.replica.write if quietly else node.write
        group = rng.choice(GROUPS)
        if rng.random() < 0.25:
            body = rng.randbytes(20 if rng.random() < 0.9 else 60_000)
            return write(group, group, body, kind="group.note"), group
        size = rng.choice((5, 300, 3000, 20_000)) if rng.random() < 0.95 else 150_000
        document = document_id(GROUPS.index(group) * 10 + rng.randrange(4))
        return write(group, document, rng.randbytes(size), prune=rng.random() < 0.15), group

    def act(self) -> None:
        rng = self.rng
        chance = rng.random()
        if chance < 0.08:
            kind, body = "group.remove", self.nodes[2].replica.device
        elif chance < 0.2:
            kind, body = "group.add", NEWCOMER.public
        else:
            self._draw(rng.choice(self.nodes))
            return
        group = rng.choice(GROUPS)
        self.nodes[rng.randrange(2)].write(group, group, body, kind=kind)

    def connect(self, first: int, second: int) -> None:
        ends = [self.nodes[first], self.nodes[second]]
        self.rng.shuffle(ends)
        self.links.append(Link(ends[0], ends[1], self.rng, SMALL))

    def settled(self) -> bool:
        return all(s.stage(group) is Stage.LIVE for s in self.links[0].sessions for group in GROUPS)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    shared=st.integers(0, 25),
    away=st.sampled_from((0, 3, 20)),
    acts=st.lists(st.integers(0, 25), max_size=25),
    third=st.lists(st.integers(0, 25), max_size=2),
)
def test_whatever_happens_around_the_first_rounds_members_converge(
    seed: int, shared: int, away: int, acts: list[int], third: list[int]
) -> None:
    """Two members meet; a third one joins them, writes to both and may be removed meanwhile."""
    world = World(seed, shared, away=away)
    world.connect(0, 1)
    due = sorted(acts)

    def at_step(step: int) -> bool:
        while due and due[0] <= step:
            due.pop(0)
            world.act()
        return bool(due)

    for member, frame in enumerate(sorted(third)):
        run(world.links, world.clock, world.rng, frames=frame, at_step=at_step)
        world.connect(member, 2)
    run(world.links, world.clock, world.rng, at_step=at_step)
    left, right, _ = world.nodes
    assert not violations(left, right)
    assert world.settled()
    assert_converged(left.replica, right.replica)
    assert_truthful(left.replica, right.replica)
