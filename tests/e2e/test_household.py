"""People with two devices each, apart and together again: real processes, real sockets.

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

    def text(self, page: str) -> str:
        if page not in {item["id"] for item in self.ask("documents")}:
            return ""
        return self.ask("document", document=page)["text"]

    def account(self) -> str:
        """Say in few words what this device has and whom it sees, for tests that fail."""
        status, peers = self.ask("status"), self.ask("peers")
        lines = [
            f"{self.name} {status['identity']['device'][:6]}: {status['operations']} operations, "
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
        laptop, phone = self.device(f"{name}-laptop"), self.device(f"{name}-phone")
        laptop.do("init", "--name", name.title(), "--device", "laptop")
        pair = laptop.start("device", "pair", "--yes-same", *laptop.network())
        assert pair.stdout is not None
        shown = json.loads(pair.stdout.readline())
        where = ("--address", shown["addresses"][0]) if laptop.network() else ()
        entered = (shown["code"], *where, "--device", "phone", "--yes-same")
        assert phone.do("device", "link", *entered, *phone.network())["complete"]
        pair.communicate(timeout=PATIENCE_SECONDS)
        assert pair.returncode == 0
        return laptop, phone


@pytest.fixture
def town() -> Iterator[Town]:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="lutra-")))
        computers: list[Computer] = []
        if unavailable() is None:
            computers = list(stack.enter_context(lan(7)).computers)
        yield Town(folder, computers)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_somebody_is_removed_while_others_are_away_and_add_somebody(town: Town) -> None:
    ana, ben, cleo = town.person("ana"), town.person("ben"), town.person("cleo")
    dora = town.device("dora-laptop")
    dora.do("init", "--name", "Dora", "--device", "laptop")
    everybody = (*ana, *ben, *cleo)

    with town.together(*everybody):
        group = ana[0].do("group", "create", "Choir")["id"]
        page = ana[0].ask("create_document", group=group, title="Notes", text="start")["id"]
        for person, role in ((ben, "admin"), (cleo, "writer")):
            invite = ana[0].do("group", "invite", group, "--role", role)
            joined = person[0].do("group", "join", invite["code"], "--address", ana[0].address)
            assert joined["state"] == "admitted"
        town.wait_for(
            lambda: all(one.text(page) == "start" for one in everybody), "all have the page"
        )
        town.wait_for(lambda: all(len(one.roster(group)) == 6 for one in everybody), "all know all")

    with town.together(*ana):
        ana[0].do("group", "remove", group, "Cleo", "--yes")
        ana[1].ask("append", document=page, text=" ana")
        town.wait_for(
            lambda: ana[0].text(page).endswith(" ana"), "Ana's laptop has her phone's text"
        )

    with town.together(*ben, *cleo, dora):
        invite = ben[0].do("group", "invite", group)
        joined = dora.do("group", "join", invite["code"], "--address", ben[0].address)
        assert joined["state"] == "admitted"
        cleo[1].ask("append", document=page, text=" cleo")
        town.wait_for(lambda: " cleo" in ben[1].text(page), "Ben's phone has Cleo's text")
        ben[1].ask("append", document=page, text=" ben")
        town.wait_for(lambda: " ben" in dora.text(page), "Dora has Ben's text")
        dora.ask("append", document=page, text=" dora")
        town.wait_for(lambda: " dora" in ben[0].text(page), "Ben's laptop has Dora's text")

    staying = (*ana, *ben, dora)
    with town.together(*staying, *cleo):
        town.wait_for(
            lambda: all({" ana", " ben", " dora"} <= words(one.text(page)) for one in staying),
            "nothing of those who stay is missing",
        )
        town.wait_for(
            lambda: len({one.text(page) for one in staying}) == 1, "all have the same text"
        )
        town.wait_for(
            lambda: all(len(one.roster(group)) == 5 for one in staying), "rosters are right"
        )
        assert len({frozenset(one.roster(group)) for one in staying}) == 1
        town.wait_for(
            lambda: all(not one.ask("group", group=group)["member"] for one in cleo),
            "Cleo's devices know that they are out",
        )
        ana[0].ask("append", document=page, text=" secret")
        town.wait_for(lambda: all(" secret" in one.text(page) for one in staying), "all go on")
        assert all(" secret" not in one.text(page) for one in cleo)


def words(text: str) -> set[str]:
    return {f" {word}" for word in text.split()}
