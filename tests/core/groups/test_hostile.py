"""A member's malformed operations are refused by everyone alike and break nothing."""

from __future__ import annotations

import random

import pytest

from core.groups.test_group import agree, invite, people
from lutra.errors import RemoteError
from lutra.groups.contents import (
    COMMIT,
    EpochCommit,
    Role,
    decode_content,
    encode_content,
)
from lutra.groups.keys import Reception
from sim.device import Clock, Device, settle, synchronise

KINDS = ("group.commit", "group.offer", "group.stale", "group.keylink", "group.ack")


def sign(device: Device, kind: str, body: bytes):
    return device.sign_control(kind, body, epoch=None, secret=None, previous=device.group.heads())


def changed(body: bytes, rng: random.Random) -> bytes:
    data = bytearray(body)
    for _ in range(rng.randint(1, 3)):
        match rng.randrange(3):
            case 0:
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            case 1:
                place = rng.randrange(len(data))
                del data[place : place + rng.randint(1, 4)]
            case _:
                data.insert(rng.randrange(len(data)), rng.randrange(256))
        if not data:
            return b"\x80"
    return bytes(data)


@pytest.mark.parametrize("seed", range(4))
def test_malformed_operations_harm_nobody(seed: int) -> None:
    rng = random.Random(seed)
    clock = Clock()
    anna, mallory, cleo = people(clock, "anna", "mallory", "cleo")
    dora = Device("dora", "dora", clock)
    invite(anna, dora, Role.WRITER)
    synchronise(anna, mallory, cleo, dora)
    mallory.do(lambda group: group.renew(mallory))
    samples = [item for item in mallory.store.operations.values() if item.body]
    for _ in range(60):
        sample = rng.choice(samples)
        kind = sample.kind if rng.random() < 0.8 else rng.choice(KINDS)
        body = changed(sample.body or b"\x80", rng)
        operation = sign(mallory, kind, body)
        first = mallory.group.receive(operation)
        mallory.persist([operation])
        if first is Reception.FOREIGN:
            break
    synchronise(anna, mallory, cleo, dora)
    settle(clock, anna, cleo, dora)
    agree(anna, cleo, dora)


def test_a_commit_with_any_flipped_byte_begins_no_epoch() -> None:
    clock = Clock()
    anna, ben = people(clock, "anna", "ben")
    commit = ben.do(lambda group: group.renew(ben))[0]
    content = decode_content(COMMIT, commit.body or b"")
    assert isinstance(content, EpochCommit)
    control = anna.group.control
    parent = control.tree.get(content.parent)
    assert parent is not None
    # The last 66 bytes are tags that members alone can check.
    for place in range(0, len(content.message) - 66, 7):
        message = bytearray(content.message)
        message[place] ^= 1 << place % 8
        with pytest.raises(RemoteError):
            parent.public.process(bytes(message))
    before = len(control.tree)
    for changes in ({"parent": bytes(32)}, {"group_info": b"\x00"}, {"message": b""}):
        fields = {name: getattr(content, name) for name in EpochCommit.__slots__}
        body = encode_content(EpochCommit(**{**fields, **changes}))
        assert anna.group.receive(sign(ben, COMMIT, body)) is not Reception.ACCEPTED
    assert len(control.tree) == before
