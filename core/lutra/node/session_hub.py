"""All sync sessions of a node: runs them on the engine's thread and gathers what they send."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from lutra.codec import decode, encode
from lutra.crypto.hashing import blake3_hash
from lutra.errors import MalformedError
from lutra.node.context import Fresh
from lutra.operation import LogKey
from lutra.sync.events import (
    Closed,
    GroupShared,
    GroupWithdrawn,
    PresenceReceived,
    Send,
)
from lutra.sync.peek import place_of
from lutra.sync.replica import ForkEvidence, SyncReplica
from lutra.sync.session import Session
from lutra.sync.states import Role, Stage

_MAX_CURSOR_BYTES = 512


@dataclass(frozen=True, slots=True)
class PresenceIn:
    """Somebody's caret, as it arrived."""

    group: bytes
    document: bytes
    device: bytes
    anchor: bytes | None
    head: bytes | None


@dataclass(slots=True)
class Traffic:
    """What the sessions want done.

    Attributes:
        frames: (connection, frame) in order.
        closed: (connection, why) of sessions that have ended.
        presence: carets that arrived.
        peers_changed: a device began or ceased to share groups.
    """

    frames: list[tuple[int, bytes]] = field(default_factory=list[tuple[int, bytes]])
    closed: list[tuple[int, Closed]] = field(default_factory=list[tuple[int, Closed]])
    presence: list[PresenceIn] = field(default_factory=list[PresenceIn])
    peers_changed: bool = False


@dataclass(slots=True)
class _Entry:
    session: Session
    device: bytes
    shared: set[bytes] = field(default_factory=set[bytes])


class SessionHub:
    """The sessions of all connections, by the connection's number."""

    def __init__(self, replica: SyncReplica, device: bytes, monotonic: Callable[[], float]) -> None:
        self._replica = replica
        self._device = device
        self._monotonic = monotonic
        self._entries: dict[int, _Entry] = {}
        self._peers_changed = False
        self._at_risk: set[int] = set()

    def open(
        self, connection: int, device: bytes, handshake_hash: bytes, *, initiator: bool
    ) -> None:
        """Begin a session on a connection to a proven device."""
        session = Session(
            self._replica,
            role=Role.INITIATOR if initiator else Role.RESPONDER,
            peer_device=device,
            handshake_hash=handshake_hash,
            clock=self._monotonic,
        )
        self._entries[connection] = _Entry(session, device)

    def receive(self, connection: int, frames: Sequence[bytes]) -> None:
        """Give a session what arrived; frames after its end are dropped."""
        entry = self._entries.get(connection)
        if entry is None:
            return
        # If the transaction fails the session's state is ahead of the store: it must end.
        self._at_risk.add(connection)
        for frame in frames:
            entry.session.receive(frame)

    def close(self, connection: int) -> None:
        """Forget a session whose connection is gone."""
        entry = self._entries.pop(connection, None)
        if entry is not None and entry.shared:
            self._peers_changed = True

    def push(self, fresh: Fresh) -> None:
        """Offer new operations to every device but the one they came from."""
        for entry in self._entries.values():
            if entry.device != fresh.source:
                entry.session.push(fresh.group, fresh.operations)

    def groups_changed(self) -> None:
        """Let all sessions look again at which groups they share."""
        for entry in self._entries.values():
            entry.session.groups_changed()

    def push_forks(self, group: bytes, evidence: Sequence[ForkEvidence]) -> None:
        """Offer new proofs of equivocation to every device."""
        for entry in self._entries.values():
            entry.session.push_forks(group, evidence)
            for pair in evidence:
                if place_of(pair.first).key.author == entry.device:
                    # It is out from now on, and should see why.
                    entry.session.offer(group, [blake3_hash(header) for header in pair])

    def push_branches(self, group: bytes, operation_id: bytes, source: bytes | None) -> None:
        """Name a new operation of a forked log to every device but the one it came from."""
        for entry in self._entries.values():
            if entry.device != source:
                entry.session.push_branches(group, [operation_id])

    def request(self, group: bytes, keys: Sequence[LogKey]) -> None:
        """Ask every device for more of document logs."""
        for entry in self._entries.values():
            entry.session.request(group, keys)

    def priority_changed(self, group: bytes) -> None:
        """Let all sessions transfer documents that are open now before the rest."""
        for entry in self._entries.values():
            entry.session.priority_changed(group)

    def tick(self) -> None:
        """Let time pass in all sessions."""
        for entry in self._entries.values():
            entry.session.tick()

    def produce(self, connections: frozenset[int]) -> None:
        """Send one slice of bulk on each of these connections that has some."""
        for connection in connections & self.burdened():
            self._at_risk.add(connection)
            self._entries[connection].session.produce()

    def take_in(self) -> None:
        """Ingest one slice of bulk on each connection on which some has arrived."""
        for connection, entry in self._entries.items():
            if entry.session.has_arrivals:
                self._at_risk.add(connection)
                entry.session.take_in()

    @property
    def has_arrivals(self) -> bool:
        """Tell whether `take_in` has something to do."""
        return any(entry.session.has_arrivals for entry in self._entries.values())

    def burdened(self) -> frozenset[int]:
        """Return the connections on which there is bulk to send."""
        return frozenset(
            connection for connection, entry in self._entries.items() if entry.session.has_bulk
        )

    def send_presence(
        self, group: bytes, document: bytes, anchor: bytes | None, head: bytes | None
    ) -> None:
        """Tell the connected members of a group where this person's caret is."""
        data = encode([anchor, head])
        for entry in self._entries.values():
            if group in entry.shared:
                entry.session.presence(group, document, data)

    def connected(self, group: bytes) -> Sequence[bytes]:
        """Return the connected devices that share a group."""
        return sorted({entry.device for entry in self._entries.values() if group in entry.shared})

    def settled(self, group: bytes) -> bool:
        """Tell whether everything of a group was exchanged with a connected device."""
        return any(entry.session.stage(group) is Stage.LIVE for entry in self._entries.values())

    def next_tick(self) -> float | None:
        """Return when a session wants `tick`, or None."""
        times = [
            at for entry in self._entries.values() if (at := entry.session.deadline) is not None
        ]
        return min(times, default=None)

    def abandon(self) -> None:
        """End the sessions that took part in a transaction which was undone."""
        for connection in self._at_risk & self._entries.keys():
            self._entries[connection].session.close("This device could not store what you sent.")
        self._at_risk.clear()

    def take(self) -> Traffic:
        """Return what all sessions want done, and forget ended ones."""
        self._at_risk.clear()
        traffic = Traffic(peers_changed=self._peers_changed)
        self._peers_changed = False
        for connection, entry in list(self._entries.items()):
            for output in entry.session.outputs():
                match output:
                    case Send(frame):
                        traffic.frames.append((connection, frame))
                    case GroupShared(group):
                        entry.shared.add(group)
                        traffic.peers_changed = True
                    case GroupWithdrawn(group):
                        entry.shared.discard(group)
                        traffic.peers_changed = True
                    case PresenceReceived():
                        traffic.presence.extend(_presence_of(output, entry.device))
                    case Closed():
                        traffic.closed.append((connection, output))
                        traffic.peers_changed |= bool(entry.shared)
                        del self._entries[connection]
                    case _:
                        pass
        return traffic


def _presence_of(received: PresenceReceived, device: bytes) -> list[PresenceIn]:
    """Read a caret message; one that has not its form is as good as none."""
    try:
        value = decode(received.data, max_bytes=4096)
    except MalformedError:
        return []
    fields = cast("list[Any]", value) if type(value) is list else []
    if len(fields) != 2 or not all(
        item is None or (type(item) is bytes and len(item) <= _MAX_CURSOR_BYTES) for item in fields
    ):
        return []
    return [PresenceIn(received.group, received.document, device, fields[0], fields[1])]
