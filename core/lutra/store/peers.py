"""What other devices are known to hold, and where they were last met."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lutra.operation import LogKey
from lutra.store.connection import Connection, Row
from lutra.store.logs import LOG_NUMBER, intern_logs

_ADDRESSES_PER_DEVICE = 16


class Acknowledgements:
    """How far each device has said it durably holds each log."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def record(self, device: bytes, heads: Sequence[tuple[LogKey, int]]) -> None:
        """Record what ``device`` says it holds; a lower number than before changes nothing."""
        with self._connection.transaction():
            self._connection.run("INSERT OR IGNORE INTO devices (device) VALUES (?)", (device,))
            row = self._connection.row("SELECT number FROM devices WHERE device = ?", (device,))
            number = None if row is None else row[0]
            numbers = intern_logs(self._connection, {key for key, _ in heads}, None)
            self._connection.run_many(
                "INSERT INTO acknowledgements (log, device, seq_num) VALUES (?, ?, ?) "
                "ON CONFLICT (log, device) DO UPDATE "
                "SET seq_num = excluded.seq_num WHERE excluded.seq_num > seq_num",
                [(numbers[key], number, seq_num) for key, seq_num in heads],
            )

    def holders(self, key: LogKey, seq_num: int) -> set[bytes]:
        """Return the devices that hold a log up to ``seq_num`` or further."""
        return {
            row[0]
            for row in self._connection.rows(
                "SELECT d.device FROM acknowledgements a JOIN devices d "  # noqa: S608
                f"ON d.number = a.device WHERE a.log = {LOG_NUMBER} AND a.seq_num >= ?",
                (key.log, key.author, seq_num),
            )
        }

    def of(self, device: bytes) -> dict[LogKey, int]:
        """Return how far ``device`` holds each log it has acknowledged."""
        return {
            LogKey(row[0], row[1]): row[2]
            for row in self._connection.rows(
                "SELECT l.author, l.log, a.seq_num FROM acknowledgements a "
                "JOIN logs l ON l.number = a.log JOIN devices d ON d.number = a.device "
                "WHERE d.device = ?",
                (device,),
            )
        }


@dataclass(frozen=True, slots=True)
class AddressRow:
    """An address at which a device was met.

    Attributes:
        device: the device's key.
        host: address or name.
        port: TCP port.
        last_seen: when it was last met there, in milliseconds.
        source: how it was learnt, for example ``"mdns"`` or ``"typed"``.
    """

    device: bytes
    host: str
    port: int
    last_seen: int
    source: str


_AddressList = list[AddressRow]


class Addresses:
    """Remembered addresses; a device's oldest ones make room for new ones."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def remember(self, row: AddressRow) -> None:
        """Record that a device was met at an address."""
        with self._connection.transaction():
            self._connection.run(
                "INSERT INTO addresses (device, host, port, last_seen, source) "
                "VALUES (?, ?, ?, ?, ?) ON CONFLICT (device, host, port) DO UPDATE SET "
                "last_seen = excluded.last_seen, source = excluded.source",
                (row.device, row.host, row.port, row.last_seen, row.source),
            )
            self._connection.run(
                "DELETE FROM addresses WHERE device = ?1 AND (host, port) IN (SELECT host, port "
                "FROM addresses WHERE device = ?1 ORDER BY last_seen DESC, host, port "
                "LIMIT -1 OFFSET ?2)",
                (row.device, _ADDRESSES_PER_DEVICE),
            )

    def list(self, device: bytes | None = None) -> _AddressList:
        """Return the addresses of one device, or all, last met first."""
        columns = "SELECT device, host, port, last_seen, source FROM addresses"
        order = "ORDER BY last_seen DESC, device, host, port"
        if device is None:
            rows = self._connection.rows(f"{columns} {order}")
        else:
            rows = self._connection.rows(f"{columns} WHERE device = ? {order}", (device,))
        return [_address_of(row) for row in rows]

    def forget(self, device: bytes) -> None:
        """Forget all addresses of a device."""
        self._connection.run("DELETE FROM addresses WHERE device = ?", (device,))


def _address_of(row: Row) -> AddressRow:
    return AddressRow(*row)
