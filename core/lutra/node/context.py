"""What the parts of the engine share: store, keys, clock, randomness and the outbox."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from lutra.crypto.random import Random
from lutra.crypto.signing import SigningKey
from lutra.groups.data_keys import BodyCipher
from lutra.node.events import DocumentChanged, DocumentsChanged, DocumentStatusChanged, Event
from lutra.operation import LogKey, Operation
from lutra.store.store import Store
from lutra.sync.replica import ForkEvidence, WireOperation


@dataclass(slots=True)
class Fresh:
    """Operations that are new here and of interest to connected devices.

    Attributes:
        group: their group.
        operations: in log order.
        source: the device they came from; None for this device's own.
    """

    group: bytes
    operations: list[WireOperation]
    source: bytes | None


@dataclass(slots=True)
class Outbox:
    """What a call of the engine caused; handed out once its transaction has committed.

    Attributes:
        events: for listeners.
        fresh: operations for connected devices.
        forks: (group, proof of a fork) that are new here.
        branches: (group, id of an operation of a forked control log, whom it came from).
        wanted: (group, document logs) of which operations were refused that count now.
    """

    events: list[Event] = field(default_factory=list[Event])
    fresh: list[Fresh] = field(default_factory=list[Fresh])
    forks: list[tuple[bytes, ForkEvidence]] = field(
        default_factory=list[tuple[bytes, ForkEvidence]]
    )
    branches: list[tuple[bytes, bytes, bytes | None]] = field(
        default_factory=list[tuple[bytes, bytes, bytes | None]]
    )
    wanted: list[tuple[bytes, tuple[LogKey, ...]]] = field(
        default_factory=list[tuple[bytes, tuple[LogKey, ...]]]
    )
    _listed: dict[bytes, dict[bytes, None]] = field(default_factory=dict[bytes, dict[bytes, None]])
    _status: dict[bytes, dict[bytes, None]] = field(default_factory=dict[bytes, dict[bytes, None]])

    def emit(self, event: Event) -> None:
        """Add an event; the same one twice in a row counts once."""
        if not self.events or self.events[-1] != event or isinstance(event, DocumentChanged):
            self.events.append(event)

    def documents_changed(self, group: bytes, document: bytes) -> None:
        """Note that a page's entry in lists changed; one event a group tells of all."""
        self._listed.setdefault(group, {})[document] = None

    def status_changed(self, group: bytes, document: bytes) -> None:
        """Note that a page is held by more devices, or has something new to hold."""
        self._status.setdefault(group, {})[document] = None

    def publish(self, group: bytes, operations: list[Operation], source: bytes | None) -> None:
        """Add operations for connected devices."""
        wire = [WireOperation(item.header_bytes, item.body) for item in operations]
        if wire:
            self.fresh.append(Fresh(group, wire, source))

    def take(self) -> tuple[list[Event], list[Fresh], list[tuple[bytes, ForkEvidence]]]:
        """Return events, operations and (group, proof of a fork) pairs, and start anew."""
        events = self.events
        for group, documents in self._listed.items():
            events.append(DocumentsChanged(group, tuple(documents)))
        for group, documents in self._status.items():
            events.append(DocumentStatusChanged(group, tuple(documents)))
        fresh, forks = self.fresh, self.forks
        self.clear()
        return events, fresh, forks

    def clear(self) -> None:
        """Drop everything: the transaction it belonged to was undone."""
        self.events, self.fresh, self.forks = [], [], []
        self.branches, self.wanted = [], []
        self._listed, self._status = {}, {}


@dataclass(slots=True)
class Context:
    """Handed to every part of the engine.

    Attributes:
        store: the profile's database; one thread uses it.
        key: this device's signing key.
        random: source of randomness.
        now: the clock, in milliseconds since 1970; for display and timers only.
        cipher: seals and opens operation bodies.
        outbox: what the present call causes.
    """

    store: Store
    key: SigningKey
    random: Random
    now: Callable[[], int]
    cipher: BodyCipher
    outbox: Outbox

    @property
    def device(self) -> bytes:
        """This device's public key."""
        return self.key.public
