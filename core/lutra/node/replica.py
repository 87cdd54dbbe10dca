"""The engine's side of sync sessions: implements `lutra.sync.replica.SyncReplica`."""

from __future__ import annotations

from collections.abc import Sequence

from lutra.node.acknowledgements import Acknowledgements
from lutra.node.branches import Branches
from lutra.node.catching_up import CatchingUp
from lutra.node.context import Context
from lutra.node.document_registry import DocumentRegistry
from lutra.node.group_registry import GroupRegistry
from lutra.node.ingest import Ingest
from lutra.node.log_keeper import LogKeeper
from lutra.node.telling import Telling
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
        branches: Branches,
        catching_up: CatchingUp,
        telling: Telling,
    ) -> None:
        self._context = context
        self._logs = logs
        self._groups = groups
        self._documents = documents
        self._ingest = ingest
        self._acknowledgements = acknowledgements
        self._catching_up = catching_up
        self._branches = branches
        self._telling = telling

    def discovery_secrets(self) -> Sequence[tuple[bytes, bytes]]:
        """Return (group id, discovery secret) of the groups this device is or was in."""
        return [
            (row.id, row.discovery_secret)
            for row in self._context.store.groups.list()
            if row.discovery_secret and not self._catching_up.holds_back(row.id)
        ]

    def may_sync(self, group: bytes, device: bytes) -> bool:
        """Tell whether this device and ``device`` are in the group's roster as it is known here."""
        if self._context.store.groups.is_out(group):
            return False
        members = self._context.store.members
        found = members.get(group, device)
        if found is not None:
            return not found.removed
        # Only just let in: whoever proved to know the group may tell who is in it.
        return not members.has_any(group)

    def may_introduce(self, group: bytes, device: bytes) -> bool:
        """Tell whether ``device`` could be a member without this device having heard of it.

        It was never removed; or it has confirmed to know its removal and announces the group all
        the same, so somebody may have added it again.
        """
        if self._context.store.groups.is_out(group):
            return False
        known = self._context.store.members.get(group, device)
        return known is None or not known.removed or self._telling.has_heard(group, device)

    def may_tell(self, group: bytes, device: bytes) -> bool:
        """Tell whether ``device`` was removed and is not known to have heard of it."""
        known = self._context.store.members.get(group, device)
        return known is not None and known.removed and self._telling.may_tell(group, device)

    def telling(self, group: bytes, device: bytes) -> None:
        """Note that ``device``, not in the roster, is being told or listened to."""
        self._telling.told(group, device)

    def may_hear(self, group: bytes, device: bytes) -> bool:
        """Tell whether this device, which is out, should listen to ``device``, which is in."""
        return self._telling.may_hear(group, device)

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

    def expect(self, operations: Sequence[WireOperation]) -> None:
        """Prepare for operations that come next."""
        self._ingest.expect(operations)

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
        by_place: dict[tuple[LogKey, int], list[bytes]] = {}
        for fork in self._context.store.forks.list():
            operation = decode_operation(fork.header, None, check_signature=False)
            if operation.header.extensions.group == group:
                place = (fork.key, operation.seq_num)
                by_place.setdefault(place, []).append(fork.header)
        members = self._groups.get(group).members()
        devices = {member.device for member in members}
        first: dict[LogKey, list[bytes]] = {}
        for (key, _), headers in sorted(by_place.items(), key=lambda item: item[0]):
            if len(headers) > 1 and key.author in devices:
                first.setdefault(key, headers)
        return [ForkEvidence(headers[0], headers[1]) for headers in first.values()]

    def ingest_forks(self, group: bytes, evidence: Sequence[ForkEvidence], source: bytes) -> bool:
        """Check and keep proofs of equivocation."""
        return self._ingest.ingest_forks(group, evidence, source)

    def branches(self, group: bytes) -> Sequence[bytes]:
        """Return ids of the operations held of the group's forked control logs."""
        return self._branches.ids(group)

    def lacking(self, group: bytes, ids: Sequence[bytes]) -> Sequence[bytes]:
        """Return those of ``ids`` that are not held here with their content."""
        replica = self._groups.find(group)
        return [
            one
            for one in ids
            if not self._branches.is_beside(one) and not (replica and replica.knows(one))
        ]

    def operations_by_id(
        self, group: bytes, ids: Sequence[bytes], max_bytes: int
    ) -> Sequence[WireOperation | None]:
        """Return control operations of a group by their ids, None for those not held."""
        return self._branches.by_id(group, ids, max_bytes)
