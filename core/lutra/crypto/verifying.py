"""Checking many signatures at once, on all processor cores.

libsodium works without Python's global lock, so that threads help where the rest would not.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from lutra.crypto.signing import is_signature

Claim = tuple[bytes, bytes, bytes]
"""Public key, message, signature."""

_WORTH_SHARING = 16
_MAX_THREADS = 4


class BatchVerifier:
    """Checks signatures in batches; `close` ends its threads."""

    def __init__(self, threads: int | None = None) -> None:
        self._threads = min(_MAX_THREADS, threads or os.cpu_count() or 1)
        self._pool: ThreadPoolExecutor | None = None

    def check(self, claims: Sequence[Claim]) -> list[bool]:
        """Tell for each claim whether its signature fits."""
        if self._threads == 1 or len(claims) < _WORTH_SHARING:
            return _check_all(claims)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads - 1, "lutra-verify")
        places = deque(range(len(claims)))
        results: list[bool | None] = [None] * len(claims)
        for _ in range(self._threads - 1):
            self._pool.submit(_check_some, claims, places, results)
        _check_some(claims, places, results)
        # The few that other threads have taken and not finished are checked here once more: a
        # thread that the system holds up would hold up everything.
        return [
            is_signature(*claim) if known is None else known
            for claim, known in zip(claims, results, strict=True)
        ]

    def close(self) -> None:
        """End the threads; the verifier starts new ones if it is used again."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()


def _check_all(claims: Sequence[Claim]) -> list[bool]:
    return [is_signature(key, message, signature) for key, message, signature in claims]


def _check_some(claims: Sequence[Claim], places: deque[int], results: list[bool | None]) -> None:
    """Check claims whose places no thread has taken yet, until none is left."""
    while True:
        try:
            place = places.popleft()
        except IndexError:
            return
        results[place] = is_signature(*claims[place])
