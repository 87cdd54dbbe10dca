"""A small, complete replica over dictionaries, nodes with sessions, and a network between them."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from lutra.crypto.hashing import blake3_hash
from lutra.crypto.signing import SigningKey
from lutra.errors import RemoteError
from lutra.log import LogHead, Placement, place
from lutra.operation import Extensions, LogKey, Operation, decode_operation, sign_operation
from lutra.sync.events import Closed, Output, PresenceReceived, Send
from lutra.sync.heads import HeadSet
from lutra.sync.limits import Limits
from lutra.sync.replica import (
    ForkEvidence,
    IngestReport,
    Refusal,
    RefusalReason,
    WireOperation,
)
from lutra.sync.session import Session
from lutra.sync.states import Role


def device(number: int) -> SigningKey:
    return SigningKey(blake3_hash(b"device %d" % number))


def group_id(number: int) -> bytes:
    return blake3_hash(b"group %d" % number)


def document_id(number: int) -> bytes:
    return blake3_hash(b"document %d" % number)


def secret_of(group: bytes) -> bytes:
    return blake3_hash(b"secret" + group)


def wire(operation: Operation) -> WireOperation:
    return WireOperation(operation.header_bytes, operation.body)


@dataclass
class Log:
    """Operations of one log from its prune point on."""

    operations: list[Operation] = field(default_factory=list[Operation])

    @property
    def head(self) -> LogHead | None:
        if not self.operations:
            return None
        last = self.operations[-1]
        return LogHead(last.seq_num, last.id, self.operations[0].seq_num)

    def at(self, seq_num: int) -> Operation | None:
        if not self.operations:
            return None
        offset = seq_num - self.operations[0].seq_num
        return self.operations[offset] if 0 <= offset < len(self.operations) else None

    def add(self, operation: Operation) -> None:
        if operation.header.extensions.prune:
            self.operations.clear()
        self.operations.append(operation)


class ModelReplica:
    """Implements `SyncReplica`: verifies everything and keeps it in dictionaries."""

    def __init__(self, key: SigningKey, founders: dict[bytes, frozenset[bytes]]) -> None:
        self.key = key
        self.device = key.public
        self.founders = founders
        self.logs: dict[bytes, dict[LogKey, Log]] = {group: {} for group in founders}
        self.sets = {(group, c): HeadSet() for group in founders for c in (False, True)}
        self.proofs: dict[tuple[bytes, LogKey], tuple[int, ForkEvidence]] = {}
        self.held_by: dict[tuple[bytes, bytes, LogKey], int] = {}
        self.tellings: list[tuple[bytes, bytes]] = []
        self.open_documents: list[bytes] = []
        self.added: dict[bytes, set[bytes]] = {group: set() for group in founders}
        self.removed: dict[bytes, set[bytes]] = {group: set() for group in founders}
        self.on_roster: Callable[[], None] = lambda: None
        self.ingest_sizes: list[int] = []

    # What an owner does.

    def roster(self, group: bytes) -> frozenset[bytes]:
        return (self.founders[group] | self.added[group]) - self.removed[group]

    def write(
        self,
        group: bytes,
        log: bytes,
        body: bytes | None,
        *,
        kind: str = "document",
        prune: bool = False,
    ) -> Operation:
        key = LogKey(self.device, log)
        head = self.logs[group].setdefault(key, Log()).head
        operation = sign_operation(
            self.key,
            seq_num=head.seq_num + 1 if head else 0,
            backlink=head.id if head else None,
            body=body,
            extensions=Extensions(log=log, kind=kind, group=group, prune=prune),
        )
        self.keep(group, operation)
        return operation

    def keep(self, group: bytes, operation: Operation) -> None:
        log = self.logs[group].setdefault(operation.log_key, Log())
        log.add(operation)
        self.sets[group, operation.log == group].update(
            operation.log_key, operation.seq_num, operation.id
        )
        if operation.kind == "group.add" and operation.body is not None:
            self.added[group].add(operation.body)
            self.on_roster()
        elif operation.kind == "group.remove" and operation.body is not None:
            self.removed[group].add(operation.body)
            self.on_roster()

    def contents(self, group: bytes) -> dict[LogKey, list[bytes]]:
        return {
            key: [operation.id for operation in log.operations]
            for key, log in self.logs[group].items()
            if log.operations
        }

    # `SyncReplica`.

    def discovery_secrets(self) -> Sequence[tuple[bytes, bytes]]:
        return [(g, secret_of(g)) for g in self.founders]

    def may_sync(self, group: bytes, device: bytes) -> bool:
        return {device, self.device} <= self.roster(group)

    def may_tell(self, group: bytes, device: bytes) -> bool:
        if self.device not in self.roster(group) or device not in self.removed[group]:
            return False
        return any(
            self.held_by.get((device, group, key), -1) < operation.seq_num
            for key, log in self.logs[group].items()
            for operation in log.operations
            if operation.kind == "group.remove" and operation.body == device
        )

    def telling(self, group: bytes, device: bytes) -> None:
        self.tellings.append((group, device))

    def may_hear(self, group: bytes, device: bytes) -> bool:
        return self.device not in self.roster(group) and device in self.roster(group)

    def branches(self, group: bytes) -> Sequence[bytes]:
        return []

    def lacking(self, group: bytes, ids: Sequence[bytes]) -> Sequence[bytes]:
        return []

    def operations_by_id(
        self, group: bytes, ids: Sequence[bytes], max_bytes: int
    ) -> Sequence[WireOperation | None]:
        return [None for _ in ids]

    def may_introduce(self, group: bytes, device: bytes) -> bool:
        return device not in self.removed[group]

    def heads(self, group: bytes, control: bool) -> HeadSet:
        return self.sets[group, control]

    def priority(self, group: bytes) -> Sequence[bytes]:
        return self.open_documents

    def operations_after(
        self, key: LogKey, after: int | None, max_bytes: int
    ) -> Sequence[WireOperation]:
        for logs in self.logs.values():
            if key in logs:
                operations = logs[key].operations
                break
        else:
            return []
        first = operations[0].seq_num if operations else 0
        start = 0 if after is None else max(0, after + 1 - first)
        found: list[WireOperation] = []
        size = 0
        for operation in operations[start : start + 512]:
            if found and size >= max_bytes:
                break
            found.append(wire(operation))
            size += len(operation.header_bytes) + len(operation.body or b"")
        return found

    def expect(self, operations: Sequence[WireOperation]) -> None:
        pass

    def ingest(
        self, group: bytes, operations: Sequence[WireOperation], source: bytes
    ) -> IngestReport:
        self.ingest_sizes.append(len(operations))
        refused: list[Refusal] = []
        forks: list[ForkEvidence] = []
        for index, (header, body) in enumerate(operations):
            reason = self._ingest_one(group, header, body, forks)
            if reason is not None:
                refused.append(Refusal(index, reason))
        return IngestReport(refused, forks)

    def _ingest_one(
        self, group: bytes, header: bytes, body: bytes | None, forks: list[ForkEvidence]
    ) -> RefusalReason | None:
        try:
            operation = decode_operation(header, body)
        except RemoteError:
            return RefusalReason.INVALID
        key = operation.log_key
        if operation.header.extensions.group != group:
            return RefusalReason.INVALID
        if operation.author not in self.founders[group] | self.added[group]:
            return RefusalReason.NOT_PERMITTED
        log = self.logs[group].setdefault(key, Log())
        proof = self.proofs.get((group, key))
        held = log.at(operation.seq_num)
        if proof is not None and operation.seq_num >= proof[0] and held is None:
            return RefusalReason.FROZEN
        placement = place(log.head, operation, held.id if held else None)
        if placement is Placement.FORK:
            if held is None:
                return RefusalReason.FORK
            evidence = ForkEvidence(held.header_bytes, operation.header_bytes)
            self._freeze(group, key, operation.seq_num, evidence)
            forks.append(evidence)
            return RefusalReason.FROZEN
        if placement is Placement.GAP:
            return RefusalReason.GAP
        if placement is not Placement.KNOWN:
            self.keep(group, operation)
        return None

    def _freeze(self, group: bytes, key: LogKey, seq_num: int, evidence: ForkEvidence) -> None:
        known = self.proofs.get((group, key))
        if known is not None and known[0] <= seq_num:
            return
        self.proofs[group, key] = (seq_num, evidence)
        log = self.logs[group].setdefault(key, Log())
        log.operations = [entry for entry in log.operations if entry.seq_num < seq_num]
        heads = self.sets[group, key.log == group]
        if log.head is None:
            heads.remove(key)
        else:
            heads.update(key, log.head.seq_num, log.head.id)

    def acknowledged(
        self, device: bytes, group: bytes, heads: Sequence[tuple[LogKey, int]]
    ) -> None:
        for key, seq_num in heads:
            entry = (device, group, key)
            self.held_by[entry] = max(self.held_by.get(entry, -1), seq_num)

    def matched(
        self, device: bytes, group: bytes, control: bool, lower: bytes, upper: bytes | None
    ) -> None:
        heads = self.sets[group, control].items(lower, upper)
        self.acknowledged(device, group, [(head.key, head.seq_num) for head in heads])

    def forks(self, group: bytes) -> Sequence[ForkEvidence]:
        return [proof for (owner, _), (_, proof) in self.proofs.items() if owner == group]

    def ingest_forks(self, group: bytes, evidence: Sequence[ForkEvidence], source: bytes) -> bool:
        for proof in evidence:
            try:
                first, second = (decode_operation(header, None) for header in proof)
            except RemoteError:
                return False
            same_place = (first.log_key, first.seq_num) == (second.log_key, second.seq_num)
            if first.id == second.id or not same_place:
                return False
            self._freeze(group, first.log_key, first.seq_num, proof)
        return True


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


class ModelNode:
    """A replica with its sessions; forwards what is new to the others, as an engine does."""

    def __init__(self, replica: ModelReplica, clock: Clock) -> None:
        self.replica = replica
        self.clock = clock
        self.sessions: dict[bytes, Session] = {}
        self.events: list[Output] = []
        self.presence: list[PresenceReceived] = []
        self._ingest = replica.ingest
        replica.ingest = self._forwarding_ingest  # type: ignore[method-assign]
        replica.on_roster = self._roster_changed

    def _roster_changed(self) -> None:
        for session in self.sessions.values():
            session.groups_changed()

    def _forwarding_ingest(
        self, group: bytes, operations: Sequence[WireOperation], source: bytes
    ) -> IngestReport:
        report = self._ingest(group, operations, source)
        refused = {refusal.index for refusal in report.refused}
        new = [entry for index, entry in enumerate(operations) if index not in refused]
        for peer, session in self.sessions.items():
            if peer != source:
                session.push(group, new)
                session.push_forks(group, report.forks)
        return report

    def write(self, group: bytes, log: bytes, body: bytes | None, **options: object) -> Operation:
        operation = self.replica.write(group, log, body, **options)  # type: ignore[arg-type]
        for session in self.sessions.values():
            session.push(group, [wire(operation)])
        return operation


class Link:
    """A channel between two nodes: frames in order, which may be cut at any moment."""

    def __init__(
        self, left: ModelNode, right: ModelNode, rng: random.Random, limits: Limits | None = None
    ) -> None:
        self.ends = (left, right)
        self.queues: tuple[deque[bytes], deque[bytes]] = (deque(), deque())
        self.bytes = [0, 0]
        self.frames = 0
        self.up = True
        self.handshake = rng.randbytes(32)
        roles = (Role.INITIATOR, Role.RESPONDER)
        self.sessions: list[Session] = []
        for (own, other), role in zip(((left, right), (right, left)), roles, strict=True):
            session = Session(
                own.replica,
                role=role,
                peer_device=other.replica.device,
                handshake_hash=self.handshake,
                clock=own.clock,
                random=rng.randbytes,
                limits=limits,
            )
            own.sessions[other.replica.device] = session
            self.sessions.append(session)

    def collect(self, side: int) -> None:
        for output in self.sessions[side].outputs():
            if isinstance(output, Send):
                self.queues[side].append(output.frame)
                self.bytes[side] += len(output.frame)
            else:
                self.ends[side].events.append(output)

    def step(self, side: int, action: int) -> bool:
        """Do one thing on one side: deliver a frame to it, or let it work. False: nothing to do."""
        session = self.sessions[side]
        incoming = self.queues[1 - side]
        if incoming and (action or not session.has_work):
            session.receive(incoming.popleft())
            self.frames += 1
        elif session.has_work:
            session.work()
        else:
            return False
        return True

    def cut(self) -> None:
        self.up = False
        left, right = self.ends
        left.sessions.pop(right.replica.device, None)
        right.sessions.pop(left.replica.device, None)


def run(
    links: Iterable[Link],
    clock: Clock,
    rng: random.Random | None = None,
    *,
    frames: int | None = None,
    at_step: Callable[[int], bool] = lambda step: False,
) -> None:
    """Let everything happen, in random order if ``rng`` is given, until nothing is left to do.

    ``at_step`` may do things of its own before each step and says whether more is to come.
    """
    links = list(links)
    steps = 0
    idle = 0
    coming = True
    while True:
        before, coming = coming, at_step(steps)
        steps += 1
        assert steps < 2_000_000, "the sessions never come to rest"
        turns = [(link, side) for link in links if link.up for side in (0, 1)]
        if rng is not None:
            rng.shuffle(turns)
        progress = False
        for link, side in turns:
            link.collect(side)
            action = rng.randrange(2) if rng is not None else steps % 2
            progress |= link.step(side, action)
            link.collect(side)
            if frames is not None and link.frames >= frames:
                return
        if progress or before:
            idle = 0
            continue
        # Whatever waits for its time gets it; two quiet rounds in a row are the end.
        clock.now += 0.1
        idle += 1
        for link, side in turns:
            link.sessions[side].tick()
        if idle > 3 and not coming:
            return


def assert_converged(*replicas: ModelReplica) -> None:
    first = replicas[0]
    for other in replicas[1:]:
        for group in first.founders.keys() & other.founders.keys():
            for control in (True, False):
                assert first.sets[group, control].items() == other.sets[group, control].items()
            for key, ids in first.contents(group).items():
                theirs = other.contents(group)[key]
                common = min(len(ids), len(theirs))
                assert ids[-common:] == theirs[-common:]


def assert_truthful(*replicas: ModelReplica, complete: bool = True) -> None:
    """What a replica believes that another holds, that one holds; all of it, if ``complete``."""
    for own in replicas:
        for other in replicas:
            if own is other:
                continue
            for (who, group, key), seq_num in own.held_by.items():
                if who == other.device and (group, key) not in other.proofs:
                    head = other.sets[group, key.log == group].get(key)
                    assert head is not None
                    assert seq_num <= head.seq_num
            if not complete:
                continue
            for (group, control), heads in own.sets.items():
                if group not in other.founders:
                    continue
                for head in heads.items():
                    believed = own.held_by.get((other.device, group, head.key), -1)
                    assert believed >= head.seq_num, (control, head.key, head.seq_num, believed)


def violations(*nodes: ModelNode) -> list[Closed]:
    return [event for node in nodes for event in node.events if isinstance(event, Closed)]
