"""A secure connection over TCP: a `Channel` driven by asyncio, kept alive and watched."""

from __future__ import annotations

import asyncio
import ipaddress
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import cast

from lutra.errors import LutraError
from lutra.net.channel import Channel, Chosen, Closed, Established, Event, Frame
from lutra.net.errors import (
    ChannelClosedError,
    ConnectionLostError,
    HandshakeError,
    NotAdmittedError,
)
from lutra.net.frames import CloseReason, Purpose

_FLUSH_BYTES = 64 * 1024
_WRITE_HIGH_BYTES = 1024 * 1024
_READ_HIGH_BYTES = 8 * 1024 * 1024
_READ_LOW_BYTES = 2 * 1024 * 1024
_MAX_WAITING_FRAMES = 16_384


class Role(Enum):
    """Who dialled."""

    INITIATOR = "initiator"
    RESPONDER = "responder"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a device listens or a connection comes from.

    Attributes:
        host: IP address (IPv6 link-local ones with ``%interface``) or, when dialling, a name.
        port: TCP port.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds that decide how long a connection waits.

    A pulled cable is noticed at the latest after ``silence + tick``.

    Attributes:
        connect: until a TCP connection stands.
        handshake: from there until both devices are proven.
        keep_alive: without anything sent, a sign of life is.
        silence: without anything received, the connection is given up.
        tick: between two looks at the clock.
        linger: for the last bytes to leave when closing.
    """

    connect: float = 5.0
    handshake: float = 10.0
    keep_alive: float = 2.5
    silence: float = 7.5
    tick: float = 1.0
    linger: float = 2.0


class Connection(asyncio.Protocol):
    """One connection to one proven device.

    Made by `lutra.net.transport`; the methods named as in `asyncio.Protocol` are asyncio's to call.

    Attributes:
        role: who dialled.
        address: the other side's address and port.
        peer_device: the other device's Ed25519 key (32 bytes), once established, or one it made for
            an errand.
        handshake_hash: unique to this connection and the same on both sides (32 bytes).
        ending: why the connection is over, or None while it is not.
        is_chosen: one side has said that, of all connections between the two, it uses this one.
        bytes_sent: encrypted bytes handed to the network.
        bytes_received: encrypted bytes that came from it.
    """

    def __init__(
        self,
        channel: Channel,
        role: Role,
        timing: Timing,
        settled: Callable[[Connection], None],
    ) -> None:
        self.role = role
        self.address = Address("", 0)
        self.peer_device = b""
        self.handshake_hash = b""
        self.ending: LutraError | None = None
        self.is_chosen = False
        self.bytes_sent = 0
        self.bytes_received = 0
        self._channel = channel
        self._timing = timing
        self._settled: Callable[[Connection], None] | None = settled
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._inbox: deque[bytes] = deque()
        self._inbox_bytes = 0
        self._readers: deque[asyncio.Future[None]] = deque()
        self._writers: deque[asyncio.Future[None]] = deque()
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._flush_queued = False
        self._write_paused = False
        self._read_paused = False
        self._timer: asyncio.TimerHandle | None = None
        self._sent_at = self._received_at = self._ticked_at = self._loop.time()

    # -- for the application -------------------------------------------------------------------

    @property
    def purpose(self) -> Purpose:
        """What the initiator wants the connection for."""
        return self._channel.purpose

    @property
    def own_device(self) -> bytes:
        """The key this side has proven: this device's, or one made for the errand."""
        return self._channel.own_device

    @property
    def is_open(self) -> bool:
        """Whether frames can be sent."""
        return self.ending is None and self._channel.is_open

    @property
    def silent_for(self) -> float:
        """Seconds since anything came from the other side."""
        return self._loop.time() - self._received_at

    async def send(self, frame: bytes) -> None:
        """Queue a frame and wait while too many bytes wait for the network already.

        Frames sent in one turn of the event loop leave together.

        Raises:
            FrameTooLargeError: more than `lutra.net.frames.MAX_FRAME_BYTES`.
            LutraError: the connection is over; see `ending`.
        """
        self.send_nowait(frame)
        if self._write_paused:
            waiter = self._loop.create_future()
            self._writers.append(waiter)
            await waiter
            if self.ending is not None:
                raise self.ending

    def send_nowait(self, frame: bytes) -> None:
        """Queue a frame without waiting; for small frames that are few. Raises as `send` does."""
        if self.ending is not None:
            raise self.ending
        self._channel.send(frame)
        if self._channel.pending_bytes >= _FLUSH_BYTES:
            self._flush()
        elif not self._flush_queued:
            self._flush_queued = True
            self._loop.call_soon(self._flush)

    async def receive(self) -> bytes:
        """Return the next frame.

        Raises:
            LutraError: the connection is over and every frame was taken; see `ending`.
        """
        await self._wait_for_frames()
        frame = self._inbox.popleft()
        self._taken(len(frame))
        return frame

    async def receive_many(self) -> list[bytes]:
        """Return all frames that have arrived, at least one; raises as `receive` does."""
        await self._wait_for_frames()
        frames = list(self._inbox)
        self._inbox.clear()
        self._taken(self._inbox_bytes)
        return frames

    def choose(self) -> None:
        """Tell the other side that this is the connection to use. Raises as `send` does."""
        if self.ending is not None:
            raise self.ending
        self.is_chosen = True
        self._channel.choose()
        self._flush()

    async def wait_chosen(self) -> None:
        """Wait until either side has chosen this connection.

        Raises:
            LutraError: the connection is over; see `ending`.
        """
        while not self.is_chosen:
            await self._change()

    def close(self, reason: CloseReason = CloseReason.NORMAL) -> None:
        """End the connection and tell the other side why; frames queued before still leave."""
        if self.ending is not None:
            return
        self._channel.close(reason)
        self._flush()
        self._end(ChannelClosedError("The connection was closed here.", reason=reason.name))

    async def wait_closed(self) -> None:
        """Wait until the operating system has let go of the connection."""
        await asyncio.shield(self._lost)

    def expect_life(self) -> None:
        """Give up soon unless the other side shows up: for after a suspend or a network change."""
        # A healthy peer is heard within this time even if one sign of life is late.
        patience = 2 * self._timing.keep_alive
        last = self._loop.time() - self._timing.silence + patience
        self._received_at = min(self._received_at, last)
        self._channel.keep_alive()
        self._flush()

    # -- asyncio's side ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the handshake and its clock."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_WRITE_HIGH_BYTES)
        self.address = peer_address(transport)
        self._timer = self._loop.call_later(self._timing.handshake, self._handshake_late)
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Decrypt, hand out, answer."""
        self.bytes_received += len(data)
        self._received_at = self._loop.time()
        for event in self._channel.receive_data(data):
            self._handle(event)
        self._flush()
        if self._inbox:
            _wake(self._readers)
            if self._inbox_is_full and not self._read_paused and self._transport is not None:
                self._read_paused = True
                self._transport.pause_reading()

    def eof_received(self) -> bool:
        """Treat a half-closed connection as lost."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Record the end if nothing else did before."""
        self._end(ConnectionLostError("The connection to the other device was lost."), quietly=True)
        self._transport = None
        if not self._lost.done():
            self._lost.set_result(None)

    def pause_writing(self) -> None:
        """Make senders wait."""
        self._write_paused = True

    def resume_writing(self) -> None:
        """Let senders go on."""
        self._write_paused = False
        _wake(self._writers)

    # -- inside --------------------------------------------------------------------------------

    def _handle(self, event: Event) -> None:
        if isinstance(event, Frame):
            self._inbox.append(event.payload)
            self._inbox_bytes += len(event.payload)
        elif isinstance(event, Established):
            self.peer_device = event.peer_device
            self.handshake_hash = event.handshake_hash
            self._restart_timer()
            self._settle()
        elif isinstance(event, Chosen):
            self.is_chosen = True
            _wake(self._readers)
        elif isinstance(event, Closed):
            self._end(_closed_by_peer(event.reason, established=bool(self.peer_device)))
        else:
            self._flush()
            self._end(event.error)

    def _flush(self) -> None:
        self._flush_queued = False
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        data = self._channel.data_to_send()
        if data:
            self.bytes_sent += len(data)
            self._sent_at = self._loop.time()
            transport.write(data)

    def _end(self, why: LutraError, *, quietly: bool = False) -> None:
        if self.ending is None:
            self.ending = why
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        transport = self._transport
        if transport is not None and not quietly and not transport.is_closing():
            if isinstance(why, ConnectionLostError):
                transport.abort()
            else:
                transport.close()
                self._timer = self._loop.call_later(self._timing.linger, transport.abort)
        self._channel.close()
        _wake(self._readers)
        _wake(self._writers)
        self._settle()

    def _settle(self) -> None:
        """Report, once, that the handshake has ended one way or the other."""
        settled, self._settled = self._settled, None
        if settled is not None:
            settled(self)

    def _handshake_late(self) -> None:
        self._timer = None
        self._channel.close()
        self._end(HandshakeError("The other device did not finish its greeting in time."))

    def _restart_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._ticked_at = self._loop.time()
        self._timer = self._loop.call_later(self._timing.tick, self._tick)

    def _tick(self) -> None:
        now, timing = self._loop.time(), self._timing
        if now - self._ticked_at > 3 * timing.tick:
            # This process stood still: what the other side sent meanwhile is yet to be read.
            self._received_at = max(self._received_at, now - timing.silence + 2 * timing.tick)
        if not self._read_paused and now - self._received_at > timing.silence:
            self._timer = None
            self._end(ConnectionLostError("The other device has not been heard for too long."))
            return
        if now - self._sent_at >= timing.keep_alive:
            self._channel.keep_alive()
            self._flush()
        self._restart_timer()

    @property
    def _inbox_is_full(self) -> bool:
        return self._inbox_bytes > _READ_HIGH_BYTES or len(self._inbox) > _MAX_WAITING_FRAMES

    async def _wait_for_frames(self) -> None:
        while not self._inbox:
            await self._change()

    async def _change(self) -> None:
        """Wait until something has come in; raises `ending` when nothing will any more."""
        if self.ending is not None:
            raise self.ending
        waiter = self._loop.create_future()
        self._readers.append(waiter)
        await waiter

    def _taken(self, count: int) -> None:
        self._inbox_bytes -= count
        if (
            self._read_paused
            and self._inbox_bytes <= _READ_LOW_BYTES
            and len(self._inbox) <= _MAX_WAITING_FRAMES // 4
        ):
            self._read_paused = False
            self._received_at = self._loop.time()
            if self._transport is not None:
                self._transport.resume_reading()

    def __repr__(self) -> str:
        return f"Connection({self.role.value}, {self.address}, {self.peer_device.hex()[:16]}…)"


def peer_address(transport: asyncio.BaseTransport) -> Address:
    """Return the other side's address; IPv4 mapped into IPv6 is shown as IPv4."""
    name = transport.get_extra_info("peername")
    if not name:
        return Address("", 0)
    host, port = str(name[0]), int(name[1])
    try:
        mapped = ipaddress.IPv6Address(host.partition("%")[0]).ipv4_mapped
    except ValueError:
        return Address(host, port)
    return Address(str(mapped) if mapped is not None else host, port)


def _wake(waiters: deque[asyncio.Future[None]]) -> None:
    while waiters:
        waiter = waiters.popleft()
        if not waiter.done():
            waiter.set_result(None)


def _closed_by_peer(reason: CloseReason, *, established: bool) -> LutraError:
    if reason is CloseReason.SELF:
        return NotAdmittedError("This device reached itself.", reason=reason.name)
    if reason is CloseReason.NOT_ADMITTED:
        return NotAdmittedError("The other device does not let this one in.", reason=reason.name)
    if not established:
        return HandshakeError("The other device ended the greeting.", reason=reason.name)
    return ChannelClosedError("The other device closed the connection.", reason=reason.name)
