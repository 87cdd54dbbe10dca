"""Backups: a whole profile under a passphrase, tried out before it counts as one.

A backup is itself a profile directory. Its database has the same key, wrapped by the passphrase
instead of the device's keyring, so that it opens on another device too.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from lutra import codec
from lutra.crypto.hashing import blake3_hash
from lutra.crypto.random import Random, system_random
from lutra.errors import LocalError
from lutra.store.connection import Connection
from lutra.store.custody import Custody, PassphraseCustody
from lutra.store.errors import BackupError, DiskFullError, ProfileExistsError
from lutra.store.files import disk_error, sync_file
from lutra.store.profile import Profile, check_own_folder
from lutra.store.store import Store

RESTORED = "backup.restored"
"""Setting that is 1 in a restored database. Its logs may have gone on elsewhere, so whoever opens
it continues under a new device key instead of forking them."""

_CHUNK_BYTES = 1024 * 1024
# Room for the copy's own bookkeeping pages and for the file system's.
_SPARE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Contents:
    """What a database holds, for comparing two.

    Attributes:
        counts: number of rows by table.
        digest: BLAKE3 chained over all rows of all tables.
    """

    counts: dict[str, int]
    digest: bytes


@dataclass(frozen=True, slots=True)
class BackupReport:
    """A backup that was made, opened again and compared.

    Attributes:
        directory: where it is.
        size: bytes of its database and files.
        contents: what its database holds.
        files: how many files it has beside the database.
    """

    directory: Path
    size: int
    contents: Contents
    files: int


def contents(connection: Connection) -> Contents:
    """Read every row of every table and say how many there are and what they hash to."""
    tables = connection.rows(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' "
        "ESCAPE '~' AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name"
    )
    counts: dict[str, int] = {}
    digest = blake3_hash(codec.encode([row[0] for row in tables]))
    for (name,) in tables:
        counts[name] = 0
        # Without indexes rows come in the order of their keys, which a copy keeps.
        for row in connection.each(f'SELECT * FROM "{name}" NOT INDEXED'):  # noqa: S608
            counts[name] += 1
            digest = blake3_hash(digest + codec.encode(list(row)))
        digest = blake3_hash(digest + codec.encode(counts[name]))
    return Contents(counts, digest)


def back_up(
    profile: Profile,
    store: Store,
    key: bytes,
    directory: Path,
    custody: PassphraseCustody,
    *,
    random: Random = system_random,
) -> BackupReport:
    """Copy a profile to ``directory`` and open the copy to compare it.

    Runs on the store's thread and outside a transaction; other work waits meanwhile.

    Args:
        profile: the profile the store belongs to.
        store: its open store.
        key: its key.
        directory: where the backup goes; must not exist. It appears only when it is complete.
        custody: the passphrase that opens the backup.
        random: source of randomness.

    Raises:
        ProfileExistsError: ``directory`` exists.
        WrongKeyError: the key is not the profile's.
        PassphraseNeededError: the passphrase is empty.
        DiskFullError: there is not enough room.
        BackupError: the copy does not hold what the profile holds.
    """
    profile.check_key(key)
    if directory.exists():
        raise ProfileExistsError("There is already something here.", path=str(directory))
    partial = directory.with_name(f".{directory.name}.partial")
    try:
        _clear(partial)
        partial.mkdir(parents=True, mode=0o700)
        _check_room(profile, partial)
        copy = Profile.establish(partial, key, custody, random=random)
        _copy_database(store, copy.database)
        files = _copy_files(profile.blobs, copy.blobs)
        expected = contents(store.connection)
        _try_out(partial, custody, expected)
        # Whoever opens the backup itself, without restoring it, must not go on as this device.
        with copy.open_store(key) as copied, copied.transaction(full_sync=True):
            copied.settings.set(RESTORED, 1)
        size = sum(path.stat().st_size for path in partial.rglob("*") if path.is_file())
        partial.rename(directory)
    except OSError as error:
        raise disk_error(error, directory) from error
    finally:
        _clear(partial)
    return BackupReport(directory, size, expected, files)


def restore(
    backup: Path,
    directory: Path,
    passphrase: str,
    custody: Custody | None = None,
    *,
    random: Random = system_random,
) -> Profile:
    """Make a profile from a backup; the backup stays as it is.

    Args:
        backup: the backup's directory.
        directory: the new profile's folder; must not hold a profile.
        passphrase: what opens the backup.
        custody: where the key goes on this device; chosen as in `Profile.create` if None.
        random: source of randomness.

    Raises:
        ProfileExistsError: there is a profile already.
        WrongPassphraseError: the passphrase is not right.
        DamagedDatabaseError: the backup is damaged.
        BackupError: the restored profile does not hold what the backup holds.
    """
    source = Profile.open(backup)
    key = source.unlock(passphrase)
    if Profile.exists(directory) or (directory / source.database.name).exists():
        raise ProfileExistsError("There is already a profile here.", path=str(directory))
    check_own_folder(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        _check_room(source, directory)
        target = directory / source.database.name
        with source.open_store(key) as store:
            expected = contents(store.connection)
            _copy_database(store, target)
        _copy_files(source.blobs, directory / source.blobs.name)
    except OSError as error:
        raise disk_error(error, directory) from error
    with Store.open(target, key) as store:
        if contents(store.connection) != expected or not store.integrity_check().ok:
            raise BackupError("The restored profile is not what the backup holds.")
        with store.transaction(full_sync=True):
            store.settings.set(RESTORED, 1)
    # The description comes last: without it there is no profile, so a restore that was cut short
    # is never mistaken for a whole one.
    return Profile.establish(directory, key, custody, random=random)


def check(backup: Path, passphrase: str) -> BackupReport:
    """Open a backup as somebody who restores it would, and read all of it.

    Raises:
        ProfileMissingError: there is no backup.
        WrongPassphraseError: the passphrase is not right.
        DamagedDatabaseError, BackupError: the backup is damaged.
    """
    copy = Profile.open(backup)
    with copy.open_store(copy.unlock(passphrase)) as store:
        if not store.integrity_check().ok:
            raise BackupError("The backup is damaged.")
        found = contents(store.connection)
    files = [path for path in copy.blobs.rglob("*") if path.is_file()]
    size = copy.database.stat().st_size + sum(path.stat().st_size for path in files)
    return BackupReport(backup, size, found, len(files))


def is_restored(store: Store) -> bool:
    """Tell whether the profile came out of a backup and still has the old device's key."""
    return store.settings.get(RESTORED) == 1


def _try_out(directory: Path, custody: PassphraseCustody, expected: Contents) -> None:
    """Open a backup as a stranger would and compare it."""
    copy = Profile.open(directory)
    with copy.open_store(custody.recall(copy.id, copy.record)) as store:
        if not store.integrity_check().ok:
            raise BackupError("The backup was damaged while it was written; it was discarded.")
        if contents(store.connection) != expected:
            raise BackupError("The backup does not hold what the profile holds; it was discarded.")


def _copy_database(store: Store, target: Path) -> None:
    if store.connection.in_transaction:
        raise LocalError("A backup cannot be made in the middle of a change.")
    store.connection.run("VACUUM INTO ?", (str(target),))
    target.chmod(0o600)
    sync_file(target)


def _copy_files(source: Path, target: Path) -> int:
    """Copy a folder of encrypted files, comparing hashes; returns how many."""
    count = 0
    for path in sorted(source.rglob("*")):
        if not path.is_file():
            continue
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.copyfile(path, copy)
        copy.chmod(0o600)
        sync_file(copy)
        if _hash_of(path) != _hash_of(copy):
            raise BackupError("A file was damaged while it was copied.", file=path.name)
        count += 1
    return count


def _hash_of(path: Path) -> bytes:
    """Hash a file piece by piece, each together with the hash of the pieces before it."""
    digest = b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest = blake3_hash(digest + chunk)
    return digest


def _check_room(profile: Profile, target: Path) -> None:
    needed = _SPARE_BYTES
    for path in (profile.database, Path(f"{profile.database}-wal"), *profile.blobs.rglob("*")):
        if path.is_file():
            needed += path.stat().st_size
    free = shutil.disk_usage(target).free
    if free < needed:
        raise DiskFullError("There is not enough room for the copy.", needed=needed, free=free)


def _clear(directory: Path) -> None:
    if directory.exists():
        shutil.rmtree(directory)
