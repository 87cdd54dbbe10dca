"""Both sides of forked control logs: kept beside the log, served by id, given to the group.

A log has one place for each number, so what its author signed a second time for a place, and what
follows that, is kept as evidence of the fork. Honest members may have built on either side before
they knew, so both sides have to reach everybody with their content.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lutra.node.context import Context
from lutra.node.log_keeper import LogKeeper
from lutra.operation import LogKey, Operation, decode_operation
from lutra.store.logs import Fork
from lutra.sync.replica import WireOperation

MAX_BRANCH_OPERATIONS = 4096
"""Operations kept beside one forked log; an author who signs more has lost its rights anyway."""


class Branches:
    """What is held of forked control logs from the fork on."""

    def __init__(self, context: Context, logs: LogKeeper) -> None:
        self._context = context
        self._logs = logs

    def held(self, group: bytes) -> list[Operation]:
        """Return a group's control operations that have no place in their log."""
        return [
            operation
            for fork in self._context.store.forks.of_log_id(group)
            for operation in _whole(fork)
            if operation.header.extensions.group == group
            and self._context.store.operations.id_at(fork.key, operation.seq_num) != fork.id
        ]

    def has_room(self, key: LogKey) -> bool:
        """Tell whether more may be kept beside a log."""
        return len(self._context.store.forks.list(key)) < MAX_BRANCH_OPERATIONS

    def is_beside(self, operation_id: bytes) -> bool:
        """Tell whether an operation is here with its content beside its log."""
        fork = self._context.store.forks.get(operation_id)
        return fork is not None and bool(_whole(fork))

    def ids(self, group: bytes) -> list[bytes]:
        """Return the ids of all operations held of forked control logs, from the fork on."""
        store = self._context.store
        found = dict.fromkeys(operation.id for operation in self.held(group))
        for key, place in self._logs.forked(group):
            for item in store.operations.of_log(key, place - 1 if place else None):
                found[item.id] = None
        return list(found)

    def by_id(
        self, group: bytes, ids: Iterable[bytes], max_bytes: int
    ) -> Sequence[WireOperation | None]:
        """Return control operations by their ids; see `SyncReplica.operations_by_id`."""
        answers: list[WireOperation | None] = []
        size = 0
        for operation_id in ids:
            found = self._find(group, operation_id)
            if found is not None:
                size += len(found.header) + len(found.body or b"")
                if size > max_bytes and answers:
                    break
            answers.append(found)
        return answers

    def _find(self, group: bytes, operation_id: bytes) -> WireOperation | None:
        store = self._context.store
        stored = store.operations.control_by_id(group, operation_id)
        if stored is not None:
            return WireOperation(stored.header, stored.body)
        fork = store.forks.get(operation_id)
        if fork is not None and fork.key.log == group and _whole(fork):
            return WireOperation(fork.header, fork.body)
        return None


def _whole(fork: Fork) -> list[Operation]:
    """Return the operation that was kept, unless only its header was."""
    operation = decode_operation(fork.header, fork.body, check_signature=False)
    return [] if operation.header.payload_size and fork.body is None else [operation]
