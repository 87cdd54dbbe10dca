"""What errands between devices are called, and how their code reaches the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from lutra.node.engine import Engine

Result = TypeVar("Result")
JOIN = b"lutra join 3"
"""First frame of an errand: to join by an invite."""
RESTORE = b"lutra restore 1"
"""First frame of an errand: to bring a person back by a recovery kit."""
NEARBY = b"lutra nearby 1"
"""First frame of an errand: to see who is nearby, and perhaps to invite."""


class EngineCalls(Protocol):
    """Runs calls on the engine."""

    async def call(self, function: Callable[[Engine], Result]) -> Result:
        """Run ``function`` as one transaction."""
        ...
