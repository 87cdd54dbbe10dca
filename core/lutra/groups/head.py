"""Which epoch the group stands on: a function of the set of known operations (GROUPS §2.4).

Persons vote, not devices; nothing an author could grind or repeat at will decides anything.
"""

from __future__ import annotations

from dataclasses import dataclass

from lutra.crypto.hashing import blake3_hash
from lutra.groups.authorisation import Auth, Authorisation
from lutra.groups.epochs import EpochNode, EpochTree

_MAX_CACHED = 4096
_Persons = frozenset[bytes]


@dataclass(frozen=True, slots=True)
class _Vote:
    index: int
    epoch: EpochNode


@dataclass(frozen=True, slots=True)
class _Word:
    """An OK or NACK."""

    index: int
    device: bytes


class HeadChooser:
    """Votes and opinions, each recorded after everything that happened before it."""

    def __init__(self, tree: EpochTree, authorisation: Authorisation) -> None:
        self._tree = tree
        self._authorisation = authorisation
        self._votes: dict[bytes, list[_Vote]] = {}
        self._oks: dict[bytes, list[_Word]] = {}
        self._nacks: dict[bytes, list[_Word]] = {}
        self._relevant = 0
        self._heads: dict[int, EpochNode] = {}

    def vote(self, index: int, device: bytes, epoch: EpochNode) -> None:
        """Record a valid COMMIT or ACK."""
        self._votes.setdefault(device, []).append(_Vote(index, epoch))
        self._relevant |= 1 << index

    def approve(self, index: int, device: bytes, epoch: EpochNode) -> None:
        """Record an OK."""
        self._oks.setdefault(epoch.id, []).append(_Word(index, device))
        self._relevant |= 1 << index

    def reject(self, index: int, device: bytes, epoch: EpochNode) -> None:
        """Record a NACK."""
        self._nacks.setdefault(epoch.id, []).append(_Word(index, device))
        self._relevant |= 1 << index

    def head(self, known: int) -> EpochNode:
        """Return the head by the operations in the bit set ``known``, the first included."""
        known &= self._relevant | self._authorisation.relevant
        head = self._heads.get(known)
        if head is None:
            head = self._choose(known)
            if len(self._heads) >= _MAX_CACHED:
                self._heads.clear()
            self._heads[known] = head
        return head

    def vote_of(self, device: bytes, known: int) -> EpochNode | None:
        """Return the epoch that a device's latest vote within ``known`` names."""
        for vote in reversed(self._votes.get(device, ())):
            if known >> vote.index & 1:
                return vote.epoch
        return None

    def stable(self, known: int) -> EpochNode | None:
        """Return the deepest epoch at or below which every authorised person votes."""
        auth = self._authorisation.judge(known)
        support = self._support(auth, known)
        voters = frozenset(auth.devices[device] for device in auth.leaves)
        node: EpochNode | None = self.head(known)
        while node is not None and not voters <= support.get(node.id, _Persons()):
            node = node.parent
        return node

    def rejected(self) -> list[bytes]:
        """Return the epochs that anybody published a NACK of."""
        return list(self._nacks)

    def votes_apart(self, device: bytes, known: int) -> bool:
        """Tell whether a fork lies between a device's vote and the head, so that it matters."""
        voted, head = self.vote_of(device, known), self.head(known)
        if voted is None:
            return head is not self._tree.root
        above = set(map(id, voted.path()))
        for node in head.path():
            if id(node) in above:
                return node is not voted or len(self._tree.children(node)) > 1
            if node.parent is not None and len(self._tree.children(node.parent)) > 1:
                return True
        return False

    def spoke(self, device: bytes, epoch: EpochNode) -> bool:
        """Tell whether a device published an OK or NACK of an epoch."""
        words = self._oks.get(epoch.id, []) + self._nacks.get(epoch.id, [])
        return any(word.device == device for word in words)

    def _choose(self, known: int) -> EpochNode:
        auth = self._authorisation.judge(known)
        support = self._support(auth, known)
        node = self._tree.root
        assert node is not None
        while True:
            eligible = [
                child
                for child in self._tree.children(node)
                if self._is_eligible(child, auth, support, known)
            ]
            if not eligible:
                return node
            node = self._best(node, eligible, auth, support)

    def _support(self, auth: Auth, known: int) -> dict[bytes, _Persons]:
        """Return epoch → persons with a device voting at or below it."""
        by_epoch: dict[bytes, tuple[EpochNode, set[bytes]]] = {}
        for device in auth.leaves:
            voted = self.vote_of(device, known)
            if voted is not None:
                by_epoch.setdefault(voted.id, (voted, set()))[1].add(auth.devices[device])
        support: dict[bytes, _Persons] = {}
        for voted, persons in by_epoch.values():
            for node in voted.path():
                support[node.id] = support.get(node.id, _Persons()) | persons
        return support

    def _is_eligible(
        self, child: EpochNode, auth: Auth, support: dict[bytes, _Persons], known: int
    ) -> bool:
        supporters = support.get(child.id)
        if not supporters:
            return False
        if child.id not in self._nacks:
            return True
        approving = supporters | self._persons(self._oks, child, auth, known)
        assert child.parent is not None
        entitled = _roster_persons(child.parent, auth)
        rejecting = (self._persons(self._nacks, child, auth, known) & entitled) - approving
        return len(approving) - len(rejecting) >= 1

    def _persons(
        self, words: dict[bytes, list[_Word]], epoch: EpochNode, auth: Auth, known: int
    ) -> _Persons:
        return frozenset(
            auth.devices[word.device]
            for word in words.get(epoch.id, ())
            if known >> word.index & 1 and word.device in auth.leaves
        )

    def _best(
        self,
        parent: EpochNode,
        eligible: list[EpochNode],
        auth: Auth,
        support: dict[bytes, _Persons],
    ) -> EpochNode:
        if len(eligible) == 1:
            return eligible[0]
        entitled = _roster_persons(parent, auth)

        def rank(child: EpochNode) -> tuple[int, int, bytes, int]:
            votes = len(support[child.id] & entitled)
            surplus = len(child.roster.keys() - auth.leaves)
            return -votes, surplus, blake3_hash(b"tie" + parent.id + child.author), child.seq_num

        return min(eligible, key=rank)


def _roster_persons(node: EpochNode, auth: Auth) -> _Persons:
    return frozenset(auth.owner[device] for device in node.roster if device in auth.owner)
