"""When a device's log of a document is worth rewriting as one checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

MIN_TAIL_BYTES = 64 * 1024
MIN_TAIL_OPERATIONS = 64


@dataclass(frozen=True, slots=True)
class CheckpointPolicy:
    """Decides when a checkpoint replaces the operations before it.

    The tail must have outgrown the last checkpoint: every byte of tail then pays for rewriting at
    most ``1 / growth`` bytes of checkpoint, so all checkpoints together cost a constant factor of
    what was written, and what others must fetch stays within ``1 + growth`` times the minimum.

    Attributes:
        growth: tail bytes per checkpoint byte before a new one is due.
        min_tail_bytes: smaller tails are never worth a checkpoint.
        min_tail_operations: nor are shorter ones, unless they are large.
    """

    growth: float = 1.0
    min_tail_bytes: int = MIN_TAIL_BYTES
    min_tail_operations: int = MIN_TAIL_OPERATIONS

    def due(self, *, checkpoint_bytes: int, tail_bytes: int, tail_operations: int) -> bool:
        """Tell whether this device should publish a checkpoint now.

        Args:
            checkpoint_bytes: size of its last checkpoint in this log, 0 without one.
            tail_bytes: size of all its operations since.
            tail_operations: number of those operations.
        """
        if tail_operations < self.min_tail_operations or tail_bytes < self.min_tail_bytes:
            return False
        return tail_bytes >= checkpoint_bytes * self.growth
