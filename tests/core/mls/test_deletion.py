"""Forward secrecy: what was used or replaced is nowhere in the state that remains."""

from __future__ import annotations

import gc

import pytest

from core.mls.world import World
from lutra.mls import Group, ReceivedApplication, ReceivedCommit, Remove
from lutra.mls.codec import Reader
from lutra.mls.errors import MlsDecryptionError, UsedKeyError
from lutra.mls.framing import FramedContent, WireFormat
from lutra.mls.proposals import Commit, HpkeCiphertext
from lutra.mls.secret_tree import APPLICATION, HANDSHAKE, RatchetLimits, SecretTree
from lutra.mls.suites import suite_for
from lutra.mls.transition import provisional_context


def everything_in(group: Group) -> set[bytes]:
    """All byte strings reachable from a group."""
    seen: set[int] = set()
    found: set[bytes] = set()
    pending: list[object] = [group]
    while pending:
        item = pending.pop()
        if id(item) in seen or isinstance(item, type):
            continue
        seen.add(id(item))
        if isinstance(item, bytes):
            found.add(item)
        elif type(item).__module__.startswith("lutra") or isinstance(item, dict | tuple | list):
            pending.extend(gc.get_referents(item))
    return found


def assert_gone(group: Group, secrets: list[bytes]) -> None:
    stored = group.to_bytes()
    held = everything_in(group)
    for secret in secrets:
        assert secret not in stored
        assert not any(secret in value for value in held)


def pair() -> World:
    world = World(seed=b"deletion")
    world.found("anna")
    world.add("anna", "ben", "cleo")
    return world


def _key(group: Group, leaf: int, kind: int, generation: int) -> list[bytes]:
    _, key, nonce = group._state.secret_tree.key_at(leaf, kind, generation, RatchetLimits())
    return [key, nonce]


def test_the_search_finds_what_is_there() -> None:
    world = pair()
    group = world.members["anna"]
    with pytest.raises(AssertionError):
        assert_gone(group, [group._state.secrets.need("init")])


def test_sent_and_received_keys_are_gone() -> None:
    world = pair()
    anna, ben = world.members["anna"], world.members["ben"]
    root = next(iter(ben._state.secret_tree._nodes.values()))
    for generation in range(3):
        secrets = [*_key(anna, 0, APPLICATION, generation), root]
        sent = anna.encrypt(b"x")
        anna = sent.group
        received = ben.process(sent.message)
        assert isinstance(received, ReceivedApplication)
        ben = received.group
        assert_gone(anna, secrets)
        assert_gone(ben, secrets)
        resumed = Group.from_bytes(ben.to_bytes(), services=world.services)
        with pytest.raises(UsedKeyError):
            resumed.process(sent.message)


def test_skipped_keys_stay_until_they_are_used() -> None:
    world = pair()
    anna, ben = world.members["anna"], world.members["ben"]
    first = anna.encrypt(b"first")
    second = first.group.encrypt(b"second")
    early, late = _key(anna, 0, APPLICATION, 0), _key(anna, 0, APPLICATION, 1)
    ben = ben.process(second.message).group
    assert_gone(ben, late)
    assert early[0] in ben.to_bytes()
    assert_gone(ben.process(first.message).group, [*early, *late])


def test_private_handshake_keys_are_gone_from_the_old_epoch_too() -> None:
    world = pair()
    anna, ben = world.members["anna"], world.members["ben"]
    secrets = _key(anna, 0, HANDSHAKE, 0)
    staged = anna.commit()
    assert_gone(staged.previous, secrets)
    received = ben.process(staged.message)
    assert isinstance(received, ReceivedCommit)
    assert_gone(received.previous, secrets)


def test_a_new_epoch_holds_no_secret_of_the_old_one() -> None:
    world = pair()
    before = {name: group._state for name, group in world.members.items()}
    world.commit("anna")
    for name, old in before.items():
        names = ("sender_data", "exporter", "external", "confirmation_key", "init")
        secrets = [old.secrets.need(secret) for secret in names]
        secrets += list(old.secret_tree._nodes.values())
        if name == "anna":
            secrets += list(old.private_keys.values())
        assert_gone(world.members[name], secrets)


def test_path_keys_replaced_by_others_are_gone() -> None:
    world = pair()
    world.commit("anna")
    ben = world.members["ben"]
    replaced = [key for node, key in ben._state.private_keys.items() if node != 2]
    assert replaced
    world.commit("anna")
    assert_gone(world.members["ben"], replaced)


def test_a_removed_member_keeps_no_secret() -> None:
    world = pair()
    before = world.members["cleo"]._state
    secrets = [
        before.secrets.need(name)
        for name in ("init", "exporter", "external", "membership_key", "resumption_psk")
    ]
    secrets += [*before.private_keys.values(), before.signature_private]
    world.commit("ben", Remove(2))
    assert_gone(world.removed["cleo"], secrets)


def test_nothing_in_a_removal_opens_for_the_removed() -> None:
    world = World(seed=b"evict", wire_format=WireFormat.PUBLIC_MESSAGE)
    world.found("m0")
    world.add("m0", *(f"m{index}" for index in range(1, 8)))
    for name in ("m3", "m6", "m1"):
        world.commit(name)
    before = dict(world.members)
    assert len(before["m2"]._state.private_keys) >= 3
    staged = world.commit("m0", Remove(2))
    body = FramedContent.decode(Reader(staged.message, 4)).body
    assert isinstance(body, Commit)
    assert body.path is not None
    context = provisional_context(staged.previous.public_state, staged.group.tree, None)
    sealed = [s for node in body.path.nodes for s in node.encrypted_path_secrets]
    can_open = {
        name
        for name, group in before.items()
        if any(_opens(group, one, context.encoded) for one in sealed)
    }
    assert can_open == {"m1", "m3", "m4", "m5", "m6", "m7"}
    held = everything_in(before["m2"])
    for group in world.members.values():
        new = group._state
        secrets = [new.secrets.need("init"), new.secrets.need("exporter")]
        secrets += [key for node, key in new.private_keys.items() if node == group.tree.root]
        assert not any(secret in value for secret in secrets for value in held)


def _opens(group: Group, sealed: HpkeCiphertext, context: bytes) -> bool:
    for private in group._state.private_keys.values():
        keys = private, group.suite.hpke.public_key(private)
        try:
            group.suite.decrypt_with_label(
                keys, b"UpdatePathNode", context, sealed.kem_output, sealed.ciphertext
            )
        except MlsDecryptionError:
            continue
        return True
    return False


def test_old_resumption_keys_go_in_time() -> None:
    world = pair()
    first = world.members["anna"].resumption_psk
    for _ in range(world.services.policy.resumption_epochs):
        world.commit("anna")
        assert first in world.members["anna"].to_bytes()
    world.commit("anna")
    assert_gone(world.members["anna"], [first])


def test_a_secret_tree_forgets_the_way_down() -> None:
    suite = suite_for(1)
    root = bytes(range(32))
    tree = SecretTree.start(suite, 8, root)
    left = suite.expand_with_label(root, b"tree", b"left", 32)
    tree, *_ = tree.next_key(2, APPLICATION)
    encoded = tree.encode()
    assert root not in encoded
    assert left not in encoded
    assert suite.expand_with_label(root, b"tree", b"right", 32) in encoded


def test_kept_skipped_keys_are_bounded() -> None:
    limits = RatchetLimits(forward=50, kept=10)
    tree = SecretTree.start(suite_for(1), 2, bytes(32))
    for generation in (40, 80, 120):
        tree, *_ = tree.key_at(0, APPLICATION, generation, limits)
    assert len(tree._ratchets[1].skipped) == 10
    with pytest.raises(UsedKeyError):
        tree.key_at(0, APPLICATION, 0, limits)
    assert tree.key_at(0, APPLICATION, 119, limits)[1]
