"""Virtual time, and devices' clocks that are off."""

from __future__ import annotations

from dataclasses import dataclass

START = 1_800_000_000_000
MINUTE = 60_000
DAY = 24 * 60 * MINUTE
ERRORS = (2 * MINUTE, 50 * MINUTE, 3 * DAY, 40 * DAY, 5 * 365 * DAY)
"""How far devices' clocks are off, in milliseconds, either way."""


@dataclass
class Clock:
    """The world's milliseconds."""

    now: int = START

    def __call__(self) -> int:
        return self.now


@dataclass
class OwnClock:
    """What a device takes for the time; ``error`` is in milliseconds."""

    world: Clock
    error: int = 0

    def __call__(self) -> int:
        return self.world.now + self.error
