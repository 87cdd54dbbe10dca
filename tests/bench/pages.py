"""10,000 small pages: create them, sync them, and reconcile again after 10 have changed."""

from __future__ import annotations

import asyncio
import json
import time

from tests.bench.harness import Row, pair_up, report, running, scratch
from tests.bench.latency import start_peer

from lutra.node.events import DocumentChanged
from lutra.node.node import Node

PAGES = 10_000
CHANGED = 10


async def wait_for(node: Node, pages: int, operations: int) -> None:
    """Wait until the node holds so many pages and operations."""
    while (await node.status()).documents < pages or (await node.status()).operations < operations:
        await asyncio.sleep(0.005)


async def measure() -> list[Row]:
    """Both reconciliations start with a new connection."""
    rows: list[Row] = []
    with scratch() as folder:
        ana, ben = folder / "ana", folder / "ben"
        group = await pair_up(ana, ben)
        async with running(ana) as node:
            began = time.perf_counter()
            pages = [
                (await node.create_document(group, f"Page {number}", f"Line {number}\n")).id
                for number in range(PAGES)
            ]
            seconds = time.perf_counter() - began
            rows.append(Row(f"create {PAGES} pages", seconds, "s"))
            total = (await node.status()).operations
        child = await start_peer(ana)
        assert child.stdout is not None
        assert child.stdin is not None
        address = json.loads(await child.stdout.readline())["listening"]
        began = time.perf_counter()
        async with running(ben, peers=(address,)) as node:
            await wait_for(node, PAGES, total)
            seconds = time.perf_counter() - began
            sent, received = node.traffic_bytes()
        rows.append(
            Row(f"sync {PAGES} pages", seconds, "s", beside=f"{(sent + received) / 1e6:.1f} MB")
        )
        child.stdin.close()
        await child.wait()
        async with running(ana) as node:
            for page in pages[:: PAGES // CHANGED]:
                await node.append(page, "changed\n")
                await node.publish(page)
        child = await start_peer(ana)
        assert child.stdout is not None
        assert child.stdin is not None
        address = json.loads(await child.stdout.readline())["listening"]
        async with running(ben) as node:
            with node.events() as events:
                began = time.perf_counter()
                node.add_peer(address)
                changed: set[bytes] = set()
                async for event in events:
                    if isinstance(event, DocumentChanged):
                        changed.add(event.document)
                        if len(changed) == CHANGED:
                            break
            seconds = time.perf_counter() - began
            sent, received = node.traffic_bytes()
        child.stdin.close()
        await child.wait()
    size = (sent + received) / 1000
    rows.append(Row(f"reconcile {CHANGED} changes of {PAGES}", seconds * 1000, "ms", goal=300.0))
    rows.append(Row(f"reconcile {CHANGED} changes of {PAGES}", size, "KB", goal=64.0))
    return rows


if __name__ == "__main__":
    report(asyncio.run(measure()))
