"""What a device announces about its groups: tags that only members can read, for an hour.

A tag is BLAKE3, keyed from the group's discovery secret, of the hour since 1970, cut to 8 bytes.
Random tags fill an announcement up to a power of two, so that not even the number of groups shows.
Tags travel in the TXT record of a service in strings of at most 255 bytes; a record holds 64 tags
to fit one packet, and a device in more groups announces several services.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from lutra.crypto.hashing import blake3_derive, blake3_keyed
from lutra.crypto.random import Random

TAG_BYTES = 8
HOUR_SECONDS = 3600
MAX_SERVICES = 32
TAGS_PER_SERVICE = 64
MAX_TAGS = MAX_SERVICES * TAGS_PER_SERVICE

_TAGS_PER_STRING = 16
_MIN_TAGS = 8
_GROUP_CONTEXT = "lutra 2026-11 group announcement"
_RENDEZVOUS_CONTEXT = "lutra 2026-11 invite announcement"

TagKey = bytes
"""What tags of one group or invite are computed with; 32 secret bytes."""


def group_tag_key(discovery_secret: bytes) -> TagKey:
    """Return the tag key of a group."""
    return blake3_derive(_GROUP_CONTEXT, discovery_secret)


def rendezvous_tag_key(invite_secret: bytes) -> TagKey:
    """Return the tag key under which an inviter and an invited device find each other."""
    return blake3_derive(_RENDEZVOUS_CONTEXT, invite_secret)


def hour_of(time: float) -> int:
    """Return the hour that tags of ``time`` (seconds since 1970) belong to."""
    return int(time // HOUR_SECONDS)


def tag(key: TagKey, hour: int) -> bytes:
    """Return the 8-byte tag of one hour."""
    return blake3_keyed(key, hour.to_bytes(8, "big", signed=True))[:TAG_BYTES]


def announcement(keys: Iterable[TagKey], hour: int, random: Random) -> list[bytes]:
    """Return the tags to announce, sorted, random ones among them; at most `MAX_TAGS`."""
    tags = {tag(key, hour) for key in keys}
    size = _MIN_TAGS
    while size < min(len(tags), TAGS_PER_SERVICE):
        size *= 2
    if len(tags) > size:
        size = -(-len(tags) // TAGS_PER_SERVICE) * TAGS_PER_SERVICE
    while len(tags) < size:
        tags.add(random(TAG_BYTES))
    return sorted(tags)[:MAX_TAGS]


def services(tags: Sequence[bytes]) -> Iterator[dict[str, bytes]]:
    """Yield the TXT properties of each service that ``tags`` need."""
    for start in range(0, len(tags), TAGS_PER_SERVICE):
        part = tags[start : start + TAGS_PER_SERVICE]
        properties = {"v": b"1"}
        for number, first in enumerate(range(0, len(part), _TAGS_PER_STRING)):
            properties[f"t{number}"] = b"".join(part[first : first + _TAGS_PER_STRING])
        yield properties


def read_tags(properties: Mapping[bytes, bytes | None]) -> frozenset[bytes]:
    """Return the tags of a TXT record; what does not look like ours is left out."""
    found: set[bytes] = set()
    for number in range(TAGS_PER_SERVICE // _TAGS_PER_STRING):
        value = properties.get(b"t%d" % number) or b""
        if len(value) % TAG_BYTES == 0:
            found.update(value[at : at + TAG_BYTES] for at in range(0, len(value), TAG_BYTES))
    return frozenset(found)


class TagTable:
    """Knows the tags that the groups or invites of this device may have around an hour.

    The hours before and after count too, so that clocks may differ by an hour.
    """

    def __init__(self, keys: Mapping[bytes, TagKey], hour: int) -> None:
        self._names = {
            tag(key, near): name
            for name, key in keys.items()
            for near in (hour - 1, hour, hour + 1)
        }

    def match(self, tags: Iterable[bytes]) -> dict[bytes, bytes]:
        """Return the names (group ids, invite secrets) whose tag is among ``tags``, and the tag."""
        names = self._names
        return {names[one]: one for one in tags if one in names}
