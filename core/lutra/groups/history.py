"""The causal graph of a group's control operations.

Each accepted operation gets an index; the set of operations that happened before it is an integer
used as a bit set, which keeps "is x before y" and unions cheap for thousands of operations.
"""

from __future__ import annotations

from collections.abc import Iterable

from lutra.operation import MAX_PREVIOUS, Operation


class ControlHistory:
    """Which control operations are known, and what happened before what."""

    def __init__(self) -> None:
        self._index: dict[bytes, int] = {}
        self._ids: list[bytes] = []
        self._past: list[int] = []
        self._heads: set[bytes] = set()
        self._all = 0

    def __contains__(self, operation_id: bytes) -> bool:
        return operation_id in self._index

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def everything(self) -> int:
        """The bit set of all known operations."""
        return self._all

    def heads(self) -> tuple[bytes, ...]:
        """Return the operations nothing else follows, sorted; as many as an operation may name."""
        return tuple(sorted(self._heads)[:MAX_PREVIOUS])

    def missing(self, operation: Operation) -> list[bytes]:
        """Return the ids of predecessors that are not known yet."""
        return [item for item in _predecessors(operation) if item not in self._index]

    def past_of(self, operation: Operation) -> int:
        """Return the bit set of what happened before an operation whose predecessors are known."""
        past = 0
        for item in _predecessors(operation):
            index = self._index[item]
            past |= self._past[index] | (1 << index)
        return past

    def add(self, operation: Operation) -> int:
        """Add an operation whose predecessors are all known; returns its index."""
        past = self.past_of(operation)
        self._heads.difference_update(_predecessors(operation))
        index = len(self._ids)
        self._index[operation.id] = index
        self._ids.append(operation.id)
        self._past.append(past)
        self._heads.add(operation.id)
        self._all |= 1 << index
        return index

    def past(self, index: int) -> int:
        """Return the bit set of what happened before the operation at ``index``."""
        return self._past[index]

    def id(self, index: int) -> bytes:
        """Return the id of the operation at ``index``."""
        return self._ids[index]

    def index(self, operation_id: bytes) -> int:
        """Return the index of a known operation."""
        return self._index[operation_id]

    def closure(self, operation_ids: Iterable[bytes]) -> int | None:
        """Return the bit set of the named operations and all before; None if one is unknown."""
        union = 0
        for item in operation_ids:
            index = self._index.get(item)
            if index is None:
                return None
            union |= self._past[index] | (1 << index)
        return union


def _predecessors(operation: Operation) -> tuple[bytes, ...]:
    previous = operation.header.extensions.previous
    backlink = operation.header.backlink
    return previous if backlink is None or backlink in previous else (*previous, backlink)
