"""The owner thread."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from lutra.store import Store
from lutra.store.errors import StoreClosedError, WrongThreadError
from lutra.store.thread import StoreThread


async def test_calls_run_in_order_on_one_thread() -> None:
    thread = StoreThread()
    seen: list[tuple[int, str]] = []

    def call(number: int) -> int:
        seen.append((number, threading.current_thread().name))
        return number * 2

    results = await asyncio.gather(*(thread.run(call, number) for number in range(200)))
    assert results == [number * 2 for number in range(200)]
    assert [number for number, _ in seen] == list(range(200))
    assert {name for _, name in seen} == {"lutra-store_0"}
    await thread.aclose()


async def test_the_store_belongs_to_its_thread(path: Path, key: bytes) -> None:
    thread = StoreThread()
    store = await thread.run(Store.open, path, key)
    await thread.run(store.settings.set, "x", 1)
    assert await thread.run(store.settings.get, key="x") == 1
    with pytest.raises(WrongThreadError):
        store.settings.get("x")
    await thread.run(store.close)
    await thread.aclose()


async def test_what_a_call_raises_travels_and_the_thread_goes_on() -> None:
    thread = StoreThread()
    with pytest.raises(ZeroDivisionError):
        await thread.run(lambda: 1 // 0)
    assert thread.submit(lambda: 7).result() == 7
    thread.close()


async def test_a_cancelled_call_is_not_run_and_a_started_one_ends() -> None:
    thread = StoreThread()
    started, go_on = threading.Event(), threading.Event()
    ended: list[str] = []

    def long() -> None:
        started.set()
        go_on.wait()
        ended.append("long")

    first = asyncio.create_task(thread.run(long))
    second = asyncio.create_task(thread.run(ended.append, "second"))
    await asyncio.to_thread(started.wait)
    first.cancel()
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    go_on.set()
    await thread.run(ended.append, "third")
    assert ended == ["long", "third"]
    await thread.aclose()


async def test_closing_finishes_what_was_queued_and_refuses_more() -> None:
    thread = StoreThread()
    done: list[int] = []
    go_on = threading.Event()
    thread.submit(go_on.wait)
    for number in range(50):
        thread.submit(done.append, number)
    closing = asyncio.create_task(thread.aclose())
    go_on.set()
    await closing
    assert done == list(range(50))
    thread.close()
    with pytest.raises(StoreClosedError):
        thread.submit(done.append, 1)
    with pytest.raises(StoreClosedError):
        await thread.run(done.append, 1)
