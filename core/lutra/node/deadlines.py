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
RETRY_SECONDS = 1.0
"""How long nothing is done of itself after a failure, for example while the disk is full."""

_MAX_ALLOWANCES = 1000


class _Times:
    """Key → time, with the way back to where the last transaction left it.

    Attributes:
        of: the times.
        earliest: none of them is before this; exact after `take_due`.
    """

    def __init__(self) -> None:
        self.of: dict[bytes, float] = {}
        self.earliest = 0.0
        self._before: dict[bytes, float | None] = {}

    def set(self, key: bytes, at: float) -> None:
        self._before.setdefault(key, self.of.get(key))
        self.earliest = min(at, self.earliest) if self.of else at
        self.of[key] = at

    def drop(self, key: bytes) -> None:
        at = self.of.pop(key, None)
        if at is not None:
            self._before.setdefault(key, at)

    def take_due(self, now: float) -> list[bytes]:
        if not self.of or self.earliest > now:
            return []
        due = [item for item, at in self.of.items() if at <= now]
        for item in due:
            self.drop(item)
        self.earliest = min(self.of.values(), default=0.0)
        return due

    def keep(self) -> None:
        self._before.clear()

    def undo(self) -> None:
        for key, at in self._before.items():
            if at is None:
                self.of.pop(key, None)
            else:
                self.of[key] = at
        self._before.clear()
        self.earliest = min(self.of.values(), default=0.0)


class Deadlines:
    """Which documents are to be published and which groups reconciled, and when.

    Times are seconds of a monotonic clock.
    """

    def __init__(self) -> None:
        self._publish = _Times()
        self._first = _Times()
        self._reconcile = _Times()
        self._rest = _Times()
        self._tend = _Times()
        self._states = _Times()
        self._allowance: dict[bytes, tuple[float, float]] = {}
        self._not_before = 0.0

    def _all(self) -> tuple[_Times, ...]:
        return (
            self._publish,
            self._first,
            self._reconcile,
            self._rest,
            self._tend,
            self._states,
        )

    def keep(self) -> None:
        """Make the changes since the last call final: their transaction has committed."""
        for times in self._all():
            times.keep()

    def undo(self, now: float) -> None:
        """Take the changes since `keep` back: their transaction was undone.

        What is due is tried again after a while, since it may fail again.
        """
        for times in self._all():
            times.undo()
        self._not_before = now + RETRY_SECONDS

    def edited(self, document: bytes, now: float, connected: bool) -> bool:
        """Note an edit; returns True if it is to be published right now."""
        if connected:
            left = self._left(document, now)
            if left >= 1:
                return True
            self._publish.set(document, now + (1 - left) / PUBLISH_RATE)
            return False
        if document not in self._first.of:
            self._first.set(document, now)
        limit = self._first.of[document] + ALONE_LIMIT_SECONDS
        self._publish.set(document, min(now + ALONE_SECONDS, limit))
        return False

    def published(self, document: bytes, now: float) -> None:
        """Note that a document has been published."""
        self._publish.drop(document)
        self._first.drop(document)
        self._allowance[document] = (self._left(document, now) - 1, now)
        self.rest_later(document, now)
        if len(self._allowance) > _MAX_ALLOWANCES:
            self._allowance = {
                item: (left, at) for item, (left, at) in self._allowance.items() if now - at < 1
            }

    def rest_later(self, document: bytes, now: float) -> None:
        """Have a look for compaction when nothing more has happened to a document for a while."""
        self._rest.set(document, now + REST_SECONDS)

    def _left(self, document: bytes, now: float) -> float:
        """Return how many times a document may be published without waiting (a token bucket)."""
        left, at = self._allowance.get(document, (PUBLISH_BURST, now))
        return min(PUBLISH_BURST, left + (now - at) * PUBLISH_RATE)

    def publish_now(self, document: bytes, now: float) -> None:
        """Make a document due."""
        self._publish.set(document, now)

    def postpone(self, document: bytes) -> None:
        """Take a document off the list: something else will put it back (the send gate)."""
        self._publish.drop(document)

    def reconcile(self, group: bytes, rank: int | None, now: float) -> None:
        """Set or clear a group's turn to reconcile."""
        if rank is None:
            self._reconcile.drop(group)
        elif group not in self._reconcile.of:
            self._reconcile.set(group, now + rank * RECONCILE_STEP_SECONDS)

    def states(self, group: bytes, rank: int | None, now: float) -> None:
        """Set or clear a group's turn to publish states of documents."""
        if rank is None:
            self._states.drop(group)
        elif group not in self._states.of:
            self._states.set(group, now + rank * RECONCILE_STEP_SECONDS)

    def due_states(self, now: float) -> list[bytes]:
        """Return, and take off the list, the groups in which states are to be published."""
        return [] if now < self._not_before else self._states.take_due(now)

    def tend(self, group: bytes, at: float) -> None:
        """Have a look at a group at a time, if none is planned yet."""
        if group not in self._tend.of:
            self._tend.set(group, at)

    def due(self, now: float) -> tuple[list[bytes], list[bytes], list[bytes], list[bytes]]:
        """Return, and take off the lists, what is to be done now.

        Returns:
            Documents to publish, groups to reconcile, documents that have come to rest, groups
            to tend.
        """
        if now < self._not_before:
            return [], [], [], []
        return (
            self._publish.take_due(now),
            self._reconcile.take_due(now),
            self._rest.take_due(now),
            self._tend.take_due(now),
        )

    def resting(self) -> list[bytes]:
        """Return the documents that wait for a look for compaction."""
        return list(self._rest.of)

    def next(self) -> float | None:
        """Return a time at which to look, never later than something is due."""
        tables = (self._publish, self._reconcile, self._rest, self._tend, self._states)
        times = [times.earliest for times in tables if times.of]
        return max(min(times), self._not_before) if times else None
