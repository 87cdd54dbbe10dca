"""What a session hands out: frames to send and facts to act on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class CloseReason(Enum):
    """Why a session ended; the value is the code on the wire."""

    DONE = 0
    """The local side has finished (shutting down, other connection kept)."""
    VERSION = 1
    """No protocol version in common."""
    TIMEOUT = 2
    """The peer did not answer the greeting."""
    RESTART = 3
    """A group that was withdrawn is shared again: connect anew."""
    MALFORMED = 4
    """A frame did not have the form its type demands."""
    STATE = 5
    """A frame is not allowed in the present state."""
    LIMIT = 6
    """More, or larger, than the limits agreed on."""
    GROUP = 7
    """A frame names a group that is not shared."""
    OPERATION = 8
    """An operation, or a proof of a fork, that no honest device sends."""


@dataclass(frozen=True, slots=True)
class Send:
    """A frame for the channel, in order."""

    frame: bytes


@dataclass(frozen=True, slots=True)
class GroupShared:
    """Both devices are members of the group and have proven it; its exchange begins."""

    group: bytes


@dataclass(frozen=True, slots=True)
class ControlSettled:
    """Both devices hold the same control operations; documents follow."""

    group: bytes


@dataclass(frozen=True, slots=True)
class GroupSettled:
    """Everything that either device held when the exchange began has been exchanged."""

    group: bytes


@dataclass(frozen=True, slots=True)
class GroupWithdrawn:
    """One side no longer counts the other as a member; the group is no longer served."""

    group: bytes


@dataclass(frozen=True, slots=True)
class PresenceReceived:
    """An ephemeral, unstored message (carets, names) about a document."""

    group: bytes
    document: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class Closed:
    """The session has ended; nothing follows.

    Attributes:
        reason: why.
        message: one plain sentence.
        by_peer: the peer said goodbye; otherwise this side did.
    """

    reason: CloseReason
    message: str
    by_peer: bool


Output = (
    Send | GroupShared | ControlSettled | GroupSettled | GroupWithdrawn | PresenceReceived | Closed
)
