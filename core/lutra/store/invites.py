"""Invites this device has given out, and the requests of those who use them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from lutra.store.connection import Connection


class ShortState(IntEnum):
    """What became of an invite's short code. Numbers are part of the database's format."""

    NONE = 0
    """There is none."""
    OPEN = 1
    """It can be used, once."""
    USED = 2
    """Somebody knew it."""
    GUESSED = 3
    """Somebody tried it with wrong words."""


@dataclass(frozen=True, slots=True)
class InviteRow:
    """An invite this device has given out.

    Attributes:
        id: what names it here.
        group: the group it leads into.
        secret: the one-time secret it carries.
        role: role of whoever uses it.
        expires: until when it is good, in milliseconds.
        uses_left: how many may still use it.
        revoked: it was taken back.
        by_hand: whoever uses it waits until a person here approves.
        created: when it was made, in milliseconds.
        with_address: its link tells where this device is.
        comparison: digits that both sides see already, of an invite handed over nearby.
        short_secret: the words of its short code; empty if it has none.
        short_number: that code's public number.
        short_state: what became of that code.
        short_expires: until when that code is good, in milliseconds.
    """

    id: bytes
    group: bytes
    secret: bytes = field(repr=False)
    role: str
    expires: int
    uses_left: int
    revoked: bool = False
    by_hand: bool = False
    created: int = 0
    with_address: bool = True
    comparison: str = ""
    short_secret: bytes = field(default=b"", repr=False)
    short_number: int = 0
    short_state: ShortState = ShortState.NONE
    short_expires: int = 0


_COLUMNS = (
    "id, group_id, secret, role, expires, uses_left, revoked, by_hand, created, with_address, "
    "comparison, short_secret, short_number, short_state, short_expires"
)
_Invites = list[InviteRow]


class Invites:
    """Invites this device has given out."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, row: InviteRow) -> None:
        """Add an invite, or replace it."""
        self._connection.run(
            f"INSERT OR REPLACE INTO invites ({_COLUMNS}) "  # noqa: S608
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                row.id,
                row.group,
                row.secret,
                row.role,
                row.expires,
                row.uses_left,
                int(row.revoked),
                int(row.by_hand),
                row.created,
                int(row.with_address),
                row.comparison,
                row.short_secret,
                row.short_number,
                int(row.short_state),
                row.short_expires,
            ),
        )

    def get(self, invite: bytes) -> InviteRow | None:
        """Return one invite, or None."""
        found = self._select("WHERE id = ?", (invite,))
        return found[0] if found else None

    def list(self, group: bytes | None = None) -> _Invites:
        """Return the invites into one group, or all, soonest to expire first."""
        if group is None:
            return self._select("ORDER BY expires, id", ())
        return self._select("WHERE group_id = ? ORDER BY expires, id", (group,))

    def use(self, invite: bytes, now: int) -> bool:
        """Take one use of an invite; False if it is used up, expired, revoked or unknown."""
        return (
            self._connection.run(
                "UPDATE invites SET uses_left = uses_left - 1 "
                "WHERE id = ? AND uses_left > 0 AND revoked = 0 AND expires > ?",
                (invite, now),
            )
            == 1
        )

    def revoke(self, invite: bytes) -> None:
        """Take an invite back."""
        self._connection.run("UPDATE invites SET revoked = 1 WHERE id = ?", (invite,))

    def set_short_state(self, invite: bytes, state: ShortState) -> None:
        """Note what became of an invite's short code."""
        self._connection.run(
            "UPDATE invites SET short_state = ? WHERE id = ?", (int(state), invite)
        )

    def forget(self, before: int) -> None:
        """Forget invites that expired before a time, and requests that came by them."""
        self._connection.run(
            "DELETE FROM join_requests WHERE invite IN (SELECT id FROM invites WHERE expires < ?)",
            (before,),
        )
        self._connection.run("DELETE FROM invites WHERE expires < ?", (before,))

    def _select(self, clause: str, parameters: tuple[bytes, ...]) -> _Invites:
        return [
            InviteRow(
                *row[:6],
                revoked=bool(row[6]),
                by_hand=bool(row[7]),
                created=row[8],
                with_address=bool(row[9]),
                comparison=row[10],
                short_secret=row[11],
                short_number=row[12],
                short_state=ShortState(row[13]),
                short_expires=row[14],
            )
            for row in self._connection.rows(
                f"SELECT {_COLUMNS} FROM invites {clause}",  # noqa: S608
                parameters,
            )
        ]


class RequestState(IntEnum):
    """What became of somebody's wish to join. The numbers are part of the database's format."""

    WAITING = 0
    """Somebody here has to decide."""
    APPROVED = 1
    """It was let in, but may not know yet."""
    DECLINED = 2
    """Its person is not let in by this invite."""


@dataclass(frozen=True, slots=True)
class JoinRequestRow:
    """Somebody who proved to hold an invite of this device and wants to be let in.

    Attributes:
        invite: the invite's id.
        device: the asking device's key.
        person: id of its person.
        name: how that person wants to be called.
        device_name: how the device is called.
        time: when it asked first, in milliseconds.
        state: whether somebody here has decided.
        ticket: the secret by which it comes back.
        comparison: the digits both sides show.
        evidence: statements that say which person it belongs to, encoded.
    """

    invite: bytes
    device: bytes
    person: bytes
    name: str
    device_name: str
    time: int
    state: RequestState = RequestState.WAITING
    ticket: bytes = field(default=b"", repr=False)
    comparison: str = ""
    evidence: bytes = field(default=b"", repr=False)


_REQUEST_COLUMNS = (
    "invite, device, person, name, device_name, time, state, ticket, comparison, evidence"
)
_Requests = list[JoinRequestRow]


class JoinRequests:
    """Who wants to be let in by invites of this device."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, row: JoinRequestRow) -> None:
        """Add a request, or replace it."""
        self._connection.run(
            f"INSERT OR REPLACE INTO join_requests ({_REQUEST_COLUMNS}) "  # noqa: S608
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                row.invite,
                row.device,
                row.person,
                row.name,
                row.device_name,
                row.time,
                int(row.state),
                row.ticket,
                row.comparison,
                row.evidence,
            ),
        )

    def get(self, invite: bytes, device: bytes) -> JoinRequestRow | None:
        """Return one request, or None."""
        return next(
            (row for row in self.list() if (row.invite, row.device) == (invite, device)), None
        )

    def list(self) -> _Requests:
        """Return all requests, oldest first."""
        return [
            JoinRequestRow(
                *row[:6],
                state=RequestState(row[6]),
                ticket=row[7],
                comparison=row[8],
                evidence=row[9],
            )
            for row in self._connection.rows(
                f"SELECT {_REQUEST_COLUMNS} FROM join_requests ORDER BY time, device"  # noqa: S608
            )
        ]

    def delete(self, invite: bytes, device: bytes) -> None:
        """Forget a request."""
        self._connection.run(
            "DELETE FROM join_requests WHERE invite = ? AND device = ?", (invite, device)
        )
