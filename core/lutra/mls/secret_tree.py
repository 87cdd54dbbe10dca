"""The secret tree and its ratchets: one key per message, deleted on use (RFC 9420 §9).

A `SecretTree` is never changed: taking a key returns a new tree without it. What was consumed is
nowhere in the new tree; drop the old one and it is gone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lutra.mls import tree_math
from lutra.mls.codec import MAX_VECTOR_BYTES, Reader, u32, vector
from lutra.mls.errors import MlsMalformedError, MlsUsageError, TooFarAheadError, UsedKeyError
from lutra.mls.suites import NONCE_BYTES, CipherSuite

HANDSHAKE = 0
APPLICATION = 1
_LAST_GENERATION = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class RatchetLimits:
    """How far messages may run ahead and how many skipped keys are kept (§15.3).

    Attributes:
        forward: most generations skipped at once.
        kept: most skipped keys kept per ratchet; the oldest go first.
    """

    forward: int = 1000
    kept: int = 1000


class _Ratchet:
    __slots__ = ("generation", "secret", "skipped")

    def __init__(
        self, secret: bytes, generation: int, skipped: dict[int, tuple[bytes, bytes]]
    ) -> None:
        self.secret = secret
        self.generation = generation
        self.skipped = skipped


_NOTHING_SKIPPED: dict[int, tuple[bytes, bytes]] = {}


@dataclass(frozen=True, slots=True)
class SecretTree:
    """Message secrets of one epoch; ``repr`` hides them."""

    suite: CipherSuite
    leaves: int
    _nodes: dict[int, bytes] = field(repr=False)
    _ratchets: dict[int, _Ratchet] = field(repr=False)

    @classmethod
    def start(cls, suite: CipherSuite, leaves: int, encryption_secret: bytes) -> SecretTree:
        """Make the tree of a new epoch for ``leaves`` leaves (a power of two)."""
        return cls(suite, leaves, {tree_math.root(leaves): encryption_secret}, {})

    @classmethod
    def empty(cls, suite: CipherSuite, leaves: int) -> SecretTree:
        """Make a tree without any secret: nothing can be sent or opened with it."""
        return cls(suite, leaves, {}, {})

    def next_key(self, leaf: int, kind: int) -> tuple[SecretTree, int, bytes, bytes]:
        """Take a leaf's next key for sending: (tree without it, generation, key, nonce).

        Raises:
            MlsUsageError: the ratchet is used up, or its secrets were deleted.
        """
        tree, ratchet = self._open(leaf, kind)
        generation = ratchet.generation
        if generation >= _LAST_GENERATION:
            raise MlsUsageError("No keys are left in this epoch; commit first.", "9.1")
        key, nonce, following = self.suite.ratchet_step(ratchet.secret, generation)
        advanced = _Ratchet(following, generation + 1, ratchet.skipped)
        return tree._with(leaf, kind, advanced), generation, key, nonce

    def key_at(
        self, leaf: int, kind: int, generation: int, limits: RatchetLimits
    ) -> tuple[SecretTree, bytes, bytes]:
        """Take the key of one generation for opening: (tree without it, key, nonce).

        Raises:
            UsedKeyError: it was taken before, or dropped as too old.
            TooFarAheadError: it is further ahead than ``limits`` allow.
        """
        tree, ratchet = self._open(leaf, kind)
        if generation < ratchet.generation:
            found = ratchet.skipped.get(generation)
            if found is None:
                raise UsedKeyError("A message was opened before: its key is gone.", "9.2")
            skipped = ratchet.skipped.copy()
            del skipped[generation]
            kept = _Ratchet(ratchet.secret, ratchet.generation, skipped)
            return tree._with(leaf, kind, kept), *found
        if generation - ratchet.generation > limits.forward or generation == _LAST_GENERATION:
            raise TooFarAheadError("A message is too far ahead of those before it.", "15.3")
        step = self.suite.ratchet_step
        secret = ratchet.secret
        skipped = ratchet.skipped
        if generation > ratchet.generation:
            skipped = skipped.copy()
            for passed in range(ratchet.generation, generation):
                key, nonce, secret = step(secret, passed)
                skipped[passed] = (key, nonce)
            for oldest in list(skipped)[: max(0, len(skipped) - limits.kept)]:
                del skipped[oldest]
        key, nonce, secret = step(secret, generation)
        return tree._with(leaf, kind, _Ratchet(secret, generation + 1, skipped)), key, nonce

    def _with(self, leaf: int, kind: int, ratchet: _Ratchet) -> SecretTree:
        ratchets = self._ratchets.copy()
        ratchets[leaf << 1 | kind] = ratchet
        return SecretTree(self.suite, self.leaves, self._nodes, ratchets)

    def _open(self, leaf: int, kind: int) -> tuple[SecretTree, _Ratchet]:
        """Return a tree in which the leaf's ratchets exist, and the one asked for."""
        ratchet = self._ratchets.get(leaf << 1 | kind)
        if ratchet is not None:
            return self, ratchet
        nodes = self._nodes.copy()
        leaf_secret = self._take_leaf(nodes, leaf)
        derive, size = self.suite.expand_with_label, self.suite.hash_bytes
        ratchets = self._ratchets.copy()
        for which, label in ((HANDSHAKE, b"handshake"), (APPLICATION, b"application")):
            secret = derive(leaf_secret, label, b"", size)
            ratchets[leaf << 1 | which] = _Ratchet(secret, 0, _NOTHING_SKIPPED)
        tree = SecretTree(self.suite, self.leaves, nodes, ratchets)
        return tree, ratchets[leaf << 1 | kind]

    def _take_leaf(self, nodes: dict[int, bytes], leaf: int) -> bytes:
        """Derive a leaf's secret, replacing every secret on the way by its children's."""
        target = leaf * 2
        path = [target]
        while path[-1] not in nodes:
            if path[-1] == tree_math.root(self.leaves):
                raise MlsUsageError("The message secrets of this epoch were deleted.", "9.2")
            path.append(tree_math.parent(path[-1]))
        derive, size = self.suite.expand_with_label, self.suite.hash_bytes
        for node in reversed(path[1:]):
            secret = nodes.pop(node)
            nodes[tree_math.left(node)] = derive(secret, b"tree", b"left", size)
            nodes[tree_math.right(node)] = derive(secret, b"tree", b"right", size)
        return nodes.pop(target)

    def encode(self) -> bytes:
        """Serialise for storage."""
        nodes = b"".join(u32(node) + vector(secret) for node, secret in self._nodes.items())
        ratchets: list[bytes] = []
        for name, ratchet in self._ratchets.items():
            skipped = b"".join(
                u32(generation) + vector(key) + vector(nonce)
                for generation, (key, nonce) in ratchet.skipped.items()
            )
            ratchets.append(
                u32(name) + u32(ratchet.generation) + vector(ratchet.secret) + vector(skipped)
            )
        return u32(self.leaves) + vector(nodes) + vector(b"".join(ratchets))

    @classmethod
    def decode(cls, suite: CipherSuite, reader: Reader) -> SecretTree:
        """Read what `encode` wrote; the caller knows how many leaves there must be.

        Raises:
            MlsMalformedError: the bytes are something else.
        """
        leaves = reader.u32()
        nodes = dict(reader.items(lambda r: (r.u32(), r.vector())))
        ratchets = dict(reader.items(_decode_ratchet, MAX_VECTOR_BYTES))
        secrets = [*nodes.values(), *(ratchet.secret for ratchet in ratchets.values())]
        if any(len(secret) != suite.hash_bytes for secret in secrets) or any(
            (len(key), len(nonce)) != (suite.key_bytes, NONCE_BYTES)
            for ratchet in ratchets.values()
            for key, nonce in ratchet.skipped.values()
        ):
            raise MlsMalformedError("Stored message keys have a wrong length.", "9")
        return cls(suite, leaves, nodes, ratchets)


def _decode_ratchet(reader: Reader) -> tuple[int, _Ratchet]:
    name = reader.u32()
    generation = reader.u32()
    secret = reader.vector()
    skipped = reader.items(lambda r: (r.u32(), (r.vector(), r.vector())), MAX_VECTOR_BYTES)
    return name, _Ratchet(secret, generation, dict(skipped))
