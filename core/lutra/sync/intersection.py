"""Private intersection: find shared groups without revealing the others.

A group's tag is a BLAKE3 MAC under the group's discovery secret over the channel's handshake hash
and the sender's role: only members can make or recognise it, and it means nothing in any other
channel or in the other direction. A tag is made only for groups whose roster, as known here,
includes the peer, so a stranger sees nothing but random tags. Padding to a power of two hides
the number; it stays the same during a session, since changing padding would reveal what is real.
"""

from __future__ import annotations

from lutra.crypto.hashing import blake3_keyed
from lutra.sync.frames import HANDLE_BYTES, TAG_BYTES
from lutra.sync.limits import MAX_TAGS
from lutra.sync.states import Role

_TAG = b"lutra sync tag 1\x00"
_HANDLE = b"lutra sync handle 1\x00"
_PADDING = b"lutra sync padding 1\x00"
_LEAST = 8


def group_tag(secret: bytes, handshake_hash: bytes, sender: Role) -> bytes:
    """Return the 16-byte tag by which ``sender`` proves that it knows the group."""
    return blake3_keyed(secret, _TAG + sender.value.encode() + handshake_hash)[:TAG_BYTES]


def group_handle(secret: bytes, handshake_hash: bytes) -> bytes:
    """Return the 8-byte name both sides use for the group in this channel's frames."""
    return blake3_keyed(secret, _HANDLE + handshake_hash)[:HANDLE_BYTES]


def padded_tags(tags: list[bytes], padding_key: bytes) -> list[bytes]:
    """Return the first `MAX_TAGS` tags with random ones up to a power of two, at least 8, sorted.

    Args:
        tags: tags of groups.
        padding_key: 32 random bytes, the same for the whole session.
    """
    tags = tags[:MAX_TAGS]
    size = _LEAST
    while size < len(tags):
        size *= 2
    # Drawn by place, so that a later, longer list replaces the last padding only.
    padding = [
        blake3_keyed(padding_key, _PADDING + place.to_bytes(4, "big"))[:TAG_BYTES]
        for place in range(size - len(tags))
    ]
    return sorted(tags + padding)
