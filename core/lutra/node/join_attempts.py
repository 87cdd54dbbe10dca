"""Invites this device was given: kept until it is let in, refused, or has waited too long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import Enum

from lutra.errors import NotFoundError, UsageError
from lutra.groups.errors import InviteError, JoinRefusedError
from lutra.groups.invite import Joiner, JoinRequest
from lutra.groups.invite_keys import Channel
from lutra.groups.invite_secret import InviteSecret
from lutra.node.context import Context
from lutra.node.events import JoinChanged
from lutra.node.group_registry import GroupRegistry
from lutra.node.new_identity import DEVICE_NAME, PERSON_NAME
from lutra.node.person_registry import PersonRegistry
from lutra.store.joins import JoinRow, JoinState

MAX_ATTEMPTS = 64
PATIENCE = 30 * 24 * 3600 * 1000
"""How long an attempt goes on, in milliseconds."""
SHORT_PATIENCE = 24 * 3600 * 1000
"""The same for a short code whose device was not met, in milliseconds."""
CODE_SPENT = (
    "Either the words were not right, or another device answered. This code cannot be used any "
    "more: ask for a new one."
)


class Step(Enum):
    """What a frame of the inviting device led to."""

    GOES_ON = "goes on"
    WAITING = "waiting"
    ADMITTED = "admitted"
    REFUSED = "refused"
    UNPROVEN = "unproven"
    """Whoever answered did not show that it made the invite."""


class JoinAttempts:
    """Invites this device uses; every change is in the store when a call returns."""

    def __init__(self, context: Context, groups: GroupRegistry, persons: PersonRegistry) -> None:
        self._context = context
        self._groups = groups
        self._persons = persons

    def begin(
        self,
        secret: InviteSecret,
        addresses: Sequence[str],
        *,
        comparison: str = "",
        inviter: str = "",
    ) -> JoinRow:
        """Begin to use an invite; one that is in use goes on, at more addresses.

        Args:
            secret: the invite's.
            addresses: where its device may be.
            comparison: digits that both sides show already.
            inviter: who invites, where it is known.

        Raises:
            UsageError: it is an invite of this device, or too many are in use.
            InviteError: a short code that was tried already.
        """
        self.refuse_own(secret)
        store = self._context.store
        row = store.joins.get(secret.id)
        if row is None and len(store.joins.list()) >= MAX_ATTEMPTS:
            raise UsageError("Too many invites are being used at once; give some of them up.")
        if row is not None and row.state is JoinState.REFUSED and secret.is_short:
            raise InviteError(CODE_SPENT)
        now = self._context.now()
        if row is None or row.state in (JoinState.REFUSED, JoinState.EXPIRED):
            row = JoinRow(secret.id, secret.secret, secret.number, "", now)
        known = [one for one in row.addresses.split(",") if one]
        row = replace(
            row,
            addresses=",".join(dict.fromkeys([*addresses, *known])),
            comparison=comparison or row.comparison,
            inviter=inviter or row.inviter,
        )
        self._put(row)
        return row

    def refuse_own(self, secret: InviteSecret) -> None:
        """Check that an invite is somebody else's.

        Raises:
            UsageError: this device made it.
        """
        if self._context.store.invites.get(secret.id) is not None:
            raise UsageError("This invite is your own: give it to somebody else.")

    def list(self) -> list[JoinRow]:
        """Return the invites this device uses, or has used in vain."""
        return self._context.store.joins.list()

    def active(self) -> list[JoinRow]:
        """Return those that go on."""
        return [row for row in self.list() if row.state in (JoinState.SEEKING, JoinState.WAITING)]

    def cancel(self, join: bytes) -> None:
        """Give an invite up, or forget one that was refused.

        Raises:
            NotFoundError: there is none.
        """
        self.row(join)
        self._context.store.joins.delete(join)
        self._context.outbox.emit(JoinChanged(join, "cancelled"))

    def tend(self) -> bool:
        """Give up what has gone on for too long; True if something was."""
        now = self._context.now()
        stale = [
            row
            for row in self.active()
            if now - row.time > (PATIENCE if row.number is None or row.ticket else SHORT_PATIENCE)
        ]
        for row in stale:
            reason = "The inviting device was not found for a long time. Ask for a new invite."
            self._put(replace(row, state=JoinState.EXPIRED, reason=reason))
        return bool(stale)

    def row(self, join: bytes) -> JoinRow:
        """Return one.

        Raises:
            NotFoundError: there is none.
        """
        row = self._context.store.joins.get(join)
        if row is None:
            raise NotFoundError("There is no such attempt to join.")
        return row

    # The exchange

    def secrets(self, join: bytes) -> list[InviteSecret]:
        """Return what to try at a device that may have made an invite, in this order."""
        row = self.row(join)
        own = InviteSecret(row.secret, row.number)
        if not row.ticket:
            return [own]
        # A short code was given away with the first proof, and who waits is known by its ticket.
        ticket = InviteSecret(row.ticket)
        alone = own.is_short or row.state is JoinState.WAITING
        return [ticket] if alone else [ticket, own]

    def open(self, join: bytes, secret: InviteSecret, channel: Channel) -> Joiner:
        """Return this device's side of an exchange."""
        self.row(join)
        identity = (self._context.device, self._persons.evidence(), *self._names())
        sign, random = self._context.key.sign, self._context.random
        return Joiner(secret, JoinRequest(*identity), sign, channel, random)

    def receive(
        self, join: bytes, secret: InviteSecret, joiner: Joiner, frame: bytes
    ) -> tuple[Step, bytes | None]:
        """Take a frame of the inviting device; returns what it led to, and the answer.

        What has to be known after a crash is in the store before the answer is sent.

        Raises:
            NotFoundError: the attempt was given up meanwhile.
            RemoteError: the frame has not its form.
        """
        row = self.row(join)
        try:
            answer = joiner.receive(frame)
        except JoinRefusedError as error:
            return self._refused(row, secret, joiner, error), None
        if answer is not None:
            if secret.secret != row.ticket:
                assert joiner.ticket is not None
                # Both sides keep the digits of this exchange; those of nearby people are older.
                digits = row.comparison if row.inviter else joiner.comparison
                with self._context.store.transaction(full_sync=True):
                    self._put(replace(row, ticket=joiner.ticket.secret, comparison=digits))
            return Step.GOES_ON, answer
        if joiner.admission is not None:
            given = joiner.admission
            if not self._groups.adopt(given.group, given.discovery_secret):
                self._groups.reopen(given.group)
            self._context.store.joins.delete(join)
            self._context.outbox.emit(JoinChanged(join, "admitted", given.group))
            offer = self._groups.offer(given.group, given.suite)
            return Step.ADMITTED, None if offer is None else joiner.offer(offer)
        self._put(replace(row, state=JoinState.WAITING, reason=""))
        return Step.WAITING, None

    def refuse(self, join: bytes, reason: str) -> None:
        """Note that an invite leads nowhere."""
        self._put(replace(self.row(join), state=JoinState.REFUSED, reason=reason))

    # Inside

    def _refused(
        self, row: JoinRow, secret: InviteSecret, joiner: Joiner, error: JoinRefusedError
    ) -> Step:
        if error.details.get("proven") is True:
            self.refuse(row.invite, error.message)
            return Step.REFUSED
        if secret.is_short and joiner.has_proven:
            self.refuse(row.invite, CODE_SPENT)
            return Step.REFUSED
        return Step.UNPROVEN

    def _put(self, row: JoinRow) -> None:
        before = self._context.store.joins.get(row.invite)
        self._context.store.joins.put(row)
        if before != row:
            state = row.state.name.lower()
            self._context.outbox.emit(JoinChanged(row.invite, state, b"", row.reason))

    def _names(self) -> tuple[str, str]:
        settings = self._context.store.settings
        return str(settings.get(PERSON_NAME) or ""), str(settings.get(DEVICE_NAME) or "")
