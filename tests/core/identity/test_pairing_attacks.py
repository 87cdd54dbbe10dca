"""Pairing against those who guess, replay, relay, speak first, reflect or change bytes."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from core.identity.pairs import LONG, NAMES, SHORT, Device, Pair, channels, device
from core.identity.people import key, new_person
from lutra.codec import decode, encode
from lutra.crypto.pake import Spake2
from lutra.errors import MalformedError
from lutra.identity.device_log import claim_of, consent, sign_claim
from lutra.identity.errors import PairingStateError
from lutra.identity.pairing import MAX_ATTEMPTS, Pairing
from lutra.identity.pairing_code import PairingSecret
from lutra.identity.pairing_messages import (
    Agreement,
    Card,
    Choice,
    Frame,
    decode_frame,
    encode_frame,
)
from lutra.identity.pairing_spent import Latecomers
from lutra.identity.pairing_table import REASONS, TERMINAL, Event, Role, Side, State

WRONG = PairingSecret(407, b"abd")
sides = pytest.mark.parametrize("existing_side", list(Side))
secrets = pytest.mark.parametrize("secret", [SHORT, LONG], ids=["code", "link"])


def attacker(side: Side, role: Role, secret: PairingSecret, seed: int = 99) -> Device:
    """A device of a thief who has a person of their own and knows how to pair."""
    person = new_person(9) if role is Role.EXISTING else None
    names = ("Mallory", "trap")
    return device(side, secret, role, number=9, person=person, names=names, seed=seed)


def talk(left: Device, right: Device, number: int = 50) -> None:
    """Connect and deliver everything, without anybody accepting."""
    pair = Pair(left, right, right, left, connections=number)
    pair.connect()
    while pair.deliver():
        pass


def assert_nothing_given(pair: Pair) -> None:
    assert pair.existing.person is not None
    assert pair.existing.person.state.active() == {key(1).public}
    assert pair.new.machine.admission == ()


def kinds(frames: list[bytes]) -> list[Frame]:
    return [decode_frame(frame)[0] for frame in frames]


# -- guessing ------------------------------------------------------------------------------------


@sides
def test_a_wrong_guess_uses_up_the_code_and_is_seen(existing_side: Side) -> None:
    pair = Pair.make(existing_side)
    victim = pair.existing
    other = Side.ENTERS if existing_side is Side.SHOWS else Side.SHOWS
    thief = attacker(other, Role.NEW, WRONG)
    left, right = (thief, victim) if other is Side.ENTERS else (victim, thief)
    talk(left, right)
    assert victim.state is State.FAILED
    assert victim.machine.sentence == REASONS[State.CONFIRMING, Event.WRONG_CODE]
    assert victim.machine.strangers == 1
    assert victim.machine.peer is None
    assert thief.machine.peer is None
    # A second guess finds nobody, and the honest devices pair under a new code.
    with pytest.raises(PairingStateError):
        victim.machine.connect(channels(60)[0], 0)
    again = Pair.make(existing_side, PairingSecret(408, b"new"))
    again.connect()
    again.run()
    assert again.new.state is State.DONE


def ended(secret: PairingSecret, how: str) -> Pairing:
    """Return the machine that has shown a code, at its end."""
    pair = Pair.make(secret=secret)
    if how == "expired":
        pair.shows.do(lambda machine: machine.tick(10_000))
    else:
        pair.connect()
        pair.run()
    return pair.shows.machine


def late(secret: PairingSecret, latecomers: Latecomers, number: int) -> Device:
    """Let a device with a code come to one whose code is spent."""
    one = device(Side.ENTERS, secret, Role.NEW, number=5, person=None, names=NAMES[2:], seed=number)
    left, right = channels(number)
    latecomers.connect(right)
    one.do(lambda machine: machine.connect(left, 0))
    while one.outbox:
        for answer in latecomers.receive(one.outbox.pop(0)).frames:
            one.do(lambda machine, frame=answer: machine.receive(frame, 0))
    return one


@secrets
@pytest.mark.parametrize("how", ["used", "expired"])
def test_only_who_knows_a_spent_code_learns_that_it_is(secret: PairingSecret, how: str) -> None:
    spent = ended(secret, how).spent
    assert spent is not None
    assert secret.secret.hex() not in repr(spent) + repr(Latecomers(spent))
    latecomers = Latecomers(spent)
    told = REASONS[State.INTRODUCING, Event.USED if how == "used" else Event.EXPIRED]
    for number in (60, 61):
        assert late(secret, latecomers, number).machine.sentence == told
    wrong = WRONG if secret.is_short else PairingSecret(None, bytes(16))
    guesser = late(wrong, latecomers, 62)
    if secret.is_short:
        assert guesser.machine.sentence == REASONS[State.CONFIRMING, Event.WRONG_CODE]
    else:
        assert guesser.state is State.READY
    # The one guess at a short code was made, though the code is spent.
    assert latecomers.listens is not secret.is_short
    right = late(secret, latecomers, 63).machine
    assert right.sentence == ("" if secret.is_short else told)


def test_a_guess_at_a_spent_code_is_answered_like_one_at_a_code_that_counts() -> None:
    answers: list[list[Frame]] = []
    spent = ended(SHORT, "used").spent
    assert spent is not None
    latecomers = Latecomers(spent)
    counts = Pair.make().shows
    for receive, connect in (
        (latecomers.receive, latecomers.connect),
        (
            lambda frame: counts.machine.receive(frame, 0),
            lambda channel: counts.machine.connect(channel, 0),
        ),
    ):
        thief = attacker(Side.ENTERS, Role.NEW, WRONG)
        left, right = channels(64)
        connect(right)
        thief.do(lambda machine, at=left: machine.connect(at, 0))
        heard: list[bytes] = []
        while thief.outbox:
            for answer in receive(thief.outbox.pop(0)).frames:
                heard.append(answer)
                thief.do(lambda machine, frame=answer: machine.receive(frame, 0))
        answers.append(kinds(heard))
    assert answers[0] == answers[1] == [Frame.SHARE, Frame.BYE]


def test_breaking_off_is_counted_for_a_spent_code_too() -> None:
    spent = ended(SHORT, "used").spent
    assert spent is not None
    latecomers = Latecomers(spent)
    for number in range(spent.attempts, MAX_ATTEMPTS):
        assert latecomers.listens
        thief = attacker(Side.ENTERS, Role.NEW, WRONG, seed=number)
        left, right = channels(100 + number)
        latecomers.connect(right)
        thief.do(lambda machine, at=left: machine.connect(at, 0))
        assert kinds(list(latecomers.receive(thief.outbox[0]).frames)) == [Frame.SHARE]
    assert not latecomers.listens
    assert late(SHORT, latecomers, 90).state is State.READY


def test_a_code_that_was_guessed_at_or_withdrawn_is_not_spoken_of() -> None:
    guessed, withdrawn = Pair.make(), Pair.make()
    talk(attacker(Side.ENTERS, Role.NEW, WRONG), guessed.shows)
    withdrawn.shows.do(lambda machine: machine.cancel(0))
    for one in (guessed, withdrawn):
        assert one.shows.state in TERMINAL
        assert one.shows.machine.spent is None
    # Nor does who has entered a code tell others about it, or who has started anew.
    used = Pair.make()
    used.connect()
    used.run()
    assert used.enters.machine.spent is None
    used.shows.crash()
    assert used.shows.machine.spent is None


@sides
def test_both_devices_say_so_when_the_code_was_mistyped(existing_side: Side) -> None:
    pair = Pair.make(existing_side, SHORT, other_secret=WRONG)
    pair.connect()
    pair.run()
    for one in (pair.existing, pair.new):
        assert one.state is State.FAILED
        assert "code was not the same" in one.machine.sentence
    assert_nothing_given(pair)


@sides
def test_a_wrong_link_does_not_use_up_the_right_one(existing_side: Side) -> None:
    pair = Pair.make(existing_side, LONG)
    victim = pair.existing
    other = Side.ENTERS if existing_side is Side.SHOWS else Side.SHOWS
    thief = attacker(other, Role.NEW, PairingSecret(None, bytes(16)))
    left, right = (thief, victim) if other is Side.ENTERS else (victim, thief)
    talk(left, right)
    assert victim.state is State.READY
    assert victim.machine.strangers == 1
    pair.connect()
    pair.run()
    assert pair.new.state is State.DONE


def test_breaking_off_before_the_proof_teaches_nothing_and_is_counted() -> None:
    pair = Pair.make()
    for number in range(MAX_ATTEMPTS):
        thief = attacker(Side.ENTERS, Role.NEW, WRONG, seed=number)
        left, right = channels(100 + number)
        pair.shows.do(lambda machine, at=right: machine.connect(at, 0))
        thief.do(lambda machine, at=left: machine.connect(at, 0))
        pair.shows.do(lambda machine, frame=thief.outbox[0]: machine.receive(frame, 0))
        assert kinds(pair.shows.outbox) == [Frame.SHARE]
        pair.shows.outbox.clear()
        pair.shows.do(lambda machine: machine.disconnect(0))
        assert pair.shows.state is State.READY
    pair.shows.do(lambda machine: machine.connect(channels(200)[1], 0))
    assert pair.shows.state is State.FAILED
    assert pair.shows.machine.sentence == REASONS[State.READY, Event.EXHAUSTED]


def test_the_entering_side_proves_a_code_once_only() -> None:
    pair = Pair.make()
    thief = attacker(Side.SHOWS, Role.EXISTING, WRONG)
    left, right = channels(70)
    thief.do(lambda machine: machine.connect(right, 0))
    pair.enters.do(lambda machine: machine.connect(left, 0))
    thief.do(lambda machine: machine.receive(pair.enters.outbox[-1], 0))
    pair.enters.do(lambda machine: machine.receive(thief.outbox[-1], 0))
    assert kinds(pair.enters.outbox) == [Frame.HELLO, Frame.PROOF]
    for number in (71, 72):
        pair.enters.do(lambda machine: machine.disconnect(0))
        pair.enters.outbox.clear()
        again = channels(number)[0]
        pair.enters.do(lambda machine, at=again: machine.connect(at, 0))
        # No new share: the same exchange is taken up, which teaches a thief nothing more.
        assert kinds(pair.enters.outbox) == [Frame.RESUME]


# -- relaying, replaying, reflecting -------------------------------------------------------------


@sides
@secrets
def test_a_relay_between_two_victims_gets_nowhere(
    existing_side: Side, secret: PairingSecret
) -> None:
    """Both victims talk to the thief's machine, which passes every frame on unchanged."""
    pair = Pair.make(existing_side, secret)
    pair.enters.do(lambda machine: machine.connect(channels(1)[0], 0))
    pair.shows.do(lambda machine: machine.connect(channels(2)[1], 0))
    while pair.deliver():
        pass
    assert pair.shows.machine.peer is None
    assert pair.enters.machine.peer is None
    assert pair.shows.machine.strangers == 1
    expected = State.FAILED if secret.is_short else State.READY
    assert pair.shows.state is pair.enters.state is expected
    assert_nothing_given(pair)


@secrets
def test_a_relay_that_claims_another_key_on_the_same_channel_gets_nowhere(
    secret: PairingSecret,
) -> None:
    pair = Pair.make(secret=secret)
    left, right = channels(1)
    false = type(left)(left.handshake_hash, left.own, key(666).public)
    pair.enters.do(lambda machine: machine.connect(false, 0))
    pair.shows.do(lambda machine: machine.connect(right, 0))
    while pair.deliver():
        pass
    assert pair.shows.machine.peer is pair.enters.machine.peer is None


@sides
@secrets
def test_a_replayed_pairing_is_worth_nothing(existing_side: Side, secret: PairingSecret) -> None:
    honest = Pair.make(existing_side, secret)
    honest.connect()
    honest.run()
    for replayed in Side:
        frames = [frame for side, frame in honest.traffic if side is replayed]
        victims = Pair.make(existing_side, secret, seed=21)
        victim = victims.shows if replayed is Side.ENTERS else victims.enters
        # Even on a channel with the very same hash and keys.
        at = channels(1)[1 if replayed is Side.ENTERS else 0]
        victim.do(lambda machine, at=at: machine.connect(at, 0))
        for frame in frames:
            victim.do(lambda machine, frame=frame: machine.receive(frame, 0))
        assert victim.machine.peer is None
        assert victim.state in {State.FAILED, State.READY, State.CONFIRMING}
        assert_nothing_given(victims)


@secrets
@pytest.mark.parametrize("side", list(Side))
def test_a_mirror_gets_nowhere(secret: PairingSecret, side: Side) -> None:
    pair = Pair.make(secret=secret)
    victim = pair.enters if side is Side.ENTERS else pair.shows
    # A channel to itself, as far as the keys go.
    at = type(channels(1)[0])(bytes(32), key(1001).public, key(1001).public)
    victim.do(lambda machine: machine.connect(at, 0))
    for _ in range(6):
        sent = list(victim.outbox)
        victim.outbox.clear()
        for frame in sent:
            victim.do(lambda machine, frame=frame: machine.receive(frame, 0))
    assert victim.machine.peer is None


@secrets
def test_a_mirror_that_puts_the_right_labels_on_gets_nowhere(secret: PairingSecret) -> None:
    victim = Pair.make(secret=secret).enters
    at = type(channels(1)[0])(bytes(32), key(1001).public, key(1001).public)
    victim.do(lambda machine: machine.connect(at, 0))
    labels = {Frame.HELLO: Frame.SHARE, Frame.PROOF: Frame.ANSWER}
    while victim.outbox:
        kind, fields = decode_frame(victim.outbox.pop(0))
        if kind in labels:
            answer = encode_frame(labels[kind], fields[0])
            victim.do(lambda machine, frame=answer: machine.receive(frame, 0))
    assert victim.machine.peer is None
    assert not victim.machine._proven
    assert victim.state in {State.FAILED, State.READY}


def test_a_relay_cannot_take_up_what_was_interrupted() -> None:
    pair = Pair.make()
    pair.connect()
    while pair.deliver():
        pass
    pair.disconnect()
    pair.enters.do(lambda machine: machine.connect(channels(30)[0], 0))
    pair.shows.do(lambda machine: machine.connect(channels(31)[1], 0))
    before = len(pair.traffic)
    while pair.deliver():
        pass
    assert kinds([frame for _, frame in pair.traffic[before:]]) == [Frame.RESUME, Frame.BYE]
    assert pair.shows.machine.strangers == 1
    pair.connect()
    pair.run()
    assert pair.new.state is State.DONE


@sides
def test_nobody_introduces_a_device_whose_key_they_do_not_hold(existing_side: Side) -> None:
    pair = Pair.make(existing_side, LONG)
    other = Side.ENTERS if existing_side is Side.SHOWS else Side.SHOWS
    thief = attacker(other, Role.NEW, LONG)
    thief.machine._key = key(77)
    left, right = (thief, pair.existing) if other is Side.ENTERS else (pair.existing, thief)
    talk(left, right)
    assert pair.existing.machine.peer is None
    assert pair.existing.state is State.FAILED


@pytest.mark.parametrize("first", [True, False])
def test_spake2_refuses_its_own_share_and_elements_outside_the_group(first: bool) -> None:
    made = [
        Spake2(first=first, password=b"x", context=b"", seed=bytes([number]) * 32)
        for number in range(4)
    ]
    with pytest.raises(MalformedError):
        made[0].finish(made[0].share)
    # The neutral element, a point of order two, and no point at all.
    for number, share in enumerate(
        (b"\x01" + bytes(31), b"\xec" + b"\xff" * 30 + b"\x7f", b"\x02" + bytes(31)), start=1
    ):
        with pytest.raises(MalformedError):
            made[number].finish(share)


# -- speaking first, and out of turn -------------------------------------------------------------


@pytest.mark.parametrize("kind", [one for one in Frame if one is not Frame.HELLO])
def test_whoever_speaks_first_gets_no_answer(kind: Frame) -> None:
    sizes = {Frame.SEALED: (b"x" * 80,), Frame.BYE: ()}
    frame = encode_frame(kind, *sizes.get(kind, (bytes(32),)))
    pair = Pair.make()
    pair.shows.do(lambda machine: machine.connect(channels(1)[1], 0))
    pair.shows.do(lambda machine: machine.receive(frame, 0))
    assert pair.shows.state is State.READY
    assert all(sent == encode_frame(Frame.BYE) for sent in pair.shows.outbox)
    pair.shows.outbox.clear()
    pair.connect()
    pair.run()
    assert pair.new.state is State.DONE


def test_the_side_that_shows_says_nothing_to_a_silent_connection() -> None:
    pair = Pair.make()
    pair.shows.do(lambda machine: machine.connect(channels(1)[1], 0))
    assert pair.shows.outbox == []
    pair.shows.do(lambda machine: machine.tick(31))
    assert pair.shows.state is State.FAILED


@pytest.mark.parametrize("garbage", [b"", b"\x00", b"\x80", encode([7]), encode([1, 2, b"", b""])])
def test_garbage_ends_a_strangers_connection_and_nothing_else(garbage: bytes) -> None:
    pair = Pair.make()
    pair.shows.do(lambda machine: machine.connect(channels(1)[1], 0))
    pair.shows.do(lambda machine: machine.receive(garbage, 0))
    assert pair.shows.state is State.READY
    assert pair.shows.closed


def test_a_stranger_cannot_take_up_or_end_a_pairing_that_lost_its_connection() -> None:
    pair = Pair.make()
    pair.connect()
    while pair.deliver():
        pass
    assert pair.shows.state is pair.enters.state is State.COMPARING
    for number, frame in enumerate(
        (
            encode_frame(Frame.RESUME, bytes(32)),
            encode_frame(Frame.RESUMED, bytes(32)),
            encode_frame(Frame.BYE),
            encode_frame(Frame.HELLO, bytes(32), bytes(32)),
            encode_frame(Frame.SEALED, b"x" * 60),
            b"",
        )
    ):
        for end, one in enumerate((pair.enters, pair.shows)):
            one.do(lambda machine: machine.disconnect(0))
            one.outbox.clear()
            at = channels(80 + number)[end]
            one.do(lambda machine, at=at: machine.connect(at, 0))
            one.do(lambda machine, frame=frame: machine.receive(frame, 0))
            assert one.state is State.COMPARING
            assert set(kinds(one.outbox)) <= {Frame.RESUME, Frame.BYE}
            one.do(lambda machine: machine.disconnect(0))
            one.outbox.clear()
    pair.connect()
    pair.run()
    assert pair.new.state is pair.existing.state is State.DONE


def test_two_attempts_at_once_only_one_of_which_knows_the_code() -> None:
    pair = Pair.make()
    thief = attacker(Side.ENTERS, Role.NEW, WRONG)
    pair.connect()
    assert pair.deliver()
    with pytest.raises(PairingStateError):
        pair.shows.machine.connect(channels(60)[1], 0)
    pair.run()
    assert pair.new.state is State.DONE
    assert thief.machine.peer is None


# -- changing bytes ------------------------------------------------------------------------------


@secrets
def test_no_changed_byte_of_any_frame_leads_to_a_pairing(secret: PairingSecret) -> None:
    honest = Pair.make(secret=secret)
    honest.connect()
    honest.run()
    lengths = [len(frame) for _, frame in honest.traffic]
    moments = [(number, at) for number, size in enumerate(lengths) for at in range(size)]
    # Every byte of the small frames; of the long sealed ones every 29th and the last 17.
    chosen = [
        (number, at)
        for number, at in moments
        if lengths[number] < 120 or at % 29 == 0 or at >= lengths[number] - 17
    ]
    assert len(chosen) > 250
    for number, at in chosen:
        pair = Pair.make(secret=secret)
        pair.connect()
        while len(pair.traffic) < number:
            assert pair.deliver() or pair.people()
        while not (pair.enters.outbox or pair.shows.outbox):
            assert pair.people()
        box = pair.enters.outbox or pair.shows.outbox
        box[0] = box[0][:at] + bytes([box[0][at] ^ 0x55]) + box[0][at + 1 :]
        pair.run()
        receipt = number == len(lengths) - 1
        states = {pair.new.state, pair.existing.state}
        assert receipt or State.DONE not in states
        assert not receipt or pair.existing.state is State.FAILED
        for one in (pair.new, pair.existing):
            assert one.state in TERMINAL | {State.READY, State.CONFIRMING, State.AGREEING}


def test_one_who_knows_the_link_is_given_away_by_the_comparison() -> None:
    """Someone who saw the QR code stands between, with a pairing of their own on each side."""
    seen: Counter[bool] = Counter()
    for seed in range(8):
        pair = Pair.make(secret=LONG, seed=seed * 2)
        towards_new = attacker(Side.SHOWS, Role.EXISTING, LONG, seed=100 + seed)
        towards_old = attacker(Side.ENTERS, Role.NEW, LONG, seed=200 + seed)
        talk(pair.enters, towards_new, 10)
        talk(towards_old, pair.shows, 20)
        assert pair.enters.machine.comparison is not None
        seen[pair.enters.machine.comparison == pair.shows.machine.comparison] += 1
    assert seen == {False: 8}


def test_the_entering_side_cannot_change_its_introduction_after_seeing_the_other() -> None:
    pair = Pair.make(secret=LONG)
    thief = pair.enters
    pair.connect()
    while thief.machine.peer is None:
        assert pair.deliver()
    # Its own introduction lies in the outbox: seal another one in its place.
    memory = thief.machine._memory
    assert memory.keys is not None
    other = Card.make(
        Role.NEW,
        key(2).public,
        person=None,
        person_name="x",
        device_name="y",
        random=bytes,
    ).encode()
    signature = key(2).sign(memory.keys.signed(Side.ENTERS, other))
    channel = channels(pair.connections)[0]
    sealed = memory.keys.seal(
        Side.ENTERS,
        Side.ENTERS,
        channel,
        [1, other, memory.blinding, signature],
        thief.random.randbytes,
    )
    thief.outbox[:] = [encode_frame(Frame.SEALED, sealed)]
    pair.deliver()
    assert pair.shows.state is State.FAILED
    assert pair.shows.machine.sentence == REASONS[State.INTRODUCING, Event.VIOLATION]


# -- a device that paired and then lies ----------------------------------------------------------


def compared(own_identity: bool = False) -> Pair:
    pair = Pair.make(own_identity=own_identity)
    pair.connect()
    while pair.deliver():
        pass
    assert pair.new.state is pair.existing.state is State.COMPARING
    return pair


def test_an_agreement_that_does_not_fit_is_refused() -> None:
    merged = new_person(2).operations()
    honest = compared()
    right = consent(key(2), bytes(32)).signature
    for agreed in (
        Agreement(Choice.NONE, key(2).public, right, ()),
        Agreement(Choice.NONE, key(3).public, right, ()),
        Agreement(Choice.KEEP_SEPARATE, key(3).public, right, ()),
        Agreement(Choice.MERGE, key(2).public, right, merged),
        Agreement(Choice.NONE, key(2).public, right, merged),
    ):
        pair = compared()
        pair.new.outbox.extend(pair.new.machine._seal(agreed.fields()))
        pair.run()
        assert pair.existing.state is State.FAILED
        assert_nothing_given(pair)
    honest.run()
    assert honest.new.state is State.DONE


def test_consent_to_another_person_or_by_another_key_is_refused_before_signing() -> None:
    pair = compared()
    card = pair.existing.machine._memory.card
    for signer, person in ((key(2), bytes(32)), (key(3), card.person or b"")):
        pair = compared()
        signature = sign_claim(signer, claim_of(person, card.nonce))
        agreed = Agreement(Choice.NONE, key(2).public, signature, ())
        pair.new.outbox.extend(pair.new.machine._seal(agreed.fields()))
        while pair.deliver():
            pass
        assert pair.existing.state is State.FAILED


def test_an_identity_brought_along_must_hold_the_device() -> None:
    pair = compared(own_identity=True)
    other = new_person(8)
    card = pair.existing.machine._memory.card
    signature = sign_claim(key(2), claim_of(card.person or b"", card.nonce))
    for merged in (other.operations(), ()):
        pair = compared(own_identity=True)
        agreed = Agreement(Choice.MERGE, key(2).public, signature, merged)
        pair.new.outbox.extend(pair.new.machine._seal(agreed.fields()))
        while pair.deliver():
            pass
        assert pair.existing.state is State.FAILED


def test_a_log_without_the_new_device_is_no_admission() -> None:
    pair = compared()
    while pair.existing.state is not State.ADMITTING:
        assert pair.deliver() or pair.people()
    assert pair.existing.person is not None
    alone = pair.existing.person.operations()
    pair.existing.do(lambda machine: machine.admitted(alone, 0))
    while pair.deliver():
        pass
    assert pair.new.state is State.FAILED
    assert pair.new.machine.admission == ()
    assert pair.existing.state is State.CANCELLED
    assert "after it had been added" in pair.existing.machine.sentence


# -- what an onlooker sees -----------------------------------------------------------------------


@sides
@secrets
def test_nothing_but_random_looking_bytes_before_the_devices_know_each_other(
    existing_side: Side, secret: PairingSecret
) -> None:
    pair = Pair.make(existing_side, secret, own_identity=True)
    pair.connect()
    pair.run()
    assert pair.existing.person is not None
    assert pair.new.person is not None
    identifiers = [
        pair.existing.person.id,
        pair.new.person.id,
        key(1).public,
        key(2).public,
        secret.secret,
        *map(str.encode, NAMES),
    ]
    # Not even sealed frames show anything; before them there are only shares and proofs.
    for _, frame in pair.traffic:
        assert not any(known in frame for known in identifiers)
    open_frames = [frame for _, frame in pair.traffic if decode_frame(frame)[0] is not Frame.SEALED]
    assert kinds(open_frames) == [Frame.HELLO, Frame.SHARE, Frame.PROOF, Frame.ANSWER]
    again = Pair.make(existing_side, secret, own_identity=True, seed=31)
    again.connect()
    again.run()
    repeated = {frame[-32:] for _, frame in pair.traffic} & {f[-32:] for _, f in again.traffic}
    assert repeated == set()


def test_shares_and_proofs_look_random() -> None:
    counts: Counter[int] = Counter()
    for seed in range(150):
        pair = Pair.make(secret=LONG, seed=seed * 2 + 1000)
        pair.connect()
        while len(pair.traffic) < 4:
            assert pair.deliver()
        for _, frame in pair.traffic:
            for item in decode(frame):
                if type(item) is bytes:
                    counts.update(item)
    total = sum(counts.values())
    assert total == 150 * 5 * 32
    expected = total / 256
    chi_squared = sum((counts[byte] - expected) ** 2 / expected for byte in range(256))
    # 255 degrees of freedom: mean 255, deviation sqrt(510); the seeds are fixed.
    assert chi_squared < 255 + 5 * math.sqrt(510)
