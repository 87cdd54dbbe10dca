"""Connections and what happens on them: a sync session, or an errand such as joining.

A connection between peers carries a session; a device that shares no group with this one learns
nothing from it, but may introduce itself as a new member of one. An errand begins with a frame
that names it.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Awaitable, Callable, Mapping

from lutra.errors import LutraError
from lutra.net.connection import Connection, Role
from lutra.net.frames import CloseReason, Purpose
from lutra.net.tasks import Tasks
from lutra.node.errands import EngineCalls
from lutra.node.session_hub import Traffic

Errand = Callable[[Connection], Awaitable[None]]
"""Serves one errand to its end; may raise `LutraError` or `TimeoutError`."""
_FRAMES_AT_ONCE = 64
_ERRAND_SECONDS = 10.0
_BACKLOG_BYTES = 64 * 1024


class _Link:
    """One connection: tasks that collect what arrives, hand it over, and write."""

    def __init__(self, number: int, connection: Connection) -> None:
        self.number = number
        self.connection = connection
        self.outgoing: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.backlog = 0
        self.has_frames = asyncio.Event()
        self.has_room = asyncio.Event()
        self._incoming: deque[bytes] = deque()
        self.has_room.set()

    def arrive(self, frames: list[bytes]) -> None:
        """Keep frames until they are taken."""
        self._incoming.extend(frames)
        self.look()

    def take(self) -> list[bytes]:
        """Return what has arrived, or the first part of much; on the engine's thread."""
        waiting = self._incoming
        return [waiting.popleft() for _ in range(min(len(waiting), _FRAMES_AT_ONCE))]

    def look(self) -> None:
        """Note how much waits now."""
        waiting = len(self._incoming)
        for event, holds in (
            (self.has_frames, waiting > 0),
            (self.has_room, waiting < _FRAMES_AT_ONCE),
        ):
            if holds:
                event.set()
            else:
                event.clear()

    def send(self, frame: bytes) -> None:
        """Queue a frame."""
        self.backlog += len(frame)
        self.outgoing.put_nowait(frame)


class Links:
    """All connections of a node.

    Args:
        engine: runs calls on the engine.
        errands: first frame of an errand → what serves it.
    """

    def __init__(self, engine: EngineCalls, errands: Mapping[bytes, Errand]) -> None:
        self._engine = engine
        self._errands = errands
        self._numbers = itertools.count(1)
        self._links: dict[int, _Link] = {}
        self._tasks = Tasks("serving a connection failed")

    def serve(self, connection: Connection) -> None:
        """Serve a connection to a proven device, dialled by either side, until it ends."""
        self._tasks.spawn(self._serve(connection))

    def carry_out(self, traffic: Traffic) -> None:
        """Send what sessions want sent, and end the connections of ended sessions."""
        for number, frame in traffic.frames:
            link = self._links.get(number)
            if link is not None:
                link.send(frame)
        for number, _ in traffic.closed:
            link = self._links.get(number)
            if link is not None:
                link.outgoing.put_nowait(None)

    def idle(self) -> frozenset[int]:
        """Return the connections that can take bulk without making live operations wait."""
        return frozenset(
            number for number, link in self._links.items() if link.backlog < _BACKLOG_BYTES
        )

    def traffic_bytes(self) -> tuple[int, int]:
        """Return the encrypted bytes sent and received on the connections that are open."""
        links = self._links.values()
        return (
            sum(link.connection.bytes_sent for link in links),
            sum(link.connection.bytes_received for link in links),
        )

    async def close(self) -> None:
        """End all connections."""
        await self._tasks.close()

    # Inside

    async def _serve(self, connection: Connection) -> None:
        try:
            if connection.purpose is Purpose.PEER:
                await self._sync(connection)
                return
            async with asyncio.timeout(_ERRAND_SECONDS):
                errand = self._errands.get(await connection.receive())
            if errand is None:
                connection.close(CloseReason.NOT_ADMITTED)
            else:
                await errand(connection)
        except (LutraError, TimeoutError):
            # The connection is over or worth nothing; whoever dialled will try again.
            connection.close(CloseReason.VIOLATION)
        finally:
            connection.close()

    async def _sync(self, connection: Connection) -> None:
        """Run a session until connection or session end."""
        number = next(self._numbers)
        link = _Link(number, connection)
        self._links[number] = link
        writer = asyncio.ensure_future(self._write(link))
        device, handshake_hash = connection.peer_device, connection.handshake_hash
        initiator = connection.role is Role.INITIATOR
        try:
            await self._engine.call(
                lambda engine: engine.sessions.open(
                    number, device, handshake_hash, initiator=initiator
                )
            )
            await self._read(link)
        finally:
            writer.cancel()
            del self._links[number]
            await self._engine.call(lambda engine: engine.sessions.close(number))

    async def _read(self, link: _Link) -> None:
        """Hand over what arrives: when the engine comes to it, all that has come by then."""
        collecting = asyncio.ensure_future(self._collect(link))
        collecting.add_done_callback(lambda _: link.has_frames.set())
        try:
            while True:
                await link.has_frames.wait()
                await self._engine.call(
                    lambda engine: engine.sessions.receive(link.number, link.take())
                )
                link.look()
                if collecting.done() and not link.has_frames.is_set():
                    await collecting
        finally:
            collecting.cancel()
            await asyncio.gather(collecting, return_exceptions=True)

    async def _collect(self, link: _Link) -> None:
        while True:
            await link.has_room.wait()
            link.arrive(await link.connection.receive_many())

    async def _write(self, link: _Link) -> None:
        try:
            while (frame := await link.outgoing.get()) is not None:
                await link.connection.send(frame)
                link.backlog -= len(frame)
            link.connection.close()
        except LutraError:
            # The reading side notices the same end and cleans up.
            return
