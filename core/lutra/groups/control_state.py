"""What a set of control operations says: the part of a group that needs no secret.

Members, keepers and observers run this same code; everything in it is a function of the set of
operations, whatever their order (GROUPS §2.2-2.4).
"""

from __future__ import annotations

from dataclasses import dataclass

from lutra.errors import RemoteError
from lutra.groups import gate
from lutra.groups.authorisation import Auth, Authorisation, Directory
from lutra.groups.chronicle import Chronicle
from lutra.groups.commits import Circumstances, check_commit, first_epoch
from lutra.groups.contents import (
    ACK,
    CREATE,
    NACK,
    OK,
    PERSON,
    SETTINGS,
    AddPerson,
    Content,
    Create,
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
    decode_content,
)
from lutra.groups.cuts import CutBook
from lutra.groups.epochs import EpochNode, EpochTree
from lutra.groups.errors import ControlError
from lutra.groups.head import HeadChooser
from lutra.groups.history import ControlHistory
from lutra.groups.ids import discovery_secret, group_id
from lutra.groups.key_packages import OfferBook, check_offer
from lutra.groups.links import LinkGraph
from lutra.groups.resync import StaleBook
from lutra.mls import Services
from lutra.operation import Operation


@dataclass(frozen=True, slots=True)
class Accepted:
    """An operation that counts.

    Attributes:
        operation: it.
        index: its place in the history.
        content: what it says.
        epoch: the epoch it begins, of a commit or creation.
    """

    operation: Operation
    index: int
    content: Content
    epoch: EpochNode | None


class ControlState:
    """All control operations known of one group.

    Args:
        group: the group's id.
        directory: which devices belong to which person, as a function of evidence.
        services: for checking MLS messages; its policy must not depend on a clock.
    """

    def __init__(self, group: bytes, directory: Directory, services: Services) -> None:
        self.id = group
        self.history = ControlHistory()
        self.authorisation = Authorisation(self.history, directory)
        self.tree = EpochTree()
        self.chooser = HeadChooser(self.tree, self.authorisation)
        self.offers = OfferBook()
        self.stale = StaleBook()
        self.links = LinkGraph()
        self.cuts = CutBook()
        self.chronicle = Chronicle()
        self.profile = Profile.ARCHIVE
        self.discovery_secret: bytes | None = None
        self._services = services

    # Judging

    @property
    def everything(self) -> int:
        """The bit set of all known operations."""
        return self.history.everything

    def auth(self, known: int | None = None) -> Auth:
        """Return what is authorised, by default by everything known."""
        return self.authorisation.judge(self.everything if known is None else known)

    def head(self, known: int | None = None) -> EpochNode | None:
        """Return the head, by default by everything known; None before the creation."""
        if self.tree.root is None:
            return None
        return self.chooser.head(self.everything if known is None else known)

    def is_gate_open(self, node: EpochNode, known: int | None = None) -> bool:
        """Tell whether one may encrypt under an epoch."""
        return gate.is_open(node, self.auth(known))

    def unserved(self, node: EpochNode, known: int | None = None) -> frozenset[bytes]:
        """Return devices that wait to be added anew by a commit on ``node``."""
        return self.stale.unserved(node, self.everything if known is None else known)

    # Receiving

    def is_foreign(self, operation: Operation) -> bool:
        """Tell whether an operation's author was not in when it was made, which is final."""
        past = self.history.past_of(operation)
        if not past:
            return not self._is_creation(operation)
        if operation.author in self.auth(past).devices:
            return False
        return not self._introduces_itself(operation, past)

    def accept(self, operation: Operation) -> Accepted:
        """Take in an operation whose predecessors are known and whose author was in.

        It keeps its place in the history even where it is refused.

        Raises:
            RemoteError: it breaks a rule; it has no effect, for everyone alike.
        """
        index = self.history.add(operation)
        self.authorisation.note(index, operation.author, operation.seq_num)
        if operation.body is None and operation.header.payload_size:
            raise ControlError("A group message came without its content.")
        content = decode_content(operation.kind, operation.body or b"\x80")
        epoch = self._apply(operation, index, content)
        return Accepted(operation, index, content, epoch)

    def _introduces_itself(self, operation: Operation, past: int) -> bool:
        """Tell whether a device shows by its person's own log that it is a member's.

        Nobody has to vouch for what proves itself: a device restored from a recovery kit may be
        the only one of its person.
        """
        if operation.kind != PERSON or operation.body is None:
            return False
        try:
            content = decode_content(PERSON, operation.body)
        except RemoteError:
            return False
        return isinstance(content, PersonEvidence) and self.authorisation.would_admit(
            past, operation.author, content.evidence
        )

    def _is_creation(self, operation: Operation) -> bool:
        if operation.kind != CREATE or operation.body is None:
            return False
        try:
            content = decode_content(CREATE, operation.body)
        except RemoteError:
            return False
        return isinstance(content, Create) and group_id(operation.author, content.nonce) == self.id

    def _apply(self, operation: Operation, index: int, content: Content) -> EpochNode | None:
        author, past = operation.author, self.history.past(index)
        match content:
            case Create():
                return self._create(operation, index, content)
            case PersonEvidence():
                self.authorisation.record(index, author, content)
            case AddPerson() | RemovePerson() | SetRole() | Leave():
                self._act(index, author, content)
                self.chronicle.note(index, operation, self.auth(past).devices[author], content)
            case ExtendCuts():
                self._extend(author, past, content)
            case Sealed():
                if operation.kind == SETTINGS:
                    self._act(index, author, content)
            case Offers(offers):
                self._offer(index, offers)
            case Stale(offer):
                self._need_reader(author, past)
                if offer.device != author:
                    raise ControlError("A device asks for another one to be added anew.")
                self._offer(index, (offer,))
                head = self.head(past)
                assert head is not None
                self.stale.add(index, author, head)
            case EpochCommit():
                return self._commit(operation, index, content)
            case Opinion():
                self._hear(operation, index, content)
            case KeyLink():
                self._link(author, past, content)
        return None

    def _act(
        self,
        index: int,
        author: bytes,
        content: AddPerson | RemovePerson | SetRole | Leave | Sealed,
    ) -> None:
        if not self.authorisation.record(index, author, content):
            raise ControlError("A member did something it has no right to.")

    def _extend(self, author: bytes, past: int, content: ExtendCuts) -> None:
        role = self.auth(past).role_of(author)
        if role is None or role < Role.WRITER:
            raise ControlError("A member vouches for texts but may not write any.")
        known = content.removal in self.history
        index = self.history.index(content.removal) if known else 0
        if not past >> index & 1 or self.authorisation.removal_at(index) is None:
            raise ControlError("A member vouches for texts of somebody who was not removed.")
        self.cuts.extend(index, content.cuts)

    def _create(self, operation: Operation, index: int, content: Create) -> EpochNode:
        if index != 0:
            raise ControlError("A group was created a second time.")
        if not self.authorisation.record(index, operation.author, content):
            raise ControlError("A group was created by a device without a person.")
        person = self.auth(1).devices[operation.author]
        self.chronicle.note(index, operation, person, content)
        node = first_epoch(operation, content, person, self._services)
        self.profile = content.profile
        self.discovery_secret = discovery_secret(operation.author, content.nonce)
        self.tree.add(node)
        self.chooser.vote(index, operation.author, node)
        return node

    def _commit(self, operation: Operation, index: int, content: EpochCommit) -> EpochNode:
        past = self.history.past(index)
        head = self.head(past)
        assert head is not None
        around = Circumstances(
            index=index,
            past=past,
            head=head,
            auth=self.auth(past),
            unserved=self.unserved(head, past),
            offers=self.offers,
            profile=self.profile,
        )
        node = check_commit(operation, content, around)
        if any(not self._is_known_epoch(link.epoch, past) for link in content.links):
            raise ControlError("A commit links the key of an unknown epoch.")
        self.tree.add(node)
        self.chooser.vote(index, operation.author, node)
        self.links.add(node.id, content.links)
        return node

    def _hear(self, operation: Operation, index: int, content: Opinion) -> None:
        author, past = operation.author, self.history.past(index)
        self._need_reader(author, past)
        node = self.tree.get(content.epoch)
        if node is None or not past >> node.index & 1:
            raise ControlError("A member speaks of an epoch it does not know.")
        if operation.kind == OK:
            self.chooser.approve(index, author, node)
        elif operation.kind == NACK:
            self.chooser.reject(index, author, node)
        elif operation.kind == ACK:
            if self.head(past) is not node:
                raise ControlError("A member acknowledges another epoch than the head.")
            self.chooser.vote(index, author, node)

    def _link(self, author: bytes, past: int, content: KeyLink) -> None:
        source = self.tree.get(content.source)
        self._need_reader(author, past)
        if source is None or not past >> source.index & 1 or self.profile is not Profile.ARCHIVE:
            raise ControlError("Older keys were linked where they must not be.")
        # Under an epoch that holds the removed, a link would hand them later keys.
        if not gate.is_open(source, self.auth(past)) or self.head(past) is not source:
            raise ControlError("Older keys were linked under an epoch that is not clean.")
        if any(not self._is_known_epoch(link.epoch, past) for link in content.links):
            raise ControlError("The key of an unknown epoch was linked.")
        self.links.add(source.id, content.links)

    def _offer(self, index: int, offers: tuple[Offer, ...]) -> None:
        root = self.tree.root
        assert root is not None
        for offer in offers:
            package = check_offer(offer, self.id, root.public.suite)
            self.offers.add(index, offer.device, package)

    def _is_known_epoch(self, epoch: bytes, past: int) -> bool:
        node = self.tree.get(epoch)
        return node is not None and bool(past >> node.index & 1)

    def _need_reader(self, author: bytes, past: int) -> None:
        role = self.auth(past).role_of(author)
        if role is None or role < Role.READER:
            raise ControlError("A device that holds no keys speaks about keys.")
