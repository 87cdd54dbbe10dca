"""What a member and an observer alike may ask about an epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lutra.mls.key_schedule import GroupContext
from lutra.mls.leaf import LeafNode
from lutra.mls.proposal_list import SentProposal
from lutra.mls.ratchet_tree import RatchetTree
from lutra.mls.services import Services
from lutra.mls.suites import CipherSuite
from lutra.mls.transition import PublicState


class EpochView:
    """The public side of one epoch; base of `Group` and `PublicGroup`."""

    __slots__ = ("_public", "_services")

    def __init__(self, public: PublicState, services: Services) -> None:
        self._public = public
        self._services = services

    @property
    def suite(self) -> CipherSuite:
        """Cipher suite."""
        return self._public.suite

    @property
    def context(self) -> GroupContext:
        """Group context: group id, epoch, tree hash, transcript hash, extensions (§8.1)."""
        return self._public.context

    @property
    def group_id(self) -> bytes:
        """Group id."""
        return self._public.context.group_id

    @property
    def epoch(self) -> int:
        """Epoch number; forks of a group share it, see `interim_transcript_hash`."""
        return self._public.context.epoch

    @property
    def tree(self) -> RatchetTree:
        """Public ratchet tree."""
        return self._public.tree

    @property
    def interim_transcript_hash(self) -> bytes:
        """Names this epoch among all forks (§8.2)."""
        return self._public.interim_transcript_hash

    @property
    def confirmation_tag(self) -> bytes:
        """Confirmation tag of the commit that began this epoch."""
        return self._public.confirmation_tag

    @property
    def proposals(self) -> Mapping[bytes, SentProposal]:
        """Proposals of this epoch that wait for a commit, by reference."""
        return dict(self._public.proposals)

    @property
    def services(self) -> Services:
        """What was injected."""
        return self._services

    @property
    def public_state(self) -> PublicState:
        """The epoch without secrets."""
        return self._public

    def members(self) -> Iterator[tuple[int, LeafNode]]:
        """Iterate over (leaf index, leaf), in order."""
        return self._public.tree.members()
