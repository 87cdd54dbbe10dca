"""A meeting place that stays open after its pairing, for whoever comes with the spent code."""

from __future__ import annotations

import asyncio
import contextlib

from lutra.errors import LutraError
from lutra.identity.pairing_keys import Channel
from lutra.identity.pairing_memory import Spent
from lutra.identity.pairing_spent import Latecomers
from lutra.net.connection import Connection
from lutra.net.tasks import Tasks
from lutra.node.pairing_meeting import Meeting

SILENT_SECONDS = 10.0
"""How long whoever has not proved to know the code may keep the line without saying anything."""
_STAY_SECONDS = 600.0


class LateMeeting:
    """Tells latecomers that the code was used or has expired, while the program runs.

    Args:
        spent: the code; it is kept in memory only.
        meeting: where they come; it is this object's to close.
    """

    def __init__(self, spent: Spent, meeting: Meeting) -> None:
        self._latecomers = Latecomers(spent)
        self._meeting = meeting
        self._connection: Connection | None = None
        self._tasks = Tasks("telling somebody that a pairing code is spent failed")
        self._over = asyncio.Event()
        self._closing = asyncio.Lock()

    def came(self, connection: Connection) -> bool:
        """Take a connection; returns whether it is wanted."""
        if self._connection is not None or self._over.is_set():
            return False
        self._connection = connection
        self._tasks.spawn(self._serve(connection))
        return True

    async def stay(self) -> None:
        """Return when it was closed, long enough after the pairing at the latest."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STAY_SECONDS):
                await self._over.wait()
        await self.close()

    async def close(self) -> None:
        """Listen no more; twice is harmless, and either returns when nobody listens."""
        self._over.set()
        async with self._closing:
            await self._tasks.close()
            await self._meeting.close()

    async def _serve(self, connection: Connection) -> None:
        self._latecomers.connect(
            Channel(connection.handshake_hash, connection.own_device, connection.peer_device)
        )
        is_over = False
        try:
            while not is_over:
                async with asyncio.timeout(SILENT_SECONDS):
                    frame = await connection.receive()
                step = self._latecomers.receive(frame)
                for answer in step.frames:
                    connection.send_nowait(answer)
                is_over = step.close
        except (LutraError, TimeoutError):
            # The line is dead, or somebody holds it for nothing. Another one may follow.
            pass
        finally:
            connection.close()
            self._connection = None
            if not self._latecomers.listens:
                self._over.set()
