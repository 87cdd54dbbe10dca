"""This device's person and the others met in groups: their device logs, in memory and stored."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from lutra.crypto.aead import unseal
from lutra.errors import BugError, DecryptionError, RemoteError
from lutra.groups.directory import ChainDirectory, evidence_of
from lutra.identity.device_log import Consent, KitConsent
from lutra.identity.person import Person
from lutra.node.context import Context
from lutra.node.events import PersonChanged
from lutra.node.new_identity import PERSON_ID, SECRET, name_key, seal_name
from lutra.operation import Operation


class PersonRegistry:
    """Persons by id; every change is in the store when a call returns.

    Names in device logs travel through groups, keepers included, so they are encrypted under a
    secret of the person's own devices. Others know names from the groups' cards.
    """

    def __init__(self, context: Context, directory: ChainDirectory) -> None:
        self._context = context
        self._directory = directory
        self._persons: dict[bytes, Person] = {}
        self._evidence: tuple[bytes, ...] | None = None

    def forget(self) -> None:
        """Drop what is in memory, after a transaction was undone."""
        self._persons.clear()
        self._evidence = None

    @property
    def id(self) -> bytes:
        """The id of this device's person."""
        value = self._context.store.settings.get(PERSON_ID)
        if not isinstance(value, bytes):
            raise BugError("This profile's device belongs to no person.")
        return value

    @property
    def secret(self) -> bytes:
        """The secret of this person's own devices; never shown."""
        secret = self._context.store.keys.get(SECRET)
        if secret is None:
            raise BugError("This profile lacks its person's secret.")
        return secret

    @property
    def own(self) -> Person:
        """This device's person; change it through this registry only."""
        return self.get(self.id)

    @property
    def is_active(self) -> bool:
        """This device belongs to its person (still)."""
        return self._context.device in self.own.state.active()

    def get(self, person: bytes) -> Person:
        """Return a person; one without operations is not known here."""
        found = self._persons.get(person)
        if found is None:
            found = Person(person, self._context.store.persons.operations(person))
            self._persons[person] = found
        return found

    def ids(self) -> list[bytes]:
        """Return the ids of all persons known, this one included."""
        return self._context.store.persons.ids()

    def evidence(self) -> tuple[bytes, ...]:
        """Return the statements about this device's person."""
        if self._evidence is None:
            self._evidence = evidence_of(self.own.operations())
        return self._evidence

    def evidence_of(self, person: bytes) -> tuple[bytes, ...]:
        """Return the statements about a person."""
        return evidence_of(self.get(person).operations())

    def person_of(self, device: bytes) -> bytes | None:
        """Return the person that lists a device as in use; None if nobody known does."""
        return next((one for one in self.ids() if device in self.get(one).state.active()), None)

    def owner(
        self, device: bytes, evidence: Iterable[bytes]
    ) -> tuple[bytes, tuple[bytes, ...]] | None:
        """Return the person that has a device in use, by what is known here and by evidence.

        Nothing is learned from it.

        Returns:
            the person's id and the part of the evidence that is about it, or None.
        """
        about = {
            item: said.log
            for item in evidence
            if (said := self._directory.statement(item)) is not None
        }
        known = [item for person in set(about.values()) for item in self.evidence_of(person)]
        devices = self._directory(frozenset([*about, *known]))
        person = devices.owner.get(device)
        if person is None or device in devices.revoked:
            return None
        return person, tuple(sorted(item for item, who in about.items() if who == person))

    # Learning

    def learn(self, evidence: Iterable[bytes]) -> None:
        """Take in statements about persons, as groups carry them; what is none is left out."""
        operations = map(self._directory.statement, evidence)
        self.learn_operations(item for item in operations if item is not None)

    def learn_operations(self, operations: Iterable[Operation]) -> None:
        """Take in verified operations of device logs.

        Those that break their form, and those of keys that never belonged to the person, are left
        out: anybody can write such, and they would be carried into every group.
        """
        by_person: dict[bytes, list[Operation]] = {}
        for operation in operations:
            by_person.setdefault(operation.log, []).append(operation)
        for person in sorted(by_person):
            if self._learn_of(person, by_person[person]):
                self._changed(person)

    def _learn_of(self, identifier: bytes, operations: list[Operation]) -> bool:
        known = self.get(identifier).operations()
        held = {operation.id for operation in known}
        fresh = [operation for operation in operations if operation.id not in held]
        if not fresh:
            return False
        whole = Person(identifier, known)
        for operation in fresh:
            with suppress(RemoteError):
                whole.receive(operation)
        keys = {device.key for device in whole.state.devices}
        sound = [operation for operation in whole.operations() if operation.author in keys]
        if len(sound) == len(held):
            return False
        if len(sound) < len(whole.operations()):
            whole = Person(identifier, sound)
        self._persons[identifier] = whole
        for operation in sound:
            if operation.id not in held:
                self._context.store.persons.add(operation)
        return True

    def enter(self, person: bytes, operations: Iterable[Operation]) -> None:
        """Belong to a person that this profile's settings name already, from now on."""
        self.forget()
        self.learn_operations(operations)
        self._changed(person)

    # Changing the own person

    def add_device(self, consent: Consent, name: str) -> Operation:
        """Add a device that consented; see `Person.add`."""
        return self._keep(self.own.add(self._context.key, consent, self._seal(name), self._now()))

    def add_recovery(self, consent: KitConsent) -> Operation:
        """Add a recovery kit's key; see `Person.add_recovery`."""
        return self._keep(self.own.add_recovery(self._context.key, consent, self._now()))

    def remove_device(self, device: bytes, *, wipe: bool = False) -> Operation:
        """Remove a device, or leave; see `Person.remove`."""
        return self._keep(self.own.remove(self._context.key, device, self._now(), wipe=wipe))

    def rename_device(self, device: bytes, name: str) -> Operation:
        """Give a device of this person a name."""
        return self._keep(self.own.rename(self._context.key, device, self._seal(name), self._now()))

    def rename(self, name: str) -> Operation:
        """Give the person a name."""
        return self._keep(self.own.rename(self._context.key, None, self._seal(name), self._now()))

    def device_name(self, device: bytes) -> str:
        """Return how a device of this person is called; empty where that cannot be read."""
        known = self.own.state.device(device)
        return "" if known is None else self._unseal(known.name)

    @property
    def name(self) -> str:
        """How this person is called; empty where that cannot be read."""
        return self._unseal(self.own.state.name)

    # Inside

    def _keep(self, operation: Operation) -> Operation:
        self._context.store.persons.add(operation)
        self._changed(operation.log)
        return operation

    def _changed(self, person: bytes) -> None:
        if person == self.id:
            self._evidence = None
        self._context.outbox.emit(PersonChanged(person))

    def _now(self) -> int:
        return self._context.now()

    def _name_key(self) -> bytes:
        return name_key(self.secret)

    def _seal(self, name: str) -> bytes:
        return seal_name(self._name_key(), name, self._context.random)

    def _unseal(self, sealed: bytes) -> str:
        try:
            return unseal(self._name_key(), sealed, b"").decode()
        except (DecryptionError, UnicodeDecodeError):
            return ""
