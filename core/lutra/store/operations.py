"""Operations as they were received, in log order and in arrival order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import NamedTuple

from lutra.operation import LogKey, Operation, decode_operation
from lutra.store.connection import Connection, Row, Value
from lutra.store.logs import LOG_NUMBER, intern_logs


class OperationState(IntEnum):
    """What became of a stored operation. The numbers are part of the database's format."""

    APPLIED = 0
    """Its effects are in documents, members and views."""
    WAITING = 1
    """Its body cannot be decrypted yet: the epoch's key is missing."""
    REFUSED = 2
    """It is kept and passed on, since its log needs it, but its content broke a rule."""


class StoredOperation(NamedTuple):
    """An operation as the store holds it; `decode` gives the whole of it.

    Attributes:
        number: place in the order of arrival.
        id: the operation's id.
        key: its log.
        seq_num: its place in the log.
        state: what became of it.
        header: header bytes.
        body: body as received (encrypted), or None if it was deleted or never came.
    """

    number: int
    id: bytes
    key: LogKey
    seq_num: int
    state: OperationState
    header: bytes
    body: bytes | None

    def decode(self) -> Operation:
        """Return the decoded operation; its signature was checked before it was stored."""
        return decode_operation(self.header, self.body, check_signature=False)


_COLUMNS = "o.number, o.id, l.author, l.log, o.seq_num, o.state, o.header, o.body"
_SELECT = f"SELECT {_COLUMNS} FROM operations o JOIN logs l ON l.number = o.log"  # noqa: S608
# Left alone, SQLite would go through all operations of the group's logs.
_WAITING = (
    f"SELECT {_COLUMNS} FROM operations o INDEXED BY operations_waiting "  # noqa: S608
    "CROSS JOIN logs l ON l.number = o.log WHERE o.state = 1 AND l.group_id = ?"
)
_INSERT = (
    "INSERT INTO operations (log, seq_num, id, state, epoch, header, body) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_STATES: tuple[OperationState, ...] = tuple(OperationState)


class Operations:
    """All operations this device holds."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def insert(self, operation: Operation, *, group: bytes, state: OperationState) -> None:
        """Store one verified operation; see `insert_many`."""
        self.insert_many((operation,), group=group, state=state)

    def insert_many(
        self, operations: Sequence[Operation], *, group: bytes, state: OperationState
    ) -> None:
        """Store verified operations of one group in one transaction.

        Control operations (their log is the group's own) reach the disk itself with the commit.

        Raises:
            StatementError: one of them, or another operation at its place of the log, is there.
        """
        if not operations:
            return
        with self._connection.transaction():
            keys = {operation.log_key for operation in operations}
            numbers = intern_logs(self._connection, keys, group)
            value = int(state)
            self._connection.run_many(
                _INSERT,
                [
                    (
                        numbers[log_key],
                        header.seq_num,
                        identity,
                        value,
                        header.extensions.epoch,
                        header_bytes,
                        body,
                    )
                    for identity, log_key, header, header_bytes, body in operations
                ],
            )
            if any(key.log == group for key in numbers):
                self._connection.request_full_sync()

    def at(self, key: LogKey, seq_num: int) -> StoredOperation | None:
        """Return the operation held at a place of a log, or None."""
        row = self._connection.row(
            f"{_SELECT} WHERE o.log = {LOG_NUMBER} AND o.seq_num = ?",
            (key.log, key.author, seq_num),
        )
        return None if row is None else _stored(row)

    def id_at(self, key: LogKey, seq_num: int) -> bytes | None:
        """Return the id of the operation held at a place of a log, or None."""
        row = self._connection.row(
            f"SELECT id FROM operations WHERE log = {LOG_NUMBER} AND seq_num = ?",  # noqa: S608
            (key.log, key.author, seq_num),
        )
        return None if row is None else row[0]

    def of_log(
        self, key: LogKey, after_seq: int | None = None, max_bytes: int | None = None
    ) -> list[StoredOperation]:
        """Return a log's operations in order.

        Args:
            key: the log.
            after_seq: start behind this place; None starts at the oldest one held.
            max_bytes: stop before headers and bodies exceed this; at least one is returned.
        """
        found: list[StoredOperation] = []
        size = 0
        for row in self._connection.each(
            f"{_SELECT} WHERE o.log = {LOG_NUMBER} AND o.seq_num > ? ORDER BY o.seq_num",
            (key.log, key.author, -1 if after_seq is None else after_seq),
        ):
            size += len(row[6]) + len(row[7] or b"")
            if max_bytes is not None and size > max_bytes and found:
                break
            found.append(_stored(row))
        return found

    def control(self, group: bytes) -> list[StoredOperation]:
        """Return a group's control operations in the order they arrived."""
        # Nobody can put a log of another group there by giving it this group's id.
        where = "WHERE l.log = ? AND l.group_id = ? ORDER BY o.number"
        return self._list(f"{_SELECT} {where}", (group, group))

    def find_control(self, group: bytes, operation_id: bytes) -> StoredOperation | None:
        """Return one of a group's control operations by its id, or None; goes through all."""
        where = "WHERE l.log = ? AND l.group_id = ? AND o.id = ?"
        found = self._list(f"{_SELECT} {where}", (group, group, operation_id))
        return found[0] if found else None

    def waiting(self, group: bytes, epoch: bytes | None = None) -> list[StoredOperation]:
        """Return the operations of a group that wait for one epoch's key, or for any."""
        if epoch is None:
            return self._list(f"{_WAITING} ORDER BY o.number", (group,))
        return self._list(f"{_WAITING} AND o.epoch = ? ORDER BY o.number", (group, epoch))

    def set_state(self, numbers: Iterable[int], state: OperationState) -> None:
        """Record what became of operations, given their `StoredOperation.number`."""
        with self._connection.transaction():
            self._connection.run_many(
                "UPDATE operations SET state = ? WHERE number = ?",
                [(int(state), number) for number in numbers],
            )

    def delete_before(self, key: LogKey, seq_num: int) -> int:
        """Delete what a prune operation replaced; returns how many operations went."""
        return self._connection.run(
            f"DELETE FROM operations WHERE log = {LOG_NUMBER} AND seq_num < ?",  # noqa: S608
            (key.log, key.author, seq_num),
        )

    def sizes_of_log(self, key: LogKey) -> tuple[int, int, int]:
        """Return the bytes of a log's oldest body held, of all bodies after it, and their number.

        Behind a prune point the oldest one is the checkpoint.
        """
        rows = self._connection.rows(
            "SELECT coalesce(length(body), 0) FROM operations "  # noqa: S608
            f"WHERE log = {LOG_NUMBER} ORDER BY seq_num",
            (key.log, key.author),
        )
        tail = [row[0] for row in rows[1:]]
        return (rows[0][0] if rows else 0), sum(tail), len(tail)

    def count(self, group: bytes | None = None) -> int:
        """Return how many operations are held, of one group or altogether."""
        if group is None:
            row = self._connection.row("SELECT count(*) FROM operations")
        else:
            row = self._connection.row(
                "SELECT count(*) FROM operations o JOIN logs l ON l.number = o.log "
                "WHERE l.group_id = ?",
                (group,),
            )
        return 0 if row is None else row[0]

    def _list(self, sql: str, parameters: Sequence[Value]) -> list[StoredOperation]:
        return [_stored(row) for row in self._connection.rows(sql, parameters)]


def _stored(row: Row) -> StoredOperation:
    number, operation_id, author, log, seq_num, state, header, body = row
    return StoredOperation(
        number, operation_id, LogKey(author, log), seq_num, _STATES[int(state)], header, body
    )
