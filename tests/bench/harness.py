"""What the measurements share: rows, real profiles, recorded sessions."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from loro import LoroDoc

from lutra.documents.document import Document
from lutra.groups.invite_keys import Channel
from lutra.groups.invite_secret import InviteSecret
from lutra.node.engine import Engine
from lutra.node.new_identity import create_identity
from lutra.node.node import Node, create_profile_identity
from lutra.node.options import NodeOptions
from lutra.store.custody import FileCustody
from lutra.store.profile import Profile

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure beside its limit.

    Attributes:
        name: what was measured.
        value: the figure.
        unit: its unit.
        goal: what it should not exceed (or, for rates, fall below), in the same unit.
        higher_is_better: the figure is a rate.
        beside: the same run's figure of the limit or peer, as text.
    """

    name: str
    value: float
    unit: str
    goal: float | None = None
    higher_is_better: bool = False
    beside: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the goal was reached; None without one."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.higher_is_better else self.value <= self.goal


def report(rows: list[Row]) -> None:
    """Print the rows as one line of JSON, with this process's peak memory."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    out = [{**asdict(row), "reached": row.reached} for row in rows]
    print(json.dumps({"peak_mib": round(peak, 1), "rows": out}))


def shared() -> Path:
    """Return the folder of recorded sessions."""
    root = Path(__file__).resolve().parents[2]
    folder = Path(os.environ.get("LUTRA_SHARED", root.parent / "shared"))
    if not folder.is_dir():
        sys.exit(f"no recorded sessions at {folder}: set LUTRA_SHARED to their folder")
    return folder


def load_trace(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Return a sequential trace's patches and the text they end in."""
    with gzip.open(shared() / "traces" / f"{name}.json.gz") as file:
        trace: dict[str, Any] = json.load(file)
    patches = [tuple(patch) for txn in trace["txns"] for patch in txn["patches"]]
    return patches, trace["endContent"]


def raw_replay(patches: list[tuple[int, int, str]]) -> tuple[float, LoroDoc]:
    """Apply patches to a bare Loro text; returns seconds and the document."""
    doc = LoroDoc()
    text = doc.get_text("body")
    insert, delete = text.insert, text.delete
    began = time.perf_counter()
    for position, removed, inserted in patches:
        if removed:
            delete(position, removed)
        if inserted:
            insert(position, inserted)
    doc.commit()
    return time.perf_counter() - began, doc


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="lutra-bench-") as folder:
        yield Path(folder)


def new_engine(folder: Path, name: str = "Ana") -> Engine:
    """Return an engine on a new profile; close it when done."""
    profile = Profile.create(folder, FileCustody(folder))
    store = profile.open_store(profile.unlock())
    create_identity(store, name, f"{name}'s laptop")
    return Engine(store, now=lambda: time.time_ns() // 1_000_000, monotonic=time.monotonic)


def open_engine(folder: Path) -> Engine:
    """Return an engine on an existing profile."""
    profile = Profile.open(folder)
    store = profile.open_store(profile.unlock())
    return Engine(store, now=lambda: time.time_ns() // 1_000_000, monotonic=time.monotonic)


def share(host: Engine, guest: Engine, group: bytes) -> None:
    """Let an engine into a group of another one, and give it the keys; no network."""
    invite, _ = host.run(lambda: host.invitations.invite(group))
    secret = InviteSecret(invite.secret)
    channel = Channel(os.urandom(32), os.urandom(32), os.urandom(32))
    attempt, _ = guest.run(lambda: guest.joins.begin(secret, ()))
    joiner, _ = guest.run(lambda: guest.joins.open(attempt.invite, secret, channel))
    inviter, _ = host.run(lambda: host.inviter(channel))
    frame: bytes | None = joiner.start()
    while frame is not None and joiner.admission is None:
        answer, _ = host.run(lambda frame=frame: inviter.receive(frame))
        (_, frame), _ = guest.run(
            lambda answer=answer: guest.joins.receive(attempt.invite, secret, joiner, answer)
        )
    while not guest.queries.group(group).ready:
        for source, target in ((host, guest), (guest, host)):
            control = source.operations_of(group, group)
            target.run(lambda target=target, control=control: target.ingest(group, control))


def type_apart(engine: Engine, document: bytes, keystrokes: int) -> None:
    """Type into a document, every keystroke an operation of its own."""

    def step(start: int, end: int) -> None:
        for index in range(start, end):
            letter = "\n" if index % 60 == 59 else chr(97 + index % 26)
            engine.edit(document, lambda content: content.splice(len(content), 0, letter))  # noqa: B023
            engine.publish(document)

    for start in range(0, keystrokes, 500):
        end = min(start + 500, keystrokes)
        engine.run(lambda start=start, end=end: step(start, end))


async def new_profile(folder: Path, name: str) -> None:
    """Create a profile with an identity."""
    profile = Profile.create(folder, FileCustody(folder))
    await create_profile_identity(profile, profile.unlock(), name, f"{name}'s laptop")


@asynccontextmanager
async def running(folder: Path, *, peers: tuple[str, ...] = ()) -> AsyncIterator[Node]:
    """A node on the network: loopback, no discovery, so that nothing but sync is measured."""
    profile = Profile.open(folder)
    options = NodeOptions(listen_host=LOOPBACK, discovery=False, peers=peers)
    node = await Node.open(profile, profile.unlock(), options)
    try:
        await node.start()
        yield node
    finally:
        await node.close()


async def replay_into(
    node: Node, document: bytes, patches: list[tuple[int, int, str]], batch: int = 1_000
) -> None:
    """Give a document the recorded history, many edits an operation."""
    for start in range(0, len(patches), batch):
        part = patches[start : start + batch]

        def change(content: Document, part: list[tuple[int, int, str]] = part) -> None:
            for position, removed, inserted in part:
                content.splice(position, removed, inserted)

        await node.edit(document, change)
        await node.publish(document)


async def pair_up(ana: Path, ben: Path) -> bytes:
    """Make two profiles that share a group; returns its id."""
    await new_profile(ana, "Ana")
    await new_profile(ben, "Ben")
    async with running(ana) as first, running(ben) as second:
        group = await first.create_group("Otters")
        invite = await first.invite(group.id)
        await second.join(invite.code, (await first.status()).listening[0])
        async with asyncio.timeout(10):
            while not await _introduced(first, group.id) or not await _introduced(second, group.id):
                await asyncio.sleep(0.02)
        return group.id


async def _introduced(node: Node, group: bytes) -> bool:
    members = (await node.group(group)).members
    return len(members) > 1 and all(member.name for member in members)


def percentile(values: list[float], share: float) -> float:
    """Return the value below which ``share`` of all lie."""
    return statistics.quantiles(values, n=1000, method="inclusive")[round(share * 1000) - 1]
