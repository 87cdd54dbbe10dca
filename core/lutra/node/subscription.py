"""Listening to a node's events."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Self

from lutra.node.events import Event, Trouble

MAX_WAITING = 50_000
"""Events kept for a listener that does not read them."""


class Subscription:
    """An asynchronous iterator of events, from the moment it was made until it is closed.

    A listener that falls too far behind loses the oldest events and is told so by a `Trouble`
    with code ``events.lost``: it then reads the state anew.
    """

    def __init__(self, forget: Callable[[Subscription], None]) -> None:
        self._forget = forget
        self._events: deque[Event] = deque()
        self._arrived = asyncio.Event()
        self._closed = False

    def put(self, event: Event) -> None:
        """Add an event; called by the node."""
        if self._closed:
            return
        if len(self._events) >= MAX_WAITING:
            self._events.clear()
            self._events.append(
                Trouble("events.lost", "Too many changes came at once; everything is shown anew.")
            )
        self._events.append(event)
        self._arrived.set()

    def close(self) -> None:
        """End the iteration once the events that have arrived are read; twice is harmless."""
        if not self._closed:
            self._closed = True
            self._arrived.set()
            self._forget(self)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._events:
            if self._closed:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        return self._events.popleft()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
