"""A node: the public API of Lutra for programs, on one asyncio event loop.

Open it on a profile, call its verbs, listen to its events; `start` adds the network. Every verb
that changes something returns once the change is durable.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Self, TypeVar

from lutra.crypto.random import Random, system_random
from lutra.documents.document import Document
from lutra.errors import LocalError
from lutra.groups.contents import Profile as HistoryProfile
from lutra.groups.contents import Role
from lutra.groups.invite import InviteSecret
from lutra.node.editor_session import EditorSession
from lutra.node.engine import Effects, Engine, Reach
from lutra.node.events import GroupsChanged, RaiseRequested
from lutra.node.host import EngineHost, wall_clock
from lutra.node.invitations import INVITE_LIFETIME
from lutra.node.network import Network
from lutra.node.new_identity import create_identity
from lutra.node.options import NodeOptions
from lutra.node.subscription import Subscription
from lutra.node.views import (
    ChangeView,
    DocumentStatus,
    DocumentView,
    GroupView,
    Identity,
    InviteView,
    MembershipChange,
    PeerView,
    RemovalPreview,
    RemovalStatus,
    StatusView,
)
from lutra.store.invites import InviteRow
from lutra.store.profile import Profile

Result = TypeVar("Result")
_KEYS_SECONDS = 10.0
"""How long `Node.join` waits for a new group's keys."""


class NotRunningError(LocalError):
    """The network part of the node is not running."""

    code = "node.not-running"


class Node:
    """One device's groups and documents.

    Use `open` (or ``async with await Node.open(...)``); then `start` to go on the network.
    Verbs raise subclasses of `lutra.errors.LutraError`.
    """

    def __init__(self, options: NodeOptions) -> None:
        self._options = options
        self._host = EngineHost(self._carry_out, self._idle)
        self._network: Network | None = None
        self._subscriptions: list[Subscription] = []
        self._identity: Identity | None = None

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
        node = cls(options or NodeOptions())
        try:
            await node._host.open(profile, key, random)
            node._identity = await node._call(lambda engine: engine.identity)
            await node._call(Engine.start)
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
        network = Network(key, self._host, self._options, wall_clock)
        reach: Reach = await self._call(Engine.reach)
        try:
            await network.open(reach)
        except BaseException:
            await network.close()
            raise
        self._network = network
        for group in await self._call(Engine.group_ids):
            self._host.soon(lambda engine, group=group: engine.warm(group))

    async def close(self) -> None:
        """Leave the network, publish what can be, and close the store; twice is harmless."""
        if self._host.closed:
            return
        network, self._network = self._network, None
        try:
            if network is not None:
                await network.close()
            await self._call(Engine.finish)
        finally:
            await self._host.close()
            for subscription in list(self._subscriptions):
                subscription.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

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

    # Groups

    async def groups(self) -> list[GroupView]:
        """Return all groups by name."""
        return await self._call(lambda engine: engine.queries.groups())

    async def group(self, group: bytes) -> GroupView:
        """Return one group."""
        return await self._call(lambda engine: engine.queries.group(group))

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

    async def invite(
        self,
        group: bytes,
        *,
        role: Role = Role.WRITER,
        uses: int = 1,
        lifetime: int = INVITE_LIFETIME,
        by_hand: bool = False,
    ) -> InviteView:
        """Make an invite, to be used while this node runs; see `Invitations.invite`."""
        row = await self._call(
            lambda engine: engine.invite(
                group, role=role, uses=uses, lifetime=lifetime, by_hand=by_hand
            )
        )
        return self._invite_view(row)

    async def join(self, code: str, address: str | None = None) -> GroupView:
        """Join a group by an invite's code or link.

        Args:
            code: the code or link.
            address: where the inviting device is, if discovery cannot find it.

        Raises:
            InviteError: the code has a typing mistake.
            JoinPendingError: somebody there has to approve first; try again later.
            JoinRefusedError: the inviting device does not accept it.
            NobodyFoundError: that device could not be reached.
            NotRunningError: `start` has not been called.
        """
        secret, addresses = InviteSecret.parse(code)
        if address is not None:
            addresses = (address, *addresses)
        network = self._running()
        events = self.events()
        try:
            group = await network.join(secret, addresses)
            await self._readable(group, events)
        finally:
            events.close()
        return await self.group(group)

    # Documents

    async def documents(self, group: bytes | None = None) -> list[DocumentView]:
        """Return the pages of one group or of all, last changed first."""
        return await self._call(lambda engine: engine.queries.documents(group))

    async def document(self, document: bytes) -> DocumentView:
        """Return one page."""
        return await self._call(lambda engine: engine.queries.document(document))

    async def create_document(self, group: bytes, title: str, text: str = "") -> DocumentView:
        """Make a page with a title and text."""
        identity = await self._call(lambda engine: engine.create_document(group, title, text))
        return await self.document(identity)

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

    async def _readable(self, group: bytes, events: Subscription) -> None:
        """Wait until a group's keys have come, for a while."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_KEYS_SECONDS):
                while not (view := await self.group(group)).ready or not view.name:
                    while await anext(events) != GroupsChanged(group):
                        pass

    def _invite_view(self, row: InviteRow) -> InviteView:
        secret = InviteSecret(row.secret)
        addresses = self._network.reachable_at() if self._network is not None else ()
        return InviteView(
            row.group,
            secret.code(),
            secret.link(addresses),
            row.expires,
            row.uses_left,
            row.id,
            row.role,
            row.by_hand,
            row.revoked,
        )

    async def _call(self, function: Callable[[Engine], Result]) -> Result:
        return await self._host.call(function)

    def _running(self) -> Network:
        if self._network is None:
            raise NotRunningError("This needs the network, and the node is not on it.")
        return self._network

    def _idle(self) -> frozenset[int]:
        return self._network.idle() if self._network is not None else frozenset()

    def _carry_out(self, effects: Effects) -> None:
        if self._network is not None:
            self._network.carry_out(effects.traffic)
            if effects.reach is not None:
                self._network.set_reach(effects.reach)
        for event in effects.events:
            for subscription in tuple(self._subscriptions):
                subscription.put(event)


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
