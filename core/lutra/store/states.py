"""States of documents that members published for those who cannot read what came before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lutra.codec import decode, encode
from lutra.operation import LogKey
from lutra.store.connection import Connection
from lutra.store.logs import LOG_NUMBER


@dataclass(frozen=True, slots=True)
class StateRow:
    """One published state, or a part of it.

    Attributes:
        document: the document.
        publisher: the device that vouches for it.
        seq_num: place of its operation in the publisher's log of states.
        epoch: the epoch it was encrypted under.
        time: when it was published, by the publisher's clock, in milliseconds.
        covers: device → how much of that device's log of the document it contains.
    """

    document: bytes
    publisher: bytes
    seq_num: int
    epoch: bytes
    time: int
    covers: dict[bytes, int]


_States = list[StateRow]


class States:
    """All published states of documents."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, row: StateRow, content: bytes | None) -> None:
        """Keep a state.

        Args:
            row: what it is.
            content: what is to be taken in when it is needed; None if this device has all of it.
        """
        covers = encode([[device, row.covers[device]] for device in sorted(row.covers)])
        self._connection.run(
            "INSERT OR REPLACE INTO document_states "
            "(document, publisher, seq_num, epoch, time, covers, content) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                row.document,
                row.publisher,
                row.seq_num,
                row.epoch,
                row.time,
                covers,
                content,
            ),
        )

    def of(self, document: bytes) -> _States:
        """Return a document's states, each publisher's in order."""
        return [
            StateRow(*row[:5], covers=dict(decode(row[5])))
            for row in self._connection.rows(
                "SELECT document, publisher, seq_num, epoch, time, covers "
                "FROM document_states WHERE document = ? ORDER BY publisher, seq_num",
                (document,),
            )
        ]

    def content(self, document: bytes, publisher: bytes) -> list[bytes]:
        """Return what is to be taken in of a publisher's state, in order."""
        return [
            row[0]
            for row in self._connection.rows(
                "SELECT content FROM document_states "
                "WHERE document = ? AND publisher = ? AND content IS NOT NULL ORDER BY seq_num",
                (document, publisher),
            )
        ]

    def delete_before(self, document: bytes, publisher: bytes, seq_num: int) -> None:
        """Delete what a later state of the same publisher replaced."""
        self._connection.run(
            "DELETE FROM document_states WHERE document = ? AND publisher = ? AND seq_num < ?",
            (document, publisher, seq_num),
        )

    def clear_content(self, document: bytes, publisher: bytes) -> None:
        """Note that all of a publisher's state has been taken in."""
        self._connection.run(
            "UPDATE document_states SET content = NULL WHERE document = ? AND publisher = ?",
            (document, publisher),
        )

    def epochs(self, key: LogKey) -> set[bytes]:
        """Return the epochs that a log's operations are encrypted under."""
        return {
            row[0]
            for row in self._connection.rows(
                "SELECT DISTINCT epoch FROM operations "  # noqa: S608
                f"WHERE log = {LOG_NUMBER} AND epoch IS NOT NULL",
                (key.log, key.author),
            )
        }

    def furthest(self, group: bytes) -> Sequence[tuple[LogKey, bytes, int]]:
        """Return how far each log of a group reaches under each epoch: (log, epoch, seq_num)."""
        return [
            (LogKey(row[0], row[1]), row[2], row[3])
            for row in self._connection.rows(
                "SELECT l.author, l.log, o.epoch, max(o.seq_num) "
                "FROM operations o JOIN logs l ON l.number = o.log "
                "WHERE l.group_id = ? AND l.log != ? AND o.epoch IS NOT NULL "
                "GROUP BY o.log, o.epoch",
                (group, group),
            )
        ]
