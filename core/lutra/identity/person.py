"""A person as one device sees it: the operations received so far, and making new ones."""

from __future__ import annotations

from collections.abc import Iterable

from lutra.crypto.random import Random, system_random
from lutra.crypto.signing import SigningKey
from lutra.identity.device_log import (
    NONCE_BYTES,
    Add,
    Consent,
    Content,
    Create,
    KitConsent,
    Recovery,
    Remove,
    Rename,
    person_id,
    read_content,
    sign_content,
)
from lutra.identity.errors import DeviceKnownError, DeviceNotInPersonError
from lutra.identity.resolution import PersonState, heads_to_follow, predecessors, resolve
from lutra.operation import Operation


class Person:
    """The device log of one person.

    Every method that makes an operation also takes it in, and returns it to be stored and sent.
    They raise `DeviceNotInPersonError` if the signing key may not act (any more).

    Attributes:
        id: the person's id, 32 bytes; also the id of the log.
    """

    def __init__(self, identifier: bytes, operations: Iterable[Operation] = ()) -> None:
        self.id = identifier
        self._operations: dict[bytes, tuple[Operation, Content]] = {}
        self._followed: set[bytes] = set()
        self._state: PersonState | None = None
        for operation in operations:
            self.receive(operation)

    @classmethod
    def create(
        cls,
        key: SigningKey,
        *,
        person_name: bytes,
        device_name: bytes,
        time: int,
        random: Random = system_random,
    ) -> Person:
        """Begin a person whose first device holds ``key``."""
        nonce = random(NONCE_BYTES)
        person = cls(person_id(key.public, nonce))
        content = Create(nonce, person_name, device_name)
        person.receive(sign_content(key, person.id, content, time=time))
        return person

    def receive(self, operation: Operation) -> bool:
        """Take in an operation whose own signature was checked; returns False if it was known.

        It may come before those it follows; it counts once they are there.

        Raises:
            DeviceLogError, SignatureError, MalformedError: see `read_content`.
        """
        if operation.id in self._operations:
            return False
        self._operations[operation.id] = (operation, read_content(operation, self.id))
        self._followed.update(predecessors(operation))
        self._state = None
        return True

    @property
    def state(self) -> PersonState:
        """Names and devices, as the operations at hand have it."""
        if self._state is None:
            self._state = resolve(self._operations.values())
        return self._state

    def operations(self) -> tuple[Operation, ...]:
        """Return all operations, each after those it follows."""
        placed: dict[bytes, Operation] = {}
        pending = [self._operations[one][0] for one in sorted(self._operations)]
        while pending:
            later: list[Operation] = []
            for one in pending:
                if all(item in placed or self._lacks(item) for item in predecessors(one)):
                    placed[one.id] = one
                else:
                    later.append(one)
            pending = later
        return tuple(placed.values())

    def missing(self) -> frozenset[bytes]:
        """Return the ids of operations that others follow and that did not come yet."""
        return frozenset(one for one in self._followed if self._lacks(one))

    def heads(self) -> tuple[bytes, ...]:
        """Return the ids of the operations nothing else follows, sorted."""
        return tuple(sorted(self._operations.keys() - self._followed))

    def addition(self, device: bytes) -> Operation | None:
        """Return an operation that added ``device``, for finishing an interrupted pairing."""
        for operation, content in self._operations.values():
            if isinstance(content, Add) and content.device == device:
                return operation
        return None

    def add(self, key: SigningKey, consent: Consent, device_name: bytes, time: int) -> Operation:
        """Add a device that consented.

        Raises:
            DeviceKnownError: it was added before; a removed device needs a fresh key.
            SignatureError: it did not consent.
        """
        self._check_fresh(consent.device)
        return self._make(key, Add(consent, device_name), time)

    def add_recovery(self, key: SigningKey, consent: KitConsent, time: int) -> Operation:
        """Add the key of a recovery kit; raises as `add` does."""
        self._check_fresh(consent.device)
        return self._make(key, Recovery(consent), time)

    def remove(self, key: SigningKey, device: bytes, time: int, *, wipe: bool = False) -> Operation:
        """Remove a device or leave; recovery keys are removed by recovery keys only.

        Args:
            key: of the device that removes.
            device: the device to remove.
            time: milliseconds since 1970, for display.
            wipe: ask the device to delete everything it holds; see `Remove`.

        Raises:
            DeviceNotInPersonError: ``device`` is not in the person, may not be removed by this
                key, or is the last one and nobody could act for the person any more.
        """
        target = self.state.device(device)
        if target is None or not target.active:
            raise DeviceNotInPersonError("This device does not belong to the person (any more).")
        if target.recovery and not self._is_recovery(key.public):
            raise DeviceNotInPersonError("A recovery kit can be withdrawn with a kit's words only.")
        if not self.state.active() | self.state.recovery_keys() > {device}:
            raise DeviceNotInPersonError(
                "This is the person's last device. Without a recovery kit it cannot leave."
            )
        return self._make(key, Remove(device, wipe), time)

    def rename(self, key: SigningKey, device: bytes | None, name: bytes, time: int) -> Operation:
        """Give the person (None) or a device a new name."""
        return self._make(key, Rename(device, name), time)

    def _make(self, key: SigningKey, content: Content, time: int) -> Operation:
        if not self.state.may_act(key.public):
            raise DeviceNotInPersonError("This device does not belong to the person (any more).")
        own = [one for one, _ in self._operations.values() if one.author == key.public]
        last = max(own, key=lambda one: one.seq_num, default=None)
        operation = sign_content(
            key,
            self.id,
            content,
            seq_num=0 if last is None else last.seq_num + 1,
            backlink=None if last is None else last.id,
            previous=heads_to_follow(self._operations.values()),
            time=time if last is None else max(time, last.header.extensions.time + 1),
        )
        self.receive(operation)
        return operation

    def _check_fresh(self, device: bytes) -> None:
        if self.state.device(device) is not None:
            raise DeviceKnownError(
                "This device was one of yours before. It needs a fresh key to come back."
            )

    def _is_recovery(self, key: bytes) -> bool:
        known = self.state.device(key)
        return known is not None and known.recovery

    def _lacks(self, operation_id: bytes) -> bool:
        return operation_id not in self._operations
