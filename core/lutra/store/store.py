"""The encrypted database of one profile."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

from lutra.store import schema
from lutra.store.connection import Connection
from lutra.store.documents import Documents
from lutra.store.drafts import Drafts
from lutra.store.groups import Epochs, Groups, Members
from lutra.store.integrity import IntegrityReport, check
from lutra.store.invites import Invites, JoinRequests
from lutra.store.joins import Joins
from lutra.store.logs import Forks, Logs
from lutra.store.operations import Operations
from lutra.store.peers import Acknowledgements, Addresses
from lutra.store.persons import Persons
from lutra.store.settings import Keys, Settings

_COMPACT_BYTES = 16 * 1024 * 1024


class Store:
    """All that one profile holds; used by the thread that opened it and by no other.

    Every write outside `transaction` commits by itself.

    Attributes:
        connection: the connection underneath, for queries of other packages.
        settings, keys, operations, logs, forks, groups, epochs, members, invites,
            join_requests, joins, persons, documents, drafts, acknowledgements, addresses: the
            tables.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.settings = Settings(connection)
        self.keys = Keys(connection)
        self.operations = Operations(connection)
        self.logs = Logs(connection)
        self.forks: Forks = self.logs.forks
        self.groups = Groups(connection)
        self.epochs = Epochs(connection)
        self.members = Members(connection)
        self.invites = Invites(connection)
        self.join_requests = JoinRequests(connection)
        self.joins = Joins(connection)
        self.persons = Persons(connection)
        self.documents = Documents(connection)
        self.drafts = Drafts(connection)
        self.acknowledgements = Acknowledgements(connection)
        self.addresses = Addresses(connection)

    @classmethod
    def open(cls, path: Path, key: bytes) -> Store:
        """Open the database at ``path``, creating it where there is none.

        Args:
            path: the database file; its folder must exist.
            key: 32 random bytes.

        Raises:
            WrongKeyError: the key does not open it.
            NewerDatabaseError: a newer Lutra wrote it; nothing was changed.
            DatabaseInUseError: another process has it open.
            StoreError: a subclass says what is wrong with the disk or the file.
        """
        connection = Connection.open(path, key)
        try:
            schema.migrate(connection)
            return cls(connection)
        except BaseException:
            connection.close()
            raise

    def transaction(self, *, full_sync: bool = False) -> AbstractContextManager[None]:
        """Make everything inside visible together or not at all; see `Connection.transaction`."""
        return self.connection.transaction(full_sync=full_sync)

    def integrity_check(self, *, quick: bool = False) -> IntegrityReport:
        """Check the database; see `lutra.store.integrity.check`."""
        return check(self.connection, quick=quick)

    def checkpoint(self) -> None:
        """Move the write-ahead log into the database file; good to do at rest."""
        self.connection.rows("PRAGMA wal_checkpoint(PASSIVE)")

    def compact(self) -> bool:
        """Give unused room back to the disk if it is worth the effort; returns whether it was.

        Pruned operations leave empty pages, which later ones reuse. Only when more than half of
        a large file is empty is it written anew: that takes about 20 ms per megabyte that is left,
        as much free disk and memory, and must not happen inside a transaction.
        """
        pages, unused, size = (
            int(self.connection.rows(f"PRAGMA {name}")[0][0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        if unused * 2 <= pages or unused * size < _COMPACT_BYTES:
            return False
        self.connection.run("VACUUM")
        self.connection.rows("PRAGMA wal_checkpoint(TRUNCATE)")
        return True

    def close(self) -> None:
        """Move the write-ahead log into the database file and close; twice is harmless."""
        self.connection.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
