"""Ephemeral messages about documents: the newest counts, few enough never to be in the way."""

from __future__ import annotations

from lutra.errors import LocalError
from lutra.sync.limits import MAX_PRESENCE_BYTES

_MAX_DOCUMENTS = 64


class PresenceLimitError(LocalError):
    """A presence message is larger than other devices accept."""

    code = "sync.presence-limit"


class PresenceOut:
    """Messages to send; a newer one about the same document replaces one not sent yet.

    Args:
        interval: shortest time in seconds between two batches.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._waiting: dict[tuple[bytes, bytes], bytes] = {}
        self._next = 0.0

    def put(self, group: bytes, document: bytes, data: bytes) -> None:
        """Queue a message.

        Raises:
            PresenceLimitError: it exceeds 4 KiB.
        """
        if len(data) > MAX_PRESENCE_BYTES:
            raise PresenceLimitError("A presence message is too large to send.", size=len(data))
        self._waiting.pop((group, document), None)
        self._waiting[group, document] = data
        while len(self._waiting) > _MAX_DOCUMENTS:
            del self._waiting[next(iter(self._waiting))]

    @property
    def deadline(self) -> float | None:
        """When the next batch may leave, or None if nothing waits."""
        return self._next if self._waiting else None

    def take(self, now: float) -> dict[tuple[bytes, bytes], bytes]:
        """Return messages by group and document, if it is time."""
        if not self._waiting or now < self._next:
            return {}
        self._next = now + self._interval
        batch, self._waiting = self._waiting, {}
        return batch


class PresenceIn:
    """Limits what a peer may make us pass on: a token bucket with twice a second's worth.

    Args:
        per_second: messages accepted in the long run.
        now: the time in seconds.
    """

    def __init__(self, per_second: float, now: float) -> None:
        self._rate = per_second
        self._tokens = 2 * per_second
        self._then = now
        self.dropped = 0

    def accept(self, now: float) -> bool:
        """Tell whether one more message may pass; otherwise it is counted and to be dropped."""
        elapsed = max(0.0, now - self._then)
        self._tokens = min(2 * self._rate, self._tokens + elapsed * self._rate)
        self._then = now
        if self._tokens < 1:
            self.dropped += 1
            return False
        self._tokens -= 1
        return True
