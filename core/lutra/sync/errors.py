"""What goes wrong in a session."""

from __future__ import annotations

from lutra.errors import RemoteError
from lutra.sync.events import CloseReason


class SyncViolationError(RemoteError):
    """A peer sent what the sync protocol does not allow; its session ends.

    Attributes:
        reason: the kind of violation.
    """

    code = "sync.violation"

    def __init__(self, reason: CloseReason, message: str, **details: object) -> None:
        super().__init__(message, reason=reason.name.lower(), **details)
        self.reason = reason


def malformed(message: str, **details: object) -> SyncViolationError:
    """Return the violation for a frame without its proper form."""
    return SyncViolationError(CloseReason.MALFORMED, message, **details)


def beyond_limit(message: str, **details: object) -> SyncViolationError:
    """Return the violation for too much or too large."""
    return SyncViolationError(CloseReason.LIMIT, message, **details)
