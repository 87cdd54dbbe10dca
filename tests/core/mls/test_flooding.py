"""Members who flood, mislead or speak in others' names."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.mls.world import LIFETIME, World, new_client, services
from lutra.crypto.random import system_random
from lutra.mls import (
    Add,
    Capabilities,
    CommitOptions,
    Credential,
    Extension,
    Group,
    GroupContextExtensions,
    Remove,
    create_key_package,
    decode_message,
    encode_message,
    selecting,
)
from lutra.mls.codec import MAX_ITEMS, MAX_MESSAGE_BYTES, vector
from lutra.mls.errors import (
    InvalidProposalError,
    MlsMalformedError,
    MlsSignatureError,
    MlsUsageError,
    OwnMessageError,
    UsedKeyError,
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
from lutra.mls.proposal_list import SentProposal, plan_proposals


def trio(wire_format: WireFormat = WireFormat.PUBLIC_MESSAGE) -> World:
    world = World(wire_format=wire_format, seed=b"flood")
    world.found("anna")
    world.add("anna", "ben", "cleo")
    return world


def test_a_member_cannot_pass_its_messages_off_as_ones_own() -> None:
    world = trio()
    anna, ben = world.members["anna"], world.members["ben"]
    framed = FramedContent.create(
        b"group", anna.epoch, Sender.member(anna.own_index), b"", Remove(2)
    )
    wire_format = WireFormat.PUBLIC_MESSAGE
    signature = sign_content(
        ben.suite, ben._state.signature_key(), wire_format, framed, ben.context
    )
    content = AuthenticatedContent(wire_format, framed, signature, None)
    key = ben._state.secrets.need("membership_key")
    message = encode_message(protect_public(ben.suite, content, key, ben.context))
    for group in (anna, ben, world.members["cleo"]):
        with pytest.raises(MlsSignatureError):
            group.process(message)
    with pytest.raises(OwnMessageError):
        anna.process(anna.propose(Remove(2)).message)


def _flooded(count: int) -> tuple[World, Group]:
    """A group in which ben proposed nonsense and cleo something sensible in between."""
    world = trio()
    group = world.members["anna"]
    public = group.public_state
    ben, cleo = (Sender(SenderType.MEMBER, index) for index in (1, 2))
    unfit = Capabilities(cipher_suites=(3,))
    for index in range(count):
        package = create_key_package(
            1,
            Credential.basic(b"x"),
            index.to_bytes(32, "big"),
            lifetime=LIFETIME,
            capabilities=unfit,
            random=world.services.random,
        ).key_package
        public = public.with_proposal(b"ben%d" % index, SentProposal(ben, Add(package)))
        if index % (count // 3) == 0:
            good = Add(new_client(1, f"c{index}", world.services).key_package)
            public = public.with_proposal(b"cleo%d" % index, SentProposal(cleo, good))
    return world, Group(replace(group._state, public=public), world.services)


def test_choosing_among_many_bad_proposals_takes_few_attempts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, group = _flooded(120)
    attempts: list[int] = []
    verified: list[object] = []

    def counted(*args: object, **options: object) -> object:
        attempts.append(1)
        return plan_proposals(*args, **options)  # type: ignore[arg-type]

    def authenticate(credential: Credential, signature_key: bytes) -> bool:
        verified.append(signature_key)
        return True

    monkeypatch.setattr(selecting, "plan_proposals", counted)
    watched = Group(group._state, replace(world.services, authenticate=authenticate))
    chosen = watched.committable()
    assert {reference[:4] for reference in chosen} == {b"cleo"}
    assert len(chosen) == 3
    assert len(attempts) < 60
    assert len(verified) == len(set(verified))
    monkeypatch.undo()
    staged = group.commit(options=CommitOptions(references=chosen))
    assert staged.group.tree.member_count() == 6


def test_two_messages_from_one_state_differ_in_their_nonces() -> None:
    world = trio()
    # Real randomness decides: the same plaintext under the same key must not repeat.
    anna = Group(world.members["anna"]._state, replace(services(), random=system_random))
    first, second = anna.encrypt(b"same"), anna.encrypt(b"same")
    assert first.message != second.message
    ben = world.members["ben"].process(first.message).group
    with pytest.raises(UsedKeyError):
        ben.process(second.message)


def test_what_nobody_could_decode_is_not_sent() -> None:
    world = trio(WireFormat.PRIVATE_MESSAGE)
    anna = world.members["anna"]
    with pytest.raises(MlsUsageError):
        anna.encrypt(bytes(MAX_MESSAGE_BYTES))
    sent = anna.encrypt(bytes(MAX_MESSAGE_BYTES - 1024))
    assert world.members["ben"].process(sent.message).data == bytes(MAX_MESSAGE_BYTES - 1024)


def test_one_sender_cannot_crowd_out_the_others() -> None:
    world = World(wire_format=WireFormat.PUBLIC_MESSAGE, seed=b"crowd")
    world.services = services(
        b"crowd",
        wire_format=WireFormat.PUBLIC_MESSAGE,
        max_sender_proposals=3,
        max_proposals=5,
        max_proposal_bytes=1 << 20,
    )
    world.found("anna")
    world.add("anna", "ben", "cleo")
    anna, ben, cleo = (world.members[name] for name in ("anna", "ben", "cleo"))
    for _ in range(3):
        anna = anna.process(ben.propose_update().message).group
    with pytest.raises(InvalidProposalError):
        anna.process(ben.propose_update().message)
    large = GroupContextExtensions((Extension(0xF001, bytes(1 << 19)),))
    anna = anna.process(cleo.propose(large).message).group
    with pytest.raises(InvalidProposalError):
        anna.process(cleo.propose(large, authenticated_data=b"again").message)
    anna = anna.process(cleo.propose_update().message).group
    with pytest.raises(InvalidProposalError):
        anna.process(cleo.propose_update().message)
    assert len(anna.proposals) == 5
    assert anna.commit().group.epoch == anna.epoch + 1


@pytest.mark.parametrize("entry", [b"\x02\x00", b"\x01\x00\x06\x00"])
def test_lists_of_tiny_entries_are_bounded(entry: bytes) -> None:
    anna = trio().members["anna"]
    head = anna.commit().message[: 4 + len(vector(b"group")) + 8 + 5 + 1 + 1]
    body = vector(entry * (MAX_ITEMS + 1)) + b"\x00"
    with pytest.raises(MlsMalformedError, match="longer than allowed"):
        decode_message(head + body)
    allowed = vector(entry * MAX_ITEMS) + b"\x00" + b"\x00\x00\x00"
    decode_message(head + allowed)
