"""What a session knows about one shared group."""

from __future__ import annotations

from collections.abc import Iterable

from lutra.operation import LogKey
from lutra.sync.heads import HeadSet
from lutra.sync.limits import MAX_GROUP_IDS
from lutra.sync.reconcile import Exchange
from lutra.sync.replica import SyncReplica
from lutra.sync.states import Stage

_MAX_REMEMBERED = 16_384
"""Logs remembered for optimisations; the oldest are forgotten first, which costs traffic only."""


class LogsSync:
    """One kind of logs of a group: its reconciliation and what the peer still has to get.

    Attributes:
        urgent: logs to send first, each with the last sequence number the peer has.
        pending: the other logs to send.
        sent_done: we have told that all was sent.
        heard_done: the peer has told so; what came before may still wait to be ingested.
        got_done: that, too, is ingested.
    """

    __slots__ = ("exchange", "got_done", "heard_done", "pending", "sent_done", "urgent")

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.urgent: dict[LogKey, int | None] = {}
        self.pending: dict[LogKey, int | None] = {}
        self.sent_done = False
        self.heard_done = False
        self.got_done = False

    def lacks(self, key: LogKey, after: int | None, *, urgent: bool) -> None:
        """Note that the peer needs a log from a place on; the newest statement counts."""
        if urgent or key in self.urgent:
            self.pending.pop(key, None)
            self.urgent[key] = after
        else:
            self.pending[key] = after

    def hasten(self, key: LogKey) -> bool:
        """Move a waiting log to the front; False if it does not wait."""
        if key in self.urgent:
            return True
        if key not in self.pending:
            return False
        self.urgent[key] = self.pending.pop(key)
        return True

    def advance(self, key: LogKey, before: int | None, after: int) -> None:
        """Note progress with a waiting log, unless the peer has asked anew in between."""
        for queue in (self.urgent, self.pending):
            if key in queue and queue[key] == before:
                queue[key] = after

    @property
    def waiting(self) -> bool:
        """Something is still to be sent."""
        return bool(self.urgent or self.pending)


class GroupSync:
    """One shared group within one session.

    Attributes:
        introduces: this side sends its control logs so as to become known as a member.
        limited: the peer is not in the roster, so it gets control operations only.
        named: how many operations the peer has named or asked for by their ids.
        telling: it has had all of them, and the group ends when it has confirmed that.
        early: the first round about documents has come, or gone, with the one about control logs.
        since_early: document logs that have grown since, each with the last number before.
        known: logs that the peer has, or is being sent, up to a sequence number.
        asked: ids of single control operations to send, as the peer asked for them.
    """

    __slots__ = (
        "_asked_for",
        "_replica",
        "_requested",
        "_wanted",
        "_whole_asked",
        "asked",
        "control",
        "data",
        "early",
        "handle",
        "id",
        "introduces",
        "known",
        "limited",
        "named",
        "since_early",
        "stage",
        "telling",
    )

    def __init__(
        self,
        replica: SyncReplica,
        group: bytes,
        handle: bytes,
        stage: Stage,
    ) -> None:
        self._replica = replica
        self.id = group
        self.handle = handle
        self.stage = stage
        self.introduces = False
        self.limited = False
        self.telling = False
        self.early = False
        self.since_early: dict[LogKey, int | None] = {}
        self.asked: dict[bytes, None] = {}
        self.named = 0
        # Who is told, or listens, may still ask for single operations that were named to it.
        self.control = LogsSync(
            Exchange(lambda: replica.heads(group, True), lambda: not self.limited)
        )
        self.data = LogsSync(Exchange(lambda: replica.heads(group, False)))
        self.known: dict[LogKey, int] = {}
        self._requested: dict[LogKey, int | None] = {}
        self._whole_asked: set[LogKey] = set()
        self._wanted: set[bytes] = set()
        self._asked_for = 0

    def is_control(self, key: LogKey) -> bool:
        """Tell whether a log is one of the group's control logs."""
        return key.log == self.id

    def logs(self, control: bool) -> LogsSync:
        """Return the state of one kind of logs."""
        return self.control if control else self.data

    def logs_of(self, key: LogKey) -> LogsSync:
        """Return the state of the kind of logs that a log is of."""
        return self.control if key.log == self.id else self.data

    def heads(self, key: LogKey) -> HeadSet:
        """Return the set of heads that a log belongs to."""
        return self._replica.heads(self.id, key.log == self.id)

    def head_seq(self, key: LogKey) -> int | None:
        """Return the newest sequence number held of a log here."""
        head = self.heads(key).get(key)
        return None if head is None else head.seq_num

    def note_known(self, places: Iterable[tuple[LogKey, int]]) -> None:
        """Remember that the peer has, or is being sent, logs up to sequence numbers."""
        known = self.known
        for key, seq_num in places:
            if known.get(key, -1) < seq_num:
                known[key] = seq_num
        while len(known) > _MAX_REMEMBERED:
            del known[next(iter(known))]

    def wanted(self, ids: Iterable[bytes], *, has: bool) -> list[bytes]:
        """Return the operations of ``ids`` to ask for, which must not go on without end.

        Args:
            ids: what is lacking here.
            has: the peer holds them now, so it is asked again where it was asked in vain before.
        """
        room = max(0, MAX_GROUP_IDS - self._asked_for)
        news = [one for one in dict.fromkeys(ids) if has or one not in self._wanted][:room]
        self._wanted.update(news)
        self._asked_for += len(news)
        return news

    def may_request(self, key: LogKey, *, whole: bool) -> bool:
        """Tell whether to ask for a log again; not twice without progress in between."""
        if whole:
            if key in self._whole_asked or len(self._whole_asked) >= _MAX_REMEMBERED:
                return False
            self._whole_asked.add(key)
            return True
        head = self.head_seq(key)
        if key in self._requested and self._requested[key] == head:
            return False
        self._requested[key] = head
        while len(self._requested) > _MAX_REMEMBERED:
            del self._requested[next(iter(self._requested))]
        return True
