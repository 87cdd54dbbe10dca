"""The one thread that owns the store and everything that works on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from lutra.store.errors import StoreClosedError

_P = ParamSpec("_P")
_T = TypeVar("_T")


class StoreThread:
    """Runs functions one after the other, in the order they were handed in, on its own thread.

    May be used from any thread and any event loop.
    """

    def __init__(self, name: str = "lutra-store") -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    def submit(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Queue a call; what it returns or raises is in the future.

        Raises:
            StoreClosedError: the thread was closed.
        """
        try:
            return self._executor.submit(function, *args, **kwargs)
        except RuntimeError as error:
            raise StoreClosedError("The profile is closed.") from error

    async def run(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Queue a call and await what it returns or raises.

        Cancelling the await takes the call out of the queue if it has not started; a call that
        has started runs to its end, so a transaction is never cut in half.

        Raises:
            StoreClosedError: the thread was closed.
        """
        return await asyncio.wrap_future(self.submit(function, *args, **kwargs))

    def close(self) -> None:
        """Refuse new calls, finish the queued ones and end the thread; twice is harmless."""
        self._executor.shutdown(wait=True)

    async def aclose(self) -> None:
        """Do the same as `close` without blocking the event loop."""
        await asyncio.to_thread(self.close)
