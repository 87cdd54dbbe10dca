"""Running peers, one process of each for the whole session."""

from __future__ import annotations

from contextlib import ExitStack, closing
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


@pytest.fixture(scope="session")
def peers(peer_packages: None) -> Iterator[dict[str, PeerMaker]]:
    """Makes members of each of the other implementations, by its name."""
    with ExitStack() as stack:
        yield {
            name: PeerMaker(stack.enter_context(closing(PeerProcess(name))))
            for name in sorted(DRIVERS)
        }


@pytest.fixture(params=sorted(DRIVERS))
def peer(request: pytest.FixtureRequest, peers: dict[str, PeerMaker]) -> PeerMaker:
    """Makes members of one of the other implementations."""
    return peers[request.param]
