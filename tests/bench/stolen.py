"""How much processor time a virtual machine's host gave to others, moment by moment.

A program that stands still may have been kept waiting by Lutra, or by the machine. On Linux the
kernel counts the time in which a processor was ready to work and did not exist.
"""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

_COUNTERS = Path("/proc/stat")
_EVERY_SECONDS = 0.005
_STOLEN_AT = 8


class StolenTime:
    """What was noted of it; nothing where the kernel does not count."""

    def __init__(self) -> None:
        self._moments: list[float] = []
        self._stolen: list[float] = []

    @classmethod
    @contextmanager
    def watched(cls) -> Iterator[Self]:
        """Take notes until the block ends."""
        made, end = cls(), threading.Event()
        thread = threading.Thread(target=made._watch, args=(end,), daemon=True)
        thread.start()
        try:
            yield made
        finally:
            end.set()
            thread.join()

    def between(self, began: float, ended: float) -> float | None:
        """Return the share of all processors' time, 0 to 1, that was stolen between two moments.

        Args:
            began: by `time.monotonic`.
            ended: likewise.
        """
        if not self._moments or ended <= began:
            return None
        first = max(0, bisect_right(self._moments, began) - 1)
        last = min(len(self._moments) - 1, bisect_left(self._moments, ended) + 1)
        stolen = self._stolen[last] - self._stolen[first]
        return min(1.0, stolen / (ended - began) / (os.cpu_count() or 1))

    def _watch(self, end: threading.Event) -> None:
        if not _COUNTERS.exists():
            return
        ticks = os.sysconf("SC_CLK_TCK")
        while not end.wait(_EVERY_SECONDS):
            counted = _COUNTERS.read_text(encoding="ascii").split("\n", 1)[0].split()
            self._moments.append(time.monotonic())
            self._stolen.append(int(counted[_STOLEN_AT]) / ticks)
