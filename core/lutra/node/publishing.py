"""When drafts become operations, logs are compacted and keys reconciled: deadlines, no timers."""

from __future__ import annotations

ALONE_SECONDS = 1.0
"""While nobody is connected, edits are collected until typing rests for so long."""
ALONE_LIMIT_SECONDS = 10.0
"""But never longer than this."""
PUBLISH_RATE = 50.0
"""While somebody is connected, a document is published at most so often a second."""
PUBLISH_BURST = 10.0
"""So many times in a row without waiting, so that fast, uneven typing is not held up."""
REST_SECONDS = 3.0
"""A document is worth a look for compaction when nothing was published for so long."""
RECONCILE_STEP_SECONDS = 3.0
"""Between one member's turn to reconcile keys and the next one's (GROUPS §2.5.3)."""

_MAX_ALLOWANCES = 1000


class Deadlines:
    """Which documents are to be published and which groups reconciled, and when.

    Times are seconds of a monotonic clock.
    """

    def __init__(self) -> None:
        self._publish: dict[bytes, float] = {}
        self._first: dict[bytes, float] = {}
        self._allowance: dict[bytes, tuple[float, float]] = {}
        self._reconcile: dict[bytes, float] = {}
        self._rest: dict[bytes, float] = {}

    def edited(self, document: bytes, now: float, connected: bool) -> bool:
        """Note an edit; returns True if it is to be published right now."""
        if connected:
            left = self._left(document, now)
            if left >= 1:
                return True
            self._publish[document] = now + (1 - left) / PUBLISH_RATE
            return False
        first = self._first.setdefault(document, now)
        self._publish[document] = min(now + ALONE_SECONDS, first + ALONE_LIMIT_SECONDS)
        return False

    def published(self, document: bytes, now: float) -> None:
        """Note that a document has been published."""
        self._publish.pop(document, None)
        self._first.pop(document, None)
        self._allowance[document] = (self._left(document, now) - 1, now)
        self._rest[document] = now + REST_SECONDS
        if len(self._allowance) > _MAX_ALLOWANCES:
            self._allowance = {
                item: (left, at) for item, (left, at) in self._allowance.items() if now - at < 1
            }

    def _left(self, document: bytes, now: float) -> float:
        """Return how many times a document may be published without waiting (a token bucket)."""
        left, at = self._allowance.get(document, (PUBLISH_BURST, now))
        return min(PUBLISH_BURST, left + (now - at) * PUBLISH_RATE)

    def publish_now(self, document: bytes, now: float) -> None:
        """Make a document due."""
        self._publish[document] = now

    def postpone(self, document: bytes) -> None:
        """Take a document off the list: something else will put it back (the send gate)."""
        self._publish.pop(document, None)

    def reconcile(self, group: bytes, rank: int | None, now: float) -> None:
        """Set or clear a group's turn to reconcile."""
        if rank is None:
            self._reconcile.pop(group, None)
        else:
            self._reconcile.setdefault(group, now + rank * RECONCILE_STEP_SECONDS)

    def due(self, now: float) -> tuple[list[bytes], list[bytes], list[bytes]]:
        """Return, and take off the lists, what is to be done now.

        Returns:
            Documents to publish, groups to reconcile, documents that have come to rest.
        """
        return (
            _take_due(self._publish, now),
            _take_due(self._reconcile, now),
            _take_due(self._rest, now),
        )

    def resting(self) -> list[bytes]:
        """Return the documents that wait for a look for compaction."""
        return list(self._rest)

    def next(self) -> float | None:
        """Return the earliest time at which something is due."""
        times = (*self._publish.values(), *self._reconcile.values(), *self._rest.values())
        return min(times, default=None)


def _take_due(times: dict[bytes, float], now: float) -> list[bytes]:
    due = [item for item, at in times.items() if at <= now]
    for item in due:
        del times[item]
    return due
