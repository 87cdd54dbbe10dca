"""What operations on a group return; `G` is the type of group."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from lutra.mls.framing import Sender
from lutra.mls.proposal_list import SentProposal
from lutra.mls.proposals import Proposal

G = TypeVar("G")


@dataclass(frozen=True, slots=True)
class StagedCommit(Generic[G]):
    """A commit that was made but not yet accepted by the group.

    Attributes:
        message: the commit, an encoded MLSMessage.
        welcome: an encoded MLSMessage for those added, if any.
        group: the epoch the commit begins; adopt it once the commit is accepted.
        previous: the epoch the commit was made in; keep it until then.
    """

    message: bytes = field(repr=False)
    welcome: bytes | None = field(repr=False)
    group: G
    previous: G


@dataclass(frozen=True, slots=True)
class SentMessage(Generic[G]):
    """A message to send, and the group without the key it used."""

    message: bytes = field(repr=False)
    group: G


@dataclass(frozen=True, slots=True)
class ReceivedApplication(Generic[G]):
    """Application data from a member.

    Attributes:
        group: the group without the message's key.
        sender: leaf index.
        data: what was sent.
        authenticated_data: what was sent along in the clear.
    """

    group: G
    sender: int
    data: bytes = field(repr=False)
    authenticated_data: bytes


@dataclass(frozen=True, slots=True)
class ReceivedProposal(Generic[G]):
    """A proposal, now waiting in ``group`` to be committed by anybody."""

    group: G
    sender: Sender
    reference: bytes
    proposal: Proposal
    authenticated_data: bytes


@dataclass(frozen=True, slots=True)
class ReceivedCommit(Generic[G]):
    """A commit and the epoch it begins.

    Attributes:
        group: the new epoch; inactive if the commit removed this device.
        previous: the old epoch without the message key used.
        sender: who committed, as named in the old epoch.
        committer: leaf index of the committer in the new epoch.
        proposals: what was committed, in order.
        added: leaf indices of new members, an external committer excepted.
        removed: leaf indices, in the old epoch, of members removed.
        has_path: whether the committer renewed its keys.
        authenticated_data: what was sent along in the clear.
    """

    group: G
    previous: G
    sender: Sender
    committer: int
    proposals: tuple[SentProposal, ...]
    added: tuple[int, ...]
    removed: tuple[int, ...]
    has_path: bool
    authenticated_data: bytes
