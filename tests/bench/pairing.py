"""A second device of somebody with many groups and pages: readable soon, complete in a while."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from tests.bench.harness import LOOPBACK, Row, new_profile, open_engine, report, running, scratch

from lutra.node.events import CatchUpChanged
from lutra.node.newcomer import Newcomer, create_waiting_profile
from lutra.node.node import Node
from lutra.node.options import NodeOptions
from lutra.store.custody import FileCustody
from lutra.store.profile import Profile

GROUPS = 50
PAGES = 2_000
_OPTIONS = NodeOptions(listen_host=LOOPBACK, discovery=False)


def fill(folder: Path, groups: int, pages: int) -> None:
    """Give a profile its groups and pages."""
    engine = open_engine(folder)
    try:
        engine.run(engine.start)
        made = [
            engine.run(lambda place=place: engine.create_group(f"Group {place}"))[0]
            for place in range(groups)
        ]
        text = "A page as people write them: some lines about fish and rivers.\n" * 8
        for place in range(pages):
            group = made[place % groups]
            engine.run(lambda g=group, n=place: engine.create_document(g, f"Page {n}", text))
    finally:
        engine.close()


async def serve(folder: Path) -> None:
    """Be the existing device, in a process of its own: show a code, accept, serve."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with running(folder) as node:
        shown = await node.pairing.show(new=False)
        print(json.dumps({"code": shown.code, "addresses": shown.addresses}), flush=True)
        await reader.readline()
        await node.pairing.accept()
        while await reader.readline():
            pass


async def measure(groups: int = GROUPS, pages: int = PAGES) -> list[Row]:
    """Pair once, over loopback, with a process of its own."""
    with scratch() as folder:
        ana, phone = folder / "ana", folder / "phone"
        await new_profile(ana, "Ana")
        fill(ana, groups, pages)
        profile = Profile.create(phone, FileCustody(phone))
        key = profile.unlock()
        await create_waiting_profile(profile, key, "phone")
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.bench.pairing",
            str(ana),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert child.stdin is not None
        assert child.stdout is not None
        shown = json.loads(await child.stdout.readline())
        async with await Newcomer.open(profile, key, _OPTIONS) as newcomer:
            view = await newcomer.pairing.enter(
                shown["code"], new=True, addresses=tuple(shown["addresses"])
            )
            while not view.asks:
                view = await newcomer.pairing.wait(view.revision)
            child.stdin.write(b"same\n")
            began = time.perf_counter()
            view = await newcomer.pairing.accept()
            while not view.ended:
                view = await newcomer.pairing.wait(view.revision)
            assert view.state == "done", view.sentence
        paired = time.perf_counter() - began
        async with await Node.open(profile, key, _OPTIONS) as node:
            with node.events() as events:
                await node.start()
                first, complete = await _follow(node, events, began)
            assert len(await node.documents()) == pages
        child.stdin.close()
        await child.wait()
    what = f"second device, {groups} groups and {pages} pages"
    return [
        Row(f"{what}: paired", paired, "s after accepting"),
        Row(f"{what}: first page readable", first, "s after accepting", goal=3.0),
        Row(f"{what}: complete", complete, "s after accepting", goal=60.0),
    ]


async def _follow(node: Node, events: object, began: float) -> tuple[float, float]:
    first = 0.0
    async for event in events:
        if isinstance(event, CatchUpChanged):
            if not first and event.pages_here:
                page = (await node.documents())[0]
                assert await node.text(page.id)
                first = time.perf_counter() - began
            if event.complete:
                return first, time.perf_counter() - began
    raise AssertionError("the node ended before it was complete")


if __name__ == "__main__":
    if len(sys.argv) > 1 and not sys.argv[1].isdecimal():
        asyncio.run(serve(Path(sys.argv[1])))
    else:
        report(asyncio.run(measure(*(int(one) for one in sys.argv[1:]))))
