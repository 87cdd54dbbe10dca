"""Taking a new device into this device's person, and becoming a device of another person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from lutra.errors import NotPermittedError
from lutra.groups.contents import Role
from lutra.groups.group import Group
from lutra.identity.device_log import Consent
from lutra.identity.pairing_messages import Card
from lutra.identity.pairing_table import Role as Part
from lutra.net.connection import Address
from lutra.node.catching_up import CatchingUp
from lutra.node.context import Context
from lutra.node.group_registry import MLS_FORM, GroupRegistry
from lutra.node.hand_over import HandOver
from lutra.node.log_keeper import LogKeeper
from lutra.node.new_identity import DEVICE_NAME, PERSON_NAME, SECRET, enter_person
from lutra.node.own_devices import OwnDevices
from lutra.node.person_registry import PersonRegistry
from lutra.operation import Operation
from lutra.store.peers import AddressRow


class DeviceAdmission:
    """The part of pairing that concerns persons and groups; runs inside the engine's calls."""

    def __init__(
        self,
        context: Context,
        logs: LogKeeper,
        *,
        persons: PersonRegistry,
        groups: GroupRegistry,
        own_devices: OwnDevices,
        catching_up: CatchingUp,
    ) -> None:
        self._context = context
        self._logs = logs
        self._persons = persons
        self._groups = groups
        self._own_devices = own_devices
        self._catching_up = catching_up

    def card(self, part: Part) -> Card:
        """Return how this device introduces itself when it pairs.

        Raises:
            NotPermittedError: this device was removed from its person, so it cannot take in others.
        """
        context = self._context
        if part is Part.EXISTING and not self._persons.is_active:
            raise NotPermittedError("This device was removed, so it cannot add another one.")
        settings = context.store.settings
        return Card.make(
            part,
            context.device,
            person=self._persons.id,
            person_name=str(settings.get(PERSON_NAME) or ""),
            device_name=str(settings.get(DEVICE_NAME) or ""),
            random=context.random,
        )

    def identity(self) -> tuple[Operation, ...]:
        """Return the device log of this device's person, to be brought along in a merge."""
        return self._persons.own.operations()

    # On the existing device

    def admit(
        self, consent: Consent, card: Card, merged: Sequence[Operation]
    ) -> tuple[Operation, ...]:
        """Sign the addition of a device that consented; returns the person's device log.

        Its keys are given to it without waiting for anybody's turn.

        Raises:
            DeviceKnownError: it was one of the person's before.
            DeviceNotInPersonError: this device was removed meanwhile.
        """
        if self._persons.own.addition(consent.device) is None:
            self._persons.add_device(consent, card.device_name or "?")
        if merged:
            self._persons.learn_operations(merged)
        self._groups.sponsor(consent.device)
        return self._persons.own.operations()

    def hand_over(self, port: int, addresses: Iterable[Address]) -> bytes:
        """Return what the new device gets: secrets, groups, where this device is; secret."""
        store = self._context.store
        secret = store.keys.get(SECRET)
        assert secret is not None
        pages = Counter(document.group for document in store.documents.list())
        return HandOver(
            secret,
            str(store.settings.get(PERSON_NAME) or ""),
            self._own_devices.hand_over(),
            dict(pages),
            port,
            tuple(addresses),
        ).encode()

    # On the new device

    def take(self, given: HandOver, giver: bytes, met_at: str) -> None:
        """Make room for all groups, and remember where the giving device is.

        Raises:
            MalformedError: the hand-over has not its form.
        """
        self._own_devices.accept_hand_over(given.groups)
        groups = [group for group in self._groups.ids() if not self._groups.row(group).left]
        recent = [group for group in given.pages if group in groups]
        rest = [group for group in groups if group not in given.pages]
        self._catching_up.expect({group: given.pages.get(group, 0) for group in [*recent, *rest]})
        now = self._context.now()
        for host, port in places_of(given, met_at):
            self._context.store.addresses.remember(AddressRow(giver, host, port, now, "dialled"))

    def merge(
        self,
        person: bytes,
        operations: Sequence[Operation],
        given: HandOver,
        *,
        giver: bytes,
        met_at: str,
    ) -> tuple[bytes, ...]:
        """Become a device of another person and bring this one's groups along.

        In each group in which this device's person is an admin, the other person takes its place
        with the same role, unless other devices of this person are there too: then both are in.

        Returns:
            The groups that this device stays in under its earlier identity.

        Raises:
            MalformedError: the hand-over has not its form.
        """
        context, old = self._context, self._persons.id
        alone = self._persons.own.state.active() == frozenset({context.device})
        earlier = [
            row.id
            for row in context.store.groups.list()
            if row.form == MLS_FORM and not row.left and not row.personal
        ]
        enter_person(context.store, person, operations, secret=given.secret, name=given.name)
        self._persons.enter(person, operations)
        separate: list[bytes] = []
        for group in earlier:
            replica = self._groups.get(group)
            if replica.role_of(context.device) is not Role.ADMIN:
                if replica.person_of(context.device) == old:
                    separate.append(group)
                continue
            self._replace(replica, old, person, alone=alone)
            self._groups.save(group)
        self.take(given, giver, met_at)
        return tuple(separate)

    def _replace(self, replica: Group, old: bytes, new: bytes, *, alone: bool) -> None:
        """Give a group the new person in the place of the old one."""
        signer, device = self._groups.signer(replica.id), self._context.device
        role = replica.roles().get(new)
        if role is None:
            evidence = self._persons.evidence_of(new)
            replica.add_person(signer, new, Role.ADMIN, evidence=evidence)
        else:
            self._groups.carry_evidence(replica)
            if role is not Role.ADMIN:
                replica.set_role(signer, new, Role.ADMIN)
        if not alone or old not in replica.roles():
            return
        if replica.person_of(device) == old:
            replica.leave(signer)
        else:
            cuts = self._logs.cuts(replica.id, {device})
            replica.remove_person(signer, old, cuts)
        replica.reconcile(signer)


def places_of(given: HandOver, met_at: str) -> list[tuple[str, int]]:
    """Return where the giving device may be reached, the place where it was met first."""
    met = [(met_at, given.port)] if given.port and met_at else []
    rest = [(one.host, one.port) for one in given.addresses]
    return [*met, *(one for one in rest if one not in met)]
