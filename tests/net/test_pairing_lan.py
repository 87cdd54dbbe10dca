"""Pairing on a LAN of network namespaces, found by mDNS; and what the wire shows of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from zeroconf import DNSIncoming, DNSText

from lutra.net.tags import read_tags
from lutra.node.ids import parse_id
from net.capture import Capture
from net.namespaces import Computer, Lan, lan, require

SCRIPT = Path(__file__).with_name("command.py")
PERSON, LAPTOP, GROUP, TITLE = "Anastasia Otter", "old desktop", "Otter lovers", "Trout of Basel"
ENVIRONMENT = {**os.environ, "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}


@pytest.fixture(autouse=True)
def _namespaces() -> None:
    require()


@pytest.fixture
def folder() -> Any:
    with TemporaryDirectory(prefix="lutra-") as short:
        yield Path(short)


class Command:
    """One command line in a process of its own."""

    def __init__(self, computer: Computer, days: int, profile: Path, *arguments: str) -> None:
        command = [sys.executable, str(SCRIPT), str(days), *arguments]
        self._process = computer.start(
            [*command, "--json", "--profile", str(profile)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )

    def line(self) -> Any:
        assert self._process.stdout is not None
        text = self._process.stdout.readline()
        if not text:
            pytest.fail(f"the command ended: {self._process.communicate()}")
        return json.loads(text)

    def end(self, answer: str = "") -> Any:
        out, err = self._process.communicate(answer, timeout=90)
        assert self._process.returncode == 0, (out, err)
        return json.loads(out.splitlines()[-1])


def founded(network: Lan, profile: Path) -> dict[str, Any]:
    """Make the person, a group and a page on the first computer; returns the ids."""
    first = network.computers[0]
    who = Command(first, 0, profile, "init", "--name", PERSON, "--device", LAPTOP).end()
    group = Command(first, 0, profile, "group", "create", GROUP).end()
    create = Command(first, 0, profile, "page", "create", group["id"], "--title", TITLE)
    page = create.end("a plain sentence that nobody else may read")
    return {"device": who["device"], "person": who["person"], "group": group["id"], **page}


def paired(network: Lan, days: int, laptop: Path, new: Path, name: str) -> dict[str, Any]:
    """Pair by a code and nothing else; returns the new device's status."""
    first, second = network.computers
    pair = Command(first, days, laptop, "device", "pair", "--yes-same")
    code = pair.line()["code"]
    link = Command(second, days, new, "device", "link", code, "--yes-same", "--device", name)
    status = link.end()
    pair.end()
    return status


def test_a_code_is_enough_on_one_network(folder: Path) -> None:
    with lan(2) as network:
        founded(network, folder / "laptop")
        status = paired(network, 0, folder / "laptop", folder / "phone", "phone")
        assert status["complete"]
        assert status["identity"]["name"] == PERSON
        assert status["documents"] == 1


def test_the_wire_shows_nothing_that_names_anybody_nor_stays_the_same(folder: Path) -> None:
    captures: list[Capture] = []
    with lan(2) as network:
        ids = founded(network, folder / "laptop")
        for day, name in enumerate(("brand new phone", "kitchen tablet")):
            with network.capture() as capture:
                status = paired(network, day, folder / "laptop", folder / f"new{day}", name)
            ids[name] = status["identity"]["device"]
            captures.append(capture)
    names = (PERSON, LAPTOP, GROUP, TITLE, "phone", "tablet", "a plain sentence")
    hidden = [name.encode() for name in names]
    for value in ids.values():
        if isinstance(value, str) and len(value) == 52:
            hidden += [parse_id(value), value.encode(), parse_id(value).hex().encode()]
    for capture in captures:
        # What is looked for would be found: a capture that sees nothing proves nothing.
        assert capture.contains(b"_lutra-pair")
        assert capture.contains(b"LUTRA\x01\x01")
        assert capture.tcp_bytes() > 2000
        for secret in hidden:
            assert not capture.contains(secret)
            assert not capture.contains(secret[:8])
    first, second = (announced(capture) for capture in captures)
    assert len(first) > 8
    assert len(second) > 8
    assert not first & second


def announced(capture: Capture) -> set[bytes]:
    """Return the names of services and hosts, and the tags in them, that mDNS carried."""
    found: set[bytes] = set()
    for packet in capture.udp(5353):
        for record in DNSIncoming(packet).answers():
            if not isinstance(record, DNSText):
                continue
            found.add(record.name.encode())
            found |= read_tags(properties_of(record.text))
    return found


def properties_of(text: bytes) -> dict[bytes, bytes | None]:
    """Split a TXT record into its properties."""
    properties: dict[bytes, bytes | None] = {}
    while text:
        length = text[0]
        name, _, value = text[1 : 1 + length].partition(b"=")
        properties[name] = value
        text = text[1 + length :]
    return properties
