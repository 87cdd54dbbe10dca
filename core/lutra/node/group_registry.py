"""All groups of this device: loaded from their control operations, and written back."""

from __future__ import annotations

from dataclasses import dataclass

from lutra.errors import BugError, NotFoundError, UsageError
from lutra.groups.cards import MAX_NAME_LENGTH
from lutra.groups.errors import InviteError
from lutra.groups.group import Group, group_id
from lutra.groups.invite import InviteSecret, Welcome
from lutra.groups.keys import GroupKeys, Reception
from lutra.node.context import Context
from lutra.node.events import GroupsChanged, MemberJoined
from lutra.node.log_keeper import LogKeeper
from lutra.operation import LogKey, Operation
from lutra.store.groups import GroupRow, InviteRow, MemberRow

_ROLE = "writer"
INVITE_LIFETIME = 7 * 24 * 3600 * 1000
"""How long an invite is good, in milliseconds."""


@dataclass(frozen=True, slots=True)
class _Signer:
    """Signs control operations of one group; implements `ControlSigner`."""

    logs: LogKeeper
    group: bytes

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
            secret=secret,
            previous=previous,
        )


class GroupRegistry:
    """Creates, loads and changes groups; every change is in the store when a call returns."""

    def __init__(self, context: Context, logs: LogKeeper) -> None:
        self._context = context
        self._logs = logs
        self._groups: dict[bytes, Group] = {}
        self._names: tuple[str, str] | None = None

    def forget(self) -> None:
        """Drop what is in memory, after a transaction was undone."""
        self._groups.clear()
        self._names = None

    def ids(self) -> list[bytes]:
        """Return the ids of all groups this device is or was in, by name."""
        return [row.id for row in self._context.store.groups.list()]

    def row(self, group: bytes) -> GroupRow:
        """Return what is recorded of a group.

        Raises:
            NotFoundError: there is no such group here.
        """
        row = self._context.store.groups.get(group)
        if row is None:
            raise NotFoundError("There is no such group on this device.")
        return row

    def get(self, group: bytes) -> GroupKeys:
        """Return a group.

        Raises:
            NotFoundError: there is no such group here.
        """
        return self._get(group)

    def find(self, group: bytes) -> GroupKeys | None:
        """Return a group, or None if it is not here."""
        return self._groups.get(group) or (
            self._get(group) if self._context.store.groups.get(group) is not None else None
        )

    def create(self, name: str) -> bytes:
        """Start a group; returns its id.

        Raises:
            UsageError: the name is empty or too long.
        """
        name = checked_name(name)
        context = self._context
        nonce = context.random(32)
        identity = group_id(context.device, nonce)
        signer = _Signer(self._logs, identity)
        group, _ = Group.create(signer, nonce, context.device, context.sealing_key, context.random)
        self._groups[identity] = group
        group.rename(signer, name)
        group.publish_card(signer, *self._own_names())
        self._save(group)
        return identity

    def rename(self, group: bytes, name: str) -> None:
        """Change a group's name.

        Raises:
            UsageError: the name is empty or too long.
            NotFoundError: there is no such group here.
        """
        name = checked_name(name)
        replica = self._get(group)
        replica.rename(_Signer(self._logs, group), name)
        self._save(replica)

    def remove(self, group: bytes, device: bytes) -> None:
        """Remove a device from a group and change the keys.

        Raises:
            NotAMemberError: it, or this device, is not in the group.
        """
        replica = self._get(group)
        replica.remove(_Signer(self._logs, group), device)
        self._save(replica)

    def receive(self, group: bytes, operation: Operation) -> Reception:
        """Take in a verified control operation; call `settle` after the last of a batch."""
        return self._get(group).receive(operation)

    def settle(self, group: bytes) -> list[bytes]:
        """Write a changed group to the store; returns the epochs whose keys are new here."""
        replica = self._get(group)
        known = self._context.store.epochs.all(group)
        self._save(replica)
        self._introduce(replica)
        return [epoch for epoch in replica.secrets if epoch not in known]

    def reconcile_rank(self, group: bytes) -> int | None:
        """Return this device's turn to bring keys in line with the roster, None if not needed."""
        return None if self._is_mute(group) else self._get(group).reconcile_rank()

    def reconcile(self, group: bytes) -> None:
        """Bring keys in line with the roster."""
        if self._is_mute(group):
            return
        replica = self._get(group)
        if replica.reconcile(_Signer(self._logs, group)):
            self._save(replica)
        self._introduce(replica)

    # Invites

    def invite(self, group: bytes, *, uses: int) -> tuple[InviteSecret, int]:
        """Make an invite; returns its secret and until when it is good.

        Raises:
            UsageError: the number of uses is not between 1 and 1,000.
            NotAMemberError: this device is not in the group.
        """
        if not 1 <= uses <= 1000:
            raise UsageError("An invite can be used between 1 and 1,000 times.")
        context = self._context
        self._get(group).require_membership()
        invite = InviteSecret.generate(context.random)
        expires = context.now() + INVITE_LIFETIME
        context.store.invites.put(InviteRow(invite.id, group, invite.secret, _ROLE, expires, uses))
        return invite, expires

    def open_invites(self) -> list[InviteSecret]:
        """Return the invites that can still be used."""
        now = self._context.now()
        return [
            InviteSecret(row.secret)
            for row in self._context.store.invites.list()
            if row.uses_left > 0 and not row.revoked and row.expires > now
        ]

    def find_invite(self, invite_id: bytes) -> InviteSecret | None:
        """Return the usable invite with this id, or None."""
        return next((item for item in self.open_invites() if item.id == invite_id), None)

    def admit(self, invite: InviteSecret, device: bytes, sealing_key: bytes) -> Welcome:
        """Add the device that proved to know an invite.

        Raises:
            InviteError: the invite was used up meanwhile, or withdrawn.
            NotAMemberError: this device is not in the group any more.
            ControlError: nothing can be sealed to the device's key.
        """
        context = self._context
        row = context.store.invites.get(invite.id)
        if row is None:
            raise InviteError("This invite does not exist any more.")
        replica = self._get(row.group)
        if not replica.is_member(device):
            if not context.store.invites.use(invite.id, context.now()):
                raise InviteError("This invite was used up or has expired.")
            replica.add(_Signer(self._logs, row.group), device, sealing_key)
            self._save(replica)
            context.outbox.emit(MemberJoined(row.group, device))
        operations = context.store.operations.control(row.group)
        return Welcome(
            row.group, tuple((item.header, item.body) for item in operations if item.body)
        )

    def adopt(self, group: bytes) -> None:
        """Make room for a group this device was invited into; its operations follow."""
        context = self._context
        if context.store.groups.get(group) is None:
            now = context.now()
            context.store.groups.put(GroupRow(group, "", b"", now, now))

    def _revoke_invites(self, group: bytes) -> None:
        """Withdraw a group's invites: somebody who is out now may know them."""
        for row in self._context.store.invites.list(group):
            if not row.revoked:
                self._context.store.invites.revoke(row.id)

    # Loading and saving

    def _own_names(self) -> tuple[str, str]:
        if self._names is None:
            settings = self._context.store.settings
            self._names = (
                str(settings.get("person_name") or ""),
                str(settings.get("device_name") or ""),
            )
        return self._names

    def _is_mute(self, group: bytes) -> bool:
        """Tell whether this device's control log is frozen, so that it can say nothing more."""
        return self._logs.is_frozen(LogKey(self._context.device, group))

    def _introduce(self, replica: Group) -> None:
        """Publish this device's names once it can, and again after they changed."""
        if (
            not self._is_mute(replica.id)
            and replica.is_member(self._context.device)
            and replica.current_epoch() is not None
            and not replica.has_card(*self._own_names())
        ):
            replica.publish_card(_Signer(self._logs, replica.id), *self._own_names())
            self._save(replica)

    def _get(self, group: bytes) -> Group:
        replica = self._groups.get(group)
        if replica is None:
            self.row(group)
            context = self._context
            replica = Group(
                group,
                context.device,
                context.sealing_key,
                context.random,
                context.store.epochs.all(group),
            )
            _replay(replica, [item.decode() for item in context.store.operations.control(group)])
            self._groups[group] = replica
        return replica

    def _save(self, replica: Group) -> None:
        """Bring the store's tables in line with a replica, in the caller's transaction."""
        store = self._context.store
        known = store.epochs.all(replica.id)
        for epoch, secret in replica.secrets.items():
            if epoch not in known:
                store.epochs.put(replica.id, epoch, secret)
        row = store.groups.get(replica.id)
        now = self._context.now()
        store.groups.put(
            GroupRow(
                id=replica.id,
                name=replica.name,
                discovery_secret=replica.discovery_secret or b"",
                created=row.created if row is not None else now,
                joined=row.joined if row is not None else now,
                left=not replica.is_member(self._context.device),
            )
        )
        before = store.members.list(replica.id)
        if any(not item.removed and not replica.is_member(item.device) for item in before):
            self._revoke_invites(replica.id)
        added = {item.device: item.added_time for item in before}
        store.members.replace_all(
            replica.id,
            [
                MemberRow(
                    member.device,
                    member.name,
                    member.device_name,
                    _ROLE,
                    added.get(member.device, now),
                    not member.present,
                )
                for member in replica.members()
            ],
        )
        self._context.outbox.emit(GroupsChanged(replica.id))


def _replay(replica: Group, operations: list[Operation]) -> None:
    """Give a group its stored operations; those of one batch were stored log by log."""
    while operations:
        early = [item for item in operations if replica.receive(item) is Reception.WAITING]
        if len(early) == len(operations):
            raise BugError("A group's stored operations build on others that are not stored.")
        operations = early


def checked_name(name: str) -> str:
    """Return a name without surrounding space.

    Raises:
        UsageError: nothing is left, or it is too long.
    """
    name = name.strip()
    if not name:
        raise UsageError("A name must not be empty.")
    if len(name) > MAX_NAME_LENGTH:
        raise UsageError(f"A name may have at most {MAX_NAME_LENGTH} characters.")
    return name
