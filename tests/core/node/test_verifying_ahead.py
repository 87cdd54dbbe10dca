"""Signatures checked by a process of its own, whatever becomes of that process."""

from __future__ import annotations

import io
import struct
import sys
import time
from collections.abc import Iterator

import pytest

from lutra.crypto.signing import SigningKey
from lutra.node import verify_process, verifying_ahead
from lutra.node.verify_process import serve
from lutra.node.verifying_ahead import VerifyingAhead, verifying_command
from lutra.operation import Extensions, sign_operation

KEY = SigningKey(b"k" * 32)
COMMAND = (sys.executable, "-I", "-m", "lutra.node.verify_process")


def headers(count: int, bad: set[int] = frozenset()) -> list[bytes]:
    place = Extensions(b"l" * 32, "document", b"g" * 32, None, (), 1)
    made: list[bytes] = []
    for number in range(count):
        operation = sign_operation(
            KEY,
            seq_num=number,
            backlink=bytes(32) if number else None,
            body=b"body",
            extensions=place,
        )
        header = bytearray(operation.header_bytes)
        header[50] ^= number in bad
        made.append(bytes(header))
    return made


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch) -> Iterator[VerifyingAhead]:
    monkeypatch.setattr(verifying_ahead, "_WORTH_STARTING", 0)
    monkeypatch.setattr(verifying_ahead, "_PATIENCE_SECONDS", 60.0)
    made = VerifyingAhead(COMMAND)
    yield made
    made.close()


def warm_up(ahead: VerifyingAhead) -> None:
    first = headers(40)
    ahead.expect(first)
    ahead._requests[0].answer.result(60)
    assert ahead.answers(first) == dict.fromkeys(first, True)


def test_exactly_the_wrong_ones_are_told(ahead: VerifyingAhead) -> None:
    warm_up(ahead)
    one, two = headers(64, {3, 63}), headers(100, {0})[64:]
    ahead.expect(one)
    ahead.expect(two)
    told = ahead.answers(one)
    assert [place for place, header in enumerate(one) if not told[header]] == [3, 63]
    # In other portions, and with some that nobody expected.
    mixed = [*two[:10], headers(1)[0]]
    assert ahead.answers(mixed) == dict.fromkeys(two[:10], True)
    assert ahead.answers(two) == {}


def test_the_process_gets_what_it_can_check_in_time(ahead: VerifyingAhead) -> None:
    warm_up(ahead)
    some = headers(100)
    before = 1.0
    for _ in range(5):
        ahead.expect(some)
        # It is asked at once: it cannot have checked a hundred.
        ahead.answers(some)
        assert ahead._share < before
        before = ahead._share
    ahead.expect(some)
    assert len(ahead._requests[0].places) == 90
    ahead._requests[0].answer.result(60)
    assert len(ahead.answers(some)) == 90
    assert ahead._share > before


def test_a_process_that_is_starting_is_not_waited_for(ahead: VerifyingAhead) -> None:
    some = headers(40)
    ahead.expect(some)
    assert ahead.answers(some) in ({}, dict.fromkeys(some, True))


def test_a_few_start_nothing() -> None:
    ahead = VerifyingAhead(COMMAND)
    for _ in range(10):
        ahead.expect(headers(40))
    assert not ahead._requests
    ahead.close()


@pytest.mark.parametrize("command", [("/nowhere/lutra",), (sys.executable, "-c", "pass")])
def test_without_a_process_nothing_is_known(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifying_ahead, "_WORTH_STARTING", 0)
    ahead = VerifyingAhead(command)
    for _ in range(2):
        some = headers(40)
        ahead.expect(some)
        request = ahead._requests[0]
        with pytest.raises(OSError):  # noqa: PT011 - whichever the system has for it
            request.answer.result(60)
        assert ahead.answers(some) == {}
    ahead.close()


def test_a_process_that_was_killed_is_replaced(ahead: VerifyingAhead) -> None:
    warm_up(ahead)
    assert ahead._process is not None
    ahead._process.kill()
    ahead._process.wait()
    warm_up(ahead)


def test_a_process_that_hangs_is_given_up(
    ahead: VerifyingAhead, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm_up(ahead)
    monkeypatch.setattr(verifying_ahead, "_PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(ahead, "_command", (sys.executable, "-c", "input()"))
    assert ahead._process is not None
    ahead._process.kill()
    ahead._process.wait()
    some = headers(40)
    ahead.expect(some)
    began = time.monotonic()
    while ahead._process is None or ahead._process.args == COMMAND:
        assert time.monotonic() < began + 60
        time.sleep(0.001)
    ahead._is_warm = True
    assert ahead.answers(some) == {}
    assert ahead._process is None


def test_it_ends_when_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_process, "IDLE_SECONDS", 0.05)
    ended: list[int] = []
    monkeypatch.setattr(verify_process.os, "_exit", ended.append)
    verify_process._Idle(io.BytesIO())
    began = time.monotonic()
    while not ended:
        assert time.monotonic() < began + 60
        time.sleep(0.001)
    assert ended == [0]


def test_what_is_no_header_does_not_fit() -> None:
    answers = io.BytesIO()
    some = [b"", b"x", bytes(200), headers(1)[0]]
    sizes = struct.pack("<5I", 4, *map(len, some))
    serve(io.BytesIO(b"".join((sizes, *some))), answers)
    assert answers.getvalue() == b"\0\0\0\1"


def test_a_frozen_program_has_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert verifying_command() is None
