"""Running the command line as people do: arguments in, output and exit status out."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from lutra.cli import run


@dataclass(frozen=True)
class Outcome:
    status: int
    out: str
    err: str

    @property
    def value(self) -> Any:
        return json.loads(self.out)


class Lutra:
    """The command line on one profile, in this process."""

    def __init__(
        self, profile: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.profile = profile
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def __call__(self, *arguments: str, stdin: str = "") -> Outcome:
        encoded = io.TextIOWrapper(io.BytesIO(stdin.encode("utf-8", "surrogateescape")))
        self._monkeypatch.setattr(sys, "stdin", encoded)
        self._capsys.readouterr()
        status = run([*arguments, "--profile", str(self.profile)])
        captured = self._capsys.readouterr()
        assert "Traceback" not in captured.err + captured.out
        return Outcome(status, captured.out, captured.err)

    def value(self, *arguments: str, stdin: str = "") -> Any:
        """Run a command that must succeed; its JSON result."""
        outcome = self(*arguments, "--json", stdin=stdin)
        assert outcome.status == 0, outcome
        return outcome.value


@pytest.fixture
def short_directory() -> Iterator[Path]:
    """A directory whose path is short enough for a Unix socket."""
    with TemporaryDirectory(prefix="lutra-") as short:
        yield Path(short)


@pytest.fixture
def lutra(
    short_directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Lutra:
    return Lutra(short_directory / "profile", capsys, monkeypatch)


@pytest.fixture
def node(lutra: Lutra) -> Iterator[subprocess.Popen[bytes]]:
    """A profile with a node running on it."""
    lutra.value("init", "--name", "Ana", "--device", "laptop")
    process = start_node(lutra.profile)
    yield process
    process.terminate()
    process.wait(20)
    assert process.stdout is not None
    process.stdout.close()


def start_node(profile: Path, *options: str) -> subprocess.Popen[bytes]:
    """Start `lutra run` on the loopback interface and wait until it is ready."""
    command = [sys.executable, "-m", "lutra.cli", "run", "--json", "--profile", str(profile)]
    process = subprocess.Popen(
        [*command, "--no-discovery", "--listen", "127.0.0.1:0", *options],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    status = json.loads(process.stdout.readline())
    assert status["running"]
    return process


def until_text(lutra: Lutra, page: str, text: str) -> None:
    """Wait until a page reads as it should."""
    until(lambda: lutra("page", "show", page).out == text)


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, "what was waited for never happened"
        time.sleep(0.05)


@pytest.fixture
def children_hear_interrupts() -> Iterator[None]:
    """A shell that runs the tests in the background makes all their children ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
