"""The joining exchange by itself: what each side learns when, and from whom."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutra.codec import decode, encode
from lutra.crypto.signing import SigningKey
from lutra.errors import RemoteError
from lutra.groups.contents import Offer
from lutra.groups.errors import InviteError, JoinRefusedError
from lutra.groups.invite import (
    MAX_OPENING_BYTES,
    PENDING,
    Admission,
    Derived,
    Found,
    Inviter,
    Joiner,
    JoinRequest,
    Refusal,
    Verdict,
)
from lutra.groups.invite_keys import NUMBER_BYTES, Channel, Exchange, Side, locator
from lutra.groups.invite_secret import InviteSecret
from lutra.identity.key_agreement import commit

RANDOM = random.Random(7).randbytes
KEY = SigningKey(b"j" * 32)
REQUEST = JoinRequest(KEY.public, (b"statement about ben",), "Ben Beaver", "Ben's laptop")
ADMISSION = Admission(b"g" * 32, b"d" * 32, b"a" * 32, 3)
TELLING = (b"Ben", b"laptop", b"statement", KEY.public, *(b"g" * 32, b"d" * 32, b"a" * 32))


@dataclass
class Desk:
    """An inviting device's invites, without a store."""

    secrets: list[InviteSecret]
    verdict_now: Verdict = field(default_factory=lambda: Verdict(ADMISSION))
    asked: list[tuple[Found, JoinRequest, Derived]] = field(default_factory=list)
    guesses: list[InviteSecret] = field(default_factory=list)
    offers: list[tuple[bytes, Offer]] = field(default_factory=list)

    def find(self, where: bytes, channel: Channel) -> Found | None:
        for secret in self.secrets:
            if locator(secret, channel) == where:
                return Found(secret)
        for _, _, derived in self.asked:
            if locator(derived.ticket, channel) == where:
                return Found(derived.ticket, is_ticket=True)
        return None

    def is_open(self, found: Found) -> bool:
        return found.secret not in self.guesses

    def wrong_guess(self, found: Found) -> None:
        self.guesses.append(found.secret)

    def ask(self, found: Found, request: JoinRequest, derived: Derived) -> Verdict:
        self.asked.append((found, request, derived))
        return self.verdict_now

    def verdict(self, ticket: InviteSecret) -> Verdict:
        assert ticket in [derived.ticket for _, _, derived in self.asked]
        return self.verdict_now

    def take_offer(self, group: bytes, offer: Offer) -> None:
        self.offers.append((group, offer))


def channel() -> Channel:
    return Channel(RANDOM(32), RANDOM(32), RANDOM(32))


def joiner(secret: InviteSecret, on: Channel, request: JoinRequest = REQUEST) -> Joiner:
    return Joiner(secret, request, KEY.sign, on, RANDOM)


def run(joining: Joiner, inviting: Inviter) -> list[bytes]:
    """Carry frames until nobody has more to say; returns them all."""
    frames: list[bytes] = []
    frame: bytes | None = joining.start()
    while frame is not None:
        answer = inviting.receive(frame)
        frames += [frame, answer]
        frame = joining.receive(answer)
    return frames


def secrets() -> list[InviteSecret]:
    return [InviteSecret.generate(RANDOM), InviteSecret.short(RANDOM)]


@pytest.mark.parametrize("secret", secrets(), ids=["long", "short"])
def test_whoever_knows_the_secret_is_admitted(secret: InviteSecret) -> None:
    desk, on = Desk([secret]), channel()
    joining, inviting = joiner(secret, on), Inviter(on, desk, RANDOM)
    frames = run(joining, inviting)
    assert (joining.finished, inviting.done) == (True, True)
    assert joining.admission == ADMISSION
    (_, request, derived) = desk.asked[0]
    assert request == REQUEST
    assert (derived.ticket, derived.comparison) == (joining.ticket, joining.comparison)
    # Nothing that tells who, where or by which invite is readable even inside the channel.
    said = b"".join(frames)
    assert not any(word in said for word in TELLING)
    assert secret.secret not in said
    assert secret.id not in said
    with pytest.raises(RemoteError):
        inviting.receive(frames[-2])


def test_whoever_is_admitted_may_offer_a_key_package_once() -> None:
    secret = InviteSecret.generate(RANDOM)
    desk, on = Desk([secret]), channel()
    joining, inviting = joiner(secret, on), Inviter(on, desk, RANDOM)
    run(joining, inviting)
    assert inviting.has_admitted
    # Whatever it says of the device, it is the one that was admitted.
    frame = joining.offer(Offer(b"x" * 32, b"package", b"signature"))
    assert b"package" not in frame
    inviting.take_offer(frame)
    assert desk.offers == [(ADMISSION.group, Offer(KEY.public, b"package", b"signature"))]
    assert (inviting.done, inviting.has_admitted) == (True, False)
    with pytest.raises(RemoteError):
        inviting.take_offer(frame)
    assert len(desk.offers) == 1


def test_nobody_else_can_offer_a_key_package() -> None:
    secret = InviteSecret.generate(RANDOM)
    desk, on = Desk([secret]), channel()
    joining, inviting = joiner(secret, on), Inviter(on, desk, RANDOM)
    offer = Offer(KEY.public, b"package", b"signature")
    elsewhere = joiner(secret, channel())
    run(elsewhere, Inviter(elsewhere._channel, desk, RANDOM))
    with pytest.raises(RemoteError):
        inviting.take_offer(elsewhere.offer(offer))
    run(joining, inviting)
    with pytest.raises(RemoteError):
        inviting.take_offer(elsewhere.offer(offer))
    assert desk.offers == []
    desk.verdict_now = PENDING
    waiting, noting = joiner(secret, on), Inviter(on, desk, RANDOM)
    run(waiting, noting)
    with pytest.raises(RemoteError):
        noting.take_offer(waiting.offer(offer))
    desk.verdict_now = Verdict(ADMISSION)
    reply = noting.look_again()
    assert reply is not None
    waiting.receive(reply)
    noting.take_offer(waiting.offer(offer))
    assert desk.offers == [(ADMISSION.group, offer)]


@pytest.mark.parametrize("content", [b"", [], ["offer"], ["offer", b"a"], ["other", b"a", b"b"]])
def test_an_offer_of_another_form_is_refused(content: object) -> None:
    secret = InviteSecret.generate(RANDOM)
    desk, on = Desk([secret]), channel()
    joining, inviting = joiner(secret, on), Inviter(on, desk, RANDOM)
    run(joining, inviting)
    assert joining._keys is not None
    sealed = joining._keys.seal(Side.JOINING, content, RANDOM)  # type: ignore[arg-type]
    with pytest.raises(RemoteError):
        inviting.take_offer(encode(["offer", sealed]))
    assert desk.offers == []


def test_no_two_exchanges_look_alike() -> None:
    secret = InviteSecret.generate(RANDOM)
    desk = Desk([secret])
    runs = []
    for _ in range(2):
        on = channel()
        runs.append(run(joiner(secret, on), Inviter(on, desk, RANDOM)))
    first, second = ({part for frame in frames for part in decode(frame)} for frames in runs)
    assert first & second == {"join", "answer", "request", "reply"}


@pytest.mark.parametrize("secret", secrets(), ids=["long", "short"])
def test_a_wrong_secret_learns_nothing_and_is_one_guess(secret: InviteSecret) -> None:
    wrong = replace(secret, secret=bytes(len(secret.secret)))
    desk, on = Desk([secret]), channel()
    joining, inviting = joiner(wrong, on), Inviter(on, desk, RANDOM)
    with pytest.raises(JoinRefusedError) as refused:
        run(joining, inviting)
    assert refused.value.details["proven"] is False
    assert desk.asked == []
    assert inviting.done
    assert desk.guesses == ([secret] if secret.is_short else [])
    assert joining.has_proven is secret.is_short


def test_a_code_that_was_guessed_at_meanwhile_is_not_tried_again() -> None:
    secret = InviteSecret.short(RANDOM)
    wrong = replace(secret, secret=b"\0\0\0")
    desk = Desk([secret])
    left, right = channel(), channel()
    one, two = joiner(wrong, left), joiner(secret, right)
    first, second = Inviter(left, desk, RANDOM), Inviter(right, desk, RANDOM)
    opening = two.start()
    proof = two.receive(second.receive(opening))
    assert proof is not None
    with pytest.raises(JoinRefusedError):
        run(one, first)
    with pytest.raises(JoinRefusedError):
        two.receive(second.receive(proof))
    assert desk.asked == []


def test_frames_are_worth_nothing_on_another_channel() -> None:
    secret = InviteSecret.generate(RANDOM)
    desk, on = Desk([secret]), channel()
    joining = joiner(secret, on)
    frames = run(joining, Inviter(on, desk, RANDOM))
    for other in (
        replace(on, handshake_hash=RANDOM(32)),
        replace(on, joining=RANDOM(32)),
        replace(on, inviting=RANDOM(32)),
    ):
        assert decode(Inviter(other, desk, RANDOM).receive(frames[0])) == ["refused"]
    # On the same channel the answer is another one, and the old request does not fit it.
    again = Inviter(on, desk, RANDOM)
    again.receive(frames[0])
    assert decode(again.receive(frames[2])) == ["refused"]
    assert len(desk.asked) == 1


@pytest.mark.parametrize("secret", secrets(), ids=["long", "short"])
def test_a_relay_between_two_victims_gets_nobody_in(secret: InviteSecret) -> None:
    # It terminates both channels and carries frames from one to the other.
    desk, near, far = Desk([secret]), channel(), channel()
    joining, inviting = joiner(secret, near), Inviter(far, desk, RANDOM)
    answer = inviting.receive(joining.start())
    if secret.is_short:
        request = joining.receive(answer)
        assert request is not None
        answer = inviting.receive(request)
    with pytest.raises(JoinRefusedError):
        joining.receive(answer)
    assert desk.asked == []


def test_a_device_that_holds_the_secret_cannot_make_the_digits_alike() -> None:
    # The man in the middle has stolen the link: he joins there and answers here.
    secret = InviteSecret.generate(RANDOM)
    differ = 0
    for _ in range(20):
        near, far = channel(), channel()
        victim, there = joiner(secret, near), Desk([secret], PENDING)
        run(victim, Inviter(near, Desk([secret], PENDING), RANDOM))
        thief = joiner(secret, far, replace(REQUEST, device=KEY.public))
        run(thief, Inviter(far, there, RANDOM))
        differ += victim.comparison != there.asked[0][2].comparison
    assert differ == 20


def test_who_has_to_wait_is_told_on_the_same_channel_and_on_later_ones() -> None:
    secret = InviteSecret.short(RANDOM)
    desk, on = Desk([secret], PENDING), channel()
    joining, inviting = joiner(secret, on), Inviter(on, desk, RANDOM)
    run(joining, inviting)
    assert (joining.waiting, inviting.waits, inviting.done) == (True, True, False)
    assert inviting.look_again() is None
    later = channel()
    ticket = joining.ticket
    assert ticket is not None
    back = joiner(ticket, later)
    again = Inviter(later, desk, RANDOM)
    run(back, again)
    assert back.waiting
    assert desk.asked[1][0].is_ticket
    desk.verdict_now = Verdict(ADMISSION)
    for one, other in ((joining, inviting), (back, again)):
        frame = other.look_again()
        assert frame is not None
        assert one.receive(frame) is None
        assert (one.finished, other.done, one.admission) == (True, True, ADMISSION)
        assert other.look_again() is None


@pytest.mark.parametrize("refusal", list(Refusal))
def test_refusals_say_why_to_whoever_knew_the_secret(refusal: Refusal) -> None:
    secret = InviteSecret.generate(RANDOM)
    desk, on = Desk([secret], Verdict(refusal=refusal)), channel()
    with pytest.raises(JoinRefusedError) as refused:
        run(joiner(secret, on), Inviter(on, desk, RANDOM))
    assert refused.value.message == refusal.sentence
    assert refused.value.details == {"proven": True, "refusal": refusal.value}


def test_a_device_that_answers_without_the_secret_reads_nothing() -> None:
    secret = InviteSecret.generate(RANDOM)
    joining = joiner(secret, channel())
    joining.start()
    request = joining.receive(encode(["answer", RANDOM(32)]))
    assert request is not None
    assert not any(word in request for word in TELLING)
    for reply in (
        encode(["reply", RANDOM(32), RANDOM(64)]),
        encode(["reply", bytes(32), b""]),
    ):
        with pytest.raises(JoinRefusedError):
            joining.receive(reply)
    assert joining.admission is None


def test_a_request_in_anothers_name_is_refused() -> None:
    secret = InviteSecret.generate(RANDOM)
    desk, on = Desk([secret]), channel()
    other = SigningKey(b"o" * 32)
    forged = Joiner(secret, REQUEST, other.sign, on, RANDOM)
    inviting = Inviter(on, desk, RANDOM)
    request = forged.receive(inviting.receive(forged.start()))
    assert request is not None
    with pytest.raises(RemoteError):
        inviting.receive(request)
    assert desk.asked == []


def test_a_device_must_show_the_card_it_had_committed_to() -> None:
    # Otherwise it could choose its card so that the digits come out alike.
    secret = InviteSecret.generate(RANDOM)
    desk, on = Desk([secret]), channel()
    exchange = Exchange(secret, Side.JOINING, on, RANDOM)
    card = encode([KEY.public, [b"statement"], "Ben", "laptop"])
    for blinding, commits in ((b"b" * 32, b"c" * 32), (b"b" * 32, b"b" * 32)):
        inviting = Inviter(on, desk, RANDOM)
        commitment = commit(card, commits)
        opening = encode(["join", locator(secret, on), exchange.share, commitment])
        keys = exchange.finish(decode(inviting.receive(opening))[1], commitment)
        fields = [card, blinding, KEY.sign(keys.signed(card))]
        sealed = keys.seal(Side.JOINING, fields, RANDOM)
        request = encode(["request", keys.proof(Side.JOINING), sealed])
        if blinding == commits:
            assert decode(inviting.receive(request))[0] == "reply"
            continue
        with pytest.raises(RemoteError):
            inviting.receive(request)
        assert desk.asked == []


def test_names_of_strangers_are_made_fit_to_be_shown() -> None:
    secret = InviteSecret.generate(RANDOM)
    desk, on = Desk([secret]), channel()
    odd = replace(REQUEST, name="Ana\n\u202eapproved\t", device_name="👩\u200d🔬 phone")
    run(joiner(secret, on, odd), Inviter(on, desk, RANDOM))
    assert desk.asked[0][1].name == "Ana approved"
    assert desk.asked[0][1].device_name == "👩\u200d🔬 phone"
    for bad in ("", " \n ", "x" * 1000, "\u200d"):
        on = channel()
        joining = joiner(secret, on, replace(REQUEST, name=bad))
        with pytest.raises(RemoteError):
            run(joining, Inviter(on, desk, RANDOM))
    assert len(desk.asked) == 1


@given(st.binary(max_size=700))
def test_garbage_is_an_error_of_the_peer(data: bytes) -> None:
    secret = InviteSecret(b"s" * 16)
    on = Channel(bytes(32), b"1" * 32, b"2" * 32)
    desk = Desk([secret])
    with pytest.raises(RemoteError):
        Inviter(on, desk, RANDOM).receive(data)
    joining = joiner(secret, on)
    joining.start()
    with pytest.raises(RemoteError):
        joining.receive(data)


def changed(data: bytes, place: int, change: int) -> bytes:
    found = bytearray(data)
    found[place % len(data)] ^= change
    return bytes(found)


def run_changed(
    joining: Joiner, inviting: Inviter, number: int, spoil: Callable[[bytes], bytes]
) -> None:
    """Carry frames and change the one with this number."""
    receivers = itertools.cycle((inviting.receive, joining.receive))
    data: bytes | None = joining.start()
    for sent, receive in enumerate(receivers):
        if data is None:
            return
        data = receive(spoil(data) if sent == number else data)


@given(st.integers(0, 3), st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_admits_nobody(frame: int, place: int, change: int) -> None:
    secret = InviteSecret(b"s" * 16)
    on = Channel(bytes(32), b"1" * 32, b"2" * 32)
    desk = Desk([secret])
    joining, inviting = joiner(secret, on), Inviter(on, desk, RANDOM)
    with pytest.raises(RemoteError):
        run_changed(joining, inviting, frame, lambda data: changed(data, place, change))
    assert joining.admission is None
    if frame < 3:
        assert desk.asked == []


def test_openings_are_bounded_before_anything_is_proven() -> None:
    secret = InviteSecret.generate(RANDOM)
    on = channel()
    large = encode(["join", RANDOM(MAX_OPENING_BYTES), RANDOM(32), RANDOM(32)])
    for opening in (
        large,
        encode(["join", RANDOM(31), RANDOM(32), RANDOM(32)]),
        encode(["join", RANDOM(32), RANDOM(33), RANDOM(32)]),
        encode(["join", RANDOM(32), RANDOM(32), None]),
        encode(["request", RANDOM(32), RANDOM(32)]),
        encode([]),
        encode({"join": 1}),
    ):
        with pytest.raises(RemoteError):
            Inviter(on, Desk([secret]), RANDOM).receive(opening)


def test_shares_that_are_no_elements_count_as_a_guess() -> None:
    secret = InviteSecret.short(RANDOM)
    assert secret.number is not None
    desk = Desk([secret])
    where = secret.number.to_bytes(NUMBER_BYTES, "big")
    inviting = Inviter(channel(), desk, RANDOM)
    inviting.receive(encode(["join", where, b"\xff" * 32, RANDOM(32)]))
    assert decode(inviting.receive(encode(["request", RANDOM(32), b""]))) == ["refused"]
    assert desk.guesses == [secret]


# Codes and links


def test_codes_links_and_short_codes_are_read_back() -> None:
    secret = InviteSecret.generate(RANDOM)
    hints = ("192.168.0.7:4242", "[fe80::1%eth0]:4242")
    assert InviteSecret.parse(secret.code()) == (secret, ())
    assert InviteSecret.parse(f"  {secret.code().upper().replace('-', ' ')} ") == (secret, ())
    assert InviteSecret.parse(secret.link()) == (secret, ())
    assert InviteSecret.parse(secret.link(hints)) == (secret, hints)
    assert InviteSecret.parse(secret.link(["x" * 81, *hints]))[1] == hints
    assert len(InviteSecret.parse(secret.link(["a:1"] * 50))[1]) == 8
    short = InviteSecret.short(RANDOM)
    assert InviteSecret.parse(short.code()) == (short, ())
    assert InviteSecret.parse(short.code().upper().replace(" ", "-")) == (short, ())
    assert short.rendezvous != secret.rendezvous
    other = InviteSecret.short(RANDOM, taken={short.number})
    same_number = replace(other, number=short.number)
    assert same_number.rendezvous == short.rendezvous
    assert same_number.id != short.id
    assert "InviteSecret(…)" == repr(secret) == repr(short)


@pytest.mark.parametrize(
    "text",
    ["", "407", "407 tavem", "407 tavem dilox", "lutra:pair/abc", "lutra:join/", "nonsense", "-"],
)
def test_mistyped_codes_are_refused_before_anything_is_sent(text: str) -> None:
    with pytest.raises(InviteError):
        InviteSecret.parse(text)
