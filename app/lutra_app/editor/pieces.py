"""A text as runs of equal attributes, and how two such texts are compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PySide6.QtGui import QTextBlock

from lutra.documents.delta import Span
from lutra_app.editor.formats import Attributes, as_block, as_marks, marks_of

Key = tuple[tuple[str, object], ...]
"""Attributes in a fixed order, so that they can be compared."""

# Characters that Qt would take for a line end, a frame or (U+FFFE first: all that follows is read
# with its bytes swapped) a byte order are shown as one replacement character. Qt drops U+FEFF where
# a text begins with it; it is invisible, so the invisible character that has taken its meaning over
# in Unicode, the word joiner, is shown for it.
_UNSHOWABLE = str.maketrans(
    {**dict.fromkeys("\r\u2029\ufdd0\ufdd1\ufffe", "\ufffd"), "\ufeff": "\u2060"}
)


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of the text: UTF-16-LE bytes (two per code unit) under the same attributes."""

    data: bytes
    attributes: Key


def shown(text: str) -> str:
    """Return a text as Qt can show it, of the same length."""
    return text.translate(_UNSHOWABLE)


def encode(text: str) -> bytes:
    """Return a text as it is shown, as UTF-16-LE."""
    return shown(text).encode("utf-16-le", "surrogatepass")


def decode(data: bytes) -> str:
    """Return the text; half a surrogate pair becomes one replacement character."""
    return data.decode("utf-16-le", "replace")


def encode_line(block: QTextBlock) -> bytes:
    """Return a line's text as UTF-16-LE, at the positions Qt gives its characters."""
    data = encode(block.text())
    length = block.length() - 1
    if len(data) == 2 * length:
        return data
    # Half a surrogate pair, which an input method can commit, has a position but is not in text().
    document, start = block.document(), block.position()
    units = "".join(document.characterAt(start + offset) for offset in range(length))
    return encode(decode(encode(units)))


def normal_pieces(spans: Sequence[Span]) -> list[Piece]:
    """Return spans as pieces: line attributes only on newlines, marks only on the rest."""
    pieces: list[Piece] = []
    for span in spans:
        marks, ends = as_marks(span.attributes), as_block(span.attributes)
        for index, line in enumerate(span.text.split("\n")):
            if index:
                append_piece(pieces, encode("\n"), ends)
            append_piece(pieces, encode(line), marks)
    return pieces


def append_piece(pieces: list[Piece], data: bytes, attributes: Attributes) -> None:
    """Add a run at the end, joined with the last one if the attributes are the same."""
    if not data:
        return
    key = tuple(sorted(attributes.items()))
    if pieces and pieces[-1].attributes == key:
        pieces[-1] = Piece(pieces[-1].data + data, key)
    else:
        pieces.append(Piece(data, key))


def fragments(
    block: QTextBlock, start: int, end: int
) -> Iterator[tuple[int, int, dict[str, object]]]:
    """Yield start, end and marks of each run of a line between two positions."""
    iterator = block.begin()
    while not iterator.atEnd():
        fragment = iterator.fragment()
        first = max(start, fragment.position())
        last = min(end, fragment.position() + fragment.length())
        if first < last:
            yield first, last, marks_of(fragment.charFormat())
        iterator += 1


def merged(now: Attributes, changes: Attributes) -> dict[str, object]:
    """Return attributes after changes, of which None takes one away."""
    together = {**now, **changes}
    return {name: value for name, value in together.items() if value is not None}


def common_head(old: bytes, new: bytes) -> int:
    """Return how many leading bytes agree, never ending inside a surrogate pair."""
    size = min(len(old), len(new))
    head = next((i for i in range(0, size, 2) if old[i : i + 2] != new[i : i + 2]), size - size % 2)
    while head and 0xD8 <= old[head - 1] <= 0xDB:
        head -= 2
    return head


def common_tail(old: bytes, new: bytes) -> int:
    """Return how many trailing bytes agree, never starting inside a surrogate pair."""
    size = min(len(old), len(new))
    tail = 0
    while (
        tail < size
        and old[len(old) - tail - 2 : len(old) - tail]
        == (new[len(new) - tail - 2 : len(new) - tail])
    ):
        tail += 2
    while tail and 0xDC <= old[len(old) - tail + 1] <= 0xDF:
        tail -= 2
    return tail


_Flat = list[tuple[int, int, Key]]


def _flat(pieces: Sequence[Piece], start: int) -> _Flat:
    flat: _Flat = []
    for piece in pieces:
        end = start + len(piece.data) // 2
        flat.append((start, end, piece.attributes))
        start = end
    return flat


def side_by_side(
    first: Sequence[Piece], second: Sequence[Piece], start: int
) -> Iterator[tuple[int, int, Key, Key]]:
    """Yield stretches of equal attributes on either side: start, end, and both attributes."""
    left, right = _flat(first, start), _flat(second, start)
    i = j = 0
    while i < len(left) and j < len(right):
        begin = max(left[i][0], right[j][0])
        end = min(left[i][1], right[j][1])
        if begin < end:
            yield begin, end, left[i][2], right[j][2]
        if left[i][1] <= right[j][1]:
            i += 1
        else:
            j += 1
