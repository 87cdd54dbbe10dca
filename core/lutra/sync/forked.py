"""Control logs that forked: proofs of it, and single operations that go by their ids.

Reconciliation compares heads, so it cannot carry the sides of a log that has forked. Devices name
the operations they hold of such logs, and ask for those they lack.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lutra.crypto.hashing import blake3_hash
from lutra.sync import limits as bounds
from lutra.sync.errors import SyncViolationError, beyond_limit
from lutra.sync.events import CloseReason
from lutra.sync.frames import Ask, Branches, Forks, Frame
from lutra.sync.group import GroupSync
from lutra.sync.replica import ForkEvidence, SyncReplica
from lutra.sync.sharing import Sharing
from lutra.sync.states import SHARED_STAGES, out_of_state

_MAX_PROOFS_RECEIVED = 4 * bounds.MAX_GROUP_FORKS


class ForkedLogs:
    """What one session says and hears about forked control logs.

    Args:
        replica: this device's data.
        sharing: the groups shared with the peer.
        peer_device: the peer.
        emit: takes frames to send.
    """

    def __init__(
        self,
        replica: SyncReplica,
        sharing: Sharing,
        peer_device: bytes,
        emit: Callable[[Frame], None],
    ) -> None:
        self._replica = replica
        self._sharing = sharing
        self._peer = peer_device
        self._emit = emit
        self._proofs_received = 0

    def begin(self, group: GroupSync) -> None:
        """Tell what is held here when a group begins."""
        self.prove(group, self._replica.forks(group.id)[: bounds.MAX_GROUP_FORKS])
        self.name(group, self.held(group))

    def prove(self, group: GroupSync, evidence: Sequence[ForkEvidence]) -> None:
        """Send proofs of equivocation."""
        for start in range(0, len(evidence), bounds.MAX_FRAME_FORKS):
            some = evidence[start : start + bounds.MAX_FRAME_FORKS]
            self._emit(Forks(group.handle, some))

    def name(self, group: GroupSync, ids: Sequence[bytes]) -> None:
        """Name operations held of forked control logs."""
        for start in range(0, len(ids), bounds.MAX_FRAME_IDS):
            self._emit(Branches(group.handle, ids[start : start + bounds.MAX_FRAME_IDS]))

    def ask(self, group: GroupSync, ids: Sequence[bytes], *, has: bool) -> None:
        """Ask for single control operations; see `GroupSync.wanted`."""
        wanted = group.wanted(ids, has=has)
        for start in range(0, len(wanted), bounds.MAX_FRAME_IDS):
            self._emit(Ask(group.handle, wanted[start : start + bounds.MAX_FRAME_IDS]))

    def held(self, group: GroupSync) -> Sequence[bytes]:
        """Return the operations held of forked control logs, as many as may be named."""
        return self._replica.branches(group.id)[: bounds.MAX_GROUP_IDS]

    def on_forks(self, frame: Forks) -> None:
        """Take proofs in, and ask for the sides that are lacking here.

        Raises:
            SyncViolationError: they prove nothing, or are too many.
        """
        group = self._sharing.by_handle(frame.handle)
        if group is None:
            return
        self._proofs_received += len(frame.evidence)
        if self._proofs_received > _MAX_PROOFS_RECEIVED * max(1, len(self._sharing.groups)):
            raise beyond_limit("A peer sent too many proofs of forks.")
        if not self._replica.ingest_forks(group.id, frame.evidence, self._peer):
            raise SyncViolationError(
                CloseReason.OPERATION, "A peer sent a proof of a fork that proves nothing."
            )
        held = [blake3_hash(header) for pair in frame.evidence for header in pair]
        if group.stage in SHARED_STAGES:
            self.ask(group, self._replica.lacking(group.id, held), has=False)

    def on_branches(self, frame: Branches) -> None:
        """Ask for what the peer holds and this device does not.

        Raises:
            SyncViolationError: at a wrong time, or too many.
        """
        group = self._named(frame.handle, frame.ids)
        if group is not None:
            self.ask(group, self._replica.lacking(group.id, frame.ids), has=True)

    def on_ask(self, frame: Ask) -> None:
        """Note what the peer asks for; it is sent with the bulk.

        Raises:
            SyncViolationError: at a wrong time, or too many.
        """
        group = self._named(frame.handle, frame.ids)
        if group is not None:
            group.asked.update(dict.fromkeys(frame.ids))

    def _named(self, handle: bytes, ids: Sequence[bytes]) -> GroupSync | None:
        """Return the group in which a peer names operations by their ids."""
        group = self._sharing.by_handle(handle)
        if group is None:
            return None
        if group.stage not in SHARED_STAGES:
            raise out_of_state("ids of operations")
        group.named += len(ids)
        if group.named > 2 * bounds.MAX_GROUP_IDS:
            raise beyond_limit("A peer named too many single operations.")
        return group
