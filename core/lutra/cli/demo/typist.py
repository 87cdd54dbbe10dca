"""One side of the demonstration while it runs: types into its node and listens to it."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lutra.cli.client import ControlClient, NodeGoneError
from lutra.cli.demo.player import Player
from lutra.cli.demo.trace import Script
from lutra.errors import EnvironmentalError, LutraError

STEPS_AT_ONCE = 64
"""Most steps that are handed to the node in one piece."""


class DemoError(EnvironmentalError):
    """The demonstration did not get where it should in time."""

    code = "demo.failed"


class Typist:
    """Types one agent's steps into the node that runs on a profile.

    Two threads: one types, one listens to the node's events. `begin` starts them.

    Attributes:
        peer: Loro peer id this side types as.
        saved: single edits the node has confirmed as durable.
    """

    def __init__(self, profile: Path, script: Script, agent: int, document: str) -> None:
        self._script = script
        self._agent = agent
        self._document = document
        # Listening starts before the state is taken, so that nothing falls in between.
        self._listening = _connect(profile)
        self._events = self._listening.watch()
        self._typing = _connect(profile)
        self._editor: dict[str, Any] = self._typing.call("open_editor", document=document)
        self.peer = int(self._editor["peer"])
        self.saved = 0
        self._player: Player | None = None
        self._until: int | None = 0
        self._idle = False
        self._stopping = False
        self._failure: LutraError | None = None
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._run, args=(work,), name="lutra-typist", daemon=True)
            for work in (self._listen, self._type)
        ]

    def begin(self, other: int) -> None:
        """Start; nothing is typed before `go`.

        Args:
            other: Loro peer id the other side types as.
        """
        self._player = Player(
            self._script,
            self._agent,
            snapshot=base64.b64decode(self._editor["snapshot"]),
            peer=self.peer,
            other=other,
        )
        self.saved = self._player.made
        for thread in self._threads:
            thread.start()

    def go(self, until: int | None = None) -> None:
        """Type the steps before place `until` of the recording; None means all."""
        with self._changed:
            self._until = until
            self._idle = False
            self._changed.notify_all()

    def stop(self) -> None:
        """End both threads and the connections."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._listening.close()
        self._typing.close()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    @property
    def player(self) -> Player:
        """What has been typed and has arrived. Call `begin` first."""
        assert self._player is not None
        return self._player

    @property
    def failure(self) -> LutraError | None:
        """Why this side has stopped by itself."""
        return self._failure

    def wait(self, reached: Callable[[Typist], bool], seconds: float, what: str) -> None:
        """Wait until `reached(self)`.

        Raises:
            DemoError: it took longer than `seconds`; `what` says what was waited for.
            LutraError: this side has failed.
        """
        with self._changed:
            done = self._changed.wait_for(
                lambda: self._failure is not None or reached(self), seconds
            )
            if self._failure is not None:
                raise self._failure
            if not done:
                raise DemoError(f"Waited {seconds:.0f} seconds in vain until {what}.")

    def ended(self, seconds: float) -> None:
        """Wait until both threads have ended because the node has gone.

        Raises:
            DemoError: they go on.
        """
        for thread in self._threads:
            thread.join(seconds)
            if thread.is_alive():
                raise DemoError("A typist goes on without its node.")

    def resting(self) -> bool:
        """Nothing can be typed now: all is done, or the next step waits for the other side."""
        return self._idle

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except LutraError as error:
            self._fail(error)
        except (OSError, ValueError):
            # The socket was closed under the thread by `stop`.
            self._fail(NodeGoneError("The running Lutra has gone away."))

    def _fail(self, error: LutraError) -> None:
        with self._changed:
            if not self._stopping and self._failure is None:
                self._failure = error
            self._changed.notify_all()

    def _listen(self) -> None:
        slot = self._editor["slot"]
        for event in self._events:
            if event["event"] == "Trouble" and event["code"] == "events.lost":
                raise DemoError("The node had more to tell than this program could take in.")
            if event["event"] != "DocumentChanged" or event["document"] != self._document:
                continue
            if event["slot"] != slot:
                with self._changed:
                    self.player.take_in([base64.b64decode(item) for item in event["updates"]])
                    self._changed.notify_all()
        raise NodeGoneError("The running Lutra has gone away.")

    def _type(self) -> None:
        while True:
            with self._changed:
                while (update := self._next()) is None:
                    if self._stopping or self._failure is not None:
                        return
                    self._idle = True
                    self._changed.notify_all()
                    self._changed.wait()
                self._idle = False
                made = self.player.made
            text = base64.b64encode(update).decode()
            self._typing.call("apply", editor=self._editor["editor"], update=text)
            with self._changed:
                self.saved = made
                self._changed.notify_all()

    def _next(self) -> bytes | None:
        if self._stopping or self._failure is not None:
            return None
        return self.player.type(STEPS_AT_ONCE, self._until)


def _connect(profile: Path) -> ControlClient:
    client = ControlClient.connect(profile)
    if client is None:
        raise NodeGoneError("The node does not answer on its control socket.")
    return client
