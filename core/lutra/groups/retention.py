"""When the private state of an epoch is deleted (GROUPS §2.9)."""

from __future__ import annotations

from collections.abc import Mapping

from lutra.groups.epochs import EpochNode

MAX_EPOCHS = 64
LEFT_FOR_MS = 14 * 24 * 3600 * 1000


def deletable(
    held: Mapping[bytes, int | None],
    nodes: Mapping[bytes, EpochNode],
    head: EpochNode,
    *,
    stable: EpochNode | None,
    now: int,
) -> frozenset[bytes]:
    """Return the epochs whose private state is to be deleted.

    Args:
        held: epoch → when it ceased to be the head, None while it is; in the order of entry.
        nodes: the epochs held.
        head: never deleted.
        stable: the deepest epoch at or below which every authorised person votes.
        now: milliseconds.
    """
    above = frozenset[bytes]()
    if stable is not None:
        above = frozenset(node.id for node in stable.path() if node is not stable)
    gone = {
        epoch
        for epoch, left in held.items()
        if epoch != head.id and (epoch in above or epoch not in nodes or _is_over(left, now))
    }
    kept = [epoch for epoch in held if epoch not in gone and epoch != head.id]
    excess = len(kept) + (head.id in held) - MAX_EPOCHS
    return frozenset(gone.union(kept[: max(0, excess)]))


def _is_over(left: int | None, now: int) -> bool:
    return left is not None and now - left >= LEFT_FOR_MS
