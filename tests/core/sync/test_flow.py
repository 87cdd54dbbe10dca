"""Credit and acknowledgements: exact, coalesced, and impossible to cheat with."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.sync.model import (
    Clock,
    Link,
    ModelNode,
    ModelReplica,
    assert_truthful,
    device,
    document_id,
    group_id,
    run,
)
from lutra.operation import LogKey
from lutra.sync import limits as bounds
from lutra.sync.errors import SyncViolationError
from lutra.sync.events import CloseReason, Send
from lutra.sync.flow import Flight, Inflow, Outflow
from lutra.sync.frames import Ack, Operations, RefusedAt, decode_frame

GROUP = group_id(1)
WINDOW = 10_000


def key(number: int) -> LogKey:
    return LogKey(device(1).public, document_id(number))


@settings(deadline=None)
@given(
    frames=st.lists(
        st.tuples(st.booleans(), st.integers(1, 400), st.sets(st.integers(0, 4))), max_size=80
    ),
    seed=st.integers(0, 2**32),
)
def test_what_is_acknowledged_is_what_was_worked_off(
    frames: list[tuple[bool, int, set[int]]], seed: int
) -> None:
    """Frames are worked off in any order; acknowledgements are sent at any time."""
    rng = random.Random(seed)
    out, into = Outflow(WINDOW), Inflow(WINDOW, 0.05)
    waiting: list[tuple[bool, int, set[int]]] = []
    settled: set[tuple[int, int]] = set()
    refused: set[tuple[int, int]] = set()
    confirmed: set[tuple[int, int]] = set()

    def acknowledge() -> None:
        for ack in into.take():
            done, _ = out.acknowledge(ack)
            for flight in done:
                for place in flight.places:
                    if place is not None:
                        confirmed.add((place[1], 0))

    numbers: dict[tuple[bool, int], int] = {}
    for index, (live, cost, bad) in enumerate(frames):
        if cost > out.available:
            acknowledge()
        if cost > out.available:
            break
        places = [(key(0), index * 10 + place) for place in range(5)]
        out.sent(live, Flight(cost, GROUP, list(places)))
        number = into.admit(live, cost)
        numbers[live, number] = index
        waiting.append((live, number, bad))
        while waiting and rng.random() < 0.5:
            entry = waiting.pop(rng.randrange(len(waiting)))
            into.settle(entry[0], entry[1], entry[2], 0.0)
            base = numbers[entry[0], entry[1]] * 10
            settled |= {(base + place, 0) for place in range(5)}
            refused |= {(base + place, 0) for place in entry[2]}
        if rng.random() < 0.3:
            acknowledge()
        assert confirmed <= settled - refused
    for live, number, bad in waiting:
        into.settle(live, number, bad, 0.0)
        base = numbers[live, number] * 10
        settled |= {(base + place, 0) for place in range(5)}
        refused |= {(base + place, 0) for place in bad}
    acknowledge()
    assert confirmed == settled - refused
    assert out.available == WINDOW
    assert into.take() == []


def test_more_than_the_window_is_a_violation() -> None:
    into = Inflow(1000, 0.05)
    into.admit(False, 600)
    into.settle(False, 0, (), 0.0)
    # Worked off, but the peer was not told yet, so it has no credit for it.
    with pytest.raises(SyncViolationError) as raised:
        into.admit(True, 600)
    assert raised.value.reason is CloseReason.LIMIT


@pytest.mark.parametrize(
    "ack",
    [
        Ack(2, 0, []),
        Ack(0, 1, []),
        Ack(1, 0, [RefusedAt(False, 1, 0)]),
        Ack(1, 0, [RefusedAt(False, 0, 1)]),
        Ack(1, 0, [RefusedAt(True, 0, 0)]),
    ],
)
def test_acknowledging_what_was_not_sent_is_a_violation(ack: Ack) -> None:
    out = Outflow(WINDOW)
    out.sent(False, Flight(10, GROUP, [(key(0), 0)]))
    with pytest.raises(SyncViolationError) as raised:
        out.acknowledge(ack)
    assert raised.value.reason is CloseReason.STATE


def test_counting_backwards_is_a_violation() -> None:
    out = Outflow(WINDOW)
    for _ in range(2):
        out.sent(True, Flight(10, GROUP, [(key(0), 0)]))
    out.acknowledge(Ack(0, 2, []))
    with pytest.raises(SyncViolationError):
        out.acknowledge(Ack(0, 1, []))


def test_many_refusals_are_told_before_the_count_that_ends_their_frames() -> None:
    count = bounds.MAX_REFUSED // 128 + 5
    out, into = Outflow(10**9), Inflow(10**9, 0.05)
    for number in range(count):
        out.sent(False, Flight(1, GROUP, [(key(n), number) for n in range(128)]))
        into.admit(False, 1)
        into.settle(False, number, range(128), 0.0)
    acks = into.take()
    assert len(acks) == 2
    flights = [flight for ack in acks for flight in out.acknowledge(ack)[0]]
    assert len(flights) == count
    assert all(place is None for flight in flights for place in flight.places)


def connected() -> tuple[Clock, ModelNode, ModelNode, Link]:
    clock = Clock()
    keys = (device(1), device(2))
    members = {GROUP: frozenset(key.public for key in keys)}
    left, right = (ModelNode(ModelReplica(key, dict(members)), clock) for key in keys)
    link = Link(left, right, random.Random(1))
    run([link], clock)
    return clock, left, right, link


def test_a_typist_is_acknowledged_at_most_every_fifty_milliseconds() -> None:
    clock, left, right, link = connected()
    sent = link.sessions[1].statistics.frames_sent
    start = clock.now
    for number in range(200):
        left.write(GROUP, document_id(1), b"key %d" % number)
        link.collect(0)
        while link.queues[0]:
            link.sessions[1].receive(link.queues[0].popleft())
        link.collect(1)
        while link.queues[1]:
            link.sessions[0].receive(link.queues[1].popleft())
        clock.now += 0.005
    acks = link.sessions[1].statistics.frames_sent - sent
    assert 10 <= acks <= (clock.now - start) / 0.05 + 1
    deadline = link.sessions[1].deadline
    assert deadline is not None
    assert deadline <= clock.now + 0.05
    run([link], clock)
    assert_truthful(left.replica, right.replica)


def test_operations_pushed_together_leave_in_one_frame() -> None:
    _, left, _, link = connected()
    for number in range(100):
        left.write(GROUP, document_id(number), b"at once")
    frames = [decode_frame(o.frame) for o in link.sessions[0].outputs() if isinstance(o, Send)]
    assert [type(frame) for frame in frames] == [Operations]
    assert len(frames[0].operations) == 100  # type: ignore[union-attr]


def test_live_operations_without_credit_wait_in_bounded_memory_and_arrive() -> None:
    clock, left, right, link = connected()
    for number in range(3000):
        left.write(GROUP, document_id(number % 40), b"x" * 500)
        link.collect(0)
    in_flight = sum(map(len, link.queues[0]))
    assert in_flight <= bounds.Limits().window_bytes * 1.1
    run([link], clock)
    assert left.replica.contents(GROUP) == right.replica.contents(GROUP)
    assert_truthful(left.replica, right.replica)
