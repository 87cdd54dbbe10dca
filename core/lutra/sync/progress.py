"""How groups go through their stages: reconciliation, and what follows when both are through."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lutra.sync.events import ControlSettled, GroupSettled, GroupShared, GroupWithdrawn, Output
from lutra.sync.flow import Outflow
from lutra.sync.forked import ForkedLogs
from lutra.sync.frames import Done, Frame, Round
from lutra.sync.group import GroupSync
from lutra.sync.reconcile import Outcome, Turn
from lutra.sync.replica import SyncReplica
from lutra.sync.sender import Sender
from lutra.sync.sharing import Sharing
from lutra.sync.states import ROUND_STAGES, Role, Stage, StageEvent, next_stage, out_of_state


class Progress:
    """Moves the groups of one session on.

    Args:
        replica: this device's data.
        sharing: the groups shared with the peer.
        role: which side of the channel this is.
        peer_device: the peer.
        sender: sends what the peer lacks.
        outflow: knows what of it is confirmed.
        forked: tells of forked control logs.
        emit: takes frames to send.
        tell: takes events.
    """

    def __init__(
        self,
        replica: SyncReplica,
        sharing: Sharing,
        *,
        role: Role,
        peer_device: bytes,
        sender: Sender,
        outflow: Outflow,
        forked: ForkedLogs,
        emit: Callable[[Frame], None],
        tell: Callable[[Output], None],
    ) -> None:
        self._replica = replica
        self._sharing = sharing
        self._initiates = role is Role.INITIATOR
        self._peer = peer_device
        self._sender = sender
        self._outflow = outflow
        self._forked = forked
        self._emit = emit
        self._tell = tell

    def begin(self, group: GroupSync) -> None:
        """Begin with a group that turned out to be shared."""
        if not group.limited:
            self._tell(GroupShared(group.id))
        self._forked.begin(group)
        if self._initiates:
            self._send_turns(group, True, group.control.exchange.begin())
            if not group.limited and self._replica.may_sync(group.id, self._peer):
                # It counts only if the control logs turn out to be equal, as they mostly are.
                group.early = True
                self._send_turns(group, False, group.data.exchange.begin())

    def take_round(self, group: GroupSync, frame: Round) -> None:
        """Take the peer's round, and answer it.

        Raises:
            SyncViolationError: at a wrong time, or it breaks the rules of reconciliation.
        """
        may_be_early = not self._initiates and not group.early
        if group.stage is Stage.CONTROL and not frame.control and may_be_early:
            # It came with the first round about control logs, which are not equal.
            group.early = True
            return
        if group.stage not in ROUND_STAGES[frame.control]:
            raise out_of_state("a round of another stage")
        if group.limited and not frame.control:
            return
        exchange = group.logs(frame.control).exchange
        outcome, turns = exchange.receive(frame.ranges, frame.wants, frame.last)
        self._apply(group, frame.control, outcome)
        self._send_turns(group, frame.control, turns)

    def advance(self) -> bool:
        """Finish what both sides are through with.

        Returns:
            Whether an introduction or a group has ended, so that the peer may have others now.
        """
        ended = False
        for group in list(self._sharing.groups.values()):
            if group.stage is Stage.INTRODUCTION:
                ended |= self._advance_introduction(group)
            while (
                group.stage in (Stage.CONTROL, Stage.DATA)
                and not group.telling
                and self._advance_stage(group)
            ):
                pass
            if group.telling and not group.asked and not self._outflow.is_under_way(group.id):
                self._sharing.end_telling(group)
                ended = True
        return ended

    def wind_up(self, group: GroupSync) -> None:
        """Let a group end between the two once the peer has what it may still get."""
        self._limit(group)
        if group.telling or group.stage not in (Stage.DATA, Stage.LIVE):
            return
        group.telling = True
        # Of a forked log this device may be the only one to hold a side; later nobody asks it.
        group.asked.update(dict.fromkeys(self._forked.held(group)))

    def _advance_introduction(self, group: GroupSync) -> bool:
        """End an introduction: ours when all is sent, the peer's when all is ingested."""
        logs = group.control
        if not group.introduces:
            if logs.got_done:
                self._sharing.end_introduction(group)
            return logs.got_done
        if logs.sent_done or logs.waiting:
            return False
        logs.sent_done = True
        self._emit(Done(group.handle, True))
        # More may have come meanwhile, to be shown in another introduction.
        return True

    def _advance_stage(self, group: GroupSync) -> bool:
        """Finish a stage of a group if both sides are through; tell whether that happened."""
        control = group.stage is Stage.CONTROL
        logs = group.logs(control)
        if not logs.exchange.is_equal:
            # The responder waits until it has ingested what the initiator sent, so that when the
            # initiator hears its word, both have everything.
            may_finish = self._initiates or logs.got_done
            if not logs.sent_done and logs.exchange.finished and not logs.waiting and may_finish:
                logs.sent_done = True
                self._emit(Done(group.handle, control))
            if not (logs.sent_done and logs.got_done):
                return False
        if control:
            group.stage = next_stage(group.stage, StageEvent.CONTROL_DONE)
            self._tell(ControlSettled(group.id))
            self._begin_data(group)
        else:
            group.stage = next_stage(group.stage, StageEvent.DATA_DONE)
            self._tell(GroupSettled(group.id))
        return True

    def _begin_data(self, group: GroupSync) -> None:
        # The control operations just exchanged may have removed the peer, or this device.
        if not self._replica.may_sync(group.id, self._peer):
            self.wind_up(group)
            return
        if group.limited:
            group.limited = False
            self._tell(GroupShared(group.id))
        if self._initiates:
            if group.early and group.control.exchange.is_equal:
                for key, after in group.since_early.items():
                    group.data.lacks(key, after, urgent=True)
            else:
                self._send_turns(group, False, group.data.exchange.begin())
        group.since_early.clear()

    def _limit(self, group: GroupSync) -> None:
        """Give the peer no document of a group any more."""
        if not group.limited:
            group.limited = True
            self._tell(GroupWithdrawn(group.id))
        group.data.urgent.clear()
        group.data.pending.clear()
        self._sender.drop_documents(group)

    def _send_turns(self, group: GroupSync, control: bool, turns: Sequence[Turn]) -> None:
        for turn in turns:
            self._emit(Round(group.handle, control, turn.last, turn.ranges, turn.wants))

    def _apply(self, group: GroupSync, control: bool, outcome: Outcome) -> None:
        urgent = frozenset(self._replica.priority(group.id))
        logs = group.logs(control)
        for key, after in outcome.lacking:
            newest = group.head_seq(key) if group.is_control(key) is control else None
            if newest is not None and (after is None or after < newest):
                logs.lacks(key, after, urgent=key.log in urgent)
        if outcome.held:
            group.note_known(outcome.held)
            self._replica.acknowledged(self._peer, group.id, outcome.held)
        for lower, upper in outcome.matched:
            self._replica.matched(self._peer, group.id, control, lower, upper)
