from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from lutra.crypto.signing import SigningKey
from lutra.crypto.verifying import BatchVerifier, Claim

KEY = SigningKey(bytes(range(32)))


def claims_with_bad(count: int, bad: set[int]) -> list[Claim]:
    signed = [(KEY.public, message, KEY.sign(message)) for message in map(bytes, range(count))]
    return [
        (key, message + b"!" if place in bad else message, signature)
        for place, (key, message, signature) in enumerate(signed)
    ]


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 100])
def test_exactly_the_wrong_signatures_are_told(threads: int, count: int) -> None:
    bad = {place for place in (0, 7, 16, count - 1) if 0 <= place < count}
    verifier = BatchVerifier(threads)
    for _ in range(3):
        results = verifier.check(claims_with_bad(count, bad))
        assert [place for place, fits in enumerate(results) if not fits] == sorted(bad)
    verifier.close()


def test_a_thread_that_is_held_up_holds_up_nobody() -> None:
    verifier = BatchVerifier(2)
    assert all(verifier.check(claims_with_bad(20, set())))
    pool, free = verifier._pool, threading.Event()
    assert isinstance(pool, ThreadPoolExecutor)
    pool.submit(free.wait)
    assert verifier.check(claims_with_bad(20, {3})).index(False) == 3
    free.set()
    verifier.close()
    assert all(verifier.check(claims_with_bad(20, set())))
    verifier.close()
