"""Checking many signatures at once, on all processor cores.

libsodium works without Python's global lock, so that threads help where the rest would not.
"""

from __future__ import annotations

import os
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
        size = -(-len(claims) // self._threads)
        parts = [claims[start : start + size] for start in range(0, len(claims), size)]
        others = [self._pool.submit(_check_all, part) for part in parts[1:]]
        results = _check_all(parts[0])
        for other in others:
            results += other.result()
        return results

    def close(self) -> None:
        """End the threads; the verifier starts new ones if it is used again."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()


def _check_all(claims: Sequence[Claim]) -> list[bool]:
    return [is_signature(key, message, signature) for key, message, signature in claims]
