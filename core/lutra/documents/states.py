"""A document as a state without history: all edits, without the words that are gone.

Loro's shallow snapshots cannot be used for this: whoever starts from one can never take in an edit
that was made at the same time as the snapshot or before it, and in a group without a server there
always are some. A state is therefore the whole graph of edits with everything blanked that nobody
sees any more: deleted text, overwritten fields, former links and comments. It is made of ordinary
updates, one for each device, which merge with whatever comes before or after them. What it still
tells of the past is how much was written and deleted, where, and by which device.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any, Final

from loro import LoroDoc, VersionVector

from lutra.documents import crdt
from lutra.documents.errors import DocumentStateError
from lutra.documents.peers import SLOT_BITS, peer_prefix
from lutra.documents.updates import MAX_COUNTER

_BLANK: Final = "\ufffd"
_OPEN_MARKS: Final = frozenset((*crdt.INCLUSIVE_MARKS, *crdt.BLOCK_ATTRIBUTES, "code"))
"""Marks whose values say nothing."""

_Json = dict[str, Any]


def state_of(
    full_update: bytes,
    document_id: bytes,
    devices: Iterable[bytes],
    *,
    timeless: bool = True,
    max_edits: int = MAX_COUNTER,
) -> list[tuple[bytes, bytes]]:
    """Return a document's state as (device, update) pairs that build on nothing else.

    Taken in in this order they have no gaps.

    Args:
        full_update: everybody's edits, see `Document.full_update`.
        document_id: the document.
        devices: those whose edits to return; edits of others are left out.
        timeless: leave out when the edits were made.
        max_edits: an update holds no more of each peer id; the rest of it follows in another one.

    Raises:
        DocumentStateError: Loro cannot read what it wrote.
    """
    try:
        whole = crdt.new_loro_doc(0)
        whole.import_(full_update)
        blanked = _blanked(whole, timeless=timeless)
        counters = crdt.counters(blanked.oplog_vv)
        parts: list[tuple[bytes, bytes]] = []
        for device in devices:
            prefix = peer_prefix(device, document_id)
            own = {peer: end for peer, end in counters.items() if peer >> SLOT_BITS == prefix}
            for start in range(0, max(own.values(), default=0), max_edits):
                ranges = {
                    peer: (start, min(end, start + max_edits))
                    for peer, end in own.items()
                    if end > start
                }
                parts.append((device, crdt.export_ranges(blanked, ranges)))
    except BaseException as error:
        if not crdt.is_loro_failure(error):
            raise
        raise DocumentStateError("A document's state cannot be written.") from error
    return parts


def _blanked(whole: LoroDoc, *, timeless: bool) -> LoroDoc:
    graph: _Json = json.loads(whole.export_json_updates(VersionVector(), whole.oplog_vv))
    operations = [(change, operation) for change in graph["changes"] for operation in change["ops"]]
    deleted = _Spans(
        span
        for _, operation in operations
        if operation["content"]["type"] == "delete" and "start_id" in operation["content"]
        for span in (_span(operation["content"]),)
    )
    visible = _visible_marks(whole)
    winners = _winners(operations, [int(peer) for peer in graph["peers"]])
    for change, operation in operations:
        content = operation["content"]
        peer = change["id"].partition("@")[2]
        if content["type"] == "mark":
            _blank_mark(content, visible)
        elif content["type"] != "insert":
            continue
        elif "text" in content:
            content["text"] = deleted.blank(peer, operation["counter"], content["text"])
        elif winners[operation["container"], content["key"]][2] is not operation:
            content["value"] = None
    for change in graph["changes"]:
        change["msg"] = None
        if timeless:
            change["timestamp"] = 0
    blanked = crdt.new_loro_doc(0)
    blanked.import_json_updates(json.dumps(graph))
    return blanked


def _span(content: _Json) -> tuple[str, int, int]:
    """Return which characters a deletion takes: peer, first, behind the last."""
    counter, _, peer = content["start_id"].partition("@")
    return peer, int(counter), int(counter) + abs(content["len"])


class _Spans:
    """Deleted characters by peer, as ranges that do not overlap."""

    def __init__(self, spans: Iterable[tuple[str, int, int]]) -> None:
        self._starts: dict[str, list[int]] = {}
        self._ends: dict[str, list[int]] = {}
        for peer, start, end in sorted(spans):
            starts = self._starts.setdefault(peer, [])
            ends = self._ends.setdefault(peer, [])
            if ends and start <= ends[-1]:
                ends[-1] = max(ends[-1], end)
            else:
                starts.append(start)
                ends.append(end)

    def blank(self, peer: str, first: int, text: str) -> str:
        """Return a text whose characters count from ``first``, without what was deleted."""
        starts = self._starts.get(peer)
        if starts is None:
            return text
        ends = self._ends[peer]
        behind = first + len(text)
        at = max(0, bisect_right(starts, first) - 1)
        letters: list[str] | None = None
        while at < len(starts) and starts[at] < behind:
            low, high = max(starts[at], first) - first, min(ends[at], behind) - first
            if low < high:
                letters = list(text) if letters is None else letters
                letters[low:high] = _BLANK * (high - low)
            at += 1
        return text if letters is None else "".join(letters)


def _winners(
    operations: Sequence[tuple[_Json, _Json]], peers: Sequence[int]
) -> dict[tuple[str, str], tuple[int, int, _Json]]:
    """Return (map, key) → the write that counts: the latest, then the one of the larger peer."""
    winners: dict[tuple[str, str], tuple[int, int, _Json]] = {}
    for change, operation in operations:
        content = operation["content"]
        if "key" not in content:
            continue
        counter, _, peer = change["id"].partition("@")
        lamport = change["lamport"] + operation["counter"] - int(counter)
        place = operation["container"], content["key"]
        found = winners.get(place)
        rank = lamport, peers[int(peer)]
        if found is None or rank > found[:2]:
            winners[place] = (*rank, operation)
    return winners


def _visible_marks(whole: LoroDoc) -> set[tuple[str, str]]:
    return {
        (name, value)
        for root in (crdt.TITLE, crdt.BODY)
        for span in crdt.spans_of(whole.get_text(root).to_delta())
        for name, value in span.attributes.items()
        if isinstance(value, str)
    }


def _blank_mark(content: _Json, visible: set[tuple[str, str]]) -> None:
    name, value = content["style_key"], content["style_value"]
    if isinstance(value, bool | None) or name in _OPEN_MARKS:
        return
    if (name, value) not in visible:
        content["style_value"] = None
