"""One simulated device: a replica of production code with a store that survives crashes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from lutra.codec import decode
from lutra.crypto.signing import SigningKey
from lutra.errors import RemoteError
from lutra.groups.contents import CREATE, PERSON, Create, Cut, Offer, PersonEvidence, Profile
from lutra.groups.contents import decode_content as read_control
from lutra.groups.data_keys import BodyCipher
from lutra.groups.directory import ChainDirectory, evidence_of
from lutra.groups.errors import UnreadableBodyError
from lutra.groups.group import RANK_DELAY_MS, Group
from lutra.groups.ids import group_id
from lutra.groups.keys import Reception
from lutra.groups.setup import Setup
from lutra.identity.device_log import consent, read_content
from lutra.identity.person import Person
from lutra.identity.recovery import RecoveryKit
from lutra.operation import Extensions, Operation, decode_operation, sign_operation
from sim.clocks import START, Clock, OwnClock

SUITE = 3
PAGE = b"\x01" * 32
"""The log id of the one document everybody writes."""

__all__ = ["START", "Clock", "Device", "Store", "Stream", "open_text", "settle", "synchronise"]

# A pure function of evidence, asked by every replica about the same: one memory serves all.
directory = ChainDirectory()


class Stream:
    """A reproducible stream of bytes."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._counter = 0

    def __call__(self, length: int) -> bytes:
        self._counter += 1
        name = self._seed + self._counter.to_bytes(8, "big")
        return hashlib.shake_256(name).digest(length)


@dataclass
class Store:
    """What survives a crash.

    Attributes:
        operations: control operations, in the order they came.
        private: the group's secrets.
        texts: data operations received.
        applied: those that were accepted, and so are part of the document for good.
        read: in a `sealed` group, what those said whose keys were used.
    """

    operations: dict[bytes, Operation] = field(default_factory=dict)
    private: bytes = b""
    texts: dict[bytes, Operation] = field(default_factory=dict)
    applied: set[bytes] = field(default_factory=set)
    read: dict[bytes, bytes] = field(default_factory=dict)

    def copy(self) -> Store:
        return Store(
            dict(self.operations),
            self.private,
            dict(self.texts),
            set(self.applied),
            dict(self.read),
        )


class Device:
    """A device of a person; what a crash loses is `group` and `waiting`.

    The person's chain begins with the first device; a ``sibling`` adds the others, unless a
    ``chain`` is given that names this device already (after a restoration).

    Attributes:
        chain: this device's own replica of its person's device log, persisted at once.
        refused: control operations without effect, as found here.
        mute: this device held texts beyond a cut but had no right to vouch for them any more.
    """

    group_class = Group

    def __init__(
        self,
        name: str,
        person: str,
        clock: Clock,
        seed: bytes = b"",
        *,
        sibling: Device | None = None,
    ) -> None:
        self.name = name
        self.person_name = person
        self.clock = OwnClock(clock)
        self.random = Stream(seed + name.encode())
        self.key = SigningKey.generate(self.random)
        self.id = self.key.public
        self.store = Store()
        self.waiting: dict[bytes, Operation] = {}
        self.refused: set[bytes] = set()
        self.mute = False
        self._carried: set[bytes] = set()
        self._vouched: dict[bytes, list[Cut]] = {}
        self._group: Group | None = None
        self._group_id = b""
        self._last: Operation | None = None
        self._cipher = BodyCipher(self.random)
        if sibling is None:
            self.chain = Person.create(
                self.key,
                person_name=person.encode(),
                device_name=name.encode(),
                time=self.clock(),
                random=self.random,
            )
        else:
            agreed = consent(self.key, sibling.person, self.random)
            sibling.chain.add(sibling.key, agreed, name.encode(), sibling.clock())
            self.chain = Person(sibling.person, sibling.chain.operations())

    def __repr__(self) -> str:
        return self.name

    @property
    def setup(self) -> Setup:
        return Setup(self.id, self.key.sign, directory, self.clock, self.random, SUITE)

    @property
    def group(self) -> Group:
        assert self._group is not None
        return self._group

    @property
    def is_open(self) -> bool:
        """It has a replica of the group."""
        return self._group is not None

    # The person

    @property
    def person(self) -> bytes:
        return self.chain.id

    @property
    def evidence(self) -> tuple[bytes, ...]:
        """The person's whole chain, as known here."""
        return evidence_of(self.chain.operations())

    def untold(self) -> list[bytes]:
        """What the group's operations known here do not say of this device's person yet."""
        return [item for item in self.evidence if item not in self._carried]

    def evidence_about(self, person: bytes) -> list[Operation]:
        """What the group's operations known here say of a person."""
        found = (_chain_operation(item) for item in sorted(self._carried))
        return [item for item in found if item is not None and item.log == person]

    @classmethod
    def restored(cls, kit: RecoveryKit, name: str, lost: Device, witness: Device) -> Device:
        """Take up a person on a new device from its kit and what a member holds (DESIGN §3)."""
        device = cls(name, lost.person_name, lost.clock.world, lost.random(8))
        device.chain = Person(lost.person, witness.evidence_about(lost.person))
        agreed = consent(device.key, lost.person, device.random)
        device.chain.add(kit.key, agreed, name.encode(), device.clock())
        return device

    def make_kit(self) -> RecoveryKit:
        """Make a recovery kit for the person."""
        kit = RecoveryKit.generate(self.random)
        agreed = kit.consent(self.person, self.random)
        self.chain.add_recovery(self.key, agreed, self.clock())
        return kit

    def _learn(self, operation: Operation) -> None:
        """Note what a control operation says about persons; take in what is of one's own."""
        if operation.kind not in (CREATE, PERSON):
            return
        try:
            content = read_control(operation.kind, operation.body or b"")
        except RemoteError:
            return
        assert isinstance(content, Create | PersonEvidence)
        for item in content.evidence:
            said = None if item in self._carried else _chain_operation(item)
            self._carried.add(item)
            if said is not None and said.log == self.person:
                self.chain.receive(said)

    # The group

    def sign_control(
        self,
        kind: str,
        body: bytes,
        *,
        epoch: bytes | None,
        secret: bytes | None,
        previous: tuple[bytes, ...],
    ) -> Operation:
        place = Extensions(self._group_id, kind, self._group_id, epoch, previous, self.clock())
        self._last = self._sign(place, body, secret, self._last)
        return self._last

    def _sign(
        self, place: Extensions, body: bytes, secret: bytes | None, last: Operation | None
    ) -> Operation:
        seq_num = 0 if last is None else last.seq_num + 1
        backlink = None if last is None else last.id
        if secret is not None:
            body = self._cipher.seal(
                secret, body, author=self.id, seq_num=seq_num, backlink=backlink, extensions=place
            )
        return sign_operation(
            self.key, seq_num=seq_num, backlink=backlink, body=body, extensions=place
        )

    def found(self, profile: Profile = Profile.ARCHIVE) -> None:
        nonce = self.random(32)
        self._group_id = group_id(self.id, nonce)
        self._group, operations = self.group_class.create(
            self, self.setup, nonce, self.evidence, profile
        )
        self.persist(operations)

    def open(self, group: bytes) -> None:
        """Begin an empty replica of a group that others founded."""
        if self._group is None:
            self._group_id = group
            self._group = self.group_class(group, self.setup)
            self.persist([])

    def offer(self) -> Offer:
        """Make a key package and store its keys."""
        offer = self.group.create_offer()
        self.persist([])
        return offer

    def persist(self, operations: Iterable[Operation]) -> None:
        """Store operations and private state in one transaction."""
        for operation in operations:
            self.store.operations[operation.id] = operation
            self._learn(operation)
        self.store.private = self.group.private_state()

    def do(self, change: Callable[[Group], list[Operation]]) -> list[Operation]:
        """Make a change and store it; nothing is sent before."""
        operations = change(self.group)
        self.persist(operations)
        return operations

    def lose(self, change: Callable[[Group], object]) -> None:
        """Make a change and crash before it is stored."""
        change(self.group)
        self.restart()

    def restart(self) -> None:
        """Forget everything that was not stored, and resume."""
        operations = list(self.store.operations.values())
        own = [item for item in operations if item.author == self.id]
        self._last = max(own, key=lambda item: item.seq_num, default=None)
        self._vouched.clear()
        self.waiting.clear()
        self._group = self.twin()

    def twin(self) -> Group:
        """Return what a start from the store would give."""
        return self.group_class.resume(
            self._group_id, self.setup, self.store.operations.values(), self.store.private
        )

    def deliver(
        self,
        operations: Iterable[Operation],
        *,
        at_once: bool = False,
        crash_after: int | None = None,
    ) -> list[Reception]:
        """Receive operations in the given order, then whatever was waiting.

        Args:
            operations: what has come.
            at_once: draw the consequences once, after the last of them.
            crash_after: the device crashes after that many were taken in: the operations are
                stored by then, the private state is not.
        """
        receive = self.group.take if at_once else self.group.receive
        for operation in operations:
            if operation.id not in self.store.operations:
                self.waiting[operation.id] = operation
        results: list[Reception] = []
        progress = True
        while progress:
            progress = False
            for operation in list(self.waiting.values()):
                if len(results) == crash_after:
                    self.restart()
                    return results
                result = receive(operation)
                if result is Reception.WAITING:
                    continue
                del self.waiting[operation.id]
                results.append(result)
                progress = True
                if result in (Reception.ACCEPTED, Reception.REFUSED):
                    if result is Reception.REFUSED:
                        self.refused.add(operation.id)
                    self.store.operations[operation.id] = operation
                    self._learn(operation)
        if at_once:
            self.group.settle()
        self.store.private = self.group.private_state()
        return results

    def lacks(self, other: Device) -> list[Operation]:
        """Return what another device has stored and this one has not."""
        known = self.store.operations
        return [item for item in other.store.operations.values() if item.id not in known]

    # Texts

    def write(self, text: bytes) -> Operation | None:
        """Write something; None while the send gate is shut."""
        epoch = self.group.current_epoch()
        if epoch is None:
            return None
        place = Extensions(
            PAGE, "document", self._group_id, epoch.id, self.group.heads(), self.clock()
        )
        own = [item for item in self.store.texts.values() if item.author == self.id]
        last = max(own, key=lambda item: item.seq_num, default=None)
        seq_num = 0 if last is None else last.seq_num + 1
        backlink = None if last is None else last.id
        body = self.group.bodies.seal(
            text, author=self.id, seq_num=seq_num, backlink=backlink, extensions=place
        )
        operation = sign_operation(
            self.key, seq_num=seq_num, backlink=backlink, body=body, extensions=place
        )
        self.store.texts[operation.id] = operation
        self.store.applied.add(operation.id)
        self._note_read({operation.id: text})
        return operation

    def hear(self, texts: Iterable[Operation] = ()) -> list[Operation]:
        """Receive texts, and apply what is accepted by now; what was applied stays applied."""
        self.store.texts.update((item.id, item) for item in texts)
        fresh = [
            item
            for item in self.store.texts.values()
            if item.id not in self.store.applied and self.accepts(item)
        ]
        self.store.applied.update(item.id for item in fresh)
        if self.is_sealed:
            unread = [
                self.store.texts[item] for item in self.store.applied - self.store.read.keys()
            ]
            opened = {item.id: open_text(self.group, item) for item in sorted(unread, key=_place)}
            self._note_read({item: said for item, said in opened.items() if said is not None})
        return fresh

    def _note_read(self, said: dict[bytes, bytes]) -> None:
        """Keep what was said together with the state that cannot open it again."""
        if self.is_sealed and said:
            self.store.read.update(said)
            self.persist([])

    @property
    def is_sealed(self) -> bool:
        """Whether message keys go on use in this group."""
        return self.group.profile is Profile.SEALED

    def accepts(self, text: Operation) -> bool | None:
        extensions = text.header.extensions
        return self.group.accepts(
            text.author,
            text.log,
            text.seq_num,
            epoch=extensions.epoch or b"",
            heads=extensions.previous,
        )

    def read(self, text: Operation) -> bytes | None:
        """Return what a text said or says; None where its key is not held."""
        if not self.is_sealed:
            return open_text(self.group, text)
        return self.store.read.get(text.id) or open_text(self.twin(), text)

    def cuts(self, person: bytes, removal: bytes | None = None) -> list[Cut]:
        """Return how far a person's logs are applied here, as far as it did not know a removal."""
        owner = self.group.control.auth().owner
        last: dict[bytes, int] = {}
        for item in self.store.texts.values():
            if item.id not in self.store.applied or owner.get(item.author) != person:
                continue
            heads = item.header.extensions.previous
            if removal is None or self.group.is_aware(heads, removal) is False:
                last[item.author] = max(item.seq_num, last.get(item.author, 0))
        return [Cut(device, PAGE, number) for device, number in sorted(last.items())]

    def vouch(self) -> list[Operation]:
        """Extend the cuts of removals by what was accepted before they were known."""
        made: list[Operation] = []
        if not self.group.is_member(self.id):
            return made
        for removal, person, known in self.group.live_removals():
            cuts = self.cuts(person, removal)
            further = [cut for cut in cuts if cut.seq_num > known.get((cut.device, PAGE), -1)]
            if further and self._vouched.get(removal) != cuts:
                self._vouched[removal] = cuts
                extended = self.do(
                    lambda group, removal=removal, cuts=cuts: group.extend_cuts(self, removal, cuts)
                )
                made += extended
                self.mute |= not extended
        return made


def _place(text: Operation) -> tuple[bytes, int, bytes]:
    return text.author, text.seq_num, text.id


def open_text(group: Group, text: Operation) -> bytes | None:
    """Decrypt a text; in a `sealed` group that uses its key up."""
    if text.body is None or not group.bodies.can_open(text.header.extensions.epoch or b""):
        return None
    try:
        return group.bodies.open(text.header, text.body)
    except UnreadableBodyError:
        return None


def _chain_operation(evidence: bytes) -> Operation | None:
    """Return what a piece of evidence says; None where it is none."""
    try:
        header, body = decode(evidence)
        operation = decode_operation(header, body or None)
        read_content(operation, operation.log)
    except (RemoteError, TypeError, ValueError):
        return None
    return operation


def synchronise(*devices: Device) -> None:
    """Let everybody learn everything."""
    for _ in range(2):
        for receiver in devices:
            for sender in devices:
                if sender is not receiver:
                    receiver.deliver(receiver.lacks(sender))
    for receiver in devices:
        for sender in devices:
            receiver.hear(sender.store.texts.values())


def settle(clock: Clock, *devices: Device, seconds: int = 60) -> None:
    """Let devices exchange everything and do what is due, for some virtual time."""
    since: dict[str, int] = {}
    for _ in range(seconds // 3 + 1):
        synchronise(*devices)
        for device in devices:
            device.vouch()
            device.do(lambda group, device=device: group.tend(device))
            rank = device.group.reconcile_rank()
            if rank is None:
                since.pop(device.name, None)
                continue
            begun = since.setdefault(device.name, clock.now)
            if clock.now - begun >= rank * RANK_DELAY_MS:
                device.do(lambda group, device=device: group.reconcile(device))
                since.pop(device.name)
        clock.now += RANK_DELAY_MS
    synchronise(*devices)
