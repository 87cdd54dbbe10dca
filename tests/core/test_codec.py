from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutra.codec import EncodingError, decode, encode
from lutra.errors import MalformedError

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(), inner)
        | st.dictionaries(st.integers(0, 2**64 - 1), inner)
        | st.dictionaries(st.binary(), inner)
    ),
    max_leaves=20,
)


@given(values)
def test_round_trip(value: Any) -> None:
    assert decode(encode(value)) == value


@given(st.dictionaries(st.text(), st.integers(0, 100), min_size=2))
def test_insertion_order_does_not_matter(value: dict[str, int]) -> None:
    assert encode(dict(reversed(value.items()))) == encode(value)


@given(st.dictionaries(st.text(), st.none(), min_size=2))
def test_keys_are_in_bytewise_order_of_their_encodings(value: dict[str, None]) -> None:
    keys = list(decode(encode(value)))
    assert keys == sorted(keys, key=encode)


@given(values, st.data())
def test_flipped_bytes_never_decode_to_something_else_with_the_same_bytes(
    value: Any, data: st.DataObject
) -> None:
    encoded = bytearray(encode(value))
    index = data.draw(st.integers(0, len(encoded) - 1))
    encoded[index] ^= data.draw(st.integers(1, 255))
    try:
        other = decode(bytes(encoded))
    except MalformedError:
        return
    assert encode(other) == bytes(encoded)


@pytest.mark.parametrize(
    ("hexed", "why"),
    [
        ("1817", "23 in two bytes"),
        ("1900ff", "255 in three bytes"),
        ("9f01ff", "indefinite list"),
        ("5f4101ff", "indefinite bytes"),
        ("a2616101616102", "duplicate key"),
        ("a2616201616101", "unsorted keys"),
        ("a20101616101", "mixed keys"),
        ("a12001", "negative key"),
        ("fb3ff0000000000000", "float not shortest"),
        ("fa7fc00000", "long NaN"),
        ("62c328", "broken UTF-8"),
        ("c11a514b67b0", "a tag"),
        ("c249010000000000000000", "a big number"),
        ("f7", "undefined"),
        ("e0", "an unassigned simple value"),
        ("0102", "trailing bytes"),
        ("", "nothing"),
        ("81", "cut short"),
        ("9bffffffffffffffff", "an enormous list"),
        ("5bffffffffffffffff", "an enormous byte string"),
    ],
)
def test_refuses(hexed: str, why: str) -> None:
    with pytest.raises(MalformedError):
        decode(bytes.fromhex(hexed))


def test_refuses_what_is_too_deep_or_too_large() -> None:
    with pytest.raises(MalformedError):
        decode(b"\x81" * 17 + b"\x00")
    with pytest.raises(MalformedError):
        decode(b"\x81" * 100_000 + b"\x00")
    with pytest.raises(MalformedError):
        decode(encode(b"x" * 100), max_bytes=50)


@pytest.mark.parametrize(
    "value",
    [{1: 2, "a": 3}, {None: 1}, {-1: 1}, 2**64, object(), {1.5: 0}, "\ud800", {"a": {1, 2}}],
)
def test_cannot_encode(value: Any) -> None:
    with pytest.raises(EncodingError):
        encode(value)


def test_nan_has_one_form() -> None:
    assert math.isnan(decode(encode(math.nan)))
