"""What a node does of itself: publishing drafts, compacting logs, changing keys, tending groups."""

from __future__ import annotations

from collections.abc import Callable

from lutra.node.context import Context
from lutra.node.deadlines import Deadlines
from lutra.node.document_registry import DocumentRegistry
from lutra.node.document_states import DocumentStates
from lutra.node.events import Trouble
from lutra.node.group_registry import GroupRegistry
from lutra.node.log_keeper import LogFrozenError
from lutra.node.session_hub import SessionHub
from lutra.operation import OperationLimitError

_TEND_SECONDS = 30.0
"""How often a group is looked at for what is due by time alone."""
_FIRST_LOOK_SECONDS = 0.2
"""After the start, and between one group and the next."""


class Upkeep:
    """Knows what is due when, and does it.

    Args:
        context: what the parts of one engine share.
        groups: the groups.
        documents: the documents.
        states: publishes states of documents for those who cannot read their past.
        sessions: knows who is connected.
        monotonic: clock in seconds.
    """

    def __init__(
        self,
        context: Context,
        *,
        groups: GroupRegistry,
        documents: DocumentRegistry,
        states: DocumentStates,
        sessions: SessionHub,
        monotonic: Callable[[], float],
    ) -> None:
        self._context = context
        self._groups = groups
        self._documents = documents
        self._states = states
        self._sessions = sessions
        self._monotonic = monotonic
        self._deadlines = Deadlines()

    def start(self) -> None:
        """Plan what an earlier run left, and a first look at each group."""
        self.publish_soon()
        now = self._monotonic()
        for place, group in enumerate(self._groups.ids()):
            # One after the other: each is loaded then.
            self._deadlines.tend(group, now + _FIRST_LOOK_SECONDS * (1 + place))

    def tick(self) -> bool:
        """Do what is due; tells whether a group was looked at for what is due by time alone."""
        now = self._monotonic()
        documents, groups, rested, tended = self._deadlines.due(now)
        for group in groups:
            self._groups.reconcile(group)
            self.gate_moved(group)
        for group in tended:
            self.tend(group)
        for document in documents:
            self.publish(document)
        for group in self._deadlines.due_states(now):
            self._states.publish(group)
            self._plan_states(group, at_once=True)
        for document in rested:
            self._documents.rest(document)
        return bool(tended)

    def finish(self) -> None:
        """Leave things tidy before closing: no drafts, as far as keys allow, and short logs."""
        self.publish_all()
        for document in self._deadlines.resting():
            self._documents.rest(document)

    def tend(self, group: bytes) -> None:
        """Look at a group for what is due by time alone."""
        self._groups.tend(group)
        self.gate_moved(group)

    def edited(self, document: bytes, *, at_once: bool = False) -> None:
        """Publish an edit now or soon."""
        group = self._documents.get(document).row.group
        connected = bool(self._sessions.connected(group))
        if self._deadlines.edited(document, self._monotonic(), connected) or at_once:
            self.publish(document)

    def publish(self, document: bytes) -> None:
        """Publish a document; what cannot be published now or ever stays a draft."""
        try:
            published = self._documents.publish(document)
        except (LogFrozenError, OperationLimitError) as error:
            self._context.outbox.emit(Trouble(error.code, error.message))
            published = False
        if published:
            self._deadlines.published(document, self._monotonic())
        else:
            self._deadlines.postpone(document)

    def publish_all(self) -> None:
        """Put all drafts into operations now, as far as keys allow."""
        for document in self._documents.drafted():
            self.publish(document)

    def publish_soon(self) -> None:
        """Do not wait for typing to rest, as when somebody has just connected."""
        now = self._monotonic()
        for document in self._documents.drafted():
            self._deadlines.publish_now(document, now)

    def gate_moved(self, group: bytes) -> None:
        """Try again to publish what the send gate held back, and plan the next reconciliation."""
        now = self._monotonic()
        rank = self._groups.reconcile_rank(group, self._sessions.connected(group))
        self._deadlines.reconcile(group, rank, now)
        self._plan_states(group)
        self._deadlines.tend(group, now + _TEND_SECONDS)
        for document in self._documents.drafted():
            row = self._context.store.documents.get(document)
            if row is not None and row.group == group:
                self._deadlines.publish_now(document, now)

    def keep(self) -> None:
        """Make what was planned final: its transaction has committed."""
        self._deadlines.keep()
        for group in self._states.take_moved():
            self._plan_states(group)
        for document in self._documents.take_grown():
            self._deadlines.rest_later(document, self._monotonic())

    def undo(self) -> None:
        """Take back what was planned: its transaction was undone."""
        self._deadlines.undo(self._monotonic())

    def resting(self) -> list[bytes]:
        """Return the documents that wait for a look for compaction."""
        return self._deadlines.resting()

    @property
    def deadline(self) -> float | None:
        """A time at which to call `tick`, never later than something is due."""
        return self._deadlines.next()

    def _plan_states(self, group: bytes, *, at_once: bool = False) -> None:
        """Plan when to publish states of documents for those who cannot read their past."""
        rank = self._states.rank(group, self._sessions.connected(group))
        # Whoever has begun goes on.
        rank = 0 if at_once and rank is not None else rank
        self._deadlines.states(group, rank, self._monotonic())
