"""The tree of epochs that valid commits span (GROUPS §2.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from lutra.crypto.hashing import blake3_derive
from lutra.groups.contents import EpochCommit
from lutra.groups.key_packages import device_of
from lutra.mls import PublicGroup
from lutra.mls.epoch_view import EpochView


def epoch_id_of(epoch: EpochView) -> bytes:
    """Return the id of an MLS epoch; its number would not tell forks apart."""
    material = epoch.group_id + epoch.interim_transcript_hash
    return blake3_derive("lutra epoch id v1", material)


def roster_of(public: EpochView) -> dict[bytes, int]:
    """Return device → leaf index."""
    return {device_of(leaf.credential): index for index, leaf in public.members()}


@dataclass(frozen=True, slots=True, eq=False)
class EpochNode:
    """An epoch, as everybody can know it.

    Attributes:
        id: see `epoch_id_of`.
        parent: the epoch it follows; None for the first.
        index: place of the operation that began it.
        known: that operation and everything before it, as a bit set.
        author: the device that began it.
        person: the author's person then.
        seq_num: place of the operation in its author's log.
        public: the MLS epoch without secrets.
        roster: device → leaf index.
        added: devices that entered with it, an external committer included.
        packages: encoded key packages used.
        key_only: it changed no membership.
        commit: the operation's content; None for the first epoch.
        info: GroupInfo for entering from outside.
        kid: commitment to the data secret.
    """

    id: bytes
    parent: EpochNode | None
    index: int
    known: int
    author: bytes
    person: bytes
    seq_num: int
    public: PublicGroup = field(repr=False)
    roster: Mapping[bytes, int] = field(repr=False)
    added: frozenset[bytes] = field(repr=False)
    packages: frozenset[bytes] = field(repr=False)
    key_only: bool
    commit: EpochCommit | None = field(repr=False)
    info: bytes = field(repr=False)
    kid: bytes = field(repr=False)

    def path(self) -> Iterator[EpochNode]:
        """Iterate over this epoch and its ancestors, nearest first."""
        node: EpochNode | None = self
        while node is not None:
            yield node
            node = node.parent

    def descends_from(self, other: EpochNode) -> bool:
        """Tell whether this is ``other`` or lies below it."""
        return any(node is other for node in self.path())


class EpochTree:
    """All valid epochs of a group."""

    def __init__(self) -> None:
        self._nodes: dict[bytes, EpochNode] = {}
        self._children: dict[bytes, list[EpochNode]] = {}
        self.root: EpochNode | None = None

    def add(self, node: EpochNode) -> None:
        """Add an epoch whose parent is in."""
        self._nodes[node.id] = node
        if node.parent is None:
            self.root = node
        else:
            self._children.setdefault(node.parent.id, []).append(node)

    def get(self, epoch: bytes) -> EpochNode | None:
        """Return an epoch by id."""
        return self._nodes.get(epoch)

    def children(self, node: EpochNode) -> list[EpochNode]:
        """Return the epochs that follow one."""
        return self._children.get(node.id, [])

    def kid(self, epoch: bytes) -> bytes:
        """Return the commitment to the data secret of a known epoch."""
        return self._nodes[epoch].kid

    def __iter__(self) -> Iterator[EpochNode]:
        return iter(self._nodes.values())

    def __len__(self) -> int:
        return len(self._nodes)
