"""The door to Loro: how Lutra sets its documents up, and what its failures become.

Loro's Python binding raises plain ``BaseException`` for every refusal and ``PanicException`` for
faults of its own; neither derives from ``Exception``. Whoever calls Loro therefore catches
``BaseException`` and lets everything pass that `is_loro_failure` does not claim.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Final, Protocol, cast

from loro import (
    ID,
    CounterSpan,
    ExpandType,
    ExportMode,
    IdSpan,
    LoroDoc,
    LoroText,
    PositionType,
    Side,
    StyleConfigMap,
    TextDelta,
    VersionVector,
)

from lutra.documents.delta import NO_ATTRIBUTES, Attributes, AttributeValue, Span
from lutra.documents.errors import DocumentStateError, EditRangeError
from lutra.errors import BugError

META: Final = "meta"
TITLE: Final = "title"
FIELDS: Final = "fields"
BODY: Final = "body"

INCLUSIVE_MARKS: Final = ("bold", "italic", "underline", "strike")
EXCLUSIVE_MARKS: Final = ("code", "link", "comment", "embed")
BLOCK_ATTRIBUTES: Final = ("block", "indent", "language")

# One saved state of history spans at most this long without a pause in typing.
_CHANGE_MERGE_SECONDS: Final = 60
_COMPARE_MILLISECONDS: Final = 60.0


def new_loro_doc(peer: int) -> LoroDoc:
    """Return an empty Loro document of ``peer`` with Lutra's text styles."""
    doc = LoroDoc()
    doc.peer_id = peer
    styles = StyleConfigMap()
    for name in INCLUSIVE_MARKS:
        styles.insert(name, ExpandType.After)
    for name in (*EXCLUSIVE_MARKS, *BLOCK_ATTRIBUTES):
        styles.insert(name, ExpandType.Null)
    doc.config_text_style(styles)
    # A newer version may know marks that this one does not.
    doc.config_default_text_style(ExpandType.Null)
    doc.set_change_merge_interval(_CHANGE_MERGE_SECONDS)
    return doc


def is_loro_failure(error: BaseException) -> bool:
    """Tell whether ``error`` comes from Loro itself (see the module's text)."""
    return type(error) is BaseException or type(error).__name__ == "PanicException"


def is_loro_panic(error: BaseException) -> bool:
    """Tell whether Loro failed in a way that leaves its document unusable."""
    return type(error).__name__ == "PanicException"


def abandon(doc: LoroDoc, error: BaseException) -> None:
    """Never free ``doc`` if ``error`` was a panic: Loro would panic again while freeing it."""
    if is_loro_panic(error):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(doc))


class EditGuard:
    """Context for calls that edit: turns Loro's refusals into Lutra's errors.

    Attributes:
        broken: a call failed in a way that leaves the Loro document unusable.
    """

    __slots__ = ("_doc", "broken")

    def __init__(self, doc: LoroDoc) -> None:
        self._doc = doc
        self.broken = False

    def __enter__(self) -> None:
        """Enter; nothing is set up, so that an edit stays cheap."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Explain the failure of the call, if there was one."""
        if error is not None:
            self.explain(error)

    def give_up(self, error: BaseException) -> None:
        """Note that the document is unusable after ``error``."""
        self.broken = True
        abandon(self._doc, error)

    def explain(self, error: BaseException) -> None:
        """Raise what ``error`` means, or return if Loro has nothing to do with it.

        Raises:
            EditRangeError: positions outside the text, or text that is not valid Unicode.
            BugError: Loro gave up; see `broken`.
        """
        if is_loro_panic(error):
            self.give_up(error)
            raise BugError("An edit could not be made; open the document again.") from error
        if is_loro_failure(error) or isinstance(error, OverflowError):
            raise EditRangeError("An edit reaches outside the text.") from error
        if isinstance(error, UnicodeEncodeError):
            raise EditRangeError("A text is not valid Unicode.") from error


def counters(version: VersionVector) -> dict[int, int]:
    """Return a version vector as peer id → number of its edits."""
    return {peer: end for peer, (_, end) in version.to_spans().inner().items()}


def next_lamport(doc: LoroDoc) -> int:
    """Return the logical time that the next edit of a document would get."""
    times = [0]
    for peer, end in counters(doc.oplog_vv).items():
        change = doc.get_change(ID(peer, end - 1))
        if change is not None:
            times.append(change.lamport + change.len)
    return max(times)


def export_ranges(doc: LoroDoc, ranges: Mapping[int, tuple[int, int]]) -> bytes:
    """Export the edits of some peers: peer id → (first counter, counter after the last)."""
    spans = [IdSpan(peer, CounterSpan(start, end)) for peer, (start, end) in sorted(ranges.items())]
    return doc.export(ExportMode.UpdatesInRange(spans))


def import_all(doc: LoroDoc, updates: Sequence[bytes]) -> dict[int, int]:
    """Import updates, and compute the new state only once.

    Taking in many updates one after the other costs Loro a comparison with all concurrent edits
    each time; `LoroDoc.import_batch` avoids that, but reads every update twice.

    Returns:
        Peer id → counter after the last edit that waits for others; empty if none does.
    """
    waiting: dict[int, int] = {}
    several = len(updates) > 1
    if several:
        doc.detach()
    for update in updates:
        pending = doc.import_(update).pending
        if pending is not None:
            for peer, (_, end) in pending.inner().items():
                waiting[peer] = max(end, waiting.get(peer, 0))
    if several:
        doc.attach()
    return waiting


def first_unreadable(snapshot: bytes | None, updates: Sequence[bytes]) -> int:
    """Return the index of the first update that cannot be applied after those before it.

    Raises:
        DocumentStateError: the snapshot itself is unreadable, or every update by itself is fine.
    """
    doc = new_loro_doc(0)
    index = -1
    try:
        if snapshot is not None:
            doc.import_(snapshot)
        for index, update in enumerate(updates):  # noqa: B007 - the index is the result
            doc.import_(update)
    except BaseException as error:
        if not is_loro_failure(error):
            raise
        abandon(doc, error)
        if index >= 0:
            return index
        raise DocumentStateError("The stored state of a document cannot be read.") from error
    raise DocumentStateError("A stored document cannot be put together from its parts.")


def check_update(data: bytes) -> bool:
    """Open a snapshot or update and read all of it; Loro fails if it cannot.

    Returns:
        False if some of it waits for edits that are not part of it, and so was not read.
    """
    doc = new_loro_doc(0)
    try:
        pending = doc.import_(data).pending
        read_all(doc)
    except BaseException as error:
        abandon(doc, error)
        raise
    return pending is None


def read_all(doc: LoroDoc) -> None:
    """Decode everything; Loro puts that off after opening a snapshot, and may fail then."""
    for root in (META, FIELDS):
        doc.get_map(root).get_deep_value()
    for root in (TITLE, BODY):
        doc.get_text(root).get_cursor(0, Side.Left)


def replace_text(text: LoroText, new: str) -> None:
    """Turn ``text`` into ``new``: by characters if that is quick, else by lines, else as one piece.

    A comparison by characters takes minutes for long texts without much in common.
    """
    new.encode()  # lone surrogates must not look like a timeout, which is a ValueError too
    for update in (text.update, text.update_by_line):
        try:
            update(new, timeout_ms=_COMPARE_MILLISECONDS)
        except ValueError:
            continue
        return
    old = text.to_string()
    start = _common(old, new)
    end = min(_common(old[::-1], new[::-1]), min(len(old), len(new)) - start)
    text.splice(start, len(old) - start - end, new[start : len(new) - end])


def _common(one: str, other: str) -> int:
    """Return how many characters two texts have in common at their start."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (left, right) in pairs if left != right), min(len(one), len(other)))


def version_of(data: bytes) -> VersionVector:
    """Return the version vector that a document's ``version`` stands for.

    Raises:
        DocumentStateError: not a version.
    """
    try:
        return VersionVector.decode(data)
    except BaseException as error:
        if is_loro_failure(error):
            raise DocumentStateError("A stored version cannot be read.") from error
        raise


def spans_of(parts: Sequence[TextDelta]) -> list[Span]:
    """Return a text read from Loro as spans."""
    return [
        Span(part.insert, attributes_of(part.attributes))
        for part in parts
        if isinstance(part, TextDelta.Insert)
    ]


def attributes_of(value: Mapping[str, object] | None) -> Attributes:
    """Return attributes read from Loro, which has None for no attributes."""
    return cast(Attributes, value) if value else NO_ATTRIBUTES


def reader_of(text: LoroText) -> Callable[[int, int], list[Span]]:
    """Return a function that reads ``text`` between two code point positions."""

    def read(start: int, end: int) -> list[Span]:
        return spans_of(text.slice_delta(start, end, PositionType.Unicode))

    return read


def set_attribute(text: LoroText, start: int, end: int, name: str, value: AttributeValue) -> None:
    """Set one attribute between two code point positions; None takes it away."""
    if value is None:
        text.unmark(start, end, name)
    else:
        text.mark(start, end, name, value)


def set_exactly(text: LoroText, start: int, end: int, attributes: Attributes) -> None:
    """Give a stretch ``attributes`` and no others, touching only what differs."""
    at = start
    for span in reader_of(text)(start, end):
        until = at + len(span.text)
        for name in span.attributes:
            if attributes.get(name) is None:
                text.unmark(at, until, name)
        for name, value in attributes.items():
            if value is not None and span.attributes.get(name) != value:
                text.mark(at, until, name, value)
        at = until


def convert_position(
    text: LoroText, position: int, unit: PositionType, into: PositionType
) -> int | None:
    """Convert a position in ``text``; None if it lies outside."""
    # Loro's type stubs list this method under another class.
    return cast(_Converts, text).convert_pos(position, unit, into)


class _Converts(Protocol):
    def convert_pos(self, index: int, from_: PositionType, to: PositionType, /) -> int | None: ...
