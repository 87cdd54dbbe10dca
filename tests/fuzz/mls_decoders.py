"""Every decoder of `lutra.mls` with valid inputs to start from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from lutra.mls import codec
from lutra.mls.framing import (
    AuthenticatedContent,
    FramedContent,
    PublicMessage,
    Sender,
    SenderType,
    WireFormat,
)
from lutra.mls.key_package import KeyPackage, KeyPackageBundle, create_key_package
from lutra.mls.key_schedule import GroupContext
from lutra.mls.leaf import (
    Capabilities,
    Credential,
    Extension,
    ExternalSender,
    LeafContent,
    LeafNode,
    Lifetime,
    RequiredCapabilities,
    external_senders_extension,
    sign_leaf,
)
from lutra.mls.leaf_validation import check_capabilities, check_key_package
from lutra.mls.messages import (
    EncryptedGroupSecrets,
    GroupInfo,
    GroupSecrets,
    Welcome,
    decode_message,
    encode_message,
)
from lutra.mls.private_message import PrivateMessage
from lutra.mls.proposals import (
    Add,
    Commit,
    CustomProposal,
    ExternalInit,
    GroupContextExtensions,
    HpkeCiphertext,
    PreSharedKey,
    PreSharedKeyId,
    ReInit,
    Remove,
    Update,
    UpdatePath,
    UpdatePathNode,
    decode_proposal,
    encode_proposal,
)
from lutra.mls.ratchet_tree import ParentNode, RatchetTree
from lutra.mls.secret_tree import SecretTree
from lutra.mls.services import Policy, Services
from lutra.mls.suites import suite_for
from lutra.mls.tree_validation import check_keys, check_parent_hashes, check_unmerged_leaves

if TYPE_CHECKING:
    from collections.abc import Callable

SUITE = suite_for(3)
SIGNING_KEY = bytes(range(32))
ANY_AGE = Policy(max_lifetime=None)


@dataclass(frozen=True, slots=True)
class Decoder:
    """One decoder.

    Attributes:
        decode: reads bytes that others wrote; may raise typed errors only.
        encode: the inverse, None where decoding is not meant to be undone.
        seeds: valid inputs.
    """

    decode: Callable[[bytes], Any]
    encode: Callable[[Any], bytes] | None
    seeds: tuple[bytes, ...]


def _counter() -> Callable[[int], bytes]:
    state = [0]

    def random(length: int) -> bytes:
        state[0] += 1
        return SUITE.expand(bytes(32), state[0].to_bytes(4, "big"), length)

    return random


def _bundle(credential: Credential) -> KeyPackageBundle:
    return create_key_package(
        3,
        credential,
        SIGNING_KEY,
        lifetime=Lifetime(0, 1 << 40),
        leaf_extensions=(Extension(1, b"application"),),
        extensions=(Extension(0x0A0A, b""),),
        capabilities=Capabilities(cipher_suites=(1, 3), extensions=(0x0A0A,), proposals=(0xF001,)),
        random=_counter(),
    )


def _path(leaf: LeafNode) -> UpdatePath:
    sealed = HpkeCiphertext(b"k" * 32, b"c" * 48)
    return UpdatePath(
        leaf, (UpdatePathNode(b"1" * 32, (sealed,)), UpdatePathNode(b"2" * 32, (sealed, sealed)))
    )


def _leaf(**source: Any) -> LeafNode:
    public = SUITE.signatures.public_key(SIGNING_KEY)
    content = LeafContent(Credential.basic(b"someone"), Capabilities(cipher_suites=(3,)))
    return sign_leaf(
        SUITE, content, encryption_key=b"e" * 32, signature_key=(SIGNING_KEY, public), **source
    )


def _tree(leaf: LeafNode) -> bytes:
    draft = RatchetTree.single(SUITE, leaf).edit()
    draft.add_leaves([leaf] * 5)
    draft.remove_leaf(2)
    draft.set_node(1, ParentNode.create(b"p" * 32, b"h" * 32))
    draft.set_node(7, ParentNode.create(b"q" * 32, b"", (1, 3)))
    return draft.encode()


def _check_tree(data: bytes) -> RatchetTree:
    """Do what a newcomer does with a tree, signatures apart."""
    tree = RatchetTree.decode(SUITE, data)
    tree.tree_hash()
    for check in (check_unmerged_leaves, check_keys, check_parent_hashes):
        check(tree)
    return tree


def _check_offer(data: bytes) -> KeyPackage:
    """Do what somebody does who is about to add the owner of a key package."""
    key_package = codec.decode_whole(KeyPackage.decode, data)
    check_key_package(
        key_package, SUITE, Services(clock=lambda: 1e9, policy=ANY_AGE), is_sending=True
    )
    check_capabilities(key_package.leaf, SUITE, key_package.leaf.extensions)
    return key_package


def _whole(decode: Callable[[codec.Reader], Any]) -> Callable[[bytes], Any]:
    return lambda data: codec.decode_whole(decode, data)


def _encoded(value: Any) -> bytes:
    return value.encode()


@cache
def decoders() -> dict[str, Decoder]:
    """Return every decoder by name."""
    bundle = _bundle(Credential.basic(b"someone"))
    certified = _bundle(Credential(2, b"", (b"certificate", b"issuer")))
    key_package = bundle.key_package
    leaf = _leaf(parent_hash=b"h" * 32)
    psks = (
        PreSharedKeyId.external(b"name", b"n" * 32),
        PreSharedKeyId.resumption(b"group", 7, b"n" * 32),
    )
    required = RequiredCapabilities((0x0A0A,), (0xF001,), (1, 2))
    sender = ExternalSender(b"s" * 32, Credential.basic(b"server"))
    extensions = (required.extension(), external_senders_extension((sender,)))
    proposals = (
        Add(key_package),
        Update(_leaf()),
        Remove(3),
        *(PreSharedKey(psk) for psk in psks),
        ReInit(b"next", 1, 3, extensions),
        ExternalInit(b"k" * 32),
        GroupContextExtensions(extensions),
        CustomProposal(0xF001, b"body"),
    )
    commits = (
        Commit((), None),
        Commit((*proposals, b"r" * 32), _path(leaf)),
    )
    context = GroupContext.create(
        3,
        b"group",
        7,
        tree_hash=b"t" * 32,
        confirmed_transcript_hash=b"c" * 32,
        extensions=extensions,
    )
    frames = [
        FramedContent.create(b"group", 7, sender_, b"data", body)
        for sender_ in (
            Sender.member(1),
            Sender(SenderType.EXTERNAL, 1),
            Sender(SenderType.NEW_MEMBER_PROPOSAL),
            Sender(SenderType.NEW_MEMBER_COMMIT),
        )
        for body in (*proposals, *commits, b"application data")
    ]
    authenticated = [
        AuthenticatedContent(
            WireFormat.PUBLIC_MESSAGE,
            frame,
            b"s" * 64,
            b"c" * 32 if isinstance(frame.body, Commit) else None,
        )
        for frame in frames
    ]
    public = [
        PublicMessage(
            item.content,
            item.signature,
            item.confirmation_tag,
            b"m" * 32 if item.content.sender.sender_type is SenderType.MEMBER else None,
        )
        for item in authenticated
    ]
    private = PrivateMessage(b"group", 7, frames[0].content_type, b"data", b"s" * 28, b"c" * 80)
    info = GroupInfo(context, (Extension(2, _tree(leaf)),), b"c" * 32, 1, b"s" * 64)
    secrets = (
        GroupSecrets(b"j" * 32, None, ()),
        GroupSecrets(b"j" * 32, b"p" * 32, psks),
    )
    newcomer = EncryptedGroupSecrets(b"r" * 32, HpkeCiphertext(b"k" * 32, b"c" * 80))
    welcome = Welcome(3, (newcomer, newcomer), b"i" * 200)
    messages = (*public, private, info, welcome, key_package)
    ratchets = SecretTree.start(SUITE, 4, b"e" * 32).next_key(1, 1)[0]
    return {
        "message": Decoder(
            decode_message, encode_message, tuple(encode_message(message) for message in messages)
        ),
        "key_package": Decoder(
            _whole(KeyPackage.decode),
            _encoded,
            (key_package.encode(), certified.key_package.encode()),
        ),
        "key_package_validity": Decoder(_check_offer, _encoded, (key_package.encode(),)),
        "key_package_bundle": Decoder(
            KeyPackageBundle.from_bytes, KeyPackageBundle.to_bytes, (bundle.to_bytes(),)
        ),
        "leaf_node": Decoder(
            _whole(LeafNode.decode),
            lambda value: value.encoded,
            (leaf.encoded, _leaf().encoded, key_package.leaf.encoded),
        ),
        "proposal": Decoder(
            _whole(decode_proposal), encode_proposal, tuple(map(encode_proposal, proposals))
        ),
        "commit": Decoder(
            _whole(Commit.decode),
            lambda value: Commit(value.proposals, value.path).encode(),
            tuple(commit.encode() for commit in commits),
        ),
        "authenticated_content": Decoder(
            _whole(AuthenticatedContent.decode),
            _encoded,
            tuple(item.encode() for item in authenticated),
        ),
        "group_context": Decoder(
            _whole(GroupContext.decode), lambda value: value.encoded, (context.encoded,)
        ),
        "group_secrets": Decoder(
            _whole(GroupSecrets.decode), _encoded, tuple(value.encode() for value in secrets)
        ),
        "required_capabilities": Decoder(
            _whole(RequiredCapabilities.decode), _encoded, (required.encode(),)
        ),
        "external_senders": Decoder(
            lambda data: codec.Reader(data).items(ExternalSender.decode),
            None,
            (extensions[1].data,),
        ),
        "ratchet_tree": Decoder(
            lambda data: RatchetTree.decode(SUITE, data), _encoded, (_tree(leaf),)
        ),
        "ratchet_tree_validity": Decoder(_check_tree, None, (_tree(leaf),)),
        "secret_tree": Decoder(
            _whole(lambda reader: SecretTree.decode(SUITE, reader)), None, (ratchets.encode(),)
        ),
    }
