"""A device that is asked to delete everything while its node runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from .conftest import Lutra
from .test_device import LOOPBACK, Command, link_arguments


def test_a_running_node_says_why_it_ends(
    node: subprocess.Popen[bytes], lutra: Lutra, short_directory: Path
) -> None:
    phone = short_directory / "phone"
    pair = Command(lutra.profile, "device", "pair", "--yes-same", *LOOPBACK)
    arguments = link_arguments(pair.line())
    Command(phone, "device", "link", *arguments, "--yes-same", *LOOPBACK).end()
    pair.end()
    address = lutra.value("status")["listening"][0]
    command = [sys.executable, "-m", "lutra.cli", "run", "--json", "--profile", str(phone)]
    running = subprocess.Popen(
        [*command, *LOOPBACK, "--peer", address],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    device = json.loads(running.stdout.readline())["identity"]["device"]
    lutra.value("device", "remove", device, "--wipe", "--yes")
    _, sentence = running.communicate(timeout=30)
    assert running.returncode == 1
    assert sentence.startswith("This device was removed by another of your devices")
    assert len(sentence.splitlines()) == 1
    assert not (phone / "lutra.db").exists()
    assert Lutra(phone, lutra._capsys, lutra._monkeypatch)("status").err == sentence
