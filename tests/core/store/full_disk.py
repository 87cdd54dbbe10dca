"""A disk that takes new files, but nothing that is written to them from Python."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch


class _FullFile(io.FileIO):
    def write(self, _: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def full_disk() -> Iterator[None]:
    """Let whatever `Path.open` opens for writing find the disk full; databases still work."""
    really = Path.open

    def opened(path: Path, mode: str = "r", *rest: Any, **options: Any) -> Any:
        if mode == "wb":
            return io.BufferedWriter(_FullFile(path, "w"))
        return really(path, mode, *rest, **options)

    with patch.object(Path, "open", opened):
        yield
