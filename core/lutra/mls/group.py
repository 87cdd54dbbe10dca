"""`Group`: one member's view of one epoch (RFC 9420).

A `Group` never changes. Whatever consumes a key or begins an epoch returns a new `Group` beside
the messages to send; store both together, then send. Any number of past and concurrent epochs
may be kept, serialised and resumed side by side.

Send from the newest state only. Two messages sent from one state share key and generation: only
their random reuse guards (§6.3.1, 32 bits) keep the nonces apart, and members open the first that
arrives and refuse the other. Rivalling private commits made in one epoch share them knowingly.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import replace

from lutra.mls.committing import (
    CommitOptions,
    NewEpoch,
    create_commit,
    make_group_info,
)
from lutra.mls.epoch_view import EpochView
from lutra.mls.errors import MlsMalformedError, MlsUsageError
from lutra.mls.framing import ContentType, PublicMessage, WireFormat
from lutra.mls.joining import ExternalJoin, create_state, join_by_commit, join_by_welcome
from lutra.mls.key_package import KeyPackage, KeyPackageBundle
from lutra.mls.key_schedule import export_secret
from lutra.mls.leaf import PROTOCOL_MLS10, Extensions, LeafContent, LeafNode
from lutra.mls.messages import GroupInfo, Message, Welcome, decode_message, encode_message
from lutra.mls.persistence import decode_state, encode_state
from lutra.mls.private_message import PrivateMessage
from lutra.mls.processing import receive_commit, receive_proposal, unprotect
from lutra.mls.proposals import (
    USAGE_BRANCH,
    USAGE_REINIT,
    Add,
    PreSharedKey,
    PreSharedKeyId,
    Proposal,
    ReInit,
)
from lutra.mls.ratchet_tree import RatchetTree
from lutra.mls.results import (
    ReceivedApplication,
    ReceivedCommit,
    ReceivedProposal,
    SentMessage,
    StagedCommit,
)
from lutra.mls.selecting import select_additions, select_proposals
from lutra.mls.sending import make_update, send_application, send_proposal
from lutra.mls.services import PskLookup, Services, no_psks
from lutra.mls.state import MemberState, Status
from lutra.mls.suites import suite_for

_MAX_EXPORT_BYTES = 0xFFFF


class Group(EpochView):
    """One member's view of one epoch; see the module's text.

    Make one with `create`, `join`, `join_external`, `branch`, `reinitialise` or `from_bytes`.
    """

    __slots__ = ("_state",)

    def __init__(self, state: MemberState, services: Services) -> None:
        super().__init__(state.public, services)
        self._state = state

    # Entering

    @classmethod
    def create(
        cls,
        bundle: KeyPackageBundle,
        group_id: bytes,
        *,
        extensions: Extensions = (),
        services: Services | None = None,
    ) -> Group:
        """Create a group of one, epoch 0, in the key package's suite (§11)."""
        services = services or Services()
        return cls(create_state(bundle, group_id, extensions, services), services)

    @classmethod
    def join(
        cls,
        welcome: bytes,
        bundle: KeyPackageBundle,
        *,
        tree: bytes | None = None,
        psks: PskLookup = no_psks,
        parent: Group | None = None,
        services: Services | None = None,
    ) -> Group:
        """Join by Welcome (§12.4.3.1). The bundle's private keys should then be deleted.

        Args:
            welcome: an encoded MLSMessage.
            bundle: the key package the Welcome was made for.
            tree: the encoded ratchet tree, where the Welcome does not carry it.
            psks: finds pre-shared keys.
            parent: the group this one branches off or replaces, in the epoch it does so; a Welcome
                into a group that does not prove it is refused.
            services: randomness, time, credential checks, limits. Whether the group id is new to
                this device (§12.4.3.1) is for the caller to check.

        Raises:
            MlsRemoteError: the Welcome breaks a rule; the subclass says which.
        """
        services = services or Services()
        message = decode_message(welcome)
        if not isinstance(message, Welcome):
            raise MlsMalformedError("A message is no Welcome.", "12.4.3.1")
        suite = suite_for(bundle.key_package.suite_id)
        state = join_by_welcome(
            message,
            bundle,
            services,
            psks,
            tree=None if tree is None else RatchetTree.decode(suite, tree),
            parent=None if parent is None else parent._state,
        )
        return cls(state, services)

    @classmethod
    def join_external(
        cls,
        group_info: bytes,
        request: ExternalJoin,
        *,
        tree: bytes | None = None,
        psks: PskLookup = no_psks,
        services: Services | None = None,
    ) -> StagedCommit[Group]:
        """Join by external commit (§12.4.3.2).

        Args:
            group_info: an encoded MLSMessage with an external_pub extension.
            request: who joins and how.
            tree: the encoded ratchet tree, where the GroupInfo does not carry it.
            psks: finds pre-shared keys named in ``request``.
            services: randomness, time, credential checks, limits.

        Returns:
            the commit to send and the group it leads into; ``previous`` equals ``group``.
        """
        services = services or Services()
        message = decode_message(group_info)
        if not isinstance(message, GroupInfo):
            raise MlsMalformedError("A message is no GroupInfo.", "12.4.3")
        decoded = None
        if tree is not None:
            decoded = RatchetTree.decode(suite_for(message.context.suite_id), tree)
        made = join_by_commit(message, request, services, psks, tree=decoded)
        group = cls(made.state, services)
        return StagedCommit(encode_message(made.message), None, group, group)

    # What is known

    @property
    def own_index(self) -> int:
        """One's own leaf index."""
        return self._state.own_index

    @property
    def own_leaf(self) -> LeafNode:
        """One's own leaf.

        Raises:
            MlsUsageError: this device was removed.
        """
        leaf = self.tree.leaf(self.own_index)
        if leaf is None:
            raise MlsUsageError("This device is no longer in the group.", "12.4.2")
        return leaf

    @property
    def is_active(self) -> bool:
        """Whether the group can go on: neither removed nor re-initialised."""
        return self._state.status is Status.ACTIVE

    @property
    def status(self) -> Status:
        """Active, removed or re-initialised."""
        return self._state.status

    @property
    def reinit(self) -> ReInit | None:
        """Parameters of the group that replaces this one."""
        return self._state.reinit

    # Secrets of the epoch

    @property
    def epoch_authenticator(self) -> bytes:
        """Equal for all members who share this epoch (§8.7).

        Raises:
            InactiveGroupError: this device was removed.
        """
        if self._state.status is Status.REMOVED:
            self._state.need_active()
        return self._state.secrets.epoch_authenticator

    @property
    def resumption_psk(self) -> bytes:
        """Pre-shared key that proves membership in this epoch (§8.6).

        Raises:
            DeletedSecretError: it was deleted.
        """
        return self._state.secrets.need("resumption_psk")

    def export(self, label: bytes, context: bytes, length: int) -> bytes:
        """MLS-Exporter (§8.5): a secret of ``length`` bytes for an application's purpose.

        Raises:
            DeletedSecretError: the exporter secret was deleted.
            MlsUsageError: the length is not between 0 and 255 hashes.
        """
        if not 0 <= length <= min(_MAX_EXPORT_BYTES, 255 * self.suite.hash_bytes):
            raise MlsUsageError("An exported secret cannot be that long.", "8.5", length=length)
        return export_secret(
            self.suite, self._state.secrets.need("exporter"), label, context, length
        )

    def without_secrets(self, *names: str) -> Group:
        """Return the group with secrets deleted (§9.2).

        Args:
            names: any of ``exporter``, ``external``, ``confirmation_key``, ``membership_key``,
                ``resumption_psk``, ``init``, ``messages`` (all message keys), ``past`` (resumption
                keys of past epochs).

        Raises:
            MlsUsageError: a name is none of these.
        """
        return self._with(self._state.without(names))

    # Sending

    def encrypt(
        self, data: bytes, *, authenticated_data: bytes = b"", padding: int | None = None
    ) -> SentMessage[Group]:
        """Encrypt application data to the group (§15); go on with the group returned only.

        Args:
            data: what to send.
            authenticated_data: sent along in the clear, signed.
            padding: zero bytes added; ``None`` for the policy's.

        Raises:
            InactiveGroupError: the group has ended.
            MlsUsageError: proposals wait, so commit first (§12.4), or the data is too large.
        """
        made = send_application(self._state, data, authenticated_data, padding, self._services)
        return self._sent(*made)

    def propose(
        self,
        proposal: Proposal,
        *,
        authenticated_data: bytes = b"",
        wire_format: WireFormat | None = None,
    ) -> SentMessage[Group]:
        """Propose a change (§12.1); for an update of one's own leaf see `propose_update`.

        Raises:
            InactiveGroupError: the group has ended.
            MlsRemoteError: the proposal can never be committed.
        """
        made = send_proposal(self._state, proposal, authenticated_data, wire_format, self._services)
        return self._sent(*made)

    def propose_update(
        self,
        *,
        leaf: LeafContent | None = None,
        signature_private: bytes | None = None,
        authenticated_data: bytes = b"",
        wire_format: WireFormat | None = None,
    ) -> SentMessage[Group]:
        """Propose a fresh key, and perhaps new content, for one's own leaf (§12.1.2).

        Args:
            leaf: new credential, capabilities and extensions; ``None`` keeps them.
            signature_private: new private signature key; ``None`` keeps it.
            authenticated_data: sent along, signed.
            wire_format: public or private; ``None`` for the policy's.
        """
        update, state = make_update(self._state, leaf, signature_private, self._services)
        made = send_proposal(state, update, authenticated_data, wire_format, self._services)
        return self._sent(*made)

    def without_proposal(self, reference: bytes) -> Group:
        """Return the group with a received proposal forgotten: a commit naming it is refused."""
        public = self._state.public.without_proposal(reference)
        return self._with(replace(self._state, public=public))

    def commit(
        self,
        proposals: Sequence[Proposal] = (),
        *,
        psks: PskLookup = no_psks,
        options: CommitOptions | None = None,
    ) -> StagedCommit[Group]:
        """Commit proposals by value, and received ones by reference (§12.4.1).

        Without any proposal this renews one's own keys (self-update).

        Args:
            proposals: by value, in the order they take effect.
            psks: finds pre-shared keys named in proposals.
            options: which received proposals to include, path, framing, new leaf.

        Raises:
            InactiveGroupError: the group has ended.
            MlsRemoteError: the proposals do not form a valid list (§12.2).
        """
        made = create_commit(
            self._state, proposals, options or CommitOptions(), self._services, psks
        )
        return self._staged(made)

    def committable(self, psks: PskLookup = no_psks) -> tuple[bytes, ...]:
        """Return references of received proposals that `commit` would include."""
        return tuple(select_proposals(self._state, self._services, psks))

    def addable(
        self,
        additions: Sequence[Add],
        beside: Sequence[Proposal] = (),
        *,
        checked: Container[KeyPackage] = frozenset(),
    ) -> list[Add]:
        """Return the additions that `commit` would take together, and with other proposals.

        Args:
            additions: by value, wanted most first.
            beside: other proposals of the commit, by value.
            checked: key packages that `KeyPackage.check` has passed for this group's suite.
        """
        return select_additions(self._state, self._services, additions, beside, checked)

    def group_info(
        self,
        *,
        with_tree: bool = True,
        with_external_pub: bool = True,
        extensions: Extensions = (),
    ) -> bytes:
        """Return a signed GroupInfo as encoded MLSMessage, for external joiners (§12.4.3).

        Raises:
            DeletedSecretError: the external secret was deleted.
            InactiveGroupError: the group has ended.
        """
        self._state.need_active()
        info = make_group_info(
            self._state,
            self._services,
            with_tree=with_tree,
            with_external_pub=with_external_pub,
            extensions=extensions,
        )
        return encode_message(info)

    def branch(
        self,
        bundle: KeyPackageBundle,
        group_id: bytes,
        key_packages: Sequence[KeyPackage],
        *,
        extensions: Extensions = (),
        options: CommitOptions | None = None,
    ) -> StagedCommit[Group]:
        """Found a subgroup with some of the members (§11.3).

        Args:
            bundle: one's own new key package.
            group_id: of the subgroup.
            key_packages: new ones of the members it is for.
            extensions: of the subgroup's context.
            options: as for `commit`.
        """
        if bundle.key_package.suite_id != self.suite.suite_id:
            raise MlsUsageError("A branch keeps the group's cipher suite.", "11.3")
        return self._continue(
            bundle,
            group_id,
            key_packages,
            extensions=extensions,
            options=options,
            usage=USAGE_BRANCH,
        )

    def reinitialise(
        self,
        bundle: KeyPackageBundle,
        key_packages: Sequence[KeyPackage],
        *,
        options: CommitOptions | None = None,
    ) -> StagedCommit[Group]:
        """Found the group that a committed ReInit announced (§11.2).

        Args:
            bundle: one's own new key package, in the new suite.
            key_packages: new ones of all other members.
            options: as for `commit`.

        Raises:
            MlsUsageError: no ReInit was committed, or the suite is another one.
        """
        reinit = self._state.reinit
        if reinit is None:
            raise MlsUsageError("The group was not re-initialised.", "11.2")
        if (reinit.version, reinit.suite_id) != (PROTOCOL_MLS10, bundle.key_package.suite_id):
            raise MlsUsageError("The new group has another version or cipher suite.", "11.2")
        return self._continue(
            bundle,
            reinit.group_id,
            key_packages,
            extensions=reinit.extensions,
            options=options,
            usage=USAGE_REINIT,
        )

    def _continue(
        self,
        bundle: KeyPackageBundle,
        group_id: bytes,
        key_packages: Sequence[KeyPackage],
        *,
        extensions: Extensions,
        options: CommitOptions | None,
        usage: int,
    ) -> StagedCommit[Group]:
        new = Group.create(bundle, group_id, extensions=extensions, services=self._services)
        nonce = self._services.random(new.suite.hash_bytes)
        psk = PreSharedKeyId.resumption(self.group_id, self.epoch, nonce, usage)
        secret = self.resumption_psk
        adds = [Add(key_package) for key_package in key_packages]
        return new.commit(
            [*adds, PreSharedKey(psk)],
            psks=lambda wanted: secret if wanted == psk else None,
            options=replace(options or CommitOptions(), usage=usage),
        )

    # Receiving

    def process(self, message: bytes, *, psks: PskLookup = no_psks) -> Received:
        """Process a message of this epoch: application data, a proposal or a commit.

        Args:
            message: an encoded MLSMessage.
            psks: finds pre-shared keys a commit names.

        Raises:
            MlsRemoteError: the message breaks a rule; the subclass and its section say which.
            OwnMessageError: it is one's own.
            InactiveGroupError: this device was removed.
        """
        if self._state.status is Status.REMOVED:
            self._state.need_active()
        decoded = decode_message(message)
        if not isinstance(decoded, PublicMessage | PrivateMessage):
            raise MlsMalformedError("A message is not one for members.", "6")
        opened = unprotect(self._state, decoded, self._services)
        content, previous = opened.content, self._with(opened.state)
        framed = content.content
        if framed.content_type is ContentType.APPLICATION and isinstance(framed.body, bytes):
            return ReceivedApplication(
                previous, framed.sender.index, framed.body, framed.authenticated_data
            )
        if framed.content_type is ContentType.PROPOSAL:
            self._state.need_active()
            state, reference = receive_proposal(opened.state, content, self._services)
            kept = state.public.proposals[reference]
            return ReceivedProposal(
                self._with(state),
                framed.sender,
                reference,
                kept.proposal,
                framed.authenticated_data,
            )
        self._state.need_active()
        state, transition = receive_commit(opened.state, content, self._services, psks)
        return ReceivedCommit(
            self._with(state),
            previous,
            framed.sender,
            transition.committer,
            transition.proposals,
            transition.added,
            transition.plan.removes,
            transition.path is not None,
            framed.authenticated_data,
        )

    # Keeping

    def to_bytes(self, *, with_tree: bool = True) -> bytes:
        """Serialise, secrets included; keep the result encrypted.

        Without the tree, `from_bytes` needs it again; epochs of one tree hash can share it.
        """
        return encode_state(self._state, with_tree=with_tree)

    @classmethod
    def from_bytes(
        cls,
        data: bytes,
        *,
        tree: RatchetTree | None = None,
        services: Services | None = None,
    ) -> Group:
        """Resume what `to_bytes` wrote.

        Raises:
            MlsMalformedError: the bytes are something else.
            MlsUsageError: the tree is missing, or another one.
        """
        return cls(decode_state(data, tree), services or Services())

    def _sent(self, message: Message, state: MemberState) -> SentMessage[Group]:
        return SentMessage(encode_message(message), self._with(state))

    def _with(self, state: MemberState) -> Group:
        return Group(state, self._services)

    def _staged(self, made: NewEpoch) -> StagedCommit[Group]:
        welcome = None if made.welcome is None else encode_message(made.welcome)
        return StagedCommit(
            encode_message(made.message), welcome, self._with(made.state), self._with(made.previous)
        )

    def __repr__(self) -> str:
        return (
            f"Group(id={self.group_id.hex()[:16]}, epoch={self.epoch}, "
            f"members={self.tree.member_count()}, own_index={self.own_index})"
        )


Received = ReceivedApplication[Group] | ReceivedProposal[Group] | ReceivedCommit[Group]
"""What `Group.process` returns."""
