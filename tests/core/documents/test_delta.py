"""The algebra of deltas, on random texts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lutra.documents.delta import (
    Delete,
    Delta,
    Insert,
    Retain,
    Span,
    compose,
    invert,
    joined,
    normalised,
    position_after,
    to_utf16,
    transform,
    utf16_length,
)

TEXTS = st.text(st.sampled_from("abc😀ש\n"), max_size=5)
ATTRIBUTES = st.dictionaries(
    st.sampled_from(["bold", "link"]), st.sampled_from([True, "x", "y"]), max_size=2
)
CHANGES = st.dictionaries(
    st.sampled_from(["bold", "link"]), st.sampled_from([None, True, "x", "y"]), max_size=2
)
BASES = st.lists(st.builds(Span, TEXTS, ATTRIBUTES), max_size=4).map(joined)


@st.composite
def deltas(draw: st.DrawFn, length: int) -> Delta:
    steps: list = []
    left = length
    for _ in range(draw(st.integers(0, 5))):
        kind = draw(st.integers(0, 2))
        if kind == 0:
            steps.append(Insert(draw(TEXTS), draw(ATTRIBUTES)))
        elif left:
            size = draw(st.integers(1, left))
            left -= size
            steps.append(Delete(size) if kind == 1 else Retain(size, draw(CHANGES)))
    return normalised(steps)


@st.composite
def base_and_two(draw: st.DrawFn) -> tuple[list[Span], Delta, Delta]:
    base = draw(BASES)
    size = sum(len(span.text) for span in base)
    return base, draw(deltas(size)), draw(deltas(size))


def cut(spans: list[Span], start: int, end: int) -> list[Span]:
    out, at = [], 0
    for span in spans:
        low, high = max(start - at, 0), max(end - at, 0)
        out.append(Span(span.text[low:high], span.attributes))
        at += len(span.text)
    return joined(out)


def size_of(spans: list[Span]) -> int:
    return sum(len(span.text) for span in spans)


def apply(spans: list[Span], delta: Delta) -> list[Span]:
    out: list[Span] = []
    at = 0
    for step in delta:
        match step:
            case Insert(text, attributes):
                out.append(Span(text, dict(attributes)))
            case Delete(length):
                at += length
            case Retain(length, changes):
                for span in cut(spans, at, at + length):
                    merged = {**span.attributes, **changes}
                    kept = {name: value for name, value in merged.items() if value is not None}
                    out.append(Span(span.text, kept))
                at += length
    return joined([*out, *cut(spans, at, size_of(spans))])


@given(st.data(), BASES)
def test_composing_is_doing_one_after_the_other(data: st.DataObject, base: list[Span]) -> None:
    first = data.draw(deltas(size_of(base)))
    middle = apply(base, first)
    second = data.draw(deltas(size_of(middle)))
    assert apply(base, compose(first, second)) == apply(middle, second)


@given(base_and_two())
def test_transforming_makes_both_orders_agree(case: tuple[list[Span], Delta, Delta]) -> None:
    base, one, two = case
    left = apply(apply(base, one), transform(one, two, earlier_first=True))
    right = apply(apply(base, two), transform(two, one, earlier_first=False))
    assert left == right


@given(base_and_two())
def test_inverting_takes_a_delta_back(case: tuple[list[Span], Delta, Delta]) -> None:
    base, delta, _ = case
    way_back = invert(delta, lambda start, end: cut(base, start, end))
    assert apply(apply(base, delta), way_back) == base


@given(base_and_two())
def test_utf16_deltas_do_the_same_to_utf16_texts(case: tuple[list[Span], Delta, Delta]) -> None:
    base, delta, _ = case
    old = "".join(span.text for span in base)
    new = "".join(span.text for span in apply(base, delta))
    units = old.encode("utf-16-le")
    out, at = b"", 0
    for step in to_utf16(delta, old, lambda position: utf16_length(new[:position])):
        match step:
            case Insert(text):
                out += text.encode("utf-16-le")
            case Delete(length):
                at += 2 * length
            case Retain(length):
                out += units[at : at + 2 * length]
                at += 2 * length
    assert out + units[at:] == new.encode("utf-16-le")


def test_positions_follow_insertions_and_deletions() -> None:
    delta = (Retain(2), Insert("xyz"), Retain(1), Delete(2))
    assert [position_after(position, delta) for position in range(7)] == [0, 1, 5, 6, 6, 6, 7]


def test_equal_neighbours_are_joined_and_empty_steps_dropped() -> None:
    assert normalised(
        [Retain(0), Delete(1), Insert("a"), Delete(2), Insert("b"), Retain(3), Retain(4)]
    ) == (Insert("ab"), Delete(3))
