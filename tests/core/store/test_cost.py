"""What the store costs, beside raw SQLCipher in the same run.

The figures are printed (``pytest -s``); the limits are those of the design. Best of several rounds,
since other work on the machine only ever makes a round slower.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from lutra.log import LogHead
from lutra.operation import LogKey
from lutra.store import DocumentRow, OperationState, Store

from .conftest import GROUP, KEY, MakeLog

if sys.platform == "linux":
    import resource

BATCH = 500
ROUNDS = 12
DOCUMENT = b"d" * 32


def report(what: str, figure: str) -> None:
    print(f"\n  {what}: {figure}", end="")


def timed(call: Callable[[int], object], number: int) -> float:
    """Seconds that one call takes."""
    started = perf_counter()
    call(number)
    return perf_counter() - started


def best(call: Callable[[int], object], rounds: int = ROUNDS) -> float:
    """Seconds of the fastest round."""
    return min(timed(call, number) for number in range(rounds))


def test_inserting_operations_costs_little_beyond_raw_sqlcipher(
    tmp_path: Path, make_log: MakeLog
) -> None:
    log = make_log(BATCH * ROUNDS, body_bytes=200)
    batches = [log[start : start + BATCH] for start in range(0, len(log), BATCH)]
    rows = [
        [(1, o.seq_num, o.id, 0, b"e" * 32, o.header_bytes, o.body) for o in batch]
        for batch in batches
    ]
    with (
        Store.open(tmp_path / "raw.db", KEY) as raw,
        Store.open(tmp_path / "lutra.db", KEY) as store,
    ):
        driver = raw.connection._driver  # pyright: ignore[reportPrivateUsage]

        def insert_raw(number: int) -> None:
            driver.execute("BEGIN IMMEDIATE")
            driver.executemany(
                "INSERT INTO operations (log, seq_num, id, state, epoch, header, body) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                rows[number],
            )
            driver.execute("COMMIT")

        def insert(number: int) -> None:
            store.operations.insert_many(batches[number], group=GROUP, state=OperationState.APPLIED)

        # In turns, so that both meet the same moods of the machine.
        pairs = [(timed(insert_raw, number), timed(insert, number)) for number in range(ROUNDS)]
        plain, ours = (min(seconds) / BATCH for seconds in zip(*pairs, strict=True))

        def read(number: int) -> None:
            del number
            assert len(store.operations.of_log(log[0].log_key)) == len(log)

        reading = best(read) / len(log)
    report("insert an operation", f"{ours * 1e6:.1f} µs, raw {plain * 1e6:.1f} µs")
    report("read an operation", f"{reading * 1e6:.1f} µs")
    assert ours - plain <= 10e-6
    assert reading <= 30e-6


def preemptions() -> int:
    """How often the system has given this thread's processor to another program."""
    if sys.platform != "linux":
        return 0
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw


def test_a_keystroke_is_durable_within_two_milliseconds(store: Store) -> None:
    update = os.urandom(60)
    seconds: list[float] = []
    undisturbed: list[float] = []
    for _ in range(6000):
        before = preemptions()
        started = perf_counter()
        store.drafts.add(DOCUMENT, update)
        seconds.append(perf_counter() - started)
        if preemptions() == before:
            undisturbed.append(seconds[-1])
    for name, sample in (("all", seconds), ("undisturbed by other programs", undisturbed)):
        sample.sort()
        report(
            f"add a draft ({len(sample)} {name})",
            f"p50 {sample[len(sample) // 2] * 1e6:.0f} µs, "
            f"p99 {sample[len(sample) * 99 // 100] * 1e6:.0f} µs, worst {sample[-1] * 1e3:.1f} ms",
        )
    assert len(undisturbed) > 3000
    assert undisturbed[len(undisturbed) * 99 // 100] <= 2e-3


def test_a_store_of_a_thousand_pages_opens_at_once(path: Path, key: bytes) -> None:
    with Store.open(path, key) as store, store.transaction():
        for number in range(1000):
            document = number.to_bytes(32, "big")
            store.documents.upsert(DocumentRow(document, GROUP, f"Page {number}", 0, number))
            store.documents.set_snapshot(document, os.urandom(4000))
            store.documents.index(document, f"Page {number}", "some words of a page " * 50)
            store.logs.set_head(LogKey(b"a" * 32, document), LogHead(0, document), group=GROUP)

    def start(number: int) -> None:
        del number
        with Store.open(path, key) as opened:
            assert len(opened.documents.list()) == 1000
            assert len(opened.logs.heads(GROUP)) == 1000

    seconds = best(start)
    report("open 1,000 pages, list them and all log heads", f"{seconds * 1e3:.1f} ms")
    assert seconds <= 0.1

    with Store.open(path, key) as store:
        report("find a page", f"{best(lambda _: store.documents.search('Page 77')) * 1e3:.1f} ms")
        check = best(lambda _: store.integrity_check(quick=True), 2)
        report(f"quick check of {path.stat().st_size / 1e6:.1f} MB", f"{check * 1e3:.0f} ms")
        check = best(lambda _: store.integrity_check(), 2)
        report("full check", f"{check * 1e3:.0f} ms")
        text = "All work and no play makes an otter dull. " * 6000
        index = best(lambda _: store.documents.index(bytes(32), "Long", text), 3)
        report(f"index {len(text):,} characters", f"{index * 1e3:.0f} ms")
