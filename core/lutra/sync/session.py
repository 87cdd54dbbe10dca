"""One sync session: everything two devices say to each other over one channel.

Sans-IO. The owner passes received frames to `Session.receive` and new local or foreign operations
to `Session.push`, then takes `Session.outputs`; whenever `Session.has_work` is true it calls
`Session.work` (one bounded slice: ingesting or producing bulk operations) at low priority, and
takes the outputs again. `Session.deadline` says when to call `Session.tick` at the latest. All
calls come from one thread. A fault of the peer never raises: it ends the session with `Closed`.
An exception from the replica passes through; the session is unusable afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lutra.crypto.random import Random, system_random
from lutra.operation import LogKey
from lutra.sync import events as e
from lutra.sync import frames as f
from lutra.sync import limits as bounds
from lutra.sync.errors import SyncViolationError
from lutra.sync.events import CloseReason
from lutra.sync.flow import Outflow
from lutra.sync.forked import ForkedLogs
from lutra.sync.group import GroupSync
from lutra.sync.limits import Limits
from lutra.sync.presence import PresenceIn, PresenceOut
from lutra.sync.progress import Progress
from lutra.sync.receiver import Receiver
from lutra.sync.replica import ForkEvidence, SyncReplica, WireOperation
from lutra.sync.sender import Sender
from lutra.sync.sharing import Sharing
from lutra.sync.states import (
    DONE_STAGES,
    REQUEST_STAGES,
    SHARED_STAGES,
    Role,
    SessionState,
    Stage,
    check_session_frame,
    out_of_state,
)


@dataclass(slots=True)
class Statistics:
    """Counters of one session; bytes are those of frames."""

    frames_sent: int = 0
    bytes_sent: int = 0
    frames_received: int = 0
    bytes_received: int = 0
    operations_sent: int = 0
    operations_received: int = 0
    violations: int = 0
    presence_dropped: int = 0


class Session:
    """Synchronises all groups shared with one peer.

    Args:
        replica: this device's data.
        role: which side of the channel this is.
        peer_device: the peer's key, proven by the channel's handshake.
        handshake_hash: the channel's unique hash, equal on both sides.
        clock: monotonic seconds.
        random: for padding.
        limits: this device's choices.
    """

    def __init__(
        self,
        replica: SyncReplica,
        *,
        role: Role,
        peer_device: bytes,
        handshake_hash: bytes,
        clock: Callable[[], float],
        random: Random = system_random,
        limits: Limits | None = None,
    ) -> None:
        self._replica = replica
        self.peer_device = peer_device
        self._clock = clock
        self._limits = limits or Limits()
        self._state = SessionState.GREETING
        self._out: list[e.Output] = []
        self._sharing = Sharing(
            replica,
            role=role,
            peer_device=peer_device,
            handshake_hash=handshake_hash,
            padding_key=random(32),
        )
        self._groups = self._sharing.groups
        self._groups_dirty = False
        self._ingest_turn = True
        # Without credit, which the peer's greeting brings, nothing is sent.
        self._outflow = Outflow(0)
        self._sender = Sender(replica, self._outflow, self._groups, self._limits)
        self._forked = ForkedLogs(replica, self._sharing, peer_device, self._emit)
        self._receiver = Receiver(
            replica,
            peer_device,
            self._forked,
            limits=self._limits,
            clock=clock,
            emit=self._emit,
            finished=self._peer_done,
        )
        self._progress = Progress(
            replica,
            self._sharing,
            role=role,
            peer_device=peer_device,
            sender=self._sender,
            outflow=self._outflow,
            forked=self._forked,
            emit=self._emit,
            tell=self._tell,
        )
        self._greeting_deadline = clock() + self._limits.greeting_seconds
        self._presence_out = PresenceOut(self._limits.presence_seconds)
        self._presence_in = PresenceIn(self._limits.presence_per_second, clock())
        self._statistics = Statistics()
        self.close_reason: CloseReason | None = None
        self._handlers: dict[type[f.Frame], Callable[..., None]] = {
            f.Hello: self._on_hello,
            f.Announce: self._on_announce,
            f.Introduce: self._on_introduce,
            f.Round: self._on_round,
            f.Done: self._on_done,
            f.Operations: self._on_operations,
            f.Part: self._on_part,
            f.Request: self._on_request,
            f.Forks: self._forked.on_forks,
            f.Branches: self._forked.on_branches,
            f.Ask: self._forked.on_ask,
            f.Ack: self._on_ack,
            f.Presence: self._on_presence,
            f.Goodbye: self._on_goodbye,
        }
        tags = self._sharing.tags()
        self._emit(f.Hello((bounds.PROTOCOL_VERSION,), self._limits.window_bytes, tags))

    # What the owner calls.

    @property
    def closed(self) -> bool:
        """The session has ended; `outputs` still hands out what is left."""
        return self._state is SessionState.CLOSED

    @property
    def shared_groups(self) -> frozenset[bytes]:
        """Ids of the groups that both sides have proven to share."""
        return self._sharing.shared

    def stage(self, group: bytes) -> Stage | None:
        """Return how far a group has come, or None if it is not shared."""
        found = self._groups.get(group)
        return found.stage if found is not None else None

    @property
    def statistics(self) -> Statistics:
        """Counters so far."""
        self._statistics.operations_received = self._receiver.operations_received
        self._statistics.presence_dropped = self._presence_in.dropped
        return self._statistics

    @property
    def has_work(self) -> bool:
        """`work` has something to do now."""
        return self.has_arrivals or self.has_bulk

    @property
    def has_arrivals(self) -> bool:
        """`take_in` has something to do now."""
        return not self.closed and self._receiver.ready

    @property
    def has_bulk(self) -> bool:
        """`produce` has something to do now."""
        return not self.closed and self._sender.ready

    @property
    def deadline(self) -> float | None:
        """When to call `tick` and `outputs` at the latest, by the session's clock."""
        if self.closed:
            return None
        if self._state is SessionState.GREETING:
            return self._greeting_deadline
        times = (self._receiver.inflow.deadline, self._presence_out.deadline)
        return min((time for time in times if time is not None), default=None)

    def receive(self, frame: bytes) -> None:
        """Take one frame from the channel."""
        if self.closed:
            return
        self._statistics.frames_received += 1
        self._statistics.bytes_received += len(frame)
        try:
            decoded = f.decode_frame(frame)
            check_session_frame(self._state, decoded)
            self._handlers[type(decoded)](decoded)
            self._advance()
        except SyncViolationError as violation:
            self._end_by(violation)

    def work(self) -> None:
        """Do one bounded slice of bulk work, by turns `take_in` and `produce`."""
        if self.has_arrivals and (self._ingest_turn or not self.has_bulk):
            self._ingest_turn = False
            self.take_in()
        else:
            self._ingest_turn = True
            self.produce()

    def take_in(self) -> None:
        """Ingest one bounded slice of what has arrived in bulk; that burdens no connection."""
        if not self.has_arrivals:
            return
        try:
            self._receiver.work()
            self._advance()
        except SyncViolationError as violation:
            self._end_by(violation)

    def produce(self) -> None:
        """Send one bounded slice of bulk, where there is some."""
        if self._groups_dirty and self._state is SessionState.OPEN:
            self._flush()
        if not self.has_bulk:
            return
        try:
            self._emit(self._sender.produce())
            self._advance()
        except SyncViolationError as violation:
            self._end_by(violation)

    def outputs(self) -> list[e.Output]:
        """Return frames to send and events, in order; batches what was pushed since last time."""
        if self._state is SessionState.OPEN:
            self._flush()
        outputs, self._out = self._out, []
        return outputs

    def push(self, group: bytes, operations: Sequence[WireOperation]) -> None:
        """Offer operations that are newly held here, except to the session they came from.

        The replica's heads must include them already. Nothing happens where the group is not
        shared, or the peer has them or gets them by other ways.
        """
        if group in self._sharing.shared and not self.closed:
            self._sender.push(self._groups[group], operations)

    def push_forks(self, group: bytes, evidence: Sequence[ForkEvidence]) -> None:
        """Offer proofs of equivocation that are new here."""
        if group in self._sharing.shared and not self.closed:
            self._forked.prove(self._groups[group], evidence[: bounds.MAX_GROUP_FORKS])

    def push_branches(self, group: bytes, ids: Sequence[bytes]) -> None:
        """Name operations of forked control logs that are new here."""
        if group in self._sharing.shared and not self.closed:
            self._forked.name(self._groups[group], ids)

    def offer(self, group: bytes, ids: Sequence[bytes]) -> None:
        """Send single control operations without being asked."""
        if group in self._sharing.shared and not self.closed:
            self._groups[group].asked.update(dict.fromkeys(ids))

    def request(self, group: bytes, keys: Sequence[LogKey]) -> None:
        """Ask for what follows of document logs that were refused before and count now."""
        found = self._groups.get(group)
        if found is None or self.closed or found.stage not in REQUEST_STAGES[False]:
            return
        for start in range(0, len(keys), bounds.MAX_FRAME_WANTS):
            some = keys[start : start + bounds.MAX_FRAME_WANTS]
            self._emit(f.Request(found.handle, [f.Want(key, found.head_seq(key)) for key in some]))

    def presence(self, group: bytes, document: bytes, data: bytes) -> None:
        """Send an ephemeral message about a document; a newer one replaces one not sent yet.

        Raises:
            PresenceLimitError: it exceeds 4 KiB.
        """
        found = self._groups.get(group)
        shared = found is not None and found.stage in SHARED_STAGES and not found.limited
        if shared and not self.closed:
            self._presence_out.put(group, document, data)

    def groups_changed(self) -> None:
        """Look again at which groups the peer may have; takes effect with the next outputs."""
        self._groups_dirty = True

    def priority_changed(self, group: bytes) -> None:
        """Send what is left of the group's prioritised documents before the rest."""
        found = self._groups.get(group)
        if found is None:
            return
        urgent = frozenset(self._replica.priority(group))
        for key in [key for key in found.data.pending if key.log in urgent]:
            found.data.hasten(key)

    def tick(self) -> None:
        """Notice that time has passed."""
        late = self._clock() >= self._greeting_deadline
        if self._state is SessionState.GREETING and late:
            self._end(CloseReason.TIMEOUT, "The other device did not answer.", say=True)

    def close(self, message: str = "The other device has finished.") -> None:
        """End the session with a goodbye; the next outputs are the last ones."""
        if not self.closed:
            self._end(CloseReason.DONE, message, say=True)

    # Groups.

    def _reannounce(self) -> None:
        self._groups_dirty = False
        if self._sharing.refresh():
            self._emit(f.Announce(self._sharing.tags()))
        self._update_groups()

    def _update_groups(self) -> None:
        changes = self._sharing.update()
        for group, was_shared in changes.ended:
            self._receiver.drop(group)
            self._sender.drop(group)
            # It is announced no more, so that announcing it again says something.
            self._groups_dirty |= group.limited
            if was_shared and not group.limited:
                self._tell(e.GroupWithdrawn(group.id))
        if changes.restart:
            self._end(CloseReason.RESTART, "A group is shared again; connect anew.", say=True)
            return
        for tag in changes.strangers:
            self._emit(f.Introduce(tag))
        for group in changes.begun:
            self._progress.begin(group)

    # Progress.

    def _advance(self) -> None:
        if not self.closed:
            self._groups_dirty |= self._progress.advance()

    def _peer_done(self, group: GroupSync, control: bool) -> None:
        group.logs(control).got_done = True

    def _flush(self) -> None:
        now = self._clock()
        if self._groups_dirty:
            # Who is removed still gets the removal itself, but no document any more.
            for group in self._groups.values():
                if not self._replica.may_sync(group.id, self.peer_device):
                    self._progress.wind_up(group)
        for frame in self._sender.flush_live():
            self._emit(frame)
        if self._groups_dirty:
            self._reannounce()
            if self.closed:
                return
            self._advance()
        for (group, document), data in self._presence_out.take(now).items():
            if (found := self._groups.get(group)) is not None:
                self._emit(f.Presence(found.handle, document, data))
        company = any(type(output) is e.Send for output in self._out)
        if company or self._receiver.inflow.due(now):
            for ack in self._receiver.inflow.take():
                self._emit(ack)

    def _emit(self, frame: f.Frame | None) -> None:
        if frame is None or self.closed:
            return
        data = f.encode_frame(frame)
        self._statistics.frames_sent += 1
        self._statistics.bytes_sent += len(data)
        if isinstance(frame, f.Operations):
            self._statistics.operations_sent += len(frame.operations)
        self._tell(e.Send(data))

    def _tell(self, output: e.Output) -> None:
        self._out.append(output)

    # Frames.

    def _on_hello(self, frame: f.Hello) -> None:
        if bounds.PROTOCOL_VERSION not in frame.versions:
            raise SyncViolationError(
                CloseReason.VERSION, "The two devices run versions that cannot talk to each other."
            )
        self._outflow.grant(frame.window)
        self._state = SessionState.OPEN
        self._hear(frame.tags)

    def _on_announce(self, frame: f.Announce) -> None:
        self._hear(frame.tags)

    def _hear(self, tags: Sequence[bytes]) -> None:
        if self._sharing.hear(tags):
            self._emit(f.Announce(self._sharing.tags()))
        self._update_groups()

    def _on_introduce(self, frame: f.Introduce) -> None:
        self._sharing.introduce(frame.tag)

    def _on_round(self, frame: f.Round) -> None:
        group = self._sharing.by_handle(frame.handle)
        if group is not None:
            self._progress.take_round(group, frame)

    def _on_done(self, frame: f.Done) -> None:
        group = self._sharing.by_handle(frame.handle)
        if group is None:
            return
        if group.stage not in DONE_STAGES[frame.control]:
            raise out_of_state("an end of transfer of another stage")
        if group.limited and not frame.control:
            # Rounds before it were dropped, too: the peer has not heard yet that it is out.
            return
        self._receiver.done(group, frame.control)

    def _on_operations(self, frame: f.Operations) -> None:
        group = self._sharing.by_handle(frame.handle)
        if group is None:
            self._receiver.discard(frame)
        else:
            self._receiver.operations(group, frame)

    def _on_part(self, frame: f.Part) -> None:
        group = self._sharing.by_handle(frame.handle)
        if group is None:
            self._receiver.discard(frame)
        else:
            self._receiver.part(group, frame)

    def _on_request(self, frame: f.Request) -> None:
        group = self._sharing.by_handle(frame.handle)
        if group is None:
            return
        for key, after in frame.wants:
            if group.stage not in REQUEST_STAGES[group.is_control(key)]:
                raise out_of_state("a request for logs that are not exchanged yet")
            if group.limited and not group.is_control(key):
                continue
            if group.head_seq(key) is not None:
                group.known.pop(key, None)
                group.logs_of(key).lacks(key, after, urgent=True)

    def _on_ack(self, frame: f.Ack) -> None:
        flights, refused = self._outflow.acknowledge(frame)
        for group_id, key in refused:
            if (group := self._groups.get(group_id)) is not None:
                group.known.pop(key, None)
        held: dict[bytes, dict[LogKey, int]] = {}
        for flight in flights:
            heads = held.setdefault(flight.group, {})
            for place in flight.places:
                if place is not None and heads.get(place[0], -1) < place[1]:
                    heads[place[0]] = place[1]
        for group_id, heads in held.items():
            # Also of a group that has ended meanwhile: who was told of its removal says so last.
            if heads:
                self._replica.acknowledged(self.peer_device, group_id, list(heads.items()))

    def _on_presence(self, frame: f.Presence) -> None:
        group = self._sharing.by_handle(frame.handle)
        if group is not None and self._presence_in.accept(self._clock()):
            self._tell(e.PresenceReceived(group.id, frame.document, frame.data))

    def _on_goodbye(self, frame: f.Goodbye) -> None:
        self._end(frame.reason, frame.message, say=False)

    # The end.

    def _end_by(self, violation: SyncViolationError) -> None:
        self._statistics.violations += 1
        self._end(violation.reason, violation.message, say=True)

    def _end(self, reason: CloseReason, message: str, *, say: bool) -> None:
        if say:
            self._emit(f.Goodbye(reason, message))
        self._state = SessionState.CLOSED
        self.close_reason = reason
        self._tell(e.Closed(reason, message, by_peer=not say))
