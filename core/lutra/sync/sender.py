"""The sending side: live operations first, bulk transfer in what credit they leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from lutra.operation import LogKey
from lutra.sync import limits as bounds
from lutra.sync.flow import Flight, Outflow, operation_cost
from lutra.sync.frames import Frame, Operations, Part
from lutra.sync.group import GroupSync
from lutra.sync.limits import Limits
from lutra.sync.peek import place_of
from lutra.sync.replica import SyncReplica, WireOperation
from lutra.sync.states import Stage


class _Live(NamedTuple):
    group: GroupSync
    key: LogKey
    seq_num: int
    operation: WireOperation
    cost: int


@dataclass(slots=True)
class _Large:
    """An operation that travels in parts, interleaved with live ones.

    Attributes:
        group: its group.
        place: log and sequence number; None for one that was asked for by its id.
        after: where the peer's log stood before it.
        operation: it.
        sent: bytes of the body that have gone out.
    """

    group: GroupSync
    place: tuple[LogKey, int] | None
    after: int | None
    operation: WireOperation
    sent: int = 0


@dataclass(slots=True)
class _Batch:
    """A bulk frame in the making."""

    budget: int
    cost: int = 0
    operations: list[WireOperation] = field(default_factory=list[WireOperation])
    places: list[tuple[LogKey, int] | None] = field(default_factory=list[tuple[LogKey, int] | None])

    def add(self, key: LogKey, seq_num: int, operation: WireOperation, cost: int) -> None:
        self.operations.append(operation)
        self.places.append((key, seq_num))
        self.cost += cost

    def full_with(self, cost: int) -> bool:
        """Tell whether an operation of this cost does not fit any more."""
        return self.cost + cost > self.budget or len(self.operations) >= bounds.MAX_FRAME_OPERATIONS


class Sender:
    """Chooses what to send next to one peer.

    Bulk operations are read from the replica only when there is credit for them, so nothing but
    the names of the logs to send is kept in memory.

    Args:
        replica: where operations come from.
        outflow: the peer's credit.
        groups: the groups shared now, by id; the session's own, live mapping.
        limits: this device's choices.
    """

    def __init__(
        self,
        replica: SyncReplica,
        outflow: Outflow,
        groups: Mapping[bytes, GroupSync],
        limits: Limits,
    ) -> None:
        self._replica = replica
        self._outflow = outflow
        self._groups = groups
        self._limits = limits
        self._live: list[_Live] = []
        self._live_bytes = 0
        self._large: _Large | None = None
        self._needed = 0
        self._turn = 0

    def push(self, group: GroupSync, operations: Sequence[WireOperation]) -> None:
        """Queue new operations for the live stream unless the peer gets them otherwise."""
        for operation in operations:
            key, seq_num, _ = place_of(operation.header)
            logs = group.logs_of(key)
            if logs is group.data and group.stage is Stage.CONTROL:
                # The round about document logs includes it, unless that has gone already.
                group.since_early.setdefault(key, seq_num - 1 if seq_num else None)
                continue
            if group.known.get(key, -1) >= seq_num or logs.hasten(key):
                continue
            cost = operation_cost(operation)
            reserve = self._limits.live_reserve_bytes
            if cost > reserve // 2 or self._live_bytes + cost > reserve:
                logs.lacks(key, seq_num - 1 if seq_num else None, urgent=True)
                continue
            self._live.append(_Live(group, key, seq_num, operation, cost))
            self._live_bytes += cost

    def flush_live(self) -> list[Frame]:
        """Return frames of the queued live operations, as far as credit goes."""
        if not self._live:
            return []
        # Control operations first: documents' operations may be encrypted for their epoch.
        queue = sorted(self._live, key=lambda item: not item.group.is_control(item.key))
        frames: list[Frame] = []
        place = 0
        while place < len(queue):
            batch, cost = self._next_batch(queue, place)
            if not batch:
                break
            group = batch[0].group
            operations = [item.operation for item in batch]
            self._account(True, group, cost, [(item.key, item.seq_num) for item in batch])
            frames.append(Operations(group.handle, True, operations))
            place += len(batch)
        self._live = queue[place:]
        self._live_bytes = sum(item.cost for item in self._live)
        return frames

    def _next_batch(self, queue: list[_Live], start: int) -> tuple[list[_Live], int]:
        group = queue[start].group
        budget = min(self._outflow.available, self._limits.frame_bytes)
        batch: list[_Live] = []
        cost = 0
        for item in islice(queue, start, start + bounds.MAX_FRAME_OPERATIONS):
            if item.group is not group or cost + item.cost > budget:
                break
            batch.append(item)
            cost += item.cost
        return batch, cost

    @property
    def ready(self) -> bool:
        """There is something to send in bulk, and credit for it."""
        if self._live or self._spare < max(self._needed, self._limits.frame_bytes // 4):
            return False
        return self._large is not None or any(
            group.asked or group.control.waiting or group.data.waiting
            for group in self._groups.values()
        )

    @property
    def _spare(self) -> int:
        return self._outflow.available - self._limits.live_reserve_bytes

    def produce(self) -> Frame | None:
        """Return the next bulk frame, or None if nothing is to be sent or credit is short."""
        if self._large is not None:
            return self._next_part(self._large)
        asked = next((group for group in self._groups.values() if group.asked), None)
        if asked is not None:
            return self._answer(asked)
        chosen = self._choose()
        if chosen is None:
            return None
        group, queue = chosen
        batch = _Batch(min(self._limits.frame_bytes, self._spare))
        for key in list(islice(queue, bounds.MAX_FRAME_OPERATIONS)):
            if not self._gather(group, queue, key, batch):
                break
        if self._large is not None:
            return self._next_part(self._large)
        if not batch.operations:
            return None
        self._account(False, group, batch.cost, batch.places)
        return Operations(group.handle, False, batch.operations)

    def _answer(self, group: GroupSync) -> Frame | None:
        """Return a frame with operations the peer asked for by their ids."""
        budget = min(self._limits.frame_bytes, self._spare)
        ids = list(islice(group.asked, bounds.MAX_FRAME_OPERATIONS))
        found = self._replica.operations_by_id(group.id, ids, budget)
        batch = _Batch(budget)
        for operation_id, operation in zip(ids, found, strict=False):
            if operation is None:
                del group.asked[operation_id]
                continue
            cost = operation_cost(operation)
            if operation.body is not None and len(operation.body) > bounds.PART_BYTES:
                if not batch.operations:
                    del group.asked[operation_id]
                    self._large = _Large(group, None, None, operation)
                    return self._next_part(self._large)
                break
            if cost > self._spare:
                self._needed = cost
                break
            if batch.operations and batch.full_with(cost):
                break
            del group.asked[operation_id]
            batch.operations.append(operation)
            # A branch says nothing about how far the peer holds the log.
            batch.places.append(None)
            batch.cost += cost
        if not batch.operations:
            return None
        self._account(False, group, batch.cost, batch.places)
        return Operations(group.handle, False, batch.operations)

    def _gather(
        self, group: GroupSync, queue: dict[LogKey, int | None], key: LogKey, batch: _Batch
    ) -> bool:
        """Add operations of one log to a batch; tell whether other logs may follow."""
        after = queue[key]
        newest = group.head_seq(key)
        if newest is None or (after is not None and after >= newest):
            del queue[key]
            return True
        found = self._replica.operations_after(key, after, max(1, batch.budget - batch.cost))
        for operation in found:
            cost = operation_cost(operation)
            seq_num = place_of(operation.header).seq_num
            if operation.body is not None and len(operation.body) > bounds.PART_BYTES:
                if not batch.operations:
                    self._large = _Large(group, (key, seq_num), after, operation)
                return False
            if batch.operations and batch.full_with(cost):
                return False
            if cost > self._spare:
                self._needed = cost
                return False
            batch.add(key, seq_num, operation, cost)
            queue[key] = after = seq_num
        if not found or (after is not None and after >= newest):
            del queue[key]
        return not batch.full_with(1)

    def _next_part(self, large: _Large) -> Frame | None:
        body = large.operation.body or b""
        header = large.operation.header if large.sent == 0 else None
        chunk = body[large.sent : large.sent + bounds.PART_BYTES]
        cost = len(header or b"") + len(chunk) + bounds.OPERATION_COST
        if cost > self._spare:
            self._needed = cost
            return None
        large.sent += len(chunk)
        places: list[tuple[LogKey, int] | None] = []
        if large.sent == len(body):
            places.append(large.place)
            self._large = None
            if large.place is not None:
                key, seq_num = large.place
                large.group.logs_of(key).advance(key, large.after, seq_num)
        self._account(False, large.group, cost, places)
        return Part(large.group.handle, header, chunk)

    def _choose(self) -> tuple[GroupSync, dict[LogKey, int | None]] | None:
        """Pick the queue to serve: control, then urgent logs, then the rest; groups in turn."""
        groups = list(self._groups.values())
        self._turn += 1
        turn = self._turn % len(groups) if groups else 0
        groups = groups[turn:] + groups[:turn]
        for group in groups:
            if group.control.waiting:
                return group, group.control.urgent or group.control.pending
        for group in groups:
            if group.data.urgent:
                return group, group.data.urgent
        for group in groups:
            if group.data.pending:
                return group, group.data.pending
        return None

    def _account(
        self,
        live: bool,
        group: GroupSync,
        cost: int,
        places: Sequence[tuple[LogKey, int] | None],
    ) -> None:
        self._needed = 0
        self._outflow.sent(live, Flight(cost, group.id, list(places)))
        group.note_known(place for place in places if place is not None)

    def drop_documents(self, group: GroupSync) -> None:
        """Forget the live operations of a group's documents."""
        self._live = [
            item for item in self._live if item.group is not group or group.is_control(item.key)
        ]
        self._live_bytes = sum(item.cost for item in self._live)

    def drop(self, group: GroupSync) -> None:
        """Forget everything queued for a group that is no longer shared."""
        self._live = [item for item in self._live if item.group is not group]
        self._live_bytes = sum(item.cost for item in self._live)
        if self._large is not None and self._large.group is group:
            # The peer drops the parts it has; the next large operation starts a new one.
            self._large = None
