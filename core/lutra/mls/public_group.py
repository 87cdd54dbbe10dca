"""`PublicGroup`: following a group from outside (RFC 9420 §12.4.2, public part).

An observer holds the tree but no secrets. It verifies signatures, proposal lists, tree hashes and
parent hashes of public messages. It cannot verify membership tags, confirmation tags or what an
update path encrypts; a commit it accepts may still be one that no member can enter.
"""

from __future__ import annotations

from dataclasses import dataclass

from lutra.mls.codec import decode_whole
from lutra.mls.errors import InvalidCommitError, MlsMalformedError
from lutra.mls.framing import ContentType, PublicMessage, Sender
from lutra.mls.group import Group
from lutra.mls.joining import public_state_from_info
from lutra.mls.key_schedule import GroupContext
from lutra.mls.messages import GroupInfo, decode_message
from lutra.mls.persistence import decode_public, encode_public
from lutra.mls.processing import keep_proposal
from lutra.mls.proposal_list import SentProposal
from lutra.mls.proposals import Commit
from lutra.mls.ratchet_tree import RatchetTree
from lutra.mls.services import Services
from lutra.mls.suites import CipherSuite, suite_for
from lutra.mls.transition import (
    PublicState,
    advance,
    check_place,
    check_signature,
    confirmed_context,
)


@dataclass(frozen=True, slots=True)
class ObservedProposal:
    """A proposal seen from outside, now waiting in ``group``."""

    group: PublicGroup
    sender: Sender
    reference: bytes
    sent: SentProposal


@dataclass(frozen=True, slots=True)
class ObservedCommit:
    """A commit seen from outside and the epoch it begins.

    Attributes:
        group: the new epoch.
        sender: who committed, as named in the old epoch.
        committer: leaf index of the committer in the new epoch.
        proposals: what was committed, in order.
        added: leaf indices of new members, an external committer excepted.
        removed: leaf indices, in the old epoch, of members removed.
        has_path: whether the committer renewed its keys.
        authenticated_data: what was sent along.
    """

    group: PublicGroup
    sender: Sender
    committer: int
    proposals: tuple[SentProposal, ...]
    added: tuple[int, ...]
    removed: tuple[int, ...]
    has_path: bool
    authenticated_data: bytes


class PublicGroup:
    """One epoch as an observer knows it; never changes."""

    __slots__ = ("_services", "_state")

    def __init__(self, state: PublicState, services: Services) -> None:
        self._state = state
        self._services = services

    @classmethod
    def from_group_info(
        cls, group_info: bytes, *, tree: bytes | None = None, services: Services | None = None
    ) -> PublicGroup:
        """Begin with a GroupInfo, an encoded MLSMessage; the tree too, where it lacks it.

        Raises:
            MlsRemoteError: signature or tree are not valid.
        """
        services = services or Services()
        message = decode_message(group_info)
        if not isinstance(message, GroupInfo):
            raise MlsMalformedError("A message is no GroupInfo.", "12.4.3")
        decoded = None
        if tree is not None:
            decoded = RatchetTree.decode(suite_for(message.context.suite_id), tree)
        return cls(public_state_from_info(message, decoded, services), services)

    @classmethod
    def of(cls, group: Group) -> PublicGroup:
        """Return what an observer would know of a member's epoch."""
        return cls(group.public_state, group.services)

    @property
    def suite(self) -> CipherSuite:
        """Cipher suite."""
        return self._state.suite

    @property
    def context(self) -> GroupContext:
        """Group context."""
        return self._state.context

    @property
    def group_id(self) -> bytes:
        """Group id."""
        return self.context.group_id

    @property
    def epoch(self) -> int:
        """Epoch number."""
        return self.context.epoch

    @property
    def tree(self) -> RatchetTree:
        """Public ratchet tree."""
        return self._state.tree

    @property
    def interim_transcript_hash(self) -> bytes:
        """Names this epoch among all forks."""
        return self._state.interim_transcript_hash

    @property
    def confirmation_tag(self) -> bytes:
        """Confirmation tag of the commit that began this epoch."""
        return self._state.confirmation_tag

    def process(self, message: bytes) -> ObservedProposal | ObservedCommit:
        """Check and apply a proposal or commit sent as PublicMessage.

        Raises:
            MlsRemoteError: it breaks a rule; the subclass and its section say which.
        """
        decoded = decode_message(message)
        if not isinstance(decoded, PublicMessage):
            raise MlsMalformedError("An observer can follow public messages only.", "6.2")
        state, services = self._state, self._services
        content = decoded.authenticated()
        framed = content.content
        check_place(state, framed.group_id, framed.epoch)
        if framed.content_type is ContentType.APPLICATION:
            raise MlsMalformedError("Application data came unencrypted.", "6")
        check_signature(state, content, services)
        if framed.content_type is ContentType.PROPOSAL:
            kept, reference = keep_proposal(state, content, services)
            return ObservedProposal(
                PublicGroup(kept, services), framed.sender, reference, kept.proposals[reference]
            )
        if not isinstance(framed.body, Commit) or content.confirmation_tag is None:
            raise InvalidCommitError("A message holds no commit.", "12.4")
        transition = advance(state, framed.body, framed.sender, services)
        context = confirmed_context(state, transition.context, content)
        entered = PublicState.create(
            state.suite, context, transition.tree, content.confirmation_tag
        )
        return ObservedCommit(
            PublicGroup(entered, services),
            framed.sender,
            transition.committer,
            transition.proposals,
            transition.added,
            transition.plan.removes,
            transition.path is not None,
            framed.authenticated_data,
        )

    def to_bytes(self, *, with_tree: bool = True) -> bytes:
        """Serialise; without the tree, `from_bytes` needs it again."""
        return encode_public(self._state, with_tree=with_tree)

    @classmethod
    def from_bytes(
        cls,
        data: bytes,
        *,
        tree: RatchetTree | None = None,
        services: Services | None = None,
    ) -> PublicGroup:
        """Resume what `to_bytes` wrote.

        Raises:
            MlsMalformedError: the bytes are something else.
            MlsUsageError: the tree is missing, or another one.
        """
        state = decode_whole(lambda reader: decode_public(reader, tree), data)
        return cls(state, services or Services())

    def __repr__(self) -> str:
        return (
            f"PublicGroup(id={self.group_id.hex()[:16]}, epoch={self.epoch}, "
            f"members={self.tree.member_count()})"
        )
