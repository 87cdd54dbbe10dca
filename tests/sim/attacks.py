"""What malicious members do: each function is one attack, told to the simulation's history.

An attacker runs production code with single steps of it bent, and keeps every secret it ever had.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lutra.groups import group as group_module
from lutra.groups import planning
from lutra.groups.contents import (
    ACK,
    COMMIT,
    NACK,
    OFFER,
    OK,
    STALE,
    Offers,
    Opinion,
    Stale,
    encode_content,
)
from lutra.groups.group import Group
from lutra.identity.device_log import Rename, sign_content
from lutra.mls import Group as MlsGroup
from lutra.mls import committing
from lutra.mls.leaf import EXTENSION_EXTERNAL_PUB, Extension
from lutra.operation import Operation
from sim.device import Device


class HoardingGroup(Group):
    """A malicious device's replica: it keeps every secret it ever had."""

    def _on_removed(self) -> None:
        pass

    def _delete(self, now: int) -> None:
        pass


class MaliciousDevice(Device):
    group_class = HoardingGroup


# Bent steps


@contextmanager
def wrong_kid() -> Iterator[None]:
    """Commit to another data secret than the one made."""
    honest = group_module.kid_of
    group_module.kid_of = lambda secret: honest(honest(secret))
    try:
        yield
    finally:
        group_module.kid_of = honest


@contextmanager
def wrong_external_key() -> Iterator[None]:
    """Publish a key for joining from outside that nobody holds."""
    honest = MlsGroup.group_info
    key = Extension(EXTENSION_EXTERNAL_PUB, b"\x20" + bytes(range(32)))

    def bent(self: MlsGroup, *, with_tree: bool = True) -> bytes:
        return honest(self, with_tree=with_tree, with_external_pub=False, extensions=(key,))

    MlsGroup.group_info = bent  # type: ignore[method-assign]
    try:
        yield
    finally:
        MlsGroup.group_info = honest  # type: ignore[method-assign]


@contextmanager
def spoilt_path() -> Iterator[None]:
    """Seal an update path that opens for some members only (RFC 9420 §16.12)."""
    honest = committing.seal_path

    def bent(*arguments: Any, **options: Any) -> Any:
        path = honest(*arguments, **options)
        if not path.nodes or not path.nodes[0].encrypted_path_secrets:
            return path
        node = path.nodes[0]
        first = node.encrypted_path_secrets[0]
        broken = type(first)(first.kem_output, bytes(len(first.ciphertext)))
        sealed = (broken, *node.encrypted_path_secrets[1:])
        return type(path)(path.leaf, (type(node)(node.encryption_key, sealed), *path.nodes[1:]))

    committing.seal_path = bent
    try:
        yield
    finally:
        committing.seal_path = honest


@contextmanager
def endless_renewals() -> Iterator[None]:
    """Plan renewals beyond the number that may follow one another."""
    honest = planning.may_renew
    planning.may_renew = lambda *_: True
    try:
        yield
    finally:
        planning.may_renew = honest


BENT_COMMITS = {
    "commits to a wrong data secret": wrong_kid,
    "publishes a wrong key for joining": wrong_external_key,
    "seals a path that opens for some only": spoilt_path,
}


# Attacks


def bend_commit(attacker: Device, rng: random.Random) -> tuple[str, list[Operation]]:
    """Make a commit that is valid to observers and wrong to members."""
    name = rng.choice(sorted(BENT_COMMITS))
    with BENT_COMMITS[name]():
        made = attacker.do(lambda group: group.renew(attacker))
    return name, made


def withhold(attacker: Device, accomplices: list[Device]) -> list[Operation]:
    """Build a chain of commits in private, for which all devices of the person vote."""
    made: list[Operation] = []
    for _ in range(6):
        made += attacker.do(lambda group: group.renew(attacker))
    for device in accomplices:
        device.deliver(device.lacks(attacker))
        head = device.group.control.head()
        if head is None or not device.group.is_member(device.id):
            continue
        vote = device.sign_control(
            ACK,
            encode_content(Opinion(head.id)),
            epoch=None,
            secret=None,
            previous=device.group.heads(),
        )
        device.deliver([vote])
        attacker.deliver([vote])
        made.append(vote)
    return made


def grind(attacker: Device, count: int) -> list[Operation]:
    """Make several commits that could each be the next, without publishing any."""
    last, made = attacker._last, list[Operation]()
    for _ in range(count):
        attacker._last = last
        made += attacker.twin().renew(attacker)
    attacker._last = last
    return made


def equivocate(attacker: Device) -> list[Operation]:
    """Write two operations at one place of the log."""
    before = attacker.store.copy()
    first = attacker.do(lambda group: group.renew(attacker))
    attacker.store = before
    attacker.restart()
    second = attacker.do(lambda group: group.renew(attacker))
    attacker.deliver(first)
    return [*first, *second]


def fork_chain(attacker: Device) -> list[Operation]:
    """Sign two statements about one's person at one place of the device log."""
    chain = attacker.chain
    own = [item for item in chain.operations() if item.author == attacker.id]
    last = max(own, key=lambda item: item.seq_num, default=None)
    for name in (b"one", b"other"):
        chain.receive(
            sign_content(
                attacker.key,
                chain.id,
                Rename(None, name),
                seq_num=0 if last is None else last.seq_num + 1,
                backlink=None if last is None else last.id,
                previous=() if last is None else (last.id,),
            )
        )
    return attacker.do(lambda group: group.introduce(attacker, attacker.untold()))


def flood(attacker: Device, rng: random.Random, count: int = 12) -> list[Operation]:
    """Sign whatever comes to mind: opinions, requests, key packages, rubbish, broken commits."""
    group = attacker.group
    epochs = [node.id for node in group.control.tree]

    def sign(kind: str, body: bytes) -> Operation:
        made = attacker.sign_control(kind, body, epoch=None, secret=None, previous=group.heads())
        attacker.deliver([made])
        return made

    made: list[Operation] = []
    for _ in range(count):
        match rng.randrange(7):
            case 0:
                made.append(sign(NACK, encode_content(Opinion(rng.choice(epochs)))))
            case 1:
                made.append(sign(OK, encode_content(Opinion(rng.choice(epochs)))))
            case 2:
                made.append(sign(ACK, encode_content(Opinion(rng.choice(epochs)))))
            case 3:
                made.append(sign(OFFER, encode_content(Offers((attacker.offer(),)))))
            case 4:
                made.append(sign("group.nonsense", attacker.random(40)))
            case 5:
                made.append(sign(COMMIT, _changed_commit(attacker, rng)))
            case _:
                made.append(sign(STALE, encode_content(Stale(attacker.offer()))))
    return made


def _changed_commit(attacker: Device, rng: random.Random) -> bytes:
    """A commit seen before, replayed as one's own, with a bit changed or not."""
    commits = [item for item in attacker.store.operations.values() if item.kind == COMMIT]
    if not commits:
        return b"\x80"
    body = bytearray(rng.choice(commits).body or b"\x80")
    if rng.random() < 0.7:
        body[rng.randrange(len(body))] ^= 1 << rng.randrange(8)
    return bytes(body)
