"""Operations that came before what they build on: kept in memory for a while, never stored."""

from __future__ import annotations

from collections import OrderedDict

from lutra.operation import LogKey, Operation

MAX_OPERATIONS = 4096
MAX_BYTES = 8 * 1024 * 1024


class EarlyOperations:
    """Verified operations whose author's membership cannot be judged yet; the oldest give way.

    They are not held in the sense of sync: peers are told that they were not taken, and offer
    them again in the next session. Keeping them saves waiting for that.
    """

    def __init__(self) -> None:
        self._operations: OrderedDict[bytes, tuple[bytes, Operation]] = OrderedDict()
        self._logs: dict[LogKey, int] = {}
        self._bytes = 0
        self._taken: list[tuple[bytes, Operation]] = []

    def keep(self) -> None:
        """Note that the transaction has committed: what was taken in it has found its place."""
        self._taken.clear()

    def undo(self) -> None:
        """Bring back what was taken in a transaction that was undone."""
        for group, operation in self._taken:
            self.put(group, operation)
        self._taken.clear()

    def __len__(self) -> int:
        return len(self._operations)

    def has_log(self, key: LogKey) -> bool:
        """Tell whether an operation of this log is here."""
        return key in self._logs

    def put(self, group: bytes, operation: Operation) -> None:
        """Keep an operation."""
        if operation.id in self._operations:
            return
        self._operations[operation.id] = (group, operation)
        self._logs[operation.log_key] = self._logs.get(operation.log_key, 0) + 1
        self._bytes += _size(operation)
        while len(self._operations) > MAX_OPERATIONS or self._bytes > MAX_BYTES:
            self._drop(next(iter(self._operations)))

    def take(self, group: bytes) -> list[Operation]:
        """Return a group's operations, each log in order, and forget them."""
        found = [item for owner, item in self._operations.values() if owner == group]
        for operation in found:
            self._drop(operation.id)
            self._taken.append((group, operation))
        return sorted(found, key=lambda item: (item.log_key, item.seq_num))

    def _drop(self, operation_id: bytes) -> None:
        _, operation = self._operations.pop(operation_id)
        self._bytes -= _size(operation)
        left = self._logs[operation.log_key] - 1
        if left:
            self._logs[operation.log_key] = left
        else:
            del self._logs[operation.log_key]


def _size(operation: Operation) -> int:
    return len(operation.header_bytes) + len(operation.body or b"")
