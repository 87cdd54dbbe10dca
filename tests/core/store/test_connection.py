"""Transactions, durability, ownership, keys and versions."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lutra.store import DocumentRow, GroupRow, MemberRow, OperationState, Store
from lutra.store.errors import (
    DatabaseInUseError,
    NewerDatabaseError,
    StatementError,
    StoreClosedError,
    StoreError,
    WrongKeyError,
    WrongThreadError,
)
from lutra.store.schema import VERSION

from .conftest import GROUP, MakeLog


def test_a_failed_transaction_leaves_nothing(store: Store) -> None:
    store.settings.set("kept", 1)
    with pytest.raises(KeyError), store.transaction():  # noqa: PT012
        store.settings.set("kept", 2)
        store.settings.set("lost", 1)
        raise KeyError
    assert store.settings.get("kept") == 1
    assert store.settings.get("lost") is None


def test_a_failed_inner_transaction_undoes_its_own_changes_only(store: Store) -> None:
    with store.transaction():
        store.settings.set("outer", 1)
        with pytest.raises(KeyError), store.transaction():  # noqa: PT012
            store.settings.set("inner", 1)
            with store.transaction():
                store.settings.set("innermost", 1)
            raise KeyError
        store.settings.set("after", 1)
    assert [store.settings.get(key) for key in ("outer", "inner", "innermost", "after")] == [
        1,
        None,
        None,
        1,
    ]


def test_an_outer_failure_undoes_finished_inner_transactions(store: Store) -> None:
    with pytest.raises(KeyError), store.transaction():  # noqa: PT012
        with store.transaction(full_sync=True):
            store.settings.set("inner", 1)
        raise KeyError
    assert store.settings.get("inner") is None


def test_a_transaction_the_disk_broke_saves_nothing_that_follows(store: Store) -> None:
    with store.transaction():
        store.settings.set("before", 1)
    pages = store.connection.rows("PRAGMA page_count")[0][0]
    store.connection.rows(f"PRAGMA max_page_count = {pages + 4}")
    with pytest.raises(StoreError), store.transaction():  # noqa: PT012
        with pytest.raises(StoreError):
            store.settings.set("large", bytes(100_000))
        # A caller that swallows the failure must not have this committed on its own.
        store.settings.set("after", 1)
    assert store.settings.get("before") == 1
    assert store.settings.get("after") is None
    with store.transaction():
        store.settings.set("after", 2)
    assert store.settings.get("after") == 2


def test_synchronous_is_full_for_the_outermost_transaction_only(store: Store) -> None:
    def level() -> int:
        return store.connection.rows("PRAGMA synchronous")[0][0]

    normal, full = 1, 2
    assert level() == normal
    with store.transaction(full_sync=True):
        assert level() == full
        with store.transaction():
            assert level() == full
    assert level() == normal
    with pytest.raises(KeyError), store.transaction(full_sync=True):
        raise KeyError
    assert level() == normal


def count_syncs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    synced: list[int] = []
    sync = os.fsync

    def spy(descriptor: int) -> None:
        sync(descriptor)
        synced.append(descriptor)

    monkeypatch.setattr(os, "fsync", spy)
    return synced


def test_a_late_wish_for_durability_syncs_the_log_after_the_commit(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = count_syncs(monkeypatch)
    with store.transaction():
        store.settings.set("x", 1)
        store.epochs.put(b"g", b"e", b"s")
        assert synced == []
    assert len(synced) == 1
    with store.transaction():
        store.settings.set("x", 2)
    assert len(synced) == 1
    with pytest.raises(KeyError), store.transaction():  # noqa: PT012
        store.epochs.put(b"g", b"f", b"s")
        raise KeyError
    assert len(synced) == 1


def test_control_operations_reach_the_disk_and_documents_need_not(
    store: Store, make_log: MakeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = count_syncs(monkeypatch)
    store.operations.insert_many(make_log(3), group=GROUP, state=OperationState.APPLIED)
    assert synced == []
    control = make_log(1, log=GROUP, kind="group.add")
    store.operations.insert_many(control, group=GROUP, state=OperationState.APPLIED)
    assert len(synced) == 1


def test_every_thread_but_the_owner_is_refused(store: Store) -> None:
    errors: list[BaseException] = []

    def intrude() -> None:
        try:
            store.settings.get("x")
        except WrongThreadError as error:
            errors.append(error)

    thread = threading.Thread(target=intrude)
    thread.start()
    thread.join()
    assert len(errors) == 1


def test_a_closed_store_says_so_and_closes_twice(path: Path, key: bytes) -> None:
    store = Store.open(path, key)
    store.close()
    store.close()
    with pytest.raises(StoreClosedError):
        store.settings.get("x")
    with pytest.raises(StoreClosedError), store.transaction():
        pass


def test_closing_moves_the_log_into_the_database(path: Path, key: bytes) -> None:
    store = Store.open(path, key)
    store.settings.set("x", bytes(50_000))
    wal = Path(f"{path}-wal")
    assert wal.stat().st_size > 0
    store.close()
    assert not wal.exists()
    with Store.open(path, key) as again:
        assert again.settings.get("x") == bytes(50_000)


def test_a_wrong_key_is_told_and_shows_no_key(path: Path, key: bytes) -> None:
    Store.open(path, key).close()
    before = path.read_bytes()
    wrong = bytes([key[0] ^ 1]) + key[1:]
    with pytest.raises(WrongKeyError) as caught:
        Store.open(path, wrong)
    error: BaseException | None = caught.value
    while error is not None:
        assert wrong.hex() not in repr(error)
        error = error.__cause__ or error.__context__
    assert path.read_bytes() == before
    with pytest.raises(ValueError, match="32 bytes"):
        Store.open(path, b"short")


def test_a_newer_database_is_refused_untouched(path: Path, key: bytes) -> None:
    with Store.open(path, key) as store:
        store.connection.run(f"PRAGMA user_version = {VERSION + 1}")
    before = path.read_bytes()
    with pytest.raises(NewerDatabaseError) as caught:
        Store.open(path, key)
    assert caught.value.details == {"found": VERSION + 1, "supported": VERSION}
    assert path.read_bytes() == before


def test_a_migration_that_was_cut_short_is_done_again(path: Path, key: bytes) -> None:
    with Store.open(path, key) as store:
        tables = set(store.connection.database.table_names())
        for name in sorted(tables):
            if name.startswith(("search_", "sqlite_")):
                continue
            store.connection.run(f"DROP TABLE {name}")
        store.connection.run("PRAGMA user_version = 0")
    with Store.open(path, key) as store:
        assert set(store.connection.database.table_names()) == tables
        assert store.connection.rows("PRAGMA user_version") == [(VERSION,)]


def test_a_database_of_the_first_version_is_brought_up_to_date(path: Path, key: bytes) -> None:
    with Store.open(path, key) as store:
        fresh = set(store.connection.rows("SELECT name, type FROM sqlite_master"))
    earlier = path.with_name("earlier.db")
    shutil.copy(Path(__file__).parents[2] / "profiles" / "version1.db", earlier)
    with Store.open(earlier, bytes(32)) as store:
        assert store.connection.rows("PRAGMA user_version") == [(VERSION,)]
        assert set(store.connection.rows("SELECT name, type FROM sqlite_master")) == fresh
        assert store.settings.get("person_name") == "Ana"


def test_every_table_is_strict(store: Store) -> None:
    loose = [
        row[0]
        for row in store.connection.rows(
            "SELECT name FROM pragma_table_list WHERE type = 'table' AND strict = 0 "
            "AND name NOT LIKE 'sqlite%' AND name NOT LIKE '_sqlite%'"
        )
    ]
    assert loose == []
    with pytest.raises(StatementError):
        store.connection.run("INSERT INTO keys (name, secret) VALUES ('a', 1)")


def test_a_second_process_cannot_open_the_database(store: Store, path: Path, key: bytes) -> None:
    store.settings.set("x", 1)
    with pytest.raises(DatabaseInUseError):
        Store.open(path, key)
    script = (
        "import sys, pathlib\n"
        "from lutra.store import Store\n"
        "from lutra.store.errors import DatabaseInUseError\n"
        "try:\n"
        "    Store.open(pathlib.Path(sys.argv[1]), bytes(range(32)))\n"
        "except DatabaseInUseError:\n"
        "    sys.exit(7)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert done.returncode == 7
    assert store.settings.get("x") == 1


def test_nothing_is_readable_on_disk(path: Path, key: bytes) -> None:
    marker = "Ottersecret"
    raw = marker.encode()
    store = Store.open(path, key)
    group, document = b"g" * 32, b"d" * 32
    store.settings.set(marker, marker)
    store.keys.put("device", raw * 3)
    store.groups.put(GroupRow(group, marker, raw * 3, 1, 1, state=raw))
    store.epochs.put(group, b"e" * 32, raw * 3)
    store.members.put(group, [MemberRow(b"x" * 32, marker, marker, "admin", 1)])
    store.documents.upsert(DocumentRow(document, group, marker, 1, 1))
    store.documents.append_tail(document, raw)
    store.documents.set_snapshot(document, raw * 1000)
    store.documents.index(document, marker, f"{marker} " * 2000)
    store.drafts.add(document, raw)
    assert store.documents.search(marker.lower())

    def check() -> None:
        files = [file for file in path.parent.iterdir() if file.is_file()]
        assert files
        for file in files:
            content = file.read_bytes()
            for secret in (raw, raw.lower(), b"SQLite format", b"CREATE TABLE", group, key):
                assert secret not in content, file.name

    check()
    store.checkpoint()
    check()
    store.close()
    check()
