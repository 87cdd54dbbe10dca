"""Fixtures every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

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
