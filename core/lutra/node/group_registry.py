"""All groups of this device: loaded from their control operations, tended, and written back."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from functools import partial

from lutra.errors import BugError, NotFoundError
from lutra.groups.contents import Offer, Profile, Role
from lutra.groups.data_keys import BodyCipher
from lutra.groups.directory import ChainDirectory
from lutra.groups.errors import NotAMemberError, ReadOnlyGroupError
from lutra.groups.group import Group
from lutra.groups.ids import group_id
from lutra.groups.keys import ControlSigner
from lutra.groups.setup import Setup
from lutra.mls.suites import HYBRID_SUITE, SUITES
from lutra.node.branches import Branches
from lutra.node.context import Context
from lutra.node.departures import departure_of
from lutra.node.events import GroupsChanged, InvitesChanged, MembershipEnded
from lutra.node.log_keeper import LogKeeper
from lutra.node.new_identity import DEVICE_NAME, PERSON_NAME, checked_name
from lutra.node.person_registry import PersonRegistry
from lutra.operation import LogKey, Operation
from lutra.store.groups import GroupRow, MemberRow

MLS_FORM = 2
"""Form of the groups this Lutra works with; those of form 1 are only read."""


@dataclass(frozen=True, slots=True)
class _Signer:
    """Signs control operations of one group; implements `ControlSigner`."""

    logs: LogKeeper
    group: bytes
    cipher: BodyCipher

    def sign_control(
        self,
        kind: str,
        body: bytes,
        *,
        epoch: bytes | None,
        secret: bytes | None,
        previous: tuple[bytes, ...],
    ) -> Operation:
        return self.logs.sign_next(
            self.group,
            self.group,
            kind=kind,
            body=body,
            epoch=epoch,
            seal=None if secret is None else partial(self.cipher.seal, secret),
            previous=previous,
        )


class GroupRegistry:
    """Creates, loads and tends groups; every change is in the store when a call returns."""

    def __init__(
        self,
        context: Context,
        logs: LogKeeper,
        *,
        persons: PersonRegistry,
        directory: ChainDirectory,
        branches: Branches,
    ) -> None:
        self._context = context
        self._logs = logs
        self._branches = branches
        self._persons = persons
        self._groups: dict[bytes, Group] = {}
        self._readable: dict[bytes, int] = {}
        self._learned: dict[bytes, frozenset[bytes]] = {}
        self._sponsored: set[bytes] = set()
        self._directory = directory

    def forget(self) -> None:
        """Drop what is in memory, after a transaction was undone."""
        self._groups.clear()
        self._readable.clear()
        self._learned.clear()

    # Looking up

    def ids(self) -> list[bytes]:
        """Return the ids of all groups this device is or was in, by name, its own one included."""
        return [row.id for row in self._context.store.groups.list() if row.form == MLS_FORM]

    def loaded(self) -> list[bytes]:
        """Return the ids of the groups in memory."""
        return list(self._groups)

    def row(self, group: bytes) -> GroupRow:
        """Return what is recorded of a group.

        Raises:
            NotFoundError: there is no such group here.
        """
        row = self._context.store.groups.get(group)
        if row is None:
            raise NotFoundError("There is no such group on this device.")
        return row

    def get(self, group: bytes) -> Group:
        """Return a group.

        Raises:
            NotFoundError: there is no such group here.
            ReadOnlyGroupError: an earlier Lutra made it; it can only be read.
        """
        found = self._groups.get(group)
        return self._load(self.row(group)) if found is None else found

    def find(self, group: bytes) -> Group | None:
        """Return a group, or None if it is not here."""
        found = self._groups.get(group)
        if found is None:
            row = self._context.store.groups.get(group)
            found = None if row is None or row.form != MLS_FORM else self._load(row)
        return found

    def require_writer(self, group: bytes) -> Group:
        """Return a group in which this device may write.

        Raises:
            NotFoundError: there is no such group here.
            ReadOnlyGroupError: it was made by an earlier Lutra, or this person only reads it.
            NotAMemberError: this device is not in the group any more.
        """
        replica = self.get(group)
        role = replica.role_of(self._context.device)
        if role is None and replica.heads():
            raise NotAMemberError("This device is not in the group any more.")
        if role is None or role < Role.WRITER:
            raise ReadOnlyGroupError("You can read this group, but not change its pages.")
        return replica

    def signer(self, group: bytes) -> ControlSigner:
        """Return what signs this device's control operations of a group."""
        return _Signer(self._logs, group, self._context.cipher)

    # Beginning

    def create(
        self,
        name: str,
        profile: Profile = Profile.ARCHIVE,
        *,
        suite: int = HYBRID_SUITE,
        personal: bool = False,
    ) -> bytes:
        """Start a group with this person as its only member; returns its id.

        Args:
            name: what its members call it.
            profile: what newcomers may read of the time before them.
            suite: MLS cipher suite, for good; suite 3 has much smaller commits, for groups of
                more than about 250 devices.
            personal: it is for this person's own devices.

        Raises:
            UsageError: the name is empty or too long.
            NotAMemberError: this device was removed from its person.
        """
        name = checked_name(name)
        context = self._context
        if not self._persons.is_active:
            raise NotAMemberError(
                "This device was removed from your devices: what is here can be read, and that is "
                "all. Pair it anew, with a new profile, to write again."
            )
        nonce = context.random(32)
        identity = group_id(context.device, nonce)
        signer = self.signer(identity)
        setup = self._setup(suite)
        replica, _ = Group.create(signer, setup, nonce, self._persons.evidence(), profile)
        self._groups[identity] = replica
        self._readable[identity] = len(replica.secrets)
        now = context.now()
        context.store.groups.put(GroupRow(identity, "", b"", now, now, personal=personal))
        replica.rename(signer, name)
        replica.publish_card(signer, *self._own_names())
        self._save(replica)
        return identity

    def adopt(self, group: bytes, discovery_secret: bytes, *, personal: bool = False) -> bool:
        """Make room for a group this device was let into; its operations follow by sync.

        Returns:
            False if the group is here already.
        """
        context = self._context
        if context.store.groups.get(group) is not None:
            return False
        now = context.now()
        row = GroupRow(group, "", discovery_secret, now, now, personal=personal)
        context.store.groups.put(row)
        context.outbox.emit(GroupsChanged(group))
        return True

    def offer(self, group: bytes, suite: int) -> Offer | None:
        """Make a key package for a group this device was let into just now.

        Returns:
            None where it is in by what is known here already, so that it says so in the group
            itself, where the cipher suite is not known here, or where the group can only be read.
        """
        replica = self.find(group)
        if replica is None or replica.is_member(self._context.device) or suite not in SUITES:
            return None
        offer = replica.create_offer(suite)
        self._context.store.groups.set_state(group, replica.private_state())
        return offer

    def carry_offer(self, group: bytes, offer: Offer) -> None:
        """Carry a newcomer's key package into a group, and add it; see `Group.carry_offer`.

        Raises:
            RemoteError: the key package is not valid, or not the device's.
        """
        replica = self.get(group)
        if self._can_speak(replica) and replica.carry_offer(self.signer(group), offer):
            # The name, which the newcomer may be unable to read, goes with the keys.
            self._introduce(replica)
            self._save(replica)

    def reopen(self, group: bytes) -> None:
        """Take part in a group again, if it is here: somebody has let this person in once more."""
        row = self._context.store.groups.get(group)
        if row is not None and row.left:
            self._context.store.groups.set_left(group, False)
            self._context.outbox.emit(GroupsChanged(group))

    # Changing

    def rename(self, group: bytes, name: str) -> None:
        """Change a group's name.

        Raises:
            UsageError: the name is empty or too long.
            NotFoundError: there is no such group here.
        """
        name = checked_name(name)
        replica = self.get(group)
        replica.rename(self.signer(group), name)
        self.save(group)

    def sponsor(self, device: bytes) -> None:
        """Give a device its keys without waiting for one's turn: this device let it in."""
        self._sponsored.add(device)

    def settle(self, group: bytes) -> bool:
        """Draw the consequences of control operations taken in, and write the group to the store.

        Returns:
            True if keys of epochs are new here.
        """
        replica = self.get(group)
        replica.settle()
        evidence = replica.evidence
        if fresh := evidence - self._learned.get(group, frozenset()):
            self._learned[group] = evidence
            self._persons.learn(fresh)
        self._take_handed_over(replica)
        self._attend(replica)
        before = self._readable.get(group, 0)
        self._save(replica)
        return len(replica.secrets) > before

    def tend(self, group: bytes) -> bool:
        """Publish what is due and delete what is over; True if something was published."""
        replica = self.get(group)
        before = replica.heads()
        self._attend(replica)
        changed = replica.heads() != before
        if changed:
            self._save(replica)
        elif (state := replica.private_state()) != self.row(group).state:
            # Keys whose time is over are gone for good only once they are gone from the disk.
            self._context.store.groups.set_state(group, state)
        return changed

    def reconcile_rank(self, group: bytes, online: Container[bytes] | None) -> int | None:
        """Return this device's turn to bring keys in line with the roster, None if not needed."""
        return None if self._is_mute(group) else self.get(group).reconcile_rank(online)

    def reconcile(self, group: bytes) -> None:
        """Bring keys in line with the roster."""
        replica = self.get(group)
        if not self._is_mute(group) and replica.reconcile(self.signer(group)):
            self._introduce(replica)
            self._save(replica)

    def carry_evidence(self, replica: Group) -> None:
        """Tell a group what it does not know yet about this person's devices."""
        missing = frozenset(self._persons.evidence()) - replica.evidence
        if missing and self._can_speak(replica):
            replica.introduce(self.signer(replica.id), missing)
            replica.reconcile(self.signer(replica.id))
        elif missing and not self._is_mute(replica.id):
            replica.introduce_itself(self.signer(replica.id), missing)

    def save(self, group: bytes) -> None:
        """Write a group to the store after a change through its own methods."""
        self._save(self.get(group))

    def take_office(self, group: bytes) -> None:
        """Let this person stay admin beside others, where it is one by succession only."""
        if self.get(group).take_office(self.signer(group)):
            self.save(group)

    def save_used_keys(self) -> None:
        """Write back the groups whose message keys were used, before anything is sent or shown."""
        for replica in self._groups.values():
            if replica.unsaved:
                self._context.store.groups.set_state(replica.id, replica.private_state())

    # Inside

    def _attend(self, replica: Group) -> None:
        if self._is_mute(replica.id):
            return
        signer = self.signer(replica.id)
        self.carry_evidence(replica)
        replica.tend(signer)
        if self._sponsored & replica.awaited():
            replica.reconcile(signer)
        self._introduce(replica)

    def _take_handed_over(self, replica: Group) -> None:
        """Take the secrets that another own device handed over, as far as they are proven now."""
        epochs = self._context.store.epochs
        waiting = epochs.all(replica.id)
        if waiting:
            replica.learn_secrets(waiting)
            for epoch in waiting.keys() & replica.secrets.keys():
                epochs.delete(replica.id, epoch)

    def _introduce(self, replica: Group) -> None:
        """Publish this device's names once it can, and again after they changed."""
        names = self._own_names()
        if (
            self._can_speak(replica)
            and replica.current_epoch() is not None
            and not replica.has_card(*names)
        ):
            replica.publish_card(self.signer(replica.id), *names)
        if (
            self._can_speak(replica)
            and replica.role_of(self._context.device) is Role.ADMIN
            and replica.is_name_hidden()
        ):
            replica.rename(self.signer(replica.id), replica.name)

    def _can_speak(self, replica: Group) -> bool:
        return replica.is_member(self._context.device) and not self._is_mute(replica.id)

    def _own_names(self) -> tuple[str, str]:
        settings = self._context.store.settings
        return str(settings.get(PERSON_NAME) or ""), str(settings.get(DEVICE_NAME) or "")

    def _is_mute(self, group: bytes) -> bool:
        """Tell whether this device's control log is frozen, so that it can say nothing more."""
        return self._logs.is_frozen(LogKey(self._context.device, group))

    def _setup(self, suite: int = HYBRID_SUITE) -> Setup:
        context = self._context
        return Setup(
            device=context.device,
            sign=context.key.sign,
            directory=self._directory,
            clock=context.now,
            random=context.random,
            suite_id=suite,
        )

    def _load(self, row: GroupRow) -> Group:
        if row.form != MLS_FORM:
            raise ReadOnlyGroupError(
                "This group was made with an earlier Lutra: its pages can be read, not changed."
            )
        if row.state:
            stored = [item.decode() for item in self._context.store.operations.control(row.id)]
            stored += self._branches.held(row.id)
            replica = Group.resume(row.id, self._setup(), in_causal_order(stored), row.state)
        else:
            replica = Group(row.id, self._setup())
        self._groups[row.id] = replica
        self._readable[row.id] = len(replica.secrets)
        self._learned[row.id] = replica.evidence
        return replica

    def _save(self, replica: Group) -> None:
        """Bring the store's tables in line with a replica, in the caller's transaction."""
        store, device = self._context.store, self._context.device
        row = self.row(replica.id)
        departure = departure_of(replica, device)
        if departure is not None and not row.left:
            by, name = departure.by, departure.by_name
            self._context.outbox.emit(MembershipEnded(replica.id, departure.reason, by, name))
        store.groups.put(
            GroupRow(
                id=replica.id,
                name=replica.name or row.name,
                discovery_secret=replica.discovery_secret or row.discovery_secret,
                created=row.created,
                joined=row.joined,
                left=departure is not None,
                state=replica.private_state(),
                personal=row.personal,
                profile=int(replica.profile),
            )
        )
        self._readable[replica.id] = len(replica.secrets)
        self._save_members(replica)
        self._context.outbox.emit(GroupsChanged(replica.id))

    def _save_members(self, replica: Group) -> None:
        store, now = self._context.store, self._context.now()
        before = {item.device: item for item in store.members.list(replica.id)}
        rows = {
            member.device: MemberRow(
                member.device,
                member.name,
                member.device_name,
                "" if member.role is None else member.role.name.lower(),
                before[member.device].added_time if member.device in before else now,
                not member.present,
                member.person,
            )
            for member in replica.members()
        }
        present = {device for device, row in rows.items() if not row.removed}
        if any(not item.removed and item.device not in present for item in before.values()):
            self._revoke_invites(replica.id)
        changed = [row for device, row in rows.items() if before.get(device) != row]
        gone = before.keys() - rows.keys()
        if changed or gone:
            store.members.put(replica.id, changed, gone)

    def _revoke_invites(self, group: bytes) -> None:
        """Withdraw a group's invites: somebody who is out now may know them."""
        for row in self._context.store.invites.list(group):
            if not row.revoked:
                self._context.store.invites.revoke(row.id)
                self._context.outbox.emit(InvitesChanged(group))


def in_causal_order(operations: Iterable[Operation]) -> list[Operation]:
    """Order stored operations so that each follows its predecessors.

    Those of one batch were stored log by log.
    """
    waiting = {operation.id: operation for operation in operations}
    ordered: list[Operation] = []
    while waiting:
        ready = [
            item
            for item in waiting.values()
            if item.header.backlink not in waiting
            and not any(one in waiting for one in item.header.extensions.previous)
        ]
        if not ready:
            raise BugError("A group's stored operations build on others that are not stored.")
        ordered.extend(ready)
        for operation in ready:
            del waiting[operation.id]
    return ordered
