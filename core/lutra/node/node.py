"""A node: the public API of Lutra for programs, on one asyncio event loop.

Open it on a profile, call its verbs, listen to its events; `start` adds the network. Every verb
that changes something returns once the change is durable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Self, TypeVar

from lutra.crypto.random import Random, system_random
from lutra.documents.delta import Span
from lutra.documents.document import Document
from lutra.groups.contents import Profile as HistoryProfile
from lutra.groups.contents import Role
from lutra.net.connection import Address
from lutra.node.addresses import parse_address
from lutra.node.bundles import Bundles
from lutra.node.device_admission import places_of
from lutra.node.device_files import DeviceFiles
from lutra.node.device_views import DeviceView, PairingView
from lutra.node.editor_session import EditorSession
from lutra.node.effects import Effects, Reach
from lutra.node.engine import Engine
from lutra.node.events import (
    CatchUpChanged,
    NearbyChanged,
    PairingChanged,
    PeersChanged,
    RaiseRequested,
)
from lutra.node.hand_over import HandOver
from lutra.node.host import EngineHost, wall_clock
from lutra.node.invite_api import InviteApi, NotRunningError
from lutra.node.network import Network
from lutra.node.new_identity import create_identity
from lutra.node.options import NodeOptions
from lutra.node.pairing_desk import EngineDesk, Entrance
from lutra.node.pairing_service import PairingService
from lutra.node.people import People
from lutra.node.recovery import Recovery
from lutra.node.subscription import Subscription
from lutra.node.views import (
    ChangeView,
    DocumentStatus,
    DocumentView,
    GroupView,
    Identity,
    MembershipChange,
    PeerView,
    RemovalPreview,
    RemovalStatus,
    StatusView,
)
from lutra.store.backup import BackupReport
from lutra.store.custody import PassphraseCustody
from lutra.store.profile import Profile

Result = TypeVar("Result")
__all__ = ["Node", "NotRunningError", "create_profile_identity"]


class Node(InviteApi):
    """One device's groups and documents.

    Use `open` (or ``async with await Node.open(...)``); then `start` to go on the network.
    Verbs raise subclasses of `lutra.errors.LutraError`.

    Attributes:
        bundles: groups as encrypted files.
        people: the persons met in groups.
        recovery: this person's recovery kits.
        pairing: pairs this device with another one of the same person, or of one to be merged.
        device_files: the same by files.
    """

    pairing: PairingService
    device_files: DeviceFiles

    def __init__(self, profile: Profile, options: NodeOptions) -> None:
        self._profile = profile
        self._options = options
        self._host = EngineHost(self._carry_out, self._idle)
        self._network: Network | None = None
        self._admissions: dict[bytes, bytes] = {}
        self._subscriptions: list[Subscription] = []
        self._identity: Identity | None = None
        self._closing: asyncio.Future[None] | None = None
        self._wipe: str | None = None
        self._wiped = asyncio.Event()
        self.bundles = Bundles(self._host)
        self.people = People(self._host)
        self.recovery = Recovery(self._host)

    @classmethod
    async def open(
        cls,
        profile: Profile,
        key: bytes,
        options: NodeOptions | None = None,
        *,
        random: Random = system_random,
    ) -> Self:
        """Open a profile's groups and documents, without network.

        Args:
            profile: the profile; its lock must be held by this process.
            key: the database key from `Profile.unlock`.
            options: settings of this run.
            random: source of randomness.

        Raises:
            StoreError: a subclass says what is wrong with disk, file or key.
            NotFoundError: the profile has no identity yet; see `create_profile`.
        """
        node = cls(profile, options or NodeOptions())
        try:
            await node._host.open(profile, key, random)
            node._identity = await node._call(lambda engine: engine.identity)
            await node._call(Engine.start)
            desk = EngineDesk(
                node._host,
                await node._call(lambda engine: engine.signing_key),
                places=node._places,
                on_entered=node._entered,
            )
            node.pairing = PairingService(desk, node._options, node._pairing_changed)
            node.device_files = DeviceFiles(desk, node._renew_identity_soon)
        except BaseException:
            await node._host.close()
            raise
        return node

    async def start(self) -> None:
        """Go on the network: listen, be found, find others, and sync.

        Raises:
            ListenError: the address cannot be listened at.
            UsageError: an address in the options is not one.
        """
        key = await self._call(lambda engine: engine.signing_key)
        network = Network(key, self._host, self._options, wall_clock, self._nearby_changed)
        reach: Reach = await self._call(Engine.reach)
        try:
            await network.open(reach)
        except BaseException:
            await network.close()
            raise
        self._network = network
        for group in await self._call(Engine.group_ids):
            self._host.soon(lambda engine, group=group: engine.warm(group))
        await self.pairing.resume()

    async def close(self) -> None:
        """Leave the network, publish what can be, and close the store; twice is harmless."""
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        network, self._network = self._network, None
        try:
            await self.pairing.close()
            if network is not None:
                await network.close()
            if self._wipe is None:
                await self._call(Engine.finish)
        finally:
            await self._host.close()
            try:
                if self._wipe is not None:
                    await asyncio.to_thread(self._profile.wipe, self._wipe)
                    self._wiped.set()
            finally:
                for subscription in list(self._subscriptions):
                    subscription.close()

    async def wiped(self) -> None:
        """Wait until everything here was deleted, as another of this person's devices asked.

        The node is closed then, and its profile's folder says why.
        """
        await self._wiped.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def back_up(self, directory: Path, passphrase: str) -> BackupReport:
        """Copy everything to ``directory`` under a passphrase, and try the copy out.

        Raises:
            ProfileExistsError: ``directory`` exists.
            PassphraseNeededError: the passphrase is empty.
            DiskFullError: there is not enough room.
            BackupError: the copy does not hold what the profile holds.
        """
        return await self._host.back_up(directory, PassphraseCustody(passphrase))

    # Listening

    def events(self) -> Subscription:
        """Return an asynchronous iterator of the events from now on; close it when done."""
        subscription = Subscription(self._subscriptions.remove)
        self._subscriptions.append(subscription)
        return subscription

    def request_raise(self) -> None:
        """Tell listeners that the program was started a second time."""
        for subscription in self._subscriptions:
            subscription.put(RaiseRequested())

    # The node

    @property
    def identity(self) -> Identity:
        """This device and its person."""
        assert self._identity is not None
        return self._identity

    async def status(self) -> StatusView:
        """Return the node's state in numbers."""
        counts = await self._call(lambda engine: engine.queries.counts())
        groups, documents, operations, drafts, waiting, forks = counts
        network = self._network
        return StatusView(
            identity=self.identity,
            running=network is not None,
            listening=network.listening() if network is not None else (),
            connected=len(network.connected()) if network is not None else 0,
            groups=groups,
            documents=documents,
            operations=operations,
            drafts=drafts,
            waiting_for_keys=waiting,
            forks=forks,
        )

    async def peers(self) -> list[PeerView]:
        """Return the other devices this one knows."""
        return await self._call(lambda engine: engine.queries.peers())

    def add_peer(self, address: str) -> None:
        """Dial an address (``host:port``) besides those found.

        Raises:
            UsageError: it is not an address.
            NotRunningError: `start` has not been called.
        """
        self._running().add_peer(address)

    def traffic_bytes(self) -> tuple[int, int]:
        """Return encrypted bytes sent and received on open connections."""
        return self._network.traffic_bytes() if self._network is not None else (0, 0)

    # Own devices

    async def devices(self) -> list[DeviceView]:
        """Return the devices of this person, those removed included, this one first."""
        online = self._network.connected() if self._network is not None else ()
        return await self._call(lambda engine: engine.device_views(frozenset(online)))

    async def rename_device(self, device: bytes, name: str) -> None:
        """Give one of this person's devices a name.

        Raises:
            UsageError: the name is empty or too long.
            NotFoundError: this person has no such device.
        """
        await self._call(lambda engine: engine.rename_device(device, name))
        self._identity = await self._call(lambda engine: engine.identity)

    async def remove_device(self, device: bytes, *, wipe: bool = False) -> None:
        """Remove one of this person's devices from the person, and so from all groups.

        Args:
            device: which one.
            wipe: ask it to delete everything it holds; see `Engine.remove_own_device`.

        Raises:
            DeviceNotInPersonError: it is not, or not any more, one of the person's devices, or it
                is the last one.
        """
        await self._call(lambda engine: engine.remove_own_device(device, wipe=wipe))

    async def catch_up(self) -> CatchUpChanged | None:
        """Return how far this device, newly paired, has come; None if nothing is awaited."""
        return await self._call(Engine.catch_up)

    # Groups

    async def groups(self) -> list[GroupView]:
        """Return all groups by name."""
        return await self._call(lambda engine: engine.queries.groups())

    async def group(self, group: bytes) -> GroupView:
        """Return one group."""
        return await self._call(lambda engine: engine.queries.group(group))

    async def is_exchanged(self, group: bytes) -> bool:
        """Tell whether everything of a group was exchanged with a device connected now."""
        return await self._call(lambda engine: engine.sessions.settled(group))

    async def create_group(
        self, name: str, profile: HistoryProfile = HistoryProfile.ARCHIVE
    ) -> GroupView:
        """Start a group with this person as its only member.

        Args:
            name: what its members call it.
            profile: what newcomers may read of the time before them.
        """
        group = await self._call(lambda engine: engine.create_group(name, profile))
        return await self.group(group)

    async def rename_group(self, group: bytes, name: str) -> GroupView:
        """Change a group's name."""
        await self._call(lambda engine: engine.membership.rename(group, name))
        return await self.group(group)

    async def remove_person(self, group: bytes, person: bytes) -> GroupView:
        """Remove a person from a group; new text is encrypted with a key it does not get."""
        await self._call(lambda engine: engine.membership.remove(group, person))
        return await self.group(group)

    async def set_role(self, group: bytes, person: bytes, role: Role) -> GroupView:
        """Give a member another role; see `Membership.set_role`."""
        await self._call(lambda engine: engine.membership.set_role(group, person, role))
        return await self.group(group)

    async def transfer_admin(
        self, group: bytes, person: bytes, role: Role = Role.WRITER
    ) -> GroupView:
        """Make another member an admin and take a lesser role oneself."""
        await self._call(lambda engine: engine.membership.transfer_admin(group, person, role))
        return await self.group(group)

    async def add_again(self, group: bytes, person: bytes, role: Role | None = None) -> GroupView:
        """Undo a removal; see `Membership.add_again`."""
        await self._call(lambda engine: engine.membership.add_again(group, person, role))
        return await self.group(group)

    async def leave_group(self, group: bytes) -> GroupView:
        """Leave a group with all devices of this person; its pages stay here to be read."""
        await self._call(lambda engine: engine.membership.leave(group))
        return await self.group(group)

    async def removal_preview(self, group: bytes, person: bytes) -> RemovalPreview:
        """Return what removing a person would mean; nothing is done."""
        return await self._call(lambda engine: engine.removals.preview(group, person))

    async def removal_status(self, group: bytes, person: bytes) -> RemovalStatus:
        """Return who knows of a removal by now."""
        return await self._call(lambda engine: engine.removals.status(group, person))

    async def membership_changes(self, group: bytes) -> list[MembershipChange]:
        """Return who changed the membership of a group how."""
        return await self._call(lambda engine: engine.removals.changes(group))

    # Documents

    async def documents(self, group: bytes | None = None) -> list[DocumentView]:
        """Return the pages of one group or of all, last changed first."""
        return await self._call(lambda engine: engine.queries.documents(group))

    async def documents_among(self, documents: Collection[bytes]) -> list[DocumentView]:
        """Return those of these pages that are here, last changed first."""
        return await self._call(lambda engine: engine.queries.documents_among(documents))

    async def document(self, document: bytes) -> DocumentView:
        """Return one page."""
        return await self._call(lambda engine: engine.queries.document(document))

    async def create_document(self, group: bytes, title: str, text: str = "") -> DocumentView:
        """Make a page with a title and text."""
        identity = await self._call(lambda engine: engine.create_document(group, title, text))
        return await self.document(identity)

    async def create_formatted(
        self, group: bytes, title: str, spans: Sequence[Span]
    ) -> DocumentView:
        """Make a page with formatted text; all of it is stored, or nothing is."""

        def make(engine: Engine) -> bytes:
            made = engine.create_document(group, title, "")
            engine.edit(made, lambda content: content.insert_spans(0, spans))
            return made

        return await self.document(await self._call(make))

    async def text(self, document: bytes) -> str:
        """Return a page's text without formatting."""
        return await self._call(lambda engine: engine.queries.text(document))

    async def read(self, document: bytes, function: Callable[[Document], Result]) -> Result:
        """Run ``function`` on a document's content, on the engine's thread; it must not edit."""
        return await self._call(lambda engine: function(engine.queries.content(document)))

    async def edit(self, document: bytes, function: Callable[[Document], Result]) -> Result:
        """Let ``function`` edit a document, on the engine's thread; durable on return."""
        return await self._call(lambda engine: engine.edit(document, function))

    async def splice(self, document: bytes, position: int, delete: int, insert: str) -> None:
        """Replace ``delete`` code points at ``position`` by ``insert``."""
        await self.edit(document, lambda content: content.splice(position, delete, insert))

    async def append(self, document: bytes, text: str) -> None:
        """Add text to the end of a page."""
        await self.edit(document, lambda content: content.splice(len(content), 0, text))

    async def replace_text(self, document: bytes, text: str) -> None:
        """Make ``text`` the page's text, changing as little as possible."""
        await self.edit(document, lambda content: content.replace_text(text))

    async def set_title(self, document: bytes, title: str) -> None:
        """Change a page's title."""
        await self.edit(document, lambda content: content.replace_title(title))

    async def history(self, document: bytes) -> list[ChangeView]:
        """Return who changed a page when, oldest first."""
        return await self._call(lambda engine: engine.queries.history(document))

    async def document_status(self, document: bytes) -> DocumentStatus:
        """Return where a page's content is."""
        return await self._call(lambda engine: engine.queries.status(document))

    async def publish(self, document: bytes) -> None:
        """Put a page's unpublished edits into operations now."""
        await self._call(lambda engine: engine.publish(document))

    async def open_editor(self, document: bytes) -> EditorSession:
        """Open a page for an editor window.

        Raises:
            NotFoundError: it is not on this device.
            EditorLimitError: it is open in too many windows.
        """
        slot, peer, snapshot = await self._call(lambda engine: engine.open_editor(document))
        return EditorSession(self._host, document, slot, peer, snapshot)

    # Inside

    def _places(self) -> tuple[int, tuple[Address, ...]]:
        """Return the port and addresses at which peers reach this device now."""
        network = self._network
        if network is None:
            return 0, ()
        return network.port, tuple(parse_address(one) for one in network.reachable_at())

    def _entered(self, entrance: Entrance) -> None:
        """Dial the device that has taken this one in."""
        if self._network is not None:
            given = HandOver.decode(entrance.hand_over)
            for host, port in places_of(given, entrance.met_at):
                self._network.remember(entrance.giver.device, host, port)
        self._renew_identity_soon()

    def _renew_identity_soon(self) -> None:
        def renew(engine: Engine) -> None:
            self._identity = engine.identity

        self._host.soon(renew)

    def _pairing_changed(self, view: PairingView) -> None:
        event = PairingChanged(view.state, view.revision)
        for subscription in tuple(self._subscriptions):
            subscription.put(event)

    async def _call(self, function: Callable[[Engine], Result]) -> Result:
        return await self._host.call(function)

    def _nearby_changed(self) -> None:
        for subscription in tuple(self._subscriptions):
            subscription.put(NearbyChanged())

    def _idle(self) -> frozenset[int]:
        return self._network.idle() if self._network is not None else frozenset()

    def _carry_out(self, effects: Effects) -> None:
        if self._network is not None:
            self._network.carry_out(effects.traffic)
            if effects.reach is not None:
                self._network.set_reach(effects.reach)
            if PeersChanged() in effects.events:
                self.pairing.met(self._network.connected())
        for event in effects.events:
            self._note(event)
            for subscription in tuple(self._subscriptions):
                subscription.put(event)
        if effects.wipe is not None and self._wipe is None:
            self._wipe = effects.wipe
            self._closing = asyncio.ensure_future(self._close())


async def create_profile_identity(
    profile: Profile, key: bytes, name: str, device_name: str, random: Random = system_random
) -> None:
    """Give a new profile its keys and names; needed once, before `Node.open`.

    Raises:
        UsageError: a name is empty or too long.
        StoreError: a subclass says what is wrong with disk, file or key.
    """

    def create() -> None:
        with profile.open_store(key) as store:
            create_identity(store, name, device_name, random, time=wall_clock())

    await asyncio.to_thread(create)
