"""From a keystroke on one device to the event on another, typing every 20 ms.

Two processes on loopback. The sender types into an editor replica as the window does; the
receiver's event carries the update that the other window imports.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE
from pathlib import Path

from tests.bench.harness import (
    Row,
    load_trace,
    pair_up,
    percentile,
    replay_into,
    report,
    running,
    scratch,
)

from lutra.documents.replica import Replica
from lutra.node.node import Node

KEYSTROKES = 500
INTERVAL = 0.02


async def type_into(node: Node, document: bytes, child: asyncio.subprocess.Process) -> list[float]:
    """Type at the receiver's pace; returns milliseconds for each keystroke."""
    assert child.stdout is not None
    editor = await node.open_editor(document)
    replica = Replica(editor.snapshot, editor.peer)
    times: list[float] = []
    for index in range(KEYSTROKES):
        began = time.perf_counter_ns()
        replica.edit_body(index, 0, "a")
        update = replica.take_updates()
        assert update is not None
        applied = asyncio.ensure_future(editor.apply(update))
        line = json.loads(await asyncio.wait_for(child.stdout.readline(), 10))
        times.append((line["changed"] - began) / 1e6)
        await applied
        await asyncio.sleep(max(0.0, INTERVAL - (time.perf_counter_ns() - began) / 1e9))
    await editor.close()
    return times


async def settle(node: Node, document: bytes, child: asyncio.subprocess.Process) -> None:
    """Wait until the receiver holds the document, and drop what it said meanwhile."""
    assert child.stdout is not None
    while (await node.document_status(document)).holders < 2:
        await asyncio.sleep(0.05)
    while True:
        try:
            await asyncio.wait_for(child.stdout.readline(), 0.5)
        except TimeoutError:
            return


async def measure() -> list[Row]:
    """Measure in an empty page and in a document with a long history."""
    patches, _ = load_trace("automerge-paper")
    rows: list[Row] = []
    with scratch() as folder:
        ana, ben = folder / "ana", folder / "ben"
        group = await pair_up(ana, ben)
        child = await start_peer(ben)
        assert child.stdout is not None
        address = json.loads(await child.stdout.readline())["listening"]
        async with running(ana, peers=(address,)) as node:
            for label, history in (("an empty page", []), ("automerge-paper", patches)):
                document = await node.create_document(group, "Page", "")
                await replay_into(node, document.id, history)
                await settle(node, document.id, child)
                times = await type_into(node, document.id, child)
                for share, goal in ((0.5, 10.0), (0.99, 30.0)):
                    rows.append(
                        Row(
                            f"keystroke to the other device in {label}, p{share * 100:.0f}",
                            percentile(times, share),
                            "ms",
                            goal=goal,
                        )
                    )
        child.stdin.close() if child.stdin is not None else None
        await child.wait()
    return rows


async def start_peer(folder: Path, *peers: str) -> asyncio.subprocess.Process:
    """Start the other process."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.peer", str(folder), *peers, stdin=PIPE, stdout=PIPE
    )


if __name__ == "__main__":
    report(asyncio.run(measure()))
