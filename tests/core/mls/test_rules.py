"""Rules of RFC 9420 about proposals, commits and trees, broken one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from core.mls.world import LIFETIME, World, new_client, services
from lutra.mls import (
    SUITES,
    Add,
    Capabilities,
    CommitOptions,
    Credential,
    Extension,
    Group,
    GroupContextExtensions,
    KeyPackage,
    LeafContent,
    Lifetime,
    Policy,
    PreSharedKey,
    PreSharedKeyId,
    Proposal,
    PskStore,
    RatchetTree,
    ReInit,
    Remove,
    RequiredCapabilities,
    Update,
    create_key_package,
)
from lutra.mls.codec import Reader, decode_whole, vector
from lutra.mls.errors import (
    InvalidCommitError,
    InvalidKeyPackageError,
    InvalidLeafError,
    InvalidProposalError,
    InvalidTreeError,
    MlsMalformedError,
    MlsRemoteError,
    MlsSignatureError,
    UnsupportedError,
)
from lutra.mls.framing import (
    AuthenticatedContent,
    FramedContent,
    Sender,
    SenderType,
    WireFormat,
    protect_public,
    sign_content,
)
from lutra.mls.key_package import DEFAULT_CAPABILITIES
from lutra.mls.leaf import sign_leaf
from lutra.mls.messages import encode_message
from lutra.mls.proposals import (
    Commit,
    ExternalInit,
    ProposalOrRef,
    UpdatePath,
    decode_proposal,
    encode_proposal,
)
from lutra.mls.ratchet_tree import ParentNode
from lutra.mls.suites import suite_for
from lutra.mls.tree_validation import check_keys, check_parent_hashes, check_unmerged_leaves

NONCE = bytes(32)


def trio() -> World:
    world = World(wire_format=WireFormat.PUBLIC_MESSAGE, seed=b"rules")
    world.found("anna")
    world.add("anna", "ben", "cleo")
    return world


def forged(group: Group, commit: Commit, sender: Sender | None = None) -> bytes:
    """A commit that a member signs although it breaks a rule; its tag is never reached."""
    framed = FramedContent.create(
        group.group_id, group.epoch, sender or Sender.member(group.own_index), b"", commit
    )
    keys = group._state.signature_key()
    signature = sign_content(group.suite, keys, WireFormat.PUBLIC_MESSAGE, framed, group.context)
    content = AuthenticatedContent(WireFormat.PUBLIC_MESSAGE, framed, signature, bytes(32))
    key = group._state.secrets.need("membership_key")
    return encode_message(protect_public(group.suite, content, key, group.context))


def refusal(world: World, proposals: Sequence[ProposalOrRef]) -> MlsRemoteError:
    """How ben refuses a commit by anna, with a path of no consequence."""
    anna, ben = world.members["anna"], world.members["ben"]
    path = _path(anna)
    before = ben.to_bytes()
    with pytest.raises(MlsRemoteError) as caught:
        ben.process(forged(anna, Commit(tuple(proposals), path)))
    assert ben.to_bytes() == before
    return caught.value


def _path(group: Group) -> UpdatePath:
    message = group.commit().message
    reader = Reader(message, 4)
    body = FramedContent.decode(reader).body
    assert isinstance(body, Commit)
    assert body.path is not None
    return body.path


def _refused_by_sender(world: World, proposals: Sequence[Proposal]) -> MlsRemoteError:
    before = world.members["anna"].to_bytes()
    with pytest.raises(MlsRemoteError) as caught:
        world.members["anna"].commit(proposals, psks=PskStore(external={b"k": b"s"}))
    assert world.members["anna"].to_bytes() == before
    return caught.value


def _bad_lists(world: World) -> dict[str, tuple[list[Proposal], type[MlsRemoteError], str]]:
    dora = Add(world.client("dora").key_package)
    psk = PreSharedKey(PreSharedKeyId.external(b"k", NONCE))
    short = PreSharedKey(PreSharedKeyId.external(b"k", NONCE[1:]))
    again = Add(
        create_key_package(
            1,
            Credential.basic(b"ben"),
            world.members["ben"]._state.signature_private,
            lifetime=LIFETIME,
        ).key_package
    )
    other_suite = Add(new_client(3, "dora", world.services).key_package)
    reinit = ReInit(b"new", 1, 1, ())
    change = GroupContextExtensions(())
    return {
        "removes itself": ([Remove(0)], InvalidProposalError, "12.2"),
        "removes nobody": ([Remove(7)], InvalidProposalError, "12.1.3"),
        "removes far outside": ([Remove(0xFFFFFFFF)], InvalidProposalError, "12.1.3"),
        "removes twice": ([Remove(1), Remove(1)], InvalidProposalError, "12.2"),
        "adds twice": ([dora, dora], InvalidProposalError, "12.2"),
        "adds a member": ([again], InvalidProposalError, "12.2"),
        "adds for another suite": ([other_suite], InvalidKeyPackageError, "10.1"),
        "one key twice": ([psk, psk], InvalidProposalError, "12.2"),
        "short nonce": ([short], InvalidProposalError, "12.1.4"),
        "two changes of extensions": ([change, change], InvalidProposalError, "12.2"),
        "reinit and more": ([reinit, dora], InvalidProposalError, "12.2"),
        "reinit to version 0": ([replace(reinit, version=0)], InvalidProposalError, "12.1.5"),
        "external init": ([ExternalInit(b"x" * 32)], InvalidProposalError, "12.2"),
    }


@pytest.mark.parametrize("rule", list(_bad_lists(trio())))
def test_invalid_lists_are_neither_sent_nor_accepted(rule: str) -> None:
    world = trio()
    proposals, error, section = _bad_lists(world)[rule]
    for refused in (_refused_by_sender(world, proposals), refusal(world, proposals)):
        assert type(refused) is error
        assert refused.section == section
        assert refused.to_dict()["section"] == section


def test_a_removed_client_may_return_in_the_same_commit() -> None:
    world = trio()
    again = create_key_package(
        1,
        Credential.basic(b"ben"),
        world.members["ben"]._state.signature_private,
        lifetime=LIFETIME,
    )
    staged = world.commit("anna", Remove(1), Add(again.key_package))
    assert staged.welcome is not None
    world.members["ben"] = Group.join(staged.welcome, again, services=world.services)
    world.check_agreement()


def test_updates_of_the_committer_and_by_value_are_refused() -> None:
    world = trio()
    sent = world.members["anna"].propose_update()
    (reference,) = sent.group.proposals
    update = sent.group.proposals[reference].proposal
    assert isinstance(update, Update)
    assert refusal(world, [update]).section == "12.2"
    world.members["ben"] = world.members["ben"].process(sent.message).group
    assert refusal(world, [reference]).section == "12.2"


def test_unknown_and_repeated_references_are_refused() -> None:
    world = trio()
    assert isinstance(refusal(world, [b"unknown"]), InvalidCommitError)
    world.propose("cleo", Add(world.client("dora").key_package))
    (reference,) = world.members["anna"].proposals
    assert isinstance(refusal(world, [reference, reference]), InvalidCommitError)


def test_paths_are_demanded_where_needed() -> None:
    world = trio()
    anna, ben = world.members["anna"], world.members["ben"]
    for proposals in ((), (Remove(2),), (GroupContextExtensions(()),)):
        with pytest.raises(InvalidCommitError) as caught:
            ben.process(forged(anna, Commit(proposals, None)))
        assert caught.value.section == "12.4"


def test_bad_paths_are_refused() -> None:
    world = trio()
    anna, ben = world.members["anna"], world.members["ben"]
    good = _path(anna)
    first = good.nodes[0]
    stale = anna.own_leaf
    wrong = {
        "too short": UpdatePath(good.leaf, good.nodes[:-1]),
        "too long": UpdatePath(good.leaf, (*good.nodes, good.nodes[-1])),
        "a key twice": UpdatePath(good.leaf, (good.nodes[1], *good.nodes[1:])),
        "a leaf from a key package": UpdatePath(stale, good.nodes),
        "another key": UpdatePath(
            good.leaf, (replace(first, encryption_key=bytes(range(32))), *good.nodes[1:])
        ),
        "a short key": UpdatePath(
            good.leaf, (replace(first, encryption_key=b"short"), *good.nodes[1:])
        ),
        "no secrets": UpdatePath(
            good.leaf, (replace(first, encrypted_path_secrets=()), *good.nodes[1:])
        ),
        "secrets for too many": UpdatePath(
            good.leaf,
            (
                replace(first, encrypted_path_secrets=first.encrypted_path_secrets * 2),
                *good.nodes[1:],
            ),
        ),
    }
    for name, path in wrong.items():
        with pytest.raises(MlsRemoteError) as caught:
            ben.process(forged(anna, Commit((), path)))
        assert not isinstance(caught.value, MlsSignatureError), name


def test_a_wrong_confirmation_tag_is_refused() -> None:
    world = trio()
    anna, ben = world.members["anna"], world.members["ben"]
    with pytest.raises(MlsRemoteError) as caught:
        ben.process(forged(anna, Commit((), _path(anna))))
    assert caught.value.section in {"12.4.2", "5.1.3"}


def test_a_path_leaf_must_be_signed_for_its_place() -> None:
    world = trio()
    anna, ben = world.members["anna"], world.members["ben"]
    good = _path(anna)
    for group_id, index in ((b"elsewhere", 0), (b"group", 1)):
        leaf = sign_leaf(
            anna.suite,
            LeafContent.of(anna.own_leaf),
            encryption_key=good.leaf.encryption_key,
            signature_key=anna._state.signature_key(),
            parent_hash=good.leaf.parent_hash,
            group_id=group_id,
            leaf_index=index,
        )
        with pytest.raises(InvalidLeafError):
            ben.process(forged(anna, Commit((), UpdatePath(leaf, good.nodes))))


def test_a_member_cannot_speak_for_another() -> None:
    world = trio()
    anna, ben = world.members["anna"], world.members["ben"]
    with pytest.raises(MlsSignatureError):
        ben.process(forged(anna, Commit((), _path(anna)), Sender.member(2)))
    with pytest.raises(MlsSignatureError):
        ben.process(forged(anna, Commit((), _path(anna)), Sender.member(3)))


def test_external_commits_hold_only_what_they_may() -> None:
    world = trio()
    anna, ben = world.members["anna"], world.members["ben"]
    joiner = Sender(SenderType.NEW_MEMBER_COMMIT)
    world.propose("cleo", Remove(2))
    (reference,) = world.members["ben"].proposals
    ben = world.members["ben"]
    init = ExternalInit(bytes(32))
    dora = Add(world.client("dora").key_package)
    bad: list[tuple[ProposalOrRef, ...]] = [
        (),
        (init, init),
        (init, dora),
        (init, GroupContextExtensions(())),
        (init, Remove(0), Remove(1)),
        (init, reference),
    ]
    for proposals in bad:
        with pytest.raises((InvalidCommitError, InvalidProposalError)):
            ben.process(forged(anna, Commit(proposals, _path(anna)), joiner))
    with pytest.raises(InvalidCommitError):
        ben.process(forged(anna, Commit((init,), None), joiner))


def test_key_packages_are_checked() -> None:
    world = trio()
    good = world.client("dora").key_package
    anna = world.members["anna"]
    for position in range(len(good.encoded)):
        flipped = bytearray(good.encoded)
        flipped[position] ^= 1 << (position % 8)
        try:
            damaged = decode_whole(KeyPackage.decode, bytes(flipped))
        except MlsRemoteError:
            continue
        with pytest.raises(MlsRemoteError):
            anna.commit([Add(damaged)])
    long = create_key_package(
        1, Credential.basic(b"x"), bytes(range(32)), lifetime=Lifetime(0, 1 << 62)
    )
    with pytest.raises(InvalidKeyPackageError) as caught:
        anna.commit([Add(long.key_package)])
    assert caught.value.section == "7.2"
    with pytest.raises(MlsMalformedError):
        create_key_package(1, Credential.basic(b"x"), bytes(32), lifetime=Lifetime(2, 1))


def test_leaves_must_support_what_they_use() -> None:
    world = trio()
    anna = world.members["anna"]
    for capabilities, extensions in (
        (Capabilities(cipher_suites=(3,)), ()),
        (Capabilities(versions=(7,), cipher_suites=(1,)), ()),
        (Capabilities(cipher_suites=(1,), credentials=(2,)), ()),
        (DEFAULT_CAPABILITIES, (Extension(0xF0F0, b""),)),
    ):
        bundle = create_key_package(
            1,
            Credential.basic(b"x"),
            bytes(range(32)),
            lifetime=LIFETIME,
            capabilities=capabilities,
            leaf_extensions=extensions,
        )
        with pytest.raises(InvalidLeafError):
            anna.commit([Add(bundle.key_package)])
        options = CommitOptions(
            leaf=LeafContent(Credential.basic(b"anna"), capabilities, extensions)
        )
        with pytest.raises(InvalidLeafError):
            anna.commit(options=options)


def test_repeated_extensions_and_unknown_kinds_are_refused() -> None:
    twice = vector(Extension(9, b"").encode() * 2)
    with pytest.raises(MlsMalformedError) as caught:
        decode_whole(decode_proposal, b"\x00\x07" + twice)
    assert caught.value.section == "13.4"
    with pytest.raises(UnsupportedError) as unknown:
        decode_whole(decode_proposal, b"\x0a\x0a\x00")
    assert unknown.value.details["proposal_type"] == 0x0A0A
    with pytest.raises(UnsupportedError):
        suite_for(0x0A0A)
    with pytest.raises(UnsupportedError):
        decode_whole(Credential.decode, b"\x0a\x0a\x00")
    for proposal in (Remove(3), ReInit(b"g", 1, 2, ())):
        assert decode_whole(decode_proposal, encode_proposal(proposal)) == proposal


def _tree_with_parents() -> tuple[World, RatchetTree]:
    world = World(wire_format=WireFormat.PUBLIC_MESSAGE, seed=b"tree")
    world.found("m0")
    world.add("m0", *(f"m{index}" for index in range(1, 7)))
    world.commit("m5")
    world.commit("m2")
    world.add("m0", "m7", path=False)
    return world, world.members["m0"].tree


def test_forged_trees_are_refused() -> None:
    _, tree = _tree_with_parents()
    check_parent_hashes(tree)
    check_unmerged_leaves(tree)
    check_keys(tree)
    parents = dict(tree.parents())
    assert len(parents) >= 4
    for index, node in parents.items():
        changed = {
            "key": replace(node, encryption_key=bytes(range(32))),
            "parent hash": replace(node, parent_hash=bytes(32)),
        }
        for forgery in changed.values():
            draft = tree.edit()
            made = ParentNode.create(
                forgery.encryption_key, forgery.parent_hash, forgery.unmerged_leaves
            )
            draft.set_node(index, made)
            with pytest.raises(InvalidTreeError):
                check_parent_hashes(draft.freeze())
    draft = tree.edit()
    draft.set_node(1, ParentNode.create(bytes(range(32)), b""))
    with pytest.raises(InvalidTreeError):
        check_parent_hashes(draft.freeze())


def test_unmerged_leaves_are_checked() -> None:
    _, tree = _tree_with_parents()
    root = tree.parent_node(tree.root)
    assert root is not None
    assert root.unmerged_leaves == (7,)
    for leaves in ((), (3, 7)):
        draft = tree.edit()
        draft.set_node(tree.root, replace_leaves(root, leaves))
        with pytest.raises(InvalidTreeError):
            check_parent_hashes(draft.freeze())
    draft = tree.edit()
    draft.set_node(tree.root, replace_leaves(root, (7, 99)))
    with pytest.raises(InvalidTreeError):
        check_unmerged_leaves(draft.freeze())
    between = next(i for i, node in tree.parents() if node.unmerged_leaves and i != tree.root)
    draft = tree.edit()
    node = tree.parent_node(between)
    assert node is not None
    draft.set_node(between, replace_leaves(node, ()))
    with pytest.raises(InvalidTreeError):
        check_unmerged_leaves(draft.freeze())


def replace_leaves(node: ParentNode, leaves: tuple[int, ...]) -> ParentNode:
    """The same node with other unmerged leaves."""
    return ParentNode.create(node.encryption_key, node.parent_hash, leaves)


def test_malformed_trees_are_refused() -> None:
    _, tree = _tree_with_parents()
    suite = tree.suite
    leaf = tree.leaf(0)
    assert leaf is not None
    parent = ParentNode.create(bytes(32), b"")
    for nodes, error in (
        (b"", InvalidTreeError),
        (b"\x00", InvalidTreeError),
        (b"\x01\x02" + parent.encoded, InvalidTreeError),
        (b"\x00" + b"\x01\x01" + leaf.encoded, InvalidTreeError),
        (b"\x01\x01" + leaf.encoded + b"\x00", InvalidTreeError),
        (b"\x02", MlsMalformedError),
        (b"\x01\x03", MlsMalformedError),
        (b"\x00" * ((1 << 17) - 1) + b"\x01\x01" + leaf.encoded, InvalidTreeError),
        (b"\x00" * (1 << 17) + b"\x01\x01" + leaf.encoded, MlsMalformedError),
    ):
        with pytest.raises(error):
            RatchetTree.decode(suite, vector(nodes))
    with pytest.raises(MlsMalformedError):
        decode_whole(
            ParentNode.decode, vector(bytes(32)) + b"\x00" + vector(bytes([0, 0, 0, 2] * 2))
        )


def test_lengths_have_one_encoding() -> None:
    for header in (b"\x40\x05hello", b"\x80\x00\x00\x05hello", b"\xc0", b"\x05hell", b"\x40"):
        with pytest.raises(MlsMalformedError):
            decode_whole(Reader.vector, header)
    for length in (0, 63, 64, 16383, 16384, 70000):
        assert decode_whole(Reader.vector, vector(bytes(length))) == bytes(length)


def test_every_suite_is_listed_by_default() -> None:
    assert set(DEFAULT_CAPABILITIES.cipher_suites) == set(SUITES)
    assert Policy().max_lifetime is not None
    assert services().policy.hold_with_proposals


def test_nonsense_proposals_hold_nobody_up() -> None:
    world = trio()
    unfit = create_key_package(
        1,
        Credential.basic(b"x"),
        bytes(range(32)),
        lifetime=LIFETIME,
        capabilities=Capabilities(cipher_suites=(3,)),
    )
    good = world.client("dora")
    needy = RequiredCapabilities(extensions=(0xF123,)).extension()
    world.propose("cleo", Add(unfit.key_package))
    world.propose("cleo", GroupContextExtensions((needy,)))
    world.propose("cleo", Add(good.key_package))
    assert len(world.members["anna"].proposals) == 3
    assert len(world.members["anna"].committable()) == 1
    staged = world.commit("anna")
    world.check_agreement()
    assert staged.group.tree.member_count() == 4


def test_what_a_commit_says_itself_takes_precedence() -> None:
    world = trio()
    world.propose("ben", Remove(2))
    world.propose("ben")
    staged = world.commit("anna", Remove(2))
    assert staged.group.tree.leaf(2) is None
    world.check_agreement()


def test_a_state_stripped_for_forks_still_follows_and_commits() -> None:
    world = trio()
    for name, group in world.members.items():
        world.members[name] = group.without_secrets(
            "exporter", "confirmation_key", "resumption_psk", "messages", "past"
        )
    stripped = dict(world.members)
    first, second = stripped["anna"].commit(), stripped["ben"].commit([Remove(0)])
    for staged in (first, second):
        received = stripped["cleo"].process(staged.message)
        assert received.group.epoch_authenticator == staged.group.epoch_authenticator
