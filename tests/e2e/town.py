"""Devices as real processes with real sockets, and who is with whom.

As root on Linux every device is a computer of its own on a LAN (network namespaces, mDNS);
otherwise all run on the loopback interface and are told each other's addresses.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from lutra.cli.client import ControlClient
from net.namespaces import Computer, lan, unavailable

PATIENCE_SECONDS = 90.0
_ENVIRONMENT = {**os.environ, "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}


class Device:
    """One device: a profile, and a node that runs on it while the device is with others."""

    def __init__(self, profile: Path, computer: Computer | None) -> None:
        self.profile = profile
        self._computer = computer
        self._node: subprocess.Popen[str] | None = None
        self.address = ""
        self._id = ""

    @property
    def name(self) -> str:
        return self.profile.name

    def start(self, *arguments: str, answers: str = "") -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "lutra.cli", *arguments, "--json"]
        command += ["--profile", str(self.profile)]
        options: dict[str, Any] = {
            "stdin": subprocess.PIPE,
            "stdout": subprocess.PIPE,
            "text": True,
            "env": _ENVIRONMENT,
        }
        if self._computer is not None:
            process = self._computer.start(command, **options)
        else:
            process = subprocess.Popen(command, **options)
        assert process.stdin is not None
        process.stdin.write(answers)
        process.stdin.flush()
        return process

    def do(self, *arguments: str, answers: str = "") -> Any:
        """Run a command to its end; returns its last line of JSON."""
        process = self.start(*arguments)
        out, _ = process.communicate(answers, timeout=PATIENCE_SECONDS)
        assert process.returncode == 0, (self.name, arguments, out)
        return json.loads(out.splitlines()[-1])

    def network(self) -> tuple[str, ...]:
        return () if self._computer is not None else ("--no-discovery", "--listen", "127.0.0.1:0")

    def run(self, peers: list[str]) -> None:
        told = (
            ()
            if self._computer is not None
            else [item for one in peers for item in ("--peer", one)]
        )
        self._node = self.start("run", *self.network(), *told)
        assert self._node.stdout is not None
        self.address = json.loads(self._node.stdout.readline())["listening"][0]

    def stop(self) -> None:
        node, self._node = self._node, None
        if node is not None:
            node.terminate()
            node.communicate(timeout=30)

    def ask(self, verb: str, **arguments: object) -> Any:
        """Ask the running node."""
        client = ControlClient.connect(self.profile)
        assert client is not None
        with contextlib.closing(client):
            return client.call(verb, **arguments)

    def own_id(self) -> str:
        """Return the device's id; the first time while it runs."""
        self._id = self._id or self.ask("status")["identity"]["device"]
        return self._id

    def text(self, page: str) -> str:
        if page not in {item["id"] for item in self.ask("documents")}:
            return ""
        return self.ask("document", document=page)["text"]

    def account(self) -> str:
        """Say in few words what this device has and whom it sees, for tests that fail."""
        status, peers = self.ask("status"), self.ask("peers")
        lines = [
            f"{self.name} {self.own_id()[:6]}: {status['operations']} operations, "
            f"{status['drafts']} drafts, {status['waiting_for_keys']} wait for keys, "
            f"{status['connected']} connections, shares groups with "
            f"{sorted(one['device'][:6] for one in peers if one['connected'])}"
        ]
        for group in (self.ask("group", group=item["id"]) for item in self.ask("groups")):
            roster = sorted(device[:6] for device in self.roster(group["id"]))
            facts = {key: group[key] for key in ("member", "ready", "role")}
            lines.append(f"  {group['name']!r}: {facts}, roster {roster}")
        lines += [f"  page: {self.text(item['id'])!r}" for item in self.ask("documents")]
        return "\n".join(lines)

    def roster(self, group: str) -> set[str]:
        members = self.ask("group", group=group)["members"]
        return {member["device"] for member in members if member["present"]}


class Town:
    """All devices, and who is with whom."""

    def __init__(self, folder: Path, computers: list[Computer]) -> None:
        self._folder = folder
        self._computers = computers
        self._running: list[Device] = []

    def device(self, name: str) -> Device:
        computer = self._computers.pop() if self._computers else None
        return Device(self._folder / name, computer)

    @contextlib.contextmanager
    def together(self, *devices: Device) -> Iterator[None]:
        """Let devices run at the same time, reachable for each other and nobody else."""
        try:
            for device in devices:
                device.run([other.address for other in self._running])
                self._running.append(device)
            yield
        finally:
            self._running.clear()
            for device in devices:
                device.stop()

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        """Wait until something has come about; tell how things stand if it does not."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                accounts = "\n".join(device.account() for device in self._running)
                pytest.fail(f"waited in vain until {what}:\n{accounts}")
            time.sleep(0.1)

    def person(self, name: str) -> tuple[Device, Device]:
        """Make a person with a laptop and a phone, paired by code."""
        laptop, phone = self.single(name), self.device(f"{name}-phone")
        self.pair(laptop, phone)
        return laptop, phone

    def single(self, name: str) -> Device:
        """Make a person with a laptop."""
        laptop = self.device(f"{name}-laptop")
        laptop.do("init", "--name", name.title(), "--device", "laptop")
        return laptop

    def pair(self, device: Device, newcomer: Device) -> None:
        """Make a device without a profile one of a person's, by code."""
        pair = device.start("device", "pair", "--yes-same", *device.network())
        assert pair.stdout is not None
        shown = json.loads(pair.stdout.readline())
        where = ("--address", shown["addresses"][0]) if device.network() else ()
        kind = newcomer.name.partition("-")[2]
        entered = (shown["code"], *where, "--device", kind, "--yes-same")
        assert newcomer.do("device", "link", *entered, *newcomer.network())["complete"]
        pair.communicate(timeout=PATIENCE_SECONDS)
        assert pair.returncode == 0


@contextlib.contextmanager
def town() -> Iterator[Town]:
    """Make a town of up to seven devices."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="lutra-")))
        computers: list[Computer] = []
        if unavailable() is None:
            computers = list(stack.enter_context(lan(7)).computers)
        yield Town(folder, computers)
