"""The receiving side: live operations at once, bulk ones in slices, all bounded by credit."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from lutra.errors import MalformedError
from lutra.operation import MAX_BODY_BYTES, LogKey
from lutra.sync import limits as bounds
from lutra.sync.errors import SyncViolationError, malformed
from lutra.sync.events import CloseReason
from lutra.sync.flow import Inflow, operation_cost
from lutra.sync.forked import ForkedLogs
from lutra.sync.frames import Frame, Operations, Part, Request, Want
from lutra.sync.group import GroupSync
from lutra.sync.limits import Limits
from lutra.sync.peek import Place, place_of
from lutra.sync.replica import RefusalReason, SyncReplica, WireOperation
from lutra.sync.states import Stage, out_of_state

_EARLY = (Stage.INTRODUCTION, Stage.CONTROL)


@dataclass(slots=True)
class _Arrived:
    """A frame's operations that wait to be ingested."""

    group: GroupSync
    live: bool
    numbers: Sequence[int]
    operations: Sequence[WireOperation]
    places: Sequence[Place]
    cost: int
    huge: bool = False


@dataclass(slots=True)
class _Finished:
    """The peer's word that it has sent everything, which counts after what came before it."""

    group: GroupSync
    control: bool


@dataclass(slots=True)
class _Assembly:
    """A large operation of which parts have come."""

    group: GroupSync
    header: bytes
    place: Place
    huge: bool
    body: bytearray = field(default_factory=bytearray)
    numbers: list[int] = field(default_factory=list[int])
    cost: int = 0


class Receiver:
    """Takes one peer's operations in.

    Args:
        replica: where operations go.
        peer_device: whom they come from.
        forked: tells, and asks, about forked control logs.
        limits: this device's choices.
        clock: seconds, monotonic.
        emit: takes frames to answer with.
        finished: called with group and kind of logs when all the peer sent of it is ingested.
    """

    def __init__(
        self,
        replica: SyncReplica,
        peer_device: bytes,
        forked: ForkedLogs,
        *,
        limits: Limits,
        clock: Callable[[], float],
        emit: Callable[[Frame], None],
        finished: Callable[[GroupSync, bool], None],
    ) -> None:
        self._replica = replica
        self._peer = peer_device
        self._forked = forked
        self._limits = limits
        self._clock = clock
        self._emit = emit
        self._finished = finished
        self.inflow = Inflow(limits.window_bytes, limits.acknowledge_seconds)
        self.operations_received = 0
        self._inbox: deque[_Arrived | _Finished] = deque()
        self._waiting_keys: Counter[LogKey] = Counter()
        self._assembly: _Assembly | None = None
        self._huge_waits = 0
        self._held_parts: list[int] = []

    @property
    def ready(self) -> bool:
        """Something waits to be ingested."""
        return bool(self._inbox)

    def operations(self, group: GroupSync, frame: Operations) -> None:
        """Take a frame: ingest live operations at once unless their log's bulk comes first.

        Raises:
            SyncViolationError: beyond credit, not an operation, not allowed yet, or invalid.
        """
        cost = sum(map(operation_cost, frame.operations))
        number = self.inflow.admit(frame.live, cost)
        places = [self._place(group, operation) for operation in frame.operations]
        arrived = _Arrived(group, frame.live, [number], frame.operations, places, cost)
        early = group.stage in _EARLY and group.control.heard_done
        if frame.live and not early and not any(p.key in self._waiting_keys for p in places):
            self._ingest([arrived])
        else:
            self._queue(arrived)

    def part(self, group: GroupSync, frame: Part) -> None:
        """Take a piece of a large operation.

        Credit for its parts comes back when it is worked off, as with others; where it could take
        up the window, already while it is put together.

        Raises:
            SyncViolationError: as for `operations`, or parts do not fit together.
        """
        cost = len(frame.header or b"") + len(frame.chunk) + bounds.OPERATION_COST
        number = self.inflow.admit(False, cost)
        if frame.header is not None:
            if self._assembly is not None:
                raise out_of_state("a large operation within another")
            place = self._place(group, WireOperation(frame.header, None))
            if not bounds.PART_BYTES < place.body_bytes <= MAX_BODY_BYTES:
                raise malformed("A peer sent an operation in parts whose size does not need any.")
            huge = place.body_bytes > self._limits.window_bytes // 4
            self._assembly = _Assembly(group, frame.header, place, huge)
        assembly = self._assembly
        if assembly is None or assembly.group is not group:
            raise out_of_state("a part of no operation")
        assembly.body += frame.chunk
        assembly.cost += cost
        missing = assembly.place.body_bytes - len(assembly.body)
        if missing < 0 or (missing and len(frame.chunk) < bounds.PART_BYTES):
            raise malformed("A peer sent parts of an operation that do not add up.")
        if not missing:
            self._assembly = None
            self._put_together(assembly, number)
        elif not assembly.huge:
            assembly.numbers.append(number)
        elif self._huge_waits:
            # One whole huge operation may wait; credit for the next one comes afterwards.
            self._held_parts.append(number)
        else:
            self.inflow.settle(False, number, (), self._clock())

    def _put_together(self, assembly: _Assembly, last: int) -> None:
        operation = WireOperation(assembly.header, bytes(assembly.body))
        numbers, places = [*assembly.numbers, last], [assembly.place]
        self._queue(
            _Arrived(
                assembly.group,
                live=False,
                numbers=numbers,
                operations=[operation],
                places=places,
                cost=assembly.cost,
                huge=assembly.huge,
            )
        )

    def done(self, group: GroupSync, control: bool) -> None:
        """Note that the peer has sent everything; it takes effect after what came before.

        Raises:
            SyncViolationError: it comes twice, or before the reconciliation has finished.
        """
        logs = group.logs(control)
        part = self._assembly
        unfinished = (
            part is not None and part.group is group and group.is_control(part.place.key) is control
        )
        introduction = group.stage is Stage.INTRODUCTION and not group.introduces
        asked = logs.exchange.finished or introduction
        if logs.heard_done or not asked or unfinished:
            raise out_of_state("an end of transfer")
        logs.heard_done = True
        if self._inbox:
            self._inbox.append(_Finished(group, control))
        else:
            self._finished(group, control)

    def work(self) -> None:
        """Ingest one slice of what waits.

        Raises:
            SyncViolationError: an operation is invalid.
        """
        first = self._inbox.popleft()
        if type(first) is _Finished:
            self._finished(first.group, first.control)
            return
        assert type(first) is _Arrived
        batch = [first]
        count, cost = len(first.operations), first.cost
        while self._inbox:
            item = self._inbox[0]
            if type(item) is not _Arrived or item.group is not first.group:
                break
            count += len(item.operations)
            cost += item.cost
            if count > self._limits.slice_operations or cost > self._limits.slice_bytes:
                break
            batch.append(item)
            self._inbox.popleft()
        for item in batch:
            self._forget(item)
        self._expect_more()
        self._ingest(batch)

    def _expect_more(self) -> None:
        """Let the replica prepare for what will be the next slice, or part of it."""
        most = self._limits.slice_operations
        following = [item for item in islice(self._inbox, most) if type(item) is _Arrived]
        operations = [operation for item in following for operation in item.operations]
        if operations:
            self._replica.expect(operations[:most])

    def discard(self, frame: Operations | Part) -> None:
        """Count a frame for a group that is no longer shared, and drop it.

        Raises:
            SyncViolationError: beyond credit.
        """
        if isinstance(frame, Part):
            cost = len(frame.header or b"") + len(frame.chunk) + bounds.OPERATION_COST
            number = self.inflow.admit(False, cost)
            self.inflow.settle(False, number, (), self._clock())
            return
        number = self.inflow.admit(frame.live, sum(map(operation_cost, frame.operations)))
        self.inflow.settle(frame.live, number, range(len(frame.operations)), self._clock())

    def drop(self, group: GroupSync) -> None:
        """Forget everything of a group that is no longer shared."""
        kept: deque[_Arrived | _Finished] = deque()
        for item in self._inbox:
            if item.group is not group:
                kept.append(item)
            elif type(item) is _Arrived:
                self._forget(item)
                self._settle(item, range(len(item.operations)))
        self._inbox = kept
        if self._assembly is not None and self._assembly.group is group:
            for number in self._assembly.numbers:
                self.inflow.settle(False, number, (), self._clock())
            self._assembly = None

    def _place(self, group: GroupSync, operation: WireOperation) -> Place:
        try:
            place = place_of(operation.header)
        except MalformedError as error:
            raise SyncViolationError(CloseReason.OPERATION, error.message) from error
        early = group.stage in _EARLY and not group.control.heard_done
        if early and not group.is_control(place.key):
            raise out_of_state("a document's operation before the control logs are equal")
        return place

    def _queue(self, arrived: _Arrived) -> None:
        self._inbox.append(arrived)
        self._waiting_keys.update(place.key for place in arrived.places)
        self._huge_waits += arrived.huge

    def _forget(self, arrived: _Arrived) -> None:
        for place in arrived.places:
            if self._waiting_keys[place.key] == 1:
                del self._waiting_keys[place.key]
            else:
                self._waiting_keys[place.key] -= 1

    def _ingest(self, batch: list[_Arrived]) -> None:
        group = batch[0].group
        operations = [operation for item in batch for operation in item.operations]
        places = [place for item in batch for place in item.places]
        self.operations_received += len(operations)
        report = self._replica.ingest(group.id, operations, self._peer)
        refused = {refusal.index: refusal.reason for refusal in report.refused}
        if RefusalReason.INVALID in refused.values():
            raise SyncViolationError(
                CloseReason.OPERATION, "A peer sent an operation that is not valid."
            )
        held: dict[LogKey, int] = {}
        for index, place in enumerate(places):
            if index not in refused and held.get(place.key, -1) < place.seq_num:
                held[place.key] = place.seq_num
        group.note_known(held.items())
        if held:
            self._replica.acknowledged(self._peer, group.id, list(held.items()))
        start = 0
        for item in batch:
            end = start + len(item.operations)
            self._settle(item, [index - start for index in refused if start <= index < end])
            start = end
        if group.stage is not Stage.INTRODUCTION:  # There we only listen.
            self._answer_refusals(group, places, refused)
            self._forked.prove(group, report.forks)
            self._forked.ask(group, report.missing, has=True)

    def _settle(self, item: _Arrived, refused: Sequence[int]) -> None:
        now = self._clock()
        for number in item.numbers[:-1]:
            self.inflow.settle(item.live, number, (), now)
        self.inflow.settle(item.live, item.numbers[-1], refused, now)
        if item.huge:
            self._huge_waits -= 1
            for number in self._held_parts:
                self.inflow.settle(False, number, (), now)
            self._held_parts = []

    def _answer_refusals(
        self, group: GroupSync, places: Sequence[Place], refused: dict[int, RefusalReason]
    ) -> None:
        wants: dict[LogKey, int | None] = {}
        for index, reason in refused.items():
            key = places[index].key
            whole = reason is RefusalReason.FORK
            gap = reason is RefusalReason.GAP and key not in self._waiting_keys
            if (whole or (gap and key not in wants)) and group.may_request(key, whole=whole):
                wants[key] = None if whole else group.head_seq(key)
        if wants:
            self._emit(Request(group.handle, [Want(key, after) for key, after in wants.items()]))
