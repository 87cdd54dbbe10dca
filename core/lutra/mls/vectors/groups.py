"""Vectors of whole messages: protection, Welcome, and clients that follow a group."""

from __future__ import annotations

from typing import TypeVar

from lutra.crypto.random import system_random
from lutra.mls.codec import decode_whole
from lutra.mls.errors import MlsRemoteError
from lutra.mls.framing import (
    AuthenticatedContent,
    Body,
    FramedContent,
    PublicMessage,
    Sender,
    WireFormat,
    encode_body,
    protect_public,
    sign_content,
)
from lutra.mls.group import Group
from lutra.mls.joining import open_group_secrets
from lutra.mls.key_package import KeyPackage, KeyPackageBundle
from lutra.mls.key_schedule import (
    GroupContext,
    schedule_from_joiner,
    welcome_key_nonce,
    welcome_secret,
)
from lutra.mls.messages import GroupInfo, Message, Welcome, decode_message, encode_message
from lutra.mls.private_message import PrivateMessage, protect_private, unprotect_private
from lutra.mls.proposals import Commit, decode_proposal
from lutra.mls.secret_tree import RatchetLimits, SecretTree
from lutra.mls.services import Policy, PskStore, Services
from lutra.mls.vectors.reading import Case, VectorMismatch, expect

T = TypeVar("T")
_SENDER = 1


def _expect_type(message: Message, kind: type[T]) -> T:
    if not isinstance(message, kind):
        raise VectorMismatch("type of a message is wrong")
    return message


class _Protection:
    """One case of message protection: leaf 1 of a group of two sends."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.suite = case.suite
        self.context = GroupContext.create(
            case.suite.suite_id,
            case.data("group_id"),
            case.number("epoch"),
            tree_hash=case.data("tree_hash"),
            confirmed_transcript_hash=case.data("confirmed_transcript_hash"),
        )
        self.keys = case.data("signature_priv"), case.data("signature_pub")

    def tree(self) -> SecretTree:
        return SecretTree.start(self.suite, 2, self.case.data("encryption_secret"))

    def open_public(self, message: Message) -> bytes:
        public = _expect_type(message, PublicMessage)
        content = public.authenticated()
        key = self.case.data("membership_key")
        expect(public.has_membership(self.suite, key, self.context), "membership tag")
        expect(content.is_signed(self.suite, self.keys[1], self.context), "signature")
        return encode_body(content.content.body)

    def open_private(self, message: Message) -> bytes:
        content, _ = unprotect_private(
            _expect_type(message, PrivateMessage),
            self.tree(),
            self.case.data("sender_data_secret"),
            is_member=lambda leaf: leaf < 2,
            limits=RatchetLimits(),
        )
        expect(content.content.sender == Sender.member(_SENDER), "sender")
        expect(content.is_signed(self.suite, self.keys[1], self.context), "signature")
        return encode_body(content.content.body)

    def sign(self, body: Body, wire_format: WireFormat) -> AuthenticatedContent:
        framed = FramedContent.create(
            self.context.group_id, self.context.epoch, Sender.member(_SENDER), b"", body
        )
        signature = sign_content(self.suite, self.keys, wire_format, framed, self.context)
        tag = self.suite.zero if isinstance(body, Commit) else None
        return AuthenticatedContent(wire_format, framed, signature, tag)

    def protect_public(self, body: Body) -> Message:
        content = self.sign(body, WireFormat.PUBLIC_MESSAGE)
        made = protect_public(self.suite, content, self.case.data("membership_key"), self.context)
        return decode_message(encode_message(made))

    def protect_private(self, body: Body) -> Message:
        made, _ = protect_private(
            self.sign(body, WireFormat.PRIVATE_MESSAGE),
            self.tree(),
            self.case.data("sender_data_secret"),
            padding=9,
            random=system_random,
        )
        return decode_message(encode_message(made))


def check_message_protection(case: Case) -> None:
    """Messages of all content types, opened and made in both wire formats."""
    protection = _Protection(case)
    proposal = decode_whole(decode_proposal, case.data("proposal"))
    commit = decode_whole(Commit.decode, case.data("commit"))
    bodies: tuple[tuple[str, Body], ...] = (("proposal", proposal), ("commit", commit))
    for name, body in bodies:
        raw = case.data(name)
        opened = protection.open_public(decode_message(case.data(f"{name}_pub")))
        expect(opened == raw, f"public {name}")
        expect(protection.open_public(protection.protect_public(body)) == raw, f"new {name}")
    for name, body in (*bodies, ("application", case.data("application"))):
        raw = encode_body(body)
        opened = protection.open_private(decode_message(case.data(f"{name}_priv")))
        expect(opened == raw, f"private {name}")
        expect(protection.open_private(protection.protect_private(body)) == raw, f"new {name}")
    try:
        protection.protect_public(case.data("application"))
    except MlsRemoteError:
        return
    raise VectorMismatch("application data was sent in the clear: that is wrong")


def check_welcome(case: Case) -> None:
    """A Welcome opened by hand: secrets, GroupInfo, signature, confirmation tag."""
    suite = case.suite
    key_package = _expect_type(decode_message(case.data("key_package")), KeyPackage)
    welcome = _expect_type(decode_message(case.data("welcome")), Welcome)
    bundle = KeyPackageBundle(key_package, case.data("init_priv"), b"", b"")
    secrets = open_group_secrets(welcome, bundle, suite)
    opened = welcome_secret(suite, secrets.joiner_secret, suite.zero)
    key, nonce = welcome_key_nonce(suite, opened)
    plain = suite.aead_open(key, nonce, welcome.encrypted_group_info, b"")
    info = decode_whole(GroupInfo.decode, plain)
    expect(info.is_signed(suite, case.data("signer_pub")), "signature of the GroupInfo")
    schedule = schedule_from_joiner(suite, secrets.joiner_secret, suite.zero, info.context)
    confirmed = suite.has_mac(
        schedule.secrets.need("confirmation_key"),
        info.context.confirmed_transcript_hash,
        info.confirmation_tag,
    )
    expect(confirmed, "confirmation tag")


def _permissive() -> Services:
    """Vectors bring their own credentials and no clock."""
    policy = Policy(
        max_lifetime=None,
        check_received_lifetimes=False,
        resumption_epochs=1 << 16,
        new_member_proposals=True,
    )
    return Services(
        authenticate=lambda credential, key: True,
        succeeds=lambda old, new: True,
        policy=policy,
    )


def check_passive_client(case: Case) -> None:
    """Join by Welcome and follow every commit, resuming from storage after each."""
    suite, services = case.suite, _permissive()
    key_package = _expect_type(decode_message(case.data("key_package")), KeyPackage)
    for name, private, public in (
        ("init key", case.data("init_priv"), key_package.init_key),
        ("leaf key", case.data("encryption_priv"), key_package.leaf.encryption_key),
    ):
        expect(suite.hpke.public_key(private) == public, name)
    signature_private = case.data("signature_priv")
    signature_public = suite.signatures.public_key(signature_private)
    expect(signature_public == key_package.leaf.signature_key, "signature key")
    bundle = KeyPackageBundle(
        key_package, case.data("init_priv"), case.data("encryption_priv"), signature_private
    )
    external = {psk.data("psk_id"): psk.data("psk") for psk in case.parts("external_psks")}
    psks = PskStore(external=external)
    tree = case.data("ratchet_tree") if case.has("ratchet_tree") else None
    group = Group.join(case.data("welcome"), bundle, tree=tree, psks=psks, services=services)
    initial = case.data("initial_epoch_authenticator")
    expect(group.epoch_authenticator == initial, "initial epoch authenticator")
    for number, epoch in enumerate(case.parts("epochs")):
        for proposal in epoch.data_list("proposals"):
            group = group.process(proposal or b"").group
        group = group.process(epoch.data("commit"), psks=psks).group
        right = group.epoch_authenticator == epoch.data("epoch_authenticator")
        expect(right, f"epoch authenticator after commit {number}")
        group = Group.from_bytes(group.to_bytes(), services=services)
