"""The one crossing between the node and Qt.

The node lives on an asyncio loop in a thread of its own. Coroutines go in with `Bridge.ask`;
their results and the node's frozen events come back, in the order they happened, through one
queued signal and are handed out on Qt's thread in slices of a few milliseconds, so that fifty
thousand arriving operations never hold up a keystroke. Windows never touch the node itself.

The node's modules are imported on its own thread, while Qt shows the window.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from PySide6.QtCore import QCoreApplication, QObject, Qt, QTimer, Signal, Slot

from lutra.errors import LutraError
from lutra.node.events import DocumentChanged, Event, PairingChanged
from lutra_app.opening import Need, Opening

if TYPE_CHECKING:
    from lutra.node.control import ControlServer
    from lutra.node.device_views import PairingView
    from lutra.node.node import Node
    from lutra.node.options import NodeOptions
    from lutra.node.verbs_pairing import Pairs
    from lutra.node.views import Identity

Result = TypeVar("Result")
Value = TypeVar("Value")
Asked = TypeVar("Asked")

_log = logging.getLogger(__name__)
_SLICE_SECONDS = 0.006
_NETWORK_SECONDS = 0.5
# Python hands the interpreter over this often: the longest a busy engine keeps Qt waiting.
_SWITCH_SECONDS = 0.001
_CLOSE_SECONDS = 10.0
_LAST_SECONDS = 2.0


def _fault(error: BaseException) -> str:
    return f"Something in Lutra is wrong: {type(error).__name__}. Your pages are safe."


def _ignore(_: object) -> None:
    """Take a result nobody asked for."""


class Bridge(QObject):
    """Runs a node for one profile.

    Attributes:
        identity: this device and its person, once `ready` was sent.

    Signals:
        needed: the profile needs this (a `Need`) from the person.
        ready: the node is open; verbs can be asked for.
        online: the network part runs.
        happened: there is an event (a frozen dataclass of `lutra.node.events`).
        trouble: something went wrong that the person should know: a sentence.
        failed: the node cannot be opened: a sentence.
        ended: the node has closed by itself, because this device was asked to delete everything.
        closed: the node has closed.
    """

    needed = Signal(Need)
    ready = Signal()
    online = Signal()
    happened = Signal(object)
    trouble = Signal(str)
    failed = Signal(str)
    ended = Signal()
    closed = Signal()
    _posted = Signal()

    def __init__(
        self,
        directory: Path,
        options: NodeOptions | None = None,
        *,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.identity: Identity | None = None
        self._opening = Opening(directory, options, self._pairing_moved)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="lutra-node", daemon=True)
        self._inbox: deque[Callable[[], None]] = deque()
        self._waking = False
        self._closing = False
        # Events that only say that something changed are not queued twice.
        self._on_the_way: set[Event] = set()
        self._node: Node | None = None
        self._server: ControlServer | None = None
        self._open_documents: frozenset[bytes] = frozenset()
        self._network_awaited = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listeners: set[asyncio.Task[None]] = set()
        self._posted.connect(self._drain, Qt.ConnectionType.QueuedConnection)

    # -- on Qt's thread ------------------------------------------------------------------

    def start(self) -> None:
        """Open the profile; `ready`, `needed` or `failed` follows."""
        sys.setswitchinterval(_SWITCH_SECONDS)
        self._thread.start()
        self._spawn(self._open_profile)

    def create(self, name: str) -> None:
        """Create the profile for a person called `name`, then open it."""
        self._spawn(lambda: self._enter(self._opening.create(name)))

    def begin_pairing(self) -> None:
        """Have the profile wait for its person: `needed` says so, then `ask_pairing` works."""
        self._spawn(self._wait_for_person)

    def stop_pairing(self) -> None:
        """Leave the pairing of a profile that waits for its person."""
        self._spawn(self._opening.stop_waiting)

    def enter(self) -> None:
        """Open the node of a profile that has just got its person."""
        self._spawn(self._open_node)

    def restore(
        self,
        words: str,
        name: str,
        *,
        bundle: Path | None = None,
        address: str = "",
        remove_lost: bool = False,
    ) -> Callable[[], None]:
        """Bring a person back by a recovery kit, then open the profile; returns what stops it."""
        return self._spawn(
            lambda: self._enter(
                self._opening.restore(
                    words, name, bundle=bundle, address=address, remove_lost=remove_lost
                )
            )
        )

    def unlock(self, passphrase: str) -> None:
        """Open the profile with its passphrase."""
        self._spawn(lambda: self._open_profile(passphrase))

    def ask_pairing(
        self,
        verb: Callable[[Pairs], Awaitable[Result]],
        done: Callable[[Result], None] | None = None,
        failed: Callable[[str], None] | None = None,
    ) -> Callable[[], None]:
        """Ask whoever can be paired: the node, or the profile that waits for its person."""
        return self._ask(lambda: self._node or self._opening.newcomer, verb, done, failed)

    def ask(
        self,
        verb: Callable[[Node], Awaitable[Result]],
        done: Callable[[Result], None] | None = None,
        failed: Callable[[str], None] | None = None,
    ) -> Callable[[], None]:
        """Ask the node for something.

        Args:
            verb: called on the node's thread with the node; must not touch Qt.
            done: called on Qt's thread with the result.
            failed: called on Qt's thread with a sentence for people; by default `trouble` is sent.

        Returns:
            A function that gives up waiting: the verb is cancelled, nothing is called.
        """
        return self._ask(lambda: self._node, verb, done, failed)

    def _ask(
        self,
        whom: Callable[[], Asked | None],
        verb: Callable[[Asked], Awaitable[Result]],
        done: Callable[[Result], None] | None,
        failed: Callable[[str], None] | None,
    ) -> Callable[[], None]:
        tasks: list[asyncio.Task[None]] = []
        given_up = threading.Event()

        async def carry_out() -> None:
            try:
                asked = whom()
                if asked is None:
                    return
                result = await verb(asked)
            except LutraError as error:
                message = error.message
                report = failed or self.trouble.emit
                self._post(lambda: None if given_up.is_set() else report(message))
            except Exception as error:
                # Whoever asked goes on; `_finish` tells of the fault.
                if failed is not None:
                    text, tell = _fault(error), failed
                    self._post(lambda: None if given_up.is_set() else tell(text))
                raise
            else:
                report_result = done or _ignore
                self._post(lambda: None if given_up.is_set() else report_result(result))

        def begin() -> None:
            if not given_up.is_set():
                tasks.append(self._begin(carry_out()))

        def give_up() -> None:
            given_up.set()
            self._send(lambda: [task.cancel() for task in tasks])

        self._send(begin)
        return give_up

    def relay(self, slot: Callable[[Value], None]) -> Callable[[Value], None]:
        """Return what a verb may call with its progress; `slot` gets the latest on Qt's thread."""
        waiting: deque[Value] = deque()

        def take(value: Value) -> None:
            waiting.append(value)
            if len(waiting) == 1:
                self._post(hand_out)

        def hand_out() -> None:
            if not waiting:
                return
            latest = waiting[-1]
            for _ in range(len(waiting)):
                waiting.popleft()
            slot(latest)
            if waiting:
                self._post(hand_out)

        return take

    def begin_network(self) -> None:
        """Let the node look for others: what there is to see is shown.

        Without being told, the node begins after half a second.
        """
        self._send(self._network_awaited.set)

    def set_open_documents(self, documents: frozenset[bytes]) -> None:
        """Say whose edits windows want as events; those of other pages stay in the node."""
        self._open_documents = documents

    def close(self) -> None:
        """Publish and store everything, and end the thread; returns when that is done."""
        if not self._thread.is_alive():
            return
        self._closing = True
        finished = asyncio.run_coroutine_threadsafe(self._close(), self._loop)
        deadline = time.monotonic() + _CLOSE_SECONDS
        while not finished.done() and time.monotonic() < deadline:
            QCoreApplication.processEvents()
            time.sleep(0.002)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSE_SECONDS)
        self._posted.disconnect(self._drain)
        self._inbox.clear()
        self.closed.emit()

    @Slot()
    def _drain(self) -> None:
        """Hand out what has arrived, for a few milliseconds at a time."""
        self._waking = False
        until = time.perf_counter() + _SLICE_SECONDS
        try:
            while self._inbox and time.perf_counter() < until:
                self._inbox.popleft()()
        finally:
            if self._inbox and not self._waking:
                self._waking = True
                # A timer lets input and painting go first; a queued signal would not.
                QTimer.singleShot(0, self._drain)

    def _spawn(self, action: Callable[[], Awaitable[None]]) -> Callable[[], None]:
        """Have something done about the profile; returns what stops it."""
        tasks: list[asyncio.Task[None]] = []

        async def carry_out() -> None:
            try:
                await action()
            except LutraError as error:
                message = error.message
                self._post(lambda: self.failed.emit(message))

        self._send(lambda: tasks.append(self._begin(carry_out())))
        return lambda: self._send(lambda: [task.cancel() for task in tasks])

    def _send(self, call: Callable[[], object]) -> None:
        """Have `call` made on the node's thread; once the node closes, nothing is asked of it."""
        if not self._closing:
            self._loop.call_soon_threadsafe(call)

    # -- on the node's thread ------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    def _begin(self, work: Awaitable[None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._finish)
        return task

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _log.error("a task of the node failed", exc_info=error)
            text = _fault(error)
            self._post(lambda: self.trouble.emit(text))

    def _post(self, call: Callable[[], None]) -> None:
        self._inbox.append(call)
        if not self._waking:
            self._waking = True
            self._posted.emit()

    async def _open_profile(self, passphrase: str | None = None) -> None:
        need = await self._opening.look(passphrase)
        if need is None:
            await self._open_node()
        elif need is Need.PERSON:
            await self._wait_for_person()
        else:
            self._post(lambda: self.needed.emit(need))
        if need is Need.NAME:
            if reason := await self._opening.wiped():
                self._post(lambda: self.failed.emit(reason))
            # Get ready while the person types.
            import lutra.node.node  # noqa: F401

    async def _wait_for_person(self) -> None:
        await self._opening.wait()
        self._post(lambda: self.needed.emit(Need.PERSON))

    def _pairing_moved(self, view: PairingView) -> None:
        event = PairingChanged(view.state, view.revision)
        self._post(lambda: self.happened.emit(event))

    async def _enter(self, prepared: Awaitable[None]) -> None:
        await prepared
        # By itself: `ready` closes the sheet that asked, and closing it stops what it began.
        self._spawn(self._open_node)

    async def _open_node(self) -> None:
        from lutra.node.verbs import control_server

        opening = self._opening
        self._node = node = await opening.node()
        self._listeners.add(self._begin(self._listen(node)))
        identity = node.identity
        self._post(lambda: self._set_ready(identity))
        try:
            assert opening.profile is not None
            # Other programs are heard at once, and answered when the network is there.
            began = asyncio.Event()
            self._server = control_server(node, opening.profile, window=True, ready=began.wait)
            await self._server.start()
            # Taking in what others have would compete with showing the first page.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._network_awaited.wait(), _NETWORK_SECONDS)
            if self._closing:
                return
            try:
                await node.start()
            finally:
                began.set()
        except LutraError as error:
            message = error.message
            self._post(lambda: self.trouble.emit(message))
        else:
            self._post(self.online.emit)

    def _deliver(self, event: Event) -> None:
        self._on_the_way.discard(event)
        self.happened.emit(event)

    def _set_ready(self, identity: Identity) -> None:
        self.identity = identity
        self.ready.emit()

    async def _listen(self, node: Node) -> None:
        # Closing the node ends the iteration.
        async for event in node.events():
            if isinstance(event, DocumentChanged):
                if event.document in self._open_documents:
                    self._post(lambda event=event: self.happened.emit(event))
            elif event not in self._on_the_way:
                self._on_the_way.add(event)
                self._post(lambda event=event: self._deliver(event))
        if self._node is node:
            self._node = None
            self._post(self.ended.emit)

    async def _close(self) -> None:
        # Whoever waits to begin the network finds that it is too late.
        self._network_awaited.set()
        # What was asked before the end, such as storing the last keystrokes, is still done.
        asked = self._tasks - self._listeners
        if asked:
            await asyncio.wait(asked, timeout=_LAST_SECONDS)
        server, self._server = self._server, None
        node, self._node = self._node, None
        if server is not None:
            await server.close()
        if node is not None:
            await node.close()
        await self._opening.stop_waiting()
        for task in list(self._tasks):
            task.cancel()
        self._opening.release()
