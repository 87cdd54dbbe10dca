"""Running peers, one process of each for the whole session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from interop.party import PeerMaker
from interop.peers import DRIVERS, PeerProcess, PeersMissingError, install

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def peer_packages() -> None:
    try:
        install()
    except PeersMissingError as error:
        pytest.skip(f"no other MLS implementation to talk to: {error}")


@pytest.fixture(scope="session", params=sorted(DRIVERS))
def peer(request: pytest.FixtureRequest, peer_packages: None) -> Iterator[PeerMaker]:
    """Makes members of one of the other implementations."""
    process = PeerProcess(request.param)
    yield PeerMaker(process)
    process.close()
