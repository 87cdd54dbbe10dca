"""Finding devices of the same groups on the local network.

Works on every interface that is connected, follows interfaces as they come and go, and does
nothing, quietly, while there is no network at all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lutra.crypto.random import Random, system_random
from lutra.net.connection import Address
from lutra.net.interfaces import Interface, interfaces
from lutra.net.knock import Knock
from lutra.net.mdns import Announcement, Responder, ServiceKind, Sighting, ZeroconfError
from lutra.net.tags import (
    HOUR_SECONDS,
    TagKey,
    TagTable,
    announcement,
    group_tag_key,
    hour_of,
    read_tags,
    rendezvous_tag_key,
    services,
)
from lutra.net.tasks import Tasks

POLL_SECONDS = 2.0
_LABEL_BYTES = 10
_MAX_INTERFACES = 16


@dataclass(frozen=True, slots=True)
class Found:
    """A device that shares a group, or an invite, listens at these addresses.

    Attributes:
        kind: GROUPS or RENDEZVOUS.
        label: name of the service; the same device has another one each hour.
        addresses: where to dial, any of them.
        matched: ids of shared groups, or the invite secrets, depending on ``kind``.
        knock: what to demand of who answers there, as anyone may repeat an announcement.
    """

    kind: ServiceKind
    label: str
    addresses: tuple[Address, ...]
    matched: frozenset[bytes]
    knock: Knock


@dataclass(frozen=True, slots=True)
class Gone:
    """A service found before is not announced any more."""

    label: str


@dataclass(frozen=True, slots=True)
class NetworkChanged:
    """Interfaces came or went; old addresses may be worth another try."""

    interfaces: tuple[Interface, ...]


@dataclass(frozen=True, slots=True)
class Announced:
    """What this device announces has changed; knocks are to be answered accordingly.

    Attributes:
        table: for `lutra.net.knock.Door`.
    """

    table: TagTable


DiscoveryEvent = Found | Gone | NetworkChanged | Announced


@dataclass(frozen=True, slots=True)
class DiscoveryFacts:
    """What discovery has seen, for the diagnosis.

    Attributes:
        active: addresses of the interfaces it works on.
        failed: interface address → why the operating system does not let it work there.
        strangers: Lutra devices nearby that share no group with this one, or whose clock is off by
            more than an hour.
        acquaintances: services nearby that do.
    """

    active: tuple[str, ...]
    failed: Mapping[str, str]
    strangers: int
    acquaintances: int


class Discovery:
    """Announces this device to members of its groups and finds theirs.

    Args:
        port: TCP port of this device's listener.
        on_event: called on the event loop.
        interface: work only on the interface with this address, which may be 127.0.0.1.
        announce: whether to be found; finding others works either way.
        clock: seconds since 1970.
        random: source of labels and of the tags that hide the number of groups.
        list_interfaces: what interfaces there are.
        poll: seconds between two looks at the interfaces.
    """

    def __init__(
        self,
        port: int,
        on_event: Callable[[DiscoveryEvent], None],
        *,
        interface: str | None = None,
        announce: bool = True,
        clock: Callable[[], float] = time.time,
        random: Random = system_random,
        list_interfaces: Callable[[], Sequence[Interface]] = interfaces,
        poll: float = POLL_SECONDS,
    ) -> None:
        self._port = port
        self._on_event = on_event
        self._only = interface
        self._announce = announce
        self._clock = clock
        self._random = random
        self._list_interfaces = list_interfaces
        self._poll = poll
        self._groups: dict[bytes, bytes] = {}
        self._offered: list[bytes] = []
        self._sought: list[bytes] = []
        self._hour = hour_of(clock())
        self._own: dict[ServiceKind, list[Announcement]] = {kind: [] for kind in ServiceKind}
        self._tables: dict[ServiceKind, TagTable] = {}
        self._interfaces: tuple[Interface, ...] = ()
        self._responders: dict[str, Responder] = {}
        self._failed: dict[str, str] = {}
        self._sightings: dict[tuple[str, str], Sighting] = {}
        self._reported: dict[tuple[str, str], Found] = {}
        self._changed = asyncio.Event()
        self._restart = False
        self._tasks = Tasks("discovery stopped")
        self._is_running = False
        self._renew(*ServiceKind)

    async def start(self) -> None:
        """Begin; returns at once, whatever the network is like."""
        self._on_event(Announced(self._answerable()))
        self._is_running = True
        self._tasks.spawn(self._run())

    async def close(self) -> None:
        """Say goodbye on every interface."""
        await self._tasks.close()
        self._is_running = False
        await asyncio.gather(*(one.close() for one in self._responders.values()))
        self._responders.clear()

    def set_groups(self, discovery_secrets: Mapping[bytes, bytes]) -> None:
        """Look for, and be found by, members of these groups (id → discovery secret)."""
        groups = {group: group_tag_key(one) for group, one in discovery_secrets.items()}
        if groups != self._groups:
            self._groups = groups
            self._renew(ServiceKind.GROUPS)

    def set_rendezvous(
        self, *, offered: Sequence[bytes] = (), sought: Sequence[bytes] = ()
    ) -> None:
        """Be found by devices holding an ``offered`` invite secret; find inviters of ``sought``."""
        wanted = [rendezvous_tag_key(secret) for secret in offered], list(sought)
        if wanted != (self._offered, self._sought):
            self._offered, self._sought = wanted
            self._renew(ServiceKind.RENDEZVOUS)

    def refresh(self) -> None:
        """Announce and ask again: after a suspend, or when the person wants it."""
        self._restart = True
        self._changed.set()

    def facts(self) -> DiscoveryFacts:
        """Return what was seen so far."""
        return DiscoveryFacts(
            active=tuple(sorted(self._responders)),
            failed=dict(self._failed),
            strangers=len({label for _, label in self._sightings.keys() - self._reported.keys()}),
            acquaintances=len({label for _, label in self._reported}),
        )

    def _renew(self, *kinds: ServiceKind) -> None:
        """Compute tags anew: the hour, the groups or the invites have changed."""
        hour = self._hour = hour_of(self._clock())
        sought = {secret: rendezvous_tag_key(secret) for secret in self._sought}
        self._tables = {
            ServiceKind.GROUPS: TagTable(self._groups, hour),
            ServiceKind.RENDEZVOUS: TagTable(sought, hour),
        }
        for kind in kinds if self._announce else ():
            groups = kind is ServiceKind.GROUPS
            keys = list(self._groups.values()) if groups else self._offered
            self._own[kind] = self._announcements(kind, keys) if keys else []
        if self._is_running:
            self._on_event(Announced(self._answerable()))
        for key in list(self._sightings):
            self._report(key)
        self._changed.set()

    def _answerable(self) -> TagTable:
        keys = [*self._groups.values(), *self._offered] if self._announce else []
        return TagTable({key: key for key in keys}, self._hour)

    def _announcements(self, kind: ServiceKind, keys: Sequence[TagKey]) -> list[Announcement]:
        return [
            Announcement(kind, self._random(_LABEL_BYTES).hex(), self._port, properties)
            for properties in services(announcement(keys, self._hour, self._random))
        ]

    def _is_own(self, label: str) -> bool:
        return any(label == own.label for kind in ServiceKind for own in self._own[kind])

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            await self._follow_interfaces()
            if hour_of(self._clock()) != self._hour:
                self._renew(*ServiceKind)
            await asyncio.gather(*(self._update(one) for one in list(self._responders.values())))
            to_next_hour = HOUR_SECONDS - self._clock() % HOUR_SECONDS
            try:
                async with asyncio.timeout(min(self._poll, to_next_hour)):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _update(self, responder: Responder) -> None:
        try:
            await responder.announce([one for kind in ServiceKind for one in self._own[kind]])
        except (OSError, ZeroconfError) as error:
            await self._drop(responder.address, _reason(error))

    async def _follow_interfaces(self) -> None:
        present = tuple(self._list_interfaces())
        usable = {one.address: one for one in self._usable(present)[:_MAX_INTERFACES]}
        restart, self._restart = self._restart, False
        for address in list(self._responders):
            if restart or address not in usable:
                await self._drop(address)
        for address in sorted(usable - self._responders.keys()):
            await self._begin(address, usable[address].index)
        self._failed = {at: why for at, why in self._failed.items() if at in usable}
        if present != self._interfaces:
            self._interfaces = present
            self._on_event(NetworkChanged(present))

    def _usable(self, present: Sequence[Interface]) -> list[Interface]:
        """Pick the interfaces to work on: loopback only when asked for, or when alone."""
        connected = [one for one in present if one.connected]
        if self._only is not None:
            return [one for one in connected if one.address == self._only]
        return [one for one in connected if not one.loopback] or connected

    async def _begin(self, address: str, index: int) -> None:
        def sighted(sighting: Sighting) -> None:
            if self._is_own(sighting.label):
                return
            self._sightings[address, sighting.label] = sighting
            self._report((address, sighting.label))

        def gone(_kind: ServiceKind, label: str) -> None:
            self._forget((address, label))

        responder = Responder(address, index, sighted, gone)
        try:
            await responder.start()
        except (OSError, ZeroconfError) as error:
            self._failed[address] = _reason(error)
            await responder.close()
            return
        self._failed.pop(address, None)
        self._responders[address] = responder

    async def _drop(self, address: str, why: str | None = None) -> None:
        responder = self._responders.pop(address)
        if why is not None:
            self._failed[address] = why
        await responder.close()
        for key in [key for key in self._sightings if key[0] == address]:
            self._forget(key)

    def _forget(self, key: tuple[str, str]) -> None:
        self._sightings.pop(key, None)
        if self._reported.pop(key, None) is not None:
            self._on_event(Gone(key[1]))

    def _report(self, key: tuple[str, str]) -> None:
        """Tell of a sighting that concerns us, once for each set of matches."""
        sighting = self._sightings[key]
        matched = self._tables[sighting.kind].match(read_tags(sighting.properties))
        if not matched:
            if self._reported.pop(key, None) is not None:
                self._on_event(Gone(sighting.label))
            return
        knock = self._knock(sighting.kind, *min(matched.items()))
        found = Found(sighting.kind, sighting.label, sighting.addresses, frozenset(matched), knock)
        if self._reported.get(key) != found:
            self._reported[key] = found
            self._on_event(found)

    def _knock(self, kind: ServiceKind, name: bytes, tag: bytes) -> Knock:
        groups = kind is ServiceKind.GROUPS
        return Knock(tag, self._groups[name] if groups else rendezvous_tag_key(name))


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
