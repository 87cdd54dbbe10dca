"""What the devices of one person tell each other: which groups there are, and their keys.

A person's devices share a *personal group* that holds nobody else. In it each device keeps one
operation, its *bulletin*, which lists its groups with what their members recognise one another by,
and, where newcomers get no older keys, the keys. A device that is paired gets the same by
*hand-over*, for all groups and with all keys, so that it can read before it has a place in them.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, cast

from lutra.codec import decode, encode
from lutra.crypto.hashing import blake3_derive, blake3_hash
from lutra.errors import LocalError, MalformedError
from lutra.groups.contents import Profile
from lutra.node.context import Context
from lutra.node.group_registry import MLS_FORM, GroupRegistry
from lutra.node.log_keeper import LogKeeper
from lutra.node.new_identity import PERSON_ID
from lutra.operation import LogKey
from lutra.store.groups import GroupRow

KIND = "bulletin"
PERSONAL_NAME = "Personal"
PUBLISHED = "bulletin"
"""Setting: hash of the bulletin that this device published last."""
PERSONAL_GROUP = "personal_group"
"""Setting: the personal group of this device's person; others are of a person merged into it."""
_MAX_BYTES = 4 * 1024 * 1024
_MAX_HAND_OVER = 3 * 1024 * 1024
_NEWEST = 16


class HandOverTooLargeError(LocalError):
    """A person's groups and keys do not fit into one message to a new device."""

    code = "devices.hand-over-too-large"


def bulletin_log(group: bytes) -> bytes:
    """Return the id of the logs that hold the bulletins of a personal group."""
    return blake3_derive("lutra bulletin log v1", group)


@dataclass(frozen=True, slots=True)
class Entry:
    """One group, as told to another device of the same person.

    Attributes:
        group: the group's id.
        discovery_secret: what its members recognise one another by.
        personal: it is the personal group.
        secrets: epoch → data secret.
    """

    group: bytes
    discovery_secret: bytes = field(repr=False)
    personal: bool
    secrets: dict[bytes, bytes] = field(repr=False)


class OwnDevices:
    """The personal group, bulletins and hand-overs."""

    def __init__(self, context: Context, logs: LogKeeper, groups: GroupRegistry) -> None:
        self._context = context
        self._logs = logs
        self._groups = groups

    def _person(self) -> object:
        return self._context.store.settings.get(PERSON_ID)

    @property
    def personal(self) -> bytes | None:
        """The id of the personal group; None before there is one."""
        chosen = self._context.store.settings.get(PERSONAL_GROUP)
        if isinstance(chosen, bytes):
            return chosen
        rows = self._context.store.groups.list()
        return next((row.id for row in rows if row.personal), None)

    def ensure_personal(self) -> None:
        """Make the personal group if there is none yet."""
        if self.personal is None:
            self._groups.create(PERSONAL_NAME, personal=True)

    def publish(self) -> None:
        """Bring this device's bulletin up to date, if a key may be used for it now."""
        group = self.personal
        if group is None:
            return
        replica = self._groups.get(group)
        epoch = replica.current_epoch()
        key = LogKey(self._context.device, bulletin_log(group))
        if epoch is None or self._logs.is_frozen(key):
            return
        content = encode_entries(self._entries(only_unlinked=True))
        mark = blake3_hash(content)
        if self._context.store.settings.get(PUBLISHED) == mark:
            return
        self._logs.sign_next(
            group,
            key.log,
            kind=KIND,
            body=content,
            epoch=epoch.id,
            seal=replica.bodies.seal,
            previous=replica.heads(),
            prune=self._logs.head(group, key) is not None,
        )
        self._context.store.settings.set(PUBLISHED, mark)

    def receive(self, content: bytes) -> None:
        """Take in another own device's bulletin.

        Raises:
            MalformedError: it has not its form.
        """
        self._take(entry for entry in decode_entries(content) if not entry.personal)

    def hand_over(self) -> bytes:
        """Return what a device that joins this person needs: all groups with all keys; secret.

        Raises:
            HandOverTooLargeError: it would not fit into one message.
        """
        entries = self._entries(only_unlinked=False)
        content = encode_entries(entries)
        if len(content) > _MAX_HAND_OVER:
            # Where epochs are linked, the older secrets follow from the newest ones.
            profiles = {row.id: row.profile for row in self._context.store.groups.list()}
            content = encode_entries(
                replace(entry, secrets=dict(list(entry.secrets.items())[-_NEWEST:]))
                if profiles[entry.group] == Profile.ARCHIVE
                else entry
                for entry in entries
            )
        if len(content) > _MAX_HAND_OVER:
            raise HandOverTooLargeError(
                "Your groups have had too many keys to hand them over at once. Leave groups that "
                "you do not need any more, then try again."
            )
        return content

    def accept_hand_over(self, content: bytes) -> None:
        """Take in what a device of this person handed over.

        Raises:
            MalformedError: it has not its form.
        """
        entries = decode_entries(content)
        self._take(entries)
        for entry in entries:
            if entry.personal:
                self._context.store.settings.set(PERSONAL_GROUP, entry.group)

    def entries(self, groups: Container[bytes]) -> list[Entry]:
        """Return what another own device needs of some groups, with all keys; secret."""
        return [entry for entry in self._entries(only_unlinked=False) if entry.group in groups]

    def _entries(self, *, only_unlinked: bool) -> list[Entry]:
        persons = self._context.store.members.persons_of(self._context.device)
        return [
            Entry(
                row.id,
                row.discovery_secret,
                row.personal,
                self._secrets(row, only_unlinked=only_unlinked),
            )
            for row in self._context.store.groups.list()
            if row.form == MLS_FORM
            and not row.left
            and row.discovery_secret
            and self._concerns_all(row, persons.get(row.id), only_unlinked=only_unlinked)
        ]

    def _concerns_all(self, row: GroupRow, person: bytes | None, *, only_unlinked: bool) -> bool:
        """Leave out what is not for this person's other devices.

        A device that brought an identity of its own may still be in groups as that person.
        """
        if row.personal:
            return not only_unlinked and row.id == self.personal
        return person is None or person == self._person()

    def _secrets(self, row: GroupRow, *, only_unlinked: bool) -> dict[bytes, bytes]:
        # The secrets of sealed groups open names only, which are told anew.
        if row.profile == Profile.SEALED or (only_unlinked and row.profile == Profile.ARCHIVE):
            return {}
        return self._groups.get(row.id).secrets

    def _take(self, entries: Iterable[Entry]) -> None:
        store = self._context.store
        for entry in entries:
            self._groups.adopt(entry.group, entry.discovery_secret, personal=entry.personal)
            if self._groups.find(entry.group) is None:
                continue
            for epoch, secret in entry.secrets.items():
                store.epochs.put(entry.group, epoch, secret)
            if entry.secrets:
                self._groups.settle(entry.group)


def encode_entries(entries: Iterable[Entry]) -> bytes:
    """Return entries as bytes, the same for the same content."""
    return encode(
        [
            [
                entry.group,
                entry.discovery_secret,
                entry.personal,
                [[epoch, secret] for epoch, secret in sorted(entry.secrets.items())],
            ]
            for entry in sorted(entries, key=lambda entry: entry.group)
        ]
    )


def decode_entries(content: bytes) -> list[Entry]:
    """Read entries.

    Raises:
        MalformedError: they have not their form.
    """
    return [_entry(row) for row in _list(decode(content, max_bytes=_MAX_BYTES))]


def _entry(value: Any) -> Entry:
    fields = _list(value)
    if len(fields) != 4 or type(fields[2]) is not bool:
        raise MalformedError("A list of groups from another device has not its form.")
    secrets = {_bytes(epoch): _bytes(secret) for epoch, secret in map(_pair, _list(fields[3]))}
    return Entry(_bytes(fields[0]), _bytes(fields[1]), fields[2], secrets)


def _pair(value: Any) -> tuple[Any, Any]:
    fields = _list(value)
    if len(fields) != 2:
        raise MalformedError("A list of groups from another device has not its form.")
    return fields[0], fields[1]


def _list(value: Any) -> list[Any]:
    if type(value) is not list:
        raise MalformedError("A list of groups from another device has not its form.")
    return cast("list[Any]", value)


def _bytes(value: Any) -> bytes:
    if type(value) is not bytes or len(value) != 32:
        raise MalformedError("A list of groups from another device has not its form.")
    return value
