"""Two devices of one person on loopback: one with an identity, one that waits for its person."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from core.node.nodes import WAIT_SECONDS, Home, until
from lutra.node.device_views import PairingView
from lutra.node.newcomer import Newcomer, create_waiting_profile
from lutra.node.node import Node
from lutra.node.options import NodeOptions
from lutra.node.pairing_service import PairingService
from lutra.store.custody import FileCustody
from lutra.store.profile import Profile

LOOPBACK = NodeOptions(listen_host="127.0.0.1", discovery=False)


@dataclass
class Waiting:
    """A profile without a person."""

    profile: Profile
    key: bytes

    @classmethod
    async def make(cls, folder: Path, name: str = "phone") -> Waiting:
        place = folder / name
        profile = Profile.create(place, FileCustody(place))
        key = profile.unlock()
        await create_waiting_profile(profile, key, name)
        return cls(profile, key)

    async def open(self) -> Newcomer:
        return await Newcomer.open(self.profile, self.key, LOOPBACK)

    async def start(self) -> Node:
        """Open the node that the profile has become, and go on the network."""
        node = await Node.open(self.profile, self.key, LOOPBACK)
        await node.start()
        return node


async def reach(service: PairingService, *states: str) -> PairingView:
    """Wait until a pairing is in one of these states."""
    async with asyncio.timeout(WAIT_SECONDS):
        view = service.view
        assert view is not None
        while view.state not in states:
            assert not view.ended, view
            view = await service.wait(view.revision)
    return view


async def confirm(*services: PairingService, merge: bool = False) -> None:
    """Let both persons compare and accept."""
    views = [await reach(service, "comparing") for service in services]
    assert len({view.comparison for view in views}) == 1
    assert all(view.asks for view in views)
    for service, view in zip(services, views, strict=True):
        await service.accept(merge=merge and view.asks_to_merge)
    for service in services:
        await reach(service, "done")


async def pair(existing: Node, newcomer: Newcomer) -> None:
    """Pair with a code that the existing device shows, and an address typed on the new one."""
    shown = await existing.pairing.show(new=False)
    await newcomer.pairing.enter(shown.code, new=True, addresses=shown.addresses)
    await confirm(existing.pairing, newcomer.pairing)


async def until_complete(node: Node) -> None:
    async def complete() -> bool:
        return await node.catch_up() is None

    await until(complete, "everything is on the new device")


__all__ = ["LOOPBACK", "Home", "Waiting", "confirm", "pair", "reach", "until_complete"]
