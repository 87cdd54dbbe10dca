"""Is every page what was written, and does everything fit together?"""

from __future__ import annotations

from dataclasses import dataclass

from lutra.store.connection import Connection
from lutra.store.errors import DamagedDatabaseError, StatementError

_MOST_PROBLEMS = 100


@dataclass(frozen=True, slots=True)
class IntegrityReport:
    """What a check found.

    Attributes:
        problems: one line each, at most 100; empty if all is well. No content of the database.
    """

    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def check(connection: Connection, *, quick: bool = False) -> IntegrityReport:
    """Check the whole database.

    Args:
        connection: an open connection outside a transaction.
        quick: only structure and authentication of the pages in use; otherwise also that indexes
            and the search index agree with their tables, and that logs have no gaps.
    """
    problems: list[str] = []
    for sql in (
        "PRAGMA cipher_integrity_check",
        f"PRAGMA {'quick' if quick else 'integrity'}_check({_MOST_PROBLEMS})",
    ):
        try:
            problems += [str(row[0]) for row in connection.rows(sql) if row[0] != "ok"]
        except DamagedDatabaseError as error:
            problems.append(error.message)
    if not quick and not problems:
        problems += _inconsistencies(connection)
    return IntegrityReport(tuple(problems[:_MOST_PROBLEMS]))


def _inconsistencies(connection: Connection) -> list[str]:
    problems: list[str] = []
    try:
        connection.run("INSERT INTO search (search, rank) VALUES ('integrity-check', 1)")
    except (DamagedDatabaseError, StatementError):
        problems.append("The search index does not fit the texts.")
    for sql, sentence in _RULES:
        row = connection.row(sql)
        if row is not None and row[0]:
            problems.append(f"{sentence} ({row[0]})")
    return problems


_RULES = (
    (
        "SELECT count(*) FROM operations o LEFT JOIN logs l ON l.number = o.log "
        "WHERE l.number IS NULL",
        "Operations belong to no log.",
    ),
    (
        "SELECT count(*) FROM logs l WHERE head_seq IS NOT NULL AND head_seq - first_seq + 1 != "
        "(SELECT count(*) FROM operations o WHERE o.log = l.number AND o.seq_num "
        "BETWEEN l.first_seq AND l.head_seq)",
        "Logs have gaps.",
    ),
    (
        "SELECT count(*) FROM snapshots s LEFT JOIN documents d ON d.number = s.document "
        "WHERE d.number IS NULL",
        "Snapshots belong to no document.",
    ),
)
