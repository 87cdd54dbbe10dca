"""Random lives of groups, recorded as vectors if wanted."""

from __future__ import annotations

import random as stdlib_random
from typing import Any

from core.mls.world import World
from lutra.mls import (
    Add,
    CommitOptions,
    ExternalJoin,
    Group,
    LeafContent,
    PreSharedKey,
    PreSharedKeyId,
    Proposal,
    PskStore,
    Remove,
    StagedCommit,
    encode_message,
)
from lutra.mls.framing import WireFormat


class RecordingWorld(World):
    """A world that notes the messages of every epoch."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.proposals: list[bytes] = []
        self.epochs: list[dict[str, Any]] = []

    def adopt(self, by: str, staged: StagedCommit[Group]) -> None:
        super().adopt(by, staged)
        self.epochs.append(
            {
                "proposals": [message.hex() for message in self.proposals],
                "commit": staged.message.hex(),
                "epoch_authenticator": staged.group.epoch_authenticator.hex(),
            }
        )
        self.proposals = []

    def propose(self, by: str, proposal: Proposal | None = None) -> bytes:
        message = super().propose(by, proposal)
        self.proposals.append(message)
        return message


class Life:
    """Random acts of random members, chosen by a seeded generator."""

    passive: frozenset[str] = frozenset()

    def __init__(self, seed: int, suite: int, largest: int) -> None:
        self.dice = stdlib_random.Random(seed)
        wire_format = self.dice.choice([WireFormat.PRIVATE_MESSAGE, WireFormat.PUBLIC_MESSAGE])
        self.world = RecordingWorld(suite, wire_format, seed=b"life%d" % seed)
        self.world.psks = PskStore(external={b"shared": b"key"})
        self.world.found("m0")
        self.named = 1
        self.largest = largest

    def new_name(self) -> str:
        self.named += 1
        return f"m{self.named - 1}"

    def anybody(self) -> str:
        return self.dice.choice([name for name in self.world.members if name not in self.passive])

    def act(self) -> None:
        acts = [self.say, self.update, self.propose, self.resume, self.commit_pending]
        if len(self.world.members) < self.largest:
            acts += [self.add, self.add, self.join]
        if len(self.world.members) > 2:
            acts += [self.remove, self.resync]
        if any(group.proposals for group in self.world.members.values()):
            acts = [self.commit_pending, self.propose, self.resume]
        self.dice.choice(acts)()

    def say(self) -> None:
        self.world.say(self.anybody(), self.dice.randbytes(self.dice.randrange(300)))

    def update(self) -> None:
        self.world.commit(self.anybody())

    def add(self) -> None:
        room = self.largest - len(self.world.members)
        names = [self.new_name() for _ in range(self.dice.randint(1, min(room, 6)))]
        self.world.add(
            self.anybody(),
            *names,
            path=self.dice.random() < 0.5,
            welcome_tree=self.dice.random() < 0.7,
        )

    def remove(self) -> None:
        by = self.anybody()
        others = [name for name in self.world.members if name != by]
        self.dice.shuffle(others)
        gone = others[: self.dice.randint(1, max(1, len(others) // 3))]
        removes = [Remove(self.world.members[name].own_index) for name in gone]
        self.world.commit(by, *removes)
        assert not self.world.members.keys() & set(gone)

    def join(self) -> None:
        bundle, name = self.world.client("x"), self.new_name()
        request = ExternalJoin(bundle.signature_private, LeafContent.of(bundle.key_package.leaf))
        info = self.world.members[self.anybody()].group_info()
        self._enter(name, Group.join_external(info, request, services=self.world.services))

    def resync(self) -> None:
        name = self.anybody()
        group = self.world.members.pop(name)
        info = self.world.members[self.anybody()].group_info()
        request = ExternalJoin(
            group._state.signature_private,
            LeafContent.of(group.own_leaf),
            removes=group.own_index,
        )
        self._enter(name, Group.join_external(info, request, services=self.world.services))

    def _enter(self, name: str, staged: StagedCommit[Group]) -> None:
        self.world.adopt(name, staged)
        self.world.members[name] = staged.group

    def propose(self) -> None:
        by = self.anybody()
        kind = self.dice.randrange(4)
        if kind == 0:
            self.world.propose(by)
        elif kind == 1 and len(self.world.members) < self.largest:
            self.world.propose(by, Add(self.world.client(self.new_name()).key_package))
        elif kind == 2:
            target = self.world.members[self.anybody()].own_index
            self.world.propose(by, Remove(target))
        else:
            nonce = self.dice.randbytes(self.world.members[by].suite.hash_bytes)
            self.world.propose(by, PreSharedKey(PreSharedKeyId.external(b"shared", nonce)))

    def commit_pending(self) -> None:
        self.world.commit(self.anybody())

    def resume(self) -> None:
        name = self.anybody()
        stored = self.world.members[name].to_bytes()
        resumed = Group.from_bytes(stored, services=self.world.services)
        assert resumed.to_bytes() == stored
        self.world.members[name] = resumed


def passive_client_case(seed: int, suite: int, acts: int) -> dict[str, Any]:
    """A random life as a case of the passive-client format: one member only listens."""
    life = Life(seed, suite, 12)
    for _ in range(5):
        life.act()
    if any(group.proposals for group in life.world.members.values()):
        life.commit_pending()
    bundle = life.world.client("listener")
    with_tree = life.dice.random() < 0.5
    adder = life.anybody()
    staged = life.world.commit(
        adder, Add(bundle.key_package), options=CommitOptions(welcome_tree=with_tree)
    )
    assert staged.welcome is not None
    tree = staged.group.tree.encode()
    listener = Group.join(
        staged.welcome,
        bundle,
        tree=None if with_tree else tree,
        services=life.world.services,
    )
    life.world.members["listener"] = listener
    life.passive = frozenset({"listener"})
    life.world.epochs.clear()
    for _ in range(acts):
        life.act()
        if "listener" not in life.world.members:
            life.world.epochs.pop()
            break
    return {
        "cipher_suite": suite,
        "external_psks": [{"psk_id": b"shared".hex(), "psk": b"key".hex()}],
        "key_package": encode_message(bundle.key_package).hex(),
        "signature_priv": bundle.signature_private.hex(),
        "encryption_priv": bundle.leaf_private.hex(),
        "init_priv": bundle.init_private.hex(),
        "welcome": staged.welcome.hex(),
        "ratchet_tree": None if with_tree else tree.hex(),
        "initial_epoch_authenticator": staged.group.epoch_authenticator.hex(),
        "epochs": life.world.epochs,
    }
