"""Deltas: descriptions of how a rich text changes, and their algebra.

A delta is a tuple of `Retain`, `Insert` and `Delete`, applied from the start of the text; what
follows the last one stays as it is. Lengths count whatever unit both sides agree on: code points
inside this package (as Loro does), UTF-16 units where a delta goes to a window (as Qt does); see
`to_utf16`. The operations are those of operational transformation on linear texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

AttributeValue = str | int | float | bool | None
Attributes = Mapping[str, AttributeValue]

NO_ATTRIBUTES: Final[Attributes] = {}


@dataclass(frozen=True, slots=True)
class Retain:
    """Keep ``length`` units; ``attributes`` change on them (None takes one away)."""

    length: int
    attributes: Attributes = field(default_factory=lambda: NO_ATTRIBUTES)


@dataclass(frozen=True, slots=True)
class Insert:
    """Put ``text`` here with exactly these ``attributes``."""

    text: str
    attributes: Attributes = field(default_factory=lambda: NO_ATTRIBUTES)


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove ``length`` units."""

    length: int


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a rich text with the same ``attributes`` throughout."""

    text: str
    attributes: Attributes = field(default_factory=lambda: NO_ATTRIBUTES)


Step = Retain | Insert | Delete
Delta = tuple[Step, ...]


def utf16_length(text: str) -> int:
    """Return the number of UTF-16 units of ``text``."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def normalised(steps: Iterable[Step]) -> Delta:
    """Join neighbouring steps of one kind and drop empty ones and the trailing plain retain."""
    out: list[Step] = []
    for step in steps:
        if _length(step) == 0:
            continue
        last = out[-1] if out else None
        match last, step:
            case Delete(before), Delete(length):
                out[-1] = Delete(before + length)
            case Retain(before, old), Retain(length, new) if old == new:
                out[-1] = Retain(before + length, new)
            case Insert(before, old), Insert(text, new) if old == new:
                out[-1] = Insert(before + text, new)
            # An insertion and a deletion at one place commute; insertions come first.
            case Delete(), Insert(text, new):
                previous = out[-2] if len(out) > 1 else None
                if isinstance(previous, Insert) and previous.attributes == new:
                    out[-2] = Insert(previous.text + text, new)
                else:
                    out.insert(len(out) - 1, step)
            case _:
                out.append(step)
    while out and isinstance(out[-1], Retain) and not out[-1].attributes:
        out.pop()
    return tuple(out)


def joined(spans: Iterable[Span]) -> list[Span]:
    """Join neighbouring spans with equal attributes and drop empty ones."""
    out: list[Span] = []
    for span in spans:
        if not span.text:
            continue
        if out and out[-1].attributes == span.attributes:
            out[-1] = Span(out[-1].text + span.text, span.attributes)
        else:
            out.append(span)
    return out


def compose(first: Delta, second: Delta) -> Delta:
    """Return the one delta that does what ``first`` and then ``second`` do."""
    left, right = _Reader(first), _Reader(second)
    out: list[Step] = []
    while left.more or right.more:
        if right.is_insert:
            out.append(right.take())
        elif left.is_delete:
            out.append(left.take())
        else:
            length = min(left.left, right.left)
            before, after = left.take(length), right.take(length)
            match before, after:
                case Insert(), Delete():
                    pass
                case _, Delete():
                    out.append(after)
                case Insert(text, old), Retain(_, new):
                    out.append(Insert(text, _merged(old, new, keep_none=False)))
                case Retain(_, old), Retain(_, new):
                    out.append(Retain(length, _merged(old, new, keep_none=True)))
                case _:
                    raise AssertionError("unreachable: readers yield retains at their ends")
    return normalised(out)


def transform(earlier: Delta, later: Delta, *, earlier_first: bool) -> Delta:
    """Return ``later`` as it reads after ``earlier``; both were made on the same text.

    Args:
        earlier: the delta that is applied.
        later: the delta to rewrite.
        earlier_first: of two insertions at one place, ``earlier``'s stands first, and of two
            values for one attribute ``earlier``'s stays.
    """
    done, todo = _Reader(earlier), _Reader(later)
    out: list[Step] = []
    while done.more or todo.more:
        if done.is_insert and (earlier_first or not todo.is_insert):
            out.append(Retain(done.take_length()))
        elif todo.is_insert:
            out.append(todo.take())
        else:
            length = min(done.left, todo.left)
            before, after = done.take(length), todo.take(length)
            match before, after:
                case Delete(), _:
                    pass
                case _, Delete():
                    out.append(after)
                case Retain(_, old), Retain(_, new):
                    kept = (
                        {name: value for name, value in new.items() if name not in old}
                        if earlier_first and old
                        else new
                    )
                    out.append(Retain(length, kept))
                case _:
                    raise AssertionError("unreachable: readers yield retains at their ends")
    return normalised(out)


def invert(delta: Delta, base: Callable[[int, int], Iterable[Span]]) -> Delta:
    """Return the delta that takes ``delta`` back.

    Args:
        delta: lengths in code points.
        base: returns the text before ``delta`` between two positions, with its attributes.
    """
    out: list[Step] = []
    at = 0
    for step in delta:
        match step:
            case Insert(text):
                out.append(Delete(len(text)))
            case Delete(length):
                out.extend(Insert(part.text, part.attributes) for part in base(at, at + length))
                at += length
            case Retain(length, attributes) if not attributes:
                out.append(Retain(length))
                at += length
            case Retain(length, attributes):
                for part in base(at, at + length):
                    old = {name: part.attributes.get(name) for name in attributes}
                    out.append(Retain(len(part.text), old))
                at += length
    return normalised(out)


def position_after(position: int, delta: Delta) -> int:
    """Return where ``position`` lies after ``delta``; insertions at it push it on."""
    at = 0
    for step in delta:
        if at > position:
            break
        match step:
            case Insert(text):
                at += len(text)
                position += len(text)
            case Delete(length):
                position -= min(length, position - at)
            case Retain(length):
                at += length
    return position


def to_utf16(delta: Delta, old_text: str | None, new_position: Callable[[int], int]) -> Delta:
    """Return a delta in code points as one in UTF-16 units.

    Args:
        delta: lengths in code points.
        old_text: the text before, or None if it holds no character outside the first plane.
        new_position: returns the UTF-16 position of a code point position in the text after.
    """
    out: list[Step] = []
    old_at = new_at = new_utf16 = 0
    for step in delta:
        match step:
            case Insert(text):
                new_at += len(text)
                new_utf16 += utf16_length(text)
                out.append(step)
            case Delete(length):
                end = old_at + length
                units = length if old_text is None else utf16_length(old_text[old_at:end])
                out.append(Delete(units))
                old_at = end
            case Retain(length, attributes):
                old_at += length
                new_at += length
                position = new_position(new_at)
                out.append(Retain(position - new_utf16, attributes))
                new_utf16 = position
    return tuple(out)


class _Reader:
    """Hands out a delta piece by piece; endless plain retains follow its end."""

    __slots__ = ("_index", "_offset", "_steps")

    def __init__(self, steps: Delta) -> None:
        self._steps = steps
        self._index = 0
        self._offset = 0

    @property
    def more(self) -> bool:
        return self._index < len(self._steps)

    @property
    def is_insert(self) -> bool:
        return self.more and isinstance(self._steps[self._index], Insert)

    @property
    def is_delete(self) -> bool:
        return self.more and isinstance(self._steps[self._index], Delete)

    @property
    def left(self) -> int:
        """Length of what is left of the current step."""
        if not self.more:
            return 1 << 62
        return _length(self._steps[self._index]) - self._offset

    def take_length(self) -> int:
        length = self.left
        self.take(length)
        return length

    def take(self, length: int | None = None) -> Step:
        if not self.more:
            return Retain(length or 0)
        step = self._steps[self._index]
        start = self._offset
        rest = _length(step) - start
        size = rest if length is None else min(length, rest)
        if size == rest:
            self._index += 1
            self._offset = 0
        else:
            self._offset += size
        match step:
            case Insert(text, attributes):
                return Insert(text[start : start + size], attributes)
            case Retain(_, attributes):
                return Retain(size, attributes)
            case Delete():
                return Delete(size)


def _length(step: Step) -> int:
    return len(step.text) if isinstance(step, Insert) else step.length


def _merged(old: Attributes, new: Attributes, *, keep_none: bool) -> Attributes:
    if not new:
        return old
    merged = {**old, **new}
    if keep_none:
        return merged
    return {name: value for name, value in merged.items() if value is not None}
