"""The node's side of the network: who is dialled, who is let in, and which errands are run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from lutra.crypto.signing import SigningKey
from lutra.net.connection import Address, Connection, Role
from lutra.net.discovery import Discovery, DiscoveryEvent, Found, Gone, NetworkChanged
from lutra.net.mdns import ServiceKind
from lutra.net.peers import Admission, PeerConnected, PeerEvent, PeerManager
from lutra.node.addresses import parse_address
from lutra.node.effects import Reach
from lutra.node.engine import Engine
from lutra.node.errands import JOIN, NEARBY, RESTORE, EngineCalls
from lutra.node.inviting import Inviting
from lutra.node.joining import Joining, Means
from lutra.node.links import Links
from lutra.node.nearby import Nearby
from lutra.node.options import NodeOptions
from lutra.node.session_hub import Traffic
from lutra.node.witnessing import Witnessing
from lutra.store.peers import AddressRow

_KEEP_SECONDS = 0.5


class Network:
    """Listener, discovery, dialling and links of one running node.

    Args:
        key: this device's signing key.
        engine: runs calls on the engine.
        options: where to listen and whom to dial.
        now: clock in milliseconds, for remembering when a device was met.
        nearby_changed: called when people nearby, or invitations among them, have changed.
    """

    def __init__(
        self,
        key: SigningKey,
        engine: EngineCalls,
        options: NodeOptions,
        now: Callable[[], int],
        nearby_changed: Callable[[], None],
    ) -> None:
        self._key = key
        self._engine = engine
        self._options = options
        self._now = now
        self._reach = Reach(frozenset(), {})
        self._inviting = Inviting(engine)
        self._joining = Joining(Means(engine, options.timing, now, self._joined))
        self.nearby = Nearby(
            engine,
            options.timing,
            now=now,
            rendezvous_changed=self._announce,
            changed=nearby_changed,
        )
        self._links = Links(
            engine,
            {
                JOIN: self._inviting.serve,
                NEARBY: self.nearby.serve,
                RESTORE: Witnessing(engine).serve,
            },
        )
        self._peers = PeerManager(
            key,
            on_event=self._peer_event,
            admit=self._admit,
            runs_errands=self._runs_errands,
            timing=options.timing,
            on_resume=self._resumed,
        )
        self._discovery: Discovery | None = None
        self._unkept: list[AddressRow] = []
        self._keeping: asyncio.Task[None] | None = None

    async def open(self, reach: Reach) -> None:
        """Listen, look around, and dial everybody worth dialling.

        Raises:
            ListenError: the address cannot be listened at.
            UsageError: a typed address is not one.
        """
        typed = [parse_address(text) for text in self._options.peers]
        self._reach = reach
        await self._peers.open(self._options.listen_host, self._options.listen_port)
        if self._options.discovery:
            self._discovery = Discovery(
                self._peers.port, self._discovered, interface=self._options.interface
            )
            self._announce()
            await self._discovery.start()
        for address in typed:
            self._peers.add_typed(address)
        for row in await self._engine.call(Engine.addresses):
            self._peers.remember(Address(row.host, row.port), row.device)
        self._joining.set_attempts(reach.joins)
        self._announce()

    async def close(self) -> None:
        """Say goodbye and end all connections."""
        if self._discovery is not None:
            await self._discovery.close()
        await self._joining.close()
        await self.nearby.close()
        await self._peers.close()
        await self._links.close()
        if self._keeping is not None:
            self._keeping.cancel()
        await self._keep_all()

    def set_reach(self, reach: Reach) -> None:
        """Look for, and let in, other devices than before."""
        self._reach = reach
        self._joining.set_attempts(reach.joins)
        self._announce()
        self._peers.readmit()

    def invites_changed(self) -> None:
        """Tell devices that wait to be let in what was decided."""
        self._inviting.changed()

    def carry_out(self, traffic: Traffic) -> None:
        """Send what sessions want sent."""
        self._links.carry_out(traffic)

    def add_peer(self, address: str) -> None:
        """Dial an address the person typed.

        Raises:
            UsageError: it is not one.
        """
        self._peers.add_typed(parse_address(address))

    def remember(self, device: bytes, host: str, port: int) -> None:
        """Dial a device at an address it told of itself."""
        self._peers.remember(Address(host, port), device)

    @property
    def port(self) -> int:
        """The TCP port listened at."""
        return self._peers.port

    def listening(self) -> tuple[str, ...]:
        """Return the addresses listened at; ``[::]`` stands for every interface."""
        return tuple(str(address) for address in self._peers.facts().listening)

    def reachable_at(self) -> tuple[str, ...]:
        """Return addresses at which others may reach this device, for links."""
        host = self._options.listen_host
        if host is not None and host not in ("::", "0.0.0.0"):  # noqa: S104
            return (str(Address(host, self._peers.port)),)
        if self._discovery is None:
            return ()
        return tuple(
            str(Address(active, self._peers.port)) for active in self._discovery.facts().active
        )

    def connected(self) -> tuple[bytes, ...]:
        """Return the devices connected right now."""
        return tuple(one.peer_device for one in self._peers.connections())

    def idle(self) -> frozenset[int]:
        """Return the connections that can take bulk without making live operations wait."""
        return self._links.idle()

    def traffic_bytes(self) -> tuple[int, int]:
        """Return encrypted bytes sent and received on open connections."""
        return self._links.traffic_bytes()

    @property
    def discovers(self) -> bool:
        """Whether devices on the local network are looked for."""
        return self._discovery is not None

    # Inside

    def _joined(self, row: AddressRow) -> None:
        """Keep where the device is that let this one into a group, and dial it as a member."""
        self._keep(row)
        self._peers.remember(Address(row.host, row.port), row.device)

    def _announce(self) -> None:
        if self._discovery is not None:
            self._discovery.set_groups(self._reach.secrets)
            self._discovery.set_rendezvous(
                offered=[*self._reach.offered, *self._reach.kits, *self.nearby.offered()],
                sought=[*self._joining.sought(), *self.nearby.sought()],
            )

    def _discovered(self, event: DiscoveryEvent) -> None:
        if isinstance(event, Found) and event.kind is ServiceKind.RENDEZVOUS:
            self._joining.found(event)
            self.nearby.found(event)
            return
        if isinstance(event, Gone):
            self._joining.gone(event.label)
            self.nearby.gone(event.label)
        if isinstance(event, NetworkChanged):
            self._joining.hurry()
        self._peers.discovered(event)

    def _admit(self, device: bytes) -> Admission:
        if device == self._key.public:
            return Admission.REFUSED
        if device in self._reach.devices:
            return Admission.MEMBER
        # A stranger may be a new member of a group that this device has not heard of yet; it
        # learns nothing until it has proven that.
        return Admission.GUEST if self._reach.secrets else Admission.REFUSED

    def _runs_errands(self) -> bool:
        return bool(self._reach.offered or self._reach.kits or self.nearby.offered())

    def _resumed(self) -> None:
        self._joining.hurry()
        if self._discovery is not None:
            self._discovery.refresh()

    def _peer_event(self, event: PeerEvent) -> None:
        if isinstance(event, PeerConnected):
            self._links.serve(event.connection)
            if event.admission is Admission.MEMBER:
                self._remember_soon(event.connection)

    def _remember_soon(self, connection: Connection) -> None:
        """Keep the address of a member that this device has reached by dialling it."""
        if connection.role is Role.INITIATOR:
            address = connection.address
            device = connection.peer_device
            self._keep(AddressRow(device, address.host, address.port, self._now(), "dialled"))

    def _keep(self, row: AddressRow) -> None:
        """Keep an address a moment later: what the new connection is for goes first."""
        self._unkept.append(row)
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.ensure_future(self._keep_soon())

    async def _keep_soon(self) -> None:
        while self._unkept:
            # More may come while some are being kept.
            await asyncio.sleep(_KEEP_SECONDS)
            await self._keep_all()

    async def _keep_all(self) -> None:
        rows, self._unkept = self._unkept, []
        if rows:
            await self._engine.call(lambda engine: engine.remember_addresses(rows))
