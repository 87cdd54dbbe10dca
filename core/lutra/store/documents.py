"""Documents: what lists show, the stored state, and the search index."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from lutra.errors import NotFoundError
from lutra.store.connection import Connection, Row, Value


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """What is known of a document without opening it.

    Attributes:
        id: document id, 32 bytes.
        group: the group it belongs to.
        title: its title.
        created: when it was created, in milliseconds.
        changed: when it was last changed, in milliseconds.
        author_count: how many devices have written in it.
        deleted: it was deleted; content and search entries are gone.
        snapshot_bytes: size of the stored snapshot; kept by the store, ignored by `upsert`.
        tail_bytes: size of the updates stored after it; kept by the store, ignored by `upsert`.
    """

    id: bytes
    group: bytes
    title: str
    created: int
    changed: int
    author_count: int = 0
    deleted: bool = False
    snapshot_bytes: int = 0
    tail_bytes: int = 0


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A document that matches a query.

    Attributes:
        id: document id.
        group: its group.
        title: its title.
        excerpt: about 60 characters of the text around the first match.
    """

    id: bytes
    group: bytes
    title: str
    excerpt: str


_COLUMNS = (
    "id, group_id, title, created, changed, author_count, deleted, snapshot_bytes, tail_bytes"
)
_NUMBER = "(SELECT number FROM documents WHERE id = ?)"
_Documents = list[DocumentRow]


class Documents:
    """All documents of all groups."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._search = _Search(connection)

    def upsert(self, row: DocumentRow) -> None:
        """Add a document, or replace what lists show of it; its content stays."""
        self._connection.run(
            "INSERT INTO documents (id, group_id, title, created, changed, author_count, deleted) "
            "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
            "group_id = excluded.group_id, title = excluded.title, created = excluded.created, "
            "changed = excluded.changed, author_count = excluded.author_count, "
            "deleted = excluded.deleted",
            (
                row.id,
                row.group,
                row.title,
                row.created,
                row.changed,
                row.author_count,
                int(row.deleted),
            ),
        )

    def get(self, document: bytes) -> DocumentRow | None:
        """Return one document, deleted or not, or None."""
        row = self._connection.row(f"SELECT {_COLUMNS} FROM documents WHERE id = ?", (document,))  # noqa: S608
        return None if row is None else _document_of(row)

    def list(
        self, group: bytes | None = None, *, limit: int | None = None, offset: int = 0
    ) -> _Documents:
        """Return the documents of one group, or of all, last changed first; not deleted ones."""
        where = "deleted = 0" if group is None else "group_id = ? AND deleted = 0"
        parameters: list[Value] = [] if group is None else [group]
        parameters += [-1 if limit is None else limit, offset]
        return [
            _document_of(row)
            for row in self._connection.rows(
                f"SELECT {_COLUMNS} FROM documents WHERE {where} "  # noqa: S608
                "ORDER BY changed DESC, number DESC LIMIT ? OFFSET ?",
                parameters,
            )
        ]

    def among(self, documents: Collection[bytes]) -> _Documents:
        """Return those of these documents that are here and not deleted, in the order of `list`."""
        return [
            _document_of(row)
            for row in self._connection.rows(
                f"SELECT {_COLUMNS} FROM documents WHERE deleted = 0 "  # noqa: S608
                f"AND id IN ({', '.join('?' * len(documents))}) "
                "ORDER BY changed DESC, number DESC",
                list(documents),
            )
        ]

    def count(self, group: bytes | None = None) -> int:
        """Return how many documents one group has, or all; deleted ones are not counted."""
        if group is None:
            row = self._connection.row("SELECT count(*) FROM documents WHERE deleted = 0")
        else:
            row = self._connection.row(
                "SELECT count(*) FROM documents WHERE group_id = ? AND deleted = 0", (group,)
            )
        return 0 if row is None else row[0]

    def snapshot(self, document: bytes) -> bytes | None:
        """Return the stored snapshot, or None if there is none."""
        row = self._connection.row(
            f"SELECT snapshot FROM snapshots WHERE document = {_NUMBER}",  # noqa: S608
            (document,),
        )
        return None if row is None else row[0]

    def set_snapshot(self, document: bytes, snapshot: bytes, *, through: int | None = None) -> None:
        """Store a snapshot and drop the tail it covers.

        Args:
            document: the document.
            snapshot: its state.
            through: number of the last tail entry the snapshot holds; None means all of them.

        Raises:
            NotFoundError: the document is not here.
        """
        number = self._number(document)
        with self._connection.transaction():
            self._connection.run(
                "INSERT INTO snapshots (document, snapshot) VALUES (?, ?) "
                "ON CONFLICT (document) DO UPDATE SET snapshot = excluded.snapshot",
                (number, snapshot),
            )
            self._connection.run(
                "DELETE FROM tails WHERE document = ?1 AND (?2 IS NULL OR number <= ?2)",
                (number, through),
            )
            self._connection.run(
                "UPDATE documents SET snapshot_bytes = ?1, tail_bytes = (SELECT "
                "coalesce(sum(length(loro)), 0) FROM tails WHERE document = ?2) WHERE number = ?2",
                (len(snapshot), number),
            )

    def append_tail(self, document: bytes, update: bytes) -> int:
        """Store an update that came after the snapshot; returns its number.

        Raises:
            NotFoundError: the document is not here.
        """
        return self.append_tail_many(document, (update,))

    def append_tail_many(self, document: bytes, updates: Sequence[bytes]) -> int:
        """Store several updates in order; returns the number of the last one.

        Raises:
            NotFoundError: the document is not here.
        """
        number = self._number(document)
        row = self._connection.row("SELECT max(number) FROM tails WHERE document = ?", (number,))
        first = 1 if row is None or row[0] is None else row[0] + 1
        with self._connection.transaction():
            self._connection.run_many(
                "INSERT INTO tails (document, number, loro) VALUES (?, ?, ?)",
                [(number, place, update) for place, update in enumerate(updates, first)],
            )
            self._connection.run(
                "UPDATE documents SET tail_bytes = tail_bytes + ? WHERE number = ?",
                (sum(map(len, updates)), number),
            )
        return first + len(updates) - 1

    def tail(self, document: bytes) -> list[bytes]:
        """Return the updates stored after the snapshot, in order."""
        return [
            row[0]
            for row in self._connection.rows(
                f"SELECT loro FROM tails WHERE document = {_NUMBER} ORDER BY number",  # noqa: S608
                (document,),
            )
        ]

    def delete_content(self, document: bytes) -> None:
        """Mark a document deleted and drop its snapshot, tail, drafts and search entries.

        Raises:
            NotFoundError: the document is not here.
        """
        number = self._number(document)
        with self._connection.transaction():
            self._connection.run("DELETE FROM snapshots WHERE document = ?", (number,))
            self._connection.run("DELETE FROM tails WHERE document = ?", (number,))
            self._connection.run("DELETE FROM drafts WHERE document = ?", (document,))
            self._search.remove(number)
            self._connection.run(
                "UPDATE documents SET deleted = 1, title = '', snapshot_bytes = 0, tail_bytes = 0 "
                "WHERE number = ?",
                (number,),
            )

    def index(self, document: bytes, title: str, text: str) -> None:
        """Make a document's words findable; about 0.05 ms per thousand characters.

        Raises:
            NotFoundError: the document is not here.
        """
        self._search.put(self._number(document), title, text)

    def search(self, query: str, group: bytes | None = None, limit: int = 50) -> list[SearchHit]:
        """Find documents that contain every word of ``query``, best match first.

        Words match anywhere, inside other words too, without regard to case and accents.
        """
        return self._search.find(query, group, limit)

    def _number(self, document: bytes) -> int:
        row = self._connection.row("SELECT number FROM documents WHERE id = ?", (document,))
        if row is None:
            raise NotFoundError("This page is not here.")
        return row[0]


class _Search:
    """The full-text index: trigrams, so that parts of words and scripts without spaces work."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, number: int, title: str, text: str) -> None:
        self._connection.run(
            "INSERT OR REPLACE INTO search (rowid, title, text) VALUES (?, ?, ?)",
            (number, title, text),
        )

    def remove(self, number: int) -> None:
        self._connection.run("DELETE FROM search WHERE rowid = ?", (number,))

    def find(self, query: str, group: bytes | None, limit: int) -> list[SearchHit]:
        words = query.replace("\0", " ").encode("utf-8", "ignore").decode().split()
        if not words:
            return []
        conditions: list[str] = ["d.deleted = 0"]
        parameters: list[Value] = []
        # Fewer than three characters have no trigram: those words are looked for one by one.
        long = [word for word in words if len(word) >= 3]
        if long:
            conditions.append("search MATCH ?")
            parameters.append(" ".join(_phrase(word) for word in long))
        for word in words:
            if len(word) < 3:
                conditions.append("(s.title LIKE ? ESCAPE '\\' OR s.text LIKE ? ESCAPE '\\')")
                parameters += [_pattern(word)] * 2
        if group is not None:
            conditions.append("d.group_id = ?")
            parameters.append(group)
        excerpt = "snippet(search, 1, '', '', '…', 60)" if long else "substr(s.text, 1, 60)"
        order = "bm25(search, 10.0, 1.0)" if long else "d.changed DESC"
        rows = self._connection.rows(
            f"SELECT d.id, d.group_id, d.title, {excerpt} FROM search s "  # noqa: S608
            "JOIN documents d ON d.number = s.rowid "
            f"WHERE {' AND '.join(conditions)} ORDER BY {order} LIMIT ?",
            [*parameters, limit],
        )
        return [SearchHit(*row) for row in rows]


def _phrase(word: str) -> str:
    return '"' + word.replace('"', '""') + '"'


def _pattern(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def _document_of(row: Row) -> DocumentRow:
    return DocumentRow(
        id=row[0],
        group=row[1],
        title=row[2],
        created=row[3],
        changed=row[4],
        author_count=row[5],
        deleted=bool(row[6]),
        snapshot_bytes=row[7],
        tail_bytes=row[8],
    )
