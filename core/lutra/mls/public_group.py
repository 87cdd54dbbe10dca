"""`PublicGroup`: following a group from outside (RFC 9420 §12.4.2, public part).

An observer holds the tree but no secrets. It verifies signatures, proposal lists, tree hashes and
parent hashes of public messages. It cannot verify membership tags, confirmation tags or what an
update path encrypts; a commit it accepts may still be one that no member can enter.
"""

from __future__ import annotations

from collections.abc import Container

from lutra.mls.codec import decode_stored
from lutra.mls.epoch_view import EpochView
from lutra.mls.errors import InvalidCommitError, MlsMalformedError
from lutra.mls.framing import ContentType, PublicMessage
from lutra.mls.group import Group
from lutra.mls.joining import public_state_from_info
from lutra.mls.key_package import KeyPackage
from lutra.mls.messages import GroupInfo, decode_message
from lutra.mls.persistence import decode_public, encode_public
from lutra.mls.processing import keep_proposal
from lutra.mls.proposals import Commit
from lutra.mls.ratchet_tree import RatchetTree
from lutra.mls.results import ReceivedCommit, ReceivedProposal
from lutra.mls.services import Services
from lutra.mls.suites import suite_for
from lutra.mls.transition import (
    PublicState,
    advance,
    check_place,
    check_signature,
    confirmed_context,
)


class PublicGroup(EpochView):
    """One epoch as an observer knows it; never changes."""

    __slots__ = ()

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

    def process(
        self, message: bytes, *, checked: Container[KeyPackage] = frozenset()
    ) -> ReceivedProposal[PublicGroup] | ReceivedCommit[PublicGroup]:
        """Check and apply a proposal or commit sent as PublicMessage.

        Args:
            message: an encoded MLSMessage.
            checked: key packages that `KeyPackage.check` has passed for this group's suite; what
                they show by themselves is not verified again.

        Returns:
            the proposal or commit, with the observer's next state.

        Raises:
            MlsRemoteError: it breaks a rule; the subclass and its section say which.
        """
        decoded = decode_message(message)
        if not isinstance(decoded, PublicMessage):
            raise MlsMalformedError("An observer can follow public messages only.", "6.2")
        state, services = self._public, self._services
        content = decoded.authenticated()
        framed = content.content
        check_place(state, framed.group_id, framed.epoch)
        if framed.content_type is ContentType.APPLICATION:
            raise MlsMalformedError("Application data came unencrypted.", "6")
        check_signature(state, content, services)
        if framed.content_type is ContentType.PROPOSAL:
            kept, reference = keep_proposal(state, content, services)
            return ReceivedProposal(
                PublicGroup(kept, services),
                framed.sender,
                reference,
                kept.proposals[reference].proposal,
                framed.authenticated_data,
            )
        if not isinstance(framed.body, Commit) or content.confirmation_tag is None:
            raise InvalidCommitError("A message holds no commit.", "12.4")
        transition = advance(state, framed.body, framed.sender, services, checked)
        context = confirmed_context(state, transition.context, content)
        entered = PublicState.create(
            state.suite, context, transition.tree, content.confirmation_tag
        )
        return ReceivedCommit(
            PublicGroup(entered, services),
            self,
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
        return encode_public(self._public, with_tree=with_tree)

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
        state = decode_stored(lambda reader: decode_public(reader, tree), data)
        return cls(state, services or Services())

    def __repr__(self) -> str:
        return (
            f"PublicGroup(id={self.group_id.hex()[:16]}, epoch={self.epoch}, "
            f"members={self.tree.member_count()})"
        )
