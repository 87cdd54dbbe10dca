"""Real nodes on loopback, each with a profile of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from lutra.net.connection import Address
from lutra.node.engine import Engine
from lutra.node.host import wall_clock
from lutra.node.node import Node, create_profile_identity
from lutra.node.options import NodeOptions
from lutra.store.custody import FileCustody
from lutra.store.profile import Profile

WAIT_SECONDS = 20.0


@dataclass
class Home:
    """A profile, and the node on it while it runs."""

    folder: Path
    name: str
    profile: Profile
    key: bytes

    @classmethod
    async def make(cls, folder: Path, name: str) -> Home:
        place = folder / name
        profile = Profile.create(place, FileCustody(place))
        key = profile.unlock()
        await create_profile_identity(profile, key, name, f"{name}'s laptop")
        return cls(place, name, profile, key)

    async def open(self, *peers: Node) -> Node:
        """Open a node without network; `Node.start` connects it to ``peers``."""
        options = NodeOptions(
            listen_host="127.0.0.1",
            discovery=False,
            peers=tuple(str(address_of(peer)) for peer in peers),
        )
        return await Node.open(self.profile, self.key, options)

    async def start(self, *peers: Node) -> Node:
        """Open a node and go on the network."""
        node = await self.open(*peers)
        await node.start()
        return node

    def engine(self) -> Engine:
        """Open the bare engine, for whoever does not keep to the rules."""
        store = self.profile.open_store(self.key)
        return Engine(store, now=wall_clock, monotonic=time.monotonic)


def address_of(node: Node) -> Address:
    network = node._network
    assert network is not None
    return Address("127.0.0.1", network._peers.port)


async def until(check: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait until something holds; says what if it never does."""
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            while not await check():  # noqa: ASYNC110 - nothing tells of all that is asked
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"never happened: {what}") from None


async def until_text(node: Node, document: bytes, text: str) -> None:
    """Wait until a page reads as it should."""

    async def check() -> bool:
        known = {view.id for view in await node.documents()}
        return document in known and await node.text(document) == text

    await until(check, f"a page that reads {text[-80:]!r}")


async def until_status(node: Node, document: bytes, holders: int) -> None:
    """Wait until so many devices are known to hold a page."""

    async def check() -> bool:
        return (await node.document_status(document)).holders == holders

    await until(check, f"{holders} holders of a page")
