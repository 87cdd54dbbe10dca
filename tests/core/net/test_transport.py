"""Connections over real TCP on the loopback interface."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from core.net.channels import ALICE, BOB, MALLORY
from core.net.proxies import proxying
from core.net.waiting import until
from lutra.crypto.signing import SigningKey
from lutra.net import transport
from lutra.net.connection import Address, Connection, Role, Timing
from lutra.net.errors import (
    ChannelClosedError,
    ConnectionLostError,
    DeviceProofError,
    DialError,
    FrameTooLargeError,
    HandshakeError,
    ListenError,
    NotAdmittedError,
)
from lutra.net.frames import MAX_FRAME_BYTES, CloseReason, Purpose
from lutra.net.transport import Listener

dial = functools.partial(transport.dial, purpose=Purpose.PEER)

HASTY = Timing(connect=2, handshake=0.3, keep_alive=0.1, silence=0.4, tick=0.05, linger=0.2)


def anyone(_device: bytes) -> bool:
    return True


@dataclass
class Server:
    """A listener on 127.0.0.1 and what came in through it."""

    listener: Listener
    arrived: asyncio.Queue[Connection] = field(default_factory=asyncio.Queue)

    @property
    def address(self) -> Address:
        return self.listener.addresses[0]


@contextlib.asynccontextmanager
async def serving(
    key: SigningKey = BOB,
    *,
    admit: Callable[[bytes], bool] = anyone,
    timing: Timing | None = None,
    host: str | None = "127.0.0.1",
    errand_key: Callable[[], SigningKey | None] | None = None,
) -> AsyncIterator[Server]:
    arrived: asyncio.Queue[Connection] = asyncio.Queue()
    listener = Listener(
        key, on_connection=arrived.put_nowait, admit=admit, errand_key=errand_key, timing=timing
    )
    await listener.open(host)
    try:
        yield Server(listener, arrived)
    finally:
        await listener.close()
        while not arrived.empty():
            arrived.get_nowait().close()


async def test_frames_travel_both_ways_and_both_know_each_other() -> None:
    async with serving() as server:
        here = await dial(server.address, ALICE, admit=anyone)
        there = await server.arrived.get()
        assert (here.peer_device, there.peer_device) == (BOB.public, ALICE.public)
        assert (here.role, there.role) == (Role.INITIATOR, Role.RESPONDER)
        assert here.handshake_hash == there.handshake_hash
        assert here.address == server.address
        assert there.address.host == "127.0.0.1"
        await here.send(b"question")
        assert await there.receive() == b"question"
        await there.send(b"answer")
        assert await here.receive() == b"answer"
        here.close()
        with pytest.raises(ChannelClosedError, match="other device closed"):
            await there.receive()
        await here.wait_closed()
        await there.wait_closed()


@pytest.mark.parametrize("host", [None, "127.0.0.1"])
async def test_listening_everywhere_includes_ipv4(host: str | None) -> None:
    async with serving(host=host) as server:
        here = await dial(Address("127.0.0.1", server.listener.port), ALICE, admit=anyone)
        there = await server.arrived.get()
        assert there.address.host == "127.0.0.1"
        here.close()


async def test_frames_of_one_turn_leave_together() -> None:
    async with serving() as server:
        here = await dial(server.address, ALICE, admit=anyone)
        there = await server.arrived.get()
        before = here.bytes_sent
        for number in range(100):
            await here.send(b"%03d" % number)
        received: list[bytes] = []
        while len(received) < 100:
            received += await there.receive_many()
        assert received == [b"%03d" % number for number in range(100)]
        assert here.bytes_sent - before == 2 + 100 * 7 + 16
        here.close()


async def test_a_slow_reader_holds_the_writer_back() -> None:
    async with serving() as server:
        here = await dial(server.address, ALICE, admit=anyone)
        there = await server.arrived.get()
        frame = bytes(1024 * 1024)
        sent = 0

        async def send_all() -> None:
            nonlocal sent
            for _ in range(100):
                await here.send(frame)
                sent += 1

        sending = asyncio.ensure_future(send_all())
        await until(lambda: there._read_paused)
        stalled = -1
        while sent != stalled:  # until neither side moves any more
            stalled = sent
            await asyncio.sleep(0.05)
        assert sent < 40
        assert there._inbox_bytes <= 10 * len(frame)
        received = 0
        while received < 100:
            received += len(await there.receive_many())
        await sending
        here.close()


async def test_a_reader_that_waits_longer_than_the_silence_keeps_its_connection() -> None:
    async with serving(timing=HASTY) as server:
        here = await dial(server.address, ALICE, admit=anyone, timing=HASTY)
        there = await server.arrived.get()
        sending = asyncio.ensure_future(send_many(here, bytes(1024 * 1024), 40))
        await until(lambda: there._read_paused)
        await asyncio.sleep(3 * HASTY.silence)
        received = 0
        while received < 40:
            received += len(await there.receive_many())
        await sending
        here.close()


async def send_many(connection: Connection, frame: bytes, count: int) -> None:
    for _ in range(count):
        await connection.send(frame)


async def test_what_was_queued_before_closing_arrives() -> None:
    async with serving() as server:
        here = await dial(server.address, ALICE, admit=anyone)
        there = await server.arrived.get()
        for _ in range(3):
            here.send_nowait(bytes(MAX_FRAME_BYTES))
        with pytest.raises(FrameTooLargeError):
            here.send_nowait(bytes(MAX_FRAME_BYTES + 1))
        here.close(CloseReason.GOING_AWAY)
        received = [await there.receive() for _ in range(3)]
        assert [len(frame) for frame in received] == [MAX_FRAME_BYTES] * 3
        with pytest.raises(ChannelClosedError) as ended:
            await there.receive()
        assert ended.value.details["reason"] == "GOING_AWAY"
        with pytest.raises(ChannelClosedError):
            await here.send(b"more")


async def test_a_pulled_cable_is_noticed_by_both_and_idle_connections_live() -> None:
    async with serving(timing=HASTY) as server, proxying(server.address) as proxy:
        here = await dial(Address("127.0.0.1", proxy.port), ALICE, admit=anyone, timing=HASTY)
        there = await server.arrived.get()
        await asyncio.sleep(3 * HASTY.silence)
        assert here.is_open
        assert there.is_open
        proxy.cut = True
        loop = asyncio.get_running_loop()
        start = loop.time()
        for one in (here, there):
            with pytest.raises(ConnectionLostError):
                await one.receive()
        assert loop.time() - start < 4 * HASTY.silence


def test_by_default_a_pulled_cable_is_noticed_within_ten_seconds() -> None:
    timing = Timing()
    assert timing.silence + timing.tick <= 10
    assert timing.silence >= 2 * (timing.keep_alive + timing.tick)


async def test_after_a_suspend_a_dead_connection_is_given_up_early() -> None:
    patient = Timing(keep_alive=0.2, silence=60, tick=0.05)
    async with serving(timing=patient) as server, proxying(server.address) as proxy:
        here = await dial(Address("127.0.0.1", proxy.port), ALICE, admit=anyone, timing=patient)
        there = await server.arrived.get()
        here.expect_life()
        await asyncio.sleep(0.5)
        assert here.is_open
        proxy.cut = True
        here.expect_life()
        async with asyncio.timeout(5):
            with pytest.raises(ConnectionLostError):
                await here.receive()
        there.close()


async def test_slowloris_is_cut_off() -> None:
    async with serving(timing=HASTY) as server:
        reader, writer = await asyncio.open_connection(server.address.host, server.address.port)
        with contextlib.suppress(ConnectionError):
            for byte in b"LUTRA\x01\x01\x00\x20" + bytes(31):
                writer.write(bytes((byte,)))
                await asyncio.sleep(0.02)
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionError):
                while await reader.read(100):
                    pass
        assert server.arrived.empty()
        assert not server.listener._greeting
        writer.close()


async def test_a_dialled_peer_that_says_nothing_is_given_up() -> None:
    async with _mute_server() as address:
        with pytest.raises(HandshakeError, match="in time"):
            await dial(address, ALICE, admit=anyone, timing=HASTY)


@contextlib.asynccontextmanager
async def _mute_server() -> AsyncIterator[Address]:
    writers: list[asyncio.StreamWriter] = []

    async def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield Address("127.0.0.1", server.sockets[0].getsockname()[1])
    finally:
        for writer in writers:
            writer.close()
        server.close()


async def test_one_host_cannot_take_all_the_room_for_greetings() -> None:
    async with serving() as server:
        held: list[socket.socket] = []
        for _ in range(transport.MAX_HANDSHAKES_PER_HOST + 5):
            one = socket.create_connection((server.address.host, server.address.port))
            one.setblocking(False)
            held.append(one)
        await until(lambda: server.listener.accepted == len(held))
        assert server.listener.refused == 5
        assert len(server.listener._greeting) == transport.MAX_HANDSHAKES_PER_HOST
        for one in held:
            one.close()
        await until(lambda: not server.listener._greeting)
        here = await dial(server.address, ALICE, admit=anyone)
        here.close()


async def test_garbage_does_not_disturb_honest_peers() -> None:
    async with serving() as server:
        here = await dial(server.address, ALICE, admit=anyone)
        there = await server.arrived.get()
        for garbage in (b"GET / HTTP/1.1\r\n\r\n", bytes(5000), b"LUTRA\x01\x01\xff\xff", b""):
            reader, writer = await asyncio.open_connection(server.address.host, server.address.port)
            writer.write(garbage)
            if not garbage:
                writer.write_eof()
            async with asyncio.timeout(5):
                with contextlib.suppress(ConnectionError):
                    await reader.read()
            writer.close()
        await here.send(b"still here")
        assert await there.receive() == b"still here"
        here.close()


async def test_dialling_reports_what_is_wrong() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        refusing = Address("127.0.0.1", unused.getsockname()[1])
        with pytest.raises(DialError) as refused:
            await dial(refusing, ALICE, admit=anyone)
    assert refused.value.details["reason"] == "refused"
    async with serving() as server:
        with pytest.raises(DeviceProofError):
            await dial(server.address, ALICE, admit=anyone, expected_device=MALLORY.public)
        with pytest.raises(NotAdmittedError, match="reached itself"):
            await dial(server.address, BOB, admit=anyone)
        with pytest.raises(NotAdmittedError, match="not let in"):
            await dial(server.address, ALICE, admit=lambda _: False)
    async with serving(admit=lambda device: device == MALLORY.public) as server:
        with pytest.raises(NotAdmittedError, match="does not let"):
            await dial(server.address, ALICE, admit=anyone)
        here = await dial(server.address, MALLORY, admit=anyone)
        here.close()


async def test_listening_reports_what_is_wrong() -> None:
    async with serving() as server:
        with pytest.raises(ListenError):
            await Listener(ALICE, on_connection=print, admit=anyone).open(
                "127.0.0.1", server.address.port
            )


async def test_a_dial_called_off_at_any_moment_leaves_nothing_behind() -> None:
    """After any number of turns of the event loop; a socket left over fails the test run."""
    async with serving() as server:
        for turns in range(60):
            dialling = asyncio.ensure_future(dial(server.address, ALICE, admit=anyone))
            for _ in range(turns):
                await asyncio.sleep(0)
            dialling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                (await dialling).close()
        await until(lambda: not server.listener._greeting)
        gc.collect()


async def test_cancelling_a_dial_leaves_nothing_behind() -> None:
    async with _mute_server() as address:
        dialling = asyncio.ensure_future(dial(address, ALICE, admit=anyone))
        await asyncio.sleep(0.05)
        dialling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialling


async def test_nothing_readable_is_on_the_wire() -> None:
    async with serving() as server, proxying(server.address) as proxy:
        here = await dial(Address("127.0.0.1", proxy.port), ALICE, admit=anyone)
        there = await server.arrived.get()
        await here.send(b"a secret sentence")
        assert await there.receive() == b"a secret sentence"
        for hidden in (b"secret", ALICE.public, BOB.public):
            assert hidden not in proxy.seen
        here.close()


async def test_errands_are_run_under_keys_of_their_own() -> None:
    arrived: asyncio.Queue[Connection] = asyncio.Queue()
    listener = Listener(
        BOB, on_connection=arrived.put_nowait, admit=lambda _: False, errand_key=SigningKey.generate
    )
    await listener.open("127.0.0.1")
    seen: set[bytes] = set()
    for _ in range(2):
        here = await transport.dial(listener.addresses[0], SigningKey.generate())
        there = await arrived.get()
        assert (here.peer_device, there.peer_device) == (there.own_device, here.own_device)
        seen |= {here.peer_device, there.peer_device}
        here.close()
    assert len(seen) == 4
    assert BOB.public not in seen
    await listener.close()


async def test_errands_can_be_switched_off() -> None:
    async with serving(errand_key=lambda: None) as server:
        with pytest.raises(NotAdmittedError):
            await transport.dial(server.address, ALICE)
        here = await dial(server.address, ALICE)
        assert here.peer_device == BOB.public
        here.close()
