"""The one connection to the encrypted database: key, transactions, and errors people understand.

SQLCipher encrypts and authenticates every page, the write-ahead log and the search index included.
The connection holds the file exclusively, so that a second process can never write beside it and
no shared-memory file is needed.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from sqlcipher3 import dbapi2

from lutra.errors import LutraError
from lutra.store.errors import (
    DamagedDatabaseError,
    DatabaseInUseError,
    DiskError,
    DiskFullError,
    ReadOnlyError,
    StatementError,
    StoreClosedError,
    StoreError,
    WrongKeyError,
    WrongThreadError,
)
from lutra.store.files import sync_file

if TYPE_CHECKING:
    from sqlite_utils import Database

KEY_BYTES = 32
Value = bytes | str | int | float | None
Row = tuple[Any, ...]

# The driver takes numbers, text and byte arrays as they are. About any other type it asks around,
# catching exceptions: for a row with four `bytes` that cost more than inserting the row.
dbapi2.register_adapter(bytes, bytearray)

_CACHED_STATEMENTS = 256
_BUSY_SECONDS = 1.0
_PRAGMAS = (
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    # Sorting and temporary tables must never reach the disk in the clear.
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -32768",
    # A larger log makes a keystroke's commit hit a checkpoint (two syncs) less often.
    "PRAGMA wal_autocheckpoint = 4000",
    "PRAGMA journal_size_limit = 33554432",
)


class Connection:
    """Owns the driver's connection; belongs to the thread that opened it."""

    def __init__(self, path: Path, driver: dbapi2.Connection) -> None:
        self.path = path
        self._driver = driver
        self._depth = 0
        self._sync_wanted = False
        self._doomed = False
        self._database: Database | None = None

    @classmethod
    def open(cls, path: Path, key: bytes) -> Connection:
        """Open the database at ``path``, creating an empty one where there is none.

        Args:
            path: the database file.
            key: 32 random bytes, used as they are (no key derivation, so opening is fast).

        Raises:
            WrongKeyError: the key does not open it, or its first page is damaged.
            StoreError: a subclass says what the disk or another process does.
        """
        if len(key) != KEY_BYTES:
            raise ValueError("a database key has 32 bytes")
        # Its neighbours, which SQLite makes, get its mode. A file that is there must not be opened
        # and closed here: that would give up the locks this process holds on it.
        with suppress(OSError):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        try:
            driver = dbapi2.connect(
                str(path),
                timeout=_BUSY_SECONDS,
                isolation_level=None,
                cached_statements=_CACHED_STATEMENTS,
            )
        except dbapi2.Error as error:
            raise _translate(error, path) from None
        try:
            # SQLCipher would write its own lines to standard error.
            driver.execute("PRAGMA cipher_log_level = NONE")
            driver.set_key(f"x'{key.hex()}'")
            for pragma in _PRAGMAS:
                driver.execute(pragma).fetchall()
        except dbapi2.Error as error:
            driver.close()
            raise _translate(error, path) from None
        return cls(path, driver)

    @property
    def database(self) -> Database:
        """The sqlite-utils view of this connection, for migrations and inspection."""
        if self._database is None:
            # Imported late: it costs more time than opening the database, and an ordinary start
            # has no migration to run.
            from sqlite_utils import Database

            self._database = Database(
                self._driver,  # pyright: ignore[reportArgumentType]
                recursive_triggers=False,
                execute_plugins=False,
            )
        return self._database

    @property
    def in_transaction(self) -> bool:
        """Whether a `transaction` is open."""
        return self._depth > 0

    def rows(self, sql: str, parameters: Sequence[Value] = ()) -> list[Row]:
        """Run a query and return all its rows."""
        try:
            return self._driver.execute(sql, parameters).fetchall()
        except dbapi2.Error as error:
            self._fail(error)

    def row(self, sql: str, parameters: Sequence[Value] = ()) -> Row | None:
        """Run a query and return its first row, or None."""
        try:
            cursor = self._driver.execute(sql, parameters)
            found = cursor.fetchone()
            # An unfinished statement would keep its read transaction open.
            cursor.close()
            return found
        except dbapi2.Error as error:
            self._fail(error)

    def each(self, sql: str, parameters: Sequence[Value] = ()) -> Iterator[Row]:
        """Run a query and yield its rows one by one, for results that may be large."""
        try:
            yield from self._driver.execute(sql, parameters)
        except dbapi2.Error as error:
            self._fail(error)

    def run(self, sql: str, parameters: Sequence[Value] = ()) -> int:
        """Run a statement and return how many rows it changed."""
        try:
            return self._driver.execute(sql, parameters).rowcount
        except dbapi2.Error as error:
            self._fail(error)

    def run_many(self, sql: str, parameters: Iterable[Sequence[Value]]) -> int:
        """Run a statement once per parameter list and return how many rows it changed."""
        try:
            return self._driver.executemany(sql, parameters).rowcount
        except dbapi2.Error as error:
            self._fail(error)

    @contextmanager
    def transaction(self, *, full_sync: bool = False) -> Generator[None]:
        """Make everything inside visible and durable together, or not at all.

        Nested blocks are savepoints: one that raises undoes its own changes only.

        Args:
            full_sync: the outermost commit reaches the disk itself (it survives a power cut, not
                only a crash) before the block ends.
        """
        if self._depth:
            self._sync_wanted = self._sync_wanted or full_sync
            yield from self._savepoint()
        else:
            yield from self._outermost(full_sync)

    def request_full_sync(self) -> None:
        """Make the transaction that is open now reach the disk itself when it commits."""
        self._sync_wanted = True

    def close(self) -> None:
        """Move the write-ahead log into the database file and let go of it."""
        try:
            self._driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except dbapi2.ProgrammingError as error:
            if "closed" in str(error):
                return
            self._fail(error)
        except dbapi2.Error:
            # A full or failing disk: the log stays, and the next start carries on from it.
            self._driver.close()
            return
        self._driver.close()

    def _outermost(self, full_sync: bool) -> Generator[None]:
        self._sync_wanted = False
        self._doomed = False
        if full_sync:
            self.run("PRAGMA synchronous = FULL")
        try:
            self.run("BEGIN IMMEDIATE")
            self._depth = 1
            try:
                yield
                if self._doomed:
                    raise StoreError("The disk failed while saving, so nothing was saved.")
                self.run("COMMIT")
            except BaseException:
                if self._driver.in_transaction:
                    self._driver.execute("ROLLBACK")
                raise
            finally:
                self._depth = 0
        finally:
            if full_sync:
                self.run("PRAGMA synchronous = NORMAL")
        if self._sync_wanted and not full_sync:
            self._sync_log()

    def _savepoint(self) -> Generator[None]:
        name = f"lutra_{self._depth}"
        self.run(f"SAVEPOINT {name}")
        self._depth += 1
        try:
            yield
        except BaseException:
            if not self._doomed:
                self.run(f"ROLLBACK TO {name}")
                self.run(f"RELEASE {name}")
            raise
        else:
            if not self._doomed:
                self.run(f"RELEASE {name}")
        finally:
            self._depth -= 1

    def _sync_log(self) -> None:
        """Bring the committed write-ahead log to the disk.

        SQLite cannot change its safety level inside a transaction, so a wish for it that came
        later is met here; all that FULL adds to NORMAL is this very sync after the commit.
        """
        try:
            sync_file(Path(f"{self.path}-wal"))
        except OSError as error:
            raise DiskError(
                "The disk did not confirm that the last change is saved.", errno=error.errno
            ) from error

    def _fail(self, error: dbapi2.Error) -> NoReturn:
        """Raise the error's typed form.

        A full or failing disk makes SQLite undo the whole transaction by itself. Statements that
        follow in the same block must not be saved one by one, so they go into a new transaction
        that can only be rolled back.
        """
        try:
            lost = self._depth > 0 and not self._driver.in_transaction
        except dbapi2.ProgrammingError:
            lost = False
        if lost and not self._doomed:
            self._doomed = True
            self._driver.execute("BEGIN")
        raise _translate(error, self.path) from error


def _translate(error: dbapi2.Error, path: Path) -> LutraError:
    """Turn the driver's error into one sentence people understand; it never holds values."""
    name = getattr(error, "sqlite_errorname", None) or ""
    text = str(error)
    if name.startswith("SQLITE_FULL"):
        return DiskFullError("The disk is full, so the last change was not saved.")
    if name.startswith("SQLITE_READONLY"):
        return ReadOnlyError("The profile's folder cannot be written to.", path=str(path))
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_IOERR")) and _is_read_only(path):
        return ReadOnlyError("The profile's folder cannot be written to.", path=str(path))
    if name.startswith("SQLITE_CANTOPEN"):
        return StoreError("The database file cannot be opened.", path=str(path))
    if name.startswith("SQLITE_NOTADB"):
        return WrongKeyError("The key does not open the database, or its beginning is damaged.")
    if name.startswith("SQLITE_CORRUPT"):
        return DamagedDatabaseError(
            "The database is damaged; restore it from a backup or from another device."
        )
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return DatabaseInUseError("Another program has the database open.", path=str(path))
    if name.startswith("SQLITE_IOERR"):
        return DiskError("The disk failed while the database was in use.", reason=name)
    if isinstance(error, dbapi2.ProgrammingError) and "thread" in text:
        return WrongThreadError("The database was used outside the thread that owns it.")
    if isinstance(error, dbapi2.ProgrammingError) and "closed" in text:
        return StoreClosedError("The database is closed.")
    return StatementError(f"A database statement is wrong: {text}.", reason=name)


def _is_read_only(path: Path) -> bool:
    # On a read-only disk SQLite reports one of several failures, depending on what it tried first.
    return any(file.exists() and not os.access(file, os.W_OK) for file in (path.parent, path))
