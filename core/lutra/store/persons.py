"""Persons: the operations of their device logs, and which of them were verified."""

from __future__ import annotations

from dataclasses import dataclass

from lutra.operation import Operation, decode_operation
from lutra.store.connection import Connection


@dataclass(frozen=True, slots=True)
class VerificationRow:
    """What this person has compared of another.

    Attributes:
        verified: the fingerprint that was compared, or None.
        seen: the fingerprint of the change that was shown last, or None.
    """

    verified: bytes | None = None
    seen: bytes | None = None


_Operations = list[Operation]


class Persons:
    """Device logs of this and other persons."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, operation: Operation) -> bool:
        """Keep a verified operation of a device log; False if it was there."""
        with self._connection.transaction(full_sync=True):
            return (
                self._connection.run(
                    "INSERT OR IGNORE INTO person_operations (person, id, header, body) "
                    "VALUES (?, ?, ?, ?)",
                    (operation.log, operation.id, operation.header_bytes, operation.body or b""),
                )
                == 1
            )

    def operations(self, person: bytes) -> _Operations:
        """Return the operations of one person's device log in the order they came."""
        return [
            decode_operation(row[0], row[1] or None, check_signature=False)
            for row in self._connection.rows(
                "SELECT header, body FROM person_operations WHERE person = ? ORDER BY number",
                (person,),
            )
        ]

    def ids(self) -> list[bytes]:
        """Return the ids of all persons known."""
        return [
            row[0]
            for row in self._connection.rows(
                "SELECT DISTINCT person FROM person_operations ORDER BY person"
            )
        ]

    def verified(self) -> list[bytes]:
        """Return the ids of the persons of whom something was compared."""
        return [
            row[0]
            for row in self._connection.rows(
                "SELECT person FROM verifications WHERE verified IS NOT NULL ORDER BY person"
            )
        ]

    def verification(self, person: bytes) -> VerificationRow:
        """Return what was compared of a person."""
        row = self._connection.row(
            "SELECT verified, seen FROM verifications WHERE person = ?", (person,)
        )
        return VerificationRow() if row is None else VerificationRow(*row)

    def set_verification(self, person: bytes, row: VerificationRow) -> None:
        """Record what was compared of a person."""
        self._connection.run(
            "INSERT OR REPLACE INTO verifications (person, verified, seen) VALUES (?, ?, ?)",
            (person, row.verified, row.seen),
        )
