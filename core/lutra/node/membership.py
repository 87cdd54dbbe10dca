"""Who is in this device's groups: roles, removals, leaving; and what follows from removals.

A removal accepts the removed person's work as far as the remover holds it. Members that held more
before they learned of it vouch for that, so that nothing others have built on is lost; a device
that is added again replaces what was cut off of its logs by a checkpoint, so that they go on.
"""

from __future__ import annotations

from lutra.errors import NotPermittedError, UsageError
from lutra.groups.contents import Cut, Role
from lutra.groups.errors import LastAdminError, NoKeyError, NotAMemberError
from lutra.groups.group import Group
from lutra.node.context import Context
from lutra.node.document_registry import DocumentRegistry
from lutra.node.events import Trouble
from lutra.node.group_registry import GroupRegistry
from lutra.node.log_keeper import LogKeeper
from lutra.node.person_registry import PersonRegistry
from lutra.operation import LogKey, OperationLimitError, decode_operation


class Membership:
    """Changes who is in groups; every change is in the store when a call returns.

    Methods raise `NotFoundError` for a group that is not here, `NotAMemberError` if this device or
    the person named is not in it, `NotPermittedError` if this person is no admin, and
    `LogFrozenError` if this profile was copied.
    """

    def __init__(
        self,
        context: Context,
        logs: LogKeeper,
        *,
        groups: GroupRegistry,
        persons: PersonRegistry,
        documents: DocumentRegistry,
    ) -> None:
        self._context = context
        self._logs = logs
        self._groups = groups
        self._persons = persons
        self._documents = documents
        self._aware_from: dict[tuple[bytes, LogKey], int] = {}

    def forget(self) -> None:
        """Drop what is in memory, after a transaction was undone."""
        self._aware_from.clear()

    # Changing

    def set_role(self, group: bytes, person: bytes, role: Role) -> None:
        """Give a member another role; nothing happens if it has this one.

        Raises:
            LastAdminError: this person is the only admin.
        """
        replica = self._as_admin(group, person)
        if replica.roles()[person] is role:
            return
        if person == self._persons.id and self._is_last_admin(replica):
            raise LastAdminError(
                "You are the only admin of this group. Make somebody else an admin first."
            )
        replica.set_role(self._groups.signer(group), person, role)
        self._groups.save(group)

    def transfer_admin(self, group: bytes, person: bytes, role: Role = Role.WRITER) -> None:
        """Make another member an admin and take a lesser role oneself.

        Raises:
            UsageError: it is this person itself.
        """
        if person == self._persons.id:
            raise UsageError("You are an admin of this group already.")
        self.set_role(group, person, Role.ADMIN)
        self.set_role(group, self._persons.id, role)

    def remove(self, group: bytes, person: bytes) -> None:
        """Remove a person; what this device holds of it stays, and the keys change.

        Raises:
            UsageError: it is this person itself: leave instead.
        """
        replica = self._as_admin(group, person)
        if person == self._persons.id:
            raise UsageError("You cannot remove yourself; leave the group instead.")
        cuts = self._logs.cuts(group, self._devices_of(replica, person))
        replica.remove_person(self._groups.signer(group), person, cuts)
        self._groups.save(group)

    def leave(self, group: bytes) -> None:
        """Leave a group with all devices of this person; its pages stay here to be read.

        Raises:
            LastAdminError: this person is the only admin; the message says what to do.
        """
        replica = self._groups.get(group)
        self._refuse_personal(group)
        replica.require_membership()
        if self._is_last_admin(replica):
            raise LastAdminError(
                "You are the only one in this group, so there is nobody to leave it to."
                if len(replica.roles()) == 1
                else "You are the only admin of this group. Make somebody else an admin first, "
                "then leave."
            )
        replica.leave(self._groups.signer(group))
        self._groups.save(group)

    def add_again(self, group: bytes, person: bytes, role: Role | None = None) -> None:
        """Undo a removal, or bring back somebody who left.

        Args:
            group: the group.
            person: somebody who was in it.
            role: None for the role it had last.

        Raises:
            AlreadyMemberError: the person is in.
        """
        replica = self._as_admin(group)
        before = [item.role for item in replica.changes() if item.person == person and item.role]
        if not before:
            raise NotAMemberError("This person was never in the group: invite it instead.")
        evidence = frozenset(self._persons.evidence_of(person)) - replica.evidence
        signer = self._groups.signer(group)
        replica.add_person(signer, person, role or before[-1], evidence=evidence)
        self._groups.save(group)

    def rename(self, group: bytes, name: str) -> None:
        """Change a group's name.

        Raises:
            UsageError: the name is empty or too long.
            NoKeyError: the group's keys are changing; it can be renamed in a moment.
        """
        replica = self._as_admin(group)
        replica.reconcile(self._groups.signer(group))
        if replica.current_epoch() is None:
            raise NoKeyError(
                "The keys of this group are changing. Try again when another member is connected."
            )
        self._groups.rename(group, name)

    # What follows from removals

    def follow(self, group: bytes) -> None:
        """Vouch for what was accepted before a removal was known, and let own logs go on."""
        replica = self._groups.find(group)
        own = LogKey(self._context.device, group)
        if replica is None or not replica.is_member(own.author) or self._logs.is_frozen(own):
            return
        vouched = False
        for removal, person, cuts in replica.live_removals():
            if person == self._persons.id:
                self._continue_logs(replica, removal, cuts)
            elif further := self._accepted_beyond(replica, removal, person, cuts):
                signer = self._groups.signer(group)
                vouched |= bool(replica.extend_cuts(signer, removal, further))
        if vouched:
            self._groups.save(group)

    def _accepted_beyond(
        self,
        replica: Group,
        removal: bytes,
        person: bytes,
        cuts: dict[tuple[bytes, bytes], int],
    ) -> list[Cut]:
        """Return how far this device accepted logs beyond a removal's cuts, without knowing it."""
        further: list[Cut] = []
        for cut in self._logs.cuts(replica.id, self._devices_of(replica, person)):
            known = cuts.get((cut.device, cut.log), -1)
            place = (removal, LogKey(cut.device, cut.log))
            end = self._aware_from.get(place, cut.seq_num + 1)
            if end - 1 <= known:
                continue
            # What a person that was added again writes knows of the removal: it needs no cut.
            last = self._last_unaware(replica, removal, place[1], known)
            if last < cut.seq_num:
                self._aware_from[place] = last + 1
            if last > known:
                further.append(Cut(cut.device, cut.log, last))
        return further

    def _last_unaware(self, replica: Group, removal: bytes, key: LogKey, known: int) -> int:
        last = known
        for item in self._context.store.operations.of_log(key, None if known < 0 else known):
            heads = item.decode().header.extensions.previous
            if replica.is_aware(heads, removal):
                break
            last = item.seq_num
        return last

    def _continue_logs(
        self, replica: Group, removal: bytes, cuts: dict[tuple[bytes, bytes], int]
    ) -> None:
        """Replace own logs that go beyond a cut: others refuse the part between."""
        role = replica.role_of(self._context.device)
        if role is None or role < Role.WRITER or replica.current_epoch() is None:
            return
        for cut in self._logs.cuts(replica.id, {self._context.device}):
            if cut.seq_num <= cuts.get((cut.device, cut.log), -1):
                continue
            if self._context.store.documents.get(cut.log) is None:
                continue
            if not self._begins_after(replica, removal, LogKey(cut.device, cut.log), cuts):
                try:
                    self._documents.checkpoint(cut.log, always=True)
                except OperationLimitError as error:
                    self._context.outbox.emit(Trouble(error.code, error.message))

    def _begins_after(
        self,
        replica: Group,
        removal: bytes,
        key: LogKey,
        cuts: dict[tuple[bytes, bytes], int],
    ) -> bool:
        """Tell whether the first operation beyond a cut was made knowing the removal."""
        known = cuts.get((key.author, key.log), -1)
        found = self._context.store.operations.of_log(key, None if known < 0 else known, 1)
        header = decode_operation(found[0].header, None, check_signature=False).header
        return bool(replica.is_aware(header.extensions.previous, removal))

    # Inside

    def _as_admin(self, group: bytes, person: bytes | None = None) -> Group:
        replica = self._groups.get(group)
        self._refuse_personal(group)
        replica.require_membership()
        if replica.role_of(self._context.device) is not Role.ADMIN:
            raise NotPermittedError("Only an admin of this group can do this.")
        self._groups.take_office(group)
        if person is not None and person not in replica.roles():
            raise NotAMemberError("This person is not in the group.")
        return replica

    def _refuse_personal(self, group: bytes) -> None:
        if self._groups.row(group).personal:
            raise UsageError("This group is for your own devices: it has no other members.")

    def _is_last_admin(self, replica: Group) -> bool:
        admins = [person for person, role in replica.roles().items() if role is Role.ADMIN]
        return admins == [self._persons.id]

    def _devices_of(self, replica: Group, person: bytes) -> frozenset[bytes]:
        """Return all devices that a person has or had in a group."""
        return frozenset(item.device for item in replica.members() if item.person == person)
