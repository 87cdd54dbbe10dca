"""A device's private state in a group: MLS epochs, data secrets, key packages in waiting.

It is a value to be stored whole, in the same transaction as the operations made with it and
before these are sent: then a crash at any point equals no crash.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, cast

from lutra.codec import decode, encode
from lutra.errors import MalformedError
from lutra.groups.epochs import EpochNode, EpochTree
from lutra.groups.errors import ControlError
from lutra.groups.links import kid_of
from lutra.mls import Group, KeyPackageBundle, ReceivedCommit, Services, decode_message
from lutra.mls.errors import DeletedSecretError, MlsRemoteError, OwnMessageError
from lutra.mls.leaf import EXTENSION_EXTERNAL_PUB, find_extension
from lutra.mls.messages import GroupInfo

_FORMAT = 1
_MAX_STATE_BYTES = 64 * 1024 * 1024
# Commits travel as PublicMessages and data, unless sealed, under exported secrets.
_UNUSED_SECRETS = ("exporter", "confirmation_key", "resumption_psk", "past")


class Unenterable(ControlError):
    """A commit that everybody accepted cannot be entered although its parent's keys are held."""

    code = "group.unenterable"


class Keyring:
    """The secrets; all of them stay out of ``repr``.

    Attributes:
        secrets: epoch → data secret.
        left: epoch whose MLS state is held → when (ms) it ceased to be the head, or None.
        renewal: the epoch that carried out the last wish for fresh keys; empty while none has.
        failed: epochs whose commit did not open although their parent's keys are held.
        outside_since: since when (ms) this device cannot enter the head.
        processed: how many operations this state has seen.
        sealed: message keys are kept, and no epoch is once another is entered (GROUPS §2.9).
        unsaved: message keys were used since the state was last taken.
        unfit: encoded key packages that no commit can add, as was found by trying; not stored.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._groups: dict[bytes, Group] = {}
        # States never change, but for their message keys: each is encoded once.
        self._encoded: dict[bytes, bytes] = {}
        self._unopened: list[tuple[bytes, bytes, int | None]] = []
        self._bundles: dict[bytes, KeyPackageBundle] = {}
        self.secrets: dict[bytes, bytes] = {}
        self.left: dict[bytes, int | None] = {}
        self.renewal: bytes | None = None
        self.failed: set[bytes] = set()
        self.outside_since: int | None = None
        self.processed = 0
        self.sealed = False
        self.unsaved = False
        self.unfit: set[bytes] = set()

    def group(self, epoch: bytes) -> Group | None:
        """Return the MLS state of an epoch, if it is held."""
        return self._groups.get(epoch)

    def put_bundle(self, bundle: KeyPackageBundle) -> None:
        """Keep a key package's private keys until its time is over."""
        self._bundles[bundle.key_package.encoded] = bundle

    def drop_bundles(self, now_seconds: int, kept_seconds: int) -> None:
        """Delete key packages whose lifetime ended more than ``kept_seconds`` ago."""
        for encoded, bundle in list(self._bundles.items()):
            lifetime = bundle.key_package.leaf.lifetime
            if lifetime is None or lifetime.not_after + kept_seconds < now_seconds:
                del self._bundles[encoded]

    def offered(self) -> Iterable[KeyPackageBundle]:
        """Return the key packages whose private keys are held."""
        return self._bundles.values()

    def keep(self, epoch: bytes, group: Group) -> bytes:
        """Keep an MLS epoch; returns its data secret, after whose export the exporter goes."""
        secret = group.export(b"data", epoch, 32)
        self.secrets[epoch] = secret
        if self.sealed:
            self.forget(list(self._groups))
        unused = _UNUSED_SECRETS if self.sealed else (*_UNUSED_SECRETS, "messages")
        self._groups[epoch] = group.without_secrets(*unused)
        self._encoded.pop(epoch, None)
        self.left.setdefault(epoch, None)
        return secret

    def replace(self, epoch: bytes, group: Group) -> None:
        """Put an epoch's state after a message in the place of the one before."""
        self._groups[epoch] = group
        self._encoded.pop(epoch, None)
        self.unsaved = True

    def drop_used(self, packages: Collection[bytes]) -> None:
        """Delete the private keys of key packages: they would open old welcomes again."""
        for encoded in self._bundles.keys() & packages:
            del self._bundles[encoded]

    def forget(self, epochs: Iterable[bytes]) -> None:
        """Delete the MLS state of epochs; data secrets stay."""
        for epoch in epochs:
            self._groups.pop(epoch, None)
            self._encoded.pop(epoch, None)
            self.left.pop(epoch, None)

    def wipe(self) -> None:
        """Delete the MLS state of all epochs: this device was removed."""
        self.forget(list(self._groups))
        self.renewal = None

    def enter(self, node: EpochNode, device: bytes) -> bool:
        """Enter the epoch of a commit by others, where that is possible at all.

        Returns:
            True if the epoch is entered; False if this device lacks its parent or has no place.

        Raises:
            Unenterable: the parent's keys are held, and yet it fails: others must know.
        """
        assert node.parent is not None
        if node.id in self._groups or device not in node.roster:
            return node.id in self._groups
        held = self._groups.get(node.parent.id)
        if device in node.added:
            group = self._join(node)
        elif held is None or not held.is_active:
            return False
        else:
            group = self._process(held, node)
        if group is None:
            return False
        self._check(node, group)
        self.keep(node.id, group)
        return True

    def _process(self, held: Group, node: EpochNode) -> Group | None:
        assert node.commit is not None
        try:
            received = held.process(node.commit.message)
        except (DeletedSecretError, OwnMessageError):
            # One's own commit without its staged state: lost in a crash, so ask to be added anew.
            return None
        except MlsRemoteError as error:
            raise Unenterable("A group key cannot be opened by its recipient.") from error
        assert isinstance(received, ReceivedCommit)
        return received.group

    def _join(self, node: EpochNode) -> Group | None:
        """Join by Welcome; None where no key package at hand opens it."""
        if node.commit is None or node.commit.welcome is None:
            return None
        tree = node.public.tree.encode()
        for encoded in node.packages & self._bundles.keys():
            try:
                group = Group.join(
                    node.commit.welcome,
                    self._bundles[encoded],
                    tree=tree,
                    services=self._services,
                )
            except MlsRemoteError:
                continue
            if group.context == node.public.context:
                return group
        return None

    def _check(self, node: EpochNode, group: Group) -> None:
        """Check what only members can: the commitments to the data secret and external key."""
        assert node.commit is not None
        if kid_of(group.export(b"data", node.id, 32)) != node.kid:
            raise Unenterable("A group key differs from the one its sender committed to.")
        published = decode_message(node.commit.group_info)
        own = decode_message(group.group_info(with_tree=False))
        assert isinstance(published, GroupInfo)
        assert isinstance(own, GroupInfo)
        if find_extension(published.extensions, EXTENSION_EXTERNAL_PUB) != find_extension(
            own.extensions, EXTENSION_EXTERNAL_PUB
        ):
            raise Unenterable("An epoch was published with a wrong key for joining.")

    # Keeping

    def to_bytes(self) -> bytes:
        """Serialise, secrets included; keep the result encrypted. Public trees are left out."""
        for epoch, group in self._groups.items():
            if epoch not in self._encoded:
                self._encoded[epoch] = group.to_bytes(with_tree=False)
        return encode(
            [
                _FORMAT,
                [[epoch, self._encoded[epoch], self.left.get(epoch)] for epoch in self._groups],
                [[epoch, secret] for epoch, secret in self.secrets.items()],
                [bundle.to_bytes() for bundle in self._bundles.values()],
                self.renewal,
                sorted(self.failed),
                self.outside_since,
                self.processed,
            ]
        )

    @classmethod
    def from_bytes(cls, data: bytes, services: Services) -> Keyring:
        """Resume what `to_bytes` wrote; call `open_epochs` before anything is entered.

        Raises:
            MalformedError: the bytes are something else.
        """
        fields = cast("list[Any]", decode(data, max_bytes=_MAX_STATE_BYTES))
        if type(fields) is not list or len(fields) != 8 or fields[0] != _FORMAT:
            raise MalformedError("A stored group has an unknown form.")
        keyring = cls(services)
        keyring._unopened = fields[1]
        keyring.secrets = dict(fields[2])
        for bundle in fields[3]:
            keyring.put_bundle(KeyPackageBundle.from_bytes(bundle))
        keyring.renewal = fields[4]
        keyring.failed = set(fields[5])
        keyring.outside_since = fields[6]
        keyring.processed = fields[7]
        return keyring

    def open_epochs(self, tree: EpochTree) -> None:
        """Take up the stored states of epochs, given the public trees that are not stored."""
        for epoch, state, left in self._unopened:
            node = tree.get(epoch)
            if node is not None:
                # A commit may have been stored without its operation: it was never sent then.
                self._groups[epoch] = Group.from_bytes(
                    state, tree=node.public.tree, services=self._services
                )
                self.left[epoch] = left
        self._unopened = []

    def __repr__(self) -> str:
        return f"Keyring(epochs={len(self._groups)}, secrets={len(self.secrets)})"
