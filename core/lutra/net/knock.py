"""Knocking: only who belongs to a group can make its members show who they are.

Whoever listens on the local network hears group tags and can announce them too. So a device that
follows an announcement sends the tag with its first message, and goes on only if the answer proves
knowledge of the group's tag key, bound to this handshake. Answers to unknown tags are random, and
so is the tag of a device that follows no announcement: all look alike.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lutra.crypto.hashing import HASH_BYTES, blake3_derive, blake3_keyed, equal_constant_time
from lutra.crypto.random import Random, system_random
from lutra.net.tags import TAG_BYTES, TagKey, TagTable

KNOCK_BYTES = TAG_BYTES
ANSWER_BYTES = HASH_BYTES

_ANSWER_CONTEXT = "lutra 2026-11 answer to a knock"


def _answer(key: TagKey, transcript: bytes) -> bytes:
    return blake3_keyed(blake3_derive(_ANSWER_CONTEXT, key), transcript)


@dataclass(frozen=True, slots=True)
class Knock:
    """What a device that follows an announcement demands of who made it.

    Attributes:
        tag: the announced tag.
        key: the tag key it belongs to.
    """

    tag: bytes
    key: TagKey = field(repr=False)

    def is_answered(self, answer: bytes, transcript: bytes) -> bool:
        """Tell whether ``answer`` proves knowledge of the key in this handshake."""
        return equal_constant_time(answer, _answer(self.key, transcript))


class Door:
    """Answers knocks with the keys of what this device announces; none until told."""

    def __init__(self, random: Random = system_random) -> None:
        self._random = random
        self._table = TagTable({}, 0)

    def set_table(self, table: TagTable) -> None:
        """Answer for these tags from now on; the table's names are the tag keys."""
        self._table = table

    def answer(self, tag: bytes, transcript: bytes) -> bytes:
        """Return the proof for a tag of ours, or random bytes."""
        for key in self._table.match([tag]):
            return _answer(key, transcript)
        return self._random(ANSWER_BYTES)
