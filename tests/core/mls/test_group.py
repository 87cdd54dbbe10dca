"""Groups from creation to their end, for every suite and both wire formats."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from core.mls.world import LIFETIME, NOW, World, new_client, services
from lutra.mls import (
    HYBRID_SUITE,
    SUITES,
    Add,
    Capabilities,
    CommitOptions,
    Credential,
    CustomProposal,
    Extension,
    Group,
    GroupContextExtensions,
    KeyPackageBundle,
    LeafContent,
    ReceivedApplication,
    ReceivedCommit,
    ReInit,
    Remove,
    RequiredCapabilities,
    create_key_package,
    suite_for,
)
from lutra.mls.errors import (
    DeletedSecretError,
    InactiveGroupError,
    InvalidCommitError,
    InvalidLeafError,
    InvalidProposalError,
    MlsMalformedError,
    MlsUsageError,
    OwnMessageError,
    TooFarAheadError,
    UsedKeyError,
    WrongEpochError,
    WrongGroupError,
)
from lutra.mls.framing import (
    AuthenticatedContent,
    FramedContent,
    Sender,
    WireFormat,
    protect_public,
    sign_content,
)
from lutra.mls.leaf import GREASE
from lutra.mls.messages import Welcome, decode_message, encode_message
from lutra.mls.private_message import PrivateMessage

FORMATS = [WireFormat.PRIVATE_MESSAGE, WireFormat.PUBLIC_MESSAGE]


def trio(suite: int = 1, wire_format: WireFormat = WireFormat.PRIVATE_MESSAGE) -> World:
    world = World(suite, wire_format)
    world.found("anna")
    world.add("anna", "ben", "cleo")
    return world


@pytest.mark.parametrize("wire_format", FORMATS, ids=["private", "public"])
@pytest.mark.parametrize("suite", list(SUITES), ids=lambda suite: f"{suite:04x}")
def test_a_group_lives(suite: int, wire_format: WireFormat) -> None:
    world = trio(suite, wire_format)
    world.check_agreement()
    world.say("ben", b"hello")
    world.propose("cleo")
    world.propose("ben", Add(world.client("dora").key_package))
    world.commit("anna")
    assert world.members["anna"].tree.member_count() == 4
    world.check_agreement()
    world.commit("cleo")
    world.commit("anna", Remove(world.members["ben"].own_index))
    assert set(world.members) == {"anna", "cleo"}
    world.check_agreement()
    world.say("cleo", b"still here")


def test_the_hybrid_suite_is_the_one_agreed_on() -> None:
    suite = suite_for(HYBRID_SUITE)
    assert suite.suite_id == 0xF04D
    assert suite.hpke.suite_id.hex() == "48504b45647a00010003"


def test_group_information_shows_no_secrets() -> None:
    world = trio()
    group = world.members["ben"]
    secret = group.resumption_psk
    texts = [repr(group), repr(group.public_state), repr(world.client("x"))]
    texts.append(repr(group._state))
    for text in texts:
        assert secret.hex() not in text
        assert repr(secret) not in text
        assert "sender_data=" not in text


def test_commits_without_path_and_empty_commits() -> None:
    world = trio()
    staged = world.add("ben", "dora", path=False)
    received = staged.previous
    assert received.epoch == 1
    world.check_agreement()
    world.commit("dora")
    world.commit("ben")
    world.check_agreement()


def test_making_a_commit_changes_nothing_and_concurrent_commits_may_coexist() -> None:
    world = trio(wire_format=WireFormat.PUBLIC_MESSAGE)
    anna, ben = world.members["anna"], world.members["ben"]
    before = anna.to_bytes()
    first, second = anna.commit(), ben.commit()
    assert anna.to_bytes() == before
    cleo = world.members["cleo"]
    kept = cleo.to_bytes()
    one, two = cleo.process(first.message), cleo.process(second.message)
    assert cleo.to_bytes() == kept
    assert isinstance(one, ReceivedCommit)
    assert isinstance(two, ReceivedCommit)
    assert one.group.epoch == two.group.epoch == 2
    assert one.group.interim_transcript_hash != two.group.interim_transcript_hash
    assert one.group.epoch_authenticator == first.group.epoch_authenticator
    assert two.group.epoch_authenticator == second.group.epoch_authenticator
    # The loser of the race follows the winner from its own old state.
    assert anna.process(second.message).group.epoch_authenticator == two.group.epoch_authenticator


def test_own_messages_are_recognised() -> None:
    for wire_format in FORMATS:
        world = trio(wire_format=wire_format)
        anna = world.members["anna"]
        for message in (anna.commit().message, anna.propose_update().message):
            with pytest.raises(OwnMessageError):
                anna.process(message)
    sent = anna.encrypt(b"x")
    with pytest.raises(OwnMessageError):
        sent.group.process(sent.message)


def test_messages_of_other_epochs_and_groups_are_refused() -> None:
    world = trio()
    anna, ben = world.members["anna"], world.members["ben"]
    early = anna.encrypt(b"early")
    world.commit("cleo")
    with pytest.raises(WrongEpochError):
        world.members["ben"].process(early.message)
    received = ben.process(early.message)
    assert isinstance(received, ReceivedApplication)
    assert received.data == b"early"
    other = World(seed=b"other")
    other.found("zoe", extensions=())
    stranger = Group.create(other.client("zoe"), b"elsewhere", services=other.services)
    with pytest.raises(WrongGroupError):
        ben.process(stranger.encrypt(b"hi").message)


def test_application_data_travels_encrypted_only() -> None:
    world = trio()
    anna, ben = world.members["anna"], world.members["ben"]
    framed = FramedContent.create(b"group", 1, Sender.member(0), b"", b"in the clear")
    keys = anna._state.signature_key()
    signature = sign_content(anna.suite, keys, WireFormat.PUBLIC_MESSAGE, framed, anna.context)
    content = AuthenticatedContent(WireFormat.PUBLIC_MESSAGE, framed, signature, None)
    with pytest.raises(MlsMalformedError):
        protect_public(anna.suite, content, b"key", anna.context)
    for message in (anna.group_info(), encode_message(world.client("x").key_package)):
        with pytest.raises(MlsMalformedError):
            ben.process(message)


def test_out_of_order_messages_open_once() -> None:
    world = trio()
    anna, ben = world.members["anna"], world.members["ben"]
    messages: list[bytes] = []
    for number in range(20):
        sent = anna.encrypt(b"%d" % number)
        anna = sent.group
        messages.append(sent.message)
    for number in (7, 0, 19, 3, 12):
        received = ben.process(messages[number])
        assert isinstance(received, ReceivedApplication)
        assert received.data == b"%d" % number
        ben = received.group
        with pytest.raises(UsedKeyError):
            ben.process(messages[number])
    ben = Group.from_bytes(ben.to_bytes(), services=world.services)
    received = ben.process(messages[4])
    assert isinstance(received, ReceivedApplication)
    assert received.data == b"4"


def test_skipping_is_limited() -> None:
    world = trio()
    anna, ben = world.members["anna"], world.members["ben"]
    for _ in range(1002):
        sent = anna.encrypt(b"")
        anna = sent.group
    with pytest.raises(TooFarAheadError):
        ben.process(sent.message)


def test_padding_hides_lengths_and_must_be_zero() -> None:
    policy = services(b"padded", padding_block=64)
    group = Group.create(new_client(1, "anna", policy), b"group", services=policy)
    assert len(group.encrypt(b"a").message) == len(group.encrypt(b"b" * 63).message)
    assert len(group.encrypt(b"a", padding=0).message) < len(group.encrypt(b"a").message)


def _client_with(world: World, name: str, capabilities: Capabilities) -> KeyPackageBundle:
    private, _ = suite_for(world.suite).signatures.generate(world.services.random)
    return create_key_package(
        world.suite,
        Credential.basic(name.encode()),
        private,
        lifetime=LIFETIME,
        capabilities=capabilities,
        leaf_extensions=tuple(Extension(kind, b"") for kind in capabilities.extensions),
        extensions=(Extension(GREASE[3], b"ignored"),),
        grease=False,
        random=world.services.random,
    )


def test_grease_is_ignored_everywhere() -> None:
    world = trio()
    capabilities = Capabilities(
        versions=(1, GREASE[0]),
        cipher_suites=(1, GREASE[1]),
        extensions=(GREASE[2],),
        proposals=(GREASE[4],),
        credentials=(1, GREASE[5]),
    )
    bundle = _client_with(world, "dora", capabilities)
    staged = world.commit(
        "anna",
        Add(bundle.key_package),
        options=CommitOptions(group_info_extensions=(Extension(GREASE[6], b"x"),)),
    )
    assert staged.welcome is not None
    world.members["dora"] = Group.join(staged.welcome, bundle, services=world.services)
    world.check_agreement()
    world.commit("dora")
    world.check_agreement()


def test_required_capabilities_and_unknown_context_extensions() -> None:
    world = trio()
    required = RequiredCapabilities(extensions=(0xF001,)).extension()
    for extension in (required, Extension(0xF001, b"")):
        with pytest.raises(InvalidLeafError):
            world.members["anna"].commit([GroupContextExtensions((extension,))])
    modern = Capabilities(cipher_suites=(1,), extensions=(0xF001,), proposals=(0xF002,))
    for name in list(world.members):
        own = LeafContent(world.members[name].own_leaf.credential, modern)
        world.commit(name, options=CommitOptions(leaf=own))
    world.commit("ben", GroupContextExtensions((required, Extension(0xF001, b"data"))))
    world.check_agreement()
    with pytest.raises(InvalidLeafError) as caught:
        world.members["ben"].commit([Add(world.client("old").key_package)])
    assert caught.value.section in {"7.3", "11.1"}
    world.commit("cleo", CustomProposal(0xF002, b"application's own"))
    with pytest.raises(InvalidProposalError):
        world.members["cleo"].commit([CustomProposal(0xF003, b"unknown")])


def test_pending_proposals_hold_back_data() -> None:
    world = trio()
    world.propose("ben")
    with pytest.raises(MlsUsageError) as caught:
        world.members["anna"].encrypt(b"not yet")
    assert caught.value.section == "12.4"
    forgetful = world.members["cleo"]
    for reference in forgetful.proposals:
        forgetful = forgetful.without_proposal(reference)
    message = world.members["anna"].commit().message
    with pytest.raises(InvalidCommitError):
        forgetful.process(message)
    world.commit("anna")
    world.say("anna", b"now")


def test_conflicting_proposals_are_sorted_out() -> None:
    world = trio()
    ben = world.members["ben"].own_index
    dora = world.client("dora").key_package
    world.propose("ben")
    world.propose("ben")
    world.propose("cleo", Remove(ben))
    world.propose("cleo", Add(dora))
    world.propose("anna", Add(dora))
    world.propose("cleo", Remove(0))
    world.propose("cleo", ReInit(b"x", 1, 1, ()))
    staged = world.commit("anna")
    assert staged.group.tree.member_count() == 3
    assert set(world.members) == {"anna", "cleo"}
    world.check_agreement()


def test_removed_members_keep_nothing_and_learn_nothing() -> None:
    world = trio()
    ben = world.members["ben"]
    world.commit("anna", Remove(ben.own_index))
    gone = world.removed["ben"]
    assert not gone.is_active
    with pytest.raises(InactiveGroupError):
        gone.encrypt(b"x")
    with pytest.raises(DeletedSecretError):
        gone.export(b"x", b"", 32)
    later = [world.say("cleo", b"secret"), world.commit("cleo").message]
    for message in later:
        for state in (gone, ben):
            with pytest.raises((InactiveGroupError, WrongEpochError)):
                state.process(message)


def test_secrets_can_be_deleted_one_by_one() -> None:
    world = trio()
    group = world.members["anna"].without_secrets("exporter", "past", "messages")
    with pytest.raises(DeletedSecretError):
        group.export(b"x", b"", 32)
    with pytest.raises(MlsUsageError):
        group.encrypt(b"x")
    with pytest.raises(MlsUsageError):
        group.without_secrets("everything")
    follows = group.process(
        world.members["ben"]
        .commit(options=CommitOptions(wire_format=WireFormat.PUBLIC_MESSAGE))
        .message
    )
    assert isinstance(follows, ReceivedCommit)
    barren = world.members["anna"].without_secrets("init", "external")
    resumed = Group.from_bytes(barren.to_bytes(), services=world.services)
    for state in (barren, resumed):
        with pytest.raises(DeletedSecretError):
            state.commit()


def test_a_member_changes_its_signature_key() -> None:
    world = trio()
    private, public = suite_for(1).signatures.generate(world.services.random)
    world.commit("ben", options=CommitOptions(signature_private=private))
    assert world.members["anna"].tree.leaf(1).signature_key == public
    world.say("ben", b"under a new key")
    private, public = suite_for(1).signatures.generate(world.services.random)
    sent = world.members["cleo"].propose_update(signature_private=private)
    world.members["cleo"] = sent.group
    for name in ("anna", "ben"):
        world.members[name] = world.members[name].process(sent.message).group
    world.commit("ben")
    assert world.members["anna"].tree.leaf(2).signature_key == public
    world.say("cleo", b"me too")
    world.check_agreement()


def test_key_packages_outside_their_lifetime_are_refused() -> None:
    world = trio()
    bundle = world.client("dora")
    late = replace(services(b"late"), clock=lambda: NOW + 90 * 24 * 3600)
    anna = Group.from_bytes(world.members["anna"].to_bytes(), services=late)
    with pytest.raises(Exception, match="not valid at this time"):
        anna.commit([Add(bundle.key_package)])
    staged = world.members["ben"].commit([Add(bundle.key_package)])
    with pytest.raises(Exception, match="not valid at this time"):
        anna.process(staged.message)
    lenient = replace(services(b"late", check_received_lifetimes=False), clock=late.clock)
    anna = Group.from_bytes(world.members["anna"].to_bytes(), services=lenient)
    assert anna.process(staged.message).group.epoch == 2


def test_the_authentication_service_decides() -> None:
    world = trio()
    strict = services(b"strict")
    object.__setattr__(
        strict, "authenticate", lambda credential, key: b"e" not in credential.identity
    )
    anna = Group.from_bytes(world.members["anna"].to_bytes(), services=strict)
    with pytest.raises(Exception, match="refused"):
        anna.commit([Add(world.client("dieter").key_package)])
    bundle = world.client("dora")
    staged = anna.commit([Add(bundle.key_package)])
    assert staged.welcome is not None
    with pytest.raises(Exception, match="refused"):
        Group.join(staged.welcome, bundle, services=strict)
    other = LeafContent(Credential.basic(b"impostor"), world.members["ben"].own_leaf.capabilities)
    renamed = _with_credential(world, "ben", other)
    with pytest.raises(InvalidLeafError):
        world.members["cleo"].process(renamed)


def _with_credential(world: World, name: str, content: LeafContent) -> bytes:
    """A commit in which a member changes its credential."""
    lax = replace(services(b"lax"), succeeds=lambda old, new: True)
    group = Group.from_bytes(world.members[name].to_bytes(), services=lax)
    return group.commit(options=CommitOptions(leaf=content)).message


def test_welcome_and_private_message_decode_to_their_types() -> None:
    world = trio()
    staged = world.members["anna"].commit([Add(world.client("dora").key_package)])
    assert staged.welcome is not None
    assert isinstance(decode_message(staged.welcome), Welcome)
    assert isinstance(decode_message(staged.message), PrivateMessage)


def test_the_handbook_example_runs() -> None:
    handbook = Path(__file__).resolve().parents[3] / "resources" / "handbook" / "mls.md"
    code = handbook.read_text().split("```python\n")[1].split("```")[0]
    names: dict[str, object] = {"now": int(time.time())}
    exec(compile(code, str(handbook), "exec"), names)
    assert names["text"] == b"hello"
