"""Invites this device was given and tries to come in by."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from lutra.store.connection import Connection


class JoinState(IntEnum):
    """How far this device has come with an invite. Numbers are part of the database's format."""

    SEEKING = 0
    """The inviting device has not been met yet."""
    WAITING = 1
    """It was met, and somebody there has to approve."""
    REFUSED = 2
    """It will not let this device in, or the short code is used up."""
    EXPIRED = 3
    """It was not found for so long that this device looks no more."""


@dataclass(frozen=True, slots=True)
class JoinRow:
    """An invite this device was given and has not come in by yet.

    Attributes:
        invite: the invite's id.
        secret: its secret.
        number: the public number of a short code; None for a code or link.
        addresses: where the inviting device may be, ``host:port`` separated by commas.
        time: since when, in milliseconds.
        state: how far it has come.
        ticket: the secret to come back with, once this device has introduced itself.
        comparison: the digits both sides show; empty before that.
        inviter: name of who invites, where it was told (nearby).
        reason: one sentence, once it is refused or expired.
    """

    invite: bytes
    secret: bytes = field(repr=False)
    number: int | None
    addresses: str
    time: int
    state: JoinState = JoinState.SEEKING
    ticket: bytes = field(default=b"", repr=False)
    comparison: str = ""
    inviter: str = ""
    reason: str = ""


_COLUMNS = "invite, secret, number, addresses, time, state, ticket, comparison, inviter, reason"
_Joins = list[JoinRow]


class Joins:
    """Invites this device is using."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, row: JoinRow) -> None:
        """Add an invite, or replace it."""
        self._connection.run(
            f"INSERT OR REPLACE INTO joins ({_COLUMNS}) "  # noqa: S608
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                row.invite,
                row.secret,
                row.number,
                row.addresses,
                row.time,
                int(row.state),
                row.ticket,
                row.comparison,
                row.inviter,
                row.reason,
            ),
        )

    def get(self, invite: bytes) -> JoinRow | None:
        """Return one invite, or None."""
        return next((row for row in self.list() if row.invite == invite), None)

    def list(self) -> _Joins:
        """Return all, oldest first."""
        return [
            JoinRow(
                *row[:5],
                state=JoinState(row[5]),
                ticket=row[6],
                comparison=row[7],
                inviter=row[8],
                reason=row[9],
            )
            for row in self._connection.rows(
                f"SELECT {_COLUMNS} FROM joins ORDER BY time, invite"  # noqa: S608
            )
        ]

    def delete(self, invite: bytes) -> None:
        """Forget an invite: it was used, or given up."""
        self._connection.run("DELETE FROM joins WHERE invite = ?", (invite,))
