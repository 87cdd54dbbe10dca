"""`lutra.mls` and other implementations in one group, every message really exchanged."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from interop.ours import LutraMaker
from interop.peers import PeerError
from interop.room import RandomPlay, Room
from lutra.errors import RemoteError
from lutra.mls.errors import InvalidCommitError

if TYPE_CHECKING:
    from interop.party import Maker, PeerMaker

OURS = LutraMaker()
SUITES = (1, 2, 3, 4, 5, 6, 7)
EVERY_SUITE = pytest.mark.parametrize("suite", SUITES)


def makers(peer: PeerMaker, suite: int) -> tuple[Maker, Maker]:
    if suite not in peer.suites:
        pytest.skip(f"{peer.implementation} {peer.process.version} has no suite {suite}")
    return OURS, peer


def need(peer: PeerMaker, ability: str) -> None:
    if ability in peer.cannot:
        pytest.skip(f"{peer.implementation} {peer.process.version} cannot: {ability}")


@EVERY_SUITE
def test_we_create_and_they_join(peer: PeerMaker, suite: int) -> None:
    ours, theirs = makers(peer, suite)
    us, them, third = ours(suite, "us"), theirs(suite, "them"), theirs(suite, "third")
    room = Room(suite, us, b"we create")
    room.change(us, add=[them, third])
    room.say(us, b"hello", b"")
    room.say(them, b"hello back")
    room.change(us)
    room.change(them)
    room.change(us, remove=[third])
    room.say(them, bytes(1000))


@EVERY_SUITE
def test_they_create_and_we_join(peer: PeerMaker, suite: int) -> None:
    ours, theirs = makers(peer, suite)
    them, us, second = theirs(suite, "them"), ours(suite, "us"), ours(suite, "second")
    room = Room(suite, them, b"they create")
    room.change(them, add=[us, second])
    room.say(them, b"hello", b"")
    room.say(us, b"hello back")
    room.change(them)
    room.change(us, add=[theirs(suite, "late")])
    room.change(them, remove=[second])
    room.say(us, bytes(1000))
    room.change(us, remove=[them])
    room.say(us, b"still here")


@EVERY_SUITE
def test_external_joins_either_way(peer: PeerMaker, suite: int) -> None:
    ours, theirs = makers(peer, suite)
    us, them = ours(suite, "us"), theirs(suite, "them")
    room = Room(suite, us, b"external")
    room.enter(them, through=us)
    room.say(them, b"in")
    room.change(them)
    second = ours(suite, "second")
    room.enter(second, through=them)
    room.say(second, b"in as well")
    room.change(us)
    assert room.excused == 0


@pytest.mark.parametrize("we_move", [True, False])
def test_a_resync_that_moves_left(peer: PeerMaker, we_move: bool) -> None:
    """The old leaf goes before the path is made, so that it gets no secret of the path."""
    need(peer, "resync-elsewhere")
    mover, witness = (OURS, peer) if we_move else (peer, OURS)
    founder, gone, moving = witness(1, "founder"), witness(1, "gone"), mover(1, "moving")
    room = Room(1, founder, b"moving left")
    room.change(founder, add=[gone, moving])
    room.change(founder, remove=[gone])
    room.resync(moving, through=founder)
    assert room.agree().leaves == {founder.identity: 0, moving.identity: 1}
    room.say(moving, b"one to the left")


@EVERY_SUITE
def test_resync_either_way(peer: PeerMaker, suite: int) -> None:
    ours, theirs = makers(peer, suite)
    us, them = ours(suite, "us"), theirs(suite, "them")
    room = Room(suite, us, b"resync")
    room.change(us, add=[them])
    room.resync(them, through=us)
    room.say(them, b"again")
    room.change(them)
    room.resync(us, through=them)
    room.say(us, b"again too")
    assert room.excused == 0


@pytest.mark.parametrize("public", [True, False], ids=["public", "private"])
def test_proposals_by_reference(peer: PeerMaker, public: bool) -> None:
    if not public:
        need(peer, "private-handshake")
    us, them, third = OURS(1, "us"), peer(1, "them"), peer(1, "third")
    room = Room(1, us, b"proposals", public=public)
    room.change(us, add=[them, third])
    room.propose_update(us)
    room.propose_add(us, OURS(1, "fourth"))
    room.commit_pending(them)
    room.propose_remove(us, third)
    room.commit_pending(them)
    for kind in ("add", "remove"):
        if f"{kind}-proposal" in peer.cannot:
            continue
        if kind == "add":
            room.propose_add(them, peer(1, "fifth"))
        else:
            room.propose_remove(them, room.members[-1])
        room.commit_pending(us)
    room.say(us, b"done")


def test_private_handshakes(peer: PeerMaker) -> None:
    need(peer, "private-handshake")
    us, them = OURS(3, "us"), peer(3, "them")
    room = Room(3, us, b"private", public=False)
    room.change(us, add=[them])
    room.change(them, add=[OURS(3, "second")])
    room.change(us, remove=[them], add=[peer(3, "third")])
    room.change(room.members[-1])


@pytest.mark.parametrize("we_commit", [True, False])
def test_a_blank_half(peer: PeerMaker, we_commit: bool) -> None:
    """The committer's path ends below the root: nobody is left in the other half of the tree."""
    need(peer, "blank-half")
    first, last = (OURS, peer) if we_commit else (peer, OURS)
    gone = [first(1, "one"), first(1, "two")]
    committer, receiver = first(1, "committer"), last(1, "receiver")
    room = Room(1, gone[0], b"blank half")
    room.change(gone[0], add=[gone[1], committer, receiver])
    room.change(committer, remove=gone)
    room.change(receiver)
    room.say(receiver, b"the two of us")


def test_messages_out_of_order(peer: PeerMaker) -> None:
    us, them = OURS(1, "us"), peer(1, "them")
    room = Room(1, us, b"order")
    room.change(us, add=[them])
    room.say(them, *[b"%d" % n for n in range(20)], order=list(range(19, -1, -1)))
    far = "reorder-far" not in peer.cannot
    room.say(us, *[b"%d" % n for n in range(8)], order=[3, 0, 2, 1, 7, 6, 5, 4] if far else None)
    room.say(us, b"one", b"two", order=[1, 0])


def test_pre_shared_keys(peer: PeerMaker) -> None:
    need(peer, "psk-proposal")
    us, them = OURS(1, "us"), peer(1, "them")
    for party in (us, them):
        party.register_psk(b"shared out of band", b"secret" * 5)
    room = Room(1, us, b"psk", public=True)
    room.change(us, add=[them])
    for committer, receiver in ((us, them), (them, us)):
        receiver.process(committer.commit(psk=[b"shared out of band"]).message)
        room.agree()
    third = peer(1, "third")
    third.register_psk(b"shared out of band", b"secret" * 5)
    made = us.commit(add=[third.key_package()], psk=[b"shared out of band"])
    them.process(made.message)
    assert made.welcome is not None
    third.join(made.welcome)
    room.members.append(third)
    room.agree()


@pytest.mark.parametrize("we_found", [True, False])
def test_a_branch(peer: PeerMaker, we_found: bool) -> None:
    need(peer, "branch")
    us, them, other = OURS(1, "us"), peer(1, "them"), peer(1, "other")
    room = Room(1, us, b"trunk")
    room.change(us, add=[them, other])
    founder, guest = (us, them) if we_found else (them, us)
    guest.join_continued(founder.branch(b"branch", [guest.key_package()]))
    room.members = [us, them]
    room.agree()
    room.change(guest)
    room.say(founder, b"just the two of us")


@pytest.mark.parametrize("we_announce", [True, False])
@pytest.mark.parametrize("we_found", [True, False])
def test_a_reinitialisation_in_another_suite(
    peer: PeerMaker, we_announce: bool, we_found: bool
) -> None:
    need(peer, "reinit")
    us, them = OURS(1, "us"), peer(1, "them")
    room = Room(1, us, b"old")
    room.change(us, add=[them])
    announcer, listener = (us, them) if we_announce else (them, us)
    assert listener.process(announcer.reinit(b"new", 3)) is False
    founder, guest = (us, them) if we_found else (them, us)
    guest.join_continued(founder.reinitialise([guest.key_package_for(3)]))
    room.agree()
    room.change(founder)
    room.say(guest, b"in the new suite")


def test_we_change_the_extensions_of_a_group(peer: PeerMaker) -> None:
    us, them = OURS(1, "us"), peer(1, "them")
    room = Room(1, us, b"extensions")
    room.change(us, add=[them])
    assert them.process(us.require_credentials()) is True
    room.agree()
    room.change(them, add=[OURS(1, "third")])
    room.change(us, add=[peer(1, "fourth")])


def test_they_change_the_extensions_of_a_group(peer: PeerMaker) -> None:
    need(peer, "change-extensions")
    us, them = OURS(1, "us"), peer(1, "them")
    room = Room(1, us, b"extensions")
    room.change(us, add=[them])
    if "extensions-with-path" in peer.cannot:
        before = us.snapshot()
        with pytest.raises(InvalidCommitError, match="lacks its update path"):
            us.process(them.require_credentials())
        assert us.snapshot() == before
    else:
        assert us.process(them.require_credentials()) is True
        room.agree()


@pytest.mark.parametrize("we_commit", [True, False])
def test_a_newcomer_proposes_itself(peer: PeerMaker, we_commit: bool) -> None:
    need(peer, "propose-self")
    us, them, newcomer = OURS(1, "us"), peer(1, "them"), peer(1, "newcomer")
    room = Room(1, us, b"knocking")
    room.change(us, add=[them])
    proposal = newcomer.propose_self(us.group_info())
    for member in (us, them):
        assert member.process(proposal) is True
    room.pending.added.append(newcomer)
    room.commit_pending(us if we_commit else them)
    room.say(newcomer, b"thank you")


def test_messages_of_a_past_epoch(peer: PeerMaker) -> None:
    us, them = OURS(1, "us"), peer(1, "them")
    room = Room(1, us, b"late")
    room.change(us, add=[them])
    late_from_us, late_from_them = us.encrypt(b"late from us"), them.encrypt(b"late from them")
    room.change(us)
    assert them.process(late_from_us) == b"late from us"
    assert us.process(late_from_them) == b"late from them"
    room.say(us, b"and on")


def test_both_sides_refuse_what_was_tampered_with(peer: PeerMaker) -> None:
    us, them = OURS(1, "us"), peer(1, "them")
    room = Room(1, us, b"tampered")
    room.change(us, add=[them])
    for sender, receiver, refusal in ((us, them, PeerError), (them, us, RemoteError)):
        sealed = bytearray(sender.encrypt(b"data"))
        sealed[-1] ^= 1
        with pytest.raises(refusal):
            receiver.process(bytes(sealed))
        commit = bytearray(sender.commit().message)
        commit[-1] ^= 1
        with pytest.raises(refusal):
            receiver.process(bytes(commit))
        commit[-1] ^= 1
        assert receiver.process(bytes(commit)) is True
        room.agree()


def play(first: Maker, others: list[Maker], suite: int, seed: int, actions: int) -> RandomPlay:
    room = Room(suite, first(suite, "founder"), b"random %d" % seed, public=seed % 2 == 0)
    random = RandomPlay(room, others, Random(seed))
    random.run(actions)
    return random


@pytest.mark.parametrize(("suite", "actions"), [(1, 200), (2, 70), (3, 70)])
def test_random_actions(peer: PeerMaker, suite: int, actions: int) -> None:
    first = peer if suite % 2 else OURS
    random = play(first, [OURS, peer], suite, 200 + suite, actions)
    assert {"add", "remove", "update", "enter", "resync", "say", "propose"} <= set(random.done)


def test_random_actions_of_three_implementations(peers: dict[str, PeerMaker]) -> None:
    play(OURS, [OURS, *peers.values()], 1, 300, 40)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
@EVERY_SUITE
def test_many_random_actions(peer: PeerMaker, suite: int, seed: int) -> None:
    ours, theirs = makers(peer, suite)
    play((ours, theirs)[seed % 2], [ours, theirs], suite, seed, 200)


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("suite", [1, 2, 3, 5, 7])
def test_many_random_actions_of_three(peers: dict[str, PeerMaker], suite: int, seed: int) -> None:
    play(OURS, [OURS, *peers.values()], suite, 1000 + seed, 200)
