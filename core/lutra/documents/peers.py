"""Peer ids: which device, and which of its editors, made an edit.

Loro tells editors apart by a 64-bit number. Lutra derives it, so that anyone can check that the
edits in an operation were made by the device that signed it: the upper 60 bits are a BLAKE3 hash
of device and document, the lower 4 bits count the places on that device where the document can be
edited at the same time (slot 0: the node itself; 1 to 15: editor windows).
"""

from __future__ import annotations

from lutra.crypto.hashing import blake3_derive
from lutra.errors import LocalError

SLOT_BITS = 4
MAX_SLOT = (1 << SLOT_BITS) - 1
_CONTEXT = "Lutra 1 document peer id"
_HASH_SHIFT = 64 - 60


def peer_prefix(device: bytes, document: bytes) -> int:
    """Return the 60 bits that all peer ids of ``device`` in ``document`` share."""
    digest = blake3_derive(_CONTEXT, device + document)
    return int.from_bytes(digest[:8], "big") >> _HASH_SHIFT


def peer_id(device: bytes, document: bytes, slot: int) -> int:
    """Return the Loro peer id of one editing place.

    Args:
        device: public key of the device, 32 bytes.
        document: id of the document, 32 bytes.
        slot: 0 for the node itself, 1 to 15 for its editor windows.

    Raises:
        LocalError: the slot is outside 0 to 15.
    """
    if not 0 <= slot <= MAX_SLOT:
        raise LocalError(f"An editing slot must lie between 0 and {MAX_SLOT}.", slot=slot)
    return peer_prefix(device, document) << SLOT_BITS | slot


def owns(device: bytes, document: bytes, peer: int) -> bool:
    """Tell whether ``peer`` is one of the peer ids of ``device`` in ``document``."""
    return peer >> SLOT_BITS == peer_prefix(device, document)
