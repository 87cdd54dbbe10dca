"""Stored states: whatever was received can be stored and read; damaged ones are refused, typed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.mls.world import World
from lutra.errors import LutraError
from lutra.mls import Extension, Group, GroupContextExtensions, PublicGroup
from lutra.mls.codec import MAX_MESSAGE_BYTES, u32
from lutra.mls.errors import InactiveGroupError, MlsMalformedError
from lutra.mls.framing import WireFormat
from lutra.mls.persistence import encode_state
from lutra.mls.proposals import Remove
from lutra.mls.secret_tree import SecretTree


def trio(suite: int = 1) -> World:
    world = World(suite=suite, seed=b"stored", wire_format=WireFormat.PUBLIC_MESSAGE)
    world.found("anna")
    world.add("anna", "ben", "cleo")
    world.say("anna", b"hello")
    return world


def test_large_proposals_of_others_cannot_make_a_state_unreadable() -> None:
    world = trio()
    half = bytes(MAX_MESSAGE_BYTES // 2)
    for kind in (0xF001, 0xF002):
        world.propose("ben", GroupContextExtensions((Extension(kind, half),)))
    anna = world.members["anna"]
    stored = anna.to_bytes()
    assert len(stored) > MAX_MESSAGE_BYTES
    assert Group.from_bytes(stored, services=world.services).to_bytes() == stored
    public = PublicGroup.of(anna)
    assert PublicGroup.from_bytes(public.to_bytes()).proposals == public.proposals


def test_message_keys_of_another_tree_are_refused() -> None:
    state = trio().members["anna"]._state
    for leaves in (0, 1, 3, 8, 0xFFFFFFFF):
        foreign = SecretTree(state.public.suite, leaves, {0: bytes(32)}, {})
        with pytest.raises(MlsMalformedError):
            Group.from_bytes(encode_state(replace(state, secret_tree=foreign), with_tree=True))


def test_message_keys_of_another_length_are_refused() -> None:
    world = trio()
    later = world.members["anna"].encrypt(b"skipped").group.encrypt(b"next").message
    state = world.members["ben"].process(later).group._state
    tree = state.secret_tree
    ratchet = next(ratchet for ratchet in tree._ratchets.values() if ratchet.skipped)
    ((generation, (key, nonce)),) = ratchet.skipped.items()
    for kept in ((key[1:], nonce), (key, nonce[1:]), (key + b"x", nonce), (b"", b"")):
        ratchet.skipped[generation] = kept
        with pytest.raises(MlsMalformedError):
            Group.from_bytes(encode_state(state, with_tree=True))
    ratchet.skipped[generation] = (key, nonce)
    Group.from_bytes(encode_state(state, with_tree=True))
    short = replace(tree, _nodes={node: secret[1:] for node, secret in tree._nodes.items()})
    with pytest.raises(MlsMalformedError):
        Group.from_bytes(encode_state(replace(state, secret_tree=short), with_tree=True))


@pytest.mark.parametrize("suite", [1, 2, 4, 0xF04D])
def test_private_keys_must_be_those_of_the_member(suite: int) -> None:
    world = trio(suite)
    state, other = world.members["anna"]._state, world.members["ben"]._state
    long = {node: key + b"x" for node, key in state.private_keys.items()}
    outside = {**state.private_keys, 999: next(iter(state.private_keys.values()))}
    for wrong in (
        replace(state, signature_private=other.signature_private),
        replace(state, signature_private=state.signature_private[:-1]),
        replace(state, signature_private=b""),
        replace(state, own_index=other.own_index),
        replace(state, own_index=3),
        replace(state, own_index=0xFFFFFFFF),
        replace(state, private_keys=long),
        replace(state, private_keys=outside),
    ):
        with pytest.raises(MlsMalformedError):
            Group.from_bytes(encode_state(wrong, with_tree=True))
    assert Group.from_bytes(encode_state(state, with_tree=True)).own_index == 0


def test_a_removed_member_can_be_stored_and_has_no_authenticator() -> None:
    world = trio()
    world.commit("anna", Remove(1))
    gone = Group.from_bytes(world.removed["ben"].to_bytes())
    assert not gone.is_active
    with pytest.raises(InactiveGroupError):
        _ = gone.epoch_authenticator


_WORLD = trio()
_STORED = _WORLD.members["anna"].to_bytes()
_FROM_OTHERS = (
    _WORLD.members["ben"].encrypt(b"data").message,
    _WORLD.members["cleo"].commit().message,
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(0, len(_STORED) - 1), st.integers(1, 255)), max_size=3))
def test_damaged_states_fail_typed_at_once_or_in_use(changes: list[tuple[int, int]]) -> None:
    damaged = bytearray(_STORED)
    for place, change in changes:
        damaged[place] ^= change
    try:
        group = Group.from_bytes(bytes(damaged), services=_WORLD.services)
    except LutraError:
        return
    for act in (
        lambda: group.encrypt(b"x"),
        group.commit,
        group.propose_update,
        group.group_info,
        *(lambda message=message: group.process(message) for message in _FROM_OTHERS),
    ):
        try:
            act()
        except LutraError:
            continue


def test_stored_proposals_are_read_in_linear_time() -> None:
    world = trio()
    world.propose("ben", Remove(2))
    public = world.members["anna"].public_state
    (sent,) = public.proposals.values()
    many = replace(public, proposals={u32(index): sent for index in range(30_000)})
    state = replace(world.members["anna"]._state, public=many)
    # Copying all before each would take 450 million steps.
    assert len(Group.from_bytes(encode_state(state, with_tree=True)).proposals) == 30_000
