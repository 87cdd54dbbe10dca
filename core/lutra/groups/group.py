"""A group in its first form: a roster of devices and epoch secrets sealed to each of them.

Authorisation (add, remove) and keys (epoch, links) are separate operations, as in the design for
MLS: a lost race between two key changes never loses a membership change, and any member may make
the key change that brings the keys in line with the roster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lutra.crypto.hashing import blake3_derive, blake3_hash
from lutra.crypto.kdf import hkdf
from lutra.crypto.random import Random, system_random
from lutra.errors import DecryptionError, MalformedError
from lutra.groups.control import (
    ADD,
    CARD,
    CREATE,
    EPOCH,
    KINDS,
    LINKS,
    REMOVE,
    SETTINGS,
    Add,
    Card,
    Create,
    Links,
    NewEpoch,
    Remove,
    Settings,
    decode_control,
    decode_names,
    encode_control,
    encode_names,
)
from lutra.groups.data_keys import BodyCipher
from lutra.groups.epochs import (
    SealingKey,
    is_sealing_key,
    make_epoch,
    make_links,
    open_epoch,
    try_open_links,
)
from lutra.groups.errors import AlreadyMemberError, ControlError, NotAMemberError
from lutra.groups.history import ControlHistory
from lutra.groups.keys import ControlSigner, Epoch, Member, Reception
from lutra.groups.membership import Membership
from lutra.operation import Operation


def group_id(creator: bytes, nonce: bytes) -> bytes:
    """Return the id of the group that ``creator`` starts with ``nonce``."""
    return blake3_derive("lutra group id v1", creator + nonce)


@dataclass(frozen=True, slots=True)
class _EpochRecord:
    """An epoch that was given to exactly the roster its author knew."""

    id: bytes
    index: int
    author: bytes
    recipients: frozenset[bytes]
    content: NewEpoch


@dataclass(frozen=True, slots=True)
class _SealedNames:
    """A card or settings operation whose key has not arrived yet."""

    operation: Operation
    index: int


class Group:
    """One device's replica of a group's control operations; implements `GroupKeys`.

    Args:
        group: the group's id.
        device: this device's public key.
        sealing_key: this device's HPKE key.
        random: source of new secrets.
        known_secrets: epoch id → secret, from the store, so that seals need not be opened again.
    """

    def __init__(
        self,
        group: bytes,
        device: bytes,
        sealing_key: SealingKey,
        random: Random = system_random,
        known_secrets: dict[bytes, bytes] | None = None,
    ) -> None:
        self._id = group
        self._device = device
        self._sealing_key = sealing_key
        self._random = random
        self._cipher = BodyCipher(random)
        self._secrets = dict(known_secrets or {})
        self._history = ControlHistory()
        self._membership = Membership(self._history)
        self._epochs: dict[bytes, _EpochRecord] = {}
        self._links: list[Links] = []
        self._sealed_names: list[_SealedNames] = []
        self._cards: dict[bytes, tuple[int, Card]] = {}
        self._settings: tuple[int, int, bytes, Settings] | None = None
        self._creator_epoch: bytes | None = None

    @classmethod
    def create(
        cls,
        signer: ControlSigner,
        nonce: bytes,
        device: bytes,
        sealing_key: SealingKey,
        random: Random = system_random,
    ) -> tuple[Group, list[Operation]]:
        """Start a group with this device as its only member; returns it and its operations."""
        group = cls(group_id(device, nonce), device, sealing_key, random)
        create = encode_control(Create(nonce, sealing_key.public))
        operations = [group._issue(signer, CREATE, create)]
        operations += group.reconcile(signer)
        return group, operations

    @property
    def id(self) -> bytes:
        """The group's id."""
        return self._id

    @property
    def name(self) -> str:
        """The group's name; empty until it can be read."""
        return self._settings[3].name if self._settings is not None else ""

    @property
    def discovery_secret(self) -> bytes | None:
        """Derived from the first epoch's secret, which every member gets."""
        if self._creator_epoch is None:
            return None
        secret = self._secrets.get(self._creator_epoch)
        return None if secret is None else hkdf(secret, b"lutra discovery v1" + self._id)

    @property
    def secrets(self) -> dict[bytes, bytes]:
        """All epoch secrets held: id → secret, for the store."""
        return dict(self._secrets)

    def receive(self, operation: Operation) -> Reception:
        """Take in a verified control operation that follows only known ones."""
        if operation.id in self._history:
            return Reception.KNOWN
        if self._history.missing(operation):
            return Reception.WAITING
        if self._is_foreign(operation):
            return Reception.FOREIGN
        return self._accept(operation)

    def heads(self) -> tuple[bytes, ...]:
        """Return the control operations nothing else follows, sorted."""
        return self._history.heads()

    def members(self) -> Sequence[Member]:
        """Return everybody who is or was in, sorted by device key."""
        roster = self._roster()
        return [
            Member(device, card.name, card.device_name, device in roster)
            for device in sorted(self._membership.devices())
            for card in [self._cards[device][1] if device in self._cards else Card("", "")]
        ]

    def is_member(self, device: bytes) -> bool:
        """Tell whether ``device`` is in, by all that is known here."""
        return device in self._roster()

    def was_member(self, device: bytes, heads: tuple[bytes, ...]) -> bool | None:
        """Tell whether ``device`` was in as of ``heads``; None while one of these is unknown."""
        known = self._history.closure(heads)
        return None if known is None else device in self._membership.roster(known)

    def current_epoch(self) -> Epoch | None:
        """Return the key for new text; None while the send gate is shut (GROUPS §2.6.2)."""
        head = self._head()
        if head is None or head.id not in self._secrets:
            return None
        return Epoch(head.id, self._secrets[head.id])

    def secret(self, epoch: bytes) -> bytes | None:
        """Return the secret of an epoch, if this device holds it."""
        return self._secrets.get(epoch)

    def has_card(self, name: str, device_name: str) -> bool:
        """Tell whether this device's own card says so already."""
        card = self._cards.get(self._device)
        return card is not None and card[1] == Card(name, device_name)

    def require_membership(self) -> None:
        """Raise `NotAMemberError` unless this device is in the group."""
        if not self.is_member(self._device):
            raise NotAMemberError("This device is not in the group any more.")

    def add(self, signer: ControlSigner, device: bytes, sealing_key: bytes) -> list[Operation]:
        """Add a device and give it the keys.

        Raises:
            NotAMemberError: this device is not in the group.
            AlreadyMemberError: the other one is in already.
            ControlError: nothing can be sealed to its key.
        """
        self.require_membership()
        _require_sealing_key(sealing_key)
        if self.is_member(device):
            raise AlreadyMemberError("This device is in the group already.")
        added = self._issue(signer, ADD, encode_control(Add(device, sealing_key)))
        return [added, *self.reconcile(signer)]

    def remove(self, signer: ControlSigner, device: bytes) -> list[Operation]:
        """Remove a device and change the keys; removing oneself is leaving.

        Raises:
            NotAMemberError: this device, or the one to remove, is not in the group.
        """
        self.require_membership()
        if not self.is_member(device):
            raise NotAMemberError("This device is not in the group.")
        removed = self._issue(signer, REMOVE, encode_control(Remove(device)))
        return [removed, *(self.reconcile(signer) if device != self._device else [])]

    def publish_card(self, signer: ControlSigner, name: str, device_name: str) -> list[Operation]:
        """Tell the members how this device and its person are called."""
        return self._issue_names(signer, CARD, Card(name, device_name))

    def rename(self, signer: ControlSigner, name: str) -> list[Operation]:
        """Change the group's name."""
        return self._issue_names(signer, SETTINGS, Settings(name))

    def reconcile(self, signer: ControlSigner) -> list[Operation]:
        """Make a new epoch if none fits the roster; link epochs that newcomers lack."""
        if not self.is_member(self._device):
            return []
        head = self._head()
        if head is None or head.id not in self._secrets:
            recipients = self._membership.sealing_keys(self._history.everything)
            epoch = make_epoch(self._id, recipients, self._secrets, self._random)
            return [self._issue(signer, EPOCH, encode_control(epoch))]
        unlinked = self._unlinked(head)
        if not unlinked:
            return []
        links = make_links(self._id, head.id, self._secrets[head.id], unlinked, self._random)
        return [self._issue(signer, LINKS, encode_control(links))]

    def reconcile_rank(self) -> int | None:
        """Return this device's turn to reconcile, spread by a hash nobody chooses."""
        if not self.is_member(self._device):
            return None
        head = self._head()
        if head is not None and head.id in self._secrets and not self._unlinked(head):
            return None
        salt = b"".join(self.heads())
        order = sorted(self._roster(), key=lambda device: blake3_hash(salt + device))
        return order.index(self._device)

    # Receiving

    def _is_foreign(self, operation: Operation) -> bool:
        """Tell whether an operation's author was no member when it was made: final as well."""
        past = self._history.past_of(operation)
        if not past:
            return not self._is_creation(operation)
        return operation.author not in self._membership.roster(past)

    def _is_creation(self, operation: Operation) -> bool:
        """Tell whether an operation is the one the group's id was derived from."""
        if operation.kind != CREATE or operation.body is None:
            return False
        try:
            content = decode_control(CREATE, operation.body)
        except (ControlError, MalformedError):
            return False
        return isinstance(content, Create) and group_id(operation.author, content.nonce) == self._id

    def _accept(self, operation: Operation) -> Reception:
        """Apply an operation whose predecessors are known; whatever is wrong with it is final."""
        index = self._history.add(operation)
        try:
            if operation.kind not in KINDS or operation.body is None:
                raise ControlError("A group message is of a kind this program does not know.")
            self._apply(operation, index)
        except (ControlError, MalformedError):
            return Reception.REFUSED
        return Reception.ACCEPTED

    def _apply(self, operation: Operation, index: int) -> None:
        if operation.kind in (CARD, SETTINGS):
            self._sealed_names.append(_SealedNames(operation, index))
            self._read_names()
            return
        assert operation.body is not None
        match decode_control(operation.kind, operation.body):
            case Create() as content:
                self._apply_create(operation, index, content)
            case Add(device, sealing_key):
                _require_sealing_key(sealing_key)
                self._membership.add(index, operation.author, device, sealing_key)
            case Remove(device):
                self._membership.remove(index, operation.author, device)
            case NewEpoch() as content:
                self._apply_epoch(operation, index, content)
            case Links() as content:
                if not self._is_past_epoch(content.source, index):
                    raise ControlError("Older keys were linked to a group key nobody knows.")
                self._links.append(content)
                self._follow_links()

    def _apply_create(self, operation: Operation, index: int, content: Create) -> None:
        if index != 0:
            raise ControlError("A group was created a second time.")
        _require_sealing_key(content.sealing_key)
        author = operation.author
        self._membership.add(index, author, author, content.sealing_key)

    def _apply_epoch(self, operation: Operation, index: int, content: NewEpoch) -> None:
        recipients = frozenset(seal.device for seal in content.seals)
        if recipients != self._membership.roster(self._history.past(index)):
            raise ControlError("A group key was made for others than the group's members.")
        record = _EpochRecord(operation.id, index, operation.author, recipients, content)
        self._epochs[operation.id] = record
        if self._creator_epoch is None:
            # The first epoch follows the creation directly and has nothing before it.
            self._creator_epoch = operation.id
        if self._device in recipients and operation.id not in self._secrets:
            try:
                self._secrets[operation.id] = open_epoch(
                    self._id, content, self._device, self._sealing_key
                )
            except (DecryptionError, MalformedError):
                raise ControlError("A group key cannot be opened by its recipient.") from None
        self._follow_links()

    def _is_past_epoch(self, epoch: bytes, index: int) -> bool:
        record = self._epochs.get(epoch)
        return record is not None and bool(self._history.past(index) >> record.index & 1)

    def _follow_links(self) -> None:
        """Open all links whose source secret is held, until nothing new comes out."""
        progress = True
        while progress:
            progress = False
            for source, linked, links in self._all_links():
                secret = self._secrets.get(source)
                if secret is None or all(epoch in self._secrets for epoch in linked):
                    continue
                for epoch, value in try_open_links(self._id, secret, linked, links).items():
                    progress |= epoch not in self._secrets
                    self._secrets.setdefault(epoch, value)
        self._read_names()

    def _all_links(self) -> list[tuple[bytes, tuple[bytes, ...], bytes]]:
        own = [
            (record.id, record.content.linked, record.content.links)
            for record in self._epochs.values()
        ]
        return own + [(item.source, item.linked, item.links) for item in self._links]

    def _read_names(self) -> None:
        """Open the cards and settings whose key has arrived."""
        unread: list[_SealedNames] = []
        for sealed in self._sealed_names:
            header = sealed.operation.header
            secret = self._secrets.get(header.extensions.epoch or b"")
            if secret is None:
                unread.append(sealed)
                continue
            try:
                assert sealed.operation.body is not None
                plaintext = self._cipher.open(secret, header, sealed.operation.body)
                content = decode_names(sealed.operation.kind, plaintext)
            except (DecryptionError, ControlError, MalformedError):
                continue
            self._note_names(sealed, content)
        self._sealed_names = unread

    def _note_names(self, sealed: _SealedNames, content: Card | Settings) -> None:
        author = sealed.operation.author
        if isinstance(content, Card):
            known = self._cards.get(author)
            if known is None or sealed.operation.seq_num > known[0]:
                self._cards[author] = (sealed.operation.seq_num, content)
            return
        # Later in the causal order wins; among concurrent ones, a rule nobody gains from.
        depth = self._history.past(sealed.index).bit_count()
        rank = (depth, sealed.operation.seq_num, author)
        if self._settings is None or rank > self._settings[:3]:
            self._settings = (*rank, content)

    # Judging

    def _roster(self) -> frozenset[bytes]:
        return self._membership.roster(self._history.everything)

    def _head(self) -> _EpochRecord | None:
        """Return the epoch all members agree to write under, or None until one fits.

        It was given to exactly the present roster and its author knew every removal.
        """
        roster = self._roster()
        removals = self._membership.removals(self._history.everything)
        fitting = [
            record
            for record in self._epochs.values()
            if record.recipients == roster and not removals & ~self._history.past(record.index)
        ]
        latest = [
            record
            for record in fitting
            if not any(self._history.past(other.index) >> record.index & 1 for other in fitting)
        ]
        # The tie-break hashes nothing that an author could grind.
        return min(
            latest, key=lambda record: blake3_hash(b"tie" + self._id + record.author), default=None
        )

    def _unlinked(self, head: _EpochRecord) -> dict[bytes, bytes]:
        """Return held secrets that cannot be reached from the head's own."""
        reachable = {head.id}
        frontier = [head.id]
        by_source: dict[bytes, list[bytes]] = {}
        for source, linked, _ in self._all_links():
            by_source.setdefault(source, []).extend(linked)
        while frontier:
            for epoch in by_source.get(frontier.pop(), []):
                if epoch not in reachable:
                    reachable.add(epoch)
                    frontier.append(epoch)
        return {epoch: secret for epoch, secret in self._secrets.items() if epoch not in reachable}

    # Issuing

    def _issue(self, signer: ControlSigner, kind: str, body: bytes) -> Operation:
        operation = signer.sign_control(kind, body, epoch=None, secret=None, previous=self.heads())
        self.receive(operation)
        return operation

    def _issue_names(
        self, signer: ControlSigner, kind: str, content: Card | Settings
    ) -> list[Operation]:
        epoch = self.current_epoch()
        if epoch is None:
            return []
        operation = signer.sign_control(
            kind,
            encode_names(content),
            epoch=epoch.id,
            secret=epoch.secret,
            previous=self.heads(),
        )
        self.receive(operation)
        return [operation]


def _require_sealing_key(public: bytes) -> None:
    """Raise `ControlError` for a key that would keep everybody from making a new epoch."""
    if not is_sealing_key(public):
        raise ControlError("A device was added with a key that nothing can be sealed to.")
