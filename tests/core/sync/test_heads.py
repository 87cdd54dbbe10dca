"""Heads in key order, and what their fingerprints promise."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lutra.crypto.hashing import blake3_hash
from lutra.operation import LogKey
from lutra.sync.heads import KEY_BYTES, HeadSet


def key(author: int, log: int) -> LogKey:
    return LogKey(blake3_hash(b"a%d" % author), blake3_hash(b"l%d" % log))


keys = st.builds(key, st.integers(0, 3), st.integers(0, 30))
contents = st.dictionaries(keys, st.tuples(st.integers(0, 5), st.binary(min_size=32, max_size=32)))
bounds = st.binary(max_size=KEY_BYTES)


def heads_of(content: dict[LogKey, tuple[int, bytes]]) -> HeadSet:
    return HeadSet((key, seq, id_) for key, (seq, id_) in content.items())


@settings(deadline=None)
@given(contents, contents)
def test_updates_give_the_same_set_as_building_it(
    first: dict[LogKey, tuple[int, bytes]], second: dict[LogKey, tuple[int, bytes]]
) -> None:
    grown = heads_of(first)
    for key_, (seq, id_) in second.items():
        grown.update(key_, seq, id_)
    built = heads_of(first | second)
    assert grown.items() == built.items()
    assert grown.fingerprint() == built.fingerprint()
    for key_ in first:
        grown.remove(key_)
    rest = heads_of({key_: value for key_, value in second.items() if key_ not in first})
    assert grown.items() == rest.items()
    assert grown.fingerprint() == rest.fingerprint()


@settings(deadline=None)
@given(contents, bounds, bounds)
def test_ranges_hold_what_lies_between_their_bounds(
    content: dict[LogKey, tuple[int, bytes]], lower: bytes, upper: bytes
) -> None:
    heads = heads_of(content)
    expected = sorted(k for k in content if lower <= k.author + k.log < upper)
    assert [head.key for head in heads.items(lower, upper)] == expected
    assert heads.count(lower, upper) == heads.fingerprint(lower, upper).logs == len(expected)


@settings(deadline=None)
@given(contents, contents, st.integers(2, 16))
def test_two_sets_have_equal_fingerprints_only_where_they_are_equal(
    first: dict[LogKey, tuple[int, bytes]], second: dict[LogKey, tuple[int, bytes]], parts: int
) -> None:
    left, right = heads_of(first), heads_of(second)
    cuts = [b"", *left.split(b"", None, parts), None]
    for lower, upper in pairwise(cuts):
        assert lower is not None
        equal = left.fingerprint(lower, upper) == right.fingerprint(lower, upper)
        assert equal == (left.items(lower, upper) == right.items(lower, upper))


@settings(deadline=None)
@given(contents, st.integers(2, 16))
def test_a_split_cuts_into_about_equal_parts(
    content: dict[LogKey, tuple[int, bytes]], parts: int
) -> None:
    heads = heads_of(content)
    cuts = heads.split(b"", None, parts)
    assert cuts == sorted(set(cuts))
    assert len(cuts) == max(0, min(parts, len(heads)) - 1)
    edges = [b"", *cuts, None]
    sizes = [heads.count(a or b"", b) for a, b in pairwise(edges)]
    assert sum(sizes) == len(heads)
    assert max(sizes) - min(sizes) <= 1


def test_a_log_cannot_have_two_heads_and_absence_is_none() -> None:
    with pytest.raises(ValueError, match="two heads"):
        HeadSet([(key(0, 0), 0, bytes(32)), (key(0, 0), 1, bytes(32))])
    heads = HeadSet()
    assert heads.get(key(0, 0)) is None
    heads.remove(key(0, 0))
    assert heads.revision == 0
    heads.update(key(0, 0), 3, bytes(32))
    head = heads.get(key(0, 0))
    assert head is not None
    assert head.seq_num == 3
    assert heads.revision == 1
