"""Vectors below the tree: arithmetic, primitives, key schedule, transcript, secret tree."""

from __future__ import annotations

from lutra.crypto.random import system_random
from lutra.mls import tree_math
from lutra.mls.codec import Reader, decode_whole, u16, vector, vector_header
from lutra.mls.framing import AuthenticatedContent
from lutra.mls.key_schedule import (
    GroupContext,
    confirmed_transcript_hash,
    export_secret,
    interim_transcript_hash,
    joiner_secret,
    psk_secret,
    schedule_from_joiner,
)
from lutra.mls.private_message import sender_data_key_nonce
from lutra.mls.proposals import Commit, PreSharedKeyId
from lutra.mls.secret_tree import APPLICATION, HANDSHAKE, RatchetLimits, SecretTree
from lutra.mls.vectors.reading import Case, expect


def check_tree_math(case: Case) -> None:
    """Tree arithmetic of one size."""
    leaves = case.number("n_leaves")
    nodes = case.number("n_nodes")
    root = case.number("root")
    expect(tree_math.node_count(leaves) == nodes, "node count")
    expect(tree_math.root(leaves) == root, "root")
    for node in range(nodes):
        is_leaf = tree_math.level(node) == 0
        expect(case.values("left")[node] == (None if is_leaf else tree_math.left(node)), "left")
        expect(case.values("right")[node] == (None if is_leaf else tree_math.right(node)), "right")
        parent = None if node == root else tree_math.parent(node)
        expect(case.values("parent")[node] == parent, "parent")
        sibling = None if node == root else tree_math.sibling(node)
        expect(case.values("sibling")[node] == sibling, "sibling")


def check_deserialization(case: Case) -> None:
    """A vector's length header, both ways."""
    header, length = case.data("vlbytes_header"), case.number("length")
    reader = Reader(header)
    expect(reader.length() == length, "length")
    reader.finish()
    expect(vector_header(length) == header, "header")


def check_crypto_basics(case: Case) -> None:
    """Labelled primitives; signing and sealing also afresh."""
    suite = case.suite
    part = case.part("ref_hash")
    expect(suite.ref_hash(part.text("label"), part.data("value")) == part.data("out"), "RefHash")
    part = case.part("expand_with_label")
    expanded = suite.expand_with_label(
        part.data("secret"), part.text("label"), part.data("context"), part.number("length")
    )
    expect(expanded == part.data("out"), "ExpandWithLabel")
    part = case.part("derive_secret")
    derived = suite.derive_secret(part.data("secret"), part.text("label"))
    expect(derived == part.data("out"), "DeriveSecret")
    part = case.part("derive_tree_secret")
    derived = suite.derive_tree_secret(
        part.data("secret"), part.text("label"), part.number("generation"), part.number("length")
    )
    expect(derived == part.data("out"), "DeriveTreeSecret")
    _check_signing(case)
    _check_sealing(case)


def _check_signing(case: Case) -> None:
    suite, part = case.suite, case.part("sign_with_label")
    private, public = part.data("priv"), part.data("pub")
    label, content = part.text("label"), part.data("content")
    theirs = suite.is_signed_with_label(public, label, content, part.data("signature"))
    expect(theirs, "VerifyWithLabel")
    expect(suite.signatures.public_key(private) == public, "public signature key")
    ours = suite.sign_with_label(private, public, label, content)
    expect(suite.is_signed_with_label(public, label, content, ours), "SignWithLabel")


def _check_sealing(case: Case) -> None:
    suite, part = case.suite, case.part("encrypt_with_label")
    keys = part.data("priv"), part.data("pub")
    label, context = part.text("label"), part.data("context")
    plaintext = part.data("plaintext")
    opened = suite.decrypt_with_label(
        keys, label, context, part.data("kem_output"), part.data("ciphertext")
    )
    expect(opened == plaintext, "DecryptWithLabel")
    made = suite.encrypt_with_label(keys[1], label, context, plaintext, system_random)
    expect(suite.decrypt_with_label(keys, label, context, *made) == plaintext, "EncryptWithLabel")


def check_secret_tree(case: Case) -> None:
    """Sender data keys and ratchet keys of all leaves."""
    suite, sender = case.suite, case.part("sender_data")
    derived = sender_data_key_nonce(
        suite, sender.data("sender_data_secret"), sender.data("ciphertext")
    )
    expect(derived == (sender.data("key"), sender.data("nonce")), "sender data key")
    leaves = case.values("leaves")
    tree = SecretTree.start(suite, len(leaves), case.data("encryption_secret"))
    limits = RatchetLimits()
    for leaf, generations in enumerate(leaves):
        for entry in map(Case, generations):
            for kind, name in ((HANDSHAKE, "handshake"), (APPLICATION, "application")):
                tree, key, nonce = tree.key_at(leaf, kind, entry.number("generation"), limits)
                expected = entry.data(f"{name}_key"), entry.data(f"{name}_nonce")
                expect((key, nonce) == expected, f"{name} key")


def check_key_schedule(case: Case) -> None:
    """Every secret of a chain of epochs."""
    suite, init = case.suite, case.data("initial_init_secret")
    for number, epoch in enumerate(case.parts("epochs")):
        context = GroupContext.create(
            suite.suite_id,
            case.data("group_id"),
            number,
            tree_hash=epoch.data("tree_hash"),
            confirmed_transcript_hash=epoch.data("confirmed_transcript_hash"),
        )
        expect(context.encoded == epoch.data("group_context"), "group context")
        joiner = joiner_secret(suite, init, epoch.data("commit_secret"), context)
        expect(joiner == epoch.data("joiner_secret"), "joiner secret")
        schedule = schedule_from_joiner(suite, joiner, epoch.data("psk_secret"), context)
        expect(schedule.welcome == epoch.data("welcome_secret"), "welcome secret")
        expect(schedule.encryption == epoch.data("encryption_secret"), "encryption secret")
        secrets = schedule.secrets
        for name, value in (
            ("init_secret", secrets.init),
            ("sender_data_secret", secrets.sender_data),
            ("exporter_secret", secrets.exporter),
            ("epoch_authenticator", secrets.epoch_authenticator),
            ("external_secret", secrets.external),
            ("confirmation_key", secrets.confirmation_key),
            ("membership_key", secrets.membership_key),
            ("resumption_psk", secrets.resumption_psk),
        ):
            expect(value == epoch.data(name), name)
        external = suite.hpke.derive_key_pair(secrets.need("external"))[1]
        expect(external == epoch.data("external_pub"), "external key")
        wanted = epoch.part("exporter")
        exported = export_secret(
            suite,
            secrets.need("exporter"),
            wanted.text("label"),
            wanted.data("context"),
            wanted.number("length"),
        )
        expect(exported == wanted.data("secret"), "exported secret")
        init = secrets.need("init")


def check_psk_secret(case: Case) -> None:
    """The PSK secret of a list of external keys."""
    psks = [
        (PreSharedKeyId.external(psk.data("psk_id"), psk.data("psk_nonce")), psk.data("psk"))
        for psk in case.parts("psks")
    ]
    expect(psk_secret(case.suite, psks) == case.data("psk_secret"), "PSK secret")


def check_transcript_hashes(case: Case) -> None:
    """Both transcript hashes and the confirmation tag of a commit."""
    suite = case.suite
    content = decode_whole(AuthenticatedContent.decode, case.data("authenticated_content"))
    expect(isinstance(content.content.body, Commit), "content type")
    expect(content.encode() == case.data("authenticated_content"), "encoding")
    hashed = u16(content.wire_format) + content.content.encoded + vector(content.signature)
    before = case.data("interim_transcript_hash_before")
    confirmed = confirmed_transcript_hash(suite, before, hashed)
    expect(confirmed == case.data("confirmed_transcript_hash_after"), "confirmed transcript hash")
    tag = content.confirmation_tag or b""
    interim = interim_transcript_hash(suite, confirmed, tag)
    expect(interim == case.data("interim_transcript_hash_after"), "interim transcript hash")
    expect(suite.has_mac(case.data("confirmation_key"), confirmed, tag), "confirmation tag")
