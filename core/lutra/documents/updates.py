"""What a Loro update claims, read before Loro sees it.

An update of mode FastUpdates is a header of 22 bytes and a sequence of change blocks, each of one
peer (Loro's ``docs/encoding.md``, *FastUpdates Format* and *Change Block Encoding*). The first
numbers of a block tell whose edits it holds and which ones. Reading them here costs about a
microsecond a block, and keeps edits out that their author may not make.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

from lutra.documents.errors import CounterGapError, DamagedUpdateError, ForeignPeerError
from lutra.documents.peers import SLOT_BITS

_MAGIC: Final = b"loro"
_MODE_FAST_UPDATES: Final = b"\x00\x04"
_HEADER_BYTES: Final = 22
# Loro counts in 32 bits. An honest editor never comes near; a hostile one could exhaust them.
MAX_COUNTER: Final = 2**30
MAX_LAMPORT: Final = 2**31


@dataclass(frozen=True, slots=True)
class BlockRange:
    """The edits one block of an update claims to hold.

    Attributes:
        peer: Loro peer id the edits belong to.
        start: counter of the first edit.
        end: counter after the last edit.
        lamport_end: logical time after the last edit.
    """

    peer: int
    start: int
    end: int
    lamport_end: int


def read_ranges(update: bytes) -> list[BlockRange]:
    """Return what the blocks of ``update`` claim, in their order.

    Raises:
        DamagedUpdateError: not a Loro update, a snapshot (its state could contradict its edits),
            or counters beyond what an honest editor reaches.
    """
    if update[:4] != _MAGIC or update[20:22] != _MODE_FAST_UPDATES:
        raise DamagedUpdateError("An edit is not in the form of a Loro update.")
    ranges: list[BlockRange] = []
    try:
        at = _HEADER_BYTES
        while at < len(update):
            size, at = _varint(update, at)
            end = at + size
            if size == 0 or end > len(update):
                raise DamagedUpdateError("An edit is cut off.")
            ranges.append(_block_range(update, at, end))
            at = end
    except IndexError as error:
        raise DamagedUpdateError("An edit is cut off.") from error
    return ranges


def extend_known(
    changed: dict[int, int], known: Mapping[int, int], ranges: Iterable[BlockRange], owner: int
) -> None:
    """Note in ``changed`` how far each peer's edits reach with one more update.

    Args:
        changed: peer id → number of edits, from the updates looked at before; extended.
        known: peer id → number of edits known without a gap.
        ranges: blocks of the update.
        owner: the `peer_prefix` of its author.

    Raises:
        ForeignPeerError: a block belongs to a peer id of somebody else.
        CounterGapError: edits before a block are neither known nor part of the update.
    """
    for block in sorted(ranges, key=attrgetter("start")):
        peer = block.peer
        if peer >> SLOT_BITS != owner:
            raise ForeignPeerError(
                "An edit claims to be somebody else's and was refused.", peer=peer
            )
        end = changed.get(peer)
        if end is None:
            end = known.get(peer, 0)
        if block.start > end:
            raise CounterGapError(
                "An edit came without the ones before it and was refused.",
                peer=peer,
                expected=end,
                received=block.start,
            )
        changed[peer] = max(end, block.end)


def _block_range(update: bytes, at: int, end: int) -> BlockRange:
    start, at = _varint(update, at)
    length, at = _varint(update, at)
    lamport, at = _varint(update, at)
    lamport_length, at = _varint(update, at)
    _, at = _varint(update, at)  # number of changes
    header_size, at = _varint(update, at)
    peers, at = _varint(update, at)
    if peers == 0 or header_size < 8 or at + 8 > end:
        raise DamagedUpdateError("An edit names no author.")
    lamport_end = lamport + lamport_length
    if length == 0 or start + length > MAX_COUNTER or lamport_end > MAX_LAMPORT:
        raise DamagedUpdateError("An edit carries numbers that no editor produces.")
    peer = int.from_bytes(update[at : at + 8], "little")
    return BlockRange(peer, start, start + length, lamport_end)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Read one unsigned LEB128 number of at most 32 bits."""
    value = data[at]
    at += 1
    if value < 0x80:
        return value, at
    value &= 0x7F
    for shift in (7, 14, 21, 28):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise DamagedUpdateError("An edit carries a number that is too large.")
