"""Observers follow a group by its public messages alone."""

from __future__ import annotations

import pytest

from core.mls.world import World
from lutra.mls import (
    Add,
    CommitOptions,
    ExternalJoin,
    Group,
    LeafContent,
    PublicGroup,
    ReceivedCommit,
    ReceivedProposal,
    Remove,
)
from lutra.mls.errors import MlsMalformedError, MlsRemoteError, MlsUsageError, WrongEpochError
from lutra.mls.framing import WireFormat


def followed() -> tuple[World, PublicGroup]:
    world = World(wire_format=WireFormat.PUBLIC_MESSAGE, seed=b"observer")
    world.found("anna")
    world.add("anna", "ben", "cleo")
    info = world.members["ben"].group_info()
    return world, PublicGroup.from_group_info(info, services=world.services)


def assert_same(observer: PublicGroup, group: Group) -> None:
    assert observer.context == group.context
    assert observer.interim_transcript_hash == group.interim_transcript_hash
    assert observer.tree == group.tree
    assert observer.confirmation_tag == group.confirmation_tag


def test_an_observer_reaches_the_members_epochs() -> None:
    world, observer = followed()
    assert_same(observer, world.members["anna"])
    sent = world.members["cleo"].propose(Add(world.client("dora").key_package))
    for name in world.members:
        if name != "cleo":
            world.members[name] = world.members[name].process(sent.message).group
    world.members["cleo"] = sent.group
    seen = observer.process(sent.message)
    assert isinstance(seen, ReceivedProposal)
    observer = seen.group
    for staged in (
        world.commit("anna"),
        world.commit("ben"),
        world.commit("anna", Remove(2)),
        world.commit("anna", Add(world.client("emil").key_package), options=_pathless()),
    ):
        received = observer.process(staged.message)
        assert isinstance(received, ReceivedCommit)
        observer = received.group
        assert_same(observer, staged.group)
    assert received.has_path is False
    bundle = world.client("finn")
    request = ExternalJoin(bundle.signature_private, LeafContent.of(bundle.key_package.leaf))
    info = world.members["anna"].group_info()
    joined = Group.join_external(info, request, services=world.services)
    received = observer.process(joined.message)
    assert isinstance(received, ReceivedCommit)
    assert received.committer == joined.group.own_index
    assert_same(received.group, joined.group)


def _pathless() -> CommitOptions:
    return CommitOptions(path=False)


def test_an_observer_follows_several_children_of_one_epoch() -> None:
    world, observer = followed()
    first, second = world.members["anna"].commit(), world.members["ben"].commit()
    before = observer.to_bytes()
    one, two = observer.process(first.message), observer.process(second.message)
    assert_same(one.group, first.group)
    assert_same(two.group, second.group)
    assert observer.to_bytes() == before


def test_an_observer_refuses_what_it_can_check() -> None:
    world, observer = followed()
    message = world.members["anna"].commit().message
    # The last 33 bytes are the membership tag, which only members can check.
    for position in range(len(message) - 66):
        flipped = bytearray(message)
        flipped[position] ^= 1 << (position % 8)
        with pytest.raises(MlsRemoteError):
            observer.process(bytes(flipped))
    private = CommitOptions(wire_format=WireFormat.PRIVATE_MESSAGE)
    with pytest.raises(MlsMalformedError):
        observer.process(world.members["anna"].commit(options=private).message)
    moved = observer.process(message).group
    with pytest.raises(WrongEpochError):
        moved.process(message)


def test_an_observer_can_be_stored_with_or_without_tree() -> None:
    world, observer = followed()
    stored = observer.to_bytes(with_tree=False)
    with pytest.raises(MlsUsageError):
        PublicGroup.from_bytes(stored)
    resumed = PublicGroup.from_bytes(stored, tree=observer.tree, services=world.services)
    assert_same(resumed, world.members["anna"])
    assert PublicGroup.from_bytes(observer.to_bytes()).to_bytes() == observer.to_bytes()


def test_members_share_trees_in_storage() -> None:
    world, _ = followed()
    group = world.members["ben"]
    stored = group.to_bytes(with_tree=False)
    assert len(stored) < len(group.to_bytes()) - 500
    with pytest.raises(MlsUsageError):
        Group.from_bytes(stored)
    old_tree = group.tree
    world.commit("anna")
    with pytest.raises(MlsUsageError):
        Group.from_bytes(stored, tree=world.members["ben"].tree)
    resumed = Group.from_bytes(stored, tree=old_tree, services=world.services)
    assert resumed.to_bytes() == group.to_bytes()
    assert PublicGroup.of(resumed).context == group.context
