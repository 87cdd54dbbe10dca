"""Answering devices that restore a person from a recovery kit."""

from __future__ import annotations

import asyncio

from lutra.net.connection import Connection
from lutra.node.errands import EngineCalls

_STEP_SECONDS = 10.0


class Witnessing:
    """The knowing side of all restoring exchanges of a node.

    Args:
        engine: runs calls on the engine.
    """

    def __init__(self, engine: EngineCalls) -> None:
        self._engine = engine

    async def serve(self, connection: Connection) -> None:
        """Serve one device until it has its answer.

        Raises:
            LutraError: the connection is over, or the device broke a rule.
            TimeoutError: it is too slow.
        """
        own, peer = connection.own_device, connection.peer_device
        witness = await self._engine.call(
            lambda engine: engine.witness(own, peer, connection.handshake_hash)
        )
        while not witness.done:
            async with asyncio.timeout(_STEP_SECONDS):
                frame = await connection.receive()
            answers = await self._engine.call(lambda _, frame=frame: witness.receive(frame))
            for answer in answers:
                await connection.send(answer)
        async with asyncio.timeout(_STEP_SECONDS):
            await connection.wait_closed()
