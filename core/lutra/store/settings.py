"""Settings of this profile, and named secrets."""

from __future__ import annotations

from lutra.store.connection import Connection


class Settings:
    """Small named values."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, key: str) -> bytes | str | int | None:
        """Return the value of ``key``, or None if it is not set."""
        row = self._connection.row("SELECT value FROM settings WHERE key = ?", (key,))
        return None if row is None else row[0]

    def set(self, key: str, value: bytes | str | int | None) -> None:
        """Set ``key``; None removes it."""
        if value is None:
            self._connection.run("DELETE FROM settings WHERE key = ?", (key,))
            return
        self._connection.run(
            "INSERT INTO settings (key, value) VALUES (?, ?) "
            "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (key, value),
        )


class Keys:
    """Named secrets (``device``, ``noise``, …); they exist in the encrypted database only."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, name: str) -> bytes | None:
        """Return the secret called ``name``, or None."""
        row = self._connection.row("SELECT secret FROM keys WHERE name = ?", (name,))
        return None if row is None else row[0]

    def put(self, name: str, secret: bytes) -> None:
        """Keep ``secret`` under ``name``; it has reached the disk when the commit returns."""
        with self._connection.transaction(full_sync=True):
            self._connection.run(
                "INSERT INTO keys (name, secret) VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET secret = excluded.secret",
                (name, secret),
            )

    def delete(self, name: str) -> None:
        """Forget the secret called ``name``."""
        with self._connection.transaction(full_sync=True):
            self._connection.run("DELETE FROM keys WHERE name = ?", (name,))
