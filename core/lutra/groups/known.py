"""What one device knows of a group: who is in, what counts, which keys it holds."""

from __future__ import annotations

from collections.abc import Sequence

from lutra.groups.acknowledging import AckTimer
from lutra.groups.admissions import epochs_before_admission
from lutra.groups.bodies import Bodies
from lutra.groups.cards import Card
from lutra.groups.chronicle import Change
from lutra.groups.contents import Profile, Role
from lutra.groups.control_state import ControlState
from lutra.groups.data_keys import BodyCipher
from lutra.groups.data_rules import DataRules
from lutra.groups.errors import NotAMemberError
from lutra.groups.keyring import Keyring
from lutra.groups.keys import Epoch, Member
from lutra.groups.names import Names
from lutra.groups.setup import Setup
from lutra.operation import Operation


class KnownGroup:
    """The part of `lutra.groups.group.Group` that only looks."""

    def __init__(self, group: bytes, setup: Setup) -> None:
        self._setup = setup
        self._device = setup.device
        self._services = setup.services()
        self._cipher = BodyCipher(setup.random)
        self.control = ControlState(group, setup.directory, self._services)
        self._keyring = Keyring(self._services)
        self._names = Names(self._cipher)
        self._data_rules = DataRules(self.control)
        self._acks = AckTimer()

    @property
    def id(self) -> bytes:
        """The group's id."""
        return self.control.id

    @property
    def name(self) -> str:
        """The group's name; empty until it can be read."""
        settings = self.control.authorisation.settings(self.control.everything)
        return self._names.group_name(settings)

    @property
    def profile(self) -> Profile:
        """What newcomers may read of the time before them."""
        return self.control.profile

    @property
    def suite_id(self) -> int:
        """The MLS cipher suite; the one of the setup before the creation is known."""
        root = self.control.tree.root
        return self._setup.suite_id if root is None else root.public.suite.suite_id

    @property
    def discovery_secret(self) -> bytes | None:
        """What members recognise one another's devices by; None before the creation is known."""
        return self.control.discovery_secret

    @property
    def evidence(self) -> frozenset[bytes]:
        """All statements about persons that the group carries."""
        return self.control.authorisation.evidence

    @property
    def bodies(self) -> Bodies:
        """What seals and opens the bodies of data operations."""
        return Bodies(self._keyring, self._cipher)

    @property
    def unsaved(self) -> bool:
        """Message keys were used: store `private_state` before anything is sent or shown."""
        return self._keyring.unsaved

    @property
    def secrets(self) -> dict[bytes, bytes]:
        """All data secrets held: epoch → secret."""
        return dict(self._keyring.secrets)

    def heads(self) -> tuple[bytes, ...]:
        """Return the control operations nothing else follows, sorted."""
        return self.control.history.heads()

    def knows(self, operation_id: bytes) -> bool:
        """Tell whether a control operation has its place in the history."""
        return operation_id in self.control.history

    def members(self) -> Sequence[Member]:
        """Return all devices of those who are or were in, sorted by device key."""
        auth = self.control.auth()
        ever = self.control.authorisation.persons()
        return [
            Member(
                device,
                card.name,
                card.device_name,
                device in auth.devices,
                auth.owner[device],
                auth.role_of(device),
            )
            for device in sorted(auth.owner)
            if auth.owner[device] in ever
            for card in [self._names.card(device)]
        ]

    def roles(self) -> dict[bytes, Role]:
        """Return person → role."""
        return dict(self.control.auth().roles)

    def is_member(self, device: bytes) -> bool:
        """Tell whether ``device`` is in, by all that is known here."""
        return device in self.control.auth().devices

    def was_removed(self, device: bytes) -> bool:
        """Tell whether ``device`` is out after it had been in; a newcomer never was in."""
        auth = self.control.auth()
        owner = auth.owner.get(device)
        return (
            owner is not None
            and device not in auth.devices
            and owner in self.control.authorisation.persons()
        )

    def role_of(self, device: bytes) -> Role | None:
        """Return the role in which a device acts, None where it is not in."""
        return self.control.auth().role_of(device)

    def person_of(self, device: bytes) -> bytes | None:
        """Return the person that a device belongs to or belonged to; None if it is not known."""
        return self.control.auth().owner.get(device)

    def devices_of(self, person: bytes) -> frozenset[bytes]:
        """Return a person's devices that are in."""
        devices = self.control.auth().devices
        return frozenset(device for device, owner in devices.items() if owner == person)

    def has_card(self, name: str, device_name: str) -> bool:
        """Tell whether this device's own card says so already, and everybody can read it."""
        return self._names.card(self._device) == Card(name, device_name) and self._names.card_epoch(
            self._device
        ) not in epochs_before_admission(self.control)

    def is_name_hidden(self) -> bool:
        """Tell whether newcomers cannot read the group's name: somebody has to say it again."""
        settings = self.control.authorisation.settings(self.control.everything)
        return self._names.name_epoch(settings) in epochs_before_admission(self.control)

    def require_membership(self) -> None:
        """Raise `NotAMemberError` unless this device is in the group."""
        if not self.is_member(self._device):
            raise NotAMemberError("This device is not in the group any more.")

    def was_member(self, device: bytes, heads: tuple[bytes, ...]) -> bool | None:
        """Tell whether ``device`` was in as of ``heads``; None while one of these is unknown."""
        known = self.control.history.closure(heads)
        return None if known is None else device in self.control.auth(known).devices

    def accepts(
        self, author: bytes, log: bytes, seq_num: int, *, epoch: bytes, heads: tuple[bytes, ...]
    ) -> bool | None:
        """Tell whether a data operation counts, see `lutra.groups.data_rules`."""
        return self._data_rules.accepts(author, log, seq_num, epoch=epoch, heads=heads)

    def missing(self, operation: Operation) -> Sequence[bytes]:
        """Return the ids of control operations that one builds on and that are not known."""
        return self.control.history.missing(operation)

    def is_cut_off(
        self, author: bytes, log: bytes, seq_num: int, *, epoch: bytes, heads: tuple[bytes, ...]
    ) -> bool:
        """Tell whether a data operation would count if somebody vouched for it: `extend_cuts`."""
        return self._data_rules.is_cut_off(author, log, seq_num, epoch=epoch, heads=heads)

    def changes(self) -> list[Change]:
        """Return who changed the membership how, in the order this device learned of it."""
        return self.control.chronicle.changes(self.control.authorisation, self.control.everything)

    def is_forked(self, device: bytes) -> bool:
        """Tell whether a device was caught signing two control operations for one place."""
        return self.control.authorisation.is_forked(device)

    def exclusions(self, device: bytes) -> list[tuple[bytes, int]]:
        """Return the removals that keep a device out: (their author, their place in its log)."""
        return self.control.authorisation.exclusions(device, self.control.everything)

    def live_removals(self) -> list[tuple[bytes, bytes, dict[tuple[bytes, bytes], int]]]:
        """Return removals that count: operation id, person, (device, log) → last accepted number.

        Logs of the person's devices that are not named are accepted up to nothing. Where this
        device holds more, accepted before it knew of the removal, it calls `extend_cuts`. What the
        person wrote after it was added anew needs no cut: see `is_aware`.
        """
        control = self.control
        return [
            (
                control.history.id(index),
                content.person,
                dict(control.cuts.known(index, content.cuts)),
            )
            for index, content in control.authorisation.live_removals(control.everything)
        ]

    def is_aware(self, heads: tuple[bytes, ...], operation_id: bytes) -> bool | None:
        """Tell whether who names ``heads`` knew an operation; None while one of them is unknown."""
        history = self.control.history
        known = history.closure(heads)
        if known is None:
            return None
        return operation_id in history and bool(known >> history.index(operation_id) & 1)

    def current_epoch(self) -> Epoch | None:
        """Return the key for new text; None while the send gate is shut (GROUPS §2.6.2)."""
        head = self.control.head()
        if head is None or self._device not in self.control.auth().leaves:
            return None
        if self._keyring.group(head.id) is None or not self.control.is_gate_open(head):
            return None
        return Epoch(head.id, self._keyring.secrets[head.id])

    def secret(self, epoch: bytes) -> bytes | None:
        """Return the secret of an epoch, if this device holds it."""
        return self._keyring.secrets.get(epoch)
