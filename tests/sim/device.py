"""One simulated device: a replica of production code with a store that survives crashes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from lutra.crypto.signing import SigningKey
from lutra.groups.authorisation import Devices
from lutra.groups.contents import Profile
from lutra.groups.data_keys import BodyCipher
from lutra.groups.group import Group
from lutra.groups.keys import Reception
from lutra.groups.setup import Setup
from lutra.operation import Extensions, Operation, sign_operation

SUITE = 3
START = 1_800_000_000_000


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
class Clock:
    """Virtual milliseconds."""

    now: int = START

    def __call__(self) -> int:
        return self.now


def person_id(name: str) -> bytes:
    return hashlib.sha256(b"person " + name.encode()).digest()


def belongs(person: bytes, device: bytes) -> bytes:
    """Evidence that a device is a person's (the real one is signed by both)."""
    return b"+" + person + device


def revoked(device: bytes) -> bytes:
    """Evidence that a device's person revoked it."""
    return b"-" + device


def directory(evidence: frozenset[bytes]) -> Devices:
    owner = {item[33:]: item[1:33] for item in sorted(evidence) if item[:1] == b"+"}
    return Devices(owner, frozenset(item[1:] for item in evidence if item[:1] == b"-"))


@dataclass
class Store:
    """What survives a crash."""

    operations: dict[bytes, Operation] = field(default_factory=dict)
    private: bytes = b""


class Device:
    """A device of a person; `group` is what a crash loses."""

    group_class = Group

    def __init__(self, name: str, person: str, clock: Clock, seed: bytes = b"") -> None:
        self.name = name
        self.person_name = person
        self.person = person_id(person)
        self.clock = clock
        self.random = Stream(seed + name.encode())
        self.key = SigningKey.generate(self.random)
        self.id = self.key.public
        self.store = Store()
        self.waiting: dict[bytes, Operation] = {}
        self._group: Group | None = None
        self._group_id = b""
        self._last: Operation | None = None
        self._cipher = BodyCipher(self.random)

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
    def evidence(self) -> bytes:
        return belongs(self.person, self.id)

    def sign_control(
        self,
        kind: str,
        body: bytes,
        *,
        epoch: bytes | None,
        secret: bytes | None,
        previous: tuple[bytes, ...],
    ) -> Operation:
        last = self._last
        seq_num = 0 if last is None else last.seq_num + 1
        backlink = None if last is None else last.id
        extensions = Extensions(
            self._group_id, kind, self._group_id, epoch, previous, self.clock.now
        )
        if secret is not None:
            body = self._cipher.seal(
                secret,
                body,
                author=self.id,
                seq_num=seq_num,
                backlink=backlink,
                extensions=extensions,
            )
        operation = sign_operation(
            self.key, seq_num=seq_num, backlink=backlink, body=body, extensions=extensions
        )
        self._last = operation
        return operation

    def found(self, profile: Profile = Profile.ARCHIVE) -> None:
        from lutra.groups.ids import group_id

        nonce = self.random(32)
        self._group_id = group_id(self.id, nonce)
        self._group, operations = self.group_class.create(
            self, self.setup, nonce, [self.evidence], profile
        )
        self.persist(operations)

    def open(self, group: bytes) -> None:
        """Begin an empty replica of a group that others founded."""
        self._group_id = group
        self._group = self.group_class(group, self.setup)
        self.persist([])

    def persist(self, operations: list[Operation]) -> None:
        """Store operations and private state in one transaction."""
        self.store.operations.update((item.id, item) for item in operations)
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
        self.waiting.clear()
        self._group = self.group_class.resume(
            self._group_id, self.setup, operations, self.store.private
        )

    def deliver(self, operations: list[Operation]) -> list[Reception]:
        """Receive operations in the given order, then whatever was waiting."""
        results: list[Reception] = []
        for operation in operations:
            if operation.id not in self.store.operations:
                self.waiting[operation.id] = operation
        progress = True
        while progress:
            progress = False
            for operation in list(self.waiting.values()):
                result = self.group.receive(operation)
                if result is Reception.WAITING:
                    continue
                del self.waiting[operation.id]
                results.append(result)
                progress = True
                if result in (Reception.ACCEPTED, Reception.REFUSED):
                    self.store.operations[operation.id] = operation
        self.store.private = self.group.private_state()
        return results

    def lacks(self, other: Device) -> list[Operation]:
        """Return what another device has stored and this one has not."""
        known = self.store.operations
        return [item for item in other.store.operations.values() if item.id not in known]


def synchronise(*devices: Device) -> None:
    """Let everybody learn everything."""
    for _ in range(2):
        for receiver in devices:
            for sender in devices:
                if sender is not receiver:
                    receiver.deliver(receiver.lacks(sender))


def settle(clock: Clock, *devices: Device, seconds: int = 60) -> None:
    """Let devices exchange everything and do what is due, for some virtual time."""
    since: dict[str, int] = {}
    for _ in range(seconds // 3 + 1):
        synchronise(*devices)
        for device in devices:
            device.do(lambda group, device=device: group.tend(device))
            rank = device.group.reconcile_rank()
            if rank is None:
                since.pop(device.name, None)
                continue
            begun = since.setdefault(device.name, clock.now)
            if clock.now - begun >= rank * 3000:
                device.do(lambda group, device=device: group.reconcile(device))
                since.pop(device.name)
        clock.now += 3000
    synchronise(*devices)
