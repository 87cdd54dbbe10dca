"""Fixtures every test may use."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import settings

from lutra.net.diagnosis import probe_multicast

_LOOPBACK = "127.0.0.1"
_TURN_PORT = 15353
"""Bound by the test whose turn it is on the loopback interface."""

# No test reaches the keyring of whoever runs them; the library chooses it once for the process.
os.environ.setdefault("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")

# A busy machine is no failure; pytest-timeout ends what hangs.
settings.register_profile("lutra", deadline=None)
settings.load_profile("lutra")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="also run the long tests (make soak)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--soak"):
        return
    skip = pytest.mark.skip(reason="long run: only with --soak (make soak)")
    for item in items:
        if "soak" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of official vectors and recorded sessions, or a skip that says why."""
    root = Path(__file__).resolve().parent.parent
    folder = Path(os.environ.get("LUTRA_SHARED", root.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no shared vectors and traces at {folder}: set LUTRA_SHARED to their folder")
    return folder


@pytest.fixture
def loopback_multicast() -> Iterator[None]:
    """Have the multicast DNS of 127.0.0.1 alone: tests in other processes would be heard there."""
    with socket.socket() as turn:
        while True:
            try:
                turn.bind((_LOOPBACK, _TURN_PORT))
                break
            except OSError:
                time.sleep(0.02)
        with ThreadPoolExecutor(1) as thread:
            facts = thread.submit(lambda: asyncio.run(probe_multicast(_LOOPBACK))).result()
        if not facts.heard:
            reason = facts.error or "not heard"
            pytest.skip(f"no multicast on the loopback interface here ({reason})")
        yield
