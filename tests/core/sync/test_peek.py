"""Reading an operation's place without decoding it agrees with decoding it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.sync.model import device, document_id, group_id
from lutra.errors import MalformedError, RemoteError
from lutra.operation import Extensions, Operation, decode_operation, sign_operation
from lutra.sync.peek import place_of

sizes = st.sampled_from([0, 1, 23, 24, 255, 256, 65_535, 65_536])
numbers = st.one_of(st.sampled_from([0, 1, 23, 24, 255, 256, 65_535, 65_536, 2**32 - 1]))


def signed(seq_num: int, size: int, *, prune: bool, previous: int, epoch: bool) -> Operation:
    return sign_operation(
        device(1),
        seq_num=seq_num,
        backlink=bytes(32) if seq_num else None,
        body=bytes(size) if size else None,
        extensions=Extensions(
            log=document_id(1),
            kind="document",
            group=group_id(1),
            epoch=bytes(32) if epoch else None,
            previous=tuple(bytes([n]) * 32 for n in range(previous)),
            time=1_700_000_000_000,
            prune=prune,
        ),
    )


operations = st.builds(
    signed, numbers, sizes, prune=st.booleans(), previous=st.integers(0, 3), epoch=st.booleans()
)


@settings(deadline=None)
@given(operations)
def test_it_finds_what_decoding_finds(operation: Operation) -> None:
    place = place_of(operation.header_bytes)
    assert place.key == operation.log_key
    assert place.seq_num == operation.seq_num
    assert place.body_bytes == operation.header.payload_size


@settings(deadline=None)
@given(operations, st.data())
def test_changed_headers_are_malformed_or_rejected_by_decoding(
    operation: Operation, data: st.DataObject
) -> None:
    header = bytearray(operation.header_bytes)
    at = data.draw(st.integers(0, len(header) - 1))
    header[at] ^= 1 << data.draw(st.integers(0, 7))
    cut = data.draw(st.integers(0, len(header)))
    for changed in (bytes(header), bytes(header[:cut])):
        try:
            place_of(changed)
        except MalformedError:
            continue
        with pytest.raises(RemoteError):
            decode_operation(changed, None)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_noise_is_malformed(noise: bytes) -> None:
    with pytest.raises(MalformedError):
        place_of(noise)
