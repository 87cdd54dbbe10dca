"""Random groups, tampered messages, interrupted lives (properties of RFC 9420 as a whole)."""

from __future__ import annotations

import copy

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.mls.life import Life, passive_client_case
from core.mls.world import World
from lutra.errors import LutraError
from lutra.mls import (
    HYBRID_SUITE,
    Add,
    CommitOptions,
    ExternalJoin,
    Group,
    LeafContent,
    Remove,
)
from lutra.mls.errors import MlsRemoteError
from lutra.mls.framing import WireFormat
from lutra.mls.vectors import run_case

QUICK = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


def live(seed: int, suite: int, largest: int, acts: int) -> None:
    life = Life(seed, suite, largest)
    for _ in range(acts):
        life.act()
        life.world.check_agreement()
    for group in life.world.members.values():
        assert group.tree.member_count() >= len(life.world.members)
        keys = group._state.private_keys
        for node, private in keys.items():
            assert group.suite.hpke.public_key(private) == group.tree.node(node).encryption_key


@given(seed=st.integers(0, 1 << 32))
@QUICK
def test_members_agree_whatever_happens(seed: int) -> None:
    live(seed, 1, 9, 25)


def test_a_group_of_fifty_agrees() -> None:
    live(50, 3, 50, 60)


def test_a_hybrid_group_agrees() -> None:
    live(77, HYBRID_SUITE, 8, 15)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("suite", [1, 2, 3, 4, 5, 6, 7, HYBRID_SUITE])
def test_members_agree_for_long(suite: int) -> None:
    for seed in range(8):
        live(seed, suite, 50, 120)


@pytest.mark.parametrize("suite", [1, 2, HYBRID_SUITE])
def test_random_lives_pass_as_passive_client_vectors(suite: int) -> None:
    epochs = 0
    for seed in range(3):
        case = passive_client_case(seed, suite, 25)
        assert run_case("random", seed, case).problem is None
        epochs += len(case["epochs"])
        if case["epochs"]:
            broken = copy.deepcopy(case)
            broken["epochs"][-1]["epoch_authenticator"] = "00" * 32
            assert run_case("random", seed, broken).problem is not None
    assert epochs > 10


def _messages(suite: int) -> tuple[World, list[tuple[str, bytes, Group]]]:
    """Messages of every kind, and a member that has not yet processed each."""
    world = World(suite, WireFormat.PUBLIC_MESSAGE, seed=b"tamper")
    world.found("anna")
    world.add("anna", "ben", "cleo")
    anna, ben = world.members["anna"], world.members["ben"]
    private = CommitOptions(wire_format=WireFormat.PRIVATE_MESSAGE)
    bundle = world.client("dora")
    cases = [
        ("application", anna.encrypt(b"data", authenticated_data=b"shown").message, ben),
        ("public commit", anna.commit([Add(bundle.key_package)]).message, ben),
        ("private commit", anna.commit([Remove(2)], options=private).message, ben),
        ("proposal", anna.propose_update().message, ben),
    ]
    outside = ExternalJoin(bundle.signature_private, LeafContent.of(bundle.key_package.leaf))
    joined = Group.join_external(anna.group_info(), outside, services=world.services)
    cases.append(("external commit", joined.message, ben))
    return world, cases


def _assert_refused(group: Group, message: bytes) -> None:
    before = group.to_bytes()
    with pytest.raises(LutraError) as caught:
        group.process(message)
    assert isinstance(caught.value, MlsRemoteError) or caught.value.code == "mls.own-message"
    assert group.to_bytes() == before


def test_every_flipped_byte_is_refused() -> None:
    _, cases = _messages(1)
    for _, message, receiver in cases:
        receiver.process(message)
        for position in range(len(message)):
            flipped = bytearray(message)
            flipped[position] ^= 1 << (position % 8)
            _assert_refused(receiver, bytes(flipped))


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_every_flipped_bit_is_refused() -> None:
    for suite in (1, 2, HYBRID_SUITE):
        _, cases = _messages(suite)
        for _, message, receiver in cases:
            for bit in range(len(message) * 8):
                flipped = bytearray(message)
                flipped[bit // 8] ^= 1 << (bit % 8)
                _assert_refused(receiver, bytes(flipped))


@given(data=st.data())
@QUICK
def test_cut_and_stretched_messages_are_refused(data: st.DataObject) -> None:
    _, cases = _messages(1)
    _, message, receiver = data.draw(st.sampled_from(cases))
    cut = data.draw(st.integers(0, len(message) - 1))
    _assert_refused(receiver, message[:cut])
    _assert_refused(receiver, message + data.draw(st.binary(min_size=1, max_size=8)))


def test_flipped_welcomes_do_not_open() -> None:
    world = World(seed=b"welcome")
    world.found("anna")
    bundle = world.client("ben")
    staged = world.members["anna"].commit([Add(bundle.key_package)])
    assert staged.welcome is not None
    Group.join(staged.welcome, bundle, services=world.services)
    for position in range(len(staged.welcome)):
        flipped = bytearray(staged.welcome)
        flipped[position] ^= 1 << (position % 8)
        with pytest.raises(MlsRemoteError):
            Group.join(bytes(flipped), bundle, services=world.services)


def test_flipped_group_infos_and_trees_are_refused() -> None:
    world = World(seed=b"info")
    world.found("anna")
    world.add("anna", "ben", "cleo")
    bundle = world.client("dora")
    request = ExternalJoin(bundle.signature_private, LeafContent.of(bundle.key_package.leaf))
    info = world.members["ben"].group_info(with_tree=False)
    tree = world.members["ben"].tree.encode()
    Group.join_external(info, request, tree=tree, services=world.services)
    for position in range(len(info)):
        flipped = bytearray(info)
        flipped[position] ^= 1 << (position % 8)
        with pytest.raises(MlsRemoteError):
            Group.join_external(bytes(flipped), request, tree=tree, services=world.services)
    for position in range(0, len(tree), 3):
        flipped = bytearray(tree)
        flipped[position] ^= 1 << (position % 8)
        with pytest.raises(MlsRemoteError):
            Group.join_external(info, request, tree=bytes(flipped), services=world.services)


@given(noise=st.binary(max_size=400))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_noise_is_refused(noise: bytes) -> None:
    group = _quiet_group()
    for message in (noise, b"\x00\x01\x00\x01" + noise, b"\x00\x01\x00\x02" + noise):
        _assert_refused(group, message)


_CACHE: list[Group] = []


def _quiet_group() -> Group:
    if not _CACHE:
        world = World(seed=b"quiet")
        world.found("anna")
        _CACHE.append(world.members["anna"])
    return _CACHE[0]
