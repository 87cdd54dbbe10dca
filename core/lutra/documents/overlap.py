"""Cutting known edits off an update.

Loro compares edits that come a second time with those it has, and refuses them where they differ.
A state without history (`lutra.documents.states`) differs from the edits themselves in what it
blanked, and an older one from a newer one: then only what is new may be taken in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lutra.documents import crdt
from lutra.documents.updates import read_ranges

if TYPE_CHECKING:
    from loro import LoroDoc


def unknown_part(doc: LoroDoc, update: bytes) -> list[bytes]:
    """Return the edits of an update that a document lacks, as updates to be taken in in order.

    An update that does not overlap with the document comes back as it is, and so does one that
    Loro cannot take apart.

    Args:
        doc: the document; it stays as it is.
        update: edits, from whichever counter on.

    Raises:
        DamagedUpdateError: the update is not one.
    """
    held = crdt.counters(doc.oplog_vv)
    firsts: dict[int, int] = {}
    ends: dict[int, int] = {}
    for block in read_ranges(update):
        firsts[block.peer] = min(block.start, firsts.get(block.peer, block.start))
        ends[block.peer] = max(block.end, ends.get(block.peer, 0))
    if all(end <= held.get(peer, 0) for peer, end in ends.items()):
        return []
    if all(start >= held.get(peer, 0) for peer, start in firsts.items()):
        return [update]
    scratch = crdt.new_loro_doc(0)
    rest = {
        peer: (0, min(end, firsts.get(peer, end)))
        for peer, end in held.items()
        if firsts.get(peer, end) > 0
    }
    behind = {peer: (end, held[peer]) for peer, end in ends.items() if end < held.get(peer, 0)}
    try:
        # What others built on the part left out waits until the update brings it back.
        if rest:
            scratch.import_(crdt.export_ranges(doc, rest))
        scratch.import_(update)
        if behind:
            scratch.import_(crdt.export_ranges(doc, behind))
        reached = crdt.counters(scratch.oplog_vv)
        ranges = {
            peer: (held.get(peer, 0), reached.get(peer, 0))
            for peer in firsts
            if reached.get(peer, 0) > held.get(peer, 0)
        }
        parts = [crdt.export_ranges(scratch, ranges)] if ranges else []
        waiting = scratch.export_pending_updates()
    except BaseException as error:
        if not crdt.is_loro_failure(error):
            raise
        crdt.abandon(scratch, error)
        return [update]
    return parts if waiting is None else [*parts, waiting]
