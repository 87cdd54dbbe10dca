"""A group of members in one process: everybody sees every message in one order."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

from lutra.mls import (
    Add,
    CommitOptions,
    Credential,
    Group,
    KeyPackageBundle,
    Lifetime,
    Policy,
    Proposal,
    PskStore,
    ReceivedApplication,
    ReceivedCommit,
    Services,
    StagedCommit,
    create_key_package,
    suite_for,
)
from lutra.mls.framing import WireFormat

NOW = 1_800_000_000
LIFETIME = Lifetime(NOW - 3600, NOW + 30 * 24 * 3600)


class SeededRandom:
    """A reproducible stream of bytes."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._counter = 0

    def __call__(self, length: int) -> bytes:
        self._counter += 1
        name = self._seed + self._counter.to_bytes(8, "big")
        return hashlib.shake_256(name).digest(length)


def services(
    seed: bytes = b"", *, wire_format: WireFormat = WireFormat.PRIVATE_MESSAGE, **policy: object
) -> Services:
    """Services with a fixed clock and a seeded generator."""
    chosen = replace(Policy(handshake_format=wire_format), **policy)
    return Services(random=SeededRandom(seed), clock=lambda: NOW, policy=chosen)


def new_client(suite: int, name: str, with_services: Services) -> KeyPackageBundle:
    """A fresh key package of a client called ``name``."""
    private, _ = suite_for(suite).signatures.generate(with_services.random)
    return create_key_package(
        suite,
        Credential.basic(name.encode()),
        private,
        lifetime=LIFETIME,
        random=with_services.random,
    )


@dataclass
class World:
    """Members by name; `deliver` hands a message to everybody but its sender."""

    suite: int = 1
    wire_format: WireFormat = WireFormat.PRIVATE_MESSAGE
    seed: bytes = b"world"
    psks: PskStore = field(default_factory=PskStore)
    members: dict[str, Group] = field(default_factory=dict)
    removed: dict[str, Group] = field(default_factory=dict)
    counter: int = 0

    def __post_init__(self) -> None:
        self.services = services(self.seed, wire_format=self.wire_format)

    def client(self, name: str) -> KeyPackageBundle:
        """A new key package."""
        return new_client(self.suite, name, self.services)

    def found(self, name: str, **options: object) -> None:
        """Begin a group with one member."""
        group = Group.create(self.client(name), b"group", services=self.services, **options)
        self.members = {name: group}

    def add(
        self, by: str, *names: str, path: bool = True, welcome_tree: bool = True
    ) -> StagedCommit[Group]:
        """Have a member add newcomers, who join by Welcome."""
        bundles = {name: self.client(name) for name in names}
        options = CommitOptions(path=path, welcome_tree=welcome_tree)
        staged = self.members[by].commit(
            [Add(bundle.key_package) for bundle in bundles.values()], options=options
        )
        self.adopt(by, staged)
        assert staged.welcome is not None
        tree = None if welcome_tree else staged.group.tree.encode()
        for name, bundle in bundles.items():
            self.members[name] = Group.join(
                staged.welcome, bundle, tree=tree, services=self.services
            )
        return staged

    def commit(
        self, by: str, *proposals: Proposal, options: CommitOptions | None = None
    ) -> StagedCommit[Group]:
        """Have a member commit."""
        staged = self.members[by].commit(proposals, psks=self.psks, options=options)
        self.adopt(by, staged)
        return staged

    def adopt(self, by: str, staged: StagedCommit[Group]) -> None:
        """Everybody enters the epoch of a commit."""
        for name, group in list(self.members.items()):
            if name == by:
                self.members[name] = staged.group
                continue
            received = group.process(staged.message, psks=self.psks)
            assert isinstance(received, ReceivedCommit)
            self.members[name] = received.group
            if not received.group.is_active and received.group.reinit is None:
                self.removed[name] = self.members.pop(name)

    def propose(self, by: str, proposal: Proposal | None = None) -> bytes:
        """Have a member propose; nothing means an update of its own leaf."""
        group = self.members[by]
        sent = group.propose_update() if proposal is None else group.propose(proposal)
        self.members[by] = sent.group
        for name, other in self.members.items():
            if name != by:
                self.members[name] = other.process(sent.message).group
        return sent.message

    def say(self, by: str, data: bytes) -> bytes:
        """Have a member send data, which everybody opens; returns the message."""
        sent = self.members[by].encrypt(data)
        self.members[by] = sent.group
        for name, other in self.members.items():
            if name != by:
                received = other.process(sent.message)
                assert isinstance(received, ReceivedApplication)
                assert received.data == data
                self.members[name] = received.group
        return sent.message

    def check_agreement(self) -> None:
        """Everybody shares the epoch."""
        views = {
            (
                group.context.encoded,
                group.tree.tree_hash(),
                group.epoch_authenticator,
                group.export(b"test", b"context", 32),
                group.interim_transcript_hash,
            )
            for group in self.members.values()
        }
        assert len(views) == 1
