"""Parent hashes, and what a newcomer checks in a tree (RFC 9420 §7.9, §12.4.3.1)."""

from __future__ import annotations

from lutra.mls import tree_math
from lutra.mls.codec import vector
from lutra.mls.errors import InvalidTreeError
from lutra.mls.leaf import SOURCE_COMMIT
from lutra.mls.ratchet_tree import ParentNode, RatchetTree


def parent_hash(
    tree: RatchetTree, encryption_key: bytes, above: bytes, sibling_tree_hash: bytes
) -> bytes:
    """Hash ParentHashInput (§7.9)."""
    return tree.suite.hash(vector(encryption_key) + vector(above) + vector(sibling_tree_hash))


def _hash_of(tree: RatchetTree, node: ParentNode, copath_child: int) -> bytes:
    """Return the parent hash of ``node`` with a copath child, unmerged leaves undone."""
    sibling = tree.hash_without(copath_child, node.unmerged_leaves)
    return parent_hash(tree, node.encryption_key, node.parent_hash, sibling)


def _claimed_hash(tree: RatchetTree, index: int) -> bytes | None:
    node = tree.node(index)
    if node is None:
        return None
    if isinstance(node, ParentNode):
        return node.parent_hash
    return node.parent_hash if node.source == SOURCE_COMMIT else None


def _linked_descendant(tree: RatchetTree, index: int, node: ParentNode) -> int | None:
    """Return the one descendant whose parent hash is valid with respect to ``node``."""
    found: int | None = None
    unmerged = set(node.unmerged_leaves)
    children = tree_math.left(index), tree_math.right(index)
    for child, sibling in (children, children[::-1]):
        resolution = tree.resolution(child)
        step = 1 << tree_math.level(child)
        below = {leaf * 2 for leaf in unmerged if child - step < leaf * 2 < child + step}
        # Node D is the single element of the resolution that is not an unmerged leaf of P.
        candidates = [entry for entry in resolution if entry not in below]
        if len(candidates) != 1 or len(resolution) - 1 != len(below):
            continue
        claimed = _claimed_hash(tree, candidates[0])
        if claimed is not None and claimed == _hash_of(tree, node, sibling):
            if found is not None:
                raise InvalidTreeError("A parent node is claimed from both sides.", "7.9.2")
            found = candidates[0]
    return found


def check_parent_hashes(tree: RatchetTree) -> None:
    """Check that every parent node is parent-hash valid, by exactly one chain (§7.9.2).

    Raises:
        InvalidTreeError: some parent node is not.
    """
    linked: set[int] = set()
    for index, node in tree.parents():
        descendant = _linked_descendant(tree, index, node)
        if descendant is None or descendant in linked:
            raise InvalidTreeError("A tree holds a key nobody vouches for.", "7.9.2", node=index)
        linked.add(descendant)


def check_unmerged_leaves(tree: RatchetTree) -> None:
    """Check the unmerged leaves of all parent nodes (§12.4.3.1).

    Raises:
        InvalidTreeError: one is blank, not below, or not listed by a node in between.
    """
    unmerged = {index: frozenset(node.unmerged_leaves) for index, node in tree.parents()}
    for index, leaves in unmerged.items():
        for leaf_index in leaves:
            if tree.leaf(leaf_index) is None or not tree_math.is_ancestor(index, leaf_index * 2):
                raise InvalidTreeError("A tree lists a leaf that is not there.", "12.4.3.1")
            between = tree_math.parent(leaf_index * 2)
            while between != index:
                if leaf_index not in unmerged.get(between, leaves):
                    raise InvalidTreeError("A tree omits an unmerged leaf.", "12.4.3.1")
                between = tree_math.parent(between)


def check_keys(tree: RatchetTree) -> None:
    """Check that no key occurs twice and all are keys of the suite (§7.3, §12.4.3.1).

    Raises:
        InvalidTreeError: an encryption or signature key is used twice.
        MlsMalformedError: a key is not one of the suite.
    """
    encryption: set[bytes] = set()
    signature: set[bytes] = set()
    for _, leaf in tree.members():
        if leaf.signature_key in signature:
            raise InvalidTreeError("Two members share one signature key.", "7.3")
        signature.add(leaf.signature_key)
    for node in (*(leaf for _, leaf in tree.members()), *(node for _, node in tree.parents())):
        if node.encryption_key in encryption:
            raise InvalidTreeError("A tree uses one encryption key twice.", "7.3")
        tree.suite.check_hpke_key(node.encryption_key, "12.4.3.1")
        encryption.add(node.encryption_key)
