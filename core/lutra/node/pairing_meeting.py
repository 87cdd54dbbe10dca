"""Bringing two devices together for a pairing, under a key that is used for nothing else.

Whoever shows the code listens at a port of its own and announces it; whoever enters the code dials
what was typed, what the link names, and what is announced. Both prove a fresh one-time key, so that
nothing on the wire says who they are.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from lutra.crypto.signing import SigningKey
from lutra.errors import LutraError
from lutra.identity.pairing_code import PairingSecret
from lutra.identity.pairing_table import Side
from lutra.net.connection import Address, Connection
from lutra.net.discovery import Announced, Discovery, DiscoveryEvent, Found, Gone
from lutra.net.errors import ListenError
from lutra.net.interfaces import interfaces
from lutra.net.knock import Door, Knock
from lutra.net.transport import Listener, dial
from lutra.node.options import NodeOptions

_RETRY_SECONDS = 0.5
_DISTRUST_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the other device may be, and what is demanded of who answers there."""

    address: Address
    knock: Knock | None


class Meeting:
    """Listens or dials until closed.

    Args:
        secret: what both devices share.
        side: whether this device shows the code.
        options: where to listen, and whether to use discovery.
        typed: addresses to dial, for the side that enters the code.
        on_connection: takes a connection and returns whether it is wanted; called on the loop.
            Nobody is dialled while a wanted one lasts.
    """

    def __init__(
        self,
        secret: PairingSecret,
        side: Side,
        options: NodeOptions,
        *,
        typed: Iterable[Address],
        on_connection: Callable[[Connection], bool],
    ) -> None:
        self.key = SigningKey.generate()
        self._secret = secret
        self._side = side
        self._options = options
        self._typed = [_Place(address, None) for address in typed]
        self._on_connection = on_connection
        self._found: dict[str, list[_Place]] = {}
        self._dialled: Address | None = None
        self._distrusted: dict[Address, float] = {}
        self._door = Door()
        self._listener: Listener | None = None
        self._discovery: Discovery | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    async def open(self, port: int = 0) -> None:
        """Begin.

        Args:
            port: where to listen if it is free, as before a restart.

        Raises:
            ListenError: nothing can be listened at.
        """
        options = self._options
        if self._side is Side.SHOWS:
            self._listener = Listener(
                self.key,
                on_connection=self._came,
                admit=lambda _: True,
                door=self._door,
                timing=options.timing,
            )
            try:
                await self._listener.open(options.listen_host, port)
            except ListenError:
                if not port:
                    raise
                await self._listener.open(options.listen_host)
        if options.discovery:
            self._discovery = Discovery(self.port, self._discovered, interface=options.interface)
            rendezvous = [self._secret.rendezvous]
            if self._side is Side.SHOWS:
                self._discovery.set_rendezvous(offered=rendezvous)
            else:
                self._discovery.set_rendezvous(sought=rendezvous)
            await self._discovery.start()
        if self._side is Side.ENTERS:
            self._dialling = asyncio.ensure_future(self._dial())

    async def close(self) -> None:
        """Withdraw the announcement, stop listening and dialling."""
        if self._dialling is not None:
            self._dialling.cancel()
            await asyncio.gather(self._dialling, return_exceptions=True)
        if self._discovery is not None:
            await self._discovery.close()
        if self._listener is not None:
            await self._listener.close()

    @property
    def port(self) -> int:
        """The TCP port listened at; 0 where this side dials."""
        return self._listener.port if self._listener is not None else 0

    def addresses(self) -> tuple[Address, ...]:
        """Return where the other device may dial this one."""
        host = self._options.listen_host
        if self._listener is None:
            return ()
        if host is not None and host not in ("::", "0.0.0.0"):  # noqa: S104
            return (Address(host, self.port),)
        return tuple(Address(one, self.port) for one in usable_hosts(self._options.interface))

    def distrust(self) -> None:
        """Dial where the present connection leads less often: nobody there knows the secret.

        It costs an attempt each time, and somebody in between may offer itself for ever.
        """
        if self._dialled is not None:
            until = asyncio.get_running_loop().time() + _DISTRUST_SECONDS
            self._distrusted[self._dialled] = until

    def _came(self, connection: Connection) -> None:
        if not self._on_connection(connection):
            connection.close()

    def _discovered(self, event: DiscoveryEvent) -> None:
        match event:
            case Announced(table):
                self._door.set_table(table)
            case Found():
                places = [_Place(address, event.knock) for address in event.addresses]
                self._found[event.label] = places
                self._news.set()
            case Gone(label):
                self._found.pop(label, None)
            case _:
                self._news.set()

    async def _dial(self) -> None:
        while True:
            self._news.clear()
            found = [place for places in self._found.values() for place in places]
            for place in [*self._typed, *found]:
                if self._distrusted.get(place.address, 0.0) > asyncio.get_running_loop().time():
                    continue
                connection = await self._try(place)
                self._dialled = place.address
                if connection is not None and self._on_connection(connection):
                    with contextlib.suppress(LutraError):
                        await connection.wait_closed()
                elif connection is not None:
                    connection.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_RETRY_SECONDS):
                    await self._news.wait()

    async def _try(self, place: _Place) -> Connection | None:
        """Dial once; whoever is not there or does not prove itself is tried again later."""
        try:
            return await dial(
                place.address,
                self.key,
                admit=lambda _: True,
                knock=place.knock,
                timing=self._options.timing,
            )
        except LutraError:
            return None


def usable_hosts(only: str | None) -> list[str]:
    """Return the addresses of this computer's interfaces that others may reach."""
    connected = [one for one in interfaces() if one.connected]
    if only is not None:
        return [one.address for one in connected if one.address == only]
    return [one.address for one in connected if not one.loopback] or [
        one.address for one in connected
    ]
