"""A long document to an empty device over loopback, beside copying its bytes and importing them."""

from __future__ import annotations

import asyncio
import gc
import json
import shutil
import socket
import statistics
import threading
import time
from pathlib import Path

from loro import ExportMode, LoroDoc
from tests.bench.harness import (
    LOOPBACK,
    Row,
    load_trace,
    pair_up,
    raw_replay,
    replay_into,
    report,
    running,
    scratch,
)
from tests.bench.latency import start_peer

from lutra.node.events import DocumentChanged

SYNCS = 9


def raw_copy(data: bytes, end: str) -> float:
    """Send ``data`` through a loopback socket and import it into an empty Loro document."""
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]

        def send() -> None:
            with socket.create_connection((LOOPBACK, port)) as out:
                out.sendall(data)

        sender = threading.Thread(target=send)
        began = time.perf_counter()
        sender.start()
        connection, _ = server.accept()
        with connection:
            received = b"".join(iter(lambda: connection.recv(1 << 20), b""))
        doc = LoroDoc()
        doc.import_(received)
        assert doc.get_text("body").to_string() == end
        seconds = time.perf_counter() - began
        sender.join()
    return seconds


async def one_sync(folder: Path, address: str, document: bytes, end: str) -> tuple[float, int]:
    """Return the seconds until an empty device has the text, and the bytes on the wire."""
    async with running(folder) as node:
        with node.events() as events:
            began = time.perf_counter()
            node.add_peer(address)
            async for event in events:
                if isinstance(event, DocumentChanged) and await node.text(document) == end:
                    break
            seconds = time.perf_counter() - began
        return seconds, sum(node.traffic_bytes())


async def measure() -> list[Row]:
    """Measure several cold syncs, each of a new device, and the raw way before and after each.

    Each is set against the mean of these two, since the speed of a shared processor changes from
    one sync to the next, and the middle of the ratios counts.
    """
    patches, end = load_trace("automerge-paper")
    _, doc = raw_replay(patches)
    data = doc.export(ExportMode.Updates(LoroDoc().oplog_vv))
    syncs: list[float] = []
    raws: list[float] = []
    with scratch() as folder:
        ana, ben = folder / "ana", folder / "ben"
        group = await pair_up(ana, ben)
        async with running(ana) as node:
            document = await node.create_document(group, "Paper", "")
            await replay_into(node, document.id, patches)
        child = await start_peer(ana)
        assert child.stdout is not None
        address = json.loads(await child.stdout.readline())["listening"]
        # What the recorded session leaves in memory is the measurement's, not the node's.
        del patches, doc
        gc.collect()
        gc.freeze()
        traffic = 0
        for number in range(SYNCS):
            copy = shutil.copytree(ben, folder / str(number))
            raws.append(raw_copy(data, end))
            seconds, traffic = await one_sync(copy, address, document.id, end)
            syncs.append(seconds)
            raws.append(raw_copy(data, end))
        assert child.stdin is not None
        child.stdin.close()
        await child.wait()
    middle, raw = statistics.median(syncs), statistics.median(raws)
    beside = [statistics.mean(pair) for pair in zip(raws[::2], raws[1::2], strict=True)]
    ratios = [sync / pair for sync, pair in zip(syncs, beside, strict=True)]
    return [
        Row(
            "cold sync of automerge-paper, connecting included",
            statistics.median(ratios),
            "× raw copy and import",
            goal=3.0,
            beside=f"{middle:.3f} s ({min(syncs):.3f} to {max(syncs):.3f}) for {traffic} bytes, "
            f"raw {raw:.3f} s for {len(data)}",
        )
    ]


if __name__ == "__main__":
    report(asyncio.run(measure()))
