"""Taking in operations from others: checked, placed, stored and applied in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lutra.crypto.verifying import BatchVerifier
from lutra.documents.body import decode_body, kept_form
from lutra.errors import DecryptionError, MalformedError, RemoteError
from lutra.groups.contents import CUT
from lutra.groups.errors import UnreadableBodyError
from lutra.groups.group import Group
from lutra.groups.keys import Reception
from lutra.log import LogHead, Placement, advance, place
from lutra.node.branches import Branches
from lutra.node.context import Context
from lutra.node.document_registry import KIND, DocumentRegistry, RemoteUpdate
from lutra.node.document_states import KIND as STATE
from lutra.node.document_states import DocumentStates
from lutra.node.early import EarlyOperations
from lutra.node.events import Trouble
from lutra.node.group_registry import GroupRegistry
from lutra.node.log_keeper import LogKeeper, Placed
from lutra.node.own_devices import KIND as BULLETIN
from lutra.node.own_devices import OwnDevices, bulletin_log
from lutra.node.verifying_ahead import VerifyingAhead, verifying_command
from lutra.operation import LogKey, Operation, decode_operation, signature_claim
from lutra.store.operations import OperationState
from lutra.sync.replica import ForkEvidence, IngestReport, Refusal, RefusalReason, WireOperation


@dataclass(slots=True)
class _Batch:
    """What one call to `Ingest.ingest` has gathered so far."""

    group: Group
    refused: list[Refusal] = field(default_factory=list[Refusal])
    forks: list[ForkEvidence] = field(default_factory=list[ForkEvidence])
    heads: dict[LogKey, LogHead] = field(default_factory=dict[LogKey, LogHead])
    ids: dict[tuple[LogKey, int], bytes] = field(default_factory=dict[tuple[LogKey, int], bytes])
    control: list[Placed] = field(default_factory=list[Placed])
    branches: list[Operation] = field(default_factory=list[Operation])
    missing: dict[bytes, None] = field(default_factory=dict[bytes, None])
    data: list[Placed] = field(default_factory=list[Placed])
    waited: set[bytes] = field(default_factory=set[bytes])


class Ingest:
    """Receives other devices' operations, and this device's own from before a restore."""

    def __init__(
        self,
        context: Context,
        logs: LogKeeper,
        *,
        groups: GroupRegistry,
        branches: Branches,
        documents: DocumentRegistry,
        own_devices: OwnDevices,
        states: DocumentStates,
    ) -> None:
        self._context = context
        self._states = states
        self._logs = logs
        self._groups = groups
        self._documents = documents
        self._branches = branches
        self._own_devices = own_devices
        self._verifier = BatchVerifier()
        self._ahead = VerifyingAhead(verifying_command())
        self._early = EarlyOperations()
        self._blocked: dict[bytes, set[LogKey]] = {}

    def forget(self) -> None:
        """Drop what is in memory, after a transaction was undone."""
        self._early.undo()
        self._blocked.clear()

    def keep(self) -> None:
        """Note that the transaction has committed."""
        self._early.keep()

    def close(self) -> None:
        """End the threads and the process that check signatures."""
        self._verifier.close()
        self._ahead.close()

    def expect(self, operations: Sequence[WireOperation]) -> None:
        """Let signatures of operations that come next be checked meanwhile."""
        self._ahead.expect([item.header for item in operations])

    def ingest(
        self, group_id: bytes, operations: Sequence[WireOperation], source: bytes | None
    ) -> IngestReport:
        """Verify, store and apply operations of one group; never raises for a peer's fault.

        Args:
            group_id: the group.
            operations: in log order for each log.
            source: the device that sent them; None for a bundle or welcome.
        """
        group = self._groups.find(group_id)
        if group is None:
            return IngestReport(
                [Refusal(i, RefusalReason.NOT_PERMITTED) for i in range(len(operations))]
            )
        batch = _Batch(group)
        for index, operation in enumerate(self._verified(operations)):
            reason = (
                RefusalReason.INVALID
                if operation is None
                else self._take(batch, group_id, operation)
            )
            if reason is not None:
                batch.refused.append(Refusal(index, reason))
        self._retry_early(batch, group_id)
        # Keys first: what waited for them comes before what has just arrived.
        self._append(batch, batch.control, source)
        for operation in batch.branches:
            sender = None if operation.id in batch.waited else source
            self._context.outbox.branches.append((group_id, operation.id, sender))
        if batch.control or batch.branches:
            self._after_control(group_id)
            self._want_vouched(batch)
        told = [item for item in batch.data if item.operation.kind == STATE]
        self._append(
            batch,
            [item._replace(state=self._states.receive(group, item.operation)) for item in told],
            source,
        )
        data = [item for item in batch.data if item.operation.kind != STATE] if told else batch.data
        states = self._apply(group_id, group, [item.operation for item in data])
        placed = [
            Placed(operation, placement, head, states[operation.id])
            for operation, placement, head, _ in data
        ]
        self._append(batch, placed, source)
        self._states.note(group, (item.operation for item in data))
        if told:
            self._retry_waiting(group_id)
        missing = [
            one
            for one in batch.missing
            if not group.knows(one) and not self._branches.is_beside(one)
        ]
        return IngestReport(batch.refused, batch.forks, missing)

    def ingest_forks(
        self, group: bytes, evidence: Sequence[ForkEvidence], source: bytes | None
    ) -> bool:
        """Check and keep proofs of equivocation; False if one is no proof.

        Proofs about logs that are not here are passed over: they would fill the store.
        """
        replica = self._groups.find(group)
        devices = set[bytes]() if replica is None else {item.device for item in replica.members()}
        for pair in evidence:
            try:
                first = decode_operation(pair.first, None)
                second = decode_operation(pair.second, None)
            except RemoteError:
                return False
            same_place = (first.log_key, first.seq_num) == (second.log_key, second.seq_num)
            if first.id == second.id or not same_place:
                return False
            if first.header.extensions.group != group:
                return False
            key = first.log_key
            is_here = key.log == group or self._logs.head(group, key) is not None
            if key.author in devices and is_here and not self._logs.is_frozen(key):
                self._keep_fork(first, second)
        return True

    # One operation

    def _verified(self, operations: Sequence[WireOperation]) -> list[Operation | None]:
        """Decode operations and check their signatures; None in the place of invalid ones."""
        known = self._ahead.answers([item.header for item in operations])
        decoded: list[Operation | None] = []
        for wire in operations:
            try:
                decoded.append(decode_operation(wire.header, wire.body, check_signature=False))
            except RemoteError:
                decoded.append(None)
        unknown = [one for one in decoded if one is not None and one.header_bytes not in known]
        fits = self._verifier.check([signature_claim(item) for item in unknown])
        known.update((one.header_bytes, is_fit) for one, is_fit in zip(unknown, fits, strict=True))
        return [item if item is not None and known[item.header_bytes] else None for item in decoded]

    def _take(self, batch: _Batch, group_id: bytes, operation: Operation) -> RefusalReason | None:
        """Place one operation; returns why it was refused, or None."""
        extensions = operation.header.extensions
        is_control = extensions.log == group_id
        if extensions.group != group_id or self._is_misplaced(operation):
            return RefusalReason.INVALID
        if operation.body is None and operation.header.payload_size:
            # Taken without its body it would never be asked for again.
            return RefusalReason.INVALID
        key = operation.log_key
        if self._logs.is_after_fork(key, operation.seq_num):
            return self._take_branch(batch, operation) if is_control else RefusalReason.FROZEN
        head = batch.heads.get(key) or self._logs.head(group_id, key)
        if head is None and self._logs.is_elsewhere(group_id, key):
            return RefusalReason.NOT_PERMITTED
        held = self._held_id(batch, key, head, operation)
        placement = place(head, operation, held)
        if placement is Placement.KNOWN:
            return None
        if placement is Placement.FORK and held is not None:
            self._catch_fork(batch, held, operation)
            if is_control:
                return self._take_branch(batch, operation)
        if placement is Placement.GAP and (is_control or self._early.has_log(key)):
            self._early.put(group_id, operation)
        if placement is Placement.GAP:
            return RefusalReason.GAP
        if placement is Placement.FORK:
            return RefusalReason.FORK
        if is_control:
            return self._take_control(batch, operation, placement, head)
        return self._take_data(batch, operation, placement, head)

    def _is_misplaced(self, operation: Operation) -> bool:
        """Tell whether an operation's kind does not belong into its log."""
        group, log, kind = operation.header.extensions.group, operation.log, operation.kind
        assert group is not None
        if kind == BULLETIN:
            return log != bulletin_log(group)
        return (kind in (KIND, STATE)) == (log == group)

    def _take_control(
        self, batch: _Batch, operation: Operation, placement: Placement, head: LogHead | None
    ) -> RefusalReason | None:
        if placement is Placement.PRUNE or operation.body is None:
            return RefusalReason.INVALID
        reception = batch.group.take(operation)
        if reception is Reception.WAITING:
            self._wait(batch, operation)
        if reception in (Reception.FOREIGN, Reception.WAITING):
            return RefusalReason.NOT_PERMITTED
        state = OperationState.REFUSED if reception is Reception.REFUSED else OperationState.APPLIED
        batch.control.append(self._place(batch, operation, placement, head, state))
        return None

    def _take_branch(self, batch: _Batch, operation: Operation) -> RefusalReason | None:
        """Take a control operation that has no place in its log any more, since that was forked."""
        if operation.header.extensions.prune:
            return RefusalReason.INVALID
        if not self._branches.has_room(operation.log_key):
            return RefusalReason.FROZEN
        reception = batch.group.take(operation)
        if reception is Reception.WAITING:
            self._wait(batch, operation)
        if reception in (Reception.FOREIGN, Reception.WAITING):
            return RefusalReason.NOT_PERMITTED
        if reception is not Reception.KNOWN:
            self._context.store.forks.add(operation)
            batch.branches.append(operation)
        return None

    def _wait(self, batch: _Batch, operation: Operation) -> None:
        """Keep a control operation until what it builds on has come."""
        self._early.put(batch.group.id, operation)
        batch.missing.update(dict.fromkeys(batch.group.missing(operation)))

    def _take_data(
        self, batch: _Batch, operation: Operation, placement: Placement, head: LogHead | None
    ) -> RefusalReason | None:
        header = operation.header
        epoch = header.extensions.epoch
        if epoch is None:
            return RefusalReason.INVALID
        permitted = batch.group.accepts(
            operation.author,
            operation.log,
            operation.seq_num,
            epoch=epoch,
            heads=header.extensions.previous,
        )
        if not permitted:
            if permitted is None or self._is_cut_off(batch.group, operation):
                self._early.put(batch.group.id, operation)
            return RefusalReason.NOT_PERMITTED
        batch.data.append(self._place(batch, operation, placement, head, OperationState.WAITING))
        return None

    def _place(
        self,
        batch: _Batch,
        operation: Operation,
        placement: Placement,
        head: LogHead | None,
        state: OperationState,
    ) -> Placed:
        key = operation.log_key
        after = batch.heads[key] = advance(head, operation, placement)
        batch.ids[key, operation.seq_num] = operation.id
        return Placed(operation, placement, after, state)

    def _retry_early(self, batch: _Batch, group_id: bytes) -> None:
        """Take what had come too early and builds on this batch's control operations."""
        seen = 0
        while len(batch.control) + len(batch.branches) > seen and len(self._early):
            seen = len(batch.control) + len(batch.branches)
            for operation in self._early.take(group_id):
                batch.waited.add(operation.id)
                self._take(batch, group_id, operation)

    def _is_cut_off(self, group: Group, operation: Operation) -> bool:
        """Tell whether an operation counts as soon as somebody vouches for it."""
        extensions = operation.header.extensions
        return group.is_cut_off(
            operation.author,
            operation.log,
            operation.seq_num,
            epoch=extensions.epoch or b"",
            heads=extensions.previous,
        )

    def _want_vouched(self, batch: _Batch) -> None:
        """Ask again for what was refused before a member vouched for it."""
        if all(placed.operation.kind != CUT for placed in batch.control):
            return
        heads = {item.operation.log_key: item.head.seq_num for item in batch.data}
        wanted: list[LogKey] = []
        for _, _, cuts in batch.group.live_removals():
            for (device, log), seq_num in cuts.items():
                key = LogKey(device, log)
                head = self._logs.head(batch.group.id, key)
                held = max(-1 if head is None else head.seq_num, heads.get(key, -1))
                if held < seq_num and log != batch.group.id:
                    wanted.append(key)
        if wanted:
            self._context.outbox.wanted.append((batch.group.id, tuple(wanted)))

    def _held_id(
        self, batch: _Batch, key: LogKey, head: LogHead | None, operation: Operation
    ) -> bytes | None:
        """Return the id of what is held at the operation's place, if anything."""
        if head is None or operation.seq_num > head.seq_num:
            return None
        if operation.seq_num == head.seq_num:
            return head.id
        in_batch = batch.ids.get((key, operation.seq_num))
        return in_batch or self._context.store.operations.id_at(key, operation.seq_num)

    # A whole batch

    def _append(self, batch: _Batch, placed: Sequence[Placed], source: bytes | None) -> None:
        """Store operations and offer them to others.

        Who sent an operation that had to wait was told that it was not taken, and who sent what it
        waited for may not have it: it is offered to both.
        """
        if not placed:
            return
        group_id = batch.group.id
        self._logs.append(group_id, placed)
        operations = [item.operation for item in placed]
        arrived = [item for item in operations if item.id not in batch.waited]
        waited = [item for item in operations if item.id in batch.waited]
        for some, sender in ((arrived, source), (waited, None)):
            if some:
                self._context.outbox.publish(group_id, some, sender)

    def _apply(
        self, group_id: bytes, group: Group, operations: Sequence[Operation]
    ) -> dict[bytes, OperationState]:
        """Decrypt document operations and hand them to their documents.

        An operation whose key is missing holds up all behind it in its log, since edits are
        taken in only without gaps, unless a state has come that contains it. A document of which
        nothing is here begins with what is oldest, or with its state.

        Returns:
            Operation id → what became of it.
        """
        states: dict[bytes, OperationState] = {}
        by_document: dict[bytes, list[tuple[Operation, RemoteUpdate]]] = {}
        blocked = self._blocked_logs(group_id)
        bodies = group.bodies
        epochs = {item.header.extensions.epoch or b"" for item in operations}
        closed = {epoch for epoch in epochs if not bodies.can_open(epoch)}
        keyless = [
            item
            for item in operations
            if closed and (item.header.extensions.epoch or b"") in closed
        ]
        covered = self._states.cover(group_id, keyless) if keyless else frozenset[bytes]()
        clouded = {key.log for key in blocked}
        clouded.update(item.log for item in keyless if item.id not in covered)
        for operation in operations:
            header = operation.header
            key = operation.log_key
            if header.extensions.prune:
                blocked.discard(key)
            if operation.id in covered:
                states[operation.id] = OperationState.APPLIED
                continue
            if (header.extensions.epoch or b"") in closed or (
                key.log in clouded and self._states.is_unborn(operation)
            ):
                blocked.add(key)
            if key in blocked:
                states[operation.id] = OperationState.WAITING
                continue
            states[operation.id] = OperationState.APPLIED
            if operation.body is None:
                continue
            try:
                content = bodies.open(header, operation.body)
                if operation.kind == BULLETIN:
                    self._own_devices.receive(content)
                    continue
                update = decode_body(content)
            except UnreadableBodyError:
                covered |= self._states.cover(group_id, [operation])
                if operation.id not in covered:
                    blocked.add(key)
                    states[operation.id] = OperationState.WAITING
                continue
            except (DecryptionError, MalformedError):
                states[operation.id] = OperationState.REFUSED
                continue
            news = RemoteUpdate(operation.author, update, kept_form(update, content))
            by_document.setdefault(operation.log, []).append((operation, news))
        for document, items in by_document.items():
            time = max(item.header.extensions.time for item, _ in items)
            updates = [news for _, news in items]
            for index in self._documents.apply_remote(group_id, document, updates, time):
                states[items[index][0].id] = OperationState.REFUSED
        return states

    def _blocked_logs(self, group_id: bytes) -> set[LogKey]:
        """Return the logs with an operation whose key is missing."""
        blocked = self._blocked.get(group_id)
        if blocked is None:
            waiting = self._context.store.operations.waiting(group_id)
            blocked = self._blocked[group_id] = {item.key for item in waiting}
        return blocked

    def _after_control(self, group_id: bytes) -> None:
        """Write the group back, and read what waited for keys that have come."""
        if self._groups.settle(group_id):
            self._retry_waiting(group_id)

    def _retry_waiting(self, group_id: bytes) -> None:
        """Read what waited, as far as that is possible now."""
        if not self._blocked_logs(group_id):
            return
        store = self._context.store
        waiting = store.operations.waiting(group_id)
        self._blocked[group_id] = set()
        group = self._groups.get(group_id)
        states = self._apply(group_id, group, [item.decode() for item in waiting])
        for state in (OperationState.APPLIED, OperationState.REFUSED):
            numbers = [item.number for item in waiting if states[item.id] is state]
            if numbers:
                store.operations.set_state(numbers, state)

    # Forks

    def _catch_fork(self, batch: _Batch, held: bytes, operation: Operation) -> None:
        stored = self._context.store.operations.at(operation.log_key, operation.seq_num)
        if stored is not None and stored.id == held:
            other = stored.decode()
        else:
            placed = (*batch.control, *batch.data)
            other = next(item.operation for item in placed if item.operation.id == held)
        batch.forks.append(ForkEvidence(other.header_bytes, operation.header_bytes))
        self._keep_fork(other, operation)

    def _keep_fork(self, first: Operation, second: Operation) -> None:
        """Keep both operations as evidence, freeze the log, and tell the person."""
        context = self._context
        key = first.log_key
        context.store.forks.add(first)
        context.store.forks.add(second)
        known = self._logs.is_frozen(key)
        self._logs.freeze(key, first.seq_num)
        if known:
            return
        group = first.header.extensions.group
        if group is not None:
            evidence = ForkEvidence(first.header_bytes, second.header_bytes)
            context.outbox.forks.append((group, evidence))
        own = key.author == context.device
        context.outbox.emit(
            Trouble(
                "log.fork",
                "Two histories of this device exist, probably because its profile was copied. "
                "Set this device up anew to go on writing."
                if own
                else "A device in a group has signed two different histories. Its new changes "
                "are not taken in any more.",
            )
        )
