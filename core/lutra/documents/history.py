"""What happened to a document, when and by whom, and how it read at any moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from loro import ID, VersionVector

from lutra.documents import crdt
from lutra.documents.delta import Span

if TYPE_CHECKING:
    from loro import LoroDoc


@dataclass(frozen=True, slots=True)
class Change:
    """A run of edits by one editing place, without a long pause.

    Attributes:
        peer: Loro peer id; `owns` tells whose it is.
        start: counter of its first edit.
        end: counter after its last edit.
        time: seconds since 1970 by the author's clock, or None if it was not recorded.
        version: the moment right after this change: it and all changes listed before it.
    """

    peer: int
    start: int
    end: int
    time: int | None
    version: bytes


def changes_of(doc: LoroDoc) -> list[Change]:
    """Return all changes, oldest first, in one order that respects what built on what."""
    found: list[tuple[int, int, int, int, int]] = []
    for peer, total in crdt.counters(doc.oplog_vv).items():
        at = 0
        while at < total:
            change = doc.get_change(ID(peer, at))
            if change is None:
                break
            end = change.id.counter + change.len
            found.append((change.lamport, peer, change.id.counter, end, change.timestamp))
            at = end
    changes: list[Change] = []
    version = VersionVector()
    for _, peer, start, end, time in sorted(found):
        version.set_end(ID(peer, end))
        changes.append(Change(peer, start, end, time or None, version.encode()))
    return changes


def spans_at(doc: LoroDoc, version: bytes) -> list[Span]:
    """Return the body as it read at ``version``."""
    past = doc.fork_at(doc.vv_to_frontiers(crdt.version_of(version)))
    return crdt.spans_of(past.get_text(crdt.BODY).to_delta())


def restore(doc: LoroDoc, version: bytes) -> None:
    """Make new edits that bring ``version`` back; everything since stays in the history."""
    doc.revert_to(doc.vv_to_frontiers(crdt.version_of(version)))
