"""The synchronous heart of a node: every call is one transaction, its effects come out after it.

One thread owns an engine. It does no network input or output and reads no clock of its own, so
that a simulator drives the same code as the desktop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from lutra.crypto.random import Random, system_random
from lutra.crypto.signing import SigningKey
from lutra.documents.document import Document
from lutra.errors import NotFoundError, UsageError
from lutra.groups.contents import Profile
from lutra.groups.data_keys import BodyCipher
from lutra.groups.directory import ChainDirectory
from lutra.groups.invite import Inviter
from lutra.groups.invite_keys import Channel
from lutra.groups.restore import Witness
from lutra.mls.suites import HYBRID_SUITE
from lutra.node.acknowledgements import Acknowledgements
from lutra.node.acquaintances import Acquaintances
from lutra.node.branches import Branches
from lutra.node.bundling import Bundling
from lutra.node.catching_up import CatchingUp
from lutra.node.context import Context, Outbox
from lutra.node.device_admission import DeviceAdmission
from lutra.node.device_views import DeviceView
from lutra.node.document_registry import DocumentRegistry
from lutra.node.document_states import DocumentStates
from lutra.node.earlier_groups import EarlierGroups
from lutra.node.effects import Effects, Reach
from lutra.node.events import (
    CatchUpChanged,
    GroupsChanged,
    InvitesChanged,
    JoinChanged,
    JoinRequested,
    PeersChanged,
    PersonChanged,
    PresenceChanged,
)
from lutra.node.from_backup import continue_anew, retire
from lutra.node.group_registry import GroupRegistry
from lutra.node.ingest import Ingest
from lutra.node.invitations import Invitations
from lutra.node.join_attempts import JoinAttempts
from lutra.node.kits import Kits
from lutra.node.log_keeper import LogKeeper
from lutra.node.membership import Membership
from lutra.node.new_identity import (
    DEVICE,
    DEVICE_NAME,
    PERSON_ID,
    PERSON_NAME,
    checked_name,
    create_person,
    is_waiting,
)
from lutra.node.own_devices import OwnDevices
from lutra.node.own_removal import OwnRemoval
from lutra.node.person_registry import PersonRegistry
from lutra.node.queries import Queries
from lutra.node.removals import Removals
from lutra.node.replica import StoredReplica
from lutra.node.session_hub import SessionHub
from lutra.node.telling import Telling
from lutra.node.upkeep import Upkeep
from lutra.node.views import Identity
from lutra.store.peers import AddressRow
from lutra.store.store import Store
from lutra.sync.replica import IngestReport, WireOperation

Result = TypeVar("Result")
_REACHING = (InvitesChanged, JoinChanged, JoinRequested)
"""Events after which others may be looked for, or let in, than before."""


class Engine:
    """Groups, documents and sync sessions over one store.

    Args:
        store: opened by the thread that will use the engine.
        now: clock in milliseconds since 1970.
        monotonic: clock in seconds for deadlines.
        random: source of randomness.

    Raises:
        NotFoundError: the profile has no identity yet; see `lutra.node.new_identity`.
    """

    def __init__(
        self,
        store: Store,
        *,
        now: Callable[[], int],
        monotonic: Callable[[], float],
        random: Random = system_random,
    ) -> None:
        self._is_anew = continue_anew(store, random, now)
        seed = store.keys.get(DEVICE)
        if seed is None:
            raise NotFoundError("This profile has not been set up yet: run “lutra init”.")
        if is_waiting(store):
            raise NotFoundError(
                "This profile waits to be paired with another of your devices: run “lutra device "
                "link”."
            )
        context = Context(
            store=store,
            key=SigningKey(seed),
            random=random,
            now=now,
            cipher=BodyCipher(random),
            outbox=Outbox(),
        )
        self._context = context
        self._logs = LogKeeper(context)
        if store.settings.get(PERSON_ID) is None:
            # The profile comes from a Lutra that knew devices only.
            create_person(store, random, time=now())
        directory = ChainDirectory()
        self.persons = PersonRegistry(context, directory)
        self._branches = Branches(context, self._logs)
        self._groups = GroupRegistry(
            context,
            self._logs,
            persons=self.persons,
            directory=directory,
            branches=self._branches,
        )
        self.people = Acquaintances(context, self._groups, self.persons)
        self.invitations = Invitations(context, self._groups, self.persons)
        self.joins = JoinAttempts(context, self._groups, self.persons)
        self.own_devices = OwnDevices(context, self._logs, self._groups)
        self.kits = Kits(context, self._groups, self.persons, self.own_devices)
        self._catching_up = CatchingUp(context, self._groups, monotonic)
        self.device_admission = DeviceAdmission(
            context,
            self._logs,
            persons=self.persons,
            groups=self._groups,
            own_devices=self.own_devices,
            catching_up=self._catching_up,
        )
        self._documents = DocumentRegistry(context, self._logs, self._groups)
        self._states = DocumentStates(context, self._logs, self._groups, self._documents)
        self._ingest = Ingest(
            context,
            self._logs,
            branches=self._branches,
            groups=self._groups,
            documents=self._documents,
            own_devices=self.own_devices,
            states=self._states,
        )
        self.membership = Membership(
            context,
            self._logs,
            groups=self._groups,
            persons=self.persons,
            documents=self._documents,
        )
        self._acknowledgements = Acknowledgements(context, self._logs)
        self._telling = Telling(context.device, self._groups, self._acknowledgements)
        self._replica = StoredReplica(
            context,
            self._logs,
            groups=self._groups,
            documents=self._documents,
            ingest=self._ingest,
            acknowledgements=self._acknowledgements,
            branches=self._branches,
            telling=self._telling,
            catching_up=self._catching_up,
        )
        self.bundles = Bundling(
            context,
            self._logs,
            groups=self._groups,
            persons=self.persons,
            own_devices=self.own_devices,
            ingest=self._ingest,
            replica=self._replica,
        )
        self._own_removal = OwnRemoval(context, self.persons)
        self._reach_moved = False
        self.sessions = SessionHub(self._replica, context.device, monotonic)
        self._upkeep = Upkeep(
            context,
            groups=self._groups,
            documents=self._documents,
            states=self._states,
            sessions=self.sessions,
            monotonic=monotonic,
        )
        self.removals = Removals(
            context,
            self._logs,
            groups=self._groups,
            acknowledgements=self._acknowledgements,
            telling=self._telling,
            online=self.sessions,
        )
        self.queries = Queries(
            context,
            self._groups,
            self._documents,
            acknowledgements=self._acknowledgements,
            telling=self._telling,
            online=self.sessions,
        )

    @property
    def signing_key(self) -> SigningKey:
        """This device's key, for the network's handshake."""
        return self._context.key

    def now(self) -> int:
        """Return the time, in milliseconds since 1970."""
        return self._context.now()

    @property
    def store(self) -> Store:
        """The profile's store, for records that concern no group; inside calls only."""
        return self._context.store

    def run(self, call: Callable[[], Result]) -> tuple[Result, Effects]:
        """Run one call of this engine as one transaction; returns its result and its effects.

        If it raises, the store and everything in memory are as before; `after_failure` then
        returns what is to be done all the same.
        """
        try:
            with self._context.store.transaction():
                result = call()
                self._follow_up()
        except BaseException:
            self._forget()
            raise
        self._ingest.keep()
        return result, self._effects()

    def after_failure(self) -> Effects:
        """Return the effects of a call that raised: sessions that end, the next deadline."""
        return self._effects()

    # Starting and time

    def start(self) -> None:
        """Pick up what an earlier run left: drafts become operations, keys are reconciled."""
        self._reach_moved = True
        self.own_devices.ensure_personal()
        EarlierGroups(self._context, self._groups, self._documents).renew()
        self.joins.tend()
        if self._is_anew:
            # Whoever is met first should see that the new device belongs here.
            self._tell_groups()
        self._upkeep.start()

    def warm(self, group: bytes) -> None:
        """Load what the first session about a group would otherwise wait for, and tend it."""
        self._logs.head_set(group, control=True)
        for member in self._groups.get(group).members():
            self._acknowledgements.warm(member.device)
        self._upkeep.tend(group)

    def tick(self) -> None:
        """Do what is due."""
        if self._upkeep.tick():
            retire(self._context.store, self.persons, caught_up=self._is_caught_up())
            self.joins.tend()
        self.sessions.tick()

    def produce(self, connections: frozenset[int]) -> None:
        """Send a slice of bulk, a few hundred operations, on each of these connections."""
        self.sessions.produce(connections)

    def take_in(self) -> None:
        """Ingest a slice of bulk, a few hundred operations, of each connection."""
        self.sessions.take_in()

    def close(self) -> None:
        """Close the store; the engine cannot be used afterwards."""
        self._ingest.close()
        self._context.store.close()

    # Groups

    def group_ids(self) -> list[bytes]:
        """Return the ids of all groups this device is or was in."""
        return self._groups.ids()

    def create_group(
        self, name: str, profile: Profile = Profile.ARCHIVE, suite: int = HYBRID_SUITE
    ) -> bytes:
        """Start a group; returns its id. See `GroupRegistry.create`."""
        return self._groups.create(name, profile, suite=suite)

    def rename_group(self, group: bytes, name: str) -> None:
        """Change a group's name; see `Membership.rename`."""
        self.membership.rename(group, name)

    def remove_person(self, group: bytes, person: bytes) -> None:
        """Remove a person from a group and change the keys; see `Membership.remove`."""
        self.membership.remove(group, person)

    def remove_own_device(self, device: bytes, *, wipe: bool = False) -> None:
        """Remove a device of this person from all groups, for example a stolen one.

        Args:
            device: which one.
            wipe: ask it to delete everything it holds, which it does if it goes online and its
                program was not changed.

        Raises:
            DeviceNotInPersonError: it is none of this person's devices, or the last one.
            UsageError: it is this device, which can be wiped by deleting its profile.
        """
        if wipe and device == self._context.device:
            raise UsageError("This device cannot ask itself to delete everything.")
        self.persons.remove_device(device, wipe=wipe)

    def inviter(self, channel: Channel) -> Inviter:
        """Return the inviting side of a joining exchange."""
        return Inviter(channel, self.invitations, self._context.random)

    def witness(self, own: bytes, peer: bytes, handshake_hash: bytes) -> Witness:
        """Return the knowing side of an exchange with a device that restores a person."""
        return self.kits.witness(own, peer, handshake_hash)

    def ingest(self, group: bytes, operations: Sequence[WireOperation]) -> IngestReport:
        """Take in operations that did not come through a session, for example from a file."""
        return self._ingest.ingest(group, operations, None)

    def expect(self, operations: Sequence[WireOperation]) -> None:
        """Prepare for operations that `ingest` will get next."""
        self._ingest.expect(operations)

    def operations_of(self, group: bytes, log: bytes) -> list[WireOperation]:
        """Return all operations of all devices' logs with one id, each log in order."""
        return [
            WireOperation(item.header, item.body)
            for key, _ in self._logs.of_log(group, log)
            for item in self._context.store.operations.of_log(key)
        ]

    # Documents

    def create_document(self, group: bytes, title: str, text: str) -> bytes:
        """Make a document; returns its id."""
        document = self._documents.create(group, title, text)
        self._upkeep.edited(document, at_once=True)
        return document

    def edit(self, document: bytes, change: Callable[[Document], Result]) -> Result:
        """Let ``change`` edit a document; durable when the transaction has committed."""
        result = self._documents.edit(document, change)
        self._upkeep.edited(document)
        return result

    def apply_local(self, document: bytes, slot: int, update: bytes) -> None:
        """Take in edits of an editor window."""
        self._documents.apply_local(document, slot, update)
        self._upkeep.edited(document)

    def publish(self, document: bytes) -> None:
        """Put a document's drafts into operations now."""
        self._upkeep.publish(document)

    def publish_all(self) -> None:
        """Put all drafts into operations now, as far as keys allow."""
        self._upkeep.publish_all()

    def finish(self) -> None:
        """Leave things tidy before closing: no drafts, as far as keys allow, and short logs."""
        self._upkeep.finish()

    def open_editor(self, document: bytes) -> tuple[int, int, bytes]:
        """Take an editing place; returns slot, Loro peer id and the state to start from."""
        opened = self._documents.open_editor(document)
        self.sessions.priority_changed(self.queries.document(document).group)
        return opened

    def close_editor(self, document: bytes, slot: int) -> None:
        """Give an editing place back."""
        self._documents.close_editor(document, slot)

    def presence(self, document: bytes, anchor: bytes | None, head: bytes | None) -> None:
        """Tell connected members where this person's caret is; None means gone."""
        group = self.queries.document(document).group
        self.sessions.send_presence(group, document, anchor, head)

    # Own devices

    def device_views(self, online: frozenset[bytes]) -> list[DeviceView]:
        """Return this person's devices, this one first, given which devices are connected."""
        own = self._context.device
        state = self.persons.own.state
        views = [
            DeviceView(
                item.key,
                self.persons.device_name(item.key),
                item.key == own,
                item.active,
                item.key in online or item.key == own,
            )
            for item in state.devices
            if not item.recovery
        ]
        return sorted(
            views, key=lambda view: (not view.me, not view.active, view.name, view.device)
        )

    def rename_device(self, device: bytes, name: str) -> None:
        """Give one of this person's devices a name; groups see that of this device."""
        name = checked_name(name)
        known = self.persons.own.state.device(device)
        if known is None or not known.active:
            raise NotFoundError("There is no such device of yours.")
        self.persons.rename_device(device, name)
        if device == self._context.device:
            self._context.store.settings.set(DEVICE_NAME, name)

    def catch_up(self) -> CatchUpChanged | None:
        """Return how far this newly paired device has come; None if nothing is awaited."""
        return self._catching_up.view()

    # Addresses

    def addresses(self) -> list[AddressRow]:
        """Return where devices were met, last met first."""
        return self._context.store.addresses.list()

    def remember_addresses(self, rows: Iterable[AddressRow]) -> None:
        """Keep where devices were met."""
        for row in rows:
            self._context.store.addresses.remember(row)

    # Inside

    def _follow_up(self) -> None:
        """Do what must be in the same transaction as its cause, before anything is sent."""
        events = self._context.outbox.events
        persons = {event.person for event in events if isinstance(event, PersonChanged)}
        for person in sorted(persons):
            self.people.observe(person)
        self._reach_moved |= bool(persons)
        if self.persons.id in persons:
            self._own_removal.notice()
            self._tell_groups()
        changed = {event.group for event in events if isinstance(event, GroupsChanged)}
        for group in sorted(changed):
            self.membership.follow(group)
        if changed:
            self.own_devices.publish()
        if any(isinstance(event, GroupsChanged | PersonChanged) for event in events):
            self.kits.forget()
        if self._catching_up.is_active:
            self._catching_up.note()
        self._groups.save_used_keys()

    def _tell_groups(self) -> None:
        """Carry news about this person's devices into its groups."""
        name = self.persons.device_name(self._context.device)
        if name:
            # Another own device may have renamed this one.
            self._context.store.settings.set(DEVICE_NAME, name)
        for group in self._groups.ids():
            if not self._groups.row(group).left:
                self._groups.tend(group)

    def _effects(self) -> Effects:
        """Hand new operations to the sessions and gather what is to be sent and told."""
        self._upkeep.keep()
        branches, wanted = self._context.outbox.branches, self._context.outbox.wanted
        events, fresh, forks = self._context.outbox.take()
        for item in fresh:
            self.sessions.push(item)
        for group, evidence in forks:
            self.sessions.push_forks(group, [evidence])
        for branch in branches:
            self.sessions.push_branches(*branch)
        for group, keys in wanted:
            self.sessions.request(group, keys)
        changed = {event.group for event in events if isinstance(event, GroupsChanged)}
        if changed:
            self.sessions.groups_changed()
            for group in changed:
                self._upkeep.gate_moved(group)
        traffic = self.sessions.take()
        for presence in traffic.presence:
            if not self.queries.is_in(presence.document, presence.group):
                continue
            events.append(
                PresenceChanged(
                    presence.document,
                    presence.device,
                    self.queries.name_of(presence.group, presence.device),
                    presence.anchor,
                    presence.head,
                )
            )
        if traffic.peers_changed:
            events.append(PeersChanged())
            self._upkeep.publish_soon()
        due = (self._upkeep.deadline, self.sessions.next_tick(), self._catching_up.deadline)
        times = [at for at in due if at is not None]
        moved = any(isinstance(event, _REACHING) for event in events)
        reach = self.reach() if changed or moved or self._reach_moved else None
        self._reach_moved = False
        return Effects(
            events,
            traffic,
            min(times, default=None),
            self.sessions.burdened(),
            self.sessions.has_arrivals,
            reach,
            self._own_removal.wish(),
        )

    def reach(self) -> Reach:
        """Return whom this device looks for and lets in."""
        return Reach(
            self.queries.known_devices(),
            self.queries.discovery_secrets(),
            self.invitations.offered(),
            self.joins.active(),
            self.kits.rendezvous(),
        )

    def _is_caught_up(self) -> bool:
        """Tell whether somebody who may know more of this person was met, if there is anybody."""
        groups = [one for one in self._groups.ids() if not self._groups.row(one).left]
        if any(self.sessions.settled(group) for group in groups):
            return True
        own = self._context.device
        others = {member.device for one in groups for member in self._groups.get(one).members()}
        return others <= self.persons.own.state.active() | {own}

    def _forget(self) -> None:
        """Drop all state in memory that the undone transaction may have changed."""
        self._context.outbox.clear()
        self._upkeep.undo()
        self.sessions.abandon()
        self._logs.forget()
        self._ingest.forget()
        self._groups.forget()
        self.membership.forget()
        self._own_removal.forget()
        self.persons.forget()
        self.kits.forget()
        self._catching_up.forget()
        self._acknowledgements.forget()
        self._telling.forget()
        self._documents.forget()
        self._states.forget()

    @property
    def identity(self) -> Identity:
        """This device and its person."""
        settings = self._context.store.settings
        return Identity(
            self._context.device,
            str(settings.get(PERSON_NAME) or ""),
            str(settings.get(DEVICE_NAME) or ""),
            self.persons.id,
        )
