"""A device without documents, run as a process on a computer of a test LAN.

Takes its configuration as JSON in the first argument (``seed`` and ``groups``: id → discovery
secret, all in hex), prints what happens as JSON lines and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from lutra.crypto.signing import SigningKey
from lutra.net.connection import Connection
from lutra.net.diagnosis import diagnose, findings
from lutra.net.discovery import Discovery, DiscoveryEvent, Found
from lutra.net.peers import Admission, PeerConnected, PeerDisconnected, PeerEvent, PeerManager

GREETING = b"a plain sentence that nobody else may read"


def say(what: str, **values: object) -> None:
    print(json.dumps({"event": what, "time": time.time(), **values}), flush=True)


async def listen(connection: Connection) -> None:
    await connection.send(GREETING)
    frame = await connection.receive()
    say("frame", text=frame.decode())


async def main() -> None:
    config = json.loads(sys.argv[1])
    groups = {bytes.fromhex(group): bytes.fromhex(one) for group, one in config["groups"].items()}
    listening: set[asyncio.Task[None]] = set()

    def on_peer(event: PeerEvent) -> None:
        device = event.connection.peer_device.hex()
        if isinstance(event, PeerConnected):
            say("connected", device=device, hash=event.connection.handshake_hash.hex())
            task = asyncio.ensure_future(listen(event.connection))
            listening.add(task)
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        elif isinstance(event, PeerDisconnected):
            say("disconnected", device=device, replaced=event.replaced, why=event.error.code)

    def on_discovery(event: DiscoveryEvent) -> None:
        if isinstance(event, Found):
            say("found", addresses=[str(address) for address in event.addresses])
        manager.discovered(event)

    manager = PeerManager(
        SigningKey(bytes.fromhex(config["seed"])),
        on_event=on_peer,
        admit=lambda _: Admission.MEMBER,
    )
    await manager.open()
    discovery = Discovery(manager.port, on_discovery)
    discovery.set_groups(groups)
    await discovery.start()
    say("ready", port=manager.port)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        if line.strip() == "diagnose":
            found = findings(await diagnose(manager, discovery))
            say("diagnosis", troubles=[one.trouble.value for one in found])
    await discovery.close()
    await manager.close()
    say("closed")


if __name__ == "__main__":
    asyncio.run(main())
