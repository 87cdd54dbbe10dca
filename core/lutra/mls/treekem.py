"""TreeKEM: new keys along a path, sealed to everybody else (RFC 9420 §7.4-§7.6)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from lutra.crypto.random import Random
from lutra.mls import tree_math
from lutra.mls.errors import InvalidCommitError, InvalidTreeError, MlsDecryptionError
from lutra.mls.key_schedule import GroupContext
from lutra.mls.leaf import LeafNode
from lutra.mls.proposals import HpkeCiphertext, UpdatePath, UpdatePathNode
from lutra.mls.ratchet_tree import ParentNode, RatchetTree, TreeDraft
from lutra.mls.suites import CipherSuite
from lutra.mls.tree_validation import parent_hash

PrivateKeys = dict[int, bytes]
"""Private keys a member holds, by node index: its leaf's and those of parents above it."""


@dataclass(frozen=True, slots=True)
class NewPath:
    """Fresh secrets of a committer's filtered direct path.

    Attributes:
        leaf_index: whose path it is.
        nodes: (node, copath child) from bottom to top.
        path_secrets: one per node.
        public_keys: one per node.
        private_keys: of the nodes, by node index.
        commit_secret: what enters the key schedule.
    """

    leaf_index: int
    nodes: list[tuple[int, int]]
    path_secrets: list[bytes] = field(repr=False)
    public_keys: list[bytes]
    private_keys: PrivateKeys = field(repr=False)
    commit_secret: bytes = field(repr=False)

    def secret_for(self, leaf_index: int) -> bytes | None:
        """Return the path secret of the lowest path node above another leaf (§12.4.3.1)."""
        for (node, _), secret in zip(self.nodes, self.path_secrets, strict=True):
            if tree_math.is_ancestor(node, leaf_index * 2):
                return secret
        return None


def node_key_pair(suite: CipherSuite, path_secret: bytes) -> tuple[bytes, bytes]:
    """Derive (private, public) key of a node from its path secret (§7.4)."""
    return suite.hpke.derive_key_pair(suite.derive_secret(path_secret, b"node"))


def generate_path(tree: RatchetTree, leaf_index: int, random: Random) -> NewPath:
    """Make fresh secrets for a leaf's filtered direct path (§7.4)."""
    suite = tree.suite
    nodes = tree.filtered_direct_path(leaf_index)
    secret = random(suite.hash_bytes)
    path_secrets: list[bytes] = []
    public_keys: list[bytes] = []
    private_keys: PrivateKeys = {}
    for node, _ in nodes:
        path_secrets.append(secret)
        private_keys[node], public = node_key_pair(suite, secret)
        public_keys.append(public)
        secret = suite.derive_secret(secret, b"path")
    return NewPath(leaf_index, nodes, path_secrets, public_keys, private_keys, secret)


def merge_path(
    draft: TreeDraft, leaf_index: int, nodes: list[tuple[int, int]], public_keys: list[bytes]
) -> bytes:
    """Put a path's public keys into a tree (§7.5); returns the parent hash its leaf must have."""
    draft.blank_path(leaf_index)
    above = b""
    for (node, copath), public_key in zip(reversed(nodes), reversed(public_keys), strict=True):
        draft.set_node(node, ParentNode.create(public_key, above))
        above = parent_hash(draft, public_key, above, draft.node_hash(copath))
    return above


def apply_new_path(
    draft: TreeDraft, path: NewPath, make_leaf: Callable[[bytes], LeafNode]
) -> LeafNode:
    """Put one's own new path and leaf into a tree; ``make_leaf`` signs it with its parent hash."""
    expected = merge_path(draft, path.leaf_index, path.nodes, path.public_keys)
    leaf = make_leaf(expected)
    draft.set_node(path.leaf_index * 2, leaf)
    return leaf


def apply_update_path(draft: TreeDraft, leaf_index: int, path: UpdatePath) -> None:
    """Put a received path into a tree (§7.5, §12.4.2).

    Raises:
        InvalidCommitError: it has the wrong length, reuses a key, or its parent hash is wrong.
        MlsMalformedError: a key is not one of the suite.
    """
    nodes = draft.filtered_direct_path(leaf_index)
    if len(nodes) != len(path.nodes):
        raise InvalidCommitError("An update path has the wrong length.", "7.6")
    keys = [node.encryption_key for node in path.nodes]
    new_keys = {path.leaf.encryption_key, *keys}
    if len(new_keys) != len(keys) + 1 or not new_keys.isdisjoint(draft.encryption_keys()):
        raise InvalidCommitError("An update path reuses a key.", "12.4.2")
    for key in new_keys:
        draft.suite.check_hpke_key(key, "12.4.2")
    expected = merge_path(draft, leaf_index, nodes, keys)
    if path.leaf.parent_hash != expected:
        raise InvalidCommitError("An update path breaks the chain of parent hashes.", "7.9.2")
    draft.set_node(leaf_index * 2, path.leaf)


def _recipients(tree: RatchetTree, copath: int, excluded: Collection[int]) -> list[int]:
    resolution = tree.resolution(copath)
    if not excluded:
        return resolution
    return [node for node in resolution if node & 1 or node >> 1 not in excluded]


def seal_path(
    tree: RatchetTree,
    path: NewPath,
    leaf: LeafNode,
    context: GroupContext,
    *,
    added: Collection[int],
    random: Random,
) -> UpdatePath:
    """Seal a new path's secrets to everybody else (§7.6).

    Args:
        tree: the tree with the path in it.
        path: one's new secrets.
        leaf: one's new leaf.
        context: provisional group context.
        added: leaf indices of members added by the same commit, who get a Welcome instead.
        random: source of ephemeral keys.
    """
    seal = tree.suite.sealer(b"UpdatePathNode", context.encoded, random)
    sealed_nodes: list[UpdatePathNode] = []
    for (_, copath), secret, public in zip(
        path.nodes, path.path_secrets, path.public_keys, strict=True
    ):
        ciphertexts: list[HpkeCiphertext] = []
        for index in _recipients(tree, copath, added):
            node = tree.node(index)
            if node is not None:
                sealed = seal(node.encryption_key, secret)
                ciphertexts.append(HpkeCiphertext(*sealed))
        sealed_nodes.append(UpdatePathNode(public, tuple(ciphertexts)))
    return UpdatePath(leaf, tuple(sealed_nodes))


def check_path_shape(
    tree: RatchetTree, leaf_index: int, path: UpdatePath, added: Collection[int]
) -> None:
    """Check that each path node has one ciphertext per recipient (§7.6).

    Raises:
        InvalidCommitError: some node has not.
    """
    for (_, copath), node in zip(tree.filtered_direct_path(leaf_index), path.nodes, strict=True):
        if len(_recipients(tree, copath, added)) != len(node.encrypted_path_secrets):
            raise InvalidCommitError("An update path has the wrong number of secrets.", "7.6")


@dataclass(frozen=True, slots=True)
class OpenedPath:
    """What a receiver learns from an update path: new private keys and the commit secret."""

    private_keys: PrivateKeys = field(repr=False)
    path_secret: bytes = field(repr=False)
    commit_secret: bytes = field(repr=False)


def open_path(
    tree: RatchetTree,
    sender: int,
    path: UpdatePath,
    context: GroupContext,
    *,
    own: int,
    private_keys: PrivateKeys,
    added: Collection[int],
) -> OpenedPath:
    """Open an update path (§7.5) that was merged into ``tree``.

    Args:
        tree: the tree with the path in it.
        sender: leaf index of the committer.
        path: what it sent.
        context: provisional group context.
        own: one's leaf index.
        private_keys: one's keys before the path.
        added: leaf indices of members added by the same commit.

    Raises:
        MlsDecryptionError: the secret meant for this member does not open.
        InvalidCommitError: the path's public keys do not come from its secrets.
    """
    nodes = tree.filtered_direct_path(sender)
    for position, (index, copath) in enumerate(nodes):
        if not tree_math.is_ancestor(copath, own * 2):
            continue
        for place, recipient in enumerate(_recipients(tree, copath, added)):
            private = private_keys.get(recipient)
            node = tree.node(recipient)
            if private is None or node is None:
                continue
            sealed = path.nodes[position].encrypted_path_secrets[place]
            secret = tree.suite.decrypt_with_label(
                (private, node.encryption_key),
                b"UpdatePathNode",
                context.encoded,
                sealed.kem_output,
                sealed.ciphertext,
            )
            keys, commit_secret = derive_upwards(tree, sender, index, secret)
            return OpenedPath(keys, secret, commit_secret)
    raise MlsDecryptionError("An update path holds no secret for this member.", "7.5")


def derive_upwards(
    tree: RatchetTree, leaf_index: int, start: int, path_secret: bytes
) -> tuple[PrivateKeys, bytes]:
    """Derive the private keys of a path from one node up: (keys by node, commit secret).

    Raises:
        InvalidCommitError: the public keys in the tree do not belong to the secrets.
    """
    suite = tree.suite
    keys: PrivateKeys = {}
    for index, _ in tree.filtered_direct_path(leaf_index):
        if not tree_math.is_ancestor(index, start):
            continue
        keys[index], public = node_key_pair(suite, path_secret)
        node = tree.node(index)
        if node is None or node.encryption_key != public:
            raise InvalidCommitError("A path's keys do not belong to its secrets.", "7.5")
        path_secret = suite.derive_secret(path_secret, b"path")
    return keys, path_secret


def prune_keys(private_keys: PrivateKeys, tree: RatchetTree) -> PrivateKeys:
    """Drop private keys whose nodes are blank now, or cut off."""
    count = tree.node_count
    return {
        index: key
        for index, key in private_keys.items()
        if index < count and tree.node(index) is not None
    }


def check_private_keys(tree: RatchetTree, private_keys: PrivateKeys) -> None:
    """Check that private keys belong to the nodes of a tree.

    Raises:
        InvalidTreeError: one does not.
    """
    for index, private in private_keys.items():
        node = tree.node(index)
        if node is None or tree.suite.hpke.public_key(private) != node.encryption_key:
            raise InvalidTreeError("A private key does not fit the tree.", "7.5")
