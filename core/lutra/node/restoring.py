"""Restoring a person on a new profile from a recovery kit, with what peers or a bundle hold.

Nothing is written before the person was found; then the profile gets everything in one transaction
and is opened like any other. Groups and their pages follow by sync, or from the bundle.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lutra.crypto.random import Random, system_random
from lutra.crypto.signing import SigningKey
from lutra.errors import LocalError, LutraError
from lutra.groups.errors import KitWithdrawnError, RestoreRefusedError
from lutra.groups.restore import Given, Restoration, RestoreChannel, Restorer, kit_rendezvous
from lutra.identity.recovery import RecoveryKit
from lutra.net.connection import Address, Connection
from lutra.net.discovery import Discovery, DiscoveryEvent, Found
from lutra.net.knock import Knock
from lutra.net.mdns import ServiceKind
from lutra.net.transport import dial
from lutra.node.addresses import NobodyFoundError, parse_address
from lutra.node.bundle_files import read_gift
from lutra.node.errands import RESTORE
from lutra.node.host import wall_clock
from lutra.node.new_identity import DEVICE, PERSON_NAME, checked_name
from lutra.node.node import Node
from lutra.node.options import NodeOptions
from lutra.node.own_devices import Entry, decode_entries
from lutra.node.restored import create_restored
from lutra.store.peers import AddressRow
from lutra.store.profile import Profile
from lutra.store.store import Store

SEARCH_SECONDS = 30.0
_MORE_SECONDS = 4.0
"""How long to wait for further devices after one has answered."""
_LOOK_SECONDS = 0.1
_STEP_SECONDS = 10.0


class ProfileInUseForPersonError(LocalError):
    """The profile belongs to a person already."""

    code = "recovery.profile-in-use"


@dataclass(frozen=True, slots=True)
class RestoreView:
    """A person that came back.

    Attributes:
        person: its id.
        device: this device's key.
        mark: letters of the kit that was used; it stays valid.
        groups: ids of the groups that were found.
        asked: how many devices gave something; 0 if all came from a bundle.
        own_devices: a device of the person itself, or its own bundle, gave secrets.
        lost: the person's other devices that are still valid; remove those that are lost.
    """

    person: bytes
    device: bytes
    mark: str
    groups: tuple[bytes, ...]
    asked: int
    own_devices: bool
    lost: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class RestoreOutcome:
    """What has come back so far.

    Attributes:
        groups: how many groups there are.
        pages: how many pages can be read.
        waiting: how many groups cannot be written in yet, since no member was met.
    """

    groups: int
    pages: int
    waiting: int


@dataclass(slots=True)
class _Harvest:
    """What was found so far."""

    restoration: Restoration
    entries: dict[bytes, Entry] = field(default_factory=dict[bytes, Entry])
    secret: bytes | None = None
    asked: set[bytes] = field(default_factory=set[bytes])
    addresses: list[AddressRow] = field(default_factory=list[AddressRow])

    def take(self, entries: Sequence[Entry], secret: bytes | None, *, is_own: bool) -> None:
        """Take what somebody gave; only the person itself tells of secrets and its own group."""
        for entry in entries:
            if not is_own:
                if entry.personal:
                    continue
                entry = replace(entry, secrets={})  # noqa: PLW2901
            known = self.entries.get(entry.group)
            if known is None or len(known.secrets) < len(entry.secrets):
                self.entries[entry.group] = entry
        if is_own and secret is not None:
            self.secret = secret


class FoundPerson:
    """A person that peers or a bundle told of; `write` it into a new profile.

    Attributes:
        view: what was found.
    """

    def __init__(self, harvest: _Harvest, names: tuple[str, str], random: Random) -> None:
        self._harvest = harvest
        self._names = names
        self._random = random
        restoration = harvest.restoration
        assert restoration.person is not None
        self._person = restoration.person.id
        self.view = RestoreView(
            self._person,
            restoration.key.public,
            restoration.kit.mark,
            tuple(one.group for one in harvest.entries.values() if not one.personal),
            len(harvest.asked),
            harvest.secret is not None,
            restoration.lost(),
        )

    async def write(self, profile: Profile, key: bytes) -> None:
        """Give a profile without identity this person, in place of a new one.

        Args:
            profile: its lock must be held by this process.
            key: the database key from `Profile.unlock`.

        Raises:
            ProfileInUseForPersonError: the profile belongs to a person already.
            StoreError: a subclass says what is wrong with disk, file or key.
        """

        def write() -> None:
            with profile.open_store(key) as store:
                _require_new(store)
                create_restored(
                    store,
                    self._harvest.restoration.key,
                    self._harvest.restoration.evidence(),
                    person=self._person,
                    secret=self._harvest.secret,
                    names=self._names,
                    entries=list(self._harvest.entries.values()),
                    addresses=self._harvest.addresses,
                    random=self._random,
                    time=wall_clock(),
                )

        await asyncio.to_thread(write)


async def find_person(
    kit: RecoveryKit,
    *,
    name: str,
    device_name: str,
    options: NodeOptions | None = None,
    bundle: Path | None = None,
    remove_lost: bool = False,
    seconds: float = SEARCH_SECONDS,
    random: Random = system_random,
) -> FoundPerson:
    """Look for the person of a recovery kit, among peers and in a bundle, and add a new device.

    Afterwards `FoundPerson.write` it, open a node on the profile, and load the bundle there.

    Args:
        kit: the kit, from its words.
        name: what the person is called.
        device_name: what the device is called.
        options: whether to look around, and whom to dial.
        bundle: a file made by one of the person's devices or by somebody it shares groups with.
        remove_lost: remove all devices the person had.
        seconds: how long to look for others.
        random: source of the device's key.

    Raises:
        UsageError: a name is empty or too long, or an address is none.
        KitWithdrawnError: the kit was withdrawn.
        NobodyFoundError: nobody who knows the kit could be reached.
        BundleError: the bundle is damaged, or not for this kit.
    """
    names = checked_name(name), checked_name(device_name)
    options = options or NodeOptions()
    addresses = [parse_address(text) for text in options.peers]
    device = SigningKey.generate(random)
    restoration = Restoration(kit, device, time=wall_clock(), remove_lost=remove_lost)
    harvest = _Harvest(restoration)
    if bundle is not None:
        gift = await read_gift(bundle, kit)
        restoration.learn(gift.evidence)
        harvest.take(gift.entries, gift.secret, is_own=gift.secret is not None)
    search = _Search(harvest, options, addresses)
    failure = await search.run(_MORE_SECONDS if bundle is not None else seconds)
    if restoration.person is None:
        if isinstance(failure, KitWithdrawnError):
            raise failure
        raise NobodyFoundError(
            "Nobody who knows this recovery kit could be reached. One of your devices, or somebody "
            "you share a group with, must be on and in the same network; or use a bundle."
            + (f" The last attempt: {failure.message}" if failure is not None else "")
        )
    return FoundPerson(harvest, names, random)


def _require_new(store: Store) -> None:
    if store.keys.get(DEVICE) is not None or store.settings.get(PERSON_NAME) is not None:
        raise ProfileInUseForPersonError(
            "This profile belongs to a person already. Restore on a new profile."
        )


class _Search:
    """Looks for devices that know the kit, and asks each of them once."""

    def __init__(
        self, harvest: _Harvest, options: NodeOptions, addresses: Sequence[Address]
    ) -> None:
        self._harvest = harvest
        self._options = options
        self._doors: asyncio.Queue[tuple[Address, Knock | None]] = asyncio.Queue()
        self._tried: set[Address] = set()
        for address in addresses:
            self._doors.put_nowait((address, None))

    async def run(self, seconds: float) -> LutraError | None:
        """Search until time is up or nobody new is to be expected; returns the last failure."""
        discovery: Discovery | None = None
        if self._options.discovery:
            discovery = Discovery(
                0, self._discovered, interface=self._options.interface, announce=False
            )
            discovery.set_rendezvous(
                sought=[kit_rendezvous(self._harvest.restoration.kit.key.public)]
            )
            await discovery.start()
        failure: LutraError | None = None
        try:
            async with asyncio.timeout(seconds) as patience:
                while discovery is not None or not self._doors.empty():
                    address, knock = await self._doors.get()
                    if address in self._tried:
                        continue
                    self._tried.add(address)
                    try:
                        await self._ask(address, knock)
                    except LutraError as error:
                        # Anybody can answer and refuse: the right device may still be found.
                        failure = error
                        continue
                    soon = asyncio.get_running_loop().time() + _MORE_SECONDS
                    patience.reschedule(min(soon, patience.when() or soon))
        except TimeoutError:
            pass
        finally:
            if discovery is not None:
                await discovery.close()
        return failure

    def _discovered(self, event: DiscoveryEvent) -> None:
        if isinstance(event, Found) and event.kind is ServiceKind.RENDEZVOUS:
            for address in event.addresses:
                self._doors.put_nowait((address, event.knock))

    async def _ask(self, address: Address, knock: Knock | None) -> None:
        restoration = self._harvest.restoration
        try:
            async with asyncio.timeout(_STEP_SECONDS):
                connection = await dial(
                    address,
                    restoration.key,
                    admit=lambda _: True,
                    knock=knock,
                    timing=self._options.timing,
                )
            given = await self._exchange(connection, restoration)
        except TimeoutError:
            raise NobodyFoundError(f"The device at {address} did not answer in time.") from None
        entries = [entry for item in given.entries for entry in decode_entries(item)]
        person = restoration.person
        if person is None:
            raise RestoreRefusedError("The other device did not tell whose this kit is.")
        self._harvest.take(entries, given.secret, is_own=given.device in person.state.active())
        self._harvest.asked.add(given.device)
        self._harvest.addresses.append(
            AddressRow(given.device, address.host, address.port, wall_clock(), "dialled")
        )

    async def _exchange(self, connection: Connection, restoration: Restoration) -> Given:
        try:
            await connection.send(RESTORE)
            keys = connection.own_device, connection.peer_device
            restorer = Restorer(restoration, RestoreChannel(connection.handshake_hash, *keys))
            await connection.send(restorer.start())
            while (given := restorer.given) is None:
                async with asyncio.timeout(_STEP_SECONDS):
                    answer = restorer.receive(await connection.receive())
                if answer is not None:
                    await connection.send(answer)
        finally:
            connection.close()
        await connection.wait_closed()
        return given


async def _is_back(node: Node) -> bool:
    for group in await node.groups():
        if not group.ready or not await node.is_exchanged(group.id):
            return False
    return True


async def settle(node: Node, seconds: float) -> RestoreOutcome:
    """Wait until a restored node has its groups, for a while at most.

    They can be written in then, and all that somebody reachable has of them is here.

    Returns:
        what has come back by then.
    """
    with node.events() as events, contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not await _is_back(node):
                # Not everything that counts is an event.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_SECONDS):
                        await anext(events)
    groups = await node.groups()
    waiting = sum(not group.ready for group in groups)
    return RestoreOutcome(len(groups), sum(group.documents for group in groups), waiting)
