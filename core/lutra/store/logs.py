"""Where each log stands, which logs are frozen, and the evidence of forks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lutra.log import LogHead
from lutra.operation import LogKey, Operation
from lutra.store.connection import Connection, Row
from lutra.store.errors import StatementError

LOG_NUMBER = "(SELECT number FROM logs WHERE log = ? AND author = ?)"
"""Finds a log's number; takes log id and author, in this order."""


def intern_logs(
    connection: Connection, keys: Iterable[LogKey], group: bytes | None
) -> dict[LogKey, int]:
    """Give every log of ``keys`` a number, and its group where that was not known yet."""
    numbers: dict[LogKey, int] = {}
    for key in keys:
        row = connection.row(
            "SELECT number, group_id IS NULL FROM logs WHERE log = ? AND author = ?",
            (key.log, key.author),
        )
        # Most logs are known: they are not written again, which would cost a page each.
        if row is None or (row[1] and group is not None):
            row = connection.row(
                "INSERT INTO logs (log, author, group_id) VALUES (?, ?, ?) "
                "ON CONFLICT (log, author) DO UPDATE SET group_id = excluded.group_id "
                "RETURNING number",
                (key.log, key.author, group),
            )
        if row is None:
            raise StatementError("A log got no number.")
        numbers[key] = row[0]
    return numbers


@dataclass(frozen=True, slots=True)
class Fork:
    """One of several operations its author signed for the same place of a log.

    Attributes:
        id: the operation's id.
        key: the log that was forked.
        header: the operation's header bytes.
        body: its body, if it came along.
    """

    id: bytes
    key: LogKey
    header: bytes
    body: bytes | None


class Logs:
    """The heads of all logs."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.forks = Forks(connection)

    def head(self, key: LogKey) -> LogHead | None:
        """Return where a log stands, or None if nothing of it is held."""
        row = self._connection.row(
            "SELECT head_seq, head_id, first_seq, time FROM logs "
            "WHERE log = ? AND author = ? AND head_seq IS NOT NULL",
            (key.log, key.author),
        )
        return None if row is None else LogHead(*row)

    def group(self, key: LogKey) -> bytes | None:
        """Return the group a log belongs to, or None if it is not known here."""
        row = self._connection.row(
            "SELECT group_id FROM logs WHERE log = ? AND author = ?", (key.log, key.author)
        )
        return None if row is None else row[0]

    def heads(self, group: bytes) -> list[tuple[LogKey, LogHead]]:
        """Return where each log of a group stands."""
        return [
            (LogKey(row[0], row[1]), LogHead(*row[2:]))
            for row in self._connection.rows(
                "SELECT author, log, head_seq, head_id, first_seq, time FROM logs "
                "WHERE group_id = ? AND head_seq IS NOT NULL",
                (group,),
            )
        ]

    def set_head(self, key: LogKey, head: LogHead, *, group: bytes) -> None:
        """Record where a log stands."""
        self.set_heads([(key, head)], group=group)

    def set_heads(self, heads: Sequence[tuple[LogKey, LogHead]], *, group: bytes) -> None:
        """Record where several logs of one group stand."""
        self._connection.run_many(
            "INSERT INTO logs (log, author, group_id, head_seq, head_id, first_seq, time) "
            "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (log, author) DO UPDATE SET "
            "group_id = excluded.group_id, head_seq = excluded.head_seq, "
            "head_id = excluded.head_id, first_seq = excluded.first_seq, time = excluded.time",
            [
                (key.log, key.author, group, head.seq_num, head.id, head.first_seq, head.time)
                for key, head in heads
            ],
        )

    def freeze(self, key: LogKey) -> None:
        """Mark a log as forked: nothing is appended to it any more."""
        intern_logs(self._connection, (key,), None)
        self._connection.run(
            "UPDATE logs SET frozen = 1 WHERE log = ? AND author = ?", (key.log, key.author)
        )

    def is_frozen(self, key: LogKey) -> bool:
        """Tell whether a log was frozen."""
        row = self._connection.row(
            "SELECT frozen FROM logs WHERE log = ? AND author = ?", (key.log, key.author)
        )
        return row is not None and bool(row[0])

    def frozen(self) -> list[LogKey]:
        """Return all frozen logs."""
        return [
            LogKey(row[0], row[1])
            for row in self._connection.rows("SELECT author, log FROM logs WHERE frozen = 1")
        ]


_Forks = list[Fork]


class Forks:
    """Operations kept as evidence that a device signed two for one place."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, operation: Operation) -> None:
        """Keep ``operation`` as evidence; adding it again can only add its body."""
        key = operation.log_key
        with self._connection.transaction(full_sync=True):
            numbers = intern_logs(self._connection, (key,), operation.header.extensions.group)
            self._connection.run(
                "INSERT INTO forks (id, log, header, body) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (id) DO UPDATE SET body = coalesce(body, excluded.body)",
                (operation.id, numbers[key], operation.header_bytes, operation.body),
            )

    def of_log_id(self, log: bytes) -> _Forks:
        """Return the evidence about all devices' logs with one id."""
        rows = self._connection.rows(
            "SELECT f.id, l.author, l.log, f.header, f.body "
            "FROM forks f JOIN logs l ON l.number = f.log WHERE l.log = ? ORDER BY f.rowid",
            (log,),
        )
        return [_fork_of(row) for row in rows]

    def get(self, operation_id: bytes) -> Fork | None:
        """Return one operation that is kept as evidence, or None."""
        row = self._connection.row(
            "SELECT f.id, l.author, l.log, f.header, f.body "
            "FROM forks f JOIN logs l ON l.number = f.log WHERE f.id = ?",
            (operation_id,),
        )
        return None if row is None else _fork_of(row)

    def list(self, key: LogKey | None = None) -> _Forks:
        """Return the evidence against one log's author, or all of it."""
        select = (
            "SELECT f.id, l.author, l.log, f.header, f.body "
            "FROM forks f JOIN logs l ON l.number = f.log"
        )
        if key is None:
            rows = self._connection.rows(f"{select} ORDER BY f.rowid")
        else:
            rows = self._connection.rows(
                f"{select} WHERE l.log = ? AND l.author = ? ORDER BY f.rowid",
                (key.log, key.author),
            )
        return [_fork_of(row) for row in rows]


def _fork_of(row: Row) -> Fork:
    return Fork(row[0], LogKey(row[1], row[2]), row[3], row[4])
