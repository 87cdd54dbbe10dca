"""Dialling and listening: how a `Connection` comes about."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import sys
from collections import Counter
from collections.abc import Callable
from typing import Self

from lutra.crypto.random import Random, system_random
from lutra.crypto.signing import SigningKey
from lutra.net.channel import Channel
from lutra.net.connection import Address, Connection, Role, Timing, peer_address
from lutra.net.errors import DialError, ListenError
from lutra.net.frames import Purpose
from lutra.net.knock import Door, Knock

MAX_HANDSHAKES = 128
MAX_HANDSHAKES_PER_HOST = 32

Admit = Callable[[bytes], bool]
"""Whether a device, named by its proven key, may connect at all."""


def _anyone(_device: bytes) -> bool:
    return True


async def dial(
    address: Address,
    key: SigningKey,
    *,
    admit: Admit = _anyone,
    expected_device: bytes | None = None,
    knock: Knock | None = None,
    purpose: Purpose = Purpose.ERRAND,
    timing: Timing | None = None,
    random: Random = system_random,
) -> Connection:
    """Connect to an address and return when both devices are proven.

    With a ``knock``, this device does not show who it is unless a member of that group answers. For
    an errand ``key`` may be made for the occasion.
    Connections with `Purpose.PEER` are for `lutra.net.peers` to make.

    Raises:
        DialError: nothing answers there; ``details["reason"]`` is ``refused``, ``unreachable``,
            ``timeout`` or ``name``.
        RemoteError: something answers, but is no Lutra, another version, another device than
            expected, or does not let this device in.
        ConnectionLostError: the connection broke during the handshake.
    """
    timing = timing or Timing()
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[Connection] = loop.create_future()

    def settled(connection: Connection) -> None:
        if outcome.done():
            connection.close()
        elif connection.ending is not None:
            outcome.set_exception(connection.ending)
        else:
            outcome.set_result(connection)

    def factory() -> Connection:
        channel = Channel(
            key,
            initiator=True,
            expected_device=expected_device,
            knock=knock,
            admit=admit,
            purpose=purpose,
            random=random,
        )
        return Connection(channel, Role.INITIATOR, timing, settled)

    # Only a name may stand for several addresses. The race between these can lose a socket when it
    # is called off at the moment it is won (CPython's staggered_race), so it is not run in vain.
    delay = None if _is_ip(address.host) else 0.25
    connection: Connection | None = None
    try:
        async with asyncio.timeout(timing.connect):
            _, connection = await loop.create_connection(
                factory, address.host, address.port, happy_eyeballs_delay=delay
            )
        return await outcome
    except TimeoutError:
        raise _dial_error(address, "timeout") from None
    except (socket.gaierror, UnicodeError):  # The latter for what cannot be a name.
        raise _dial_error(address, "name") from None
    except ConnectionRefusedError:
        raise _dial_error(address, "refused") from None
    except OSError:
        raise _dial_error(address, "unreachable") from None
    except BaseException:
        if connection is not None:
            connection.close()
        raise
    finally:
        outcome.cancel()  # whatever the connection still tells, nobody waits for it


_LARGEST_SEGMENT = 16 * 1024
_DIAL_MESSAGES = {
    "timeout": "Nothing answered at {} in time; a firewall may be in the way.",
    "name": "There is no computer named {} here.",
    "refused": "No Lutra is running at {}.",
    "unreachable": "There is no way to {} from this network.",
}


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _dial_error(address: Address, reason: str) -> DialError:
    where = address.host if reason == "name" else str(address)
    return DialError(_DIAL_MESSAGES[reason].format(where), reason=reason, address=str(address))


class Listener:
    """Accepts connections, with bounds on how many strangers may be greeting at a time.

    For ``errand_key`` see `lutra.net.channel.Channel`.

    Attributes:
        addresses: where it listens; ``::`` stands for every interface, IPv4 included.
        port: the TCP port.
        accepted: connections that came in since the start, strangers included.
        refused: of those, how many were dropped because too many were greeting.
    """

    def __init__(
        self,
        key: SigningKey,
        *,
        on_connection: Callable[[Connection], None],
        admit: Admit,
        errand_key: Callable[[], SigningKey | None] | None = None,
        door: Door | None = None,
        timing: Timing | None = None,
        random: Random = system_random,
    ) -> None:
        self.addresses: tuple[Address, ...] = ()
        self.accepted = 0
        self.refused = 0
        self._key = key
        self._on_connection = on_connection
        self._admit = admit
        self._errand_key = errand_key
        self._door = door
        self._timing = timing or Timing()
        self._random = random
        self._server: asyncio.Server | None = None
        self._greeting: dict[Connection, str] = {}
        self._greeting_hosts: Counter[str] = Counter()

    @property
    def port(self) -> int:
        """The TCP port listened at, 0 before `open`."""
        return self.addresses[0].port if self.addresses else 0

    async def open(self, host: str | None = None, port: int = 0) -> Self:
        """Start listening at an address, or on all interfaces if ``host`` is None.

        Raises:
            ListenError: the address is not this computer's, or the port is taken or reserved.
        """
        loop = asyncio.get_running_loop()
        try:
            sockets = _bind(host, port)
            self._server = await loop.create_server(self._accept, sock=sockets, backlog=128)
        except OSError as error:
            # asyncio and socket add the address once more, in their own way.
            reason = str(error.strerror).partition(" (while attempting")[0]
            raise ListenError(
                f"Lutra cannot listen at {Address(host or '*', port)}: {reason}.",
                errno=error.errno,
            ) from None
        names = [listening.getsockname() for listening in self._server.sockets]
        self.addresses = tuple(Address(str(name[0]), int(name[1])) for name in names)
        return self

    async def close(self) -> None:
        """Stop listening and drop whoever is still greeting; connections stay."""
        if self._server is not None:
            self._server.close()
            self._server = None
        greeting = list(self._greeting)
        for connection in greeting:
            connection.close()
        await asyncio.gather(*(one.wait_closed() for one in greeting))

    def _accept(self) -> asyncio.Protocol:
        channel = Channel(
            self._key,
            initiator=False,
            door=self._door,
            admit=self._admit,
            errand_key=self._errand_key,
            random=self._random,
        )
        return _Incoming(channel, Role.RESPONDER, self._timing, self._has_settled, self._admit_host)

    def _admit_host(self, connection: Connection, host: str) -> bool:
        """Count one more stranger from ``host``, or refuse it."""
        if self._server is None:
            return False  # it was on its way in when listening ended
        self.accepted += 1
        if (
            len(self._greeting) >= MAX_HANDSHAKES
            or self._greeting_hosts[host] >= MAX_HANDSHAKES_PER_HOST
        ):
            self.refused += 1
            return False
        self._greeting[connection] = host
        self._greeting_hosts[host] += 1
        return True

    def _has_settled(self, connection: Connection) -> None:
        host = self._greeting.pop(connection, None)
        if host is not None:
            self._greeting_hosts[host] -= 1
            if not self._greeting_hosts[host]:
                del self._greeting_hosts[host]
        if connection.ending is None:
            self._on_connection(connection)


class _Incoming(Connection):
    """A connection that asks the listener for room before it greets."""

    def __init__(
        self,
        channel: Channel,
        role: Role,
        timing: Timing,
        settled: Callable[[Connection], None],
        admit_host: Callable[[Connection, str], bool],
    ) -> None:
        super().__init__(channel, role, timing, settled)
        self._admit_host = admit_host

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._admit_host(self, peer_address(transport).host):
            super().connection_made(transport)
        elif isinstance(transport, asyncio.WriteTransport):
            transport.abort()


def _bind(host: str | None, port: int) -> socket.socket:
    listening = _bind_plainly(host, port)
    if sys.platform == "linux":
        # Between programs of one computer a segment is 64 KiB, as much as the first window. What
        # does not fill one then waits 40 ms for a delayed acknowledgement.
        with contextlib.suppress(OSError):
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _LARGEST_SEGMENT)
    return listening


def _bind_plainly(host: str | None, port: int) -> socket.socket:
    if host is None:
        if socket.has_dualstack_ipv6():
            # IPv6 may be compiled in and yet switched off.
            with contextlib.suppress(OSError):
                return socket.create_server(
                    ("::", port), family=socket.AF_INET6, dualstack_ipv6=True
                )
        return socket.create_server(("", port))
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)
