"""The persons this one meets in groups: their devices, safety numbers, and which were verified."""

from __future__ import annotations

from lutra.crypto.hashing import equal_constant_time
from lutra.errors import LocalError, NotFoundError, UsageError
from lutra.identity.safety_number import Fingerprint, SafetyNumber, Trust, Verification
from lutra.node.context import Context
from lutra.node.events import PersonChanged, VerifiedKeysChanged
from lutra.node.group_registry import GroupRegistry
from lutra.node.new_identity import PERSON_NAME
from lutra.node.person_registry import PersonRegistry
from lutra.node.person_views import PersonDeviceView, PersonView, SafetyNumberView
from lutra.store.groups import MemberRow
from lutra.store.persons import VerificationRow


class SafetyNumberDiffersError(LocalError):
    """The number compared is not the one of this person's keys."""

    code = "person.number-differs"


class Acquaintances:
    """Views of persons, and what was compared of them."""

    def __init__(self, context: Context, groups: GroupRegistry, persons: PersonRegistry) -> None:
        self._context = context
        self._groups = groups
        self._persons = persons

    def list(self) -> list[PersonView]:
        """Return this person first, then everybody met in a group or verified, by name."""
        own = self._persons.id
        members = self._members()
        ids = {own, *members, *self._context.store.persons.verified()} - {b""}
        views = [self._view(person, members.get(person, {})) for person in ids]
        return sorted(views, key=lambda view: (not view.me, view.name.lower(), view.id))

    def get(self, person: bytes) -> PersonView:
        """Return one person.

        Raises:
            NotFoundError: it is not known here.
        """
        self._require(person)
        return self._view(person, self._members().get(person, {}))

    def safety_number(self, person: bytes) -> SafetyNumberView:
        """Return the number to compare with a person.

        Raises:
            NotFoundError: it is not known here.
            UsageError: it is this device's own person.
        """
        self._require(person)
        number = self._number(person)
        return SafetyNumberView(
            person, number.groups, number.qr, self._verification(person).trust.value
        )

    def verify(self, person: bytes, number: str) -> None:
        """Record that the number of a person was compared.

        Args:
            person: whose.
            number: the number that both saw, as digits, or the other's QR code as scanned.

        Raises:
            SafetyNumberDiffersError: it is not the number of the keys in use.
            NotFoundError: the person is not known here.
            UsageError: it is this device's own person.
        """
        self._require(person)
        expected = self._number(person)
        if not _is_same(expected, number):
            raise SafetyNumberDiffersError(
                "The numbers differ. Compare once more; if they differ again, somebody may stand "
                "between you: do not trust this person's devices."
            )
        current = self._fingerprint(person)
        self._keep(person, self._verification(person).verify(current))

    def withdraw(self, person: bytes) -> None:
        """Record that this person no longer vouches for another's keys.

        Raises:
            NotFoundError: the person is not known here.
        """
        self._require(person)
        self._keep(person, self._verification(person).withdraw())

    def mark_seen(self, person: bytes) -> None:
        """Record that a change of verified keys was shown; they stay unverified.

        Raises:
            NotFoundError: the person is not known here.
        """
        self._require(person)
        self._keep(person, self._verification(person).shown())

    def observe(self, person: bytes) -> None:
        """Tell if the keys of a verified person have changed."""
        if person != self._persons.id and self._verification(person).announce:
            name = _name_of(self._members().get(person, {}))
            self._context.outbox.emit(VerifiedKeysChanged(person, name))

    # Inside

    def _require(self, person: bytes) -> None:
        if not self._persons.get(person).state.devices:
            raise NotFoundError("This person is not known on this device.")

    def _number(self, person: bytes) -> SafetyNumber:
        own = self._persons.id
        if person == own:
            raise UsageError("A safety number is compared with somebody else.")
        return SafetyNumber.between(self._fingerprint(own), self._fingerprint(person))

    def _fingerprint(self, person: bytes) -> Fingerprint:
        state = self._persons.get(person).state
        return Fingerprint.of(person, state.active() | state.recovery_keys())

    def _verification(self, person: bytes) -> Verification:
        row = self._context.store.persons.verification(person)
        return Verification(
            self._fingerprint(person),
            None if row.verified is None else Fingerprint(row.verified),
            None if row.seen is None else Fingerprint(row.seen),
        )

    def _keep(self, person: bytes, verification: Verification) -> None:
        verified, seen = verification.verified, verification.seen
        row = VerificationRow(
            None if verified is None else verified.value, None if seen is None else seen.value
        )
        self._context.store.persons.set_verification(person, row)
        self._context.outbox.emit(PersonChanged(person))

    def _members(self) -> dict[bytes, dict[bytes, list[MemberRow]]]:
        """Return person → group → its devices there, as far as groups know them."""
        found: dict[bytes, dict[bytes, list[MemberRow]]] = {}
        for row in self._context.store.groups.list():
            if not row.personal:
                for member in self._context.store.members.list(row.id):
                    found.setdefault(member.person, {}).setdefault(row.id, []).append(member)
        return found

    def _view(self, person: bytes, members: dict[bytes, list[MemberRow]]) -> PersonView:
        own = person == self._persons.id
        state = self._persons.get(person).state
        verification = self._verification(person)
        settings = self._context.store.settings
        return PersonView(
            id=person,
            name=str(settings.get(PERSON_NAME) or "") if own else _name_of(members),
            me=own,
            devices=tuple(
                PersonDeviceView(
                    device.key,
                    self._device_name(device.key, members, own=own),
                    device.active,
                    device.key == self._context.device,
                )
                for device in state.devices
                if not device.recovery
            ),
            kits=len(state.recovery_keys()),
            groups=tuple(
                group
                for group, rows in members.items()
                if any(not row.removed for row in rows) and not self._groups.row(group).left
            ),
            trust=Trust.VERIFIED.value if own else verification.trust.value,
            unseen=not own and verification.announce,
        )

    def _device_name(
        self, device: bytes, members: dict[bytes, list[MemberRow]], *, own: bool
    ) -> str:
        known = self._persons.device_name(device) if own else ""
        rows = (row for rows in members.values() for row in rows if row.device == device)
        return known or next((row.device_name for row in rows if row.device_name), "")


def _name_of(members: dict[bytes, list[MemberRow]]) -> str:
    """Return what a person calls itself in groups, the devices that are in first."""
    rows = sorted(
        (row for rows in members.values() for row in rows if row.person_name),
        key=lambda row: (row.removed, row.added_time, row.device),
    )
    return rows[0].person_name if rows else ""


def _is_same(expected: SafetyNumber, given: str) -> bool:
    digits = "".join(letter for letter in given if letter.isdecimal() and letter.isascii())
    if digits == "".join(given.split()):
        return equal_constant_time(digits.encode(), "".join(expected.groups).encode())
    return expected.matches(given)
