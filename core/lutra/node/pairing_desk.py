"""Where a pairing's consequences are written: the engine's profile, or one that waits for a person.

A desk keeps one *record*, the pairing under way, so that it is taken up again after a restart. What
a pairing leads to, and the record, change in the same transaction.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from lutra.crypto.random import Random, system_random
from lutra.crypto.signing import SigningKey
from lutra.errors import BugError, NotPermittedError
from lutra.identity.device_log import Consent
from lutra.identity.errors import PairingStateError
from lutra.identity.pairing_messages import Card, Choice
from lutra.identity.pairing_table import Role
from lutra.net.connection import Address
from lutra.node.engine import Engine
from lutra.node.hand_over import HandOver
from lutra.node.new_identity import DEVICE_NAME, enter_person
from lutra.operation import Operation
from lutra.store.store import Store
from lutra.store.thread import StoreThread

Result = TypeVar("Result")
_RECORD = "pairing"
"""Name of the record among the store's keys."""


@dataclass(frozen=True, slots=True)
class Entrance:
    """What a new device enters its person with.

    Attributes:
        choice: what becomes of an identity it has.
        giver: the existing device's card.
        operations: the person's device log, verified.
        hand_over: what came with it; secret.
        met_at: the existing device's network address; empty where they never met.
    """

    choice: Choice
    giver: Card
    operations: tuple[Operation, ...]
    hand_over: bytes
    met_at: str

    def __repr__(self) -> str:
        return f"Entrance({self.choice.name})"


class EngineCalls(Protocol):
    """Runs calls on the engine."""

    async def call(self, function: Callable[[Engine], Result]) -> Result:
        """Run ``function`` as one transaction."""
        ...


class Desk(Protocol):
    """One profile, as a pairing needs it.

    Attributes:
        key: the device's key.
    """

    key: SigningKey

    async def card(self, role: Role) -> Card:
        """Return how this device introduces itself; raises `LutraError` if it cannot take part."""
        ...

    async def identity(self) -> tuple[Operation, ...]:
        """Return the device log of the identity that is here; empty if there is none."""
        ...

    async def load(self, name: str = _RECORD) -> bytes | None:
        """Return a record."""
        ...

    async def save(self, record: bytes | None, name: str = _RECORD) -> None:
        """Keep a record, or drop it; it is on the disk on return."""
        ...

    async def admit(
        self,
        consent: Consent,
        card: Card,
        merged: tuple[Operation, ...],
        finish: Callable[[tuple[Operation, ...], bytes], bytes | None],
        name: str = _RECORD,
    ) -> None:
        """Add a device to the person.

        Args:
            consent: the device's.
            card: how it introduced itself.
            merged: the device log of an identity it brings along.
            finish: takes the person's device log and the hand-over, returns the new record.
            name: of the record.
        """
        ...

    async def enter(self, entrance: Entrance, name: str = _RECORD) -> tuple[bytes, ...]:
        """Become a device of the person, and drop the record.

        Returns:
            The groups that this device stays in under an earlier identity.

        Raises:
            MalformedError: the hand-over has not its form; nothing was changed.
        """
        ...


class EngineDesk:
    """A profile with a person, through its engine.

    Args:
        engine: runs calls on it.
        key: this device's key.
        places: returns the port and addresses at which peers reach this device now.
        on_entered: called when this device belongs to another person.
    """

    def __init__(
        self,
        engine: EngineCalls,
        key: SigningKey,
        *,
        places: Callable[[], tuple[int, tuple[Address, ...]]],
        on_entered: Callable[[Entrance], None],
    ) -> None:
        self.key = key
        self._engine = engine
        self._places = places
        self._on_entered = on_entered

    async def card(self, role: Role) -> Card:
        """Return how this device introduces itself."""
        return await self._engine.call(lambda engine: engine.device_admission.card(role))

    async def identity(self) -> tuple[Operation, ...]:
        """Return the device log of this device's person."""
        return await self._engine.call(lambda engine: engine.device_admission.identity())

    async def load(self, name: str = _RECORD) -> bytes | None:
        """Return a record."""
        return await self._engine.call(lambda engine: engine.store.keys.get(name))

    async def save(self, record: bytes | None, name: str = _RECORD) -> None:
        """Keep a record, or drop it."""
        await self._engine.call(lambda engine: _put(engine.store, record, name))

    async def admit(
        self,
        consent: Consent,
        card: Card,
        merged: tuple[Operation, ...],
        finish: Callable[[tuple[Operation, ...], bytes], bytes | None],
        name: str = _RECORD,
    ) -> None:
        """Add a device to the person, and hand over."""
        port, addresses = self._places()

        def admit(engine: Engine) -> None:
            operations = engine.device_admission.admit(consent, card, merged)
            given = engine.device_admission.hand_over(port, addresses)
            _put(engine.store, finish(operations, given), name)

        await self._engine.call(admit)

    async def enter(self, entrance: Entrance, name: str = _RECORD) -> tuple[bytes, ...]:
        """Merge the identity that is here into the person."""
        given, person = HandOver.decode(entrance.hand_over), entrance.giver.person
        if entrance.choice is not Choice.MERGE or person is None:
            raise BugError("A profile with a person can enter another one by a merge only.")

        def enter(engine: Engine) -> tuple[bytes, ...]:
            separate = engine.device_admission.merge(
                person,
                entrance.operations,
                given,
                giver=entrance.giver.device,
                met_at=entrance.met_at,
            )
            _put(engine.store, None, name)
            return separate

        separate = await self._engine.call(enter)
        self._on_entered(entrance)
        return separate


class WaitingDesk:
    """A profile that has a device key and waits for its person.

    Args:
        thread: owns the store.
        store: the profile's.
        key: the device's key.
        random: source of randomness.
    """

    def __init__(
        self, thread: StoreThread, store: Store, key: SigningKey, random: Random = system_random
    ) -> None:
        self.key = key
        self._thread = thread
        self._store = store
        self._random = random

    async def card(self, role: Role) -> Card:
        """Return how this device introduces itself.

        Raises:
            NotPermittedError: it has no person that it could take a device into.
        """
        if role is Role.EXISTING:
            raise NotPermittedError("This device belongs to nobody yet; it can only be added.")
        name = await self._thread.run(self._store.settings.get, DEVICE_NAME)
        return Card.make(
            role,
            self.key.public,
            person=None,
            person_name="",
            device_name=str(name or ""),
            random=self._random,
        )

    async def identity(self) -> tuple[Operation, ...]:
        """Return nothing: there is no identity here."""
        return ()

    async def load(self, name: str = _RECORD) -> bytes | None:
        """Return a record."""
        return await self._thread.run(self._store.keys.get, name)

    async def save(self, record: bytes | None, name: str = _RECORD) -> None:
        """Keep a record, or drop it."""
        await self._thread.run(_put, self._store, record, name)

    async def admit(
        self,
        consent: Consent,
        card: Card,
        merged: tuple[Operation, ...],
        finish: Callable[[tuple[Operation, ...], bytes], bytes | None],
        name: str = _RECORD,
    ) -> None:
        """Refuse: there is no person here."""
        raise PairingStateError("This device belongs to nobody yet; it can only be added.")

    async def enter(self, entrance: Entrance, name: str = _RECORD) -> tuple[bytes, ...]:
        """Become a device of the person."""
        given, person = HandOver.decode(entrance.hand_over), entrance.giver.person
        assert person is not None
        await self._thread.run(self._enter, entrance, given, person, name)
        return ()

    def _enter(self, entrance: Entrance, given: HandOver, person: bytes, name: str) -> None:
        store = self._store
        with store.transaction(full_sync=True):
            enter_person(store, person, entrance.operations, secret=given.secret, name=given.name)
            # The engine that is opened next works on the same store.
            engine = Engine(
                store,
                now=lambda: time.time_ns() // 1_000_000,
                monotonic=time.monotonic,
                random=self._random,
            )
            engine.device_admission.take(given, entrance.giver.device, entrance.met_at)
            _put(store, None, name)


def _put(store: Store, record: bytes | None, name: str) -> None:
    if record is None:
        store.keys.delete(name)
    else:
        store.keys.put(name, record)
