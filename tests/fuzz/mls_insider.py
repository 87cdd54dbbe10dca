"""What hostile members, inviters and outsiders can feed a member of a group.

An insider's messages are signed and authenticated after they were damaged, and an inviter's
GroupInfo is made consistent again, so that the damage reaches the code behind those checks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from fuzz.mls_decoders import SUITE, decoders
from lutra.mls import (
    Add,
    Capabilities,
    CommitOptions,
    Credential,
    CustomProposal,
    Extension,
    ExternalJoin,
    Group,
    GroupContextExtensions,
    KeyPackageBundle,
    LeafContent,
    Lifetime,
    Policy,
    PreSharedKey,
    PreSharedKeyId,
    PublicGroup,
    ReInit,
    Remove,
    RequiredCapabilities,
    Services,
    Update,
    create_key_package,
    decode_message,
    encode_message,
)
from lutra.mls.codec import Reader, decode_whole, u32
from lutra.mls.framing import (
    AuthenticatedContent,
    Body,
    ContentType,
    FramedContent,
    PublicMessage,
    Sender,
    SenderType,
    WireFormat,
    decode_body,
    decode_content_type,
    encode_body,
    protect_public,
    sign_content,
)
from lutra.mls.key_schedule import (
    GroupContext,
    psk_secret,
    schedule_from_joiner,
    welcome_key_nonce,
)
from lutra.mls.leaf import ExternalSender, external_senders_extension, find_extension
from lutra.mls.messages import EncryptedGroupSecrets, GroupInfo, GroupSecrets, Welcome
from lutra.mls.persistence import decode_state
from lutra.mls.private_message import PrivateMessage, sender_data_key_nonce
from lutra.mls.proposals import (
    Commit,
    HpkeCiphertext,
    decode_proposal,
    encode_proposal,
)
from lutra.mls.ratchet_tree import RatchetTree
from lutra.mls.secret_tree import APPLICATION, HANDSHAKE

if TYPE_CHECKING:
    from collections.abc import Callable

    from lutra.mls.state import MemberState

GROUP_ID = b"hostile"
CUSTOM = 0xF001
ANY_KEY = b"any key"
ATTACKER, VICTIM, BYSTANDER, SERVER = (bytes((number,)) * 32 for number in range(1, 5))
SERVICES = Services(
    clock=lambda: 1e9,
    policy=Policy(
        max_lifetime=None,
        handshake_format=WireFormat.PUBLIC_MESSAGE,
        new_member_proposals=True,
        hold_with_proposals=False,
    ),
)
CAPABILITIES = Capabilities(
    cipher_suites=(3,), extensions=(0x0A0A,), proposals=(CUSTOM,), credentials=(1, 2)
)


@dataclass(frozen=True, slots=True)
class Feed:
    """One way in.

    Attributes:
        give: takes an input; may raise typed errors only.
        seeds: inputs it accepts, or nearly.
    """

    give: Callable[[bytes], object]
    seeds: tuple[bytes, ...]


def bundle(key: bytes, name: bytes) -> KeyPackageBundle:
    return create_key_package(
        3,
        Credential.basic(name),
        key,
        lifetime=Lifetime(0, 1 << 40),
        capabilities=CAPABILITIES,
    )


@dataclass(frozen=True, slots=True)
class Scene:
    """A group of three, and somebody about to be invited.

    Attributes:
        attacker: state of the member who misbehaves.
        victim: the member who is fed.
        before: the victim before the commits of ``handshakes``, each made in that epoch.
        handshakes: genuine messages of ``before``'s epoch.
        newcomer: who is invited by hostile Welcomes.
    """

    attacker: MemberState
    victim: Group
    handshakes: tuple[bytes, ...]
    newcomer: KeyPackageBundle
    invited: Group


@cache
def scene() -> Scene:
    """Set the scene, once."""
    server = ExternalSender(SUITE.signatures.public_key(SERVER), Credential.basic(b"server"))
    extensions = (
        RequiredCapabilities(proposals=(CUSTOM,)).extension(),
        external_senders_extension((server,)),
    )
    attacker = Group.create(
        bundle(ATTACKER, b"attacker"), GROUP_ID, extensions=extensions, services=SERVICES
    )
    invited = bundle(VICTIM, b"victim")
    staged = attacker.commit(
        [Add(item.key_package) for item in (invited, bundle(BYSTANDER, b"bystander"))]
    )
    assert staged.welcome is not None
    victim = Group.join(staged.welcome, invited, services=SERVICES)
    attacker = staged.group
    newcomer = bundle(b"\x09" * 32, b"newcomer")
    psk = PreSharedKeyId.resumption(GROUP_ID, 1, bytes(32))
    reinit = ReInit(b"next", 1, 3, ())
    changed = GroupContextExtensions((*extensions, Extension(0x0A0A, b"")))
    private = CommitOptions(wire_format=WireFormat.PRIVATE_MESSAGE)
    proposals = (
        Add(newcomer.key_package),
        Remove(2),
        PreSharedKey(psk),
        changed,
        CustomProposal(CUSTOM, b"body"),
    )
    external = Group.join_external(
        attacker.group_info(),
        ExternalJoin(bytes((7,)) * 32, LeafContent(Credential.basic(b"e"), CAPABILITIES)),
        services=SERVICES,
    )
    handshakes = (
        attacker.commit().message,
        attacker.commit(options=private).message,
        attacker.commit(proposals).message,
        attacker.commit([reinit]).message,
        attacker.commit([Remove(1)]).message,
        attacker.propose_update().message,
        *(attacker.propose(proposal).message for proposal in (*proposals, reinit)),
        attacker.propose(Remove(2), wire_format=WireFormat.PRIVATE_MESSAGE).message,
        attacker.encrypt(b"data", authenticated_data=b"more").message,
        external.message,
    )
    return Scene(
        decode_state(attacker.to_bytes(), None),
        victim,
        handshakes,
        newcomer,
        # Without a path there is no secret that a forged Welcome would have to carry.
        attacker.commit([Add(newcomer.key_package)], options=CommitOptions(path=False)).group,
    )


def public_message(
    state: MemberState, body: Body, *, sender: Sender | None = None, key: bytes = b""
) -> bytes:
    """Frame and authenticate anything as PublicMessage of a member, or of another sender."""
    suite, context = state.public.suite, state.public.context
    content = FramedContent.create(
        context.group_id, context.epoch, sender or Sender.member(state.own_index), b"", body
    )
    pair = (key, suite.signatures.public_key(key)) if key else state.signature_key()
    signature = sign_content(suite, pair, WireFormat.PUBLIC_MESSAGE, content, context)
    tag = bytes(suite.hash_bytes) if isinstance(body, Commit) else None
    authentic = AuthenticatedContent(WireFormat.PUBLIC_MESSAGE, content, signature, tag)
    message = protect_public(suite, authentic, state.secrets.membership_key, context)
    return encode_message(message)


def _insider(data: bytes) -> object:
    reader = Reader(data)
    body = decode_body(reader, decode_content_type(reader))
    reader.finish()
    if isinstance(body, bytes):
        return None
    return scene().victim.process(public_message(scene().attacker, body))


def _server(data: bytes) -> object:
    message = public_message(
        scene().attacker,
        decode_whole(decode_proposal, data),
        sender=Sender(SenderType.EXTERNAL, 0),
        key=SERVER,
    )
    return scene().victim.process(message)


def _newcomer_proposal(data: bytes) -> object:
    message = public_message(
        scene().attacker,
        decode_whole(decode_proposal, data),
        sender=Sender(SenderType.NEW_MEMBER_PROPOSAL),
        key=scene().newcomer.signature_private,
    )
    return scene().victim.process(message)


def _newcomer_commit(data: bytes) -> object:
    message = public_message(
        scene().attacker,
        decode_whole(Commit.decode, data),
        sender=Sender(SenderType.NEW_MEMBER_COMMIT),
        key=b"\x07" * 32,
    )
    return scene().victim.process(message)


def _sealed(data: bytes) -> object:
    """Seal any plaintext, of any content type, with the attacker's next message key."""
    state = scene().attacker
    suite, context = state.public.suite, state.public.context
    kind = ContentType(1 + (data[0] if data else 0) % 3)
    ratchet = APPLICATION if kind is ContentType.APPLICATION else HANDSHAKE
    _, generation, key, nonce = state.secret_tree.next_key(state.own_index, ratchet)
    empty = PrivateMessage(context.group_id, context.epoch, kind, b"", b"", b"")
    head = empty.encode()[:-3]
    ciphertext = suite.aead_class(key).encrypt(nonce, data[1:], head + b"\x00")
    data_key, data_nonce = sender_data_key_nonce(suite, state.secrets.sender_data, ciphertext)
    sender_data = suite.aead_class(data_key).encrypt(
        data_nonce, u32(state.own_index) + u32(generation) + bytes(4), head
    )
    message = replace(empty, encrypted_sender_data=sender_data, ciphertext=ciphertext)
    return scene().victim.process(encode_message(message))


def _resigned(data: bytes, psk: bytes = SUITE.zero) -> tuple[GroupInfo, bytes, bytes]:
    """Make a damaged GroupInfo consistent: (it, joiner secret, welcome secret)."""
    info = decode_whole(GroupInfo.decode, data)
    encoded_tree = find_extension(info.extensions, 2)
    tree_hash = info.context.tree_hash
    if encoded_tree is not None:
        tree_hash = RatchetTree.decode(SUITE, encoded_tree).tree_hash()
    context = GroupContext.create(
        info.context.suite_id,
        info.context.group_id,
        info.context.epoch,
        tree_hash=tree_hash,
        confirmed_transcript_hash=info.context.confirmed_transcript_hash,
        extensions=info.context.extensions,
    )
    joiner = b"j" * SUITE.hash_bytes
    schedule = schedule_from_joiner(SUITE, joiner, psk, context)
    key = schedule.secrets.need("confirmation_key")
    tag = SUITE.mac(key, context.confirmed_transcript_hash)
    signed = GroupInfo.create(
        SUITE,
        context,
        info.extensions,
        confirmation_tag=tag,
        signer=info.signer,
        signature_key=(ATTACKER, SUITE.signatures.public_key(ATTACKER)),
    )
    return signed, joiner, schedule.welcome


def welcome_for(newcomer: KeyPackageBundle, data: bytes, secrets: GroupSecrets) -> bytes:
    """Make a Welcome out of any GroupInfo; the joiner secret is filled in."""
    psk = psk_secret(SUITE, [(psk_id, ANY_KEY) for psk_id in secrets.psks[:0xFFFF]])
    info, joiner, welcome_secret = _resigned(data, psk)
    key, nonce = welcome_key_nonce(SUITE, welcome_secret)
    encrypted = SUITE.aead_class(key).encrypt(nonce, info.encode(), b"")
    sealed = SUITE.encrypt_with_label(
        newcomer.key_package.init_key,
        b"Welcome",
        encrypted,
        replace(secrets, joiner_secret=joiner).encode(),
        SERVICES.random,
    )
    entry = EncryptedGroupSecrets(newcomer.key_package.reference(), HpkeCiphertext(*sealed))
    return encode_message(Welcome(3, (entry,), encrypted))


def _invited(data: bytes) -> object:
    newcomer = scene().newcomer
    message = welcome_for(newcomer, data, GroupSecrets(b"", None, ()))
    return Group.join(message, newcomer, services=SERVICES)


def _invited_with_secrets(data: bytes) -> object:
    newcomer = scene().newcomer
    secrets = decode_whole(GroupSecrets.decode, data)
    info = encoded_info(scene().invited)
    return Group.join(
        welcome_for(newcomer, info, secrets),
        newcomer,
        psks=lambda _: ANY_KEY,
        services=SERVICES,
    )


def _entering(data: bytes) -> object:
    info, _, _ = _resigned(data)
    request = ExternalJoin(b"\x07" * 32, LeafContent(Credential.basic(b"entering"), CAPABILITIES))
    return Group.join_external(encode_message(info), request, services=SERVICES)


def encoded_info(group: Group) -> bytes:
    """Return a GroupInfo without its outer frame."""
    return group.group_info()[4:]


def _tagged(body: Body, kind: ContentType) -> bytes:
    return bytes((kind,)) + encode_body(body)


@cache
def feeds() -> dict[str, Feed]:
    """Return every way in, by name: all decoders, and all that a member, or nobody, can send."""
    set_ = scene()
    decoded = [decode_message(message) for message in set_.handshakes]
    bodies = [item.content.body for item in decoded if isinstance(item, PublicMessage)]
    commits = [body for body in bodies if isinstance(body, Commit)]
    proposals = [body for body in bodies if not isinstance(body, Commit | bytes)]
    encoded_proposals = tuple(encode_proposal(proposal) for proposal in proposals)
    update = next(body for body in proposals if isinstance(body, Update))
    public = PublicGroup.of(set_.victim)
    ways = {
        "message": Feed(set_.victim.process, set_.handshakes),
        "observed message": Feed(public.process, set_.handshakes),
        "observed group": Feed(
            lambda data: PublicGroup.from_group_info(data, services=SERVICES),
            (set_.invited.group_info(),),
        ),
        "content of an insider": Feed(
            _insider,
            (
                *(_tagged(commit, ContentType.COMMIT) for commit in commits),
                *(_tagged(proposal, ContentType.PROPOSAL) for proposal in proposals),
            ),
        ),
        "proposal of an external sender": Feed(_server, encoded_proposals),
        "proposal of a newcomer": Feed(_newcomer_proposal, encoded_proposals),
        "commit of a newcomer": Feed(
            _newcomer_commit, tuple(commit.encode() for commit in commits)
        ),
        "plaintext of an insider": Feed(
            _sealed,
            (
                b"\x00" + encode_body(b"data") + b"\x40\x40" + bytes(64) + bytes(20),
                b"\x01" + encode_proposal(update) + b"\x40\x40" + bytes(64),
                b"\x02" + commits[0].encode() + b"\x40\x40" + bytes(64) + b"\x20" + bytes(32),
            ),
        ),
        "group info of an inviter": Feed(_invited, (encoded_info(set_.invited),)),
        "secrets of an inviter": Feed(_invited_with_secrets, decoders()["group_secrets"].seeds),
        "published group info": Feed(_entering, (encoded_info(set_.invited),)),
        "stored group": Feed(Group.from_bytes, (set_.victim.to_bytes(),)),
        "stored public group": Feed(PublicGroup.from_bytes, (public.to_bytes(),)),
    }
    for name, decoder in decoders().items():
        ways[f"decoder of {name}"] = Feed(decoder.decode, decoder.seeds)
    return ways
