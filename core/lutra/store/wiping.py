"""Deleting a profile for good, as far as a file system lets one.

The database is encrypted, so deleting its key is what counts; the files are overwritten all the
same. Neither reaches copies that a flash disk, a file system with snapshots or a backup keeps.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from lutra.crypto.random import Random, system_random
from lutra.store.errors import KeyringError, ProfileWipedError
from lutra.store.files import disk_error, write_private

NOTE = "wiped.txt"
"""Says why nothing is here any more; while it is, nothing is opened."""
_CHUNK_BYTES = 1024 * 1024
_FILES = ("key", "profile.json", "lutra.db", "lutra.db-wal", "lutra.db-shm")


def wipe(
    directory: Path,
    reason: str,
    forget_key: Callable[[], None],
    *,
    random: Random = system_random,
) -> None:
    """Delete everything of a profile whose store is closed, and leave a note that says why.

    Cut short, it is taken up again by `refuse_wiped`.

    Args:
        directory: the profile's folder.
        reason: a sentence for people.
        forget_key: makes the key's custody forget it.
        random: what files are overwritten with.

    Raises:
        ProfileError: the folder cannot be written to; a subclass says more.
    """
    write_private(directory / NOTE, reason.encode())
    # The files go even if the keyring refuses; without them the key opens nothing.
    with contextlib.suppress(KeyringError):
        forget_key()
    _delete(directory, random)


def refuse_wiped(directory: Path) -> None:
    """Raise `ProfileWipedError` if a profile was wiped, after finishing what was cut short."""
    note = directory / NOTE
    if note.is_file():
        _delete(directory, system_random)
        raise ProfileWipedError(note.read_text("utf-8", "replace"), path=str(directory))


def forget_note(directory: Path) -> None:
    """Remove the note of an earlier profile: a new one begins here."""
    (directory / NOTE).unlink(missing_ok=True)


def _delete(directory: Path, random: Random) -> None:
    try:
        for name in _FILES:
            _shred(directory / name, random)
        blobs = directory / "blobs"
        if blobs.is_dir():
            for path in blobs.rglob("*"):
                _shred(path, random)
            shutil.rmtree(blobs)
    except OSError as error:
        raise disk_error(error, directory) from error


def _shred(path: Path, random: Random) -> None:
    if not path.is_file():
        return
    size = path.stat().st_size
    with path.open("r+b") as file:
        for start in range(0, size, _CHUNK_BYTES):
            file.write(random(min(_CHUNK_BYTES, size - start)))
        file.flush()
        os.fsync(file.fileno())
    path.unlink()
