"""Invites: given out by this device, requests of those who use them, and those it uses itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from lutra.store.connection import Connection


@dataclass(frozen=True, slots=True)
class InviteRow:
    """An invite this device has given out.

    Attributes:
        id: what names it on the network.
        group: the group it leads into.
        secret: the one-time secret it carries.
        role: role of whoever uses it.
        expires: until when it is good, in milliseconds.
        uses_left: how many may still use it.
        revoked: it was taken back.
        by_hand: whoever uses it waits until a person here approves.
        created: when it was made, in milliseconds.
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


_Invites = list[InviteRow]


class Invites:
    """Invites this device has given out."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, row: InviteRow) -> None:
        """Add an invite, or replace it."""
        self._connection.run(
            "INSERT OR REPLACE INTO invites (id, group_id, secret, role, expires, uses_left, "
            "revoked, by_hand, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
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

    def _select(self, clause: str, parameters: tuple[bytes, ...]) -> _Invites:
        return [
            InviteRow(*row[:6], revoked=bool(row[6]), by_hand=bool(row[7]), created=row[8])
            for row in self._connection.rows(
                "SELECT id, group_id, secret, role, expires, uses_left, revoked, by_hand, "  # noqa: S608
                f"created FROM invites {clause}",
                parameters,
            )
        ]


class RequestState(IntEnum):
    """What became of somebody's wish to join. The numbers are part of the database's format."""

    WAITING = 0
    APPROVED = 1
    DECLINED = 2


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
    """

    invite: bytes
    device: bytes
    person: bytes
    name: str
    device_name: str
    time: int
    state: RequestState = RequestState.WAITING


_Requests = list[JoinRequestRow]


class JoinRequests:
    """Who wants to be let in by invites of this device."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, row: JoinRequestRow) -> None:
        """Add a request, or replace it."""
        self._connection.run(
            "INSERT OR REPLACE INTO join_requests (invite, device, person, name, device_name, "
            "time, state) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                row.invite,
                row.device,
                row.person,
                row.name,
                row.device_name,
                row.time,
                int(row.state),
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
            JoinRequestRow(*row[:6], state=RequestState(row[6]))
            for row in self._connection.rows(
                "SELECT invite, device, person, name, device_name, time, state "
                "FROM join_requests ORDER BY time, device"
            )
        ]

    def delete(self, invite: bytes, device: bytes) -> None:
        """Forget a request."""
        self._connection.run(
            "DELETE FROM join_requests WHERE invite = ? AND device = ?", (invite, device)
        )


class JoinState(IntEnum):
    """How far this device has come with an invite. Numbers are part of the database's format."""

    SEEKING = 0
    """The inviting device has not been met yet."""
    WAITING = 1
    """It was met, and somebody there has to approve."""


@dataclass(frozen=True, slots=True)
class JoinRow:
    """An invite this device was given and has not come in by yet.

    Attributes:
        invite: the invite's id.
        secret: its secret.
        addresses: where the inviting device may be, ``host:port`` separated by commas.
        time: since when, in milliseconds.
        state: how far it has come.
    """

    invite: bytes
    secret: bytes = field(repr=False)
    addresses: str
    time: int
    state: JoinState = JoinState.SEEKING


_Joins = list[JoinRow]


class Joins:
    """Invites this device is using."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, row: JoinRow) -> None:
        """Add an invite, or replace it."""
        self._connection.run(
            "INSERT OR REPLACE INTO joins (invite, secret, addresses, time, state) "
            "VALUES (?, ?, ?, ?, ?)",
            (row.invite, row.secret, row.addresses, row.time, int(row.state)),
        )

    def list(self) -> _Joins:
        """Return all, oldest first."""
        return [
            JoinRow(*row[:4], state=JoinState(row[4]))
            for row in self._connection.rows(
                "SELECT invite, secret, addresses, time, state FROM joins ORDER BY time, invite"
            )
        ]

    def delete(self, invite: bytes) -> None:
        """Forget an invite: it was used, or given up."""
        self._connection.run("DELETE FROM joins WHERE invite = ?", (invite,))
