"""Invites of this device, who asks to be let in by them, and letting them in."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from lutra.codec import decode, encode
from lutra.crypto.hashing import equal_constant_time
from lutra.errors import NotFoundError, NotPermittedError, UsageError
from lutra.groups.contents import Offer, Role
from lutra.groups.errors import InviteError
from lutra.groups.group import Group
from lutra.groups.invite import (
    PENDING,
    Admission,
    Derived,
    Found,
    JoinRequest,
    Refusal,
    Verdict,
)
from lutra.groups.invite_keys import NUMBER_BYTES, Channel, locator
from lutra.groups.invite_secret import InviteSecret
from lutra.node.context import Context
from lutra.node.events import InvitesChanged, JoinRequested, MemberJoined, Trouble
from lutra.node.group_registry import GroupRegistry
from lutra.node.person_registry import PersonRegistry
from lutra.store.invites import InviteRow, JoinRequestRow, RequestState, ShortState

INVITE_LIFETIME = 7 * 24 * 3600 * 1000
"""How long an invite is good unless said otherwise, in milliseconds."""
SHORT_LIFETIME = 3600 * 1000
"""How long a short code is good, in milliseconds: its number may be somebody else's too."""
MAX_LIFETIME = 365 * 24 * 3600 * 1000
MAX_USES = 1000
MAX_INVITES = 256
"""Invites of this device that can be used at a time."""
MAX_REQUESTS = 256
"""Requests that wait for a decision at a time."""
_KEPT = 30 * 24 * 3600 * 1000
"""How long an invite that has expired is remembered, in milliseconds: requests may wait."""


class Invitations:
    """Invites into this device's groups; every change is in the store when a call returns.

    Implements `lutra.groups.invite.Desk`.
    """

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
        short: bool = False,
        with_address: bool = True,
    ) -> InviteRow:
        """Make an invite.

        Args:
            group: where it leads.
            role: role of whoever uses it.
            uses: how many persons may use it.
            lifetime: how long it is good, in milliseconds.
            by_hand: whoever uses it waits until somebody here approves.
            short: it has a short code too; see `renew_short`.
            with_address: its link tells where this device is.

        Raises:
            UsageError: uses or lifetime are out of bounds, or there are too many invites.
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
        self._groups.take_office(group)
        now = context.now()
        context.store.invites.forget(now - _KEPT)
        if (
            len([row for row in context.store.invites.list() if self._is_usable(row)])
            >= MAX_INVITES
        ):
            raise UsageError("There are too many invites at once; withdraw some of them.")
        secret = InviteSecret.generate(context.random)
        row = InviteRow(
            secret.id,
            group,
            secret.secret,
            role.name.lower(),
            now + lifetime,
            uses,
            by_hand=by_hand,
            created=now,
            with_address=with_address,
        )
        context.store.invites.put(self._with_short(row) if short else row)
        context.outbox.emit(InvitesChanged(group))
        return self.row(row.id)

    def renew_short(self, invite: bytes) -> InviteRow:
        """Give an invite a new short code: good for an hour and one try.

        Raises:
            NotFoundError: this device made no such invite.
            InviteError: the invite cannot be used any more.
        """
        row = self.row(invite)
        if not self._is_usable(row):
            raise InviteError("This invite was used up or withdrawn, or has expired.")
        self._context.store.invites.put(self._with_short(row))
        self._context.outbox.emit(InvitesChanged(row.group))
        return self.row(invite)

    def set_comparison(self, invite: bytes, comparison: str) -> None:
        """Note the digits that both sides see already, before the invite is used."""
        self._context.store.invites.put(replace(self.row(invite), comparison=comparison))

    def revoke(self, invite: bytes) -> None:
        """Take an invite back; whoever waits to be let in by it is refused.

        Raises:
            NotFoundError: this device made no such invite.
        """
        row = self.row(invite)
        self._context.store.invites.revoke(invite)
        self._context.outbox.emit(InvitesChanged(row.group))

    def row(self, invite: bytes) -> InviteRow:
        """Return an invite of this device.

        Raises:
            NotFoundError: this device made no such invite.
        """
        row = self._context.store.invites.get(invite)
        if row is None:
            raise NotFoundError("This device made no such invite.")
        return row

    def list(self, group: bytes | None = None) -> list[InviteRow]:
        """Return the invites of this device, those that are over included for some time."""
        return self._context.store.invites.list(group)

    def offered(self) -> list[bytes]:
        """Return the rendezvous at which somebody may look for this device."""
        store = self._context.store
        rows = {row.id: row for row in store.invites.list()}
        offered = [
            InviteSecret(row.secret).rendezvous for row in rows.values() if self._is_usable(row)
        ]
        offered += [_short(row).rendezvous for row in rows.values() if self._has_short(row)]
        offered += [
            InviteSecret(request.ticket).rendezvous
            for request in store.join_requests.list()
            if request.ticket and self._is_awaited(request, rows.get(request.invite))
        ]
        return offered

    def may_admit(self, group: bytes) -> bool:
        """Tell whether this device may let others into a group; its invites count only then."""
        replica = self._groups.find(group)
        return replica is not None and self._is_admin(replica)

    # What the exchange asks (Desk)

    def find(self, where: bytes, channel: Channel) -> Found | None:
        """Return what a locator stands for here; invites that are over included."""
        rows = self._context.store.invites.list()
        if len(where) == NUMBER_BYTES:
            number = int.from_bytes(where, "big")
            codes = [row for row in rows if row.short_number == number and self._has_short(row)]
            return Found(_short(codes[0])) if codes else None
        candidates = [Found(InviteSecret(row.secret)) for row in rows]
        candidates += [
            Found(InviteSecret(row.ticket), is_ticket=True)
            for row in self._context.store.join_requests.list()
            if row.ticket
        ]
        # All are tried, whichever fits, so that timing tells nothing.
        fitting = [
            one for one in candidates if equal_constant_time(where, locator(one.secret, channel))
        ]
        return fitting[0] if fitting else None

    def is_open(self, found: Found) -> bool:
        """Tell whether a proof may still be checked against a secret."""
        return not found.secret.is_short or self._of_short(found.secret) is not None

    def wrong_guess(self, found: Found) -> None:
        """Note that somebody tried a wrong secret; a short code is dead from now on."""
        row = self._of_short(found.secret)
        if row is None:
            return
        store = self._context.store
        with store.transaction(full_sync=True):
            store.invites.set_short_state(row.id, ShortState.GUESSED)
        self._context.outbox.emit(InvitesChanged(row.group))
        name = self._groups.row(row.group).name
        self._context.outbox.emit(
            Trouble(
                "invite.guessed",
                f"Somebody tried the short code for “{name}” with wrong words. It cannot be used "
                "any more; make a new one if you are still waiting for somebody.",
            )
        )

    def ask(self, found: Found, request: JoinRequest, derived: Derived) -> Verdict:
        """Decide on a request, or note it; what was noted is kept under its ticket."""
        noted = self._of_ticket(found.secret) if found.is_ticket else None
        if noted is not None:
            row = self._context.store.invites.get(noted.invite)
        elif found.secret.is_short:
            row = self._of_short(found.secret)
        else:
            row = self._context.store.invites.get(found.secret.id)
        owner = self._persons.owner(request.device, request.evidence)
        if row is None:
            return Verdict(refusal=Refusal.WITHDRAWN)
        if found.secret.is_short:
            self._context.store.invites.set_short_state(row.id, ShortState.USED)
            self._context.outbox.emit(InvitesChanged(row.group))
        if owner is None or (noted is not None and noted.device != request.device):
            return Verdict(refusal=Refusal.PERSON)
        person, evidence = owner
        earlier = self._context.store.join_requests.get(row.id, request.device)
        asking = JoinRequestRow(
            row.id,
            request.device,
            person,
            request.name,
            request.device_name,
            self._context.now() if earlier is None else earlier.time,
            RequestState.WAITING if earlier is None else earlier.state,
            ticket=derived.ticket.secret,
            comparison=self._comparison(row, noted, derived),
            evidence=encode(list(evidence)),
        )
        return self._judge(row, asking, is_new=earlier is None)

    def verdict(self, ticket: InviteSecret) -> Verdict:
        """Tell what has become of a request that was noted."""
        request = self._of_ticket(ticket)
        row = None if request is None else self._context.store.invites.get(request.invite)
        if request is None or row is None:
            return Verdict(refusal=Refusal.WITHDRAWN)
        if request.state is RequestState.DECLINED:
            return Verdict(refusal=Refusal.DECLINED)
        if request.state is RequestState.APPROVED:
            replica = self._groups.get(row.group)
            if replica.is_member(request.device):
                return self._admission(replica)
            return Verdict(refusal=Refusal.WITHDRAWN)
        return Verdict(refusal=Refusal.WITHDRAWN) if row.revoked else PENDING

    def take_offer(self, group: bytes, offer: Offer) -> None:
        """Carry the key package of a device that was admitted into the group, and add the device.

        Raises:
            RemoteError: the key package is not valid, or not the device's.
        """
        self._groups.carry_offer(group, offer)

    # Deciding

    def requests(self) -> list[tuple[InviteRow, JoinRequestRow]]:
        """Return who waits for somebody's approval, with the invite it came by."""
        rows = {row.id: row for row in self._context.store.invites.list()}
        return [
            (rows[request.invite], request)
            for request in self._context.store.join_requests.list()
            if request.state is RequestState.WAITING
            and request.invite in rows
            and not rows[request.invite].revoked
        ]

    def decide(self, device: bytes, *, approve: bool) -> None:
        """Approve or decline what a device asks for; its person's other devices go with it.

        It is told at once if it is connected, and otherwise when it asks again.

        Raises:
            NotFoundError: no device of this key waits.
            InviteError: the invite was withdrawn or used up meanwhile.
            NotPermittedError: this device cannot let anybody in any more.
        """
        waiting = self.requests()
        chosen = next((pair for pair in waiting if pair[1].device == device), None)
        if chosen is None:
            raise NotFoundError("Nobody with this id waits to be let in.")
        row, request = chosen
        for one_row, one in waiting:
            if one.person != request.person or one_row.group != row.group:
                continue
            if approve:
                refusal = self._let_in(one_row, one, asked=one.time)
                if refusal is not None:
                    raise InviteError(refusal.sentence, refusal=refusal.value)
            state = RequestState.APPROVED if approve else RequestState.DECLINED
            self._context.store.join_requests.put(replace(one, state=state))
        self._context.outbox.emit(InvitesChanged(row.group))

    # Inside

    def _judge(self, row: InviteRow, asking: JoinRequestRow, *, is_new: bool) -> Verdict:
        """Decide on a request whose device and person are proven."""
        replica = self._groups.get(row.group)
        requests = self._context.store.join_requests
        of_person = [
            one for one in requests.list() if (one.invite, one.person) == (row.id, asking.person)
        ]
        if any(one.state is RequestState.DECLINED for one in of_person):
            return Verdict(refusal=Refusal.DECLINED)
        inside = asking.person in replica.roles()
        if not inside and row.by_hand:
            if row.revoked or not self._is_admin(replica) or not is_new:
                return self._wait(row, asking)
            return self._note(row, asking)
        refusal = self._let_in(row, asking, asked=self._context.now())
        if refusal is not None:
            return Verdict(refusal=refusal)
        # Kept, because the answer may get lost on its way.
        requests.put(replace(asking, state=RequestState.APPROVED))
        self._context.outbox.emit(InvitesChanged(row.group))
        return self._admission(replica)

    def _wait(self, row: InviteRow, asking: JoinRequestRow) -> Verdict:
        if row.revoked or asking.state is RequestState.APPROVED:
            # Approved and not inside: it was removed since.
            return Verdict(refusal=Refusal.WITHDRAWN)
        if not self._is_admin(self._groups.get(row.group)):
            return Verdict(refusal=Refusal.WITHDRAWN)
        self._context.store.join_requests.put(asking)
        return PENDING

    def _note(self, row: InviteRow, asking: JoinRequestRow) -> Verdict:
        refusal = self._over(row, self._context.now())
        if refusal is None and len(self.requests()) >= MAX_REQUESTS:
            refusal = Refusal.CROWDED
        if refusal is not None:
            return Verdict(refusal=refusal)
        self._context.store.join_requests.put(asking)
        self._context.outbox.emit(
            JoinRequested(
                row.group, asking.device, asking.name, asking.device_name, asking.comparison
            )
        )
        return PENDING

    def _let_in(self, row: InviteRow, asking: JoinRequestRow, asked: int) -> Refusal | None:
        """Make a device a member; returns why not."""
        replica = self._groups.get(row.group)
        if replica.is_member(asking.device):
            return None
        if row.revoked or not self._is_admin(replica):
            return Refusal.WITHDRAWN
        inside = asking.person in replica.roles()
        refusal = None if inside else self._over(row, asked)
        if refusal is not None:
            return refusal
        self._persons.learn(_evidence(asking.evidence))
        if asking.device not in self._persons.get(asking.person).state.active():
            return Refusal.PERSON
        signer = self._groups.signer(row.group)
        evidence = self._persons.evidence_of(asking.person)
        self._groups.sponsor(asking.device)
        if inside:
            replica.introduce(signer, frozenset(evidence) - replica.evidence)
        else:
            self._context.store.invites.use(row.id, asked)
            replica.add_person(signer, asking.person, Role[row.role.upper()], evidence=evidence)
        self._groups.save(row.group)
        self._context.outbox.emit(MemberJoined(row.group, asking.device))
        return None

    def _over(self, row: InviteRow, now: int) -> Refusal | None:
        """Return why an invite cannot be used at a time, or None."""
        if row.revoked:
            return Refusal.WITHDRAWN
        if row.expires <= now:
            return Refusal.EXPIRED
        return Refusal.USED if row.uses_left < 1 else None

    def _admission(self, replica: Group) -> Verdict:
        secret = replica.discovery_secret
        assert secret is not None
        return Verdict(Admission(replica.id, secret, self._context.device, replica.suite_id))

    def _comparison(self, row: InviteRow, noted: JoinRequestRow | None, derived: Derived) -> str:
        """Return the digits both sides show: once shown, a later exchange does not change them."""
        return row.comparison or (derived.comparison if noted is None else noted.comparison)

    def _with_short(self, row: InviteRow) -> InviteRow:
        now = self._context.now()
        taken = {one.short_number for one in self.list() if self._has_short(one)}
        code = InviteSecret.short(self._context.random, taken)
        return replace(
            row,
            short_secret=code.secret,
            short_number=code.number or 0,
            short_state=ShortState.OPEN,
            short_expires=min(now + SHORT_LIFETIME, row.expires),
        )

    def _is_usable(self, row: InviteRow) -> bool:
        return self._over(row, self._context.now()) is None

    def _has_short(self, row: InviteRow) -> bool:
        now = self._context.now()
        is_open = row.short_state is ShortState.OPEN and row.short_expires > now
        return is_open and self._is_usable(row)

    def _is_awaited(self, request: JoinRequestRow, row: InviteRow | None) -> bool:
        """Tell whether a device that asked may come back for its answer."""
        if row is None or (row.revoked and request.state is not RequestState.APPROVED):
            return False
        members = self._context.store.members.list(row.group)
        # Whoever has published its name has come in.
        return not any(one.device == request.device and one.person_name for one in members)

    def _of_short(self, secret: InviteSecret) -> InviteRow | None:
        found = (row for row in self.list() if self._has_short(row) and _short(row) == secret)
        return next(found, None)

    def _of_ticket(self, ticket: InviteSecret) -> JoinRequestRow | None:
        rows = self._context.store.join_requests.list()
        return next((row for row in rows if row.ticket == ticket.secret), None)

    def _is_admin(self, replica: Group) -> bool:
        return replica.role_of(self._context.device) is Role.ADMIN

    def _require_admin(self, replica: Group) -> None:
        replica.require_membership()
        if not self._is_admin(replica):
            raise NotPermittedError("Only an admin of this group can let others in.")


def _short(row: InviteRow) -> InviteSecret:
    return InviteSecret(row.short_secret, row.short_number)


def _evidence(encoded: bytes) -> list[bytes]:
    return cast("list[bytes]", decode(encoded))
