"""Invites of this device, who asks to be let in by them, and letting them in."""

from __future__ import annotations

from lutra.errors import NotFoundError, NotPermittedError, UsageError
from lutra.groups.contents import Role
from lutra.groups.errors import InviteError
from lutra.groups.group import Group
from lutra.groups.invite import Admission, InviteSecret, JoinRequest
from lutra.node.context import Context
from lutra.node.events import InvitesChanged, JoinRequested, MemberJoined
from lutra.node.group_registry import GroupRegistry
from lutra.node.person_registry import PersonRegistry
from lutra.store.invites import InviteRow, JoinRequestRow, RequestState

INVITE_LIFETIME = 7 * 24 * 3600 * 1000
"""How long an invite is good unless said otherwise, in milliseconds."""
MAX_LIFETIME = 365 * 24 * 3600 * 1000
MAX_USES = 1000
_MAX_REQUESTS = 256


class Invitations:
    """Invites into this device's groups; every change is in the store when a call returns."""

    def __init__(self, context: Context, groups: GroupRegistry, persons: PersonRegistry) -> None:
        self._context = context
        self._groups = groups
        self._persons = persons

    # Invites

    def invite(
        self,
        group: bytes,
        *,
        role: Role = Role.WRITER,
        uses: int = 1,
        lifetime: int = INVITE_LIFETIME,
        by_hand: bool = False,
    ) -> InviteRow:
        """Make an invite.

        Args:
            group: where it leads.
            role: role of whoever uses it.
            uses: how many persons may use it.
            lifetime: how long it is good, in milliseconds.
            by_hand: whoever uses it waits until somebody here approves.

        Raises:
            UsageError: uses or lifetime are out of bounds.
            NotPermittedError: only an admin may let others in.
        """
        if not 1 <= uses <= MAX_USES:
            raise UsageError(f"An invite can be used between 1 and {MAX_USES:,} times.")
        if not 0 < lifetime <= MAX_LIFETIME:
            raise UsageError("An invite can be good for up to a year.")
        context = self._context
        self._require_admin(self._groups.get(group))
        if self._groups.row(group).personal:
            raise UsageError("This group is for your own devices: pair them instead.")
        secret = InviteSecret.generate(context.random)
        now = context.now()
        row = InviteRow(
            secret.id,
            group,
            secret.secret,
            role.name.lower(),
            now + lifetime,
            uses,
            by_hand=by_hand,
            created=now,
        )
        context.store.invites.put(row)
        context.outbox.emit(InvitesChanged(group))
        return row

    def revoke(self, invite: bytes) -> None:
        """Take an invite back.

        Raises:
            NotFoundError: this device made no such invite.
        """
        row = self._row(invite)
        self._context.store.invites.revoke(invite)
        self._context.outbox.emit(InvitesChanged(row.group))

    def usable(self) -> list[InviteRow]:
        """Return the invites that can still be used, or have somebody waiting."""
        now = self._context.now()
        return [
            row
            for row in self._context.store.invites.list()
            if not row.revoked
            and row.expires > now
            and (row.uses_left > 0 or self._has_requests(row.id))
        ]

    def find(self, invite: bytes) -> InviteSecret | None:
        """Return the usable invite with this id, or None."""
        return next((InviteSecret(row.secret) for row in self.usable() if row.id == invite), None)

    # Requests

    def admit(self, invite: InviteSecret, request: JoinRequest) -> Admission | None:
        """Let in the device that proved to know an invite, or note that it asks.

        Returns:
            what it gets; None while somebody has to approve.

        Raises:
            InviteError: the invite was used up meanwhile or withdrawn, the request was declined,
                or the device belongs to no person.
            NotPermittedError: this device cannot let anybody in any more.
        """
        context = self._context
        row = self._row(invite.id)
        replica = self._groups.get(row.group)
        self._persons.learn(request.evidence)
        person = self._persons.person_of(request.device)
        if person is None:
            raise InviteError("A device asked to be let in that belongs to no person.")
        if not replica.is_member(request.device):
            known = context.store.join_requests.get(invite.id, request.device)
            if known is not None and known.state is RequestState.DECLINED:
                raise InviteError("Somebody here has declined this request.")
            if row.by_hand and (known is None or known.state is RequestState.WAITING):
                self._note(row, request, person, is_new=known is None)
                return None
            self._let_in(row, replica, request.device, person)
        context.store.join_requests.delete(invite.id, request.device)
        secret = replica.discovery_secret
        assert secret is not None
        return Admission(row.group, secret)

    def decide(self, device: bytes, *, approve: bool) -> None:
        """Approve or decline what a device asks for.

        It is told when it asks again.

        Raises:
            NotFoundError: no device of this key waits.
            InviteError: the invite was withdrawn or used up meanwhile.
            NotPermittedError: this device cannot let anybody in any more.
        """
        context = self._context
        request = next((row for row in self.requests() if row.device == device), None)
        if request is None:
            raise NotFoundError("Nobody with this id waits to be let in.")
        row = self._row(request.invite)
        state = RequestState.DECLINED
        if approve:
            replica = self._groups.get(row.group)
            self._let_in(row, replica, request.device, request.person)
            state = RequestState.APPROVED
        context.store.join_requests.put(
            JoinRequestRow(
                request.invite,
                request.device,
                request.person,
                request.name,
                request.device_name,
                request.time,
                state,
            )
        )
        context.outbox.emit(InvitesChanged(row.group))

    def requests(self) -> list[JoinRequestRow]:
        """Return who waits for somebody's approval."""
        rows = self._context.store.join_requests.list()
        return [row for row in rows if row.state is RequestState.WAITING]

    # Inside

    def _let_in(self, row: InviteRow, replica: Group, device: bytes, person: bytes) -> None:
        context = self._context
        self._require_admin(replica)
        signer = self._groups.signer(row.group)
        evidence = self._persons.evidence_of(person)
        self._groups.sponsor(device)
        if person in replica.roles():
            replica.introduce(signer, frozenset(evidence) - replica.evidence)
        else:
            if not context.store.invites.use(row.id, context.now()):
                raise InviteError("This invite was used up or has expired.")
            replica.add_person(signer, person, Role[row.role.upper()], evidence=evidence)
        self._groups.save(row.group)
        context.outbox.emit(MemberJoined(row.group, device))

    def _note(self, row: InviteRow, request: JoinRequest, person: bytes, *, is_new: bool) -> None:
        context = self._context
        if not is_new:
            return
        if row.uses_left < 1 or len(self.requests()) >= _MAX_REQUESTS:
            raise InviteError("This invite was used up or has expired.")
        context.store.join_requests.put(
            JoinRequestRow(
                row.id,
                request.device,
                person,
                request.name,
                request.device_name,
                context.now(),
            )
        )
        context.outbox.emit(JoinRequested(row.group, request.device, request.name))

    def _has_requests(self, invite: bytes) -> bool:
        return any(row.invite == invite for row in self._context.store.join_requests.list())

    def _row(self, invite: bytes) -> InviteRow:
        row = self._context.store.invites.get(invite)
        if row is None:
            raise NotFoundError("This device made no such invite.")
        return row

    def _require_admin(self, replica: Group) -> None:
        replica.require_membership()
        if replica.role_of(self._context.device) is not Role.ADMIN:
            raise NotPermittedError("Only an admin of this group can let others in.")
