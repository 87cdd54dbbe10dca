"""Backups are complete, tried out, private, and open on another device."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lutra.errors import LocalError
from lutra.store import DocumentRow, OperationState, Store
from lutra.store import backup as backups
from lutra.store.custody import FileCustody, PassphraseCustody
from lutra.store.errors import (
    BackupError,
    DamagedDatabaseError,
    PassphraseNeededError,
    ProfileExistsError,
    WrongKeyError,
    WrongPassphraseError,
)
from lutra.store.profile import Profile

from .conftest import GROUP, MakeLog

DOCUMENT = b"d" * 32


def under(passphrase: str) -> PassphraseCustody:
    """The passphrase at the lowest cost, to keep the tests quick."""
    return PassphraseCustody(passphrase, opslimit=1, memlimit=8192)


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    return Profile.create(tmp_path / "profile", FileCustody(tmp_path / "profile"))


@pytest.fixture
def key(profile: Profile) -> bytes:
    return profile.unlock()


def fill(profile: Profile, key: bytes, make_log: MakeLog) -> None:
    with profile.open_store(key) as store:
        log = make_log(20)
        store.operations.insert_many(log, group=GROUP, state=OperationState.APPLIED)
        store.forks.add(make_log(1)[0])
        store.documents.upsert(DocumentRow(DOCUMENT, GROUP, "Page", 0, 0))
        store.documents.set_snapshot(DOCUMENT, os.urandom(50_000))
        store.documents.append_tail(DOCUMENT, b"tail")
        store.documents.index(DOCUMENT, "Page", "an otter swims")
        store.drafts.add(DOCUMENT, b"draft")
        store.keys.put("device", b"k" * 32)
        store.acknowledgements.record(b"p" * 32, [(log[0].log_key, 3)])
    (profile.blobs / "ab").mkdir()
    (profile.blobs / "ab" / "cd").write_bytes(os.urandom(3_000_000))


def test_a_backup_is_restored_whole_under_its_passphrase(
    profile: Profile, key: bytes, make_log: MakeLog, tmp_path: Path
) -> None:
    fill(profile, key, make_log)
    target, restored_to = tmp_path / "backup", tmp_path / "restored"
    with profile.open_store(key) as store:
        # The last changes are in the write-ahead log only.
        store.settings.set("last", "change")
        report = backups.back_up(profile, store, key, target, under("pass"))
        assert report.contents == backups.contents(store.connection)
    assert report.directory == target
    assert report.files == 1
    assert report.contents.counts["operations"] == 20
    assert report.contents.counts["drafts"] == 1
    assert report.size > 3_000_000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup", "profile"]

    with pytest.raises(WrongPassphraseError):
        backups.restore(target, restored_to, "guess")
    with pytest.raises(PassphraseNeededError):
        backups.restore(target, restored_to, "")
    assert not Profile.exists(restored_to)
    restored = backups.restore(target, restored_to, "pass", FileCustody(restored_to))
    assert restored.id != profile.id
    with restored.open_store(restored.unlock()) as store:
        assert backups.is_restored(store)
        assert store.settings.get("last") == "change"
        assert store.keys.get("device") == b"k" * 32
        assert [hit.id for hit in store.documents.search("otter")] == [DOCUMENT]
        assert store.documents.tail(DOCUMENT) == [b"tail"]
        assert store.integrity_check().ok
        store.settings.set(backups.RESTORED, None)
        assert backups.contents(store.connection) == report.contents
    blob = Path("ab") / "cd"
    assert (restored.blobs / blob).read_bytes() == (profile.blobs / blob).read_bytes()
    with profile.open_store(key) as store:
        assert not backups.is_restored(store)


def test_a_backup_shows_nothing(
    profile: Profile, key: bytes, make_log: MakeLog, tmp_path: Path
) -> None:
    fill(profile, key, make_log)
    with profile.open_store(key) as store:
        backups.back_up(profile, store, key, tmp_path / "backup", under("secret phrase"))
    files = [path for path in (tmp_path / "backup").rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"profile.json", "lutra.db", "cd"}
    for path in files:
        content = path.read_bytes()
        for secret in (b"otter", b"SQLite", b"secret phrase", key, key.hex().encode(), b"k" * 32):
            assert secret not in content
        if os.name == "posix":
            assert path.stat().st_mode & 0o077 == 0


def test_a_backup_replaces_nothing(profile: Profile, key: bytes, tmp_path: Path) -> None:
    with profile.open_store(key) as store:
        for directory in (profile.directory, tmp_path):
            with pytest.raises(ProfileExistsError):
                backups.back_up(profile, store, key, directory, under("pass"))
        backups.back_up(profile, store, key, tmp_path / "backup", under("pass"))
        with pytest.raises(ProfileExistsError):
            backups.restore(tmp_path / "backup", profile.directory, "pass")


def test_a_backup_that_fails_leaves_nothing(profile: Profile, key: bytes, tmp_path: Path) -> None:
    target = tmp_path / "backup"
    with profile.open_store(key) as store:
        with pytest.raises(PassphraseNeededError):
            backups.back_up(profile, store, key, target, under(""))
        with store.transaction(), pytest.raises(LocalError):
            backups.back_up(profile, store, key, target, under("pass"))
        with pytest.raises(WrongKeyError):
            backups.back_up(profile, store, bytes(32), target, "pass")
    assert [path.name for path in tmp_path.iterdir()] == ["profile"]


def test_a_partial_backup_of_an_earlier_crash_is_cleared(
    profile: Profile, key: bytes, tmp_path: Path
) -> None:
    partial = tmp_path / ".backup.partial"
    partial.mkdir()
    (partial / "lutra.db").write_bytes(b"half")
    with profile.open_store(key) as store:
        backups.back_up(profile, store, key, tmp_path / "backup", under("pass"))
    assert not partial.exists()


def test_a_trial_restore_that_differs_discards_the_backup(
    profile: Profile, key: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = backups.sync_file

    def meddle(path: Path) -> None:
        original(path)
        if path.name == "lutra.db":
            with Store.open(path, key) as store:
                store.settings.set("meddled", 1)

    monkeypatch.setattr(backups, "sync_file", meddle)
    with profile.open_store(key) as store, pytest.raises(BackupError):
        backups.back_up(profile, store, key, tmp_path / "backup", under("pass"))
    assert [path.name for path in tmp_path.iterdir()] == ["profile"]


def test_a_damaged_backup_is_not_restored(
    profile: Profile, key: bytes, make_log: MakeLog, tmp_path: Path
) -> None:
    fill(profile, key, make_log)
    with profile.open_store(key) as store:
        backups.back_up(profile, store, key, tmp_path / "backup", under("pass"))
    database = tmp_path / "backup" / "lutra.db"
    content = bytearray(database.read_bytes())
    for number, place in enumerate((0, len(content) * 2 // 3, len(content) - 1)):
        content[place] ^= 1
        database.write_bytes(content)
        target = tmp_path / f"restored {number}"
        with pytest.raises(DamagedDatabaseError):
            backups.restore(tmp_path / "backup", target, "pass", FileCustody(target))
        assert not Profile.exists(target)
        content[place] ^= 1


def test_contents_differ_when_a_single_value_differs(store: Store) -> None:
    store.settings.set("a", 1)
    one = backups.contents(store.connection)
    store.settings.set("a", "1")
    other = backups.contents(store.connection)
    assert one.counts == other.counts
    assert one.digest != other.digest
    store.settings.set("a", 1)
    assert backups.contents(store.connection) == one
