"""Hostile peers: every frame is checked, in form and in time; nothing of theirs is kept."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.sync.model import (
    Clock,
    Link,
    ModelNode,
    ModelReplica,
    device,
    document_id,
    group_id,
    run,
    secret_of,
    wire,
)
from lutra.codec import encode
from lutra.crypto.signing import SigningKey
from lutra.operation import Extensions, LogKey, Operation, sign_operation
from lutra.sync import frames as f
from lutra.sync import limits as bounds
from lutra.sync.errors import SyncViolationError
from lutra.sync.events import Closed, CloseReason, Send
from lutra.sync.frames import encode_frame
from lutra.sync.heads import DIGEST_BYTES, KEY_BYTES
from lutra.sync.intersection import group_handle, group_tag, padded_tags
from lutra.sync.replica import ForkEvidence
from lutra.sync.session import Session
from lutra.sync.states import Role, Stage

GROUP = group_id(1)
VICTIM, MALLORY, STRANGER = device(1), device(2), device(3)
HANDSHAKE = b"h" * 32
HANDLE = group_handle(secret_of(GROUP), HANDSHAKE)
MEMBERS = {GROUP: frozenset((VICTIM.public, MALLORY.public))}


class Attack:
    """A victim with a session, and Mallory, who is a member and speaks frames by hand."""

    def __init__(self, role: Role = Role.RESPONDER, stored: int = 0) -> None:
        self.clock = Clock()
        self.replica = ModelReplica(VICTIM, dict(MEMBERS))
        for number in range(stored):
            self.replica.write(GROUP, document_id(number), b"honest")
        self.before = self.replica.contents(GROUP)
        self.session = Session(
            self.replica,
            role=role,
            peer_device=MALLORY.public,
            handshake_hash=HANDSHAKE,
            clock=self.clock,
        )
        self.role = role
        self.closed: Closed | None = None
        self.sent: list[f.Frame] = []
        self.take()

    def take(self) -> None:
        for output in self.session.outputs():
            if isinstance(output, Closed):
                self.closed = output
            elif isinstance(output, Send):
                self.sent.append(f.decode_frame(output.frame))

    def say(self, *frames: f.Frame | bytes) -> Attack:
        for frame in frames:
            self.session.receive(frame if isinstance(frame, bytes) else encode_frame(frame))
            self.take()
        return self

    def work(self) -> Attack:
        while self.session.has_work:
            self.session.work()
            self.take()
        return self

    def greet(self) -> Attack:
        tag = group_tag(secret_of(GROUP), HANDSHAKE, self.role.other)
        return self.say(f.Hello([1], bounds.MIN_WINDOW_BYTES, padded_tags([tag], bytes(32))))

    def to_data(self) -> Attack:
        """Go on to where document logs are compared, as Mallory the initiator."""
        compare = f.Compare(None, 0, EMPTY)
        self.greet().say(f.Round(HANDLE, True, True, [compare], []))
        assert self.session.stage(GROUP) is Stage.DATA
        return self

    def assert_ended(self, reason: CloseReason) -> None:
        assert self.closed is not None
        assert self.closed.reason is reason
        assert not self.closed.by_peer
        assert self.session.closed
        assert self.session.statistics.violations == 1
        goodbye = self.sent[-1]
        assert isinstance(goodbye, f.Goodbye)
        assert goodbye.reason is reason
        assert self.replica.contents(GROUP) == self.before
        # Whatever follows is not even read.
        received = self.session.statistics.frames_received
        self.session.receive(encode_frame(f.Done(HANDLE, True)))
        assert self.session.statistics.frames_received == received
        assert self.session.outputs() == []


EMPTY = ModelReplica(VICTIM, dict(MEMBERS)).heads(GROUP, True).fingerprint().digest


def operation_by(
    key: SigningKey, log: bytes, group: bytes = GROUP, body: bytes = b"text"
) -> Operation:
    kind = "group.note" if log == group else "document"
    extensions = Extensions(log=log, kind=kind, group=group)
    return sign_operation(key, seq_num=0, backlink=None, body=body, extensions=extensions)


def frame_of(*operations: Operation, live: bool = True) -> f.Operations:
    return f.Operations(HANDLE, live, [wire(operation) for operation in operations])


GOOD = operation_by(MALLORY, document_id(77))
FULL_ROUND = f.Round(HANDLE, True, True, [f.Compare(None, 0, EMPTY)], [])


@pytest.mark.parametrize(
    "frame",
    [
        f.Announce([bytes([n]) * 16 for n in range(8)]),
        FULL_ROUND,
        f.Done(HANDLE, True),
        frame_of(GOOD),
        f.Part(HANDLE, None, b"x"),
        f.Request(HANDLE, []),
        f.Forks(HANDLE, []),
        f.Ack(0, 0, []),
        f.Presence(HANDLE, document_id(1), b""),
    ],
    ids=lambda frame: type(frame).__name__,
)
def test_nothing_but_a_greeting_may_come_first(frame: f.Frame) -> None:
    Attack(stored=3).say(frame).assert_ended(CloseReason.STATE)


def test_a_second_greeting_is_refused() -> None:
    Attack().greet().greet().assert_ended(CloseReason.STATE)


def test_versions_without_a_common_one_end_the_session() -> None:
    tags = padded_tags([], bytes(32))
    Attack().say(f.Hello([2, 3], bounds.MIN_WINDOW_BYTES, tags)).assert_ended(CloseReason.VERSION)


@pytest.mark.parametrize(
    "frame",
    [
        f.Done(HANDLE, True),
        f.Done(HANDLE, False),
        frame_of(GOOD),
        frame_of(GOOD, live=False),
        f.Request(HANDLE, [f.Want(LogKey(MALLORY.public, document_id(1)), None)]),
        f.Part(HANDLE, None, b"x"),
        f.Ack(1, 0, []),
        f.Ack(0, 0, [f.RefusedAt(False, 0, 0)]),
    ],
    ids=lambda frame: type(frame).__name__ + ("-data" if "control=False" in str(frame) else ""),
)
def test_frames_of_later_stages_are_refused_while_control_logs_are_compared(
    frame: f.Frame,
) -> None:
    Attack(stored=3).greet().say(frame).assert_ended(CloseReason.STATE)


def test_the_first_round_about_documents_may_come_early_but_once() -> None:
    early = f.Round(HANDLE, False, True, [f.Compare(None, 0, EMPTY)], [])
    attack = Attack(stored=3).greet().say(early)
    assert attack.closed is None
    assert not any(isinstance(frame, f.Round) for frame in attack.sent)
    attack.say(early).assert_ended(CloseReason.STATE)


def test_only_an_initiator_may_send_a_round_about_documents_early() -> None:
    attack = Attack(Role.INITIATOR)
    # Who is only told of its removal has not been sent one.
    attack.replica.write(GROUP, GROUP, MALLORY.public, kind="group.remove")
    attack.before = attack.replica.contents(GROUP)
    attack.session.groups_changed()
    attack.take()
    attack.greet()
    assert attack.session.stage(GROUP) is Stage.CONTROL
    assert [frame.control for frame in attack.sent if isinstance(frame, f.Round)] == [True]
    attack.say(f.Round(HANDLE, False, True, [f.Compare(None, 0, EMPTY)], []))
    attack.assert_ended(CloseReason.STATE)


def test_rounds_after_the_end_of_a_reconciliation_are_refused() -> None:
    Attack().greet().say(FULL_ROUND, FULL_ROUND).assert_ended(CloseReason.STATE)


def test_an_initiator_does_not_accept_ends_before_it_has_an_answer() -> None:
    attack = Attack(Role.INITIATOR).greet().say(f.Done(HANDLE, True))
    attack.assert_ended(CloseReason.STATE)


def test_groups_that_are_not_shared_cannot_be_named() -> None:
    for frame in (f.Done(b"x" * 8, True), f.Presence(b"y" * 8, document_id(1), b"")):
        Attack().greet().say(frame).assert_ended(CloseReason.GROUP)


@pytest.mark.parametrize(
    ("operation", "kept"),
    [
        (operation_by(STRANGER, document_id(1)), False),
        (operation_by(MALLORY, document_id(1), group=group_id(9)), None),
        (operation_by(MALLORY, document_id(1)), True),
    ],
)
def test_operations_of_strangers_and_of_other_groups_are_not_stored(
    operation: Operation, kept: bool | None
) -> None:
    attack = Attack(stored=2).to_data().say(frame_of(operation))
    if kept is None:
        attack.assert_ended(CloseReason.OPERATION)
    else:
        assert attack.closed is None
        assert (operation.log_key in attack.replica.contents(GROUP)) is kept


def test_every_byte_of_an_operation_matters() -> None:
    good = wire(GOOD)
    rng = random.Random(5)
    for place in range(0, len(good.header), 3):
        header = bytearray(good.header)
        header[place] ^= 1 << rng.randrange(8)
        attack = Attack().to_data()
        attack.say(f.Operations(HANDLE, True, [good._replace(header=bytes(header))]))
        assert attack.replica.contents(GROUP) == {}
        assert attack.closed is not None
        assert attack.closed.reason in (CloseReason.OPERATION, CloseReason.STATE)
    attack = Attack().to_data().say(f.Operations(HANDLE, True, [good._replace(body=b"tex7")]))
    attack.assert_ended(CloseReason.OPERATION)


def test_a_peer_cannot_send_more_than_its_credit() -> None:
    window = bounds.Limits().window_bytes
    attack = Attack().to_data()
    operations = [
        operation_by(MALLORY, document_id(n), body=bytes(40_000))
        for n in range(2 * window // 40_000)
    ]
    for operation in operations:
        # The victim is busy: nothing is worked off, nothing acknowledged.
        attack.session.receive(encode_frame(frame_of(operation, live=False)))
    attack.take()
    attack.assert_ended(CloseReason.LIMIT)
    assert attack.session.statistics.bytes_received < window * 1.2


def test_large_operations_are_worked_off_together_as_far_as_the_window_reaches() -> None:
    attack = Attack().to_data()
    large = [
        wire(operation_by(MALLORY, document_id(number), body=bytes(60_000))) for number in range(4)
    ]
    for operation in large:
        body = operation.body or b""
        attack.say(f.Part(HANDLE, operation.header, body[: bounds.PART_BYTES]))
        attack.say(f.Part(HANDLE, None, body[bounds.PART_BYTES :]))
    assert attack.replica.contents(GROUP) == attack.before
    attack.session.work()
    attack.take()
    assert attack.closed is None
    assert len(attack.replica.contents(GROUP)) == len(large)


def test_parts_keep_their_credit_until_the_operation_is_worked_off() -> None:
    # Small enough to wait beside others: its parts count against the window like anything else.
    attack = Attack().to_data()
    for number in range(bounds.Limits().window_bytes // 60_000 + 1):
        operation = wire(operation_by(MALLORY, document_id(number), body=bytes(60_000)))
        body = operation.body or b""
        parts = (
            f.Part(HANDLE, operation.header, body[: bounds.PART_BYTES]),
            f.Part(HANDLE, None, body[bounds.PART_BYTES :]),
        )
        for part in parts:
            attack.session.receive(encode_frame(part))
    attack.take()
    attack.assert_ended(CloseReason.LIMIT)


def test_parts_must_add_up() -> None:
    large = wire(operation_by(MALLORY, document_id(1), body=bytes(200_000)))
    body = large.body or b""
    chunk = bounds.PART_BYTES
    small = wire(GOOD)
    cases: list[list[f.Frame]] = [
        [f.Part(HANDLE, None, body[:chunk])],
        [f.Part(HANDLE, small.header, b"text")],
        [f.Part(HANDLE, large.header, body[: chunk - 1])],
        [f.Part(HANDLE, large.header, body[:chunk]), f.Part(HANDLE, large.header, body[:chunk])],
        [f.Part(HANDLE, large.header, body[:chunk]), f.Done(HANDLE, False)],
        [f.Part(HANDLE, large.header, body[:chunk])] + [f.Part(HANDLE, None, body[:chunk])] * 4,
    ]
    for frames in cases:
        attack = Attack().to_data().say(*frames)
        assert attack.closed is not None
        assert attack.closed.reason in (CloseReason.STATE, CloseReason.MALFORMED)
        assert attack.replica.contents(GROUP) == {}


@pytest.mark.parametrize(
    ("ranges", "reason"),
    [
        ([f.Skip(b"b"), f.Skip(b"a")], CloseReason.MALFORMED),
        ([f.Skip(None), f.Skip(None)], CloseReason.MALFORMED),
        ([f.Skip(b"")], CloseReason.MALFORMED),
        ([f.Listed(b"\x10", [f.Item(b"\x20" * 64, 0, bytes(16))])], CloseReason.MALFORMED),
        (
            [f.Listed(None, [f.Item(bytes([n]) * 64, 0, bytes(16)) for n in (2, 1)])],
            CloseReason.MALFORMED,
        ),
        (
            [f.Listed(None, [f.Item(bytes([n]) * 64, 0, bytes(16)) for n in (1, 1)])],
            CloseReason.MALFORMED,
        ),
    ],
)
def test_ranges_must_ascend_and_hold_what_they_list(
    ranges: list[f.Range], reason: CloseReason
) -> None:
    attack = Attack().greet().say(f.Round(HANDLE, True, True, ranges, []))
    attack.assert_ended(reason)


def test_comparing_without_end_is_refused() -> None:
    attack = Attack(stored=100).to_data()
    compare = f.Compare(None, 99, bytes(DIGEST_BYTES))
    rounds = 0
    while attack.closed is None:
        rounds += 1
        attack.say(f.Round(HANDLE, False, True, [compare], []))
    assert rounds <= bounds.MAX_ROUNDS + 1
    attack.assert_ended(CloseReason.LIMIT)


def test_listing_without_end_is_refused_and_costs_bounded_memory() -> None:
    attack = Attack().to_data()
    place = 0
    while attack.closed is None:
        ranges: list[f.Range] = []
        for _ in range(8):
            numbers = range(place, place + bounds.MAX_LISTED)
            items = [f.Item(n.to_bytes(KEY_BYTES, "big"), 0, bytes(16)) for n in numbers]
            place += bounds.MAX_LISTED
            ranges.append(f.Listed(place.to_bytes(KEY_BYTES, "big"), items))
        attack.say(f.Round(HANDLE, False, False, ranges, []))
    assert place <= bounds.MAX_ROUND_ITEMS + 8 * bounds.MAX_LISTED
    attack.assert_ended(CloseReason.LIMIT)


def test_requests_for_logs_that_do_not_exist_cost_nothing() -> None:
    attack = Attack(stored=1).to_data()
    wants = [f.Want(LogKey(MALLORY.public, document_id(n)), None) for n in range(4096)]
    before = len(attack.sent)
    attack.say(f.Request(HANDLE, wants)).work()
    assert attack.closed is None
    assert [frame for frame in attack.sent[before:] if isinstance(frame, f.Operations)] == []


def test_proofs_of_forks_must_prove() -> None:
    one, other = operation_by(MALLORY, GROUP), operation_by(MALLORY, GROUP, body=b"other")
    elsewhere = operation_by(MALLORY, document_id(3))
    proof = ForkEvidence(one.header_bytes, other.header_bytes)
    assert Attack().greet().say(f.Forks(HANDLE, [proof])).closed is None
    for false in (
        ForkEvidence(one.header_bytes, one.header_bytes),
        ForkEvidence(one.header_bytes, elsewhere.header_bytes),
        ForkEvidence(one.header_bytes, b"noise"),
    ):
        attack = Attack().greet().say(f.Forks(HANDLE, [false]))
        attack.assert_ended(CloseReason.OPERATION)
    attack = Attack().greet()
    for _ in range(100):
        attack.say(f.Forks(HANDLE, [proof] * 4))
    attack.assert_ended(CloseReason.LIMIT)


def test_presence_floods_are_dropped_and_counted() -> None:
    attack = Attack().to_data()
    data = bytes(bounds.MAX_PRESENCE_BYTES)
    for _ in range(1000):
        attack.say(f.Presence(HANDLE, document_id(1), data))
    assert attack.closed is None
    assert attack.session.statistics.presence_dropped == 1000 - 120
    assert attack.replica.contents(GROUP) == {}


def bad_frames() -> list[tuple[str, bytes]]:
    tags = [bytes([n]) * 16 for n in range(8)]
    listed = [0, None]
    cases: dict[str, object] = {
        "no list": 7,
        "empty": [],
        "unknown type": [99],
        "type not a number": ["hello"],
        "type as truth": [True],
        "too few": [0, [1]],
        "too many": [3, HANDLE, True, 1],
        "versions": [0, 1, 524288, tags],
        "version too large": [0, [256], 524288, tags],
        "window too small": [0, [1], 10, tags],
        "window too large": [0, [1], 2**40, tags],
        "tags not a power of two": [0, [1], 524288, tags[:7]],
        "tags too few": [0, [1], 524288, tags[:4]],
        "tag too short": [0, [1], 524288, [*tags[:7], b"x"]],
        "handle": [3, b"short", True],
        "flag as number": [3, HANDLE, 1],
        "range kind": [2, HANDLE, True, True, [[9, None]], []],
        "range short": [2, HANDLE, True, True, [listed[:1]], []],
        "range bound": [2, HANDLE, True, True, [[0, bytes(65)]], []],
        "digest": [2, HANDLE, True, True, [[1, None, 0, b"x"]], []],
        "count": [2, HANDLE, True, True, [[1, None, -1, bytes(20)]], []],
        "items uneven": [2, HANDLE, True, True, [[2, None, [bytes(64), 0]]], []],
        "item": [2, HANDLE, True, True, [[2, None, [bytes(63), 0, bytes(16)]]], []],
        "wants": [2, HANDLE, True, True, [], [bytes(64)]],
        "want after": [6, HANDLE, [bytes(64), -1]],
        "no operations": [4, HANDLE, True, []],
        "header": [4, HANDLE, True, ["text", None]],
        "body": [4, HANDLE, True, [b"header", 1]],
        "empty part": [5, HANDLE, None, b""],
        "long part": [5, HANDLE, None, bytes(bounds.PART_BYTES + 1)],
        "forks uneven": [7, HANDLE, [b"one"]],
        "ack": [8, -1, 0, []],
        "refused": [8, 0, 0, [True, 0]],
        "presence": [9, HANDLE, b"short", b""],
        "presence long": [9, HANDLE, bytes(32), bytes(bounds.MAX_PRESENCE_BYTES + 1)],
        "reason": [10, 99, ""],
        "message": [10, 0, "x" * 201],
    }
    encoded = [(name, encode(value)) for name, value in cases.items()]
    return [
        *encoded,
        ("noise", b"\xff\x00noise"),
        ("nothing", b""),
        ("not deterministic", b"\x83\x18\x03\x48" + HANDLE + b"\xf5"),
        ("indefinite", b"\x9f\x03\x48" + HANDLE + b"\xf5\xff"),
        ("deep", b"\x81" * 60 + b"\x00"),
        ("a length without end", b"\x5b" + b"\xff" * 8),
        ("trailing", encode_frame(f.Done(HANDLE, True)) + b"\x00"),
    ]


@pytest.mark.parametrize(("name", "data"), bad_frames(), ids=lambda v: v if type(v) is str else "")
def test_malformed_frames_end_the_session(name: str, data: bytes) -> None:
    with pytest.raises(SyncViolationError) as raised:
        f.decode_frame(data)
    assert raised.value.reason is CloseReason.MALFORMED
    Attack(stored=1).greet().say(data).assert_ended(CloseReason.MALFORMED)


@pytest.mark.parametrize(
    "data",
    [
        bytes(bounds.MAX_FRAME_BYTES + 1),
        encode([4, HANDLE, True, [b"h", None] * 257]),
        encode([6, HANDLE, [bytes(64), None] * 4097]),
        encode([2, HANDLE, True, True, [[0, None]] * 4097, []]),
        encode([2, HANDLE, True, True, [[2, None, [bytes(64), 0, bytes(16)] * 1025]], []]),
        encode([7, HANDLE, [b"h"] * 10]),
        encode([0, list(range(17)), 524288, [bytes(16)] * 8]),
    ],
    ids=lambda data: str(len(data)),
)
def test_frames_beyond_the_limits_end_the_session(data: bytes) -> None:
    Attack(stored=1).greet().say(data).assert_ended(CloseReason.LIMIT)


def recorded() -> tuple[list[bytes], dict[LogKey, list[bytes]]]:
    """Return all that Mallory sends in an honest exchange, and what the victim holds after it."""
    clock, rng = Clock(), random.Random(11)
    mallory = ModelNode(ModelReplica(MALLORY, dict(MEMBERS)), clock)
    victim = ModelNode(ModelReplica(VICTIM, dict(MEMBERS)), clock)
    for node in (mallory, victim):
        for number in range(40):
            node.replica.write(GROUP, document_id(number % 9), b"text %d" % number)
        node.replica.write(GROUP, GROUP, b"note", kind="group.note")
    mallory.replica.write(GROUP, document_id(50), bytes(120_000))
    link = Link(mallory, victim, rng)
    frames: list[bytes] = []
    receive = link.sessions[1].receive

    def recording(frame: bytes) -> None:
        frames.append(frame)
        receive(frame)

    link.sessions[1].receive = recording  # type: ignore[method-assign]
    run([link], clock)
    return frames, victim.replica.contents(GROUP)


RECORDED, HONEST = recorded()


def mutate(frame: bytes, rng: random.Random) -> bytes:
    data = bytearray(frame)
    kind = rng.randrange(5)
    if kind == 0:
        return bytes(data[: rng.randrange(len(data))])
    if kind == 1:
        return frame + rng.randbytes(rng.randrange(1, 9))
    place = rng.randrange(len(data))
    if kind == 2:
        data[place : place + 8] = b"\xff" * len(data[place : place + 8])
    else:
        data[place] ^= 1 << rng.randrange(8)
    return bytes(data)


def replay(change: Callable[[list[bytes]], list[bytes]]) -> tuple[Session, ModelReplica, Clock]:
    """Play the recorded frames, changed, into a victim with the same content and channel."""
    clock, rng = Clock(), random.Random(11)
    mallory = ModelReplica(MALLORY, dict(MEMBERS))
    victim = ModelReplica(VICTIM, dict(MEMBERS))
    for replica in (mallory, victim):
        for number in range(40):
            replica.write(GROUP, document_id(number % 9), b"text %d" % number)
        replica.write(GROUP, GROUP, b"note", kind="group.note")
    handshake = rng.randbytes(32)
    session = Session(
        victim,
        role=Role.RESPONDER,
        peer_device=MALLORY.public,
        handshake_hash=handshake,
        clock=clock,
    )
    for frame in change(RECORDED):
        session.receive(frame)
        while session.has_work:
            session.work()
        session.outputs()
    return session, victim, clock


def test_the_recorded_frames_replay_unchanged() -> None:
    session, victim, _ = replay(lambda frames: frames)
    assert not session.closed
    assert victim.contents(GROUP) == HONEST


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_changed_frames_never_bring_anything_in_that_was_not_signed(seed: int) -> None:
    rng = random.Random(seed)

    def change(frames: list[bytes]) -> list[bytes]:
        changed = list(frames)
        action = rng.randrange(5)
        place = rng.randrange(1, len(changed))
        if action == 0:
            changed.insert(place, changed[rng.randrange(len(changed))])
        elif action == 1:
            del changed[place]
        elif action == 2:
            other = rng.randrange(len(changed))
            changed[place], changed[other] = changed[other], changed[place]
        else:
            changed[place] = mutate(changed[place], rng)
        return changed

    session, victim, _ = replay(change)
    contents = victim.contents(GROUP)
    for key, ids in contents.items():
        assert ids == HONEST[key][: len(ids)]
    if session.closed:
        assert session.close_reason is not None
        assert session.outputs() == []


@pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.soak)])
def test_a_flood_of_hostile_frames_leaves_memory_and_store_as_they_were(count: int) -> None:
    rng = random.Random(9)
    honest = [
        encode_frame(frame)
        for frame in (
            FULL_ROUND,
            f.Done(HANDLE, True),
            f.Done(HANDLE, False),
            f.Round(HANDLE, False, True, [f.Listed(None, [f.Item(b"k" * 64, 3, b"i" * 16)])], []),
            frame_of(operation_by(STRANGER, document_id(1))),
            frame_of(operation_by(MALLORY, document_id(1), group=group_id(9))),
            f.Request(HANDLE, [f.Want(LogKey(VICTIM.public, document_id(0)), None)]),
            f.Ack(3, 3, [f.RefusedAt(True, 0, 0)]),
            f.Part(HANDLE, GOOD.header_bytes, bytes(1000)),
            f.Presence(HANDLE, document_id(1), bytes(1000)),
        )
    ]
    attack = Attack(stored=20).to_data()
    before = attack.before
    ended = 0
    tracemalloc.start()
    try:
        base = tracemalloc.get_traced_memory()[0]
        for _ in range(count):
            frame = rng.choice(honest)
            attack.say(mutate(frame, rng) if rng.random() < 0.8 else frame).work()
            attack.sent.clear()
            if attack.closed is not None:
                ended += 1
                assert attack.replica.contents(GROUP) == before
                attack = Attack(stored=20).to_data()
        grown = tracemalloc.get_traced_memory()[1] - base
    finally:
        tracemalloc.stop()
    assert attack.replica.contents(GROUP) == before
    assert ended > count // 3
    assert grown < 4_000_000
