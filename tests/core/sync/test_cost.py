"""What reconciling and streaming cost in bytes and in processor time, with room for slow ones."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable

from core.sync.model import Clock, device, document_id, group_id
from core.sync.plain import PlainReplica, unsigned
from lutra.operation import LogKey
from lutra.sync.events import Closed, Send
from lutra.sync.session import Session
from lutra.sync.states import Role, Stage

GROUP = group_id(1)
AUTHORS = [device(number).public for number in range(5)]


class Wire:
    """Two sessions joined directly; measures the time spent in each."""

    def __init__(self, left: PlainReplica, right: PlainReplica) -> None:
        self.clock = Clock()
        rng = random.Random(1)
        self.sessions = [
            Session(
                replica,
                role=role,
                peer_device=device(100 + side).public,
                handshake_hash=bytes(32),
                clock=self.clock,
                random=rng.randbytes,
            )
            for side, (replica, role) in enumerate(
                ((left, Role.INITIATOR), (right, Role.RESPONDER))
            )
        ]
        self.queues: tuple[deque[bytes], deque[bytes]] = (deque(), deque())
        self.seconds = [0.0, 0.0]
        self.turns = 0

    def timed(self, side: int, call: Callable[[], object]) -> None:
        start = time.process_time()
        call()
        self.seconds[side] += time.process_time() - start

    def take(self, side: int) -> None:
        for output in self.sessions[side].outputs():
            assert not isinstance(output, Closed), output
            if isinstance(output, Send):
                self.queues[side].append(output.frame)

    def run(self) -> None:
        idle = 0
        while idle < 3:
            progress = False
            for side, session in enumerate(self.sessions):
                self.timed(side, lambda side=side: self.take(side))
                if self.queues[1 - side]:
                    frame = self.queues[1 - side].popleft()
                    self.timed(side, lambda s=session, f=frame: s.receive(f))
                    self.turns += 1
                    progress = True
                elif session.has_work:
                    self.timed(side, session.work)
                    progress = True
                self.timed(side, lambda side=side: self.take(side))
            if not progress:
                self.clock.now += 0.1
                idle += 1
            else:
                idle = 0

    @property
    def bytes(self) -> int:
        return sum(session.statistics.bytes_sent for session in self.sessions)


def pages(count: int, length: int = 1) -> PlainReplica:
    replica = PlainReplica(GROUP)
    entries = {}
    for number in range(count):
        key = LogKey(AUTHORS[number % len(AUTHORS)], document_id(number))
        entries[key] = [
            unsigned(key.author, key.log, GROUP, seq, b"%d" % seq * 50) for seq in range(length)
        ]
    replica.fill(entries)
    return replica


def copy_of(replica: PlainReplica) -> PlainReplica:
    other = PlainReplica(GROUP)
    other.logs = {key: list(log) for key, log in replica.logs.items()}
    for head in replica.sets[False].items():
        other.sets[False].update(*head)
    return other


def test_ten_changes_among_ten_thousand_logs_are_found_cheaply() -> None:
    left = pages(10_000)
    right = copy_of(left)
    keys = sorted(left.logs)
    for number in range(5):
        left.append(keys[number * 1999], b"changed here")
        right.append(keys[number * 1999 + 1000], b"changed there")
    wire = Wire(left, right)
    wire.run()
    assert left.sets[False].items() == right.sets[False].items()
    assert all(session.stage(GROUP) is Stage.LIVE for session in wire.sessions)
    # Both know of every log that the other holds it, and hardly any was named.
    assert left.held >= 10_000
    assert right.held >= 10_000
    print(
        f"10 of 10,000: {wire.bytes} bytes, {sum(wire.seconds) * 1000:.1f} ms of both sides, "
        f"{wire.turns} frames, {left.ranges + right.ranges} equal ranges"
    )
    assert wire.bytes <= 64 * 1024
    assert sum(wire.seconds) <= 0.3


def test_equal_replicas_notice_it_with_a_few_hundred_bytes() -> None:
    left = pages(10_000)
    wire = Wire(left, copy_of(left))
    wire.run()
    print(f"equal: {wire.bytes} bytes, {sum(wire.seconds) * 1000:.1f} ms")
    assert wire.bytes <= 1500
    assert left.held == 10_000


def test_a_new_device_gets_ten_thousand_small_logs() -> None:
    left, right = pages(10_000), PlainReplica(GROUP)
    wire = Wire(left, right)
    wire.run()
    assert left.sets[False].items() == right.sets[False].items()
    payload = sum(len(op.header) + len(op.body or b"") for log in left.logs.values() for op in log)
    print(
        f"cold 10,000 logs: sender {wire.seconds[0]:.3f} s, receiver {wire.seconds[1]:.3f} s, "
        f"{wire.bytes} bytes for {payload} of operations"
    )
    assert wire.bytes <= payload * 1.05
    assert max(wire.seconds) <= 2.0


def test_streaming_costs_microseconds_for_each_operation() -> None:
    count = 50_000
    left, right = PlainReplica(GROUP), PlainReplica(GROUP)
    key = LogKey(AUTHORS[0], document_id(0))
    left.fill({key: [unsigned(*key, GROUP, seq, b"x" * 120) for seq in range(count)]})
    wire = Wire(left, right)
    wire.run()
    assert len(right.logs[key]) == count
    micros = [seconds / count * 1e6 for seconds in wire.seconds]
    print(f"stream: sender {micros[0]:.1f} µs, receiver {micros[1]:.1f} µs per operation")
    assert right.largest_slice <= 256
    assert max(micros) <= 40


def test_live_changes_overtake_a_cold_exchange() -> None:
    left, right = pages(3_000, 4), PlainReplica(GROUP)
    typed = LogKey(AUTHORS[0], document_id(999_999))
    wire = Wire(left, right)

    def turn() -> None:
        for side, session in enumerate(wire.sessions):
            wire.take(side)
            if wire.queues[1 - side]:
                session.receive(wire.queues[1 - side].popleft())
            elif session.has_work:
                session.work()
            wire.take(side)

    for _ in range(1000):
        if right.logs:
            break
        turn()
    latencies: list[int] = []
    for number in range(10):
        wire.sessions[0].push(GROUP, [left.append(typed, b"key")])
        turns = 0
        while len(right.logs.get(typed, ())) <= number and turns < 1000:
            turn()
            turns += 1
        latencies.append(turns)
    assert 0 < len(right.logs) < 3_000, "the cold exchange must still be going on"
    print(f"live during a cold exchange: at most {max(latencies)} turns later")
    assert max(latencies) <= 12
