"""A TCP relay on the loopback interface that records, and that can fall silent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from lutra.net.connection import Address


@dataclass
class Proxy:
    """A TCP relay that can swallow everything without closing, as a pulled cable does."""

    port: int = 0
    cut: bool = False
    seen: bytearray = field(default_factory=bytearray)
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                if not self.cut:
                    self.seen += data
                    writer.write(data)
        writer.close()


@contextlib.asynccontextmanager
async def proxying(target: Address) -> AsyncIterator[Proxy]:
    proxy = Proxy()
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            back, forth = await asyncio.open_connection(target.host, target.port)
        except OSError:
            writer.close()
            return
        tasks.add(asyncio.ensure_future(proxy.carry(reader, forth)))
        tasks.add(asyncio.ensure_future(proxy.carry(back, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for writer in proxy._writers:
            writer.close()
        await asyncio.gather(*tasks)
