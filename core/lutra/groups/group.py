"""One device's replica of a group whose keys are MLS (GROUPS §2.5-2.9), without IO.

Every call that returns operations has changed the private state: store `Group.private_state`
and the operations in one transaction, then send the operations. `resume` takes both back.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence

from lutra.crypto.hashing import equal_constant_time
from lutra.errors import BugError, RemoteError
from lutra.groups.acknowledging import AckTimer
from lutra.groups.admissions import epochs_before_admission
from lutra.groups.bodies import Bodies
from lutra.groups.cards import Card, Settings, encode_names
from lutra.groups.chronicle import Change
from lutra.groups.contents import (
    ACK,
    ADD,
    CARD,
    COMMIT,
    CREATE,
    CUT,
    KEYLINK,
    LEAVE,
    MAX_CUTS,
    NACK,
    OFFER,
    OK,
    PERSON,
    REMOVE,
    ROLE,
    SETTINGS,
    STALE,
    AddPerson,
    Content,
    Create,
    Cut,
    EpochCommit,
    ExtendCuts,
    KeyLink,
    Leave,
    Offer,
    Offers,
    Opinion,
    PersonEvidence,
    Profile,
    RemovePerson,
    Role,
    Sealed,
    SetRole,
    Stale,
    encode_content,
)
from lutra.groups.control_state import Accepted, ControlState
from lutra.groups.data_keys import BodyCipher
from lutra.groups.data_rules import DataRules
from lutra.groups.epochs import EpochNode, epoch_id_of
from lutra.groups.errors import AlreadyMemberError, NotAMemberError
from lutra.groups.ids import group_id
from lutra.groups.key_packages import KEPT_AFTER_EXPIRY_SECONDS, create_offer
from lutra.groups.keyring import Keyring, Unenterable
from lutra.groups.keys import ControlSigner, Epoch, Member, Reception
from lutra.groups.links import kid_of, seal_links
from lutra.groups.names import Names
from lutra.groups.planning import Plan, plan_commit, rank_of
from lutra.groups.resync import EXTERNAL_AFTER_MS
from lutra.groups.retention import deletable
from lutra.groups.setup import Setup
from lutra.mls import (
    CommitOptions,
    ExternalJoin,
    KeyPackageBundle,
    LeafContent,
    StagedCommit,
)
from lutra.mls import Group as MlsGroup
from lutra.operation import Operation

RANK_DELAY_MS = 3_000


class Group:
    """A group as one device sees it; see the module's text."""

    def __init__(self, group: bytes, setup: Setup) -> None:
        self._setup = setup
        self._device = setup.device
        self._services = setup.services()
        self._cipher = BodyCipher(setup.random)
        self.control = ControlState(group, setup.directory, self._services)
        self._keyring = Keyring(self._services)
        self._names = Names(self._cipher)
        self._data_rules = DataRules(self.control)
        self._acks = AckTimer()

    # Beginning and resuming

    @classmethod
    def create(
        cls,
        signer: ControlSigner,
        setup: Setup,
        nonce: bytes,
        evidence: Iterable[bytes],
        profile: Profile = Profile.ARCHIVE,
    ) -> tuple[Group, list[Operation]]:
        """Start a group with this device's person as its only member."""
        self = cls(group_id(setup.device, nonce), setup)
        self._keyring.sealed = profile is Profile.SEALED
        _, bundle = self._new_offer()
        mls = MlsGroup.create(bundle, self.id, services=self._services)
        info = mls.group_info(with_tree=True)
        epoch = epoch_id_of(mls)
        kid = kid_of(self._keyring.keep(epoch, mls))
        create = Create(nonce, profile, tuple(sorted(evidence)), info, kid)
        return self, [self._issue(signer, CREATE, create)]

    @classmethod
    def resume(
        cls, group: bytes, setup: Setup, operations: Iterable[Operation], private_state: bytes
    ) -> Group:
        """Take up a stored group.

        Args:
            group: the group's id.
            setup: as before.
            operations: all control operations, in the order they were received or made.
            private_state: what `private_state` returned when the last of them was stored.
        """
        self = cls(group, setup)
        keyring = Keyring.from_bytes(private_state, self._services)
        remaining = iter(operations)
        while len(self.control.history) < keyring.processed:
            if (operation := next(remaining, None)) is None:
                break
            self._take(operation)
        keyring.open_epochs(self.control.tree)
        keyring.sealed = self.control.profile is Profile.SEALED
        self._keyring = keyring
        self.settle()
        for operation in remaining:
            # What was stored after the private state comes to the same as if it was received now.
            self.receive(operation)
        return self

    def private_state(self) -> bytes:
        """Return the secrets to be stored, encrypted, together with the operations."""
        self._keyring.processed = len(self.control.history)
        self._keyring.unsaved = False
        return self._keyring.to_bytes()

    # What is known

    @property
    def id(self) -> bytes:
        """The group's id."""
        return self.control.id

    @property
    def name(self) -> str:
        """The group's name; empty until it can be read."""
        settings = self.control.authorisation.settings(self.control.everything)
        return self._names.group_name(settings)

    @property
    def profile(self) -> Profile:
        """What newcomers may read of the time before them."""
        return self.control.profile

    @property
    def discovery_secret(self) -> bytes | None:
        """What members recognise one another's devices by; None before the creation is known."""
        return self.control.discovery_secret

    @property
    def evidence(self) -> frozenset[bytes]:
        """All statements about persons that the group carries."""
        return self.control.authorisation.evidence

    @property
    def bodies(self) -> Bodies:
        """What seals and opens the bodies of data operations."""
        return Bodies(self._keyring, self._cipher)

    @property
    def unsaved(self) -> bool:
        """Message keys were used: store `private_state` before anything is sent or shown."""
        return self._keyring.unsaved

    @property
    def secrets(self) -> dict[bytes, bytes]:
        """All data secrets held: epoch → secret."""
        return dict(self._keyring.secrets)

    def heads(self) -> tuple[bytes, ...]:
        """Return the control operations nothing else follows, sorted."""
        return self.control.history.heads()

    def knows(self, operation_id: bytes) -> bool:
        """Tell whether a control operation has its place in the history."""
        return operation_id in self.control.history

    def members(self) -> Sequence[Member]:
        """Return all devices of those who are or were in, sorted by device key."""
        auth = self.control.auth()
        ever = self.control.authorisation.persons()
        return [
            Member(
                device,
                card.name,
                card.device_name,
                device in auth.devices,
                auth.owner[device],
                auth.role_of(device),
            )
            for device in sorted(auth.owner)
            if auth.owner[device] in ever
            for card in [self._names.card(device)]
        ]

    def roles(self) -> dict[bytes, Role]:
        """Return person → role."""
        return dict(self.control.auth().roles)

    def is_member(self, device: bytes) -> bool:
        """Tell whether ``device`` is in, by all that is known here."""
        return device in self.control.auth().devices

    def was_removed(self, device: bytes) -> bool:
        """Tell whether ``device`` is out after it had been in; a newcomer never was in."""
        auth = self.control.auth()
        owner = auth.owner.get(device)
        return (
            owner is not None
            and device not in auth.devices
            and owner in self.control.authorisation.persons()
        )

    def role_of(self, device: bytes) -> Role | None:
        """Return the role in which a device acts, None where it is not in."""
        return self.control.auth().role_of(device)

    def person_of(self, device: bytes) -> bytes | None:
        """Return the person that a device belongs to or belonged to; None if it is not known."""
        return self.control.auth().owner.get(device)

    def devices_of(self, person: bytes) -> frozenset[bytes]:
        """Return a person's devices that are in."""
        devices = self.control.auth().devices
        return frozenset(device for device, owner in devices.items() if owner == person)

    def has_card(self, name: str, device_name: str) -> bool:
        """Tell whether this device's own card says so already, and everybody can read it."""
        return self._names.card(self._device) == Card(name, device_name) and self._names.card_epoch(
            self._device
        ) not in epochs_before_admission(self.control)

    def is_name_hidden(self) -> bool:
        """Tell whether newcomers cannot read the group's name: somebody has to say it again."""
        settings = self.control.authorisation.settings(self.control.everything)
        return self._names.name_epoch(settings) in epochs_before_admission(self.control)

    def require_membership(self) -> None:
        """Raise `NotAMemberError` unless this device is in the group."""
        if not self.is_member(self._device):
            raise NotAMemberError("This device is not in the group any more.")

    def was_member(self, device: bytes, heads: tuple[bytes, ...]) -> bool | None:
        """Tell whether ``device`` was in as of ``heads``; None while one of these is unknown."""
        known = self.control.history.closure(heads)
        return None if known is None else device in self.control.auth(known).devices

    def accepts(
        self, author: bytes, log: bytes, seq_num: int, *, epoch: bytes, heads: tuple[bytes, ...]
    ) -> bool | None:
        """Tell whether a data operation counts, see `lutra.groups.data_rules`."""
        return self._data_rules.accepts(author, log, seq_num, epoch=epoch, heads=heads)

    def missing(self, operation: Operation) -> Sequence[bytes]:
        """Return the ids of control operations that one builds on and that are not known."""
        return self.control.history.missing(operation)

    def is_cut_off(
        self, author: bytes, log: bytes, seq_num: int, *, epoch: bytes, heads: tuple[bytes, ...]
    ) -> bool:
        """Tell whether a data operation would count if somebody vouched for it: `extend_cuts`."""
        return self._data_rules.is_cut_off(author, log, seq_num, epoch=epoch, heads=heads)

    def changes(self) -> list[Change]:
        """Return who changed the membership how, in the order this device learned of it."""
        return self.control.chronicle.changes(self.control.authorisation, self.control.everything)

    def is_forked(self, device: bytes) -> bool:
        """Tell whether a device was caught signing two control operations for one place."""
        return self.control.authorisation.is_forked(device)

    def exclusions(self, device: bytes) -> list[tuple[bytes, int]]:
        """Return the removals that keep a device out: (their author, their place in its log)."""
        return self.control.authorisation.exclusions(device, self.control.everything)

    def live_removals(self) -> list[tuple[bytes, bytes, dict[tuple[bytes, bytes], int]]]:
        """Return removals that count: operation id, person, (device, log) → last accepted number.

        Logs of the person's devices that are not named are accepted up to nothing. Where this
        device holds more, accepted before it knew of the removal, it calls `extend_cuts`. What the
        person wrote after it was added anew needs no cut: see `is_aware`.
        """
        control = self.control
        return [
            (
                control.history.id(index),
                content.person,
                dict(control.cuts.known(index, content.cuts)),
            )
            for index, content in control.authorisation.live_removals(control.everything)
        ]

    def is_aware(self, heads: tuple[bytes, ...], operation_id: bytes) -> bool | None:
        """Tell whether who names ``heads`` knew an operation; None while one of them is unknown."""
        history = self.control.history
        known = history.closure(heads)
        if known is None:
            return None
        return operation_id in history and bool(known >> history.index(operation_id) & 1)

    def current_epoch(self) -> Epoch | None:
        """Return the key for new text; None while the send gate is shut (GROUPS §2.6.2)."""
        head = self.control.head()
        if head is None or self._device not in self.control.auth().leaves:
            return None
        if self._keyring.group(head.id) is None or not self.control.is_gate_open(head):
            return None
        return Epoch(head.id, self._keyring.secrets[head.id])

    def secret(self, epoch: bytes) -> bytes | None:
        """Return the secret of an epoch, if this device holds it."""
        return self._keyring.secrets.get(epoch)

    # Receiving

    def receive(self, operation: Operation) -> Reception:
        """Take in a verified control operation, own ones included; see `tend` for answers."""
        reception = self.take(operation)
        if reception is Reception.ACCEPTED:
            self.settle()
        return reception

    def take(self, operation: Operation) -> Reception:
        """Do as `receive` with one of many: call `settle` after the last.

        Until then keys and names are as they were, what is authorised is not.
        """
        history = self.control.history
        if operation.id in history:
            return Reception.KNOWN
        if history.missing(operation):
            return Reception.WAITING
        if self.control.is_foreign(operation):
            return Reception.FOREIGN
        accepted = self._take(operation)
        if accepted is None:
            return Reception.REFUSED
        if accepted.epoch is not None:
            self._enter(accepted.epoch)
        return Reception.ACCEPTED

    def _take(self, operation: Operation) -> Accepted | None:
        try:
            accepted = self.control.accept(operation)
        except RemoteError:
            return None
        if operation.author == self._device and operation.kind in (ACK, COMMIT):
            self._acks.note(operation.header.extensions.time)
        if operation.kind == CREATE:
            self._keyring.sealed = self.control.profile is Profile.SEALED
        if isinstance(accepted.content, Sealed):
            depth = self.control.history.past(accepted.index).bit_count()
            self._names.add(operation, accepted.index, depth)
        return accepted

    def _enter(self, node: EpochNode) -> None:
        # With window 0 the wrong one of two branches could not be left again: see `_advance`.
        if not self._keyring.sealed:
            self._try(node)

    def _advance(self, head: EpochNode) -> None:
        """Enter the epochs up to the head, where each deletes what led to it (`sealed`)."""
        ahead: list[EpochNode] = []
        for node in head.path():
            if self._keyring.group(node.id) is not None:
                break
            ahead.append(node)
        for node in reversed(ahead):
            self._try(node)
        if self._keyring.group(head.id) is not None:
            for node in self.control.tree:
                self._keyring.drop_used(node.packages)

    def _try(self, node: EpochNode) -> None:
        if node.parent is None or node.id in self._keyring.failed:
            return
        try:
            self._keyring.enter(node, self._device)
        except Unenterable:
            self._keyring.failed.add(node.id)

    def settle(self) -> None:
        """Draw the consequences of what was taken in."""
        keyring, control = self._keyring, self.control
        control.links.follow(self.id, keyring.secrets, control.tree.kid)
        self._names.read(keyring.secrets)
        head, now = control.head(), self._setup.clock()
        if head is None:
            return
        if keyring.sealed:
            self._advance(head)
        for epoch, left in list(keyring.left.items()):
            if epoch == head.id:
                keyring.left[epoch] = None
            elif left is None or left > now:
                # A clock that was set back must not make anything wait for years.
                keyring.left[epoch] = now
        if self._device not in control.auth().leaves:
            keyring.outside_since = None
            self._on_removed()
        elif self._is_inside(head):
            keyring.outside_since = None
        elif keyring.outside_since is None or keyring.outside_since > now:
            keyring.outside_since = now

    def _is_inside(self, head: EpochNode) -> bool:
        """Tell whether this device holds the head's keys and has not asked to be added anew."""
        held = self._keyring.group(head.id) is not None
        return held and self._device not in self.control.unserved(head)

    def _on_removed(self) -> None:
        self._keyring.wipe()

    # Membership

    def introduce(
        self, signer: ControlSigner, evidence: Iterable[bytes], offers: Iterable[Offer] = ()
    ) -> list[Operation]:
        """Carry evidence about persons and key packages of their devices into the group."""
        self.require_membership()
        operations: list[Operation] = []
        if statements := tuple(sorted(evidence)):
            operations.append(self._issue(signer, PERSON, PersonEvidence(statements)))
        if offered := tuple(offers):
            operations.append(self._issue(signer, OFFER, Offers(offered)))
        return operations

    def introduce_itself(self, signer: ControlSigner, evidence: Iterable[bytes]) -> list[Operation]:
        """Show that this device, which nobody has introduced, belongs to a member.

        Returns nothing where the evidence does not show that.
        """
        statements = tuple(sorted(evidence))
        control = self.control
        if not self.heads() or self._device in control.auth().devices:
            return []
        if not control.authorisation.would_admit(control.everything, self._device, statements):
            return []
        return [self._issue(signer, PERSON, PersonEvidence(statements))]

    def add_person(
        self,
        signer: ControlSigner,
        person: bytes,
        role: Role,
        *,
        evidence: Iterable[bytes] = (),
        offers: Iterable[Offer] = (),
    ) -> list[Operation]:
        """Add a person with all its devices that offer a key package, and give them the keys.

        Raises:
            NotAMemberError: this device is not in the group.
            AlreadyMemberError: the person is in already.
        """
        self.require_membership()
        if person in self.control.auth().roles:
            raise AlreadyMemberError("This person is in the group already.")
        operations = self.introduce(signer, evidence, offers)
        operations.append(self._issue(signer, ADD, AddPerson(person, role)))
        return [*operations, *self.reconcile(signer)]

    def remove_person(
        self, signer: ControlSigner, person: bytes, cuts: Iterable[Cut] = ()
    ) -> list[Operation]:
        """Remove a person and change the keys.

        Raises:
            NotAMemberError: this device, or the person, is not in the group.
        """
        self.require_membership()
        if person not in self.control.auth().roles:
            raise NotAMemberError("This person is not in the group.")
        removal = self._issue(signer, REMOVE, RemovePerson(person, tuple(cuts)))
        return [removal, *self.reconcile(signer)]

    def extend_cuts(
        self, signer: ControlSigner, removal: bytes, cuts: Iterable[Cut]
    ) -> list[Operation]:
        """Vouch for what this device accepted of a removed person before it knew of the removal.

        Args:
            signer: of this device.
            removal: id of the removal's operation; see `live_removals`.
            cuts: the logs as they are held; what does not go beyond the known cuts is left out.

        Returns:
            nothing where nothing goes beyond, this device may not write, or the removal does not
            count (any more).

        Raises:
            NotAMemberError: this device is not in the group.
        """
        self.require_membership()
        known = next((item[2] for item in self.live_removals() if item[0] == removal), None)
        role = self.control.auth().role_of(self._device)
        if known is None or role is None or role < Role.WRITER:
            return []
        further = [cut for cut in cuts if cut.seq_num > known.get((cut.device, cut.log), -1)]
        return [
            self._issue(signer, CUT, ExtendCuts(removal, tuple(further[start : start + MAX_CUTS])))
            for start in range(0, len(further), MAX_CUTS)
        ]

    def set_role(self, signer: ControlSigner, person: bytes, role: Role) -> list[Operation]:
        """Change a member's role.

        Raises:
            NotAMemberError: this device, or the person, is not in the group.
        """
        self.require_membership()
        changed = self._issue(signer, ROLE, SetRole(person, role))
        return [changed, *self.reconcile(signer)]

    def leave(self, signer: ControlSigner) -> list[Operation]:
        """Leave with all devices of this person; the others change the keys."""
        self.require_membership()
        return [self._issue(signer, LEAVE, Leave())]

    def rename(self, signer: ControlSigner, name: str) -> list[Operation]:
        """Change the group's name; nothing is made while the send gate is shut."""
        return self._issue_sealed(signer, SETTINGS, Settings(name))

    def publish_card(self, signer: ControlSigner, name: str, device_name: str) -> list[Operation]:
        """Tell the members how this device and its person are called."""
        return self._issue_sealed(signer, CARD, Card(name, device_name))

    def create_offer(self) -> Offer:
        """Make a key package for this device; store the private state before giving it away."""
        offer, bundle = self._new_offer()
        self._keyring.put_bundle(bundle)
        return offer

    # Keys

    def renew(self, signer: ControlSigner) -> list[Operation]:
        """Renew this device's keys; repeated by `reconcile` should the commit lose its place.

        Keepers have none to renew.
        """
        self.require_membership()
        if self._device not in self.control.auth().leaves:
            return []
        self._keyring.renewal = b""
        return self.reconcile(signer)

    def reconcile(self, signer: ControlSigner) -> list[Operation]:
        """Bring keys in line with membership; returns nothing where nothing is to be done."""
        plan = self._plan()
        if plan is None:
            return []
        if plan.is_commit:
            return [self._commit(signer, plan)]
        secret = self._keyring.secrets[plan.head.id]
        links = seal_links(self.id, secret, plan.unlinked, self._setup.random)
        return [self._issue(signer, KEYLINK, KeyLink(plan.head.id, links))]

    def reconcile_rank(self, online: Container[bytes] | None = None) -> int | None:
        """Return this device's turn to reconcile (0 = now), or None where nothing is to be done.

        Wait rank · `RANK_DELAY_MS` since the need arose, so that usually one device does it.

        Args:
            online: the devices that can be reached now; those that cannot have no turn. None
                where that is not known.
        """
        plan = self._plan()
        if plan is None:
            return None
        return rank_of(plan.head, self._device, self.control.auth(), online)

    def awaited(self) -> frozenset[bytes]:
        """Return the devices that `reconcile` would add now."""
        plan = self._plan()
        return frozenset() if plan is None else plan.added()

    def learn_secrets(self, secrets: Mapping[bytes, bytes]) -> int:
        """Take in data secrets that another device of this person handed over.

        Those that do not fit what the group's operations commit to are left out.

        Args:
            secrets: epoch → data secret.

        Returns:
            how many were new.
        """
        tree = self.control.tree
        news = {
            epoch: secret
            for epoch, secret in secrets.items()
            if epoch not in self._keyring.secrets
            and tree.get(epoch) is not None
            and equal_constant_time(kid_of(secret), tree.kid(epoch))
        }
        if news:
            self._keyring.secrets.update(news)
            self.settle()
        return len(news)

    def tend(self, signer: ControlSigner) -> list[Operation]:
        """Publish what is due besides `reconcile`: opinions, requests, own entry; delete secrets.

        Call it after receiving and every few seconds.
        """
        now = self._setup.clock()
        if self.control.head() is None or self._device not in self.control.auth().leaves:
            return []
        # Times count from now on where the clock was set back since.
        self.settle()
        operations = self._words(signer)
        # What was just said may have moved the head.
        head = self.control.head()
        assert head is not None
        if not self._is_inside(head):
            operations += self._resync(signer, head, now)
        elif self._acks.is_due(self.control, self._device, now):
            operations.append(self._issue(signer, ACK, Opinion(head.id)))
        self._delete(now)
        return operations

    def _plan(self) -> Plan | None:
        return plan_commit(self.control, self._keyring, self._device, self._setup.clock())

    def _commit(self, signer: ControlSigner, plan: Plan) -> Operation:
        mls = self._keyring.group(plan.head.id)
        assert mls is not None
        options = CommitOptions(welcome_tree=False, references=())
        staged = mls.commit(plan.proposals, options=options)
        return self._publish(signer, plan.head, staged, plan.unlinked)

    def _publish(
        self,
        signer: ControlSigner,
        parent: EpochNode,
        staged: StagedCommit[MlsGroup],
        linked: dict[bytes, bytes],
    ) -> Operation:
        epoch = epoch_id_of(staged.group)
        info = staged.group.group_info(with_tree=False)
        secret = self._keyring.keep(epoch, staged.group)
        content = EpochCommit(
            parent.id,
            staged.message,
            staged.welcome,
            info,
            seal_links(self.id, secret, linked, self._setup.random),
            kid_of(secret),
        )
        if self._keyring.renewal is not None:
            self._keyring.renewal = epoch
        return self._issue(signer, COMMIT, content)

    def _words(self, signer: ControlSigner) -> list[Operation]:
        """Publish NACKs of what did not open, and OKs of what did although others could not."""
        operations: list[Operation] = []
        chooser, tree = self.control.chooser, self.control.tree
        rejected = {epoch for epoch in chooser.rejected() if self._keyring.group(epoch)}
        for kind, epochs in ((NACK, self._keyring.failed), (OK, rejected)):
            for epoch in sorted(epochs):
                node = tree.get(epoch)
                if node is not None and not chooser.spoke(self._device, node):
                    operations.append(self._issue(signer, kind, Opinion(epoch)))
        return operations

    def _resync(self, signer: ControlSigner, head: EpochNode, now: int) -> list[Operation]:
        """Ask to be added anew, and enter from outside where nobody does it in time."""
        since = self._keyring.outside_since
        if since is not None and now - since >= EXTERNAL_AFTER_MS:
            return [self._enter_from_outside(signer, head)]
        if self._device in head.roster:
            if self._device in self.control.unserved(head):
                return []
            return [self._issue(signer, STALE, Stale(self.create_offer()))]
        seconds, everything = now // 1000, self.control.everything
        used = [item for node in head.path() for item in node.packages]
        if self.control.offers.choose(self._device, everything, seconds, used) is not None:
            return []
        return [self._issue(signer, OFFER, Offers((self.create_offer(),)))]

    def _enter_from_outside(self, signer: ControlSigner, head: EpochNode) -> Operation:
        _, bundle = self._new_offer()
        staged = MlsGroup.join_external(
            head.info,
            ExternalJoin(
                bundle.signature_private,
                LeafContent.of(bundle.key_package.leaf),
                removes=head.roster.get(self._device),
            ),
            tree=head.public.tree.encode(),
            services=self._services,
        )
        return self._publish(signer, head, staged, {})

    def _delete(self, now: int) -> None:
        control, keyring = self.control, self._keyring
        head = control.head()
        assert head is not None
        stable = control.chooser.stable(control.everything)
        nodes = {node.id: node for node in control.tree}
        keyring.forget(deletable(keyring.left, nodes, head, stable=stable, now=now))
        keyring.drop_bundles(now // 1000, KEPT_AFTER_EXPIRY_SECONDS)

    # Issuing

    def _new_offer(self) -> tuple[Offer, KeyPackageBundle]:
        root = self.control.tree.root
        suite = self._setup.suite_id if root is None else root.public.suite.suite_id
        return create_offer(
            self._device,
            self.id,
            suite,
            self._setup.sign,
            now=self._setup.clock() // 1000,
            random=self._setup.random,
        )

    def _issue(self, signer: ControlSigner, kind: str, content: Content) -> Operation:
        operation = signer.sign_control(
            kind, encode_content(content), epoch=None, secret=None, previous=self.heads()
        )
        if self.receive(operation) is not Reception.ACCEPTED:
            raise BugError("A group operation made here is refused by the group's own rules.")
        return operation

    def _issue_sealed(
        self, signer: ControlSigner, kind: str, content: Card | Settings
    ) -> list[Operation]:
        epoch = self.current_epoch()
        if epoch is None:
            return []
        operation = signer.sign_control(
            kind,
            encode_names(content),
            epoch=epoch.id,
            secret=epoch.secret,
            previous=self.heads(),
        )
        self.receive(operation)
        return [operation]
