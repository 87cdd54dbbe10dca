"""A member whose state is kept by `lutra.mls`."""

from __future__ import annotations

import time
from typing import cast

from interop.party import (
    EXPORT_CONTEXT,
    EXPORT_LABEL,
    EXPORT_LENGTH,
    Committed,
    Continued,
    Snapshot,
    identity_of,
)
from lutra.mls import (
    SUITES,
    Add,
    Capabilities,
    CommitOptions,
    Credential,
    ExternalJoin,
    Group,
    GroupContextExtensions,
    KeyPackage,
    KeyPackageBundle,
    LeafContent,
    Lifetime,
    Policy,
    PreSharedKey,
    PreSharedKeyId,
    Proposal,
    PskStore,
    ReceivedApplication,
    ReceivedCommit,
    ReInit,
    Remove,
    RequiredCapabilities,
    Services,
    StagedCommit,
    create_key_package,
    decode_message,
    encode_message,
    suite_for,
)
from lutra.mls.errors import WrongEpochError
from lutra.mls.framing import WireFormat
from lutra.mls.leaf import CREDENTIAL_BASIC, CREDENTIAL_X509

DAY = 24 * 3600
# core-crypto's groups require both types of credential (required_capabilities); our hybrid suite
# stays listed, so that unknown suites are seen to be tolerated.
CAPABILITIES = Capabilities(
    cipher_suites=tuple(SUITES), credentials=(CREDENTIAL_BASIC, CREDENTIAL_X509)
)


SERVICES = Services(policy=Policy(new_member_proposals=True))


def wire_format(public: bool) -> WireFormat:
    return WireFormat.PUBLIC_MESSAGE if public else WireFormat.PRIVATE_MESSAGE


class LutraParty:
    """One of our members; after every step its state goes through its serialised form."""

    def __init__(self, suite: int, name: str) -> None:
        self.name = f"{name} (lutra)"
        self.identity = identity_of(name)
        self.cannot: frozenset[str] = frozenset()
        self._suite = suite_for(suite)
        self._credential = Credential.basic(self.identity)
        self._signature_private = self._suite.signatures.generate()[0]
        self._bundles: list[KeyPackageBundle] = []
        self._psks: dict[bytes, bytes] = {}
        self._group: Group | None = None
        self._past: dict[int, Group] = {}

    @property
    def group(self) -> Group:
        assert self._group is not None
        return self._group

    def _keep(self, group: Group) -> None:
        self._group = Group.from_bytes(group.to_bytes(), services=SERVICES)

    def _bundle(self, suite: int | None = None) -> KeyPackageBundle:
        now = int(time.time())
        return create_key_package(
            suite or self._suite.suite_id,
            self._credential,
            self._signature_private,
            lifetime=Lifetime(now - DAY, now + 28 * DAY),
            capabilities=CAPABILITIES,
        )

    def key_package(self) -> bytes:
        bundle = self._bundle()
        self._bundles.append(bundle)
        return encode_message(bundle.key_package)

    def create(self, group_id: bytes) -> None:
        self._keep(Group.create(self._bundle(), group_id, services=SERVICES))

    def join(self, welcome: bytes) -> None:
        bundle = self._bundles.pop()
        self._keep(Group.join(welcome, bundle, psks=PskStore(self._psks), services=SERVICES))

    def external_join(self, group_info: bytes, *, resync: bool = False) -> bytes:
        request = ExternalJoin(
            self._signature_private,
            LeafContent(self._credential, CAPABILITIES),
            removes=self.group.own_index if resync else None,
        )
        staged = Group.join_external(group_info, request, services=SERVICES)
        self._keep(staged.group)
        return staged.message

    def group_info(self) -> bytes:
        return self.group.group_info()

    def _leaf_of(self, identity: bytes) -> int:
        return next(
            index for index, leaf in self.group.members() if leaf.credential.identity == identity
        )

    def propose_add(self, key_package: bytes, *, public: bool) -> bytes:
        return self._propose(_add(key_package), public)

    def propose_remove(self, identity: bytes, *, public: bool) -> bytes:
        return self._propose(Remove(self._leaf_of(identity)), public)

    def propose_update(self, *, public: bool) -> bytes:
        sent = self.group.propose_update(wire_format=wire_format(public))
        self._keep(sent.group)
        return sent.message

    def _propose(self, proposal: Proposal, public: bool) -> bytes:
        sent = self.group.propose(proposal, wire_format=wire_format(public))
        self._keep(sent.group)
        return sent.message

    def commit(
        self,
        *,
        add: list[bytes] | None = None,
        remove: list[bytes] | None = None,
        psk: list[bytes] | None = None,
        pending: bool = False,
        public: bool = True,
    ) -> Committed:
        waiting = tuple(self.group.proposals)
        # Whoever proposed expects to see it happen: nothing that waits may be left out.
        assert sorted(self.group.committable()) == sorted(waiting)
        assert pending is bool(waiting)
        proposals: list[Proposal] = [
            *(Remove(self._leaf_of(identity)) for identity in remove or ()),
            *(_add(key_package) for key_package in add or ()),
            *(
                PreSharedKey(PreSharedKeyId.external(name, bytes(self._suite.hash_bytes)))
                for name in psk or ()
            ),
        ]
        staged = self.group.commit(
            proposals,
            psks=PskStore(self._psks),
            options=CommitOptions(wire_format=wire_format(public)),
        )
        self._past = {staged.previous.epoch: staged.previous}
        self._keep(staged.group)
        return Committed(staged.message, staged.welcome)

    def require_credentials(self) -> bytes:
        required = RequiredCapabilities(credentials=(CREDENTIAL_BASIC, CREDENTIAL_X509))
        options = CommitOptions(wire_format=WireFormat.PUBLIC_MESSAGE)
        staged = self.group.commit(
            [GroupContextExtensions((required.extension(),))], options=options
        )
        self._keep(staged.group)
        return staged.message

    def process(self, message: bytes) -> bytes | bool:
        try:
            received = self.group.process(message, psks=PskStore(self._psks))
        except WrongEpochError as error:
            return self._process_late(message, error)
        match received:
            case ReceivedApplication():
                self._keep(received.group)
                return received.data
            case ReceivedCommit():
                self._past = {received.previous.epoch: received.previous}
                self._keep(received.group)
                return received.group.is_active
            case _:
                self._keep(received.group)
                return True

    def _process_late(self, message: bytes, error: WrongEpochError) -> bytes:
        """Open application data with the last epoch's keys, which a caller keeps if it likes."""
        past = self._past.get(cast(int, error.details["epoch"]))
        if past is None:
            raise error
        received = past.process(message)
        assert isinstance(received, ReceivedApplication)
        self._past[past.epoch] = received.group
        return received.data

    def register_psk(self, psk_id: bytes, psk: bytes) -> None:
        self._psks[psk_id] = psk

    def key_package_for(self, suite: int) -> bytes:
        bundle = self._bundle(suite)
        self._bundles.append(bundle)
        return encode_message(bundle.key_package)

    def branch(self, group_id: bytes, key_packages: list[bytes]) -> Continued:
        offers = [_add(data).key_package for data in key_packages]
        return self._continue(self.group.branch(self._bundle(), group_id, offers))

    def reinit(self, group_id: bytes, suite: int) -> bytes:
        staged = self.group.commit([ReInit(group_id, 1, suite, ())])
        self._keep(staged.group)
        return staged.message

    def reinitialise(self, key_packages: list[bytes]) -> Continued:
        reinit = self.group.reinit
        assert reinit is not None
        offers = [_add(data).key_package for data in key_packages]
        return self._continue(self.group.reinitialise(self._bundle(reinit.suite_id), offers))

    def _continue(self, staged: StagedCommit) -> Continued:
        assert staged.welcome is not None
        self._keep(staged.group)
        return Continued(staged.welcome, None)

    def join_continued(self, offer: Continued) -> None:
        parent, bundle = self.group, self._bundles.pop()
        self._keep(
            Group.join(offer.welcome, bundle, tree=offer.tree, parent=parent, services=SERVICES)
        )

    def encrypt(self, data: bytes) -> bytes:
        sent = self.group.encrypt(data)
        self._keep(sent.group)
        return sent.message

    def snapshot(self) -> Snapshot:
        group = self.group
        return Snapshot(
            epoch=group.epoch,
            members=frozenset(leaf.credential.identity for _, leaf in group.members()),
            exporter=group.export(EXPORT_LABEL.encode(), EXPORT_CONTEXT, EXPORT_LENGTH),
            authenticator=group.epoch_authenticator,
            tree_hash=group.context.tree_hash,
            leaves={leaf.credential.identity: index for index, leaf in group.members()},
        )


def _add(key_package: bytes) -> Add:
    decoded = decode_message(key_package)
    assert isinstance(decoded, KeyPackage)
    return Add(decoded)


class LutraMaker:
    """Makes our members."""

    implementation = "lutra"
    suites = tuple(SUITES)
    cannot: frozenset[str] = frozenset()

    def __call__(self, suite: int, name: str) -> LutraParty:
        return LutraParty(suite, name)
