"""All documents of this device: opening, editing, publishing, taking in what others wrote."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from lutra.documents.body import encode_body, kept_form, read_kept
from lutra.documents.checkpoint import CheckpointPolicy
from lutra.documents.document import Document
from lutra.documents.errors import DocumentStateError
from lutra.documents.peers import MAX_SLOT, peer_id
from lutra.documents.states import state_of
from lutra.errors import LocalError, NotFoundError, RemoteError
from lutra.groups.admissions import unshared_epochs
from lutra.groups.contents import Profile, Role
from lutra.groups.group import Group
from lutra.groups.keys import Epoch
from lutra.node.context import Context
from lutra.node.events import DocumentChanged
from lutra.node.group_registry import GroupRegistry
from lutra.node.log_keeper import LogKeeper
from lutra.operation import LogKey
from lutra.store.documents import DocumentRow

KIND = "document"
MAX_LOADED = 128
"""Documents kept in memory; those with open editors do not count."""
MAX_EDITS = 200_000
"""Single edits that one operation carries; more are split into several operations."""
MAX_CHECKPOINT_BYTES = 3 * 1024 * 1024
"""A larger history of one device is not compacted into one operation."""
_COMPACT_FROM_BYTES = 64 * 1024
_COMPACT_NOW_FACTOR = 128
"""A tail so many times longer than is worth compacting is compacted without waiting for rest."""

Result = TypeVar("Result")


class EditorLimitError(LocalError):
    """No more editor windows can be opened on one document."""

    code = "document.editors"


class RemoteUpdate(NamedTuple):
    """Edits of another device.

    Attributes:
        author: public key of the device.
        update: the edits.
        kept: the form in which the store keeps them; see `lutra.documents.body.kept_form`.
    """

    author: bytes
    update: bytes
    kept: bytes


@dataclass(slots=True)
class OwnLog:
    """Sizes that decide when this device's log of a document is worth a checkpoint.

    Attributes:
        checkpoint_bytes: size of the log's oldest body.
        tail_bytes: size of the bodies after it.
        tail_operations: number of these.
    """

    checkpoint_bytes: int
    tail_bytes: int
    tail_operations: int


@dataclass(slots=True)
class OpenDocument:
    """A document in memory, and what the store knows of it.

    Attributes:
        document: its content.
        row: what lists show of it, and the sizes of its stored parts.
        published: own peer id → number of edits that are in operations already.
        drafts: id of the newest draft in the store, 0 if there is none.
        snapshot_bytes, tail_bytes: sizes of the stored snapshot and of the updates after it.
        log: sizes of this device's log of it; None until first needed.
    """

    document: Document
    row: DocumentRow
    published: dict[int, int]
    drafts: int = 0
    snapshot_bytes: int = 0
    tail_bytes: int = 0
    log: OwnLog | None = None


class DocumentRegistry:
    """Loads documents when they are needed and keeps the most recent ones in memory."""

    def __init__(self, context: Context, logs: LogKeeper, groups: GroupRegistry) -> None:
        self._context = context
        self._logs = logs
        self._groups = groups
        self._policy = CheckpointPolicy()
        self._grown: dict[bytes, None] = {}
        self._loaded: OrderedDict[bytes, OpenDocument] = OrderedDict()
        self._editors: dict[bytes, set[int]] = {}

    def forget(self) -> None:
        """Drop what is in memory, after a transaction was undone; editor places stay taken."""
        self._loaded.clear()
        self._grown.clear()

    def get(self, identity: bytes) -> OpenDocument:
        """Return a document, loading it if need be.

        Raises:
            NotFoundError: it is not on this device.
        """
        opened = self._loaded.get(identity)
        if opened is not None and not opened.document.broken:
            self._loaded.move_to_end(identity)
            return opened
        opened = self._load(identity)
        self._keep(identity, opened)
        return opened

    def create(self, group: bytes, title: str, text: str) -> bytes:
        """Make a document with a title and text, and publish it if a key may be used.

        Raises:
            NotFoundError: there is no such group here.
            NotAMemberError: this device has left it.
            ReadOnlyGroupError: this person may only read.
        """
        context = self._context
        self._groups.require_writer(group)
        identity = context.random(32)
        now = context.now()
        document = Document.create(identity, context.device, created=now, clock=self._seconds)
        if title:
            document.splice_title(0, 0, title)
        if text:
            document.splice(0, 0, text)
        row = DocumentRow(identity, group, title, now, now)
        context.store.documents.upsert(row)
        opened = OpenDocument(document, row, {})
        self._keep(identity, opened)
        self._save_draft(opened, 0)
        context.outbox.documents_changed(group, identity)
        return identity

    def edit(self, identity: bytes, change: Callable[[Document], Result]) -> Result:
        """Let ``change`` edit a document in the node's own place; durable with the transaction.

        Raises:
            NotAMemberError, ReadOnlyGroupError: this person may not write there (any more).
        """
        opened = self.get(identity)
        self._groups.require_writer(opened.row.group)
        result = change(opened.document)
        self._save_draft(opened, 0)
        return result

    def apply_local(self, identity: bytes, slot: int, update: bytes) -> None:
        """Take in edits of an editor window of this device.

        Raises:
            ForeignPeerError, CounterGapError, DamagedUpdateError: the update cannot be right.
            NotAMemberError, ReadOnlyGroupError: this person may not write there (any more).
        """
        opened = self.get(identity)
        self._groups.require_writer(opened.row.group)
        opened.document.apply_local(update)
        opened.drafts = self._context.store.drafts.add(identity, update)
        self._note_change(opened, [(self._context.device, update)], slot, self._context.now())

    def apply_remote(
        self,
        group: bytes,
        identity: bytes,
        updates: Sequence[RemoteUpdate],
        time: int,
    ) -> list[int]:
        """Take in other devices' edits, in log order; keeps them in the store.

        Args:
            group: the group they came in.
            identity: the document.
            updates: what they say.
            time: display time of the newest.

        Returns:
            Indexes of the updates that broke a rule and were left out.
        """
        opened = self._find_or_start(group, identity, time)
        if opened is None:
            return list(range(len(updates)))
        refused: list[int] = []
        store = self._context.store.documents
        try:
            opened.document.import_batch([(item.author, item.update) for item in updates])
            good = list(updates)
            store.append_tail_many(identity, [item.kept for item in good])
        except RemoteError:
            replica = self._groups.find(group)
            has_states = replica is not None and replica.profile is not Profile.ARCHIVE
            opened, good, refused = self._one_by_one(identity, updates, has_states=has_states)
        if good:
            if any(item.author == self._context.device for item in good):
                opened = self._adopt_own(identity)
            self._note_change(opened, [(item.author, item.update) for item in good], None, time)
            self._grow(opened, sum(len(item.kept) for item in good))
        return refused

    def publish(self, identity: bytes) -> bool:
        """Put unpublished edits of this device into signed operations.

        Returns:
            False if there are some that must wait for the send gate, or until this person may
            write again.
        """
        opened = self.get(identity)
        if not opened.drafts:
            return True
        row = opened.row
        group = self._groups.find(row.group)
        epoch = None if group is None else self._writing_epoch(group)
        if group is None or epoch is None:
            return False
        store = self._context.store
        document = opened.document
        counters = document.own_counters
        size = 0
        while opened.published != counters:
            update, reached = document.export_unpublished(opened.published, MAX_EDITS)
            body = encode_body(update)
            operation = self._logs.sign_next(
                row.group,
                identity,
                kind=KIND,
                body=body,
                epoch=epoch.id,
                seal=group.bodies.seal,
                previous=group.heads(),
            )
            kept = kept_form(update, body)
            store.documents.append_tail(identity, kept)
            opened.published = reached
            size += len(kept)
            log = self._own_log(opened)
            log.tail_bytes += operation.header.payload_size
            log.tail_operations += 1
        store.drafts.delete_through(identity, opened.drafts)
        opened.drafts = 0
        self._context.outbox.status_changed(row.group, identity)
        self._grow(opened, size)
        return True

    def take_grown(self) -> list[bytes]:
        """Return the documents that are worth compacting once they rest."""
        grown = list(self._grown)
        self._grown.clear()
        return grown

    def rest(self, identity: bytes) -> None:
        """Use a pause to shorten what is stored of a document and this device's log of it."""
        self._compact(self.get(identity))
        self.checkpoint(identity)

    def checkpoint(self, identity: bytes, *, always: bool = False) -> bool:
        """Replace this device's log of a document by one operation, if that pays now.

        Args:
            identity: the document.
            always: do it whether it pays or not, and whatever the size; drafts come along.

        Raises:
            OperationLimitError: the edits do not fit into one operation.
        """
        opened = self.get(identity)
        if self._logs.is_frozen(LogKey(self._context.device, identity)):
            return False
        group = self._groups.get(opened.row.group)
        epoch = self._writing_epoch(group)
        if epoch is None or not (always or self._is_checkpoint_due(opened)):
            return False
        if opened.drafts:
            self.publish(identity)
        body = encode_body(self._own_edits(group, opened))
        if len(body) > MAX_CHECKPOINT_BYTES and not always:
            return False
        self._logs.sign_next(
            opened.row.group,
            identity,
            kind=KIND,
            body=body,
            epoch=epoch.id,
            seal=group.bodies.seal,
            previous=group.heads(),
            prune=True,
        )
        opened.log = OwnLog(len(body), 0, 0)
        return True

    def _writing_epoch(self, group: Group) -> Epoch | None:
        """Return the key for what this device writes; None while it may not, or may not yet."""
        role = group.role_of(self._context.device)
        return None if role is None or role < Role.WRITER else group.current_epoch()

    def _own_edits(self, group: Group, opened: OpenDocument) -> bytes:
        """Return all edits of this device for a checkpoint.

        Where its log reaches back to epochs that newcomers cannot read, they would find words in
        it that were deleted before they came: these are left out then.
        """
        device, document = self._context.device, opened.document
        if group.profile is Profile.ARCHIVE:
            return document.checkpoint()
        epochs = self._context.store.states.epochs(LogKey(device, document.document_id))
        if epochs.isdisjoint(unshared_epochs(group.control)):
            return document.checkpoint()
        full = document.full_update()
        parts = state_of(full, document.document_id, [device], timeless=False)
        return parts[0][1] if parts else b""

    def _is_checkpoint_due(self, opened: OpenDocument) -> bool:
        log = self._own_log(opened)
        return not opened.drafts and self._policy.due(
            checkpoint_bytes=log.checkpoint_bytes,
            tail_bytes=log.tail_bytes,
            tail_operations=log.tail_operations,
        )

    def drafted(self) -> list[bytes]:
        """Return the documents with edits that are not in operations yet."""
        return self._context.store.drafts.documents_with_drafts()

    def open_editor(self, identity: bytes) -> tuple[int, int, bytes]:
        """Take an editing place; returns slot, Loro peer id, and the state to start from.

        Raises:
            NotFoundError: the document is not on this device.
            EditorLimitError: all places are taken.
        """
        opened = self.get(identity)
        taken = self._editors.get(identity, set[int]())
        free = [slot for slot in range(1, MAX_SLOT + 1) if slot not in taken]
        if not free:
            raise EditorLimitError("This page is open in too many windows.")
        peer = peer_id(self._context.device, identity, free[0])
        snapshot = opened.document.snapshot()
        self._editors[identity] = taken | {free[0]}
        return free[0], peer, snapshot

    def close_editor(self, identity: bytes, slot: int) -> None:
        """Give an editing place back."""
        left = self._editors.pop(identity, set[int]()) - {slot}
        if left:
            self._editors[identity] = left
        self._evict()

    def open_in(self, group: bytes) -> list[bytes]:
        """Return the documents of a group that are open in editors."""
        return [identity for identity in self._editors if self.get(identity).row.group == group]

    # Inside

    def _seconds(self) -> int:
        return self._context.now() // 1000

    def _load(self, identity: bytes) -> OpenDocument:
        store = self._context.store
        row = store.documents.get(identity)
        if row is None or row.deleted:
            raise NotFoundError("There is no such page on this device.")
        document = Document.load(
            identity,
            self._context.device,
            store.documents.snapshot(identity),
            [read_kept(kept) for kept in store.documents.tail(identity)],
            clock=self._seconds,
        )
        published = document.own_counters
        drafts = store.drafts.list(identity)
        for draft in drafts:
            document.apply_local(draft.update)
        return OpenDocument(
            document,
            row,
            published,
            drafts[-1].id if drafts else 0,
            snapshot_bytes=row.snapshot_bytes,
            tail_bytes=row.tail_bytes,
        )

    def _find_or_start(self, group: bytes, identity: bytes, time: int) -> OpenDocument | None:
        """Return the document an operation belongs to; None if another group has claimed the id."""
        row = self._context.store.documents.get(identity)
        if row is not None:
            return self.get(identity) if row.group == group and not row.deleted else None
        document = Document(identity, self._context.device, clock=self._seconds)
        time = min(time, self._context.now())
        row = DocumentRow(identity, group, "", time, time)
        self._context.store.documents.upsert(row)
        # Untitled pages are new in lists too.
        self._context.outbox.documents_changed(group, identity)
        opened = OpenDocument(document, row, {})
        self._keep(identity, opened)
        return opened

    def _one_by_one(
        self, identity: bytes, updates: Sequence[RemoteUpdate], *, has_states: bool
    ) -> tuple[OpenDocument, list[RemoteUpdate], list[int]]:
        """Import and store updates singly, to find those that break a rule.

        Where there are states without history, known edits may come again with less in them.
        """
        good: list[RemoteUpdate] = []
        refused: list[int] = []
        for index, item in enumerate(updates):
            news = [item]
            try:
                # One that broke the document in memory makes `get` load it from the store.
                document = self.get(identity).document
                if has_states:
                    parts = document.unknown_part(item.update)
                    news = [RemoteUpdate(item.author, part, part) for part in parts]
                document.import_batch([(new.author, new.update) for new in news])
            except RemoteError:
                refused.append(index)
            else:
                kept = [new.kept for new in news]
                self._context.store.documents.append_tail_many(identity, kept)
                good += news
        return self.get(identity), good, refused

    def _adopt_own(self, identity: bytes) -> OpenDocument:
        """Load a document anew whose own edits came from a peer, after an old backup's return.

        They are published already and are not to be published again.
        """
        self._loaded.pop(identity, None)
        return self.get(identity)

    def _save_draft(self, opened: OpenDocument, slot: int) -> None:
        update = opened.document.take_local()
        if update is None:
            return
        identity = opened.row.id
        opened.drafts = self._context.store.drafts.add(identity, update)
        self._note_change(opened, [(self._context.device, update)], slot, self._context.now())

    def _note_change(
        self,
        opened: OpenDocument,
        updates: Sequence[tuple[bytes, bytes]],
        slot: int | None,
        time: int,
    ) -> None:
        """Bring the list entry up to date and tell listeners."""
        context = self._context
        row = opened.row
        title = opened.document.title
        # Nobody's clock puts a page on top of the list for years.
        changed = max(row.changed, min(time, context.now()))
        if title != row.title or changed - row.changed > _LIST_GRAIN or not row.changed:
            opened.row = DocumentRow(row.id, row.group, title, row.created, changed)
            context.store.documents.upsert(opened.row)
            context.outbox.documents_changed(row.group, row.id)
        by_author: dict[bytes, list[bytes]] = {}
        for author, update in updates:
            by_author.setdefault(author, []).append(update)
        for author, items in by_author.items():
            own = slot if author == context.device else None
            context.outbox.emit(DocumentChanged(row.id, tuple(items), author, own))
        context.outbox.status_changed(row.group, row.id)

    def _grow(self, opened: OpenDocument, added: int) -> None:
        """Note a longer tail; it is compacted when the document rests, or when it gets huge."""
        opened.tail_bytes += added
        worth = max(_COMPACT_FROM_BYTES, opened.snapshot_bytes)
        if opened.tail_bytes >= _COMPACT_NOW_FACTOR * worth:
            self._compact(opened)
        elif opened.tail_bytes >= worth:
            self._grown[opened.row.id] = None

    def _compact(self, opened: OpenDocument) -> None:
        """Put a snapshot in the place of the tail; amortised constant work for each edit."""
        store = self._context.store.documents
        identity = opened.row.id
        # A snapshot would swallow drafts, and what is published could not be told any more.
        if opened.drafts or opened.tail_bytes < max(_COMPACT_FROM_BYTES, opened.snapshot_bytes):
            return
        try:
            snapshot = opened.document.snapshot(verified=True)
        except DocumentStateError:
            # The updates themselves are good; look again when as many more have come.
            opened.snapshot_bytes = 2 * opened.tail_bytes
            return
        waiting = opened.document.waiting()
        store.set_snapshot(identity, snapshot)
        opened.snapshot_bytes, opened.tail_bytes = len(snapshot), 0
        if waiting is not None:
            store.append_tail(identity, waiting)
            opened.tail_bytes = len(waiting)

    def _own_log(self, opened: OpenDocument) -> OwnLog:
        if opened.log is None:
            key = LogKey(self._context.device, opened.row.id)
            opened.log = OwnLog(*self._context.store.operations.sizes_of_log(key))
        return opened.log

    def _keep(self, identity: bytes, opened: OpenDocument) -> None:
        self._loaded[identity] = opened
        self._loaded.move_to_end(identity)
        self._evict()

    def _evict(self) -> None:
        if len(self._loaded) <= MAX_LOADED:
            return
        for identity in list(self._loaded):
            if len(self._loaded) <= MAX_LOADED:
                return
            if identity not in self._editors:
                del self._loaded[identity]


_LIST_GRAIN = 1000
"""Milliseconds: lists show when a page changed no finer than this."""
