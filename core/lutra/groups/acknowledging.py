"""When a device says where it stands: once a day, sooner where a fork is open (GROUPS §2.5.4).

A time that lies ahead is none: the clock was set back since, and nothing must wait for it.
"""

from __future__ import annotations

from lutra.crypto.hashing import blake3_hash
from lutra.groups.control_state import ControlState

ACK_JITTER_MS = 10_000
ACK_INTERVAL_MS = 24 * 3600 * 1000


class AckTimer:
    """Decides when to publish an ACK of the head; times are milliseconds."""

    def __init__(self) -> None:
        self._last = 0
        self._apart_since: int | None = None

    def note(self, time: int) -> None:
        """Note when this device last voted, by its clock of then."""
        self._last = time

    def is_due(self, control: ControlState, device: bytes, now: int) -> bool:
        """Tell whether to acknowledge the head now; whoever asks then does so."""
        head, chooser = control.head(), control.chooser
        if head is None or chooser.vote_of(device, control.everything) is head:
            self._apart_since = None
            return False
        is_recent = 0 <= now - self._last < ACK_INTERVAL_MS
        if is_recent and not self._is_contested(control, device, now):
            return False
        self._last, self._apart_since = now, None
        return True

    def _is_contested(self, control: ControlState, device: bytes, now: int) -> bool:
        head = control.head()
        if head is None or not control.chooser.votes_apart(device, control.everything):
            self._apart_since = None
            return False
        if self._apart_since is None or self._apart_since > now:
            self._apart_since = now
        # All at once would be a flood: each waits for a time nobody chose.
        jitter = int.from_bytes(blake3_hash(head.id + device)[:4], "big") % ACK_JITTER_MS
        return now - self._apart_since >= jitter
