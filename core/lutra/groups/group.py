"""One device's replica of a group whose keys are MLS (GROUPS §2.5-2.9), without IO.

Every call that returns operations has changed the private state: store `Group.private_state`
and the operations in one transaction, then send the operations. `resume` takes both back.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

from lutra.crypto.hashing import equal_constant_time
from lutra.errors import BugError
from lutra.groups.cards import Card, Settings, encode_names
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
    SetRole,
    Stale,
    encode_content,
)
from lutra.groups.epochs import EpochNode, epoch_id_of
from lutra.groups.errors import AlreadyMemberError, NotAMemberError
from lutra.groups.ids import group_id
from lutra.groups.key_packages import (
    KEPT_AFTER_EXPIRY_SECONDS,
    check_offer,
    create_offer,
    is_valid_at,
)
from lutra.groups.keyring import Keyring
from lutra.groups.keys import ControlSigner, Reception
from lutra.groups.links import kid_of, seal_links
from lutra.groups.planning import Plan, plan_commit, rank_of
from lutra.groups.receiving import ReceivingGroup
from lutra.groups.resync import EXTERNAL_AFTER_MS
from lutra.groups.retention import deletable
from lutra.groups.setup import Setup
from lutra.mls import (
    CommitOptions,
    ExternalJoin,
    KeyPackageBundle,
    LeafContent,
    StagedCommit,
    suite_for,
)
from lutra.mls import Group as MlsGroup
from lutra.operation import Operation

RANK_DELAY_MS = 3_000


class Group(ReceivingGroup):
    """A group as one device sees it; see the module's text."""

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

    def carry_offer(self, signer: ControlSigner, offer: Offer) -> list[Operation]:
        """Carry the key package of a member's device into the group and give the device its keys.

        Returns nothing where the device has its place already, is to have none, or has ever made
        an offer, and where the key package is of no use now: there could be more without end.

        Raises:
            ControlError, MlsRemoteError: the key package is not valid, or not the device's.
            NotAMemberError: this device is not in the group.
        """
        self.require_membership()
        package = check_offer(offer, self.id, suite_for(self.suite_id))
        if not is_valid_at(package, self._setup.clock() // 1000):
            return []
        head, control = self.control.head(), self.control
        waits = head is not None and offer.device in control.auth().leaves - head.roster.keys()
        if not waits or control.offers.has_any(offer.device):
            return []
        return [*self.introduce(signer, (), [offer]), *self.reconcile(signer)]

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

    def take_office(self, signer: ControlSigner) -> list[Operation]:
        """Stay admin when somebody else becomes one, where this person is admin by succession.

        Returns:
            nothing where it is not.
        """
        auth = self.control.auth()
        person = auth.devices.get(self._device)
        if person is None or person != auth.successor:
            return []
        return [self._issue(signer, ROLE, SetRole(person, Role.ADMIN))]

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

    def create_offer(self, suite: int | None = None) -> Offer:
        """Make a key package for this device; store the private state before giving it away.

        Args:
            suite: the group's cipher suite, where that may not be known yet.
        """
        offer, bundle = self._new_offer(suite)
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
        if self._offered(self._device):
            return []
        return [self._issue(signer, OFFER, Offers((self.create_offer(),)))]

    def _offered(self, device: bytes) -> bool:
        """Tell whether a device has a key package on offer that a commit may use now."""
        head, everything = self.control.head(), self.control.everything
        used = [] if head is None else [item for node in head.path() for item in node.packages]
        seconds = self._setup.clock() // 1000
        return self.control.offers.choose(device, everything, seconds, used) is not None

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

    def _new_offer(self, suite: int | None = None) -> tuple[Offer, KeyPackageBundle]:
        return create_offer(
            self._device,
            self.id,
            suite or self.suite_id,
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
