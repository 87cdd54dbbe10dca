"""From a keystroke to its being durable, while nobody is connected."""

from __future__ import annotations

import asyncio
import time

from tests.bench.harness import (
    Row,
    load_trace,
    new_profile,
    percentile,
    replay_into,
    report,
    running,
    scratch,
)

from lutra.documents.replica import Replica

KEYSTROKES = 1000


async def measure() -> list[Row]:
    """Type into an editor replica of an empty and of a large document."""
    rows: list[Row] = []
    patches, _ = load_trace("automerge-paper")
    with scratch() as folder:
        await new_profile(folder / "ana", "Ana")
        async with running(folder / "ana") as node:
            group = await node.create_group("Otters")
            for label, history in (("an empty page", []), ("automerge-paper", patches)):
                document = await node.create_document(group.id, "Page", "")
                await replay_into(node, document.id, history)
                editor = await node.open_editor(document.id)
                replica = Replica(editor.snapshot, editor.peer)
                times: list[float] = []
                for index in range(KEYSTROKES):
                    began = time.perf_counter()
                    replica.edit_body(index, 0, "a")
                    update = replica.take_updates()
                    assert update is not None
                    await editor.apply(update)
                    times.append((time.perf_counter() - began) * 1000)
                await editor.close()
                rows.append(
                    Row(f"keystroke to durable in {label}, p50", percentile(times, 0.5), "ms")
                )
                rows.append(
                    Row(
                        f"keystroke to durable in {label}, p99",
                        percentile(times, 0.99),
                        "ms",
                        goal=5.0,
                    )
                )
    return rows


if __name__ == "__main__":
    report(asyncio.run(measure()))
