"""Ways into a group: Welcome, external commits and proposals, keys, branches, new groups."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.mls.world import SeededRandom, World, new_client, services
from lutra.mls import (
    HYBRID_SUITE,
    Add,
    CommitOptions,
    Credential,
    ExternalJoin,
    Group,
    KeyPackageBundle,
    LeafContent,
    PreSharedKey,
    PreSharedKeyId,
    PskStore,
    PublicGroup,
    ReceivedCommit,
    ReInit,
    Remove,
    propose_as_external_sender,
    propose_oneself,
    suite_for,
)
from lutra.mls.errors import (
    InactiveGroupError,
    InvalidProposalError,
    InvalidWelcomeError,
    MissingPskError,
    MlsDecryptionError,
    MlsMalformedError,
    MlsRemoteError,
    MlsUsageError,
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
from lutra.mls.leaf import ExternalSender, external_senders_extension
from lutra.mls.messages import encode_message


def trio(suite: int = 1, wire_format: WireFormat = WireFormat.PRIVATE_MESSAGE) -> World:
    world = World(suite, wire_format)
    world.found("anna")
    world.add("anna", "ben", "cleo")
    return world


def test_a_welcome_without_tree_needs_the_tree() -> None:
    world = trio()
    bundle = world.client("dora")
    staged = world.members["anna"].commit(
        [Add(bundle.key_package)], options=CommitOptions(welcome_tree=False)
    )
    assert staged.welcome is not None
    with pytest.raises(InvalidWelcomeError) as caught:
        Group.join(staged.welcome, bundle, services=world.services)
    assert caught.value.section == "12.4.3.3"
    group = Group.join(
        staged.welcome, bundle, tree=staged.group.tree.encode(), services=world.services
    )
    assert group.epoch_authenticator == staged.group.epoch_authenticator


def test_external_join_and_resync() -> None:
    world = trio()
    bundle = world.client("dora")
    request = ExternalJoin(
        bundle.signature_private,
        LeafContent.of(bundle.key_package.leaf),
        authenticated_data=b"here I am",
    )
    staged = Group.join_external(
        world.members["ben"].group_info(), request, services=world.services
    )
    received = world.members["anna"].process(staged.message)
    assert isinstance(received, ReceivedCommit)
    assert received.sender == Sender(SenderType.NEW_MEMBER_COMMIT)
    assert received.authenticated_data == b"here I am"
    assert received.committer == staged.group.own_index == 3
    world.adopt("dora", staged)
    world.members["dora"] = staged.group
    world.check_agreement()
    world.say("dora", b"in")
    # The same device comes back: its old leaf goes in the same commit.
    tree = world.members["anna"].tree.encode()
    info = world.members["anna"].group_info(with_tree=False)
    again = ExternalJoin(request.signature_private, request.content, removes=3)
    resync = Group.join_external(info, again, tree=tree, services=world.services)
    old = world.members.pop("dora")
    assert old.process(resync.message).group.is_active is False
    world.adopt("dora", resync)
    world.members["dora"] = resync.group
    world.check_agreement()
    assert world.members["anna"].tree.member_count() == 4


def test_external_join_needs_an_external_key() -> None:
    world = trio()
    bundle = world.client("dora")
    request = ExternalJoin(bundle.signature_private, LeafContent.of(bundle.key_package.leaf))
    info = world.members["ben"].group_info(with_external_pub=False)
    with pytest.raises(InvalidWelcomeError):
        Group.join_external(info, request, services=world.services)
    stranger = ExternalJoin(bundle.signature_private, request.content, removes=0)
    with pytest.raises(MlsUsageError):
        Group.join_external(world.members["ben"].group_info(), stranger, services=world.services)


def test_external_senders_propose_and_nobody_else() -> None:
    world = World(wire_format=WireFormat.PUBLIC_MESSAGE)
    suite = suite_for(1)
    private, public = suite.signatures.generate(SeededRandom(b"server"))
    sender = ExternalSender(public, Credential.basic(b"server"))
    world.found("anna", extensions=(external_senders_extension((sender,)),))
    world.add("anna", "ben", "cleo")
    anna = world.members["anna"]

    def outside(keys: tuple[bytes, bytes], proposal: Remove | Add, who: Sender) -> bytes:
        framed = FramedContent.create(b"group", anna.epoch, who, b"", proposal)
        signature = sign_content(suite, keys, WireFormat.PUBLIC_MESSAGE, framed, None)
        content = AuthenticatedContent(WireFormat.PUBLIC_MESSAGE, framed, signature, None)
        return encode_message(protect_public(suite, content, None, anna.context))

    server = Sender(SenderType.EXTERNAL, 0)
    message = outside((private, public), Remove(1), server)
    for name in world.members:
        world.members[name] = world.members[name].process(message).group
    world.commit("cleo")
    assert set(world.members) == {"anna", "cleo"}
    world.check_agreement()
    anna = world.members["anna"]
    with pytest.raises(Exception, match="signed"):
        anna.process(outside(suite.signatures.generate(), Remove(1), server))
    with pytest.raises(Exception, match="unknown external sender"):
        anna.process(outside((private, public), Remove(2), Sender(SenderType.EXTERNAL, 1)))
    bundle = world.client("dora")
    itself = Sender(SenderType.NEW_MEMBER_PROPOSAL)
    keys = bundle.signature_private, bundle.key_package.leaf.signature_key
    with pytest.raises(InvalidProposalError):
        anna.process(outside(keys, Add(bundle.key_package), itself))


def test_newcomers_may_propose_themselves_where_allowed() -> None:
    allowed = services(b"n", wire_format=WireFormat.PUBLIC_MESSAGE, new_member_proposals=True)
    anna = Group.create(new_client(1, "anna", allowed), b"group", services=allowed)
    bundle = new_client(1, "ben", allowed)
    sender = Sender(SenderType.NEW_MEMBER_PROPOSAL)
    framed = FramedContent.create(b"group", 0, sender, b"", Add(bundle.key_package))
    keys = bundle.signature_private, bundle.key_package.leaf.signature_key
    signature = sign_content(anna.suite, keys, WireFormat.PUBLIC_MESSAGE, framed, None)
    content = AuthenticatedContent(WireFormat.PUBLIC_MESSAGE, framed, signature, None)
    message = encode_message(protect_public(anna.suite, content, None, anna.context))
    staged = anna.process(message).group.commit()
    assert staged.welcome is not None
    ben = Group.join(staged.welcome, bundle, services=allowed)
    assert ben.epoch_authenticator == staged.group.epoch_authenticator


def test_outsiders_propose_through_the_public_calls() -> None:
    allowed = services(b"n", wire_format=WireFormat.PUBLIC_MESSAGE, new_member_proposals=True)
    suite = suite_for(1)
    private, public = suite.signatures.generate(SeededRandom(b"server"))
    senders = external_senders_extension((ExternalSender(public, Credential.basic(b"server")),))
    anna = Group.create(
        new_client(1, "anna", allowed), b"group", services=allowed, extensions=(senders,)
    )
    ben = new_client(1, "ben", allowed)
    observer = PublicGroup.of(anna)
    anna = anna.process(propose_oneself(observer, ben)).group.commit().group
    assert len(list(anna.tree.members())) == 2
    observer = PublicGroup.of(anna)
    message = propose_as_external_sender(observer, Remove(1), index=0, signature_private=private)
    anna = anna.process(message).group.commit().group
    assert len(list(anna.tree.members())) == 1
    with pytest.raises(MlsUsageError):
        propose_as_external_sender(observer, Remove(1), index=1, signature_private=private)


def test_pre_shared_keys_of_both_kinds() -> None:
    world = trio()
    world.psks = PskStore(external={b"name": b"secret"})
    world.commit("ben")
    old = world.members["anna"].resumption_psk
    world.commit("anna")
    nonce = bytes(range(32))
    external = PreSharedKey(PreSharedKeyId.external(b"name", nonce))
    past = PreSharedKey(PreSharedKeyId.resumption(b"group", 2, nonce))
    assert world.members["cleo"]._state.resumption_psk(2) == old
    bundle = world.client("dora")
    staged = world.members["ben"].commit([external, past, Add(bundle.key_package)], psks=world.psks)
    with pytest.raises(MissingPskError) as caught:
        world.members["anna"].process(staged.message)
    assert caught.value.details["psk_id"] == b"name".hex()
    world.adopt("ben", staged)
    world.check_agreement()
    assert staged.welcome is not None
    with pytest.raises(MissingPskError):
        Group.join(staged.welcome, bundle, psks=world.psks, services=world.services)
    known = PskStore(world.psks.external, {(b"group", 2): old})
    dora = Group.join(staged.welcome, bundle, psks=known, services=world.services)
    assert dora.epoch_authenticator == staged.group.epoch_authenticator


def test_branching() -> None:
    world = trio()
    anna, ben = world.client("anna"), world.client("ben")
    staged = world.members["anna"].branch(anna, b"sub", [ben.key_package])
    assert staged.welcome is not None
    parent = world.members["ben"]
    sub = Group.join(staged.welcome, ben, parent=parent, services=world.services)
    assert sub.epoch_authenticator == staged.group.epoch_authenticator
    assert (sub.group_id, sub.epoch) == (b"sub", 1)
    with pytest.raises(MissingPskError):
        Group.join(staged.welcome, ben, services=world.services)
    stranger = world.client("zoe")
    foreign = world.members["anna"].branch(anna, b"sub", [stranger.key_package, ben.key_package])
    assert foreign.welcome is not None
    with pytest.raises(InvalidWelcomeError) as caught:
        Group.join(foreign.welcome, ben, parent=parent, services=world.services)
    assert caught.value.section == "11.3"


def test_reinitialisation_into_another_suite() -> None:
    world = trio()
    world.commit("ben", ReInit(b"next", 1, HYBRID_SUITE, ()))
    for group in world.members.values():
        assert not group.is_active
        with pytest.raises(InactiveGroupError):
            group.encrypt(b"too late")
        with pytest.raises(InactiveGroupError):
            group.commit()
    world.suite = HYBRID_SUITE
    bundles = {name: world.client(name) for name in world.members}
    founder = world.members["cleo"]
    others = [bundles[name].key_package for name in ("anna", "ben")]
    staged = founder.reinitialise(bundles["cleo"], others)
    assert staged.welcome is not None
    for name in ("anna", "ben"):
        resumed = Group.from_bytes(world.members[name].to_bytes(), services=world.services)
        group = Group.join(staged.welcome, bundles[name], parent=resumed, services=world.services)
        assert group.epoch_authenticator == staged.group.epoch_authenticator
    incomplete = founder.reinitialise(bundles["cleo"], others[:1])
    assert incomplete.welcome is not None
    with pytest.raises(InvalidWelcomeError) as caught:
        Group.join(
            incomplete.welcome,
            bundles["anna"],
            parent=world.members["anna"],
            services=world.services,
        )
    assert caught.value.section == "11.2"


def test_reinit_and_branch_keys_are_refused_elsewhere() -> None:
    world = trio()
    nonce = bytes(32)
    for usage in (2, 3):
        psk = PreSharedKey(PreSharedKeyId.resumption(b"group", 1, nonce, usage))
        with pytest.raises(InvalidProposalError) as caught:
            world.members["anna"].commit([psk])
        assert caught.value.section == "12.1.4"


def test_bundles_are_stored_with_their_keys() -> None:
    bundle = trio().client("dora")
    stored = bundle.to_bytes()
    resumed = KeyPackageBundle.from_bytes(stored)
    assert resumed == bundle
    assert resumed.to_bytes() == stored
    for private in (bundle.init_private, bundle.leaf_private, bundle.signature_private):
        assert repr(private) not in repr(bundle)
    with pytest.raises(MlsMalformedError):
        KeyPackageBundle.from_bytes(stored[:-1])


def test_welcomes_open_only_for_whom_they_were_made() -> None:
    world = trio()
    bundle, other = world.client("dora"), world.client("emil")
    staged = world.members["anna"].commit([Add(bundle.key_package)])
    assert staged.welcome is not None
    hybrid = new_client(HYBRID_SUITE, "dora", world.services)
    mixed = replace(bundle, init_private=other.init_private)
    for wrong, error in (
        (other, InvalidWelcomeError),
        (hybrid, InvalidWelcomeError),
        (mixed, MlsDecryptionError),
    ):
        with pytest.raises(error):
            Group.join(staged.welcome, wrong, services=world.services)
    for message in (staged.message, world.members["anna"].group_info()):
        with pytest.raises(MlsMalformedError):
            Group.join(message, bundle, services=world.services)
    request = ExternalJoin(other.signature_private, LeafContent.of(other.key_package.leaf))
    with pytest.raises(MlsMalformedError):
        Group.join_external(staged.welcome, request, services=world.services)


def test_a_tree_of_another_epoch_is_refused() -> None:
    world = trio()
    old = world.members["anna"].tree.encode()
    world.commit("ben")
    bundle = world.client("dora")
    staged = world.members["anna"].commit(
        [Add(bundle.key_package)], options=CommitOptions(welcome_tree=False)
    )
    assert staged.welcome is not None
    with pytest.raises(MlsRemoteError):
        Group.join(staged.welcome, bundle, tree=old, services=world.services)


def test_founding_on_needs_what_was_agreed() -> None:
    world = trio()
    group = world.members["anna"]
    with pytest.raises(MlsUsageError):
        group.branch(new_client(HYBRID_SUITE, "anna", world.services), b"sub", [])
    with pytest.raises(MlsUsageError):
        group.reinitialise(world.client("anna"), [])
    world.commit("ben", ReInit(b"next", 1, HYBRID_SUITE, ()))
    with pytest.raises(MlsUsageError):
        world.members["anna"].reinitialise(world.client("anna"), [])


def test_stored_groups_keep_proposals_and_refuse_damage() -> None:
    world = trio()
    world.propose("ben")
    world.propose("cleo", Add(world.client("dora").key_package))
    for name in world.members:
        stored = world.members[name].to_bytes()
        world.members[name] = Group.from_bytes(stored, services=world.services)
        assert world.members[name].to_bytes() == stored
        for damaged in (stored[:-1], b"\x02" + stored[1:], stored + b"\x00", b""):
            with pytest.raises(MlsMalformedError):
                Group.from_bytes(damaged, services=world.services)
    world.commit("anna")
    assert world.members["ben"].tree.member_count() == 4
    world.check_agreement()
