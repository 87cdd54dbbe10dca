"""A newcomer in a group of 100 devices until it can read, and new keys after a removal.

The member that lets it in is a process of its own, as it would be in life. Suites may be named:
``python -m tests.bench.membership 0xF04D``.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from tests.bench.harness import Row, new_engine, new_profile, report, running, scratch

from lutra.crypto.random import system_random
from lutra.crypto.signing import SigningKey
from lutra.groups.contents import Offer, Role
from lutra.groups.directory import ChainDirectory, evidence_of
from lutra.groups.group import Group
from lutra.groups.setup import Setup
from lutra.identity.person import Person
from lutra.mls.suites import HYBRID_SUITE
from lutra.node.engine import Engine
from lutra.node.node import Node

DEVICES = 100
SUITES = {3: "suite 3", HYBRID_SUITE: "0xF04D"}
_SECONDS = 120


def stranger(group: bytes, suite: int) -> tuple[bytes, tuple[bytes, ...], Offer]:
    """Return a person of one device: its id, device log and key package."""
    key = SigningKey.generate(system_random)
    person = Person.create(key, person_name=b"", device_name=b"", time=0)
    clock = lambda: time.time_ns() // 1_000_000  # noqa: E731
    setup = Setup(key.public, key.sign, ChainDirectory(), clock, system_random, suite)
    return person.id, evidence_of(person.operations()), Group(group, setup).create_offer()


def fill(engine: Engine, group: bytes, suite: int, devices: int) -> None:
    """Add persons, each in a commit of its own, as they would come one by one."""

    def add(count: int) -> None:
        replica = engine._groups.get(group)
        for _ in range(count):
            person, evidence, offer = stranger(group, suite)
            signer = engine._groups.signer(group)
            replica.add_person(signer, person, Role.WRITER, evidence=evidence, offers=[offer])
        engine._groups.save(group)

    engine.run(lambda: add(devices))


async def measure(folder: Path, suite: int) -> list[Row]:
    """Build the group, then let one in and put one out over loopback."""
    engine = new_engine(folder / "ana", "Ana")
    engine.run(engine.start)
    group, _ = engine.run(lambda: engine.create_group("Choir", suite=suite))
    page, _ = engine.run(lambda: engine.create_document(group, "Notes", "First line"))
    fill(engine, group, suite, DEVICES - 1)
    engine.run(engine.finish)
    engine.close()
    await new_profile(folder / "ben", "Ben")
    ana = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.membership"),
        *("serve", str(folder / "ana"), group.hex()),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert ana.stdin is not None
    assert ana.stdout is not None
    shown = json.loads(await ana.stdout.readline())
    async with running(folder / "ben") as ben:
        began = time.perf_counter()
        await ben.join(shown["code"], shown["listening"])
        joined = time.perf_counter() - began
        await readable(ben, page)
        read = time.perf_counter() - began
        before = await epoch(ben, group)
        began = time.perf_counter()
        ana.stdin.write(b"remove\n")
        while await epoch(ben, group) in (None, before):
            await asyncio.sleep(0.002)
        healed = time.perf_counter() - began
        made: float = json.loads(await ana.stdout.readline())["made"]
    ana.stdin.close()
    await ana.wait()
    name = SUITES[suite]
    count = f"group of {DEVICES} devices, {name}"
    return [
        Row(f"joining until keys are there, {count}", joined * 1000, "ms"),
        Row(f"joining until a page can be read, {count}", read * 1000, "ms", goal=1000.0),
        Row(f"removal until new keys are made, {count}", made * 1000, "ms", goal=1000.0),
        Row(f"removal until another member has them, {count}", healed * 1000, "ms", goal=1000.0),
    ]


async def serve(folder: Path, group: bytes) -> None:
    """Be the member that lets the newcomer in, and removes somebody when told to."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with running(folder) as node:
        members = (await node.group(group)).members
        invite = await node.invite(group)
        listening = (await node.status()).listening[0]
        print(json.dumps({"code": invite.code, "listening": listening}), flush=True)
        other = next(one for one in members if not one.me and not one.name)
        while await reader.readline():
            began = time.perf_counter()
            await node.remove_person(group, other.person)
            print(json.dumps({"made": time.perf_counter() - began}), flush=True)


async def readable(node: Node, page: bytes) -> None:
    """Wait until a page has its text."""
    while page not in {one.id for one in await node.documents()} or not await node.text(page):
        await asyncio.sleep(0.002)


async def epoch(node: Node, group: bytes) -> bytes | None:
    """Return the epoch a node would write under now."""
    found = await node._call(lambda engine: engine._groups.get(group).current_epoch())
    return None if found is None else found.id


def main(suites: list[int]) -> None:
    """Measure and report."""
    rows: list[Row] = []
    for suite in suites or SUITES:
        with scratch() as folder:
            rows += asyncio.run(asyncio.wait_for(measure(folder, suite), _SECONDS))
    report(rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve(Path(sys.argv[2]), bytes.fromhex(sys.argv[3])))
    else:
        main([int(suite, 0) for suite in sys.argv[1:]])
