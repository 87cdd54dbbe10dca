"""The newest operation of every log, in key order, with fingerprints of ranges.

Two devices compare fingerprints of ranges of log keys and descend only where they differ
(range-based set reconciliation, A. Meyer, "Range-Based Set Reconciliation", SRDS 2023). An
operation's id is a hash that commits to author, log and sequence number, so the hash of the ids
in key order commits to all heads of a range. Hashing them anew costs about a millisecond for
100,000 logs, which is why no cheaper, forgeable combination (sum, exclusive or) is used.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from lutra.crypto.hashing import blake3_hash
from lutra.operation import LogKey

KEY_BYTES = 64
DIGEST_BYTES = 20


class Head(NamedTuple):
    """One log's newest operation."""

    key: LogKey
    seq_num: int
    id: bytes


class Fingerprint(NamedTuple):
    """What a range of logs holds: how many logs, and a digest over the ids of their heads."""

    logs: int
    digest: bytes


class HeadSet:
    """The heads of one group's control logs, or of its document logs.

    Bounds are byte strings compared with ``author + log``; a lower bound is inclusive, an upper
    one exclusive, None means the end. Not safe for use by several threads at once.

    Attributes:
        revision: grows with every change.
    """

    __slots__ = ("_heads", "_ids", "_keys", "revision")

    def __init__(self, heads: Iterable[tuple[LogKey, int, bytes]] = ()) -> None:
        ordered = sorted((key.author + key.log, Head(key, seq, id_)) for key, seq, id_ in heads)
        self._keys = [flat for flat, _ in ordered]
        self._heads = [head for _, head in ordered]
        self._ids = [head.id for head in self._heads]
        self.revision = 0
        if any(left == right for left, right in pairwise(self._keys)):
            raise ValueError("a log has two heads")

    def __len__(self) -> int:
        return len(self._keys)

    def update(self, key: LogKey, seq_num: int, id_: bytes) -> None:
        """Set the head of a log, whether it was known or not (also backwards, after a fork)."""
        flat = key.author + key.log
        place = bisect_left(self._keys, flat)
        head = Head(key, seq_num, id_)
        if place < len(self._keys) and self._keys[place] == flat:
            self._heads[place] = head
            self._ids[place] = id_
        else:
            self._keys.insert(place, flat)
            self._heads.insert(place, head)
            self._ids.insert(place, id_)
        self.revision += 1

    def remove(self, key: LogKey) -> None:
        """Forget a log; nothing happens if it is unknown."""
        flat = key.author + key.log
        place = bisect_left(self._keys, flat)
        if place < len(self._keys) and self._keys[place] == flat:
            del self._keys[place], self._heads[place], self._ids[place]
            self.revision += 1

    def get(self, key: LogKey) -> Head | None:
        """Return the head of a log, or None."""
        flat = key.author + key.log
        place = bisect_left(self._keys, flat)
        if place < len(self._keys) and self._keys[place] == flat:
            return self._heads[place]
        return None

    def count(self, lower: bytes = b"", upper: bytes | None = None) -> int:
        """Return how many logs a range holds."""
        first, end = self._places(lower, upper)
        return end - first

    def items(self, lower: bytes = b"", upper: bytes | None = None) -> list[Head]:
        """Return the heads of a range in key order."""
        first, end = self._places(lower, upper)
        return self._heads[first:end]

    def fingerprint(self, lower: bytes = b"", upper: bytes | None = None) -> Fingerprint:
        """Return the count and digest of a range."""
        first, end = self._places(lower, upper)
        digest = blake3_hash(b"".join(self._ids[first:end]))[:DIGEST_BYTES]
        return Fingerprint(end - first, digest)

    def split(self, lower: bytes, upper: bytes | None, parts: int) -> list[bytes]:
        """Return at most ``parts - 1`` bounds that cut a range into about equal parts.

        The bounds are as short as they can be, lie strictly inside the range and ascend.
        """
        first, end = self._places(lower, upper)
        size = end - first
        parts = min(parts, size)
        places = [first + size * part // parts for part in range(1, parts)] if parts > 1 else []
        return [_separator(self._keys[place - 1], self._keys[place]) for place in places]

    def _places(self, lower: bytes, upper: bytes | None) -> tuple[int, int]:
        first = bisect_left(self._keys, lower) if lower else 0
        end = len(self._keys) if upper is None else bisect_left(self._keys, upper)
        return first, max(first, end)


def _separator(left: bytes, right: bytes) -> bytes:
    """Return the shortest bound that is above ``left`` and not above ``right``."""
    length = 0
    while left[length] == right[length]:
        length += 1
    return right[: length + 1]
