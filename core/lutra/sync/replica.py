"""What a session asks of the device's stored data: the engine implements `SyncReplica`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol

from lutra.operation import LogKey
from lutra.sync.heads import HeadSet


class WireOperation(NamedTuple):
    """An operation as it travels: header bytes, and the body unless it is absent or deleted."""

    header: bytes
    body: bytes | None


class ForkEvidence(NamedTuple):
    """Two signed headers by one author for one place of one log: proof of equivocation."""

    first: bytes
    second: bytes


class RefusalReason(Enum):
    """Why an operation was not stored."""

    GAP = "gap"
    """Operations before it are missing here; the session asks for them once."""
    FORK = "fork"
    """It does not continue the log held here; the session asks for the peer's whole log."""
    FROZEN = "frozen"
    """Its log is frozen by a known fork before it."""
    NOT_PERMITTED = "not-permitted"
    """Its author may not write it, as far as is known here."""
    INVALID = "invalid"
    """Form, signature or group are wrong: an honest peer never sends it. Ends the session."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One operation that `SyncReplica.ingest` did not store.

    Attributes:
        index: its place in the list given to `ingest`.
        reason: why.
    """

    index: int
    reason: RefusalReason


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What became of operations given to `SyncReplica.ingest`.

    Operations not named in `refused` are durably held now (or were before).

    Attributes:
        refused: the operations that were not stored.
        forks: equivocations that these operations proved, new to this device.
        missing: ids of control operations that these build on and that are not here.
    """

    refused: Sequence[Refusal] = ()
    forks: Sequence[ForkEvidence] = ()
    missing: Sequence[bytes] = ()


class SyncReplica(Protocol):
    """The stored groups of one device. Every call is synchronous, on the owner's one thread.

    A control log's id is the group's id; every other log of a group is a document log.
    """

    def discovery_secrets(self) -> Sequence[tuple[bytes, bytes]]:
        """Return (group id, 32-byte discovery secret) of every group this device is or was in."""
        ...

    def may_sync(self, group: bytes, device: bytes) -> bool:
        """Tell whether this device and ``device`` belong to the roster as it is known here."""
        ...

    def may_tell(self, group: bytes, device: bytes) -> bool:
        """Tell whether ``device`` was removed and is not known to have heard of it.

        It gets the group's control operations then, and never anything else.
        """
        ...

    def telling(self, group: bytes, device: bytes) -> None:
        """Note that ``device``, not in the roster, is being told or listened to."""
        ...

    def may_hear(self, group: bytes, device: bytes) -> bool:
        """Tell whether this device, which is out, should listen to ``device``.

        It is asked where ``device`` announces the group: it may know that this device is in again,
        or not know that it is out itself.
        """
        ...

    def may_introduce(self, group: bytes, device: bytes) -> bool:
        """Tell whether ``device``, not in the roster, may prove that it belongs there.

        False for devices that were removed and may not have heard of it. Asked only about a device
        that has proven to know the group's discovery secret; see `lutra.sync.sharing`.
        """
        ...

    def heads(self, group: bytes, control: bool) -> HeadSet:
        """Return the live set of heads of the group's control or document logs.

        It is updated by the replica before operations are given to `Session.push`.
        """
        ...

    def priority(self, group: bytes) -> Sequence[bytes]:
        """Return ids of the logs (open documents) to transfer first."""
        ...

    def operations_after(
        self, key: LogKey, after: int | None, max_bytes: int
    ) -> Sequence[WireOperation]:
        """Return operations of a log in order, from the one that follows ``after``.

        Starts at the prune point where that lies beyond ``after`` or ``after`` is None. Returns
        about ``max_bytes``, but at least one operation if there is one.
        """
        ...

    def expect(self, operations: Sequence[WireOperation]) -> None:
        """Note what `ingest` will get next, though perhaps in other portions, to prepare for it."""
        ...

    def ingest(
        self, group: bytes, operations: Sequence[WireOperation], source: bytes
    ) -> IngestReport:
        """Verify, store and apply operations in one durable transaction.

        Never raises for the peer's fault; operations already held are not refused.
        """
        ...

    def acknowledged(
        self, device: bytes, group: bytes, heads: Sequence[tuple[LogKey, int]]
    ) -> None:
        """Record that ``device`` durably holds each log up to the sequence number given."""
        ...

    def matched(
        self, device: bytes, group: bytes, control: bool, lower: bytes, upper: bytes | None
    ) -> None:
        """Record that ``device`` holds exactly the heads that `heads` holds in the range now."""
        ...

    def forks(self, group: bytes) -> Sequence[ForkEvidence]:
        """Return the proofs of equivocation known in a group; at most 64 are sent."""
        ...

    def ingest_forks(self, group: bytes, evidence: Sequence[ForkEvidence], source: bytes) -> bool:
        """Check and keep proofs of equivocation, freezing their logs; False if one is no proof."""
        ...

    def branches(self, group: bytes) -> Sequence[bytes]:
        """Return ids of the operations held of the group's forked control logs, from the fork on.

        Both sides of a fork have to be everywhere: what honest members wrote may build on either.
        """
        ...

    def lacking(self, group: bytes, ids: Sequence[bytes]) -> Sequence[bytes]:
        """Return those of ``ids`` that are not held here with their content."""
        ...

    def operations_by_id(
        self, group: bytes, ids: Sequence[bytes], max_bytes: int
    ) -> Sequence[WireOperation | None]:
        """Return control operations of a group by their ids, None for those not held.

        Returns at least one, and stops before headers and bodies exceed ``max_bytes``.
        """
        ...
