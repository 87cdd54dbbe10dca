"""A replica without cryptography or storage, to measure the session's own cost."""

from __future__ import annotations

from collections.abc import Sequence

from core.sync.model import secret_of
from lutra.crypto.hashing import blake3_hash
from lutra.operation import Extensions, Header, LogKey
from lutra.sync.heads import HeadSet
from lutra.sync.peek import place_of
from lutra.sync.replica import ForkEvidence, IngestReport, WireOperation


def unsigned(
    author: bytes, log: bytes, group: bytes, seq_num: int, body: bytes
) -> tuple[WireOperation, bytes]:
    """Return an operation whose signature is noise, and its id."""
    header = Header(
        public_key=author,
        signature=bytes(64),
        payload_size=len(body),
        payload_hash=blake3_hash(body),
        seq_num=seq_num,
        backlink=bytes(32) if seq_num else None,
        extensions=Extensions(log=log, kind="document", group=group, epoch=bytes(32), time=1),
    ).encode()
    return WireOperation(header, body), blake3_hash(header)


class PlainReplica:
    """Keeps what it gets, by log, believing everything."""

    def __init__(self, group: bytes) -> None:
        self.group = group
        self.logs: dict[LogKey, list[WireOperation]] = {}
        self.sets = {True: HeadSet(), False: HeadSet()}
        self.held = 0
        self.ranges = 0
        self.largest_slice = 0
        self.open_documents: list[bytes] = []

    def fill(self, entries: dict[LogKey, list[tuple[WireOperation, bytes]]]) -> None:
        self.logs = {key: [op for op, _ in entry] for key, entry in entries.items()}
        self.sets[False] = HeadSet(
            (key, len(entry) - 1, entry[-1][1]) for key, entry in entries.items()
        )

    def append(self, key: LogKey, body: bytes) -> WireOperation:
        log = self.logs.setdefault(key, [])
        operation, id_ = unsigned(key.author, key.log, self.group, len(log), body)
        log.append(operation)
        self.sets[False].update(key, len(log) - 1, id_)
        return operation

    def discovery_secrets(self) -> Sequence[tuple[bytes, bytes]]:
        return [(self.group, secret_of(self.group))]

    def may_sync(self, group: bytes, device: bytes) -> bool:
        return True

    def may_tell(self, group: bytes, device: bytes) -> bool:
        return False

    def telling(self, group: bytes, device: bytes) -> None:
        raise AssertionError("everybody is in")

    def may_hear(self, group: bytes, device: bytes) -> bool:
        return False

    def branches(self, group: bytes) -> Sequence[bytes]:
        return ()

    def lacking(self, group: bytes, ids: Sequence[bytes]) -> Sequence[bytes]:
        return ()

    def operations_by_id(
        self, group: bytes, ids: Sequence[bytes], max_bytes: int
    ) -> Sequence[WireOperation | None]:
        return [None for _ in ids]

    def may_introduce(self, group: bytes, device: bytes) -> bool:
        return True

    def heads(self, group: bytes, control: bool) -> HeadSet:
        return self.sets[control]

    def priority(self, group: bytes) -> Sequence[bytes]:
        return self.open_documents

    def operations_after(
        self, key: LogKey, after: int | None, max_bytes: int
    ) -> Sequence[WireOperation]:
        start = 0 if after is None else after + 1
        log = self.logs[key]
        found: list[WireOperation] = []
        for operation in log[start:]:
            found.append(operation)
            max_bytes -= len(operation.header) + len(operation.body or b"")
            if max_bytes <= 0:
                break
        return found

    def expect(self, operations: Sequence[WireOperation]) -> None:
        pass

    def ingest(
        self, group: bytes, operations: Sequence[WireOperation], source: bytes
    ) -> IngestReport:
        self.largest_slice = max(self.largest_slice, len(operations))
        touched: dict[LogKey, bytes] = {}
        for operation in operations:
            key, seq_num, _ = place_of(operation.header)
            log = self.logs.setdefault(key, [])
            if len(log) == seq_num:
                log.append(operation)
                touched[key] = operation.header
        for key, header in touched.items():
            self.sets[False].update(key, len(self.logs[key]) - 1, blake3_hash(header))
        return IngestReport()

    def acknowledged(
        self, device: bytes, group: bytes, heads: Sequence[tuple[LogKey, int]]
    ) -> None:
        self.held += len(heads)

    def matched(
        self, device: bytes, group: bytes, control: bool, lower: bytes, upper: bytes | None
    ) -> None:
        self.ranges += 1
        self.held += self.sets[control].count(lower, upper)

    def forks(self, group: bytes) -> Sequence[ForkEvidence]:
        return ()

    def ingest_forks(self, group: bytes, evidence: Sequence[ForkEvidence], source: bytes) -> bool:
        return True
