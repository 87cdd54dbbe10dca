"""The exchange of people nearby by itself."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutra.codec import decode, encode
from lutra.errors import RemoteError
from lutra.groups.errors import JoinRefusedError
from lutra.groups.invite_keys import Channel
from lutra.groups.nearby import Looking, Names, Offer, Visible
from lutra.identity.key_agreement import commit

RANDOM = random.Random(9).randbytes
ANA, BEN = Names("Ana Otter", "Ana's laptop"), Names("Ben Beaver", "Ben's phone")
LINK = "lutra:join/abcdef#192.168.0.7:4242"


def channel() -> Channel:
    return Channel(RANDOM(32), RANDOM(32), RANDOM(32))


def meet(on: Channel) -> tuple[Looking, Visible, list[bytes]]:
    """Let Ana see Ben."""
    looking, visible = Looking(on, RANDOM), Visible(on, b"t" * 16, BEN, RANDOM)
    look = looking.start()
    here = visible.receive(look)
    assert here is not None
    assert looking.receive(here) is None
    return looking, visible, [look, here]


def invite(looking: Looking, visible: Visible) -> list[bytes]:
    first = looking.invite(ANA, LINK)
    nonce = visible.receive(first)
    assert nonce is not None
    reveal = looking.receive(nonce)
    assert reveal is not None
    assert visible.receive(reveal) is None
    return [first, nonce, reveal]


def test_both_see_names_and_the_same_digits() -> None:
    looking, visible, frames = meet(channel())
    assert (looking.names, looking.token) == (BEN, b"t" * 16)
    # Whoever only looks has said nothing about itself.
    assert decode(frames[0]) == ["look"]
    invite(looking, visible)
    assert visible.offer == Offer(ANA, LINK, looking.comparison)
    assert len(looking.comparison) == 7


def test_a_no_is_heard() -> None:
    looking, visible, _ = meet(channel())
    invite(looking, visible)
    with pytest.raises(JoinRefusedError):
        looking.receive(visible.decline())


def test_whoever_stands_in_between_has_other_digits() -> None:
    differ = 0
    for _ in range(20):
        # Mallory plays Ben to Ana and Ana to Ben.
        looking, mallory, _ = meet(channel())
        mallory_looking, visible, _ = meet(channel())
        invite(looking, mallory)
        assert mallory.offer is not None
        invite(mallory_looking, visible)
        assert visible.offer is not None
        differ += looking.comparison != visible.offer.comparison
    assert differ == 20


def test_carried_frames_do_not_hide_the_carrier() -> None:
    looking, visible = Looking(channel(), RANDOM), Visible(channel(), b"t" * 16, BEN, RANDOM)
    frame: bytes | None = visible.receive(looking.start())
    assert frame is not None
    looking.receive(frame)
    invite(looking, visible)
    assert visible.offer is not None
    assert visible.offer.comparison != looking.comparison


def test_an_invitation_is_what_was_committed_to() -> None:
    looking, visible, _ = meet(channel())
    nonce = visible.receive(looking.invite(ANA, LINK))
    assert nonce is not None
    assert visible.asked
    reveal = looking.receive(nonce)
    assert reveal is not None
    _, card, blinding = decode(reveal)
    for changed in (
        [encode(["Cleo", "laptop", LINK]), blinding],
        [card, bytes(32)],
    ):
        with pytest.raises(RemoteError):
            visible.receive(encode(["reveal", *changed]))
    assert visible.offer is None


def test_frames_out_of_place_are_refused() -> None:
    on = channel()
    visible = Visible(on, b"t" * 16, BEN, RANDOM)
    for frame in (["invite", bytes(32)], ["reveal", b"", bytes(32)], ["here"], [], ["look", 1]):
        with pytest.raises(RemoteError):
            visible.receive(encode(frame))
    looking = Looking(on, RANDOM)
    for frame in (["nonce", bytes(32)], ["no"], ["here", b"t" * 16, "Ben", 7], ["here", "B", "p"]):
        with pytest.raises(RemoteError):
            looking.receive(encode(frame))
    looking, visible, _ = meet(on)
    frames = invite(looking, visible)
    for frame in frames:
        with pytest.raises(RemoteError):
            visible.receive(frame)
        with pytest.raises(RemoteError):
            looking.receive(frame)


def test_links_and_names_are_bounded() -> None:
    for names, link in (
        (replace(ANA, name="x" * 1000), LINK),
        (replace(ANA, device_name=""), LINK),
        (ANA, "x" * 2000),
    ):
        on = channel()
        visible = Visible(on, b"t" * 16, BEN, RANDOM)
        visible.receive(encode(["look"]))
        card = encode([names.name, names.device_name, link])
        visible.receive(encode(["invite", commit(card, bytes(32))]))
        with pytest.raises(RemoteError):
            visible.receive(encode(["reveal", card, bytes(32)]))


@given(st.binary(max_size=300))
def test_garbage_is_an_error_of_the_peer(data: bytes) -> None:
    on = Channel(bytes(32), b"1" * 32, b"2" * 32)
    with pytest.raises(RemoteError):
        Visible(on, b"t" * 16, BEN, RANDOM).receive(data)
    with pytest.raises(RemoteError):
        Looking(on, RANDOM).receive(data)
