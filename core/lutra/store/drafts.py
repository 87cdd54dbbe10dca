"""Drafts: keystrokes that are safe on disk and not yet part of a signed operation."""

from __future__ import annotations

from dataclasses import dataclass

from lutra.store.connection import Connection


@dataclass(frozen=True, slots=True)
class Draft:
    """One update of a document that waits to be published.

    Attributes:
        id: grows with every draft; never used twice while the store is open.
        update: the document update's bytes.
    """

    id: int
    update: bytes


_DraftList = list[Draft]


class Drafts:
    """All drafts."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        row = connection.row("SELECT max(id) FROM drafts")
        self._last = 0 if row is None or row[0] is None else int(row[0])

    def add(self, document: bytes, update: bytes) -> int:
        """Keep an update; it survives a crash of the program as soon as this commits."""
        # Ids come from here, not from the table: after a delete the table would hand out the
        # same number again, and a late `delete_through` would take a newer draft with it.
        self._last += 1
        self._connection.run(
            "INSERT INTO drafts (document, id, loro) VALUES (?, ?, ?)",
            (document, self._last, update),
        )
        return self._last

    def list(self, document: bytes) -> _DraftList:
        """Return a document's drafts, oldest first."""
        return [
            Draft(*row)
            for row in self._connection.rows(
                "SELECT id, loro FROM drafts WHERE document = ? ORDER BY id", (document,)
            )
        ]

    def delete_through(self, document: bytes, draft: int) -> None:
        """Delete a document's drafts up to and including ``draft``: they are published."""
        self._connection.run("DELETE FROM drafts WHERE document = ? AND id <= ?", (document, draft))

    def documents_with_drafts(self) -> list[bytes]:
        """Return the documents that have drafts."""
        return [
            row[0]
            for row in self._connection.rows(
                "SELECT DISTINCT document FROM drafts ORDER BY document"
            )
        ]
