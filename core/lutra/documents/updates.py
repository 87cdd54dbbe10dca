"""What a Loro update claims, read before Loro sees it.

An update of mode FastUpdates is a header of 22 bytes and a sequence of change blocks, each of one
peer (Loro's ``docs/encoding.md``, *FastUpdates Format* and *Change Block Encoding*). Its numbers
tell whose edits it holds, which ones, and what they touch. Reading them here costs microseconds
and keeps out edits that their author may not make, and containers that Loro would accept but
could not read back from its own snapshot (seen with fuzzed updates that named unknown kinds).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Final, NamedTuple

from lutra.documents.crdt import BODY, FIELDS, META, TITLE
from lutra.documents.errors import CounterGapError, DamagedUpdateError, ForeignPeerError
from lutra.documents.peers import SLOT_BITS

_MAGIC: Final = b"loro"
_MODE_FAST_UPDATES: Final = b"\x00\x04"
_HEADER_BYTES: Final = 22
# Loro counts in 32 bits. An honest editor never comes near; a hostile one could exhaust them.
MAX_COUNTER: Final = 2**30
MAX_LAMPORT: Final = 2**31

_MAP: Final = 0
_TEXT: Final = 2
_KINDS: Final = {
    META.encode(): _MAP,
    FIELDS.encode(): _MAP,
    TITLE.encode(): _TEXT,
    BODY.encode(): _TEXT,
}
# What almost every update holds: edits of the body and nothing else.
_PLAIN_TYPING: Final = (b"\x01\x04\x01\x02\x00\x00", b"\x04" + BODY.encode())


class BlockRange(NamedTuple):
    """The edits one block of an update claims to hold.

    Attributes:
        peer: Loro peer id the edits belong to.
        start: counter of the first edit.
        end: counter after the last edit.
        lamport_end: logical time after the last edit.
        is_plain: holds nothing but typing and deleting in the body.
    """

    peer: int
    start: int
    end: int
    lamport_end: int
    is_plain: bool


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
    except (IndexError, ValueError) as error:
        raise DamagedUpdateError("An edit is cut off.") from error
    return ranges


def extend_known(
    changed: dict[int, int], known: Mapping[int, int], ranges: Sequence[BlockRange], owner: int
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
    for block in sorted(ranges, key=attrgetter("start")) if len(ranges) > 1 else ranges:
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
    changes, at = _varint(update, at)
    header_size, at = _varint(update, at)
    header_end = at + header_size
    peers, at = _varint(update, at)
    if peers == 0 or at + 8 > header_end:
        raise DamagedUpdateError("An edit names no author.")
    lamport_end = lamport + lamport_length
    # Logical time passes with every edit, and between two changes also with edits of others.
    times_fit = lamport_length == length if changes == 1 else lamport_length >= length
    if length == 0 or start + length > MAX_COUNTER or lamport_end > MAX_LAMPORT or not times_fit:
        raise DamagedUpdateError("An edit carries numbers that no editor produces.")
    peer = int.from_bytes(update[at : at + 8], "little")
    meta_size, at = _varint(update, header_end)
    containers_size, at = _varint(update, at + meta_size)
    containers = update[at : at + containers_size]
    keys_size, at = _varint(update, at + containers_size)
    if at + keys_size > end:
        raise DamagedUpdateError("An edit is cut off.")
    is_plain = (containers, update[at : at + keys_size]) == _PLAIN_TYPING
    if not is_plain:
        _check_containers(containers, update[at : at + keys_size])
    return BlockRange(peer, start, start + length, lamport_end, is_plain)


def _check_containers(containers: bytes, keys: bytes) -> None:
    """Refuse containers outside the schema.

    Each is five numbers: how many follow (4), whether it is a root, its kind, the peer that made
    it (roots: 0) and twice the index of its name.
    """
    names: list[bytes] = []
    at = 0
    while at < len(keys):
        size, at = _varint(keys, at)
        names.append(keys[at : at + size])
        at += size
    count, at = _varint(containers, 0)
    for _ in range(count):
        fields, root, kind, peer = containers[at : at + 4]
        name, at = _varint(containers, at + 4)
        if (
            (fields, root, peer) != (4, 1, 0)
            or name % 2
            or name // 2 >= len(names)
            or _KINDS.get(names[name // 2]) != kind
        ):
            raise DamagedUpdateError("An edit touches something that documents do not have.")
    if at != len(containers):
        raise DamagedUpdateError("An edit is cut off.")


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
