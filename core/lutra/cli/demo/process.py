"""A node of the demonstration: `lutra run` as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, cast

from lutra.cli.client import ControlClient
from lutra.cli.demo.cable import Cable
from lutra.cli.demo.typist import DemoError

_START_SECONDS = 30.0
_STOP_SECONDS = 20.0


class NodeProcess:
    """`lutra run` on a profile, behind one end of the cable.

    Raises:
        DemoError: it does not start.
    """

    def __init__(self, profile: Path, cable: Cable, side: int) -> None:
        self.profile = profile
        command = [sys.executable, "-m", "lutra.cli", "run", "--json", "--profile", str(profile)]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self._log = (profile / "log").open("ab")
        self._process = subprocess.Popen(
            [*cable.command(side), *command, *cable.options(side)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
        )
        status = self._ready()
        cable.listening(side, int(status["listening"][0].rpartition(":")[2]))
        client = ControlClient.connect(profile)
        if client is None:
            raise DemoError("A node has started and does not answer.")
        self.client = client

    def _ready(self) -> dict[str, Any]:
        """Wait for the first line of output, which says that the node is ready."""
        watchdog = threading.Timer(_START_SECONDS, self._process.kill)
        watchdog.start()
        try:
            assert self._process.stdout is not None
            line = self._process.stdout.readline()
        finally:
            watchdog.cancel()
        if not line:
            self.kill()
            raise DemoError(f"A node did not start; {self._log.name} says why.")
        return cast("dict[str, Any]", json.loads(line))

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
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()
        if hasattr(self, "client"):
            self.client.close()
