"""Announcing and browsing by multicast DNS on one network interface.

Each interface has a responder of its own: an interface that fails or vanishes disturbs no other,
and an address is told only to the network it belongs to.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, cast

from zeroconf import Error as ZeroconfError
from zeroconf import IPVersion, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from lutra.net.connection import Address

_MDNS_GROUP = "224.0.0.251"
_RESOLVE_MS = 3000
_TTL_SECONDS = 600
_MAX_SERVICES_SEEN = 1024
_MAX_RESOLVING = 64


class ServiceKind(Enum):
    """What a service is announced for; the value is its DNS-SD type."""

    GROUPS = "_lutra._tcp.local."
    RENDEZVOUS = "_lutra-pair._tcp.local."


@dataclass(frozen=True, slots=True)
class Announcement:
    """A service to announce.

    Attributes:
        kind: what for.
        label: random name of the instance and of the host, without any dot.
        port: TCP port of the listener.
        properties: TXT record.
    """

    kind: ServiceKind
    label: str
    port: int
    properties: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Sighting:
    """A service that another node announces.

    Attributes:
        kind: what for.
        label: its instance name.
        addresses: where it listens.
        properties: TXT record, unchecked.
    """

    kind: ServiceKind
    label: str
    addresses: tuple[Address, ...]
    properties: Mapping[bytes, bytes | None]


class _Registrar(Protocol):
    """The part of `AsyncZeroconf` whose own annotations are incomplete."""

    async def async_register_service(
        self, info: AsyncServiceInfo, *, cooperating_responders: bool
    ) -> Awaitable[object]: ...

    async def async_unregister_service(self, info: AsyncServiceInfo) -> Awaitable[object]: ...


class Responder:
    """Announces and browses on one interface.

    Args:
        address: the interface's own address, which is also what it announces.
        index: the operating system's number for the interface.
        on_sighting: called for a service that is new or has changed.
        on_gone: called with the kind and label of a service that has gone.
    """

    def __init__(
        self,
        address: str,
        index: int,
        on_sighting: Callable[[Sighting], None],
        on_gone: Callable[[ServiceKind, str], None],
    ) -> None:
        self.address = address
        self._index = index
        self._on_sighting = on_sighting
        self._on_gone = on_gone
        self._zeroconf: AsyncZeroconf | None = None
        self._browser: AsyncServiceBrowser | None = None
        self._announced: dict[str, AsyncServiceInfo] = {}
        self._labels: set[str] = set()
        self._seen: set[str] = set()
        self._resolving: set[asyncio.Future[None]] = set()
        self._sending: set[asyncio.Future[object]] = set()

    async def start(self) -> None:
        """Open the sockets and ask who is there.

        Raises:
            OSError: the operating system does not allow multicast DNS on this interface.
            ZeroconfError: the same, found out later.
        """
        version = IPVersion.V6Only if ":" in self.address else IPVersion.V4Only
        _check(self.address, self._index)
        try:
            self._zeroconf = AsyncZeroconf(interfaces=[self.address], ip_version=version)
        except RuntimeError as error:  # zeroconf's word for an interface that has just vanished
            raise OSError(str(error)) from error
        await self._zeroconf.zeroconf.async_wait_for_start()
        self._browser = AsyncServiceBrowser(
            self._zeroconf.zeroconf,
            [kind.value for kind in ServiceKind],
            handlers=[self._service_changed],
        )

    async def announce(self, announcements: Iterable[Announcement]) -> None:
        """Announce exactly these services from now on; those that are new go out at once.

        Raises:
            OSError, ZeroconfError: the interface does not let them out.
        """
        if self._zeroconf is None:
            return
        registrar = cast(_Registrar, self._zeroconf)
        wanted = {_full_name(one.kind, one.label): one for one in announcements}
        self._labels = {one.label for one in wanted.values()}
        for name in [name for name in self._announced if name not in wanted]:
            self._keep(await registrar.async_unregister_service(self._announced.pop(name)))
        for name, one in wanted.items():
            if name not in self._announced:
                info = self._service_info(name, one)
                self._announced[name] = info
                # Labels are random: there is no need to probe whether one is taken.
                sending = registrar.async_register_service(info, cooperating_responders=True)
                self._keep(await sending)

    def _keep(self, sending: Awaitable[object]) -> None:
        """Hold on to an announcement that repeats itself in the background."""
        task = asyncio.ensure_future(sending)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def close(self) -> None:
        """Say goodbye and release the sockets."""
        tasks: list[asyncio.Future[None] | asyncio.Future[object]] = [
            *self._resolving,
            *self._sending,
        ]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._browser is not None:
            await self._browser.async_cancel()
        if self._zeroconf is not None:
            await self._zeroconf.async_close()
        self._browser = self._zeroconf = None

    def _service_info(self, name: str, one: Announcement) -> AsyncServiceInfo:
        return AsyncServiceInfo(
            one.kind.value,
            name,
            port=one.port,
            addresses=[ipaddress.ip_address(self.address).packed],
            properties=dict(one.properties),
            server=f"{one.label}.local.",
            host_ttl=_TTL_SECONDS,
            other_ttl=_TTL_SECONDS,
        )

    def _service_changed(
        self,
        zeroconf: Zeroconf,
        service_type: str,
        name: str,
        state_change: ServiceStateChange,
    ) -> None:
        kind = ServiceKind(service_type)
        label = name.removesuffix("." + service_type)
        if label in self._labels:
            return
        if state_change is ServiceStateChange.Removed:
            self._seen.discard(name)
            self._on_gone(kind, label)
            return
        # Anyone on the network can announce any number of services.
        crowded = len(self._seen) >= _MAX_SERVICES_SEEN and name not in self._seen
        if crowded or len(self._resolving) >= _MAX_RESOLVING:
            return
        self._seen.add(name)
        task = asyncio.ensure_future(self._resolve(zeroconf, kind, name, label))
        self._resolving.add(task)
        task.add_done_callback(self._resolving.discard)

    async def _resolve(self, zeroconf: Zeroconf, kind: ServiceKind, name: str, label: str) -> None:
        info = AsyncServiceInfo(kind.value, name)
        if not await info.async_request(zeroconf, _RESOLVE_MS) or not info.port:
            return
        port = info.port
        addresses = tuple(Address(host, port) for host in info.parsed_scoped_addresses())
        if addresses:
            self._on_sighting(Sighting(kind, label, addresses, info.properties))


__all__ = [
    "Announcement",
    "Responder",
    "ServiceKind",
    "Sighting",
    "ZeroconfError",
]


def _check(address: str, index: int) -> None:
    """Raise `OSError` if multicast cannot work on an interface, before sockets are opened for it.

    An IPv6 address, for example, cannot be used for a second or two after it was assigned.
    """
    if ":" in address:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0, 0, index))
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        membership = socket.inet_aton(_MDNS_GROUP) + socket.inet_aton(address)
        probe.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)


def _full_name(kind: ServiceKind, label: str) -> str:
    return f"{label}.{kind.value}"
