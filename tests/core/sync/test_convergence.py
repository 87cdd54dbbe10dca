"""Replicas with arbitrary histories converge, over channels that break at any frame."""

from __future__ import annotations

import random

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
from lutra.sync.limits import Limits
from lutra.sync.replica import WireOperation
from lutra.sync.states import Stage

GROUPS = (group_id(1), group_id(2))
SMALL = Limits(frame_bytes=8 * 1024, slice_operations=8, live_reserve_bytes=16 * 1024)


def nodes(count: int, clock: Clock) -> list[ModelNode]:
    keys = [device(number) for number in range(count)]
    everyone = frozenset(key.public for key in keys)
    founders = dict.fromkeys(GROUPS, everyone)
    return [ModelNode(ModelReplica(key, dict(founders)), clock) for key in keys]


def write_something(node: ModelNode, rng: random.Random) -> None:
    group = rng.choice(GROUPS)
    if rng.random() < 0.15:
        node.write(group, group, rng.randbytes(20), kind="group.note")
        return
    size = rng.choice((5, 40, 300, 3000)) if rng.random() < 0.99 else rng.randrange(200_000)
    number = rng.randrange(12)
    body = rng.randbytes(size) if rng.random() < 0.95 else None
    node.write(GROUPS[number % 2], document_id(number), body, prune=rng.random() < 0.05)


def scatter(all_nodes: list[ModelNode], rng: random.Random, amount: int) -> None:
    """Write operations and hand each to some other replicas, as earlier meetings would have."""
    for _ in range(amount):
        node = rng.choice(all_nodes)
        write_something(node, rng)
    for node in all_nodes:
        for other in all_nodes:
            if node is other:
                continue
            for group in GROUPS:
                for key, log in node.replica.logs[group].items():
                    length = rng.choice((0, 0, len(log.operations), rng.randrange(9)))
                    some = [wire(operation) for operation in log.operations[:length]]
                    if key.author == node.replica.device and some:
                        other.replica.ingest(group, some, node.replica.device)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), amount=st.integers(0, 150))
def test_two_replicas_converge_and_know_what_the_other_holds(seed: int, amount: int) -> None:
    rng, clock = random.Random(seed), Clock()
    left, right = nodes(2, clock)
    scatter([left, right], rng, amount)
    link = Link(left, right, rng, SMALL)
    run([link], clock, rng)
    assert not violations(left, right)
    assert all(session.stage(group) is Stage.LIVE for session in link.sessions for group in GROUPS)
    assert_converged(left.replica, right.replica)
    assert_truthful(left.replica, right.replica)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), amount=st.integers(0, 100), typed=st.integers(1, 60))
def test_writing_goes_on_during_the_exchange(seed: int, amount: int, typed: int) -> None:
    rng, clock = random.Random(seed), Clock()
    left, right = nodes(2, clock)
    scatter([left, right], rng, amount)
    link = Link(left, right, rng, SMALL)
    due = sorted(rng.randrange(60) for _ in range(typed))

    def at_step(step: int) -> bool:
        while due and due[0] <= step:
            due.pop(0)
            write_something(rng.choice((left, right)), rng)
        return bool(due)

    run([link], clock, rng, at_step=at_step)
    assert not due
    assert not violations(left, right)
    assert_converged(left.replica, right.replica)
    assert_truthful(left.replica, right.replica)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    amount=st.integers(0, 120),
    cuts=st.lists(st.integers(1, 60), max_size=6),
)
def test_a_broken_channel_is_resumed_by_a_new_session(
    seed: int, amount: int, cuts: list[int]
) -> None:
    rng, clock = random.Random(seed), Clock()
    left, right = nodes(2, clock)
    scatter([left, right], rng, amount)
    for frames in cuts:
        link = Link(left, right, rng, SMALL)
        run([link], clock, rng, frames=frames)
        link.cut()
        write_something(rng.choice((left, right)), rng)
        assert_truthful(left.replica, right.replica, complete=False)
    run([Link(left, right, rng, SMALL)], clock, rng)
    assert not violations(left, right)
    assert_converged(left.replica, right.replica)
    assert_truthful(left.replica, right.replica)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    amount=st.integers(0, 120),
    mesh=st.booleans(),
    typed=st.integers(0, 30),
)
def test_three_replicas_converge_in_a_chain_and_in_a_ring(
    seed: int, amount: int, mesh: bool, typed: int
) -> None:
    rng, clock = random.Random(seed), Clock()
    first, second, third = nodes(3, clock)
    scatter([first, second, third], rng, amount)
    links = [Link(first, second, rng, SMALL), Link(second, third, rng, SMALL)]
    if mesh:
        links.append(Link(third, first, rng, SMALL))
    due = sorted(rng.randrange(80) for _ in range(typed))

    def at_step(step: int) -> bool:
        while due and due[0] <= step:
            due.pop(0)
            write_something(rng.choice((first, second, third)), rng)
        return bool(due)

    run(links, clock, rng, at_step=at_step)
    assert not violations(first, second, third)
    assert_converged(first.replica, second.replica, third.replica)
    assert_truthful(first.replica, second.replica, third.replica, complete=mesh)


def test_large_operations_travel_in_parts_and_let_live_ones_pass() -> None:
    rng, clock = random.Random(7), Clock()
    left, right = nodes(2, clock)
    big = left.replica.write(GROUPS[0], document_id(1), rng.randbytes(3_000_000))
    left.replica.write(GROUPS[0], document_id(2), rng.randbytes(2_000_000))
    link = Link(left, right, rng)
    order: list[bytes] = []
    ingest = right.replica.ingest

    def recording(group: bytes, operations: list[WireOperation], source: bytes) -> object:
        order.extend(blake3_hash(header) for header, _ in operations)
        return ingest(group, operations, source)

    right.replica.ingest = recording  # type: ignore[method-assign, assignment]
    small: list[bytes] = []

    def at_step(step: int) -> bool:
        if link.sessions[0].stage(GROUPS[0]) is Stage.DATA and len(small) < 5:
            small.append(left.write(GROUPS[0], document_id(3), b"key %d" % step).id)
        return False

    run([link], clock, at_step=at_step)
    assert not violations(left, right)
    assert_converged(left.replica, right.replica)
    assert_truthful(left.replica, right.replica)
    assert len(small) == 5
    assert all(order.index(id_) < order.index(big.id) for id_ in small)


def test_an_operation_that_does_not_connect_brings_its_log_and_nothing_else() -> None:
    rng, clock = random.Random(3), Clock()
    left, right = nodes(2, clock)
    link = Link(left, right, rng)
    run([link], clock)
    for number in range(5):
        left.replica.write(GROUPS[0], document_id(1), b"unseen %d" % number)
    assert right.replica.contents(GROUPS[0]) == {}
    before = link.sessions[1].statistics.operations_received
    left.write(GROUPS[0], document_id(1), b"seen")
    run([link], clock)
    assert_converged(left.replica, right.replica)
    assert_truthful(left.replica, right.replica)
    # The one that did not connect, and then the whole log.
    assert link.sessions[1].statistics.operations_received - before == 1 + 6
    assert not violations(left, right)


def test_operations_whose_bodies_were_deleted_travel_without_them() -> None:
    rng, clock = random.Random(3), Clock()
    left, right = nodes(2, clock)
    for number in range(4):
        left.replica.write(GROUPS[0], document_id(1), rng.randbytes(100_000 if number else 10))
    (log,) = left.replica.logs[GROUPS[0]].values()
    log.operations = [operation._replace(body=None) for operation in log.operations]
    link = Link(left, right, rng)
    run([link], clock)
    assert not violations(left, right)
    assert_converged(left.replica, right.replica)
    assert_truthful(left.replica, right.replica)
    assert link.bytes[0] < 5_000


def test_a_log_that_was_pruned_arrives_from_its_prune_point_on() -> None:
    rng, clock = random.Random(3), Clock()
    left, right = nodes(2, clock)
    first = [left.replica.write(GROUPS[0], document_id(1), b"%d" % n) for n in range(3)]
    right.replica.ingest(GROUPS[0], [wire(entry) for entry in first], left.replica.device)
    for number in range(20):
        left.replica.write(GROUPS[0], document_id(1), b"later %d" % number, prune=number == 15)
    link = Link(left, right, rng)
    run([link], clock)
    assert not violations(left, right)
    (ids,) = right.replica.contents(GROUPS[0]).values()
    assert len(ids) == 5
    assert link.sessions[1].statistics.operations_received == 5
    assert_converged(left.replica, right.replica)
    assert_truthful(left.replica, right.replica)
