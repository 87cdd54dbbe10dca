"""Small private files that are either the old or the new one, never half of each."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from lutra.store.errors import DiskFullError, ProfileError, ReadOnlyError

_READ_ONLY = (errno.EPERM, errno.EACCES, errno.EROFS)


def write_private(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``, readable by this user only, and bring it to the disk.

    Raises:
        DiskFullError: no room is left; the old content is still there.
        ReadOnlyError: the folder cannot be written to.
        ProfileError: the disk failed in another way.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_directory(path.parent)
    except OSError as error:
        raise disk_error(error, path) from error


def make_private_directory(path: Path) -> None:
    """Create a directory for this user only, with its parents; an existing one is made so.

    Raises:
        ReadOnlyError: it cannot be created.
        ProfileError: the disk failed in another way.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)
    except OSError as error:
        raise disk_error(error, path) from error


def sync_file(path: Path) -> None:
    """Bring a file that was written by other means to the disk; raises OSError."""
    descriptor = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def disk_error(error: OSError, path: Path) -> DiskFullError | ReadOnlyError | ProfileError:
    """Turn an operating system's error into one that says what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError("The disk is full, so the last change was not saved.")
    if error.errno in _READ_ONLY:
        return ReadOnlyError("The profile's folder cannot be written to.", path=str(path))
    return ProfileError(
        "The profile's folder cannot be used.", path=str(path), reason=error.strerror
    )


def _sync_directory(path: Path) -> None:
    # Windows has no way to open a directory; there the rename is durable by itself.
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
