"""The engine's side of recovery kits: this person's own, and helping persons that come back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lutra.errors import NotFoundError, NotPermittedError, UsageError
from lutra.groups.directory import evidence_of, statement
from lutra.groups.restore import Given, KnownKit, RestoreChannel, Witness, kit_rendezvous
from lutra.identity.device_log import KitConsent, Recovery, Remove, read_content
from lutra.identity.recovery import kit_mark
from lutra.node.context import Context
from lutra.node.events import KitUsed
from lutra.node.group_registry import GroupRegistry
from lutra.node.own_devices import OwnDevices, encode_entries
from lutra.node.person_registry import PersonRegistry
from lutra.node.person_views import KitView


class Kits:
    """Recovery kits; every change is in the store when a call returns."""

    def __init__(
        self,
        context: Context,
        groups: GroupRegistry,
        persons: PersonRegistry,
        own_devices: OwnDevices,
    ) -> None:
        self._context = context
        self._groups = groups
        self._persons = persons
        self._own_devices = own_devices
        self._known: list[KnownKit] | None = None

    def forget(self) -> None:
        """Look anew what kits there are: a person's devices, or a group's members, changed."""
        self._known = None

    # This person's own

    def list(self) -> list[KitView]:
        """Return this person's kits, withdrawn ones included, oldest first."""
        person = self._persons.own
        made = {
            content.device: operation.header.extensions.time
            for operation in person.operations()
            if isinstance(content := read_content(operation, person.id), Recovery)
        }
        views = [
            KitView(one.key, kit_mark(one.key), one.active, made[one.key])
            for one in person.state.devices
            if one.recovery
        ]
        return sorted(views, key=lambda view: (view.made, view.key))

    def add(self, consent: KitConsent) -> KitView:
        """Make a kit valid that was tested; see `lutra.node.new_kit`.

        Raises:
            DeviceKnownError: it was added before.
            SignatureError: it did not consent.
            DeviceNotInPersonError: this device does not belong to the person any more.
        """
        self._persons.add_recovery(consent)
        return next(view for view in self.list() if view.key == consent.device)

    def statements(self) -> tuple[bytes, ...]:
        """Return this person's device log, for a kit to sign a withdrawal."""
        return self._persons.evidence()

    def withdraw(self, evidence: bytes) -> KitView:
        """Take in a withdrawal that a kit has signed.

        Raises:
            UsageError: it is none.
            NotPermittedError: it does not count: only a kit can withdraw a kit.
        """
        operation = statement(evidence)
        if operation is None or operation.log != self._persons.id:
            raise UsageError("This is no withdrawal of one of your recovery kits.")
        content = read_content(operation, self._persons.id)
        if not isinstance(content, Remove):
            raise UsageError("This is no withdrawal of one of your recovery kits.")
        self._persons.learn_operations([operation])
        view = next((view for view in self.list() if view.key == content.device), None)
        if view is None:
            raise NotFoundError("You have no such recovery kit.")
        if view.active:
            raise NotPermittedError("A recovery kit can be withdrawn with a kit's words only.")
        return view

    # Persons that come back

    def rendezvous(self) -> list[bytes]:
        """Return the rendezvous of all kits whose persons could come back here."""
        return [kit_rendezvous(kit.key) for kit in self.known() if kit.active]

    def known(self) -> list[KnownKit]:
        """Return the kits of this person and of those it shares groups with."""
        if self._known is None:
            persons = {self._persons.id} | self._context.store.members.present_persons()
            self._known = [
                KnownKit(device.key, person, device.active)
                for person in sorted(persons)
                for device in self._persons.get(person).state.devices
                if device.recovery
            ]
        return self._known

    def witness(self, own: bytes, peer: bytes, handshake_hash: bytes) -> Witness:
        """Return the knowing side of an exchange with a restoring device."""
        return Witness(
            self._context.key,
            RestoreChannel(handshake_hash, peer, own),
            kits=self.known(),
            evidence=self._persons.evidence_of,
            admit=self.admit,
        )

    def admit(self, person: bytes, device: bytes, evidence: Sequence[bytes]) -> Given:
        """Take in what a kit signed, and return what the person's new device needs.

        Raises:
            NotPermittedError: the statements do not make the device the person's.
        """
        operations = [item for item in map(statement, evidence) if item is not None]
        self._persons.learn_operations(item for item in operations if item.log == person)
        if device not in self._persons.get(person).state.active():
            raise NotPermittedError("The recovery kit did not add this device.")
        self._groups.sponsor(device)
        groups = self._introduce(person)
        is_own = person == self._persons.id and self._persons.is_active
        self._context.outbox.emit(KitUsed(person, device))
        entries = self._own_devices.entries(groups)
        if not is_own:
            entries = [replace(one, secrets={}) for one in entries if not one.personal]
        return Given(
            self._context.device,
            self._persons.secret if is_own else None,
            tuple(encode_entries([one]) for one in entries),
        )

    def _introduce(self, person: bytes) -> list[bytes]:
        """Tell the shared groups about a person's devices; returns their ids."""
        evidence = frozenset(evidence_of(self._persons.get(person).operations()))
        shared: list[bytes] = []
        for group in self._groups.ids():
            replica = self._groups.get(group)
            if person not in replica.roles() or not replica.is_member(self._context.device):
                continue
            shared.append(group)
            if missing := evidence - replica.evidence:
                signer = self._groups.signer(group)
                replica.introduce(signer, missing)
                replica.reconcile(signer)
                self._groups.save(group)
        return shared
