"""The secure channel: establishing it, carrying frames, and what attackers may try."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.net.channels import (
    ALICE,
    BOB,
    MALLORY,
    Pair,
    bytewise,
    make_pair,
    open_pair,
    whole,
)
from lutra.crypto.signing import SigningKey
from lutra.net.channel import (
    REKEY_MESSAGES,
    Channel,
    Chosen,
    Closed,
    Established,
    Event,
    Failed,
    Frame,
)
from lutra.net.errors import (
    ChannelClosedError,
    ChannelError,
    DeviceProofError,
    FrameTooLargeError,
    HandshakeError,
    NotAdmittedError,
    VersionError,
)
from lutra.net.frames import MAX_FRAME_BYTES, CloseReason, Purpose
from lutra.net.knock import ANSWER_BYTES, KNOCK_BYTES, Door, Knock
from lutra.net.noise import LUTRA_PROTOCOL, CipherState, Handshake, StaticKey
from lutra.net.proof import PROOF_BYTES, Binding
from lutra.net.tags import TagTable, group_tag_key, tag

PREFACE = b"LUTRA\x01\x01"


def frames(events: Iterable[Event]) -> list[bytes]:
    return [event.payload for event in events if isinstance(event, Frame)]


def failure(events: list[Event]) -> Exception:
    assert isinstance(events[-1], Failed)
    return events[-1].error


def never_established(pair: Pair) -> bool:
    events = pair.initiator_events + pair.responder_events
    return not any(isinstance(event, Established) for event in events)


# -- honest use ------------------------------------------------------------------------------------


@pytest.mark.parametrize("wire", [whole, bytewise])
def test_both_sides_learn_the_device_and_the_same_hash(wire) -> None:
    pair = make_pair(to_responder=wire, to_initiator=wire)
    pair.pump()
    (at_initiator,) = pair.initiator_events
    (at_responder,) = pair.responder_events
    assert at_initiator == Established(BOB.public, at_responder.handshake_hash)
    assert at_responder.peer_device == ALICE.public
    assert len(at_initiator.handshake_hash) == 32


def test_each_channel_has_its_own_hash_and_static_keys() -> None:
    first, second = open_pair(), open_pair()
    assert first.initiator.handshake_hash != second.initiator.handshake_hash
    assert first.initiator._static.public != second.initiator._static.public


@settings(deadline=None)
@given(
    sent=st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.integers(60_000, 200_000).map(lambda size: bytes([size % 251]) * size),
        ),
        max_size=12,
    ),
    cuts=st.lists(st.integers(1, 70_000), min_size=1, max_size=20),
)
def test_frames_arrive_whole_and_in_order_however_cut(sent: list[bytes], cuts: list[int]) -> None:
    def pieces(data: bytes) -> Iterable[bytes]:
        position = turn = 0
        while position < len(data):
            step = cuts[turn % len(cuts)]
            yield data[position : position + step]
            position, turn = position + step, turn + 1

    pair = open_pair()
    pair.to_responder = pair.to_initiator = pieces
    for frame in sent:
        pair.initiator.send(frame)
        pair.responder.send(frame[::-1])
    pair.pump()
    assert frames(pair.responder_events) == sent
    assert frames(pair.initiator_events) == [frame[::-1] for frame in sent]


def test_bytewise_frames_arrive() -> None:
    pair = open_pair()
    pair.to_responder = bytewise
    sent = [b"", b"a", bytes(300), b"z" * 70_000]
    for frame in sent:
        pair.initiator.send(frame)
    pair.pump()
    assert frames(pair.responder_events) == sent


def test_small_frames_share_one_message() -> None:
    pair = open_pair()
    for number in range(1000):
        pair.initiator.send(number.to_bytes(4, "big"))
    data = pair.initiator.data_to_send()
    assert len(data) == 2 + 1000 * 8 + 16
    events = pair.responder.receive_data(data)
    assert frames(events) == [number.to_bytes(4, "big") for number in range(1000)]


def test_the_largest_frame_arrives_and_a_larger_one_is_refused_here() -> None:
    pair = open_pair()
    largest = bytes(MAX_FRAME_BYTES)
    pair.initiator.send(largest)
    with pytest.raises(FrameTooLargeError):
        pair.initiator.send(largest + b"x")
    pair.pump()
    assert frames(pair.responder_events) == [largest]


def test_keys_change_while_frames_flow() -> None:
    pair = open_pair()
    for number in range(2 * REKEY_MESSAGES + 10):
        pair.initiator.send(b"%d" % number)
        events = pair.responder.receive_data(pair.initiator.data_to_send())
        assert frames(events) == [b"%d" % number]


def test_closing_tells_why_after_the_last_frame() -> None:
    pair = open_pair()
    pair.initiator.send(b"last")
    pair.initiator.close(CloseReason.GOING_AWAY)
    pair.pump()
    assert pair.responder_events == [Frame(b"last"), Closed(CloseReason.GOING_AWAY)]
    assert pair.responder.is_closed
    for channel in (pair.initiator, pair.responder):
        with pytest.raises(ChannelClosedError):
            channel.send(b"more")
        assert channel.receive_data(b"anything") == []


def test_keep_alive_is_silent() -> None:
    pair = open_pair()
    pair.initiator.keep_alive()
    data = pair.initiator.data_to_send()
    assert data
    assert pair.responder.receive_data(data) == []
    assert pair.responder.is_open


def test_choosing_is_told_in_order() -> None:
    pair = open_pair()
    pair.initiator.send(b"before")
    pair.initiator.choose()
    pair.initiator.send(b"after")
    pair.pump()
    assert pair.responder_events == [Frame(b"before"), Chosen(), Frame(b"after")]


def test_nothing_is_sent_before_the_channel_is_open() -> None:
    channel = Channel(ALICE, initiator=True)
    channel.data_to_send()
    channel.keep_alive()
    assert channel.data_to_send() == b""
    with pytest.raises(ChannelClosedError):
        channel.send(b"early")


# -- who may connect -------------------------------------------------------------------------------


def test_a_responder_that_does_not_admit_does_not_show_its_key() -> None:
    seen: list[bytes] = []

    def nobody(device: bytes) -> bool:
        seen.append(device)
        return False

    pair = make_pair(responder_admits=nobody)
    pair.pump()
    assert seen == [ALICE.public]
    assert isinstance(failure(pair.responder_events), NotAdmittedError)
    assert pair.initiator_events == [Closed(CloseReason.NOT_ADMITTED)]
    assert pair.initiator.peer_device is None


def test_an_initiator_that_does_not_admit_says_so() -> None:
    pair = make_pair(initiator_admits=lambda _: False)
    pair.pump()
    assert isinstance(failure(pair.initiator_events), NotAdmittedError)
    assert pair.responder_events[-1] == Closed(CloseReason.NOT_ADMITTED)


def test_reaching_oneself_is_noticed_on_both_sides() -> None:
    pair = make_pair(responder_key=ALICE)
    pair.pump()
    assert isinstance(failure(pair.responder_events), NotAdmittedError)
    assert pair.initiator_events == [Closed(CloseReason.SELF)]


def test_another_device_than_expected_is_refused() -> None:
    pair = make_pair(expected_device=MALLORY.public)
    pair.pump()
    assert isinstance(failure(pair.initiator_events), DeviceProofError)
    assert not pair.initiator.is_open


# -- knocking --------------------------------------------------------------------------------------

TAG_KEY, OTHER_TAG_KEY = group_tag_key(b"group"), group_tag_key(b"another group")


def knocking(knock: Knock | None, door_keys: list[bytes]) -> Pair:
    door = Door()
    door.set_table(TagTable({key: key for key in door_keys}, 9))
    pair = Pair(
        Channel(ALICE, initiator=True, knock=knock), Channel(BOB, initiator=False, door=door)
    )
    pair.pump()
    return pair


@pytest.mark.parametrize("door_keys", [[TAG_KEY], [OTHER_TAG_KEY, TAG_KEY]])
def test_a_member_answers_the_knock(door_keys: list[bytes]) -> None:
    pair = knocking(Knock(tag(TAG_KEY, 9), TAG_KEY), door_keys)
    assert pair.initiator.is_open
    assert pair.responder.is_open


def test_without_a_knock_nothing_is_demanded() -> None:
    assert knocking(None, []).initiator.is_open


@pytest.mark.parametrize("door_keys", [[], [OTHER_TAG_KEY]])
def test_who_does_not_know_the_group_learns_nothing_of_the_initiator(
    door_keys: list[bytes],
) -> None:
    pair = knocking(Knock(tag(TAG_KEY, 9), TAG_KEY), door_keys)
    assert isinstance(failure(pair.initiator_events), HandshakeError)
    assert never_established(pair)
    assert pair.initiator._handshake.is_my_turn


def test_an_answer_does_not_serve_another_handshake() -> None:
    """Mallory asks a member with the tag she heard, and shows the answer to Alice."""
    door = Door()
    door.set_table(TagTable({TAG_KEY: TAG_KEY}, 9))
    bob, asking = Channel(BOB, initiator=False, door=door), ByHand(initiator=True)
    bob.receive_data(asking.preface + packed(asking.noise.write(tag(TAG_KEY, 9))))
    answer = asking.noise.read(bob.data_to_send()[len(PREFACE) + 2 :])

    alice = Channel(ALICE, initiator=True, knock=Knock(tag(TAG_KEY, 9), TAG_KEY))
    answering = ByHand(initiator=False)
    assert answering.noise.read(alice.data_to_send()[len(PREFACE) + 2 :]) == tag(TAG_KEY, 9)
    events = alice.receive_data(PREFACE + packed(answering.noise.write(answer)))
    assert isinstance(failure(events), HandshakeError)
    assert alice.data_to_send() == b""


def test_knocks_do_not_show_their_key() -> None:
    assert TAG_KEY.hex() not in repr(Knock(b"12345678", TAG_KEY))
    assert repr(TAG_KEY) not in repr(Knock(b"12345678", TAG_KEY))


# -- hostile handshakes ----------------------------------------------------------------------------


@settings(deadline=None, max_examples=300)
@given(forth=st.booleans(), position=st.integers(0, 2000), bit=st.integers(0, 7))
def test_no_flipped_bit_leads_to_two_open_channels(forth: bool, position: int, bit: int) -> None:
    count = 0

    def flip(data: bytes) -> list[bytes]:
        nonlocal count
        changed = bytearray(data)
        if 0 <= position - count < len(changed):
            changed[position - count] ^= 1 << bit
        count += len(data)
        return [bytes(changed)]

    pair = make_pair()
    if forth:
        pair.to_responder = flip
    else:
        pair.to_initiator = flip
    pair.pump()
    hit = position < count
    assert (pair.initiator.is_open and pair.responder.is_open) == (not hit)


@pytest.mark.parametrize("forth", [True, False])
def test_a_truncated_handshake_never_opens(forth: bool) -> None:
    honest = make_pair()
    total = 0

    def measure(data: bytes) -> list[bytes]:
        nonlocal total
        total += len(data)
        return [data]

    honest.to_responder, honest.to_initiator = (measure, whole) if forth else (whole, measure)
    honest.pump()
    for keep in range(total):
        left = keep

        def cut(data: bytes) -> list[bytes]:
            nonlocal left
            kept, left = data[:left], max(0, left - len(data))
            return [kept]

        pair = make_pair()
        pair.to_responder, pair.to_initiator = (cut, whole) if forth else (whole, cut)
        pair.pump()
        cut_side = pair.responder if forth else pair.initiator
        assert not cut_side.is_open


def test_a_replayed_handshake_fails_at_the_proof_of_freshness() -> None:
    recorded: list[bytes] = []

    def record(data: bytes) -> list[bytes]:
        recorded.append(data)
        return [data]

    pair = make_pair(to_responder=record)
    pair.pump()
    victim = Channel(BOB, initiator=False)
    events: list[Event] = []
    for data in recorded:
        events += victim.receive_data(data)
    assert isinstance(failure(events), HandshakeError)
    assert not any(isinstance(event, Established) for event in events)


@pytest.mark.parametrize("size", [513, 65_535])
def test_an_oversized_greeting_is_refused_by_its_length_alone(size: int) -> None:
    for initiator in (True, False):
        channel = Channel(ALICE, initiator=initiator)
        events = channel.receive_data(PREFACE + size.to_bytes(2, "big"))
        assert isinstance(failure(events), HandshakeError)


@pytest.mark.parametrize("size", [0, 1, 31, 32, 39, 41])
def test_an_undersized_greeting_is_refused(size: int) -> None:
    for initiator in (True, False):
        channel = Channel(ALICE, initiator=initiator)
        events = channel.receive_data(PREFACE + size.to_bytes(2, "big") + bytes(size))
        assert isinstance(failure(events), HandshakeError)


def test_other_protocols_are_recognised() -> None:
    channel = Channel(ALICE, initiator=True)
    assert isinstance(failure(channel.receive_data(b"HTTP/1.1 400 Bad")), HandshakeError)
    channel = Channel(ALICE, initiator=False)
    assert isinstance(failure(channel.receive_data(b"G")), HandshakeError)


@pytest.mark.parametrize(("lowest", "highest"), [(2, 9), (0, 0)])
def test_a_version_nobody_shares_is_named(lowest: int, highest: int) -> None:
    for initiator in (True, False):
        channel = Channel(ALICE, initiator=initiator)
        error = failure(channel.receive_data(b"LUTRA" + bytes((lowest, highest))))
        assert isinstance(error, VersionError)
        assert error.details["theirs"] == (lowest, highest)


def test_a_newer_version_that_still_speaks_ours_is_met() -> None:
    """A device of a later release, played by hand, offers versions 1 to 3."""
    peer = ByHand(initiator=True, preface=b"LUTRA\x01\x03")
    bob = Channel(BOB, initiator=False)
    events = peer.meet(bob)
    assert events[-1] == Established(ALICE.public, bob.handshake_hash or b"")


@settings(deadline=None)
@given(data=st.binary(max_size=3000), initiator=st.booleans(), prefix=st.booleans())
def test_noise_is_refused_or_waited_for_but_never_raises(
    data: bytes, initiator: bool, prefix: bool
) -> None:
    channel = Channel(ALICE, initiator=initiator)
    events = channel.receive_data(PREFACE + data if prefix else data)
    assert not any(isinstance(event, Established) for event in events)
    assert len(channel._inbox) <= 600


class ByHand:
    """An initiator or responder that may prove what it likes: the attacker's workbench."""

    def __init__(
        self, *, initiator: bool, preface: bytes = PREFACE, prologue: bytes | None = None
    ) -> None:
        self.preface = preface
        self.initiator = initiator
        self.static = StaticKey.generate()
        self.noise = Handshake(
            LUTRA_PROTOCOL,
            initiator=initiator,
            prologue=prologue or (preface if initiator else PREFACE),
            static=self.static,
        )

    def binding(self) -> Binding:
        remote = self.noise.remote_static
        assert remote is not None
        if self.initiator:
            return Binding(
                self.preface + PREFACE, self.noise.transcript, self.static.public, remote
            )
        return Binding(PREFACE + self.preface, self.noise.transcript, remote, self.static.public)

    def meet(
        self, victim: Channel, proof: bytes | None = None, purpose: bytes = b"\0"
    ) -> list[Event]:
        """As initiator: shake hands, prove ``proof`` or, by default, to be Alice."""
        events = victim.receive_data(self.preface + packed(self.noise.write(bytes(KNOCK_BYTES))))
        answer = victim.data_to_send()[len(PREFACE) :]
        self.noise.read(answer[2:])
        keys = self.noise.begin_write()
        proof = self.binding().prove(ALICE) if proof is None else proof
        events += victim.receive_data(packed(keys + self.noise.end_write(proof + purpose)))
        return events

    def answer(self, victim: Channel) -> tuple[bytes, CipherState]:
        """As responder: take the victim's proof; returns it and the cipher to answer with."""
        greeting = victim.data_to_send()[len(PREFACE) :]
        self.noise.read(greeting[2:])
        victim.receive_data(self.preface + packed(self.noise.write(bytes(ANSWER_BYTES))))
        payload = self.noise.read(victim.data_to_send()[2:])
        return payload[:PROOF_BYTES], self.noise.split()[0]


def packed(message: bytes) -> bytes:
    return len(message).to_bytes(2, "big") + message


def test_a_proof_by_the_wrong_key_is_refused() -> None:
    for forged in (
        MALLORY.public + bytes(64),
        b"",
        bytes(PROOF_BYTES),
        ALICE.public + MALLORY.sign(b"anything"),
    ):
        bob = Channel(BOB, initiator=False)
        events = ByHand(initiator=True).meet(bob, forged)
        assert isinstance(failure(events), DeviceProofError)
        assert bob.data_to_send() == b""


@pytest.mark.parametrize("purpose", [b"", b"\x02", b"\0\0"])
def test_an_unknown_purpose_is_refused(purpose: bytes) -> None:
    bob = Channel(BOB, initiator=False)
    events = ByHand(initiator=True).meet(bob, purpose=purpose)
    assert isinstance(failure(events), HandshakeError)


@pytest.mark.parametrize("purpose", list(Purpose))
def test_the_responder_learns_the_purpose(purpose: Purpose) -> None:
    pair = Pair(Channel(ALICE, initiator=True, purpose=purpose), Channel(BOB, initiator=False))
    pair.pump()
    assert pair.responder.is_open
    assert pair.responder.purpose is purpose


def test_a_proof_under_another_name_is_refused() -> None:
    """Misbinding: Alice's signature cannot be shown as Mallory's, nor the other way round."""
    peer, bob = ByHand(initiator=True), Channel(BOB, initiator=False)
    events = bob.receive_data(peer.preface + packed(peer.noise.write(bytes(KNOCK_BYTES))))
    peer.noise.read(bob.data_to_send()[len(PREFACE) + 2 :])
    keys = peer.noise.begin_write()
    genuine = peer.binding().prove(ALICE)
    renamed = MALLORY.public + genuine[32:]
    events += bob.receive_data(packed(keys + peer.noise.end_write(renamed + b"\0")))
    assert isinstance(failure(events), DeviceProofError)


def test_a_relay_cannot_pass_a_proof_on() -> None:
    """Alice dials Mallory; Mallory dials Bob and hands him Alice's proof."""
    alice = Channel(ALICE, initiator=True)
    proof, _ = ByHand(initiator=False).answer(alice)
    assert proof[:32] == ALICE.public
    bob = Channel(BOB, initiator=False)
    events = ByHand(initiator=True).meet(bob, proof)
    assert isinstance(failure(events), DeviceProofError)
    assert bob.peer_device is None


def test_a_responders_proof_cannot_be_passed_on_either() -> None:
    """Mallory dials Bob in her own name, and shows his proof to Alice."""
    bob = Channel(BOB, initiator=False)
    dialler = ByHand(initiator=True)
    dialler.meet(bob, None)
    sealed = bob.data_to_send()[2:]
    bobs_proof = dialler.noise.split()[1].decrypt(sealed)[4:]
    assert bobs_proof[:32] == BOB.public

    alice = Channel(ALICE, initiator=True)
    _, cipher = ByHand(initiator=False).answer(alice)
    header = ((1 << 24) | PROOF_BYTES).to_bytes(4, "big")
    events = alice.receive_data(packed(cipher.encrypt(header + bobs_proof)))
    assert isinstance(failure(events), DeviceProofError)


def test_a_proof_cannot_be_reflected() -> None:
    alice = Channel(ALICE, initiator=True)
    proof, cipher = ByHand(initiator=False).answer(alice)
    header = ((1 << 24) | PROOF_BYTES).to_bytes(4, "big")
    events = alice.receive_data(packed(cipher.encrypt(header + proof)))
    assert isinstance(failure(events), DeviceProofError)


@pytest.mark.parametrize("changed", ["versions", "transcript", "statics", "role", "answers"])
def test_a_proof_covers_everything_that_names_the_handshake(changed: str) -> None:
    def binding(**values: bytes) -> Binding:
        fields = {
            "versions": PREFACE + PREFACE,
            "transcript": b"t" * 32,
            "initiator_static": b"i" * 32,
            "responder_static": b"r" * 32,
        }
        return Binding(**(fields | values))

    proof = binding().prove(BOB, ALICE.public)
    assert binding().check(proof, ALICE.public) == BOB.public
    other, answers = binding(), ALICE.public
    if changed == "versions":
        other = binding(versions=PREFACE + b"LUTRA\x01\x02")
    elif changed == "transcript":
        other = binding(transcript=b"T" * 32)
    elif changed == "statics":
        other = binding(initiator_static=b"r" * 32, responder_static=b"i" * 32)
    elif changed == "answers":
        answers = MALLORY.public
    with pytest.raises(DeviceProofError):
        other.check(proof, None if changed == "role" else answers)


def test_frames_instead_of_the_responders_proof_are_refused() -> None:
    for kind in (0, 2):
        alice = Channel(ALICE, initiator=True)
        _, cipher = ByHand(initiator=False).answer(alice)
        frame = (kind << 24).to_bytes(4, "big")
        events = alice.receive_data(packed(cipher.encrypt(frame)))
        assert isinstance(failure(events), DeviceProofError)


# -- a hostile peer on an open channel -------------------------------------------------------------


@settings(deadline=None)
@given(position=st.integers(0), bit=st.integers(0, 7))
def test_a_changed_message_ends_the_channel(position: int, bit: int) -> None:
    pair = open_pair()
    pair.initiator.send(b"content")
    data = bytearray(pair.initiator.data_to_send())
    data[position % len(data)] ^= 1 << bit
    events = pair.responder.receive_data(bytes(data))
    assert not frames(events)
    if events:
        assert isinstance(failure(events), ChannelError)
    else:  # the length grew: the rest is waited for
        events = pair.responder.receive_data(bytes(65_535))
        assert isinstance(failure(events), ChannelError)


def test_replayed_reordered_and_dropped_messages_end_the_channel() -> None:
    for order in ((0, 0), (1, 0), (0, 2)):
        pair = open_pair()
        messages: list[bytes] = []
        for number in range(3):
            pair.initiator.send(b"%d" % number)
            messages.append(pair.initiator.data_to_send())
        events: list[Event] = []
        for index in order:
            events += pair.responder.receive_data(messages[index])
        assert isinstance(failure(events), ChannelError)
        assert frames(events) in ([b"0"], [])


def send_plaintext(channel: Channel, plaintext: bytes) -> bytes:
    """Seal something that an honest channel would not say."""
    assert channel._sender is not None
    return packed(channel._sender.encrypt(plaintext))


@pytest.mark.parametrize(
    "plaintext",
    [
        b"\x05\x00\x00\x00",
        b"\xff\x00\x00\x00",
        b"\x00\x40\x00\x01",
        b"\x00\xff\xff\xff",
        b"\x01\x00\x00\x60" + bytes(96),
        b"\x02\x00\x00\x81" + bytes(129),
        b"\x03\x00\x00\x00",
        b"\x03\x00\x00\x01\xff",
        b"\x03\x00\x00\x02\x00\x00",
    ],
)
def test_a_broken_frame_ends_the_channel(plaintext: bytes) -> None:
    pair = open_pair()
    events = pair.responder.receive_data(send_plaintext(pair.initiator, plaintext))
    assert isinstance(failure(events), ChannelError)
    assert pair.responder.is_closed


def test_the_violator_is_told() -> None:
    pair = open_pair()
    pair.responder.receive_data(send_plaintext(pair.initiator, b"\xff\x00\x00\x00"))
    events = pair.initiator.receive_data(pair.responder.data_to_send())
    assert events == [Closed(CloseReason.VIOLATION)]


@settings(deadline=None)
@given(plaintext=st.binary(max_size=400))
def test_any_plaintext_is_frames_or_a_violation(plaintext: bytes) -> None:
    pair = open_pair()
    for event in pair.responder.receive_data(send_plaintext(pair.initiator, plaintext)):
        assert isinstance(event, Frame | Failed | Chosen | Closed)


def test_an_unfinished_frame_holds_no_more_than_was_sent() -> None:
    pair = open_pair()
    pair.responder.receive_data(send_plaintext(pair.initiator, b"\x00\x40\x00\x00"))
    for _ in range(200):
        pair.responder.receive_data(send_plaintext(pair.initiator, b"xy"))
    assert len(pair.responder._frames._payload) == 400


def test_secrets_do_not_show() -> None:
    key = SigningKey(bytes(range(32)))
    channel = Channel(key, initiator=True)
    assert bytes(range(32)).hex() not in repr(channel)
    assert repr(channel) == "Channel(initiator, PREFACE)"
