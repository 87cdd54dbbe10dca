"""Groups, their epochs' secrets, and members."""

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
        state: serialised secrets of the layer that manages the group; opaque here.
        form: 2 for groups with MLS; 1 for those of an earlier Lutra, which are only read.
        personal: it holds nobody but this person's own devices.
        profile: what newcomers may read; a number of the layer that manages the group.
    """

    id: bytes
    name: str
    discovery_secret: bytes = field(repr=False)
    created: int
    joined: int
    left: bool = False
    state: bytes = field(default=b"", repr=False)
    form: int = 2
    personal: bool = False
    profile: int = 1


_Groups = list[GroupRow]


class Groups:
    """All groups."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, row: GroupRow) -> None:
        """Add a group, or replace all that is recorded of it."""
        with self._connection.transaction(full_sync=True):
            self._connection.run(
                "INSERT INTO groups (id, name, discovery_secret, created, joined, has_left, state, "
                "form, personal, profile) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (id) DO UPDATE SET "
                "name = excluded.name, discovery_secret = excluded.discovery_secret, "
                "created = excluded.created, joined = excluded.joined, "
                "has_left = excluded.has_left, state = excluded.state, form = excluded.form, "
                "personal = excluded.personal, profile = excluded.profile",
                (
                    row.id,
                    row.name,
                    row.discovery_secret,
                    row.created,
                    row.joined,
                    int(row.left),
                    row.state,
                    row.form,
                    int(row.personal),
                    row.profile,
                ),
            )

    def get(self, group: bytes) -> GroupRow | None:
        """Return one group, or None."""
        found = self._select("WHERE id = ?", (group,))
        return found[0] if found else None

    def is_out(self, group: bytes) -> bool:
        """Tell whether this device is not in a group (any more)."""
        row = self._connection.row("SELECT has_left FROM groups WHERE id = ?", (group,))
        return row is None or bool(row[0])

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
                form=row[7],
                personal=bool(row[8]),
                profile=row[9],
            )
            for row in self._connection.rows(
                "SELECT id, name, discovery_secret, created, joined, has_left, state, form, "  # noqa: S608
                f"personal, profile FROM groups {clause}",
                parameters,
            )
        ]


class Epochs:
    """Data secrets that were handed over and wait for the operations that prove them right."""

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

    def delete(self, group: bytes, epoch: bytes) -> None:
        """Forget a secret: it is kept in the group's own state now."""
        self._connection.run("DELETE FROM epochs WHERE group_id = ? AND epoch = ?", (group, epoch))

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
        person: id of the person it belongs to; empty in groups of an earlier Lutra.
    """

    device: bytes
    person_name: str
    device_name: str
    role: str
    added_time: int
    removed: bool = False
    person: bytes = b""


_Members = list[MemberRow]


class Members:
    """Rosters of groups; a view that can be made again from the control operations."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, group: bytes, rows: Iterable[MemberRow], gone: Iterable[bytes] = ()) -> None:
        """Add devices to a group's roster, or replace what it says of them.

        Args:
            group: the group.
            rows: the devices.
            gone: devices that the roster does not name any more, not even as removed.
        """
        with self._connection.transaction():
            self._connection.run_many(
                "DELETE FROM members WHERE group_id = ? AND device = ?",
                [(group, device) for device in gone],
            )
            self._connection.run_many(
                "INSERT OR REPLACE INTO members (group_id, device, person_name, device_name, role, "
                "added_time, removed, person) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        group,
                        row.device,
                        row.person_name,
                        row.device_name,
                        row.role,
                        row.added_time,
                        int(row.removed),
                        row.person,
                    )
                    for row in rows
                ],
            )

    def list(self, group: bytes) -> _Members:
        """Return a group's roster, removed devices included, in the order of adding."""
        return [
            MemberRow(*row[:5], removed=bool(row[5]), person=row[6])
            for row in self._connection.rows(
                "SELECT device, person_name, device_name, role, added_time, removed, person "
                "FROM members WHERE group_id = ? ORDER BY added_time, device",
                (group,),
            )
        ]

    def get(self, group: bytes, device: bytes) -> MemberRow | None:
        """Return one device of a group's roster, or None."""
        row = self._connection.row(
            "SELECT device, person_name, device_name, role, added_time, removed, person "
            "FROM members WHERE group_id = ? AND device = ?",
            (group, device),
        )
        return None if row is None else MemberRow(*row[:5], removed=bool(row[5]), person=row[6])

    def has_any(self, group: bytes) -> bool:
        """Tell whether anything is known of a group's roster."""
        found = self._connection.row("SELECT 1 FROM members WHERE group_id = ? LIMIT 1", (group,))
        return found is not None

    def persons_of(self, device: bytes) -> dict[bytes, bytes]:
        """Return group → the person that a device belongs to there, for all its groups."""
        rows = self._connection.rows(
            "SELECT group_id, person FROM members WHERE device = ?", (device,)
        )
        return {row[0]: row[1] for row in rows}

    def present(self) -> frozenset[bytes]:
        """Return the devices that are in a group that this device has not left."""
        return self._present("device")

    def present_persons(self) -> frozenset[bytes]:
        """Return the persons that are in a group that this device has not left."""
        return self._present("person") - {b""}

    def _present(self, column: str) -> frozenset[bytes]:
        rows = self._connection.rows(
            f"SELECT DISTINCT {column} FROM members JOIN groups ON groups.id = members.group_id "  # noqa: S608
            "WHERE removed = 0 AND has_left = 0"
        )
        return frozenset(row[0] for row in rows)
