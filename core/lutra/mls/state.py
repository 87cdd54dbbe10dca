"""A member's state of one epoch: the public state plus secrets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum

from lutra.mls.errors import InactiveGroupError, MissingPskError, MlsUsageError
from lutra.mls.key_schedule import EpochSecrets, psk_secret
from lutra.mls.proposals import PSK_RESUMPTION, PreSharedKeyId, ReInit
from lutra.mls.secret_tree import SecretTree
from lutra.mls.services import Policy, PskLookup
from lutra.mls.transition import PublicState
from lutra.mls.treekem import PrivateKeys

DELETABLE_SECRETS = frozenset(
    {"exporter", "external", "confirmation_key", "membership_key", "resumption_psk", "init"}
)
"""Secrets of an epoch that can be deleted by name."""


class Status(IntEnum):
    """Whether a group can go on."""

    ACTIVE = 0
    REMOVED = 1
    REINITIALISED = 2


@dataclass(frozen=True, slots=True)
class MemberState:
    """Everything a member keeps about an epoch; never changed, only replaced.

    Attributes:
        public: what anybody may know.
        own_index: one's leaf index.
        signature_private: one's private signature key.
        private_keys: HPKE private keys by node index.
        secrets: secrets of the epoch.
        secret_tree: message keys.
        pending_updates: private keys (leaf, signature) of one's proposed updates, by the public
            encryption key.
        resumption: resumption keys of past epochs, oldest first.
        status: whether the group can go on.
        reinit: parameters of the group that replaces this one.
    """

    public: PublicState
    own_index: int
    signature_private: bytes = field(repr=False)
    private_keys: PrivateKeys = field(repr=False)
    secrets: EpochSecrets
    secret_tree: SecretTree
    pending_updates: Mapping[bytes, tuple[bytes, bytes]] = field(repr=False)
    resumption: tuple[tuple[int, bytes], ...] = field(repr=False)
    status: Status = Status.ACTIVE
    reinit: ReInit | None = None

    def signature_key(self) -> tuple[bytes, bytes]:
        """Return one's signature key as (private, public)."""
        leaf = self.public.tree.leaf(self.own_index)
        if leaf is None:
            raise InactiveGroupError("This device is no longer in the group.", "12.4.2")
        return self.signature_private, leaf.signature_key

    def need_active(self) -> None:
        """Refuse to act in a group that ended (§12.4.2).

        Raises:
            InactiveGroupError: the device was removed, or the group re-initialised.
        """
        if self.status is Status.REMOVED:
            raise InactiveGroupError("This device is no longer in the group.", "12.4.2")
        if self.status is Status.REINITIALISED:
            raise InactiveGroupError("The group was replaced by a new one.", "11.2")

    def with_messages(self, secret_tree: SecretTree) -> MemberState:
        """Return the state with other message keys."""
        # Written out because it runs once per message: `replace` costs three times as much.
        return MemberState(
            self.public,
            self.own_index,
            self.signature_private,
            self.private_keys,
            self.secrets,
            secret_tree,
            self.pending_updates,
            self.resumption,
            self.status,
            self.reinit,
        )

    def find_psk(self, psk_id: PreSharedKeyId, lookup: PskLookup) -> bytes:
        """Return a pre-shared key, one's own resumption keys first.

        Raises:
            MissingPskError: it is not at hand.
        """
        if psk_id.psk_type == PSK_RESUMPTION and psk_id.group_id == self.public.context.group_id:
            key = self.resumption_psk(psk_id.epoch)
            if key is not None:
                return key
        return find_psk(psk_id, lookup)

    def has_psk(self, psk_id: PreSharedKeyId, lookup: PskLookup) -> bool:
        """Tell whether a pre-shared key is at hand."""
        try:
            self.find_psk(psk_id, lookup)
        except MissingPskError:
            return False
        return True

    def resumption_psk(self, epoch: int) -> bytes | None:
        """Return the resumption key of this or a past epoch, if it is still there."""
        if epoch == self.public.context.epoch:
            return self.secrets.resumption_psk
        return dict(self.resumption).get(epoch)

    def next_resumption(self, policy: Policy) -> tuple[tuple[int, bytes], ...]:
        """Return the resumption keys the next epoch keeps."""
        key = self.secrets.resumption_psk
        own = () if key is None else ((self.public.context.epoch, key),)
        kept = (*self.resumption, *own)
        return kept[max(0, len(kept) - policy.resumption_epochs) :]

    def without(self, names: Sequence[str]) -> MemberState:
        """Return the state with secrets deleted; see `Group.without_secrets`.

        Raises:
            MlsUsageError: a name is unknown.
        """
        unknown = set(names) - DELETABLE_SECRETS - {"messages", "past"}
        if unknown:
            raise MlsUsageError("There is no secret of this name.", "9.2", names=sorted(unknown))
        gone = DELETABLE_SECRETS.intersection(names)
        secret_tree, resumption = self.secret_tree, self.resumption
        if "messages" in names:
            secret_tree = SecretTree.empty(self.public.suite, secret_tree.leaves)
            gone |= {"sender_data"}
        if "past" in names:
            resumption = ()
        secrets = self.secrets.without(tuple(gone))
        return replace(self, secrets=secrets, secret_tree=secret_tree, resumption=resumption)

    def removed(self) -> MemberState:
        """Return what remains for a member who was removed: no secret at all."""
        empty = EpochSecrets(None, None, None, None, None, None, b"", None)
        return replace(
            self,
            signature_private=b"",
            private_keys={},
            secrets=empty,
            secret_tree=SecretTree.empty(self.public.suite, self.secret_tree.leaves),
            pending_updates={},
            resumption=(),
            status=Status.REMOVED,
        )


def find_psk(psk_id: PreSharedKeyId, lookup: PskLookup) -> bytes:
    """Return a pre-shared key from a lookup.

    Raises:
        MissingPskError: it is not at hand.
    """
    key = lookup(psk_id)
    if key is None:
        raise MissingPskError(
            "A pre-shared key is missing here.",
            "8.4",
            psk_id=psk_id.psk_id.hex(),
            group_id=psk_id.group_id.hex(),
            epoch=psk_id.epoch,
        )
    return key


def psk_secret_for(
    state: MemberState, psks: tuple[PreSharedKeyId, ...], lookup: PskLookup
) -> bytes:
    """Return the PSK secret of a commit (§8.4).

    Raises:
        MissingPskError: a key is not at hand.
    """
    found = [(psk_id, state.find_psk(psk_id, lookup)) for psk_id in psks]
    return psk_secret(state.public.suite, found)
