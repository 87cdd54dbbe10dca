"""Runs the engine on its own thread and hands its effects to the node's event loop in order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from lutra.crypto.random import Random, system_random
from lutra.errors import EnvironmentalError
from lutra.node.effects import Effects
from lutra.node.engine import Engine
from lutra.node.events import Trouble
from lutra.node.session_hub import Traffic
from lutra.store.backup import BackupReport, back_up
from lutra.store.custody import PassphraseCustody
from lutra.store.errors import StoreClosedError
from lutra.store.profile import Profile
from lutra.store.thread import StoreThread

Result = TypeVar("Result")
_BACKLOG_SECONDS = 0.005
"""How soon to look again whether a connection can take more."""


def wall_clock() -> int:
    """Return milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class EngineHost:
    """The engine's thread, and the timer that makes it do what is due.

    Args:
        on_effects: called on the event loop with the effects of every call, in their order.
        idle: returns the connections that can take bulk without making live operations wait.
    """

    def __init__(
        self, on_effects: Callable[[Effects], None], idle: Callable[[], frozenset[int]]
    ) -> None:
        self._on_effects = on_effects
        self._idle = idle
        self._loop = asyncio.get_running_loop()
        self._thread = StoreThread("lutra-engine")
        self._engine: Engine | None = None
        self._backup: Callable[[Path, PassphraseCustody], BackupReport] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._producing = False
        self._taking_in = False
        self._burdened: frozenset[int] = frozenset()

    async def open(self, profile: Profile, key: bytes, random: Random = system_random) -> None:
        """Open the profile's store and engine on the thread.

        Raises:
            StoreError: a subclass says what is wrong with disk, file or key.
            NotFoundError: the profile has no identity yet.
        """
        await self._thread.run(self._open, profile, key, random)

    async def call(self, function: Callable[[Engine], Result]) -> Result:
        """Run ``function`` as one transaction; its effects are carried out even if the caller
        is cancelled meanwhile.
        """
        return await self._thread.run(self._run, function)

    async def back_up(self, directory: Path, custody: PassphraseCustody) -> BackupReport:
        """Copy the profile, between two transactions; see `lutra.store.backup.back_up`."""
        if self._backup is None:
            raise StoreClosedError("The profile is closed.")
        await self.call(Engine.finish)
        return await self._thread.run(self._backup, directory, custody)

    @property
    def closed(self) -> bool:
        """No more calls are taken."""
        return self._closed

    def soon(self, function: Callable[[Engine], None]) -> None:
        """Run ``function`` as one transaction without waiting for it."""
        self._thread.submit(self._run, function).add_done_callback(self._report)

    async def close(self) -> None:
        """Finish what is queued, and close the store."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        await self._thread.run(self._close)
        await self._thread.aclose()

    # On the engine's thread

    def _open(self, profile: Profile, key: bytes, random: Random) -> None:
        store = profile.open_store(key)

        def backup(directory: Path, custody: PassphraseCustody) -> BackupReport:
            return back_up(profile, store, key, directory, custody, random=random)

        self._backup = backup
        try:
            self._engine = Engine(store, now=wall_clock, monotonic=time.monotonic, random=random)
        except BaseException:
            store.close()
            raise

    def _run(self, function: Callable[[Engine], Result]) -> Result:
        engine = self._engine
        if engine is None:
            raise StoreClosedError("The profile is closed.")
        try:
            result, effects = engine.run(lambda: function(engine))
        except BaseException:
            # Sessions that took part end, and what is due stays due.
            self._loop.call_soon_threadsafe(self._deliver, engine.after_failure())
            raise
        self._loop.call_soon_threadsafe(self._deliver, effects)
        if effects.arrived and not self._taking_in:
            # Behind every call that waits, so that typing goes first.
            self._taking_in = True
            self._thread.submit(self._take_in).add_done_callback(self._report)
        return result

    def _take_in(self) -> None:
        self._taking_in = False
        self._run(Engine.take_in)

    def _produce(self, connections: frozenset[int]) -> None:
        self._producing = False
        self._run(lambda engine: engine.produce(connections))

    def _close(self) -> None:
        engine, self._engine = self._engine, None
        self._backup = None
        if engine is not None:
            engine.close()

    # On the event loop

    def _deliver(self, effects: Effects) -> None:
        if self._closed:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if effects.deadline is not None:
            delay = max(0.0, effects.deadline - time.monotonic())
            self._timer = self._loop.call_later(delay, self._tick)
        self._on_effects(effects)
        self._burdened = effects.burdened
        # Two turns later, what is to be sent now has gone and burdens its connection no more.
        self._loop.call_soon(self._loop.call_soon, self._produce_on)

    def _produce_on(self) -> None:
        """Queue a slice of bulk to send behind every call that waits, so that typing goes first."""
        if self._producing or self._closed or not self._burdened:
            return
        self._producing = True
        connections = self._burdened & self._idle()
        if connections:
            self._thread.submit(self._produce, connections).add_done_callback(self._report)
        else:
            self._loop.call_later(_BACKLOG_SECONDS, self._look_again)

    def _look_again(self) -> None:
        self._producing = False
        self._produce_on()

    def _tick(self) -> None:
        self._timer = None
        if not self._closed:
            self._thread.submit(self._run, Engine.tick).add_done_callback(self._report)

    def _report(self, done: Future[None]) -> None:
        """Tell of a failure that no caller awaits: people of a full disk, the loop of the rest."""
        error = None if done.cancelled() else done.exception()
        if isinstance(error, EnvironmentalError):
            self._loop.call_soon_threadsafe(self._tell, Trouble(error.code, error.message))
        elif error is not None and not isinstance(error, StoreClosedError):
            context = {"message": "the engine failed at work of its own", "exception": error}
            self._loop.call_soon_threadsafe(self._loop.call_exception_handler, context)

    def _tell(self, trouble: Trouble) -> None:
        nothing = Effects((trouble,), Traffic(), None, frozenset(), arrived=False, reach=None)
        if not self._closed:
            self._on_effects(nothing)
