"""Arithmetic on array-based full binary trees (RFC 9420 appendix C).

Leaf ``i`` is node ``2 * i``; a tree of ``n`` leaves (a power of two) has ``2 * n - 1`` nodes.
"""

from __future__ import annotations


def level(node: int) -> int:
    """Return the height of a node above the leaves."""
    return (~node & (node + 1)).bit_length() - 1


def node_count(leaves: int) -> int:
    """Return the number of nodes of a tree with ``leaves`` leaves."""
    return 2 * leaves - 1 if leaves else 0


def full_leaf_count(nodes: int) -> int:
    """Return the leaves of the smallest full tree that has at least ``nodes`` nodes."""
    return 1 << max(0, (nodes // 2).bit_length())


def root(leaves: int) -> int:
    """Return the root of a full tree with ``leaves`` leaves."""
    return leaves - 1


def left(node: int) -> int:
    """Return the left child of an inner node."""
    return node ^ (1 << (level(node) - 1))


def right(node: int) -> int:
    """Return the right child of an inner node."""
    return node ^ (3 << (level(node) - 1))


def parent(node: int) -> int:
    """Return the parent of a node; the caller knows that it is not the root."""
    height = level(node)
    return (node | (1 << height)) & ~(1 << (height + 1))


def sibling(node: int) -> int:
    """Return the other child of the node's parent."""
    return node ^ (2 << level(node))


def direct_path(node: int, leaves: int) -> list[int]:
    """Return the ancestors of ``node``, from its parent to the root."""
    top = leaves - 1
    path: list[int] = []
    while node != top:
        node = parent(node)
        path.append(node)
    return path


def is_ancestor(ancestor: int, node: int) -> bool:
    """Tell whether ``node`` is ``ancestor`` or lies below it."""
    return ancestor - (1 << level(ancestor)) < node < ancestor + (1 << level(ancestor))


def common_ancestor(first: int, second: int) -> int:
    """Return the lowest node above or equal to both nodes."""
    while not is_ancestor(first, second):
        first = parent(first)
    return first
