"""The tables and the forward migrations that make them.

A migration and the record of it commit together. `VERSION` equals the number of migrations and is
kept in ``user_version``, so that an ordinary start compares one number and a newer database is
recognised before anything of it is touched. A migration that was released never changes.

Logs and devices are named by small numbers inside the tables that have many rows; a 64-byte log
key in every index would triple them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lutra.store.connection import Connection
from lutra.store.errors import NewerDatabaseError

if TYPE_CHECKING:
    from sqlite_utils import Database

_FIRST = """
CREATE TABLE settings (
    key TEXT PRIMARY KEY, value ANY
) STRICT, WITHOUT ROWID;
CREATE TABLE keys (
    name TEXT PRIMARY KEY, secret BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE logs (
    number INTEGER PRIMARY KEY,
    author BLOB NOT NULL,
    log BLOB NOT NULL,
    group_id BLOB,
    head_seq INTEGER,
    head_id BLOB,
    first_seq INTEGER NOT NULL DEFAULT 0,
    time INTEGER NOT NULL DEFAULT 0,
    frozen INTEGER NOT NULL DEFAULT 0,
    UNIQUE (log, author)
) STRICT;
CREATE INDEX logs_group ON logs (group_id);
CREATE INDEX logs_frozen ON logs (number) WHERE frozen = 1;
CREATE TABLE operations (
    number INTEGER PRIMARY KEY,
    log INTEGER NOT NULL,
    seq_num INTEGER NOT NULL,
    id BLOB NOT NULL,
    state INTEGER NOT NULL,
    epoch BLOB,
    header BLOB NOT NULL,
    body BLOB
) STRICT;
CREATE UNIQUE INDEX operations_id ON operations (id);
CREATE UNIQUE INDEX operations_place ON operations (log, seq_num);
CREATE INDEX operations_waiting ON operations (epoch, log) WHERE state = 1;
CREATE TABLE forks (
    id BLOB PRIMARY KEY,
    log INTEGER NOT NULL,
    header BLOB NOT NULL,
    body BLOB
) STRICT;

CREATE TABLE groups (
    id BLOB PRIMARY KEY,
    name TEXT NOT NULL,
    discovery_secret BLOB NOT NULL,
    created INTEGER NOT NULL,
    joined INTEGER NOT NULL,
    has_left INTEGER NOT NULL,
    state BLOB NOT NULL
) STRICT;
CREATE TABLE epochs (
    number INTEGER PRIMARY KEY,
    group_id BLOB NOT NULL,
    epoch BLOB NOT NULL,
    secret BLOB NOT NULL,
    UNIQUE (group_id, epoch)
) STRICT;
CREATE TABLE members (
    group_id BLOB NOT NULL,
    device BLOB NOT NULL,
    person_name TEXT NOT NULL,
    device_name TEXT NOT NULL,
    role TEXT NOT NULL,
    added_time INTEGER NOT NULL,
    removed INTEGER NOT NULL,
    PRIMARY KEY (group_id, device)
) STRICT, WITHOUT ROWID;
CREATE TABLE invites (
    id BLOB PRIMARY KEY,
    group_id BLOB NOT NULL,
    secret BLOB NOT NULL,
    role TEXT NOT NULL,
    expires INTEGER NOT NULL,
    uses_left INTEGER NOT NULL,
    revoked INTEGER NOT NULL
) STRICT;

CREATE TABLE documents (
    number INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    group_id BLOB NOT NULL,
    title TEXT NOT NULL,
    created INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    author_count INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    snapshot_bytes INTEGER NOT NULL DEFAULT 0,
    tail_bytes INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX documents_group ON documents (group_id, changed);
CREATE INDEX documents_changed ON documents (changed);
CREATE TABLE snapshots (
    document INTEGER PRIMARY KEY, snapshot BLOB NOT NULL
) STRICT;
CREATE TABLE tails (
    document INTEGER NOT NULL,
    number INTEGER NOT NULL,
    loro BLOB NOT NULL,
    PRIMARY KEY (document, number)
) STRICT, WITHOUT ROWID;
CREATE VIRTUAL TABLE search USING fts5 (
    title, text, tokenize = 'trigram remove_diacritics 1'
);
CREATE TABLE drafts (
    document BLOB NOT NULL,
    id INTEGER NOT NULL,
    loro BLOB NOT NULL,
    PRIMARY KEY (document, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE devices (
    number INTEGER PRIMARY KEY, device BLOB NOT NULL UNIQUE
) STRICT;
CREATE TABLE acknowledgements (
    log INTEGER NOT NULL,
    device INTEGER NOT NULL,
    seq_num INTEGER NOT NULL,
    PRIMARY KEY (log, device)
) STRICT, WITHOUT ROWID;
CREATE INDEX acknowledgements_device ON acknowledgements (device);
CREATE TABLE addresses (
    device BLOB NOT NULL,
    host TEXT NOT NULL,
    port INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    source TEXT NOT NULL,
    PRIMARY KEY (device, host, port)
) STRICT, WITHOUT ROWID;
"""

# Ids are hashes: every operation of a slice dirtied another page of the index of ids, which cost
# more than all else that is written. Operations are looked up by their place.
_SECOND = """
CREATE TABLE person_operations (
    number INTEGER PRIMARY KEY,
    person BLOB NOT NULL,
    id BLOB NOT NULL UNIQUE,
    header BLOB NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX person_operations_person ON person_operations (person, number);
CREATE TABLE verifications (
    person BLOB PRIMARY KEY,
    verified BLOB,
    seen BLOB
) STRICT, WITHOUT ROWID;

ALTER TABLE groups ADD COLUMN form INTEGER NOT NULL DEFAULT 1;
ALTER TABLE groups ADD COLUMN personal INTEGER NOT NULL DEFAULT 0;
ALTER TABLE groups ADD COLUMN profile INTEGER NOT NULL DEFAULT 1;
ALTER TABLE members ADD COLUMN person BLOB NOT NULL DEFAULT x'';

ALTER TABLE invites ADD COLUMN by_hand INTEGER NOT NULL DEFAULT 0;
ALTER TABLE invites ADD COLUMN created INTEGER NOT NULL DEFAULT 0;
ALTER TABLE invites ADD COLUMN with_address INTEGER NOT NULL DEFAULT 1;
ALTER TABLE invites ADD COLUMN comparison TEXT NOT NULL DEFAULT '';
ALTER TABLE invites ADD COLUMN short_secret BLOB NOT NULL DEFAULT x'';
ALTER TABLE invites ADD COLUMN short_number INTEGER NOT NULL DEFAULT 0;
ALTER TABLE invites ADD COLUMN short_state INTEGER NOT NULL DEFAULT 0;
ALTER TABLE invites ADD COLUMN short_expires INTEGER NOT NULL DEFAULT 0;
CREATE TABLE join_requests (
    invite BLOB NOT NULL,
    device BLOB NOT NULL,
    person BLOB NOT NULL,
    name TEXT NOT NULL,
    device_name TEXT NOT NULL,
    time INTEGER NOT NULL,
    state INTEGER NOT NULL,
    ticket BLOB NOT NULL,
    comparison TEXT NOT NULL,
    evidence BLOB NOT NULL,
    PRIMARY KEY (invite, device)
) STRICT, WITHOUT ROWID;
CREATE TABLE joins (
    invite BLOB PRIMARY KEY,
    secret BLOB NOT NULL,
    number INTEGER,
    addresses TEXT NOT NULL,
    time INTEGER NOT NULL,
    state INTEGER NOT NULL,
    ticket BLOB NOT NULL,
    comparison TEXT NOT NULL,
    inviter TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT, WITHOUT ROWID;

DROP INDEX operations_id;
"""

_SCRIPTS = (_FIRST, _SECOND)
VERSION = len(_SCRIPTS)
"""Version of the tables this program reads and writes."""


def version(connection: Connection) -> int:
    """Return the version of the database's tables, 0 for an empty database."""
    row = connection.row("PRAGMA user_version")
    return 0 if row is None else int(row[0])


def migrate(connection: Connection) -> None:
    """Bring the tables to `VERSION`.

    Raises:
        NewerDatabaseError: a newer Lutra wrote the database; nothing was changed.
    """
    found = version(connection)
    if found == VERSION:
        return
    if found > VERSION:
        raise NewerDatabaseError(
            "This profile was used with a newer Lutra. Please update Lutra to open it.",
            found=found,
            supported=VERSION,
        )
    # Imported late for the same reason as in `Connection.database`.
    from sqlite_utils.migrations import Migrations

    migrations = Migrations("lutra")
    for number, script in enumerate(_SCRIPTS, start=1):
        migrations()(_Migration(number, script, connection))
    migrations.apply(connection.database)


class _Migration:
    """One step: runs its statements and records the version it leads to."""

    def __init__(self, number: int, script: str, connection: Connection) -> None:
        self.__name__ = f"{number:04d}"
        self._number = number
        self._script = script
        self._connection = connection

    def __call__(self, db: Database, /) -> None:
        for statement in self._script.split(";"):
            if statement.strip():
                self._connection.run(statement)
        self._connection.run(f"PRAGMA user_version = {self._number}")
