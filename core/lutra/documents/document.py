"""The node's copy of one document.

Not safe for several threads: the engine's thread owns every `Document`; an editor window works on
its own `Replica` and exchanges updates with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from loro import ExportMode, VersionVector

from lutra.documents import crdt
from lutra.documents.delta import AttributeValue, Span
from lutra.documents.errors import DamagedUpdateError, DocumentStateError
from lutra.documents.history import Change, changes_of, restore, spans_at
from lutra.documents.overlap import unknown_part
from lutra.documents.peers import SLOT_BITS, peer_id, peer_prefix
from lutra.documents.updates import BlockRange, extend_known, read_ranges
from lutra.errors import BugError

if TYPE_CHECKING:
    from loro import LoroDoc, LoroText, LoroValue

_TITLE_KEY = bytes([len(crdt.TITLE)]) + crdt.TITLE.encode()
"""How an update that touches the title names it."""

Clock = Callable[[], int]
"""Returns the time to date edits with, in whole seconds since 1970."""


class Document:
    """A Loro document bound to one device: edits, updates in and out, stored states.

    Attributes:
        document_id: 32 bytes.
        device: public key of the device this copy belongs to.
        peer: Loro peer id of the edits made through this object.
        revision: grows whenever text, title or fields may have changed.
        skipped: how many stored updates could not be applied when it was loaded.
    """

    __slots__ = (
        "_body",
        "_body_delete",
        "_body_insert",
        "_clock",
        "_doc",
        "_edits",
        "_known",
        "_next_lamport",
        "_own_prefix",
        "_prefixes",
        "_taken",
        "_title",
        "_title_cache",
        "_waits",
        "device",
        "document_id",
        "peer",
        "revision",
        "skipped",
    )

    def __init__(
        self, document_id: bytes, device: bytes, slot: int = 0, *, clock: Clock | None = None
    ) -> None:
        self.document_id = document_id
        self.device = device
        self.peer = peer_id(device, document_id, slot)
        self.revision = 0
        self.skipped = 0
        self._waits = False
        self._next_lamport = 0
        self._own_prefix = self.peer >> SLOT_BITS
        self._prefixes: dict[bytes, int] = {device: self._own_prefix}
        self._clock = clock
        self._doc: LoroDoc = crdt.new_loro_doc(self.peer)
        self._edits = crdt.EditGuard(self._doc)
        self._body: LoroText = self._doc.get_text(crdt.BODY)
        self._title: LoroText = self._doc.get_text(crdt.TITLE)
        self._body_insert = self._body.insert
        self._body_delete = self._body.delete
        self._known: dict[int, int] = {}
        self._taken = 0
        self._title_cache: str | None = ""

    @classmethod
    def create(
        cls,
        document_id: bytes,
        device: bytes,
        slot: int = 0,
        *,
        schema: str = "page",
        created: int | None = None,
        clock: Clock | None = None,
    ) -> Document:
        """Start a new document.

        Args:
            document_id: 32 bytes, also the id of its logs.
            device: public key of this device.
            slot: editing place on this device, see `peer_id`.
            schema: kind of document, kept in its ``meta``.
            created: time of creation in milliseconds since 1970, kept in its ``meta``.
            clock: dates edits for `history`; without it they carry no time.
        """
        document = cls(document_id, device, slot, clock=clock)
        meta = document._doc.get_map(crdt.META)
        meta.insert("schema", schema)
        if created is not None:
            meta.insert("created", created)
        return document

    @classmethod
    def load(
        cls,
        document_id: bytes,
        device: bytes,
        snapshot: bytes | None,
        updates: Iterable[bytes],
        slot: int = 0,
        *,
        clock: Clock | None = None,
    ) -> Document:
        """Open a stored document: its last snapshot and every update and draft since.

        All drafts of this device must be among ``updates``: without them their counters would be
        given out a second time. An update that cannot be applied is left out and counted in
        `skipped`: a hostile member must not be able to close the document for everybody else.

        Raises:
            DocumentStateError: the snapshot cannot be read, or no single update is to blame.
        """
        kept = list(updates)
        skipped = 0
        while True:
            document = cls(document_id, device, slot, clock=clock)
            try:
                document._restore(snapshot, kept)
            except BaseException as error:
                if not crdt.is_loro_failure(error):
                    raise
                crdt.abandon(document._doc, error)
                del kept[crdt.first_unreadable(snapshot, kept)]
                skipped += 1
            else:
                document.skipped = skipped
                return document

    @property
    def broken(self) -> bool:
        """Loro failed halfway through an edit or update: load the document from the store again."""
        return self._edits.broken

    # Reading

    @property
    def title(self) -> str:
        """The title; cheap, kept until it may have changed."""
        if self._title_cache is None:
            self._title_cache = self._title.to_string()
        return self._title_cache

    @property
    def text(self) -> str:
        """The body without formatting, built anew each time: ask when it is needed."""
        return self._body.to_string()

    def __len__(self) -> int:
        """Return the length of the body in Unicode code points."""
        return self._body.len_unicode

    @property
    def meta(self) -> dict[str, LoroValue]:
        """Schema, time of creation and whatever newer versions put there."""
        return self._values(crdt.META)

    @property
    def fields(self) -> dict[str, LoroValue]:
        """The values of the document's fields."""
        return self._values(crdt.FIELDS)

    # Editing

    def splice(self, position: int, delete: int, insert: str) -> None:
        """Replace ``delete`` code points at ``position`` in the body by ``insert``.

        Raises:
            EditRangeError: outside the text, or ``insert`` holds lone surrogates; nothing changed.
        """
        try:  # the one place where a `with` would be felt
            if not delete:
                self._body_insert(position, insert)
            elif not insert:
                self._body_delete(position, delete)
            else:
                self._body.splice(position, delete, insert)
        except BaseException as error:
            self._edits.explain(error)
            raise
        self.revision += 1

    def splice_title(self, position: int, delete: int, insert: str) -> None:
        """Replace code points of the title; see `splice`."""
        with self._edits:
            self._title.splice(position, delete, insert)
        self._title_cache = None
        self.revision += 1

    def replace_text(self, new: str) -> None:
        """Turn the body into ``new`` with as few changes as can be found quickly."""
        self._replace(self._body, new)

    def replace_title(self, new: str) -> None:
        """Turn the title into ``new`` with as few changes as can be found quickly."""
        self._replace(self._title, new)
        self._title_cache = None

    def format(self, start: int, end: int, name: str, value: AttributeValue) -> None:
        """Set a mark or block attribute on a range of the body; ``None`` takes it away.

        Raises:
            EditRangeError: the range is empty or lies outside the text.
        """
        with self._edits:
            crdt.set_attribute(self._body, start, end, name, value)
        self.revision += 1

    def set_field(self, name: str, value: LoroValue) -> None:
        """Set a field; ``None`` removes it."""
        fields = self._doc.get_map(crdt.FIELDS)
        with self._edits:
            if value is None:
                fields.delete(name)
            else:
                fields.insert(name, value)
        self.revision += 1

    def spans(self) -> list[Span]:
        """Return the body with its formatting."""
        return crdt.spans_of(self._body.to_delta())

    def insert_spans(self, position: int, spans: Iterable[Span]) -> None:
        """Insert formatted text, for example from `from_markdown`.

        Raises:
            EditRangeError: outside the text, or text that is not valid Unicode.
        """
        with self._edits:
            for span in spans:
                self._body.insert(position, span.text)
                end = position + len(span.text)
                crdt.set_exactly(self._body, position, end, span.attributes)
                position = end
        self.revision += 1

    # History

    def history(self) -> list[Change]:
        """Return all changes to this document, oldest first."""
        self._commit()
        return changes_of(self._doc)

    def text_at(self, version: bytes) -> str:
        """Return the body as it read at ``version``."""
        return "".join(span.text for span in self.spans_at(version))

    def spans_at(self, version: bytes) -> list[Span]:
        """Return the body with its formatting as it read at ``version``."""
        self._commit()
        return spans_at(self._doc, version)

    def restore(self, version: bytes) -> None:
        """Bring title, body and fields back to ``version`` by new edits; nothing is lost."""
        self._commit()
        with self._edits:
            restore(self._doc, version)
        self._title_cache = None
        self.revision += 1

    # Updates

    def apply_local(self, update: bytes) -> None:
        """Take in edits made in an editor window of this device.

        Raises:
            ForeignPeerError: the edits are not of this device.
            CounterGapError: edits of that window before these never arrived.
            DamagedUpdateError: the update cannot be read.
        """
        self.import_batch([(self.device, update)])

    def import_updates(self, updates: Sequence[bytes], author: bytes) -> None:
        """Take in edits made by one device.

        Edits that build on edits not known yet wait inside the document (`waiting`) and show once
        those arrive.

        Args:
            updates: in the order of the author's log.
            author: public key of the device that signed them.

        Raises:
            ForeignPeerError: an update holds edits of somebody else; nothing was imported.
            CounterGapError: edits before an update are missing; nothing was imported.
            DamagedUpdateError: an update cannot be read; nothing was imported, unless `broken`.
        """
        self.import_batch([(author, update) for update in updates])

    def import_batch(self, updates: Sequence[tuple[bytes, bytes]]) -> None:
        """Take in (author, update) pairs of several devices at once; see `import_updates`.

        Much faster than one by one when a whole document arrives.
        """
        self._commit()
        self._note_own()
        changed: dict[int, int] = {}
        blocks: list[BlockRange] = []
        for author, update in updates:
            found = read_ranges(update)
            extend_known(changed, self._known, found, self._prefix(author))
            blocks += found
        runs_ahead = self._runs_ahead(blocks)
        was_waiting = self._waits
        try:
            self._waits |= bool(crdt.import_all(self._doc, [update for _, update in updates]))
            self._check_readable(changed, blocks)
        except BaseException as error:
            if not crdt.is_loro_failure(error):
                raise
            # Loro takes one refused update back by itself, but not those applied before it.
            if len(updates) > 1 or not self._is_untouched(changed, error):
                self._edits.give_up(error)
            raise DamagedUpdateError("An edit is damaged and was refused.") from error
        if runs_ahead and not self._waits:
            self._edits.broken = True
            raise DamagedUpdateError("An edit claims a time that cannot be and was refused.")
        self._known.update(changed)
        if self.peer in changed:
            self._taken = max(self._taken, changed[self.peer])
        if was_waiting:
            self._waits = self.waiting() is not None
        if was_waiting or any(_TITLE_KEY in update for _, update in updates):
            self._title_cache = None
        self.revision += 1

    def take_local(self) -> bytes | None:
        """Return the edits made through this object since the last call, or None."""
        self._commit()
        end = self._end()
        if end == self._taken:
            return None
        update = crdt.export_ranges(self._doc, {self.peer: (self._taken, end)})
        self._taken = end
        return update

    def holds(self, update: bytes) -> bool:
        """Tell whether all edits of an update are here already, whoever made them.

        Raises:
            DamagedUpdateError: the update cannot be read.
        """
        self._commit()
        self._note_own()
        return all(block.end <= self._known.get(block.peer, 0) for block in read_ranges(update))

    def unknown_part(self, update: bytes) -> list[bytes]:
        """Return what an update holds beyond what is here, as updates to be taken in in order.

        Raises:
            DamagedUpdateError: the update cannot be read.
        """
        self._commit()
        return unknown_part(self._doc, update)

    @property
    def own_counters(self) -> dict[int, int]:
        """Own peer ids (all editing places of this device) → number of edits."""
        self._commit()
        self._note_own()
        prefix = self._own_prefix
        return {peer: end for peer, end in self._known.items() if peer >> SLOT_BITS == prefix}

    def export_unpublished(
        self, published: Mapping[int, int], max_edits: int | None = None
    ) -> tuple[bytes, dict[int, int]]:
        """Return this device's edits beyond ``published``, and the counters reached with them.

        Args:
            published: own peer id → number of edits that are in operations already.
            max_edits: at most so many of each peer id; the rest stays for another call.

        Returns:
            The update (empty bytes when there is nothing new) and the new counters.
        """
        counters = self.own_counters
        ranges = {
            peer: (published.get(peer, 0), end)
            for peer, end in counters.items()
            if end > published.get(peer, 0)
        }
        if max_edits is not None:
            for peer, (start, end) in ranges.items():
                ranges[peer] = (start, min(end, start + max_edits))
                counters[peer] = ranges[peer][1]
        return (crdt.export_ranges(self._doc, ranges) if ranges else b""), counters

    def checkpoint(self) -> bytes:
        """Return all edits of this device in compact form, as a `prune` operation carries them.

        Always an update and never a snapshot: a snapshot holds a state besides the edits, and
        nobody could tell whether they agree.
        """
        return self.export_unpublished({})[0]

    # Stored states

    def snapshot(self, *, verified: bool = False) -> bytes:
        """Return history and state for the store and for new editor windows.

        Edits in `waiting` are not part of it and must be stored beside it.

        Args:
            verified: open the result once, for a snapshot that replaces stored updates; costs
                about 0.2 µs per character of the document.

        Raises:
            DocumentStateError: the document holds edits that cannot be stored in this form; keep
                the updates instead.
        """
        self._commit()
        is_own = True
        try:
            snapshot = self._doc.export(ExportMode.Snapshot())
            if verified:
                is_own = False
                crdt.check_update(snapshot)
        except BaseException as error:
            if not crdt.is_loro_failure(error):
                raise
            if is_own and crdt.is_loro_panic(error):
                self._edits.give_up(error)
            raise DocumentStateError("A document's state cannot be stored.") from error
        return snapshot

    def full_update(self) -> bytes:
        """Return everybody's edits; a `Replica` opens from it where it cannot from `snapshot`."""
        self._commit()
        return self._doc.export(ExportMode.Updates(VersionVector()))

    def waiting(self) -> bytes | None:
        """Return the imported edits that wait for others, as one update, or None."""
        return self._doc.export_pending_updates()

    @property
    def version(self) -> bytes:
        """Everything this copy knows, in a form for `updates_since` and `text_at`."""
        self._commit()
        return self._doc.oplog_vv.encode()

    def updates_since(self, version: bytes) -> bytes:
        """Return the edits of everybody that are not in ``version``."""
        self._commit()
        return self._doc.export(ExportMode.Updates(crdt.version_of(version)))

    def _commit(self) -> None:
        if self._clock is None:
            self._doc.commit()
        else:
            self._doc.commit_with(timestamp=self._clock())

    def _end(self) -> int:
        last = self._doc.oplog_vv.get_last(self.peer)
        return 0 if last is None else last + 1

    def _note_own(self) -> None:
        end = self._end()
        if end > self._known.get(self.peer, 0):
            self._known[self.peer] = end

    def _prefix(self, author: bytes) -> int:
        prefix = self._prefixes.get(author)
        if prefix is None:
            prefix = self._prefixes[author] = peer_prefix(author, self.document_id)
        return prefix

    def _values(self, root: str) -> dict[str, LoroValue]:
        value = self._doc.get_map(root).get_deep_value()
        if not isinstance(value, dict):
            raise BugError("A document's map is not a map.")
        return value

    def _replace(self, text: LoroText, new: str) -> None:
        with self._edits:
            crdt.replace_text(text, new)
        self.revision += 1

    def _restore(self, snapshot: bytes | None, updates: Sequence[bytes]) -> None:
        if snapshot is not None:
            self._doc.import_(snapshot)
        self._known = crdt.import_all(self._doc, updates)
        self._waits = bool(self._known)
        for peer, end in crdt.counters(self._doc.oplog_vv).items():
            self._known[peer] = max(end, self._known.get(peer, 0))
        self._taken = self._end()
        self._title_cache = None

    def _runs_ahead(self, blocks: Sequence[BlockRange]) -> bool:
        """Tell whether logical times grow faster than edits; only missing edits explain that.

        Loro believes them, and has no edits left when they reach 32 bits.
        """
        reached = max((block.lamport_end for block in blocks), default=0)
        edits = sum(block.end - block.start for block in blocks)
        if reached > self._next_lamport + edits:
            self._next_lamport = crdt.next_lamport(self._doc)  # own edits are not counted along
        ahead = reached > self._next_lamport + edits
        if not ahead:
            self._next_lamport = max(self._next_lamport, reached)
        return ahead

    def _check_readable(self, changed: Mapping[int, int], blocks: Iterable[BlockRange]) -> None:
        """Make Loro write what it has just taken in, and read it; some damage shows only then.

        Plain typing cannot hold such damage, so what comes after the last block with anything
        else need not be read.
        """
        version = self._doc.oplog_vv
        last_odd: dict[int, int] = {}
        for block in blocks:
            if not block.is_plain:
                last_odd[block.peer] = max(block.end, last_odd.get(block.peer, 0))
        ranges: dict[int, tuple[int, int]] = {}
        for peer, end in changed.items():
            start = self._known.get(peer, 0)
            last = version.get_last(peer)
            if last is not None and last >= start and end > start:
                ranges[peer] = (start, min(end, last + 1))
        if not ranges:
            return
        written = crdt.export_ranges(self._doc, ranges)
        odd = {
            peer: (start, min(end, last_odd[peer]))
            for peer, (start, end) in ranges.items()
            if last_odd.get(peer, 0) > start
        }
        # Without the edits it builds on a part cannot be read by itself: then all of it is.
        if odd and not (odd != ranges and crdt.check_update(crdt.export_ranges(self._doc, odd))):
            crdt.check_update(written)

    def _is_untouched(self, changed: Mapping[int, int], error: BaseException) -> bool:
        if crdt.is_loro_panic(error):
            return False
        reached = crdt.counters(self._doc.oplog_vv)
        return all(reached.get(peer, 0) <= self._known.get(peer, 0) for peer in changed)
