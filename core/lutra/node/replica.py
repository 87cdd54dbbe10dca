"""The engine's side of sync sessions: implements `lutra.sync.replica.SyncReplica`."""

from __future__ import annotations

from collections.abc import Sequence

from lutra.node.acknowledgements import Acknowledgements
from lutra.node.catching_up import CatchingUp
from lutra.node.context import Context
from lutra.node.document_registry import DocumentRegistry
from lutra.node.group_registry import GroupRegistry
from lutra.node.ingest import Ingest
from lutra.node.log_keeper import LogKeeper
from lutra.operation import LogKey, decode_operation
from lutra.sync.heads import HeadSet
from lutra.sync.replica import ForkEvidence, IngestReport, WireOperation


class StoredReplica:
    """Answers sessions from the store; runs inside the engine's transactions."""

    def __init__(
        self,
        context: Context,
        logs: LogKeeper,
        *,
        groups: GroupRegistry,
        documents: DocumentRegistry,
        ingest: Ingest,
        acknowledgements: Acknowledgements,
        catching_up: CatchingUp,
    ) -> None:
        self._context = context
        self._logs = logs
        self._groups = groups
        self._documents = documents
        self._ingest = ingest
        self._acknowledgements = acknowledgements
        self._catching_up = catching_up

    def discovery_secrets(self) -> Sequence[tuple[bytes, bytes]]:
        """Return (group id, discovery secret) of the groups this device is in."""
        return [
            (row.id, row.discovery_secret)
            for row in self._context.store.groups.list()
            if row.discovery_secret and not row.left and not self._catching_up.holds_back(row.id)
        ]

    def may_sync(self, group: bytes, device: bytes) -> bool:
        """Tell whether ``device`` is in the group's roster as it is known here."""
        members = self._context.store.members
        found = members.get(group, device)
        if found is not None:
            return not found.removed
        # Only just let in: whoever proved to know the group may tell who is in it.
        return not members.list(group)

    def may_introduce(self, group: bytes, device: bytes) -> bool:
        """Tell whether ``device`` could be a newcomer not heard of here: it was never removed."""
        known = self._context.store.members.get(group, device)
        return known is None or not known.removed

    def heads(self, group: bytes, control: bool) -> HeadSet:
        """Return the live set of heads of control or document logs."""
        return self._logs.head_set(group, control)

    def priority(self, group: bytes) -> Sequence[bytes]:
        """Return the documents open in editors."""
        return self._documents.open_in(group)

    def operations_after(
        self, key: LogKey, after: int | None, max_bytes: int
    ) -> Sequence[WireOperation]:
        """Return operations of a log behind ``after``."""
        stored = self._context.store.operations.of_log(key, after, max_bytes)
        return [WireOperation(item.header, item.body) for item in stored]

    def ingest(
        self, group: bytes, operations: Sequence[WireOperation], source: bytes
    ) -> IngestReport:
        """Verify, store and apply operations."""
        return self._ingest.ingest(group, operations, source)

    def acknowledged(
        self, device: bytes, group: bytes, heads: Sequence[tuple[LogKey, int]]
    ) -> None:
        """Record what ``device`` durably holds."""
        self._acknowledgements.record(device, group, heads)

    def matched(
        self, device: bytes, group: bytes, control: bool, lower: bytes, upper: bytes | None
    ) -> None:
        """Record that ``device`` holds the same heads in a range."""
        heads = self._logs.head_set(group, control).items(lower, upper)
        self._acknowledgements.record(device, group, [(item.key, item.seq_num) for item in heads])

    def forks(self, group: bytes) -> Sequence[ForkEvidence]:
        """Return the proofs of equivocation known in a group."""
        by_key: dict[LogKey, list[bytes]] = {}
        for fork in self._context.store.forks.list():
            by_key.setdefault(fork.key, []).append(fork.header)
        members = self._groups.get(group).members()
        devices = {member.device for member in members}
        return [
            ForkEvidence(headers[0], headers[1])
            for key, headers in by_key.items()
            if len(headers) > 1 and key.author in devices and self._of_group(group, headers[0])
        ]

    def ingest_forks(self, group: bytes, evidence: Sequence[ForkEvidence], source: bytes) -> bool:
        """Check and keep proofs of equivocation."""
        return self._ingest.ingest_forks(group, evidence, source)

    def _of_group(self, group: bytes, header: bytes) -> bool:
        operation = decode_operation(header, None, check_signature=False)
        return operation.header.extensions.group == group
