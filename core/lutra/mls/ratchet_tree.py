"""The ratchet tree: members' leaves, parent keys, tree hashes (RFC 9420 §4, §7).

A `RatchetTree` is not changed once made. `RatchetTree.edit` gives a `TreeDraft`: a copy of two
flat lists whose nodes are shared and whose tree hashes are kept except along changed paths, so
that a new epoch of a large group costs little.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from lutra.mls import tree_math
from lutra.mls.codec import Reader, u32, u32_vector, vector
from lutra.mls.errors import InvalidTreeError, MlsMalformedError
from lutra.mls.leaf import LeafNode
from lutra.mls.suites import CipherSuite


@dataclass(frozen=True, slots=True)
class ParentNode:
    """A key shared by the members below (§7.1).

    Attributes:
        encryption_key: HPKE public key.
        parent_hash: hash of the next parent node above on the path it came with.
        unmerged_leaves: leaves below that do not hold the private key, ascending.
        encoded: the node as it is hashed.
    """

    encryption_key: bytes
    parent_hash: bytes
    unmerged_leaves: tuple[int, ...]
    encoded: bytes = field(repr=False, compare=False)

    @classmethod
    def create(
        cls, encryption_key: bytes, parent_hash: bytes, unmerged_leaves: tuple[int, ...] = ()
    ) -> ParentNode:
        """Make a node and its encoding."""
        encoded = vector(encryption_key) + vector(parent_hash) + u32_vector(unmerged_leaves)
        return cls(encryption_key, parent_hash, unmerged_leaves, encoded)

    @classmethod
    def decode(cls, reader: Reader) -> ParentNode:
        """Decode a ParentNode; its unmerged leaves must ascend (§7.1)."""
        start = reader.position
        key, parent_hash, unmerged = reader.vector(), reader.vector(), reader.u32_items()
        if any(first >= second for first, second in pairwise(unmerged)):
            raise MlsMalformedError("Unmerged leaves are not in ascending order.", "7.1")
        return cls(key, parent_hash, unmerged, reader.since(start))


MAX_LEAVES = 1 << 16
"""The largest tree accepted, blank leaves included: bounds what a forged tree can cost."""

Node = LeafNode | ParentNode | None


def _decode_node(reader: Reader) -> Node:
    if not reader.present():
        return None
    kind = reader.u8()
    if kind == 1:
        return LeafNode.decode(reader)
    if kind == 2:
        return ParentNode.decode(reader)
    raise MlsMalformedError("A tree holds a node of an unknown type.", "7.8")


class RatchetTree:
    """The public ratchet tree of one epoch; see the module's text.

    Attributes:
        suite: cipher suite, for hashing.
        leaf_count: number of leaves, blank ones included; a power of two.
    """

    __slots__ = ("_hashes", "_nodes", "leaf_count", "suite")

    def __init__(self, suite: CipherSuite, nodes: list[Node], hashes: list[bytes | None]) -> None:
        self.suite = suite
        self._nodes = nodes
        self._hashes = hashes
        self.leaf_count = (len(nodes) + 1) // 2

    @classmethod
    def single(cls, suite: CipherSuite, leaf: LeafNode) -> RatchetTree:
        """Make the tree of a group with one member (§11)."""
        return cls(suite, [leaf], [None])

    @classmethod
    def decode(cls, suite: CipherSuite, data: bytes) -> RatchetTree:
        """Decode ``optional<Node> ratchet_tree<V>`` (§12.4.3.3).

        Raises:
            MlsMalformedError: the bytes are not a tree.
            InvalidTreeError: the last node is blank, or leaves and parents are misplaced.
        """
        reader = Reader(data)
        nodes: list[Node] = list(reader.items(_decode_node))
        reader.finish()
        if not nodes or nodes[-1] is None:
            raise InvalidTreeError("A tree does not end in an occupied node.", "12.4.3.3")
        if len(nodes) > tree_math.node_count(MAX_LEAVES):
            raise InvalidTreeError("A tree is larger than supported here.", "12.4.3.3")
        for index, node in enumerate(nodes):
            if node is not None and isinstance(node, ParentNode) is (index & 1 == 0):
                raise InvalidTreeError("A tree has leaves and parents misplaced.", "12.4.3.3")
        size = tree_math.node_count(tree_math.full_leaf_count(len(nodes)))
        nodes.extend([None] * (size - len(nodes)))
        return cls(suite, nodes, [None] * size)

    def encode(self) -> bytes:
        """Encode as ``optional<Node> ratchet_tree<V>`` without trailing blanks."""
        last = len(self._nodes)
        while last and self._nodes[last - 1] is None:
            last -= 1
        parts: list[bytes] = []
        for index in range(last):
            node = self._nodes[index]
            if node is None:
                parts.append(b"\x00")
            else:
                parts.append(b"\x01\x02" if index & 1 else b"\x01\x01")
                parts.append(node.encoded)
        return vector(b"".join(parts))

    @property
    def root(self) -> int:
        """Node index of the root."""
        return self.leaf_count - 1

    @property
    def node_count(self) -> int:
        """Number of nodes, blank ones included."""
        return len(self._nodes)

    def leaf(self, index: int) -> LeafNode | None:
        """Return the leaf node at a leaf index; ``None`` if blank or outside the tree."""
        if not 0 <= index < self.leaf_count:
            return None
        return self._nodes[index * 2]  # pyright: ignore[reportReturnType]

    def node(self, index: int) -> Node:
        """Return the node at a node index."""
        return self._nodes[index]

    def parent_node(self, index: int) -> ParentNode | None:
        """Return the parent node at an odd node index, ``None`` if blank."""
        return self._nodes[index]  # pyright: ignore[reportReturnType]

    def members(self) -> Iterator[tuple[int, LeafNode]]:
        """Iterate over (leaf index, leaf) of all members, in order."""
        nodes = self._nodes
        for position in range(0, len(nodes), 2):
            leaf = nodes[position]
            if leaf is not None:
                yield position >> 1, leaf  # pyright: ignore[reportReturnType]

    def member_count(self) -> int:
        """Return the number of members."""
        return sum(1 for _ in self.members())

    def parents(self) -> Iterator[tuple[int, ParentNode]]:
        """Iterate over (node index, node) of all parent nodes that are not blank."""
        nodes = self._nodes
        for position in range(1, len(nodes), 2):
            node = nodes[position]
            if node is not None:
                yield position, node  # pyright: ignore[reportReturnType]

    def encryption_keys(self) -> set[bytes]:
        """Return all public encryption keys in the tree."""
        return {node.encryption_key for node in self._nodes if node is not None}

    def resolution(self, index: int) -> list[int]:
        """Return the node indices that together cover the subtree at ``index`` (§4.1.1)."""
        nodes = self._nodes
        result: list[int] = []
        pending = [index]
        while pending:
            current = pending.pop()
            node = nodes[current]
            if node is not None:
                result.append(current)
                if isinstance(node, ParentNode):
                    result.extend(leaf * 2 for leaf in node.unmerged_leaves)
            elif current & 1:
                pending.append(tree_math.right(current))
                pending.append(tree_math.left(current))
        return result

    def is_empty(self, index: int) -> bool:
        """Tell whether the resolution of a node is empty: all blank below."""
        step = 1 << tree_math.level(index)
        return not any(self._nodes[index - step + 1 : index + step])

    def filtered_direct_path(self, leaf_index: int) -> list[tuple[int, int]]:
        """Return (node, copath child) for the filtered direct path of a leaf (§4.1.2)."""
        node = leaf_index * 2
        path: list[tuple[int, int]] = []
        while node != self.root:
            other = tree_math.sibling(node)
            node = tree_math.parent(node)
            if not self.is_empty(other):
                path.append((node, other))
        return path

    def tree_hash(self) -> bytes:
        """Return the tree hash of the root (§7.8)."""
        return self.node_hash(self.root)

    def node_hash(self, index: int) -> bytes:
        """Return the tree hash of a subtree; computed once."""
        known = self._hashes[index]
        if known is not None:
            return known
        node = self._nodes[index]
        content = b"\x00" if node is None else b"\x01" + node.encoded
        if index & 1:
            left = self.node_hash(tree_math.left(index))
            right = self.node_hash(tree_math.right(index))
            digest = self.suite.hash(b"\x02" + content + vector(left) + vector(right))
        else:
            digest = self.suite.hash(b"\x01" + u32(index >> 1) + content)
        self._hashes[index] = digest
        return digest

    def hash_without(self, index: int, excluded: tuple[int, ...]) -> bytes:
        """Return a subtree's hash with some leaves (ascending) blanked and unlisted (§7.9)."""
        return self._hash_without(index, excluded, frozenset(excluded))

    def _hash_without(
        self, index: int, ordered: tuple[int, ...], excluded: frozenset[int]
    ) -> bytes:
        step = 1 << tree_math.level(index)
        first = bisect_left(ordered, (index - step + 2) >> 1)
        if first == len(ordered) or ordered[first] * 2 > index + step:
            return self.node_hash(index)
        if not index & 1:
            return self.suite.hash(b"\x01" + u32(index >> 1) + b"\x00")
        node = self.parent_node(index)
        content = b"\x00"
        if node is not None:
            kept = tuple(leaf for leaf in node.unmerged_leaves if leaf not in excluded)
            original = ParentNode.create(node.encryption_key, node.parent_hash, kept)
            content = b"\x01" + original.encoded
        left = self._hash_without(tree_math.left(index), ordered, excluded)
        right = self._hash_without(tree_math.right(index), ordered, excluded)
        return self.suite.hash(b"\x02" + content + vector(left) + vector(right))

    def edit(self) -> TreeDraft:
        """Return a draft that starts as this tree."""
        return TreeDraft(self.suite, self._nodes.copy(), self._hashes.copy())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RatchetTree) and self._nodes == other._nodes

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __repr__(self) -> str:
        return f"RatchetTree(members={self.member_count()}, leaves={self.leaf_count})"


class TreeDraft(RatchetTree):
    """A tree in the making; `freeze` ends the editing."""

    __slots__ = ("_blank_from",)

    def __init__(self, suite: CipherSuite, nodes: list[Node], hashes: list[bytes | None]) -> None:
        super().__init__(suite, nodes, hashes)
        self._blank_from = 0

    def freeze(self) -> RatchetTree:
        """Return the finished tree; the draft gives up its lists."""
        tree = RatchetTree(self.suite, self._nodes, self._hashes)
        no_nodes: list[Node] = []
        no_hashes: list[bytes | None] = []
        self._nodes, self._hashes = no_nodes, no_hashes
        return tree

    def _touch(self, index: int) -> None:
        # A missing hash means that all hashes above are missing too.
        hashes, top = self._hashes, self.root
        while hashes[index] is not None:
            hashes[index] = None
            if index == top:
                return
            index = tree_math.parent(index)

    def set_node(self, index: int, node: Node) -> None:
        """Replace one node."""
        self._nodes[index] = node
        self._touch(index)

    def blank_path(self, leaf_index: int) -> None:
        """Blank all nodes on a leaf's direct path."""
        nodes = self._nodes
        for index in tree_math.direct_path(leaf_index * 2, self.leaf_count):
            nodes[index] = None
        self._touch(leaf_index * 2)

    def free_leaf(self) -> int:
        """Return the leftmost blank leaf, extending the tree if there is none (§7.7).

        Raises:
            InvalidTreeError: the tree would be larger than supported.
        """
        nodes = self._nodes
        for index in range(self._blank_from, self.leaf_count):
            if nodes[index * 2] is None:
                self._blank_from = index
                return index
        free = self.leaf_count
        if free >= MAX_LEAVES:
            raise InvalidTreeError("A tree is larger than supported here.", "7.7")
        nodes.extend([None] * (2 * free))
        self._hashes.extend([None] * (2 * free))
        self.leaf_count = 2 * free
        self._blank_from = free
        return free

    def add_leaves(self, leaves: Sequence[LeafNode]) -> list[int]:
        """Apply Adds in order (§12.1.1); returns the new members' leaf indices."""
        nodes = self._nodes
        added: list[int] = []
        for leaf in leaves:
            leaf_index = self.free_leaf()
            nodes[leaf_index * 2] = leaf
            self._touch(leaf_index * 2)
            added.append(leaf_index)
        # Each parent is rebuilt once, however many leaves were added below it.
        unmerged: dict[int, list[int]] = {}
        for leaf_index in added:
            for index in tree_math.direct_path(leaf_index * 2, self.leaf_count):
                if nodes[index] is not None:
                    unmerged.setdefault(index, []).append(leaf_index)
        for index, new in unmerged.items():
            node = self.parent_node(index)
            if node is not None:
                listed = tuple(sorted((*node.unmerged_leaves, *new)))
                nodes[index] = ParentNode.create(node.encryption_key, node.parent_hash, listed)
        return added

    def update_leaf(self, leaf_index: int, leaf: LeafNode) -> None:
        """Apply an Update (§12.1.2)."""
        self.blank_path(leaf_index)
        self.set_node(leaf_index * 2, leaf)

    def remove_leaf(self, leaf_index: int) -> None:
        """Apply a Remove (§12.1.3), without truncating the tree."""
        self.blank_path(leaf_index)
        self._nodes[leaf_index * 2] = None
        self._blank_from = min(self._blank_from, leaf_index)

    def truncate(self) -> None:
        """Halve the tree while its right half is blank (§7.7)."""
        nodes = self._nodes
        leaves = self.leaf_count
        while leaves > 1 and not any(nodes[leaves : 2 * leaves - 1]):
            leaves //= 2
            del nodes[2 * leaves - 1 :]
        del self._hashes[2 * leaves - 1 :]
        self.leaf_count = leaves
        self._blank_from = min(self._blank_from, leaves)
