"""Answering devices that join by invites of this one, and telling those who wait."""

from __future__ import annotations

import asyncio

from lutra.groups.invite import Inviter
from lutra.groups.invite_keys import Channel
from lutra.net.connection import Connection
from lutra.net.frames import CloseReason
from lutra.node.errands import EngineCalls

MAX_WAITING = 8
"""Devices that may stay connected while they wait for somebody's approval."""
_STEP_SECONDS = 10.0


class Inviting:
    """The inviting side of all joining exchanges of a node.

    Args:
        engine: runs calls on the engine.
    """

    def __init__(self, engine: EngineCalls) -> None:
        self._engine = engine
        self._waiting: set[asyncio.Event] = set()

    def changed(self) -> None:
        """Requests or invites have changed: whoever waits may have to be told."""
        for event in self._waiting:
            event.set()

    async def serve(self, connection: Connection) -> None:
        """Serve one device until it has its answer.

        Raises:
            LutraError: the connection is over, or the device broke a rule.
            TimeoutError: it is too slow.
        """
        channel = Channel(connection.handshake_hash, connection.peer_device, connection.own_device)
        inviter = await self._engine.call(lambda engine: engine.inviter(channel))
        while not inviter.done and not inviter.waits:
            async with asyncio.timeout(_STEP_SECONDS):
                frame = await connection.receive()
            answer = await self._engine.call(lambda _, frame=frame: inviter.receive(frame))
            await connection.send(answer)
        if inviter.waits and len(self._waiting) < MAX_WAITING:
            await self._wait(inviter, connection)
        if inviter.has_admitted:
            async with asyncio.timeout(_STEP_SECONDS):
                offer = await connection.receive()
            await self._engine.call(lambda _: inviter.take_offer(offer))
        # What was sent still leaves. A newcomer dials anew, as a member.
        connection.close()

    async def _wait(self, inviter: Inviter, connection: Connection) -> None:
        """Keep a device that has to wait until somebody decides or it leaves."""
        moved = asyncio.Event()
        # A decision may have come between the answer and now.
        moved.set()
        self._waiting.add(moved)
        leaving = asyncio.ensure_future(connection.receive())
        try:
            while not inviter.done:
                looking = asyncio.ensure_future(moved.wait())
                await asyncio.wait((leaving, looking), return_when=asyncio.FIRST_COMPLETED)
                looking.cancel()
                if leaving.done():
                    # Whoever waits has nothing to say.
                    connection.close(CloseReason.VIOLATION)
                    return
                moved.clear()
                answer = await self._engine.call(lambda _: inviter.look_again())
                if answer is not None:
                    await connection.send(answer)
        finally:
            self._waiting.discard(moved)
            leaving.cancel()
            # It may have ended with the connection; the caller sees that too.
            await asyncio.gather(leaving, return_exceptions=True)
