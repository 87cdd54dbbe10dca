"""Append-only logs: gapless sequences of one author's operations, with prune points and forks."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from lutra.errors import RemoteError
from lutra.operation import Operation


class LogHead(NamedTuple):
    """Where a log stands.

    Attributes:
        seq_num: place of the newest operation.
        id: the newest operation's id.
        first_seq: place of the oldest operation still held; above 0 after a prune.
        time: the newest operation's time in milliseconds.
    """

    seq_num: int
    id: bytes
    first_seq: int = 0
    time: int = 0


class Placement(Enum):
    """How a received operation relates to the log it names."""

    APPEND = "append"
    """It continues the log."""
    PRUNE = "prune"
    """It replaces everything before it, which may be unknown here."""
    KNOWN = "known"
    """It lies at or below the head and is, or may have been, held already."""
    GAP = "gap"
    """Operations between the head and it are missing; ask for them."""
    FORK = "fork"
    """Its author signed another operation for the same place: equivocation."""


class LogError(RemoteError):
    """An operation cannot follow what its log already holds."""

    code = "log"


def place(head: LogHead | None, operation: Operation, held_id: bytes | None) -> Placement:
    """Decide what to do with a verified operation.

    Args:
        head: the log's state, or None if nothing of it is held.
        operation: the verified operation.
        held_id: id of the operation held at the same place of the log, if any.

    Returns:
        The placement; `FORK` whenever two different operations by one author claim one place or
        one continuation of the head.
    """
    header = operation.header
    seq_num, prune = header.seq_num, header.extensions.prune
    if head is None:
        if seq_num == 0:
            return Placement.APPEND
        return Placement.PRUNE if prune else Placement.GAP
    if held_id is not None:
        return Placement.KNOWN if held_id == operation.id else Placement.FORK
    if seq_num <= head.seq_num:
        # Below the prune point nothing is left to compare with.
        return Placement.KNOWN
    if seq_num == head.seq_num + 1:
        if header.backlink != head.id:
            return Placement.FORK
        return Placement.PRUNE if prune else Placement.APPEND
    return Placement.PRUNE if prune else Placement.GAP


def advance(head: LogHead | None, operation: Operation, placement: Placement) -> LogHead:
    """Return the log's state after appending a placed operation.

    Raises:
        LogError: the placement is not one that appends.
    """
    header = operation.header
    seq_num, time = header.seq_num, header.extensions.time
    first = 0
    if head is not None:
        first = head.first_seq
        time = max(time, head.time)
    if placement is Placement.PRUNE:
        first = seq_num
    elif placement is not Placement.APPEND:
        raise LogError("An operation does not continue its log.", placement=placement.value)
    return LogHead(seq_num, operation.id, first, time)


def next_time(head: LogHead | None, now: int) -> int:
    """Return the display time for the next operation: never behind the log's last one."""
    return now if head is None else max(now, head.time + 1)
