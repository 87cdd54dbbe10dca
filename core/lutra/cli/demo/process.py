"""A node of the demonstration: a process of its own, with or without a window."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from lutra.cli.client import ControlClient, NodeGoneError
from lutra.cli.demo.cable import Cable
from lutra.cli.demo.typist import DemoError

_START_SECONDS = 30.0
_STOP_SECONDS = 20.0
_POLL_SECONDS = 0.02


class NodeProcess:
    """`lutra run`, or `lutra app` with its window, on a profile behind one end of the cable.

    Raises:
        DemoError: it does not start.
    """

    def __init__(self, profile: Path, cable: Cable, side: int, *, window: bool = False) -> None:
        self.profile = profile
        verb = "app" if window else "run"
        command = [sys.executable, "-m", "lutra.cli", verb, "--profile", str(profile)]
        self._log = (profile / "log").open("ab")
        self._process = subprocess.Popen(
            [*cable.command(side), *command, *cable.options(side)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
        )
        self.client, status = self._ready()
        cable.listening(side, int(status["listening"][0].rpartition(":")[2]))

    def _ready(self) -> tuple[ControlClient, dict[str, Any]]:
        """Wait until the node answers and is on the network."""
        deadline = time.monotonic() + _START_SECONDS
        while self.running and time.monotonic() < deadline:
            client = ControlClient.connect(self.profile)
            if client is not None:
                with contextlib.suppress(NodeGoneError):
                    status = client.call("status")
                    if status["running"]:
                        return client, status
                client.close()
            time.sleep(_POLL_SECONDS)
        self.kill()
        raise DemoError(f"A node did not start; {self._log.name} says why.")

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """Process id of the node."""
        return self._process.pid

    def call(self, verb: str, **arguments: object) -> Any:
        """Carry out one verb of the node.

        Raises:
            LutraError: it failed.
        """
        return self.client.call(verb, **arguments)

    def kill(self) -> None:
        """End the node as a power cut would (SIGKILL)."""
        self._process.kill()
        self._ended()

    def stop(self) -> None:
        """Ask the node to end, and see that it does."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._ended()

    def _ended(self) -> None:
        self._process.wait()
        self._log.close()
        if hasattr(self, "client"):
            self.client.close()
