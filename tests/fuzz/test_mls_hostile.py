"""Attacks on a member that random damage would hardly find."""

from __future__ import annotations

import time
import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from fuzz.mls_decoders import SUITE
from fuzz.mls_insider import (
    ANY_KEY,
    ATTACKER,
    CAPABILITIES,
    CUSTOM,
    GROUP_ID,
    SERVICES,
    bundle,
    encoded_info,
    public_message,
    scene,
    welcome_for,
)
from lutra.errors import RemoteError
from lutra.mls import (
    Add,
    Capabilities,
    Credential,
    CustomProposal,
    Extension,
    ExternalJoin,
    Group,
    KeyPackage,
    LeafContent,
    Lifetime,
    PreSharedKey,
    PreSharedKeyId,
    RatchetTree,
    Remove,
    RequiredCapabilities,
    create_key_package,
    decode_message,
    encode_message,
    suite_for,
)
from lutra.mls.codec import decode_whole, u16, vector
from lutra.mls.errors import (
    InvalidCommitError,
    InvalidProposalError,
    MlsMalformedError,
    MlsSignatureError,
)
from lutra.mls.framing import PublicMessage
from lutra.mls.key_schedule import GroupContext
from lutra.mls.leaf import LeafNode, sign_leaf
from lutra.mls.leaf_validation import check_members
from lutra.mls.messages import GroupInfo, GroupSecrets
from lutra.mls.persistence import decode_state
from lutra.mls.proposals import Commit

if TYPE_CHECKING:
    from collections.abc import Callable

LAST_EPOCH = (1 << 64) - 1


def cpu_seconds(run: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return best


def info_at(epoch: int) -> bytes:
    """The GroupInfo of the group the newcomer is invited to, in another epoch."""
    info = decode_whole(GroupInfo.decode, encoded_info(scene().invited))
    context = GroupContext.create(
        info.context.suite_id,
        info.context.group_id,
        epoch,
        tree_hash=info.context.tree_hash,
        confirmed_transcript_hash=info.context.confirmed_transcript_hash,
        extensions=info.context.extensions,
    )
    return replace(info, context=context).encode()


def test_no_commit_leads_past_the_last_epoch() -> None:
    newcomer = scene().newcomer
    welcome = welcome_for(newcomer, info_at(LAST_EPOCH), GroupSecrets(b"", None, ()))
    group = Group.join(welcome, newcomer, services=SERVICES)
    assert group.epoch == LAST_EPOCH
    genuine = decode_message(scene().invited.commit().message)
    assert isinstance(genuine, PublicMessage)
    inviter = replace(decode_state(group.to_bytes(), None), own_index=0, signature_private=ATTACKER)
    with pytest.raises(InvalidCommitError):
        group.process(public_message(inviter, genuine.content.body))
    with pytest.raises(InvalidCommitError):
        group.commit()


def test_nobody_enters_after_the_last_epoch() -> None:
    info = decode_whole(GroupInfo.decode, info_at(LAST_EPOCH))
    signed = GroupInfo.create(
        SUITE,
        info.context,
        info.extensions,
        confirmation_tag=info.confirmation_tag,
        signer=0,
        signature_key=(ATTACKER, SUITE.signatures.public_key(ATTACKER)),
    )
    content = LeafContent(Credential.basic(b"e"), CAPABILITIES)
    request = ExternalJoin(ANY_KEY.ljust(32), content)
    with pytest.raises(InvalidCommitError):
        Group.join_external(encode_message(signed), request, services=SERVICES)


def commit_of_keys(count: int) -> bytes:
    keys = (
        PreSharedKey(PreSharedKeyId.resumption(GROUP_ID, 1, index.to_bytes(32, "big")))
        for index in range(count)
    )
    return public_message(scene().attacker, Commit(tuple(keys), None))


def test_more_pre_shared_keys_than_can_be_counted() -> None:
    with pytest.raises(MlsMalformedError, match="too many pre-shared keys"):
        scene().victim.process(commit_of_keys(0x10000))


def test_a_welcome_with_more_pre_shared_keys_than_can_be_counted() -> None:
    newcomer = scene().newcomer
    info = encoded_info(scene().invited)

    def join(secrets: GroupSecrets) -> Group:
        welcome = welcome_for(newcomer, info, secrets)
        return Group.join(welcome, newcomer, psks=lambda _: ANY_KEY, services=SERVICES)

    few = GroupSecrets(b"", None, (PreSharedKeyId.external(b"", bytes(32)),))
    assert join(few).epoch == scene().invited.epoch
    with pytest.raises(MlsMalformedError, match="too many pre-shared keys"):
        join(replace(few, psks=few.psks * 0x10000))


def commit_of_custom_proposals(count: int) -> bytes:
    proposals = (CustomProposal(CUSTOM, index.to_bytes(4, "big")) for index in range(count))
    return public_message(scene().attacker, Commit(tuple(proposals), None))


def commit_of_references(count: int) -> bytes:
    references = tuple(index.to_bytes(32, "big") for index in range(count))
    return public_message(scene().attacker, Commit(references, None))


@pytest.mark.parametrize(
    ("make", "refusal"),
    [
        (commit_of_keys, MlsSignatureError),
        (commit_of_custom_proposals, InvalidCommitError),
        (commit_of_references, InvalidCommitError),
    ],
)
def test_long_commits_cost_linear_time(
    make: Callable[[int], bytes], refusal: type[Exception]
) -> None:
    def refuse(message: bytes) -> None:
        with pytest.raises(refusal):
            scene().victim.process(message)

    small, large = make(1000), make(8000)
    growth = len(large) / len(small)
    quick = max(cpu_seconds(lambda: refuse(small)), 0.002)
    assert cpu_seconds(lambda: refuse(large)) < quick * growth * 3


@pytest.mark.parametrize("make", [commit_of_keys, commit_of_custom_proposals, commit_of_references])
def test_long_commits_cost_memory_in_proportion(make: Callable[[int], bytes]) -> None:
    message = make(4000)
    tracemalloc.start()
    try:
        with pytest.raises(RemoteError):
            scene().victim.process(message)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 128 * len(message)


def test_a_flood_of_proposals_is_cut_off() -> None:
    policy = replace(SERVICES.policy, max_proposals=50)
    group = Group.from_bytes(scene().victim.to_bytes(), services=replace(SERVICES, policy=policy))
    for index in range(50):
        proposal = CustomProposal(CUSTOM, index.to_bytes(4, "big"))
        group = group.process(public_message(scene().attacker, proposal)).group
    with pytest.raises(InvalidProposalError, match="Too many proposals"):
        group.process(public_message(scene().attacker, CustomProposal(CUSTOM, b"one more")))
    assert len(group.proposals) == 50


def test_a_tree_of_blanks_is_refused_soon() -> None:
    leaf = b"\x01\x01" + scene().attacker.public.tree.members().__next__()[1].encoded
    data = vector(b"\x00" * (1 << 22) + leaf)
    start = time.process_time()
    with pytest.raises(MlsMalformedError):
        RatchetTree.decode(SUITE, data)
    assert time.process_time() - start < 5


def busy_leaf(index: int, types: tuple[int, ...]) -> LeafNode:
    key = index.to_bytes(32, "big")
    content = LeafContent(
        Credential.basic(key), Capabilities(cipher_suites=(3,), extensions=types[::-1])
    )
    public = SUITE.signatures.public_key(key)
    return sign_leaf(
        SUITE, content, encryption_key=key, signature_key=(key, public), parent_hash=b""
    )


def test_requirements_are_checked_in_linear_time() -> None:
    """Long lists on both sides: what members support, and what the group requires."""

    def check(count: int) -> Callable[[], None]:
        types = tuple(range(100, 100 + count))
        draft = RatchetTree.single(SUITE, busy_leaf(1, types)).edit()
        draft.add_leaves([busy_leaf(index, types) for index in range(2, 9)])
        tree = draft.freeze()
        extensions = (
            RequiredCapabilities(types).extension(),
            *(Extension(kind, b"") for kind in types),
        )
        return lambda: check_members(tree, extensions, None)

    quick = max(cpu_seconds(check(1000)), 0.002)
    assert cpu_seconds(check(16_000)) < quick * 16 * 3


def test_a_commit_cannot_remove_and_add_the_same_key_twice() -> None:
    twin = bundle(b"\x09" * 32, b"twin")
    proposals = (Add(scene().newcomer.key_package), Add(twin.key_package), Remove(2))
    genuine = decode_message(scene().handshakes[0])
    assert isinstance(genuine, PublicMessage)
    assert isinstance(genuine.content.body, Commit)
    with pytest.raises(InvalidProposalError, match="adds a client twice"):
        scene().victim.process(
            public_message(scene().attacker, Commit(proposals, genuine.content.body.path))
        )


P25519 = 2**255 - 19
P448 = 2**448 - 2**224 - 1
SMALL_ORDER = {
    32: (
        0,
        1,
        0x00B8495F16056286FDB1329CEB8D09DA6AC49FF1FAE35616AEB8413B7C7AEBE0,
        0x57119FD0DD4E22D8868E1C58C45C44045BEF839C55B1D0B1248C50A3BC959C5F,
        P25519 - 1,
        P25519,
        P25519 + 1,
        1 << 255,
    ),
    56: (0, 1, P448 - 1, P448, P448 + 1),
}
DEAF_KEYS = [
    pytest.param(suite, u.to_bytes(length, "little"), id=f"{suite}-{place}")
    for suite, length in ((1, 32), (3, 32), (4, 56), (6, 56))
    for place, u in enumerate(SMALL_ORDER[length])
]


@pytest.mark.parametrize(("suite", "key"), DEAF_KEYS)
def test_nobody_is_added_whom_nothing_can_be_sealed_to(suite: int, key: bytes) -> None:
    """One such member would keep all others from committing."""
    primitives = suite_for(suite)
    private, public = primitives.signatures.generate()
    mine = create_key_package(
        suite, Credential.basic(b"me"), private, lifetime=Lifetime(0, 1 << 40)
    )
    group = Group.create(mine, b"group", services=SERVICES)
    usable = primitives.hpke.generate_key_pair(SERVICES.random)[1]
    private, public = primitives.signatures.generate()
    content = LeafContent(Credential.basic(b"deaf"), Capabilities(cipher_suites=(suite,)))
    for init_key, leaf_key in ((key, usable), (usable, key)):
        leaf = sign_leaf(
            primitives,
            content,
            encryption_key=leaf_key,
            signature_key=(private, public),
            lifetime=Lifetime(0, 1 << 40),
        )
        unsigned = u16(1) + u16(suite) + vector(init_key) + leaf.encoded + vector(b"")
        signature = primitives.sign_with_label(private, public, b"KeyPackageTBS", unsigned)
        offer = decode_whole(KeyPackage.decode, unsigned + vector(signature))
        with pytest.raises(MlsMalformedError):
            group.commit([Add(offer)])
