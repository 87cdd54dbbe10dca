"""Inputs of any size that ask a decoder for the most work per byte they can think of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fuzz.mls_decoders import SIGNING_KEY, SUITE, decoders
from lutra.mls.codec import u16, u32, u32_vector, vector
from lutra.mls.key_package import create_key_package
from lutra.mls.leaf import (
    Capabilities,
    Credential,
    Extension,
    LeafNode,
    Lifetime,
    RequiredCapabilities,
)
from lutra.mls.ratchet_tree import ParentNode, RatchetTree

if TYPE_CHECKING:
    from collections.abc import Callable


def _commit_of_references(size: int) -> bytes:
    return vector(b"\x02\x00" * (size // 2)) + b"\x00"


def _commit_of_proposals(size: int) -> bytes:
    return vector(b"\x01\xf0\x01\x00" * (size // 4)) + b"\x00"


def _commit_of_pre_shared_keys(size: int) -> bytes:
    return vector(b"\x01\x00\x04\x01\x00\x00" * (size // 6)) + b"\x00"


def _commit_of_path_nodes(size: int) -> bytes:
    leaf = decoders()["leaf_node"].seeds[0]
    return vector(b"") + b"\x01" + leaf + vector(b"\x00\x00" * (size // 2))


def _commit_of_sealed_secrets(size: int) -> bytes:
    leaf = decoders()["leaf_node"].seeds[0]
    node = vector(b"") + vector(b"\x00\x00" * (size // 2))
    return vector(b"") + b"\x01" + leaf + vector(node)


def _extensions(size: int) -> bytes:
    """One of each type: the list in which duplicates take longest to find."""
    listed = b"".join(u16(kind) + b"\x00" for kind in range(min(size // 3, 0xFFFF)))
    return u16(7) + vector(listed)


def _duplicate_extensions(size: int) -> bytes:
    return u16(7) + vector(b"\x00\x01\x00" * (size // 3))


def _capabilities(size: int) -> bytes:
    return vector(b"\x00\x01" * (size // 2)) + b"\x00\x00"


def _welcome(size: int) -> bytes:
    return b"\x00\x01\x00\x03" + u16(3) + vector(b"\x00\x00\x00" * (size // 3)) + vector(b"")


def _group_secrets(size: int) -> bytes:
    return vector(b"") + b"\x00" + vector(b"\x01\x00\x00" * (size // 3))


def _blank_tree(size: int) -> bytes:
    leaf = b"\x01\x01" + decoders()["leaf_node"].seeds[0]
    return vector(b"\x00" * (size & ~1) + leaf)


def _numbered_leaf(index: int) -> LeafNode:
    template = decoders()["leaf_node"].decode(decoders()["leaf_node"].seeds[0])
    key = index.to_bytes(32, "big")
    encoded = template.encoded.replace(template.encryption_key, key)
    return decoders()["leaf_node"].decode(encoded.replace(template.signature_key, key[::-1]))


def _unmerged_tree(size: int) -> bytes:
    """All parents on the left spine list every leaf below as unmerged."""
    leaves = 2
    while leaves * 600 < size:
        leaves *= 2
    draft = RatchetTree.single(SUITE, _numbered_leaf(1)).edit()
    draft.add_leaves([_numbered_leaf(index) for index in range(2, leaves + 1)])
    width = 2
    while width <= leaves:
        key = width.to_bytes(32, "little")
        draft.set_node(width - 1, ParentNode.create(key, b"h" * 32, tuple(range(width))))
        width *= 2
    return draft.encode()


def _unmerged_elsewhere(size: int) -> bytes:
    """One parent lists leaves far outside the tree."""
    parent = vector(b"p" * 32) + vector(b"") + u32_vector(tuple(range(size // 4)))
    leaf = b"\x01\x01" + decoders()["leaf_node"].seeds[0]
    return vector(leaf + b"\x01\x02" + parent + leaf)


def _secret_tree(size: int) -> bytes:
    return u32(4) + vector(b"\x00\x00\x00\x01\x00" * (size // 5)) + vector(b"")


def _busy_key_package(size: int) -> bytes:
    """Thousands of extensions, each listed in as many capabilities, the last ones first."""
    types = tuple(range(100, 100 + min(size // 8, 0xFF00)))
    required = RequiredCapabilities(types)
    bundle = create_key_package(
        3,
        Credential.basic(b"busy"),
        SIGNING_KEY,
        lifetime=Lifetime(0, 1 << 40),
        capabilities=Capabilities(cipher_suites=(3,), extensions=types[::-1]),
        extensions=tuple(Extension(kind, b"") for kind in types),
        leaf_extensions=(required.extension(),),
    )
    return bundle.key_package.encode()


SWOLLEN: dict[str, tuple[str, Callable[[int], bytes]]] = {
    "commit of references": ("commit", _commit_of_references),
    "commit of custom proposals": ("commit", _commit_of_proposals),
    "commit of pre-shared keys": ("commit", _commit_of_pre_shared_keys),
    "path of many nodes": ("commit", _commit_of_path_nodes),
    "path node of many secrets": ("commit", _commit_of_sealed_secrets),
    "extensions of every type": ("proposal", _extensions),
    "extensions of one type": ("proposal", _duplicate_extensions),
    "long capabilities": ("required_capabilities", _capabilities),
    "key package of many extensions": ("key_package_validity", _busy_key_package),
    "welcome for many": ("message", _welcome),
    "group secrets of many keys": ("group_secrets", _group_secrets),
    "tree of blank nodes": ("ratchet_tree_validity", _blank_tree),
    "tree of unmerged leaves": ("ratchet_tree_validity", _unmerged_tree),
    "unmerged leaves elsewhere": ("ratchet_tree_validity", _unmerged_elsewhere),
    "secret tree of many nodes": ("secret_tree", _secret_tree),
}
"""What is swollen: the decoder's name and a maker of an input of about so many bytes."""
