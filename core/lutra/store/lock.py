"""One Lutra per profile, enforced by the operating system so that a crash leaves nothing behind."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import TracebackType

from lutra.store.errors import ProfileError, ProfileInUseError, ReadOnlyError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_PID_BYTES = 32
# Windows locks ranges that others then cannot read; this one lies behind the process id.
_LOCKED_BYTE = 1 << 20


class ProfileLock:
    """Holds a profile until it is released or the process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the profile."""
        return self._descriptor is not None

    def acquire(self) -> None:
        """Take the profile.

        Raises:
            ProfileInUseError: another process, or another lock in this one, holds it. Its
                details have the ``pid``, if known.
            ReadOnlyError: the folder cannot be written to.
            ProfileError: the file system cannot lock files.
        """
        if self._descriptor is not None:
            return
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ReadOnlyError(
                "The profile's folder cannot be written to.", path=str(self.path)
            ) from error
        try:
            _lock(descriptor)
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.write(descriptor, f"{os.getpid()}\n".encode())
        except BlockingIOError:
            pid = _read_pid(descriptor)
            os.close(descriptor)
            raise ProfileInUseError(
                "Lutra is already running with this profile.", pid=pid
            ) from None
        except OSError as error:
            os.close(descriptor)
            raise ProfileError(
                "The profile's folder does not allow locking, so it cannot be used safely.",
                path=str(self.path),
                errno=error.errno,
            ) from error
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the profile up; twice is harmless."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> ProfileLock:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def _lock(descriptor: int) -> None:
    """Lock the file or raise BlockingIOError."""
    if sys.platform == "win32":
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError as error:
            raise BlockingIOError(error.errno, error.strerror) from None
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _read_pid(descriptor: int) -> int | None:
    os.lseek(descriptor, 0, os.SEEK_SET)
    text = os.read(descriptor, _PID_BYTES).strip()
    return int(text) if text.isdigit() else None
