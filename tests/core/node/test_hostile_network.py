"""Ten thousand hostile frames and operations over real sockets, beside an honest peer."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
from collections import Counter
from functools import partial
from pathlib import Path

from core.node.nodes import Home, address_of, until_text
from lutra.crypto.signing import SigningKey
from lutra.errors import LutraError
from lutra.net.connection import Address, Connection
from lutra.net.frames import Purpose
from lutra.net.transport import dial
from lutra.node.document_registry import KIND
from lutra.node.effects import Effects
from lutra.node.engine import Engine
from lutra.node.errands import JOIN
from lutra.node.node import Node
from lutra.operation import Extensions, Operation, sign_operation
from lutra.sync.frames import Announce, Hello, Operations, Part, Request, Want, encode_frame
from lutra.sync.replica import WireOperation
from lutra.sync.session import Session
from lutra.sync.states import Stage

HOSTILE = 10_000
MAX_GROWTH_BYTES = 64 * 1024 * 1024
PAGE = 4096


def resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


class Attacker:
    """Sends what an honest device never would, and counts it.

    Args:
        target: the node attacked.
        engine: of a member that has turned malicious.
        group: the group it is in.
    """

    def __init__(self, target: Node, engine: Engine, group: bytes, rng: random.Random) -> None:
        self.address: Address = address_of(target)
        self.device = target.identity.device
        self.engine = engine
        self.key = engine.signing_key
        self.group = group
        self.rng = rng
        self.sent: Counter[str] = Counter()
        self._number = 0
        replica = engine._groups.get(group)
        self.heads = replica.heads()
        epoch = replica.current_epoch()
        assert epoch is not None
        self.epoch = epoch.id

    @property
    def total(self) -> int:
        return sum(self.sent.values())

    # Without a member's key

    async def raw_bytes(self) -> None:
        """Talk nonsense to the port, some of it with lengths beyond all limits."""
        reader, writer = await asyncio.open_connection(self.address.host, self.address.port)
        size = self.rng.choice((1, 3, 40, 2000))
        nonsense = self.rng.choice((b"\xff\xff", b"\x00\x20", b"\x00\x00", b""))
        writer.write(nonsense + self.rng.randbytes(size))
        self.sent["raw bytes"] += 1
        with contextlib.suppress(ConnectionError, TimeoutError):
            await writer.drain()
            async with asyncio.timeout(0.05):
                await reader.read(100)
        writer.close()

    async def stranger(self) -> None:
        """Come as an unknown device, with frames of a session or of joining."""
        key = SigningKey.generate(self.rng.randbytes)
        purpose = self.rng.choice((Purpose.PEER, Purpose.ERRAND))
        connection = await self.dial(key, purpose)
        hello = encode_frame(Hello((1,), 512 * 1024, [self.rng.randbytes(16)] * 1))
        frames = [hello, self.mutant(hello), self.rng.randbytes(100), b""]
        if purpose is Purpose.ERRAND:
            frames = [JOIN, b"\x83\x64join", self.rng.randbytes(60)]
        await self.say(connection, "stranger", frames)

    # As a member

    async def member(self) -> None:
        """Come as a member, reach the stage of live changes, and misbehave in one way."""
        connection = await self.dial(self.key, Purpose.PEER)
        session = await self.greet(connection)
        handle = session._groups[self.group].handle
        kind = self.rng.choice(
            ("flip", "cut", "signature", "elsewhere", "state", "twice", "oversize", "parts")
        )
        genuine = self.genuine()
        frame = encode_frame(Operations(handle, True, [genuine]))
        match kind:
            case "flip":
                frames = [self.mutant(frame)]
            case "cut":
                frames = [frame[: self.rng.randrange(len(frame))]]
            case "signature":
                header = bytearray(self.wire(self.operation(self.key)).header)
                header[40] ^= 1
                bad = WireOperation(bytes(header), b"x")
                frames = [encode_frame(Operations(handle, True, [genuine, bad]))]
            case "elsewhere":
                other = self.operation(self.key, group=self.rng.randbytes(32))
                frames = [encode_frame(Operations(handle, True, [self.wire(other)]))]
            case "state":
                frames = [encode_frame(Operations(self.rng.randbytes(16), True, [genuine]))]
            case "twice":
                frames = [encode_frame(Hello((1,), 512 * 1024, []))]
            case "oversize":
                frames = [bytes(1024 * 1024 + 1)]
            case _:
                frames = [encode_frame(Part(handle, genuine.header, b"x" * 10))]
        await self.say(connection, kind, frames)

    async def flood(self) -> None:
        """Send many operations that are well-formed, but not this member's to send."""
        connection = await self.dial(self.key, Purpose.PEER)
        session = await self.greet(connection)
        handle = session._groups[self.group].handle
        stranger = SigningKey.generate(self.rng.randbytes)
        unknown = (self.rng.randbytes(32),)
        frames: list[bytes] = []
        for _ in range(2):
            operations = [
                *(self.operation(stranger) for _ in range(20)),
                *(self.operation(stranger, kind="group.add") for _ in range(10)),
                *(self.operation(stranger, kind="group.card", previous=unknown) for _ in range(10)),
                *(self.operation(self.key, seq_num=5, log=bytes(32)) for _ in range(10)),
                *(self.operation(stranger, previous=unknown) for _ in range(10)),
            ]
            wire = [self.wire(item) for item in operations] + [self.genuine()] * 20
            self.sent["flooded operations"] += len(wire)
            frames.append(encode_frame(Operations(handle, True, wire)))
        frames.append(encode_frame(Request(handle, [Want(item, None) for item in self.keys()])))
        frames.append(encode_frame(Announce([self.rng.randbytes(16)] * 1)))
        await self.say(connection, "frames of floods", frames)

    async def dial(self, key: SigningKey, purpose: Purpose) -> Connection:
        connection = await dial(self.address, key, admit=lambda _: True, purpose=purpose)
        if purpose is Purpose.PEER and key.public < self.device:
            connection.choose()
        return connection

    def keys(self) -> list:  # type: ignore[type-arg]
        heads = self.engine._logs.head_set(self.group, False).items()
        return [head.key for head in heads]

    def genuine(self) -> WireOperation:
        """Return an operation that the target has long had."""
        stored = self.engine._context.store.operations.control(self.group)
        return WireOperation(stored[0].header, stored[0].body)

    def operation(
        self,
        key: SigningKey,
        *,
        kind: str = KIND,
        group: bytes | None = None,
        log: bytes | None = None,
        seq_num: int = 0,
        previous: tuple[bytes, ...] | None = None,
    ) -> Operation:
        group = group or self.group
        return sign_operation(
            key,
            seq_num=seq_num,
            backlink=self.rng.randbytes(32) if seq_num else None,
            body=b"x",
            extensions=Extensions(
                log=log or (self.rng.randbytes(32) if kind == KIND else group),
                kind=kind,
                group=group,
                epoch=self.epoch,
                previous=self.heads if previous is None else previous,
            ),
        )

    def wire(self, operation: Operation) -> WireOperation:
        return WireOperation(operation.header_bytes, operation.body)

    def mutant(self, frame: bytes) -> bytes:
        changed = bytearray(frame)
        changed[self.rng.randrange(len(changed))] ^= 1 << self.rng.randrange(8)
        return bytes(changed)

    async def greet(self, connection: Connection) -> Session:
        """Follow the protocol until changes flow."""
        self._number += 1
        number = self._number
        _, effects = self.engine.run(
            lambda: self.engine.sessions.open(
                number, self.device, connection.handshake_hash, initiator=True
            )
        )
        session = self.engine.sessions._entries[number].session
        await self.send(connection, effects)
        while session.stage(self.group) is not Stage.LIVE:
            frame = await connection.receive()
            _, effects = self.engine.run(
                lambda frame=frame: self.engine.sessions.receive(number, [frame])
            )
            await self.send(connection, effects)
            while effects.burdened or effects.arrived:
                produce = partial(self.engine.produce, effects.burdened)
                _, effects = self.engine.run(self.engine.take_in if effects.arrived else produce)
                await self.send(connection, effects)
        self.engine.sessions.close(number)
        return session

    async def send(self, connection: Connection, effects: Effects) -> None:
        for _, frame in effects.traffic.frames:
            await connection.send(frame)

    async def say(self, connection: Connection, kind: str, frames: list[bytes]) -> None:
        """Send frames and read until the other side has had enough, or a moment has passed."""
        self.sent[kind] += len(frames)
        with contextlib.suppress(LutraError, TimeoutError):
            for frame in frames:
                await connection.send(frame)
            async with asyncio.timeout(0.1):
                while True:
                    await connection.receive()
        connection.close()
        await connection.wait_closed()


def strangers_rows(engine: Engine) -> tuple[object, ...]:
    """Return what the store holds beside the honest devices' typing."""
    connection = engine._context.store.connection
    counts = tuple(
        connection.rows(f"SELECT count(*) FROM {table}")[0][0]
        for table in ("groups", "members", "epochs", "documents", "forks", "invites")
    )
    authors = connection.rows(
        "SELECT l.author, count(*) FROM operations o JOIN logs l ON l.number = o.log "
        "GROUP BY l.author ORDER BY l.author"
    )
    logs = connection.rows("SELECT author, log, group_id, frozen FROM logs ORDER BY author, log")
    return counts, authors, logs


async def test_ten_thousand_hostile_messages_beside_an_honest_peer(tmp_path: Path) -> None:
    homes = [await Home.make(tmp_path, name) for name in ("ana", "ben", "mallory")]
    ana = await homes[0].start()
    group = (await ana.create_group("Otters")).id
    code = (await ana.invite(group, uses=2)).code
    page = (await ana.create_document(group, "Page", "")).id
    mallory = await homes[2].start()
    await mallory.join(code, str(address_of(ana)))
    await until_text(mallory, page, "")
    await mallory.close()
    ben = await homes[1].start(ana)
    await ben.join(code, str(address_of(ana)))
    await until_text(ben, page, "")
    engine = homes[2].engine()
    attacker = Attacker(ana, engine, group, random.Random(2))
    before = await ana._call(strangers_rows)
    ways = [attacker.raw_bytes] * 4 + [attacker.stranger] * 3 + [attacker.member] * 4
    ways += [attacker.flood]
    early = resident()
    text = ""
    rounds = 0
    while attacker.total < HOSTILE:
        rounds += 1
        for way in ways:
            with contextlib.suppress(LutraError, ConnectionError):
                await way()
        text += f"{rounds} "
        await (ana if rounds % 2 else ben).append(page, f"{rounds} ")
        await until_text(ben, page, text)
        await until_text(ana, page, text)
        if rounds == 3:
            early = resident()
    growth = resident() - early
    print(f"{rounds} rounds, {attacker.total} messages: {dict(attacker.sent)}, +{growth} bytes")
    assert growth < MAX_GROWTH_BYTES
    after = await ana._call(strangers_rows)
    honest = {ana.identity.device, ben.identity.device}
    assert after[0] == before[0]
    assert [row for row in after[1] if row[0] not in honest] == [
        row for row in before[1] if row[0] not in honest
    ]
    assert [row for row in after[2] if row[0] not in honest] == [
        row for row in before[2] if row[0] not in honest
    ]
    peers = await ana.peers()
    assert [peer.connected for peer in peers if peer.device == ben.identity.device] == [True]
    assert len(attacker.sent) >= 9
    assert min(attacker.sent.values()) >= 1
    engine.close()
    await ben.close()
    await ana.close()
