"""Bounds of the protocol, equal on both sides, and what one device may choose for itself."""

from __future__ import annotations

from dataclasses import dataclass

PROTOCOL_VERSION = 1
MAX_FRAME_BYTES = 1024 * 1024
MAX_VERSIONS = 16
MAX_TAGS = 4096
"""Groups (and padding) one device may announce to another."""
MIN_WINDOW_BYTES = 256 * 1024
MAX_WINDOW_BYTES = 16 * 1024 * 1024
MAX_FRAME_OPERATIONS = 256
MAX_FRAME_WANTS = 4096
MAX_FRAME_RANGES = 4096
MAX_LISTED = 1024
"""Items in one listed range."""
MAX_ROUND_RANGES = 8192
"""Compared ranges in one round of a reconciliation."""
MAX_ROUND_ITEMS = 262_144
MAX_ROUNDS = 64
MAX_FRAME_FORKS = 4
MAX_GROUP_FORKS = 64
"""Proofs of equivocation sent per group and session."""
MAX_FRAME_IDS = 1024
MAX_GROUP_IDS = 16_384
"""Operations of forked logs named, or asked for by their ids, per group and session."""
MAX_PRESENCE_BYTES = 4096
MAX_REFUSED = 4096
MAX_MESSAGE_CHARS = 200

PART_BYTES = 48 * 1024
"""Operations costing more travel in parts of this size, between which others fit."""
OPERATION_COST = 32
"""Bytes counted against the window for each operation besides header and body."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a device chooses for its sessions.

    Attributes:
        window_bytes: unacknowledged bytes of operations the peer may send.
        live_reserve_bytes: part of the peer's window that bulk transfer leaves to live changes.
        frame_bytes: operations' bytes in one bulk frame.
        slice_operations: operations in one `ingest` call at most.
        slice_bytes: their bytes at most.
        acknowledge_seconds: longest delay of an acknowledgement.
        presence_seconds: shortest distance of two presence messages sent about one document.
        presence_per_second: presence messages accepted; more are dropped.
        greeting_seconds: how long to wait for the peer's greeting.
    """

    window_bytes: int = 2 * 1024 * 1024
    live_reserve_bytes: int = 64 * 1024
    frame_bytes: int = 64 * 1024
    slice_operations: int = 128
    slice_bytes: int = 1024 * 1024
    acknowledge_seconds: float = 0.05
    presence_seconds: float = 0.033
    presence_per_second: float = 60.0
    greeting_seconds: float = 10.0
