"""Running a node in the foreground, with its control socket, until it is asked to stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lutra.cli.own import unlocked
from lutra.node.node import Node
from lutra.node.options import NodeOptions
from lutra.node.plain import plain
from lutra.node.verbs import control_server
from lutra.store.profile import Profile
from lutra.store.wiping import refuse_wiped


def run_node(
    directory: Path, options: NodeOptions, ready: Callable[[dict[str, Any]], None]
) -> None:
    """Run a node until SIGINT or SIGTERM, or until it was wiped.

    Args:
        directory: the profile directory.
        options: the node's settings.
        ready: called with the node's status once other devices and commands can reach it.

    Raises:
        ProfileInUseError: another process holds the profile.
        ProfileWipedError: another of this person's devices had everything here deleted meanwhile.
        LutraError: a subclass says what else is wrong.
    """
    profile = Profile.open(directory)
    with profile.lock():
        asyncio.run(_serve(profile, unlocked(profile), options, ready))


async def _serve(
    profile: Profile,
    key: bytes,
    options: NodeOptions,
    ready: Callable[[dict[str, Any]], None],
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        # Windows has no such handlers; there Ctrl-C cancels the main task, which also closes.
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(name, stop.set)
    async with await Node.open(profile, key, options) as node:
        await node.start()
        control = control_server(node, profile)
        await control.start()
        try:
            ready(plain(await node.status()))
            wiped = asyncio.ensure_future(node.wiped())
            asked = asyncio.ensure_future(stop.wait())
            await asyncio.wait((wiped, asked), return_when=asyncio.FIRST_COMPLETED)
            asked.cancel()
            if not wiped.cancel():
                refuse_wiped(profile.directory)
        finally:
            await control.close()
