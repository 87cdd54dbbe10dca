"""Vectors of ratchet trees: operations, validation, TreeKEM."""

from __future__ import annotations

from lutra.crypto.random import system_random
from lutra.mls.codec import decode_whole
from lutra.mls.key_schedule import GroupContext
from lutra.mls.leaf import LeafContent, LeafNode, sign_leaf
from lutra.mls.proposals import Add, Remove, Update, UpdatePath, decode_proposal
from lutra.mls.ratchet_tree import RatchetTree
from lutra.mls.tree_validation import check_keys, check_parent_hashes, check_unmerged_leaves
from lutra.mls.treekem import (
    PrivateKeys,
    apply_new_path,
    apply_update_path,
    check_path_shape,
    check_private_keys,
    generate_path,
    node_key_pair,
    open_path,
    seal_path,
)
from lutra.mls.vectors.reading import Case, VectorMismatch, expect


def check_tree_operations(case: Case) -> None:
    """One proposal applied to a tree."""
    tree = RatchetTree.decode(case.suite, case.data("tree_before"))
    expect(tree.tree_hash() == case.data("tree_hash_before"), "tree hash before")
    draft = tree.edit()
    proposal = decode_whole(decode_proposal, case.data("proposal"))
    match proposal:
        case Add(key_package):
            draft.add_leaves([key_package.leaf])
        case Update(leaf):
            draft.update_leaf(case.number("proposal_sender"), leaf)
        case Remove(removed):
            draft.remove_leaf(removed)
            draft.truncate()
        case _:
            raise VectorMismatch("type of proposal is wrong")
    after = draft.freeze()
    expect(after.encode() == case.data("tree_after"), "tree after")
    expect(after.tree_hash() == case.data("tree_hash_after"), "tree hash after")
    expect(tree.encode() == case.data("tree_before"), "tree before, afterwards,")


def check_tree_validation(case: Case) -> None:
    """Resolutions, hashes, parent hashes and signatures of a tree."""
    tree = RatchetTree.decode(case.suite, case.data("tree"))
    for node, (resolution, digest) in enumerate(
        zip(case.values("resolutions"), case.data_list("tree_hashes"), strict=True)
    ):
        expect(tree.resolution(node) == resolution, f"resolution of node {node}")
        expect(tree.node_hash(node) == digest, f"tree hash of node {node}")
    check_keys(tree)
    check_unmerged_leaves(tree)
    check_parent_hashes(tree)
    for index, leaf in tree.members():
        signed = leaf.is_signed(case.suite, case.data("group_id"), index)
        expect(signed, f"signature of leaf {index}")


def check_treekem(case: Case) -> None:
    """Update paths, opened by every other member; then new ones likewise."""
    tree = RatchetTree.decode(case.suite, case.data("ratchet_tree"))
    private: dict[int, PrivateKeys] = {}
    signing: dict[int, bytes] = {}
    for leaf in case.parts("leaves_private"):
        index = leaf.number("index")
        keys = {index * 2: leaf.data("encryption_priv")}
        for entry in leaf.parts("path_secrets"):
            secret = entry.data("path_secret")
            keys[entry.number("node")] = node_key_pair(case.suite, secret)[0]
        check_private_keys(tree, keys)
        private[index] = keys
        signing[index] = leaf.data("signature_priv")
    for update in case.parts("update_paths"):
        sender = update.number("sender")
        path = decode_whole(UpdatePath.decode, update.data("update_path"))
        after = _merged(tree, sender, path)
        expect(after.tree_hash() == update.data("tree_hash_after"), "tree hash after")
        secrets = update.data_list("path_secrets")
        for index, opened in _open_all(case, tree, after, sender, path, private=private).items():
            expect(opened[0] == secrets[index], f"path secret of leaf {index}")
            expect(opened[1] == update.data("commit_secret"), "commit secret")
        _check_new_path(case, tree, sender, signing[sender], private)


def _merged(tree: RatchetTree, sender: int, path: UpdatePath) -> RatchetTree:
    draft = tree.edit()
    apply_update_path(draft, sender, path)
    after = draft.freeze()
    check_path_shape(after, sender, path, ())
    return after


def _context(case: Case, after: RatchetTree) -> GroupContext:
    return GroupContext.create(
        case.suite.suite_id,
        case.data("group_id"),
        case.number("epoch"),
        tree_hash=after.tree_hash(),
        confirmed_transcript_hash=case.data("confirmed_transcript_hash"),
    )


def _open_all(
    case: Case,
    tree: RatchetTree,
    after: RatchetTree,
    sender: int,
    path: UpdatePath,
    *,
    private: dict[int, PrivateKeys],
) -> dict[int, tuple[bytes, bytes]]:
    """Return (path secret, commit secret) as each other member opens them."""
    opened: dict[int, tuple[bytes, bytes]] = {}
    context = _context(case, after)
    for index, _ in tree.members():
        if index != sender:
            result = open_path(
                after, sender, path, context, own=index, private_keys=private[index], added=()
            )
            opened[index] = result.path_secret, result.commit_secret
    return opened


def _check_new_path(
    case: Case,
    tree: RatchetTree,
    sender: int,
    signature_private: bytes,
    private: dict[int, PrivateKeys],
) -> None:
    suite = case.suite
    new = generate_path(tree, sender, system_random)
    _, leaf_key = suite.hpke.generate_key_pair()
    old = tree.leaf(sender)
    if old is None:
        raise VectorMismatch("sender of a path is wrong")
    keys = signature_private, suite.signatures.public_key(signature_private)

    def make_leaf(parent_hash: bytes) -> LeafNode:
        return sign_leaf(
            suite,
            LeafContent.of(old),
            encryption_key=leaf_key,
            signature_key=keys,
            parent_hash=parent_hash,
            group_id=case.data("group_id"),
            leaf_index=sender,
        )

    draft = tree.edit()
    leaf = apply_new_path(draft, new, make_leaf)
    made = draft.freeze()
    path = seal_path(made, new, leaf, _context(case, made), added=(), random=system_random)
    after = _merged(tree, sender, decode_whole(UpdatePath.decode, path.encode()))
    expect(after.tree_hash() == made.tree_hash(), "tree hash of a new path")
    for opened in _open_all(case, tree, after, sender, path, private=private).values():
        expect(opened[1] == new.commit_secret, "commit secret of a new path")
