from __future__ import annotations

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutra.crypto.hashing import blake3_hash
from lutra.crypto.signing import SigningKey
from lutra.errors import LutraError, MalformedError, RemoteError, SignatureError
from lutra.log import LogHead, Placement, advance, next_time, place
from lutra.operation import (
    MAX_BODY_BYTES,
    Extensions,
    InvalidOperationError,
    Operation,
    OperationLimitError,
    decode_operation,
    sign_operation,
)

KEY = SigningKey(bytes(range(32)))
ids = st.binary(min_size=32, max_size=32)
extensions = st.builds(
    Extensions,
    log=ids,
    kind=st.sampled_from(["document", "group.add"]),
    group=st.none() | ids,
    epoch=st.none() | ids,
    previous=st.frozensets(ids, max_size=3).map(lambda heads: tuple(sorted(heads))),
    time=st.integers(0, 2**53 - 1),
    prune=st.booleans(),
)


@st.composite
def operations(draw: st.DrawFn) -> Operation:
    seq_num = draw(st.integers(0, 2**32 - 1))
    return sign_operation(
        KEY,
        seq_num=seq_num,
        backlink=draw(ids) if seq_num else None,
        body=draw(st.none() | st.binary(min_size=1, max_size=100)),
        extensions=draw(extensions),
    )


def simple(seq_num: int = 0, backlink: bytes | None = None, **changes: object) -> Operation:
    fields = {"log": bytes(32), "kind": "document", "time": 7} | changes
    body = fields.pop("body", b"body")
    return sign_operation(
        KEY, seq_num=seq_num, backlink=backlink, body=body, extensions=Extensions(**fields)
    )


@given(operations())
def test_round_trip(operation: Operation) -> None:
    assert decode_operation(operation.header_bytes, operation.body) == operation
    assert operation.id == blake3_hash(operation.header_bytes)
    fields = cbor2.loads(operation.header_bytes)
    assert cbor2.dumps(fields, canonical=True) == operation.header_bytes
    del fields[2]
    assert cbor2.dumps(fields, canonical=True) == operation.header.signed_bytes()


@given(operations())
def test_the_body_may_be_absent(operation: Operation) -> None:
    assert decode_operation(operation.header_bytes, None).id == operation.id


@pytest.mark.parametrize(
    "operation",
    [
        simple(),
        simple(5, b"b" * 32, prune=True),
        simple(300, b"b" * 32, group=b"g" * 32, epoch=b"e" * 32, previous=(b"p" * 32, b"q" * 32)),
        simple(body=None),
    ],
    ids=["first", "prune", "full", "empty"],
)
def test_every_mutated_byte_is_rejected(operation: Operation) -> None:
    for index in range(len(operation.header_bytes)):
        for flip in (1, 2, 4, 8, 16, 32, 64, 128, 255):
            mutant = bytearray(operation.header_bytes)
            mutant[index] ^= flip
            with pytest.raises(RemoteError):
                decode_operation(bytes(mutant), operation.body)
    for index in range(len(operation.body or b"")):
        mutant = bytearray(operation.body or b"")
        mutant[index] ^= 1
        with pytest.raises(InvalidOperationError):
            decode_operation(operation.header_bytes, bytes(mutant))


@given(operations(), st.data())
def test_truncated_or_extended_headers_are_rejected(
    operation: Operation, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(operation.header_bytes) - 1))
    with pytest.raises(RemoteError):
        decode_operation(operation.header_bytes[:cut], operation.body)
    with pytest.raises(RemoteError):
        decode_operation(operation.header_bytes + b"\x00", operation.body)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_typed_errors_only(data: bytes) -> None:
    with pytest.raises(LutraError):
        decode_operation(data, None)


@given(operations(), st.data())
def test_only_the_one_form_of_a_header_is_accepted(
    operation: Operation, data: st.DataObject
) -> None:
    header = operation.header_bytes
    start = data.draw(st.integers(0, len(header)))
    end = data.draw(st.integers(start, min(len(header), start + 40)))
    changed = header[:start] + data.draw(st.binary(max_size=40)) + header[end:]
    try:
        accepted = decode_operation(changed, None, check_signature=False)
    except (InvalidOperationError, MalformedError):
        return
    assert accepted.header.encode() == changed
    assert cbor2.dumps(cbor2.loads(changed), canonical=True) == changed


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (b"\x04\x58\x20", b"\x18\x04\x58\x20"),
        (b"\x19\x01\x2c\x58\x20", b"\x1a\x00\x00\x01\x2c\x58\x20"),
        (b"dtime\x07", b"dtime\x18\x07"),
        (b"dtime\x07", b"dtime\x1b" + bytes(7) + b"\x07"),
        (b"dtime\x07", b"dtime\xfb" + bytes(8)),
        (b"dkindhdocument", b"dkindx\x08document"),
        (b"dkindhdocument", b"dkindh\xffocument"),
        (b"dkindhdocument", b"dkind`"),
        (b"dkindhdocumentdtime\x07", b"dtime\x07dkindhdocument"),
        (b"eprune\xf5", b"eprune\xf4"),
        (b"eprune\xf5", b"eprune\xf5eprune\xf5"),
        (b"hprevious\x82", b"hprevious\x98\x02"),
        (b"hprevious\x82", b"hprevious\x81"),
        (b"hprevious\x82", b"hprevious\x83"),
        (b"hprevious\x82", b"hprevious\x9f"),
        (b"hprevious\x82" + b"\x58\x20" + b"p" * 32 + b"\x58\x20" + b"q" * 32, b"hprevious\x80"),
        (b"egroup\x58\x20" + b"g" * 32, b""),
        (b"\xa7clog", b"\xa6clog"),
        (b"\xa7clog", b"\xb8\x07clog"),
        (b"\xa7clog", b"\xbfclog"),
    ],
    ids=repr,
)
def test_other_forms_of_the_same_header_are_rejected(right: bytes, wrong: bytes) -> None:
    header = simple(
        300,
        b"b" * 32,
        group=b"g" * 32,
        epoch=b"e" * 32,
        previous=(b"p" * 32, b"q" * 32),
        prune=True,
    ).header_bytes
    assert header.count(right) == 1
    with pytest.raises((InvalidOperationError, MalformedError)):
        decode_operation(header.replace(right, wrong), None, check_signature=False)


@pytest.mark.parametrize("size", [1, 23, 24, 32])
def test_a_kind_may_look_like_what_follows_it(size: int) -> None:
    operation = simple(kind=("dtimedtime" * 4)[:size], prune=True)
    assert decode_operation(operation.header_bytes, operation.body) == operation


def forge(operation: Operation, **changes: object) -> bytes:
    """Re-sign a header with fields that `sign_operation` would refuse."""
    unsigned = operation.header._replace(**changes)
    return unsigned._replace(signature=KEY.sign(unsigned.signed_bytes())).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"seq_num": 1},
        {"seq_num": 2**32, "backlink": b"b" * 32},
        {"backlink": b"b" * 32},
        {"payload_size": 0},
        {"payload_hash": None},
        {"payload_size": MAX_BODY_BYTES + 1},
        {"public_key": b"k" * 31},
        {"extensions": Extensions(bytes(31), "document")},
        {"extensions": Extensions(bytes(32), "")},
        {"extensions": Extensions(bytes(32), "x" * 33)},
        {"extensions": Extensions(bytes(32), "é")},
        {"extensions": Extensions(bytes(32), "document", time=-1)},
        {"extensions": Extensions(bytes(32), "document", time=2**53)},
        {"extensions": Extensions(bytes(32), "document", previous=(b"q" * 32, b"p" * 32))},
        {"extensions": Extensions(bytes(32), "document", previous=(b"p" * 32, b"p" * 32))},
        {"extensions": Extensions(bytes(32), "document", group=b"short")},
    ],
    ids=str,
)
def test_rules_hold_even_for_correctly_signed_headers(changes: dict[str, object]) -> None:
    with pytest.raises((InvalidOperationError, MalformedError)):
        decode_operation(forge(simple(), **changes), None)


def test_unknown_extensions_and_versions_are_rejected() -> None:
    fields = cbor2.loads(simple().header_bytes)
    fields[-1]["zzz"] = 1
    with pytest.raises(InvalidOperationError):
        decode_operation(cbor2.dumps(fields, canonical=True), None)
    fields = cbor2.loads(simple().header_bytes)
    fields[0] = 2
    with pytest.raises(InvalidOperationError):
        decode_operation(cbor2.dumps(fields, canonical=True), None)


def test_a_body_of_the_wrong_size_is_rejected() -> None:
    operation = simple()
    with pytest.raises(InvalidOperationError):
        decode_operation(operation.header_bytes, b"bod")
    with pytest.raises(InvalidOperationError):
        decode_operation(simple(body=None).header_bytes, b"x")


def test_another_signer_is_rejected() -> None:
    operation = simple()
    other = SigningKey(b"o" * 32)
    header = operation.header._replace(public_key=other.public).encode()
    with pytest.raises(SignatureError):
        decode_operation(header, operation.body)


def test_too_large_a_body_is_refused_before_signing() -> None:
    with pytest.raises(OperationLimitError):
        simple(body=bytes(MAX_BODY_BYTES + 1))


def test_a_log_grows_gaplessly_and_shows_forks() -> None:
    first = simple()
    second = simple(1, first.id)
    third = simple(2, second.id)
    head = advance(None, first, place(None, first, None))
    assert head == LogHead(0, first.id, 0, 7)
    assert place(head, second, None) is Placement.APPEND
    assert place(head, third, None) is Placement.GAP
    assert place(None, second, None) is Placement.GAP
    assert place(head, first, first.id) is Placement.KNOWN
    other_first = simple(time=8)
    assert place(head, other_first, first.id) is Placement.FORK
    assert place(head, simple(1, other_first.id), None) is Placement.FORK
    with pytest.raises(RemoteError):
        advance(head, third, Placement.GAP)


def test_a_prune_operation_starts_a_log_anew() -> None:
    prune = simple(5, b"x" * 32, prune=True)
    assert place(None, prune, None) is Placement.PRUNE
    head = advance(LogHead(2, b"h" * 32), prune, Placement.PRUNE)
    assert (head.seq_num, head.first_seq) == (5, 5)
    assert place(head, simple(3, b"y" * 32), None) is Placement.KNOWN
    wrong = simple(3, b"y" * 32, prune=True)
    assert place(LogHead(2, b"h" * 32), wrong, None) is Placement.FORK


def test_display_time_never_runs_backwards() -> None:
    assert next_time(None, 5) == 5
    assert next_time(LogHead(0, b"", 0, 9), 5) == 10
    assert next_time(LogHead(0, b"", 0, 9), 50) == 50
