"""The node's side of the network: who is dialled, who is let in, and joining by an invite."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from lutra.crypto.signing import SigningKey
from lutra.errors import EnvironmentalError, LutraError, UsageError
from lutra.groups.errors import JoinPendingError, JoinRefusedError
from lutra.groups.invite import InviteSecret, Joiner
from lutra.net.connection import Address, Connection, Role
from lutra.net.discovery import Discovery, DiscoveryEvent, Found
from lutra.net.knock import Knock
from lutra.net.mdns import ServiceKind
from lutra.net.peers import Admission, PeerConnected, PeerEvent, PeerManager
from lutra.net.transport import dial
from lutra.node.engine import Engine, Reach
from lutra.node.links import JOIN, EngineCalls, Links
from lutra.node.options import NodeOptions
from lutra.node.session_hub import Traffic
from lutra.store.peers import AddressRow

JOIN_SECONDS = 30.0
_STEP_SECONDS = 10.0
_REFUSED_SECONDS = 3.0


class NobodyFoundError(EnvironmentalError):
    """No device that made the invite could be reached."""

    code = "join.nobody-found"


@dataclass(frozen=True, slots=True)
class _Door:
    """Where an inviting device may be.

    Attributes:
        address: where to dial.
        knock: what whoever answers there must prove first; None for a typed address.
    """

    address: Address
    knock: Knock | None


class Network:
    """Listener, discovery, dialling and links of one running node.

    Args:
        key: this device's signing key.
        engine: runs calls on the engine.
        options: where to listen and whom to dial.
        now: clock in milliseconds, for remembering when a device was met.
    """

    def __init__(
        self, key: SigningKey, engine: EngineCalls, options: NodeOptions, now: Callable[[], int]
    ) -> None:
        self._key = key
        self._engine = engine
        self._options = options
        self._now = now
        self._reach = Reach(frozenset(), {}, ())
        self._links = Links(engine)
        self._peers = PeerManager(
            key,
            on_event=self._peer_event,
            admit=self._admit,
            timing=options.timing,
            on_resume=self._resumed,
        )
        self._discovery: Discovery | None = None
        self._sought: InviteSecret | None = None
        self._inviters: asyncio.Queue[_Door] = asyncio.Queue()
        self._memories: set[asyncio.Task[None]] = set()

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

    async def close(self) -> None:
        """Say goodbye and end all connections."""
        if self._discovery is not None:
            await self._discovery.close()
        await self._peers.close()
        await self._links.close()
        await asyncio.gather(*self._memories, return_exceptions=True)

    def set_reach(self, reach: Reach) -> None:
        """Look for, and let in, other devices than before."""
        self._reach = reach
        self._announce()
        self._peers.readmit()

    def carry_out(self, traffic: Traffic) -> None:
        """Send what sessions want sent."""
        self._links.carry_out(traffic)

    def add_peer(self, address: str) -> None:
        """Dial an address the person typed.

        Raises:
            UsageError: it is not one.
        """
        self._peers.add_typed(parse_address(address))

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

    async def join(self, invite: InviteSecret, addresses: tuple[str, ...]) -> bytes:
        """Use an invite: find the device that made it and join; returns the group's id.

        Args:
            invite: the secret.
            addresses: where to try besides what the local network offers.

        Raises:
            JoinRefusedError: the inviting device does not accept it.
            JoinPendingError: somebody there has to approve first.
            NobodyFoundError: that device could not be reached.
            UsageError: an address is not one.
        """
        tried = [parse_address(text) for text in addresses]
        self._inviters = asyncio.Queue()
        for address in tried:
            self._inviters.put_nowait(_Door(address, None))
        self._sought = invite
        self._announce()
        failure: LutraError | None = None
        refusal: JoinRefusedError | None = None
        try:
            async with asyncio.timeout(JOIN_SECONDS) as patience:
                while self._discovery is not None or not self._inviters.empty():
                    door = await self._inviters.get()
                    try:
                        return await self._join_at(invite, door)
                    except JoinPendingError:
                        raise
                    except JoinRefusedError as error:
                        # Anybody can answer and refuse: the right device may still be found.
                        refusal = error
                        soon = asyncio.get_running_loop().time() + _REFUSED_SECONDS
                        patience.reschedule(min(soon, patience.when() or soon))
                    except LutraError as error:
                        failure = error
        except TimeoutError:
            pass
        finally:
            self._sought = None
            self._announce()
        if refusal is not None:
            raise refusal
        raise NobodyFoundError(
            "The device that made this invite could not be reached. Both devices must be on, in "
            "the same network, or the invite must name an address."
            + (f" The last attempt: {failure.message}" if failure is not None else "")
        )

    # Inside

    async def _join_at(self, invite: InviteSecret, door: _Door) -> bytes:
        try:
            async with asyncio.timeout(_STEP_SECONDS):
                connection = await dial(
                    door.address,
                    self._key,
                    admit=lambda _: True,
                    knock=door.knock,
                    timing=self._options.timing,
                )
            return await self._join_on(invite, door, connection)
        except TimeoutError:
            raise NobodyFoundError(
                f"The device at {door.address} did not answer in time."
            ) from None

    async def _join_on(self, invite: InviteSecret, door: _Door, connection: Connection) -> bytes:
        try:
            await connection.send(JOIN)
            request = await self._engine.call(Engine.join_request)
            joiner = Joiner(invite, request, connection.peer_device, connection.handshake_hash)
            await connection.send(joiner.start())
            while not joiner.finished:
                async with asyncio.timeout(_STEP_SECONDS):
                    answer = joiner.receive(await connection.receive())
                if answer is not None:
                    await connection.send(answer)
            admission = joiner.admission
            if admission is None:
                raise JoinPendingError("Somebody in the group has to let you in first.")
            await self._engine.call(lambda engine: engine.accept_admission(admission))
        finally:
            connection.close()
        await connection.wait_closed()
        await self._remember(connection)
        self._peers.remember(door.address, connection.peer_device)
        return admission.group

    def _announce(self) -> None:
        if self._discovery is not None:
            self._discovery.set_groups(self._reach.secrets)
            self._discovery.set_rendezvous(
                offered=[
                    *(invite.rendezvous for invite in self._reach.invites),
                    *self._reach.kits,
                ],
                sought=[self._sought.rendezvous] if self._sought is not None else [],
            )

    def _discovered(self, event: DiscoveryEvent) -> None:
        if isinstance(event, Found) and event.kind is ServiceKind.RENDEZVOUS:
            for address in event.addresses:
                self._inviters.put_nowait(_Door(address, event.knock))
            return
        self._peers.discovered(event)

    def _admit(self, device: bytes) -> Admission:
        if device == self._key.public:
            return Admission.REFUSED
        if device in self._reach.devices:
            return Admission.MEMBER
        # A stranger may hold an invite, or be a new member of a group that this device has not
        # heard of yet; it learns nothing until it has proven either.
        return Admission.GUEST if self._reach.invites or self._reach.secrets else Admission.REFUSED

    def _resumed(self) -> None:
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
            task = asyncio.ensure_future(self._remember(connection))
            self._memories.add(task)
            task.add_done_callback(self._memories.discard)

    async def _remember(self, connection: Connection) -> None:
        address = connection.address
        row = AddressRow(connection.peer_device, address.host, address.port, self._now(), "dialled")
        await self._engine.call(lambda engine: engine.remember_address(row))


def parse_address(text: str) -> Address:
    """Read ``host:port`` or ``[ipv6]:port``.

    Raises:
        UsageError: it is not that.
    """
    host, separator, port = text.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not separator or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UsageError(f"“{text}” is not an address; write it like 192.168.0.7:4242.")
    return Address(host, int(port))
