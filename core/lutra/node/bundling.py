"""The engine's side of bundles: what goes into one, and taking in what comes out of one.

Everything is done in steps of bounded size, one transaction each, so that typing goes on meanwhile
and a step that was taken in stays valid whatever becomes of the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from lutra.crypto.hashing import blake3_hash
from lutra.errors import DecryptionError, MalformedError, NotFoundError, RemoteError, UsageError
from lutra.net.bundles import SectionLock
from lutra.node.bundle_records import (
    Forks,
    HandOver,
    KitGift,
    Operations,
    decode_record,
    in_slices,
    seal_gift,
)
from lutra.node.bundle_views import GroupImport
from lutra.node.context import Context
from lutra.node.group_registry import MLS_FORM, GroupRegistry, in_causal_order
from lutra.node.ingest import Ingest
from lutra.node.log_keeper import LogKeeper
from lutra.node.own_devices import OwnDevices
from lutra.node.person_registry import PersonRegistry
from lutra.node.replica import StoredReplica
from lutra.operation import LogKey, Operation, decode_operation
from lutra.sync.replica import WireOperation

_SLICE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class BundleScope:
    """What is to go into a bundle.

    Attributes:
        groups: ids of the groups.
        persons: whose recovery kits are to open it too.
    """

    groups: tuple[bytes, ...]
    persons: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a record's operations.

    Attributes:
        new: how many were not here before.
        known: how many were.
        refused: how many break a rule, or come from somebody who may not write.
    """

    new: int = 0
    known: int = 0
    refused: int = 0

    def __add__(self, other: Taken) -> Taken:
        return Taken(self.new + other.new, self.known + other.known, self.refused + other.refused)


class Bundling:
    """Reads groups for bundles, and takes bundles in."""

    def __init__(
        self,
        context: Context,
        logs: LogKeeper,
        *,
        groups: GroupRegistry,
        persons: PersonRegistry,
        own_devices: OwnDevices,
        ingest: Ingest,
        replica: StoredReplica,
    ) -> None:
        self._context = context
        self._logs = logs
        self._groups = groups
        self._persons = persons
        self._own_devices = own_devices
        self._ingest = ingest
        self._replica = replica

    # Choosing

    def scope_of_groups(self, groups: Iterable[bytes]) -> BundleScope:
        """Return the scope of a bundle with some groups.

        Raises:
            UsageError: no group is named.
            NotFoundError: there is no such group here.
            ReadOnlyGroupError: an earlier Lutra made it.
        """
        chosen = tuple(dict.fromkeys(groups))
        if not chosen:
            raise UsageError("Say which group, person, or all is to go into the bundle.")
        for group in chosen:
            self._groups.get(group)
            if not self._groups.row(group).discovery_secret:
                raise NotFoundError("Nothing of this group has come to this device yet.")
        return BundleScope(chosen, (self._persons.id,))

    def scope_of_person(self, person: bytes | None = None) -> BundleScope:
        """Return the scope of a bundle for a person: all groups shared with it.

        Args:
            person: whose; None means this device's own, with its personal group.

        Raises:
            NotFoundError: no group is shared with this person.
        """
        own = self._persons.id
        person = own if person is None else person
        groups = [
            row.id
            for row in self._context.store.groups.list()
            if row.form == MLS_FORM
            and not row.left
            and row.discovery_secret
            and (person == own or person in self._groups.get(row.id).roles())
        ]
        if not groups:
            raise NotFoundError("You share no group with this person.")
        return BundleScope(tuple(groups), tuple(dict.fromkeys((own, person))))

    def read(self, group: bytes) -> GroupReading:
        """Begin to read a group for a bundle."""
        return GroupReading(self._context, self._logs, self._replica, group)

    def lock(self, group: bytes) -> SectionLock:
        """Return what opens a group's section."""
        return SectionLock.of_group(self._groups.row(group).discovery_secret)

    def hand_overs(self, scope: BundleScope) -> list[bytes]:
        """Return records for the personal group's section: the groups' keys, for own devices."""
        personal = self._own_devices.personal
        if personal is None or personal not in scope.groups:
            return []
        epoch = self._groups.get(personal).current_epoch()
        if epoch is None:
            return []
        random = self._context.random
        return [
            HandOver.of(entry, epoch.id, epoch.secret, random).encode()
            for entry in self._own_devices.entries(scope.groups)
            if not entry.personal
        ]

    def gifts(self, scope: BundleScope, salt: bytes) -> list[tuple[SectionLock, list[bytes]]]:
        """Return the sections for the recovery kits of the persons a bundle is for."""
        sections: list[tuple[SectionLock, list[bytes]]] = []
        for person in scope.persons:
            gift = self._gift(scope, person)
            for kit in self._persons.get(person).state.devices:
                if not kit.recovery or not kit.active:
                    continue
                try:
                    records = seal_gift(gift, kit.sealing_key, salt, self._context.random)
                except MalformedError:
                    # Whoever made the kit published a key that is none: nothing can be done.
                    continue
                sections.append((SectionLock.of_kit(kit.key), records))
        return sections

    def _gift(self, scope: BundleScope, person: bytes) -> KitGift:
        evidence = self._persons.evidence_of(person)
        if person == self._persons.id:
            entries = self._own_devices.entries(scope.groups)
            return KitGift(person, evidence, self._persons.secret, tuple(entries))
        entries = [
            replace(entry, secrets={})
            for entry in self._own_devices.entries(scope.groups)
            if person in self._groups.get(entry.group).roles()
        ]
        return KitGift(person, evidence, None, tuple(entries))

    # Taking in

    def locks(self) -> dict[bytes, SectionLock]:
        """Return what opens the sections of this device's groups, the personal one first."""
        rows = self._context.store.groups.list()
        return {
            row.id: SectionLock.of_group(row.discovery_secret)
            for row in sorted(rows, key=lambda row: not row.personal)
            if row.form == MLS_FORM and row.discovery_secret
        }

    def name_of(self, group: bytes) -> str:
        """Return what a group is called; empty while unknown."""
        return self._groups.row(group).name

    def pages(self, group: bytes) -> int:
        """Return how many pages of a group are here."""
        return self._context.store.documents.count(group)

    def outcome(self, group: bytes, taken: Taken, pages_before: int) -> GroupImport | None:
        """Return what a bundle brought to a group; None for the group of own devices."""
        row = self._groups.row(group)
        if row.personal:
            return None
        pages = self.pages(group) - pages_before
        return GroupImport(group, row.name, taken.new, taken.known, taken.refused, pages)

    def take(self, group: bytes, data: bytes) -> Taken:
        """Take in one record of a group's section.

        Raises:
            MalformedError: it has not its form.
        """
        record = decode_record(data)
        match record:
            case Operations(operations):
                return self._take_operations(group, operations)
            case Forks(proofs):
                fits = self._ingest.ingest_forks(group, proofs, None)
                return Taken(refused=0 if fits else len(proofs))
            case HandOver():
                self._take_hand_over(group, record)
                return Taken()

    def _take_operations(self, group: bytes, operations: Sequence[WireOperation]) -> Taken:
        ids = {blake3_hash(item.header) for item in operations}
        before = self._held(operations)
        report = self._ingest.ingest(group, operations, None)
        after = self._held(operations)
        refused = {blake3_hash(operations[item.index].header) for item in report.refused} - after
        new = len(after - before)
        return Taken(new, len(ids) - new - len(refused), len(refused))

    def _held(self, operations: Sequence[WireOperation]) -> set[bytes]:
        """Return the ids of those that are held, as operations or as evidence of a fork."""
        store = self._context.store
        forks = {fork.id for fork in store.forks.list()}
        held: set[bytes] = set()
        for item in operations:
            with suppress(RemoteError):
                # What is no operation is held nowhere; taking it in says what is wrong with it.
                one = decode_operation(item.header, None, check_signature=False)
                if one.id in forks or store.operations.id_at(one.log_key, one.seq_num) == one.id:
                    held.add(one.id)
        return held

    def _take_hand_over(self, group: bytes, record: HandOver) -> None:
        if not self._groups.row(group).personal:
            raise MalformedError("A bundle holds keys where none belong.")
        secret = self._groups.get(group).secret(record.epoch)
        if secret is None:
            # This device has no place among the person's devices yet; its pairing gives the rest.
            return
        try:
            content = record.open(secret)
        except DecryptionError:
            raise MalformedError("The keys in a bundle do not open.") from None
        self._own_devices.accept_hand_over(content)


class GroupReading:
    """A group's content, read in steps: `step` until it returns nothing.

    Control operations that arrive meanwhile are read before the data that may build on them.
    """

    def __init__(
        self, context: Context, logs: LogKeeper, replica: StoredReplica, group: bytes
    ) -> None:
        self._context = context
        self._logs = logs
        self._replica = replica
        self._group = group
        self._control: dict[LogKey, int] = {}
        self._todo: list[LogKey] = []
        self._after: int | None = None
        self.total = 0
        for key, head in context.store.logs.heads(group):
            self.total += head.seq_num - head.first_seq + 1
            if key.log != group:
                self._todo.append(key)
        self._todo.sort(reverse=True)
        self._ended = False

    def step(self) -> tuple[list[bytes], int]:
        """Return the next records, and how many operations are in them; no records at the end."""
        operations = self._new_control()
        size = sum(len(item.body or b"") for item in operations)
        while self._todo and size < _SLICE_BYTES:
            found = self._replica.operations_after(self._todo[-1], self._after, _SLICE_BYTES)
            if not found:
                self._todo.pop()
                self._after = None
                continue
            operations += found
            size += sum(len(item.header) + len(item.body or b"") for item in found)
            last = decode_operation(found[-1].header, None, check_signature=False)
            self._after = last.seq_num
        records = list(in_slices(operations, _SLICE_BYTES))
        if not records and not self._ended:
            self._ended = True
            proofs = tuple(self._replica.forks(self._group))
            if proofs:
                return [Forks(proofs).encode()], 0
        return records, len(operations)

    def _new_control(self) -> list[WireOperation]:
        """Return the control operations not read yet, each after those it builds on."""
        news = [
            operation
            for key, head in self._logs.of_log(self._group, self._group)
            if head.seq_num > self._control.get(key, -1)
            for operation in self._read_control(key, head.seq_num)
        ]
        return [WireOperation(item.header_bytes, item.body) for item in in_causal_order(news)]

    def _read_control(self, key: LogKey, last: int) -> Iterator[Operation]:
        after = self._control.get(key)
        self._control[key] = last
        for item in self._context.store.operations.of_log(key, after):
            yield item.decode()
