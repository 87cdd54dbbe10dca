"""Groups, their epochs' secrets, members and invites."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from lutra.store.connection import Connection


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group this device is or was in.

    Attributes:
        id: group id, 32 bytes.
        name: what its members call it.
        discovery_secret: what members recognise each other by on the network.
        created: when it was created, in milliseconds.
        joined: when this device joined, in milliseconds.
        left: this device has left or was removed.
        state: serialised state of the layer that manages the group; opaque here.
    """

    id: bytes
    name: str
    discovery_secret: bytes = field(repr=False)
    created: int
    joined: int
    left: bool = False
    state: bytes = field(default=b"", repr=False)


_Groups = list[GroupRow]


class Groups:
    """All groups."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, row: GroupRow) -> None:
        """Add a group, or replace all that is recorded of it."""
        with self._connection.transaction(full_sync=True):
            self._connection.run(
                "INSERT INTO groups (id, name, discovery_secret, created, joined, has_left, state) "
                "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
                "name = excluded.name, discovery_secret = excluded.discovery_secret, "
                "created = excluded.created, joined = excluded.joined, "
                "has_left = excluded.has_left, state = excluded.state",
                (
                    row.id,
                    row.name,
                    row.discovery_secret,
                    row.created,
                    row.joined,
                    int(row.left),
                    row.state,
                ),
            )

    def get(self, group: bytes) -> GroupRow | None:
        """Return one group, or None."""
        found = self._select("WHERE id = ?", (group,))
        return found[0] if found else None

    def list(self) -> _Groups:
        """Return all groups, those this device has left included, by name."""
        return self._select("ORDER BY name COLLATE NOCASE, id", ())

    def set_state(self, group: bytes, state: bytes) -> None:
        """Record a group's serialised state; it reaches the disk itself with the commit."""
        with self._connection.transaction(full_sync=True):
            self._connection.run("UPDATE groups SET state = ? WHERE id = ?", (state, group))

    def set_name(self, group: bytes, name: str) -> None:
        """Record a group's new name."""
        self._connection.run("UPDATE groups SET name = ? WHERE id = ?", (name, group))

    def set_left(self, group: bytes, left: bool) -> None:
        """Record that this device is out of a group, or in it again."""
        self._connection.run("UPDATE groups SET has_left = ? WHERE id = ?", (int(left), group))

    def _select(self, clause: str, parameters: tuple[bytes, ...]) -> _Groups:
        return [
            GroupRow(
                id=row[0],
                name=row[1],
                discovery_secret=row[2],
                created=row[3],
                joined=row[4],
                left=bool(row[5]),
                state=row[6],
            )
            for row in self._connection.rows(
                "SELECT id, name, discovery_secret, created, joined, has_left, state "  # noqa: S608
                f"FROM groups {clause}",
                parameters,
            )
        ]


class Epochs:
    """The 32-byte data secrets of groups' epochs."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, group: bytes, epoch: bytes, secret: bytes) -> None:
        """Keep an epoch's secret; it has reached the disk when the commit returns."""
        with self._connection.transaction(full_sync=True):
            self._connection.run(
                "INSERT INTO epochs (group_id, epoch, secret) VALUES (?, ?, ?) "
                "ON CONFLICT (group_id, epoch) DO UPDATE SET secret = excluded.secret",
                (group, epoch, secret),
            )

    def get(self, group: bytes, epoch: bytes) -> bytes | None:
        """Return an epoch's secret, or None if this device does not have it."""
        row = self._connection.row(
            "SELECT secret FROM epochs WHERE group_id = ? AND epoch = ?", (group, epoch)
        )
        return None if row is None else row[0]

    def all(self, group: bytes) -> dict[bytes, bytes]:
        """Return a group's secrets by epoch, in the order they were put."""
        return {
            row[0]: row[1]
            for row in self._connection.rows(
                "SELECT epoch, secret FROM epochs WHERE group_id = ? ORDER BY number", (group,)
            )
        }


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A device in a group's roster, as the control operations make it.

    Attributes:
        device: the device's key.
        person_name: name of the person it belongs to.
        device_name: name of the device.
        role: role in the group.
        added_time: when it was added, in milliseconds.
        removed: it has been removed.
    """

    device: bytes
    person_name: str
    device_name: str
    role: str
    added_time: int
    removed: bool = False


_Members = list[MemberRow]


class Members:
    """Rosters of groups; a view that can be made again from the control operations."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def replace_all(self, group: bytes, rows: Iterable[MemberRow]) -> None:
        """Put ``rows`` in the place of everything known about a group's roster."""
        with self._connection.transaction():
            self._connection.run("DELETE FROM members WHERE group_id = ?", (group,))
            self._connection.run_many(
                "INSERT INTO members (group_id, device, person_name, device_name, role, "
                "added_time, removed) VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        group,
                        row.device,
                        row.person_name,
                        row.device_name,
                        row.role,
                        row.added_time,
                        int(row.removed),
                    )
                    for row in rows
                ],
            )

    def list(self, group: bytes) -> _Members:
        """Return a group's roster, removed devices included, in the order of adding."""
        return [
            MemberRow(*row[:5], removed=bool(row[5]))
            for row in self._connection.rows(
                "SELECT device, person_name, device_name, role, added_time, removed "
                "FROM members WHERE group_id = ? ORDER BY added_time, device",
                (group,),
            )
        ]

    def get(self, group: bytes, device: bytes) -> MemberRow | None:
        """Return one device of a group's roster, or None."""
        row = self._connection.row(
            "SELECT device, person_name, device_name, role, added_time, removed "
            "FROM members WHERE group_id = ? AND device = ?",
            (group, device),
        )
        return None if row is None else MemberRow(*row[:5], removed=bool(row[5]))


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
    """

    id: bytes
    group: bytes
    secret: bytes = field(repr=False)
    role: str
    expires: int
    uses_left: int
    revoked: bool = False


_Invites = list[InviteRow]


class Invites:
    """Invites this device has given out."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, row: InviteRow) -> None:
        """Add an invite, or replace it."""
        self._connection.run(
            "INSERT OR REPLACE INTO invites (id, group_id, secret, role, expires, uses_left, "
            "revoked) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                row.id,
                row.group,
                row.secret,
                row.role,
                row.expires,
                row.uses_left,
                int(row.revoked),
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
            InviteRow(*row[:6], revoked=bool(row[6]))
            for row in self._connection.rows(
                "SELECT id, group_id, secret, role, expires, uses_left, revoked "  # noqa: S608
                f"FROM invites {clause}",
                parameters,
            )
        ]
