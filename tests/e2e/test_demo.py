"""The demonstration, whole: what it ends with, and what can be read on the wire and on disk."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from lutra.cli.demo.cable import CableError, LoopbackCable, NamespaceCable
from lutra.cli.demo.conductor import GROUP_NAME, PAGE_TITLE, PEOPLE, Report, perform
from lutra.cli.demo.trace import Script, built_in_script, load_trace

_CAPTURE = """
import socket, sys
packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
packets.setsockopt(socket.SOL_SOCKET, 33, 1 << 26)  # SO_RCVBUFFORCE
print("capturing", flush=True)
with open(sys.argv[1], "wb", buffering=0) as file:
    while True:
        file.write(packets.recv(1 << 16))
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    with TemporaryDirectory(prefix="lutra-") as short:  # socket paths must be short
        yield Path(short)


def secrets_of(script: Script, text: str) -> set[bytes]:
    """Everything that must not be readable: names, titles, and the words of the document."""
    words = {word for word in re.findall(r"\w{7,}", text) if word.isascii()}
    people = {part for person in PEOPLE for name in person for part in name.split()}
    told = {GROUP_NAME, PAGE_TITLE, "sightings", *(name for name in people if len(name) > 5)}
    return {secret.encode() for secret in words | told}


def readable(data: bytes, secrets: Iterable[bytes]) -> set[bytes]:
    """Those of the secrets that stand in the data, as UTF-8 or UTF-16, in any case."""
    lowered = data.lower()
    return {
        secret
        for secret in secrets
        if secret.lower() in lowered or secret.decode().lower().encode("utf-16-le") in lowered
    }


def files_of(profile: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(profile)): path.read_bytes()
        for path in profile.rglob("*")
        if path.is_file()
    }


def check(report: Report, directory: Path, secrets: set[bytes]) -> None:
    """Both hold the text, both know that the other does, and neither's files can be read."""
    assert report.equal
    assert [store.holders for store in report.stores] == [2, 2]
    assert report.typed_apart > 0
    assert report.converged < 30
    for side, (name, _) in enumerate(PEOPLE):
        files = files_of(directory / name.split()[0].lower())
        assert len(files["lutra.db"]) == report.stores[side].database_bytes > 100_000
        for file, data in files.items():
            # The description of a profile is plain JSON; one of its keys may be in the text too.
            told = secrets - {b"version"} if file == "profile.json" else secrets
            assert readable(data, told) == set(), file
            if file != "log":
                assert data


@pytest.mark.timeout(600)
def test_the_recorded_session_over_loopback(shared: Path, directory: Path) -> None:
    script = load_trace(shared / "traces" / "friendsforever.json.gz")
    assert script.end_content is not None
    secrets = secrets_of(script, script.end_content)
    assert len(secrets) > 200
    cable = LoopbackCable()
    cable.recording = []
    try:
        report = perform(script, cable, directory, lambda _: None)
    finally:
        cable.close()
    check(report, directory, secrets)
    assert [store.characters for store in report.stores] == [len(script.end_content)] * 2
    wire = b"".join(cable.recording)
    # The nodes say goodbye after the report has counted.
    assert len(wire) >= report.wire_bytes > 100_000
    assert readable(wire, secrets) == set()


def test_the_search_for_plain_text_finds_it() -> None:
    text = "sightings of OTTERS near the weir, " + PAGE_TITLE
    secrets = {b"Otter sightings", b"sightings", b"otters"}
    assert readable(text.encode(), secrets) == secrets
    assert readable(b"\x00" + text.encode("utf-16-le"), secrets) == secrets
    assert readable(os.urandom(1 << 16), secrets) == set()


@pytest.fixture
def namespaces() -> Iterator[NamespaceCable]:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and iproute2")
    try:
        cable = NamespaceCable()
    except CableError:
        pytest.skip("this machine does not allow network namespaces")
    yield cable
    cable.close()


@contextmanager
def capturing(hub: str, file: Path) -> Iterator[None]:
    command = ["ip", "netns", "exec", hub, sys.executable, "-c", _CAPTURE, str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"capturing\n"
        yield
        process.kill()


def test_two_networks_with_discovery(namespaces: NamespaceCable, directory: Path) -> None:
    script = built_in_script(words=300)
    capture = directory / "capture"
    with capturing(namespaces.hub, capture):
        report = perform(script, namespaces, directory, lambda _: None)
    secrets = secrets_of(script, "holt willow") | {b"otter river", b"willow heron"}
    check(report, directory, secrets)
    seen = capture.read_bytes()
    assert len(seen) > 0.9 * report.wire_bytes
    assert b"_lutra" in seen  # mDNS is there, so the capture saw the whole exchange
    assert readable(seen, secrets) == set()


def test_the_command_prints_its_report(directory: Path) -> None:
    command = [sys.executable, "-m", "lutra.cli", "demo", "--json", "--no-windows"]
    command += ["--keep", str(directory / "d")]
    # Without `ip` the demonstration uses the loopback interface, with or without root.
    environment = {**os.environ, "PATH": "/nonexistent"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["equal"] is True
    assert "loopback" in report["network"]
    assert report["edits"] == sum(built_in_script().edits)
    assert "Pulling the cable" in done.stderr
    again = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert again.returncode == 2
    assert "not empty" in again.stderr
