"""The drivers alone: each other implementation talking with itself through the line protocol."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from interop.party import EXPORT_LABEL
from interop.peers import PeerError, PeerUnsupportedError
from interop.room import RandomPlay, Room

if TYPE_CHECKING:
    from interop.party import PeerMaker


@pytest.mark.parametrize("suite", [1, 3])
def test_a_peer_agrees_with_itself(peer: PeerMaker, suite: int) -> None:
    room = Room(suite, peer(suite, "founder"), b"peers alone")
    play = RandomPlay(room, [peer], Random(suite))
    play.run(25)
    assert {"add", "update", "say"} <= set(play.done)


def test_the_peers_agree_with_each_other(peers: dict[str, PeerMaker]) -> None:
    """Where this fails, a disagreement with one of them need not be our fault."""
    room = Room(1, peers["core-crypto"](1, "founder"), b"both peers")
    play = RandomPlay(room, list(peers.values()), Random(7))
    play.run(30)


def test_a_peer_refuses_garbage_without_ending(peer: PeerMaker) -> None:
    party = peer(1, "founder")
    party.create(b"garbage")
    before = party.snapshot()
    with pytest.raises(PeerError):
        party.process(b"\x00\x01\x00\x02garbage")
    assert party.snapshot() == before


def test_an_unknown_operation_is_named(peer: PeerMaker) -> None:
    with pytest.raises(PeerUnsupportedError, match="no operation dance"):
        peer.process.call("dance", label=EXPORT_LABEL)
