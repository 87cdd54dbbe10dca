"""Documents as states without history, for those who cannot read what came before them.

In `join-on` and `sealed` groups newcomers get no older keys. After an admission (in `sealed`
groups: after every change of keys) one member publishes each document as a *state*, an operation
in a log of its own; see `lutra.documents.states`. It says how much of every log it contains: those
who lack a key take the state in and pass over what it covers. Edits that turn up later under an
older key, written by somebody who was away, make another state due. So that normally one device
does this work, members take turns as for keys.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field, replace

from lutra.crypto.hashing import blake3_derive
from lutra.documents.document import Document
from lutra.documents.errors import DocumentStateError
from lutra.documents.peers import SLOT_BITS, peer_prefix
from lutra.documents.state_body import StateBody, decode_state, encode_state, pack
from lutra.documents.states import state_of
from lutra.documents.updates import read_ranges
from lutra.errors import DecryptionError, MalformedError
from lutra.groups.admissions import state_rank, unshared_epochs
from lutra.groups.contents import Profile
from lutra.groups.errors import UnreadableBodyError
from lutra.groups.group import Group
from lutra.node.context import Context
from lutra.node.document_registry import KIND as DOCUMENT
from lutra.node.document_registry import MAX_EDITS, DocumentRegistry, RemoteUpdate
from lutra.node.group_registry import GroupRegistry
from lutra.node.log_keeper import LogKeeper
from lutra.operation import LogKey, Operation
from lutra.store.operations import OperationState
from lutra.store.states import StateRow

KIND = "document.state"
_MAX_PARTS_BYTES = 2 * 1024 * 1024
"""Parts are put together into one operation up to this size."""
_SLICE = 16
"""Documents published in one go."""


def state_log(document: bytes) -> bytes:
    """Return the id of the logs that hold a document's states."""
    return blake3_derive("lutra document state log v1", document)


@dataclass(slots=True)
class _Due:
    """What is known of a group's need for states: good until it is stale.

    Attributes:
        known: how many control operations this follows from.
        unshared: the epochs that somebody may be unable to read.
        documents: the documents this device should publish, last changed first.
        stale: something changed since.
    """

    known: int
    unshared: frozenset[bytes]
    documents: list[bytes] = field(default_factory=list[bytes])
    stale: bool = True


class DocumentStates:
    """Publishes states, and takes in those of others where they are needed."""

    def __init__(
        self, context: Context, logs: LogKeeper, groups: GroupRegistry, documents: DocumentRegistry
    ) -> None:
        self._context = context
        self._logs = logs
        self._groups = groups
        self._documents = documents
        self._due: dict[bytes, _Due] = {}
        self._moved: set[bytes] = set()

    def forget(self) -> None:
        """Drop what is in memory, after a transaction was undone."""
        self._due.clear()
        self._moved.clear()

    # Taking in

    def receive(self, group: Group, operation: Operation) -> OperationState:
        """Note a state that a member published; returns what became of its operation."""
        header = operation.header
        epoch = header.extensions.epoch or b""
        if operation.body is None:
            return OperationState.REFUSED
        try:
            body = group.bodies.open(header, operation.body)
            state = decode_state(body)
            updates = state.updates()
            self._check(group, operation, state, updates)
        except UnreadableBodyError:
            # Whoever may read this will be given another one under a newer key.
            return OperationState.APPLIED
        except (DecryptionError, MalformedError):
            return OperationState.REFUSED
        row = StateRow(
            state.document,
            operation.author,
            operation.seq_num,
            epoch,
            header.extensions.time,
            covers=dict(state.covers),
        )
        has_all = self._has_all(group.id, state.document, updates)
        self._put(row, None if has_all else body, prune=header.extensions.prune)
        self._stale(group.id)
        return OperationState.APPLIED

    def _check(
        self,
        group: Group,
        operation: Operation,
        state: StateBody,
        updates: Sequence[tuple[bytes, bytes]],
    ) -> None:
        if operation.log != state_log(state.document):
            raise MalformedError("A document's state is in a log of another one.")
        for device, update in updates:
            prefix = peer_prefix(device, state.document)
            if group.person_of(device) is None or any(
                block.peer >> SLOT_BITS != prefix for block in read_ranges(update)
            ):
                raise MalformedError("A document's state names somebody else as its author.")

    def _has_all(
        self, group: bytes, document: bytes, updates: Sequence[tuple[bytes, bytes]]
    ) -> bool:
        if not self._is_here(group, document):
            return False
        content = self._documents.get(document).document
        return all(content.holds(update) for _, update in updates)

    def cover(self, group: bytes, unreadable: Iterable[Operation]) -> frozenset[bytes]:
        """Make up for operations that cannot be read by states that contain their edits.

        Returns:
            The ids of those that need not be read any more.
        """
        covered: set[bytes] = set()
        by_document: dict[bytes, list[Operation]] = {}
        for operation in unreadable:
            if operation.kind == DOCUMENT:
                by_document.setdefault(operation.log, []).append(operation)
        for document, operations in by_document.items():
            for row in self._context.store.states.of(document):
                within = {
                    item.id
                    for item in operations
                    if item.seq_num <= row.covers.get(item.author, -1)
                }
                if within - covered and self._take_in(group, row):
                    covered |= within
        return frozenset(covered)

    def _take_in(self, group: bytes, row: StateRow) -> bool:
        """Take in the whole state that a row belongs to; False if it breaks a rule."""
        store, own = self._context.store.states, self._context.device
        updates = [
            RemoteUpdate(author, update, update)
            for body in store.content(row.document, row.publisher)
            for author, update in decode_state(body).updates()
            # What this device wrote it knows better than anybody.
            if author != own
        ]
        if updates and self._documents.apply_remote(group, row.document, updates, row.time):
            store.delete_before(row.document, row.publisher, row.seq_num + 1)
            return False
        store.clear_content(row.document, row.publisher)
        return True

    # Who has to do something

    def note(self, group: Group, operations: Iterable[Operation]) -> None:
        """Note operations that came in: under an older key they make a state due."""
        if group.profile is Profile.ARCHIVE:
            return
        unshared = self._of(group).unshared
        if any(item.header.extensions.epoch in unshared for item in operations):
            self._stale(group.id)

    def take_moved(self) -> set[bytes]:
        """Return the groups in which something may have to be done, and forget them."""
        moved = self._moved
        self._moved = set()
        return moved

    def rank(self, group_id: bytes, online: Container[bytes] | None) -> int | None:
        """Return this device's turn to publish states (0 = now), None where nothing is due."""
        group = self._groups.find(group_id)
        if group is None or group.profile is Profile.ARCHIVE or group.current_epoch() is None:
            return None
        rank = state_rank(group.control, self._context.device, online)
        return None if rank is None or not self._documents_due(group) else rank

    def publish(self, group_id: bytes) -> None:
        """Publish the states that are due, some of them if there are many."""
        group = self._groups.get(group_id)
        if self.rank(group_id, None) is None:
            return
        for document in self._documents_due(group)[:_SLICE]:
            self._publish(group, document)
        self._stale(group_id)

    def _of(self, group: Group) -> _Due:
        """Return what is known of a group's need, for the epochs there are now."""
        known = len(group.control.history)
        due = self._due.get(group.id)
        if due is not None and due.known == known:
            return due
        unshared = unshared_epochs(group.control)
        if due is None or due.unshared != unshared:
            due = self._due[group.id] = _Due(known, unshared)
        due.known = known
        return due

    def _stale(self, group: bytes) -> None:
        self._moved.add(group)
        due = self._due.get(group)
        if due is not None:
            due.stale = True

    def _documents_due(self, group: Group) -> list[bytes]:
        due = self._of(group)
        if due.stale:
            due.documents = self._find_due(group, due.unshared)
            due.stale = False
        return due.documents

    def _find_due(self, group: Group, unshared: frozenset[bytes]) -> list[bytes]:
        """Return the documents of which this device can tell others more than they can read."""
        if not unshared:
            return []
        store = self._context.store
        needs: dict[bytes, dict[bytes, int]] = {}
        for key, epoch, seq_num in store.states.furthest(group.id):
            if epoch in unshared:
                need = needs.setdefault(key.log, {})
                need[key.author] = max(seq_num, need.get(key.author, -1))
        if not needs:
            return []
        read = self._unread(group.id)
        return [
            row.id
            for row in store.documents.list(group.id)
            if row.id in needs and self._adds(group, row.id, needs[row.id], unshared, read)
        ]

    def _adds(
        self,
        group: Group,
        document: bytes,
        need: dict[bytes, int],
        unshared: frozenset[bytes],
        unread: dict[LogKey, int],
    ) -> bool:
        covered: dict[bytes, int] = {}
        for row in self._context.store.states.of(document):
            if row.epoch not in unshared:
                for device, seq_num in row.covers.items():
                    covered[device] = max(seq_num, covered.get(device, -1))
        lacking = {
            device: covered.get(device, -1)
            for device, seq_num in need.items()
            if covered.get(device, -1) < seq_num
        }
        if not lacking or self._is_barred(document):
            return False
        own = self._covers(group.id, document, self._documents.get(document).document, unread)
        return any(own.get(device, -1) > seq_num for device, seq_num in lacking.items())

    # Publishing

    def _publish(self, group: Group, document: bytes) -> None:
        context = self._context
        opened = self._documents.get(document)
        covers = self._covers(group.id, document, opened.document, self._unread(group.id))
        authors = [key.author for key, _ in self._logs.of_log(group.id, document)]
        try:
            updates = state_of(
                opened.document.full_update(), document, authors, max_edits=MAX_EDITS
            )
        except DocumentStateError:
            return
        prune = self._logs.head(group.id, LogKey(context.device, state_log(document))) is not None
        for state in _split(StateBody(document, covers, pack(updates))):
            epoch = group.current_epoch()
            assert epoch is not None
            operation = self._logs.sign_next(
                group.id,
                state_log(document),
                kind=KIND,
                body=encode_state(state),
                epoch=epoch.id,
                seal=group.bodies.seal,
                previous=group.heads(),
                prune=prune,
            )
            row = StateRow(
                document,
                context.device,
                operation.seq_num,
                epoch.id,
                operation.header.extensions.time,
                covers=dict(state.covers),
            )
            self._put(row, None, prune=prune)
            prune = False

    def _covers(
        self, group: bytes, document: bytes, content: Document, unread: dict[LogKey, int]
    ) -> dict[bytes, int]:
        """Return how much of each log is in a document here, without gaps."""
        waiting = content.waiting()
        blocks = read_ranges(waiting) if waiting else []
        stuck = {block.peer >> SLOT_BITS for block in blocks}
        covers: dict[bytes, int] = {}
        for key, head in self._logs.of_log(group, document):
            reached = unread.get(key, head.seq_num + 1) - 1
            if reached >= 0 and peer_prefix(key.author, document) not in stuck:
                covers[key.author] = reached
        return covers

    def _unread(self, group: bytes) -> dict[LogKey, int]:
        """Return log → its first operation that this device cannot read."""
        unread: dict[LogKey, int] = {}
        for item in self._context.store.operations.waiting(group):
            unread[item.key] = min(item.seq_num, unread.get(item.key, item.seq_num))
        return unread

    def _is_barred(self, document: bytes) -> bool:
        """Tell whether this device cannot publish states of a document.

        A document with the id of another one's log of states was made to do harm.
        """
        log = state_log(document)
        return (
            self._logs.is_frozen(LogKey(self._context.device, log))
            or self._context.store.documents.get(log) is not None
        )

    def _is_here(self, group: bytes, document: bytes) -> bool:
        row = self._context.store.documents.get(document)
        return row is not None and row.group == group and not row.deleted

    def is_unborn(self, operation: Operation) -> bool:
        """Tell whether an operation belongs to a document of which nothing is here yet."""
        return (
            operation.kind == DOCUMENT and self._context.store.documents.get(operation.log) is None
        )

    def _put(self, row: StateRow, content: bytes | None, *, prune: bool) -> None:
        store = self._context.store.states
        if prune:
            store.delete_before(row.document, row.publisher, row.seq_num)
        store.put(row, content)


def _split(state: StateBody) -> list[StateBody]:
    """Split a state that is too large for one operation; each device counts as covered at last."""
    bodies: list[StateBody] = []
    parts: list[tuple[bytes, bytes]] = []
    size = 0
    for part in state.parts:
        if parts and size + len(part[1]) > _MAX_PARTS_BYTES:
            bodies.append(replace(state, covers={}, parts=parts))
            parts, size = [], 0
        parts.append(part)
        size += len(part[1])
    # Covered is everything once the last part is there: logs keep their order.
    return [*bodies, replace(state, parts=parts)]
