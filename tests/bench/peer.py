"""A node in a process of its own, for measurements between two processes.

Reads one command a line from standard input, writes JSON lines: the address it listens at, then
one line for each event, with this machine's monotonic clock.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from tests.bench.harness import running

from lutra.node.events import DocumentChanged
from lutra.node.node import Node


def say(**values: object) -> None:
    """Write one line."""
    print(json.dumps(values), flush=True)


async def follow(node: Node) -> None:
    """Report every change of a document as it comes in."""
    with node.events() as events:
        async for event in events:
            if isinstance(event, DocumentChanged):
                say(changed=time.perf_counter_ns(), updates=len(event.updates))


async def serve(folder: Path, peers: tuple[str, ...]) -> None:
    """Run until standard input ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with running(folder, peers=peers) as node:
        say(listening=(await node.status()).listening[0])
        following = asyncio.ensure_future(follow(node))
        while await reader.readline():
            pass
        following.cancel()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), tuple(sys.argv[2:])))
