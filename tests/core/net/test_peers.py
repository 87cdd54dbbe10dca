"""Peers that find, dial, lose and meet each other again, over real TCP on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from core.net.channels import ALICE, BOB, MALLORY
from core.net.proxies import proxying
from core.net.waiting import until
from lutra.crypto.signing import SigningKey
from lutra.net.connection import Address, Connection, Timing
from lutra.net.discovery import Announced, Found, Gone, NetworkChanged
from lutra.net.errors import ChannelClosedError, HandshakeError
from lutra.net.frames import Purpose
from lutra.net.knock import Knock
from lutra.net.mdns import ServiceKind
from lutra.net.peers import (
    MAX_GUESTS,
    Admission,
    AdmissionChanged,
    PeerConnected,
    PeerDisconnected,
    PeerEvent,
    PeerManager,
)
from lutra.net.tags import TagTable, group_tag_key, tag
from lutra.net.transport import dial

KEY = group_tag_key(b"discovery secret")
HASTY = Timing(connect=2, handshake=1, keep_alive=0.1, silence=0.4, tick=0.05, linger=0.2)


@dataclass
class Peer:
    manager: PeerManager
    events: list[PeerEvent] = field(default_factory=list)

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self.manager.port)

    @property
    def only(self) -> Connection:
        (connection,) = self.manager.connections()
        return connection

    @property
    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.events]


def member(_device: bytes) -> Admission:
    return Admission.MEMBER


@contextlib.asynccontextmanager
async def running(
    key: SigningKey,
    *,
    admit: Callable[[bytes], Admission] = member,
    timing: Timing = HASTY,
    port: int = 0,
) -> AsyncIterator[Peer]:
    events: list[PeerEvent] = []
    manager = PeerManager(
        key, on_event=events.append, admit=admit, timing=timing, jitter=lambda: 0.0
    )
    await manager.open("127.0.0.1", port)
    try:
        yield Peer(manager, events)
    finally:
        await manager.close()


def agree(one: Peer, other: Peer) -> bool:
    """Both hold exactly one connection, and it is the same one."""
    mine, theirs = one.manager.connections(), other.manager.connections()
    return (
        len(mine) == len(theirs) == 1
        and mine[0].is_open
        and theirs[0].is_open
        and mine[0].handshake_hash == theirs[0].handshake_hash
    )


async def open_sockets_settle(*peers: Peer) -> None:
    """Wait until no dial is under way and no surplus connection is left."""
    await until(lambda: all(peer.manager._dials == 0 for peer in peers))


@pytest.mark.parametrize("attempt", range(10))
async def test_both_dial_at_once_and_one_connection_survives(attempt: int) -> None:
    keys = [SigningKey(bytes([attempt + 1]) * 32), SigningKey(bytes([attempt + 101]) * 32)]
    async with running(keys[0]) as one, running(keys[1]) as other:
        one.manager.add_typed(other.address)
        other.manager.add_typed(one.address)
        await until(lambda: agree(one, other))
        await open_sockets_settle(one, other)
        await until(lambda: agree(one, other))
        assert one.kinds == other.kinds == ["PeerConnected"]
        await one.only.send(b"after all that")
        assert await other.only.receive() == b"after all that"


async def test_the_smaller_key_keeps_the_first_connection_whoever_dialled_it() -> None:
    small, large = sorted((ALICE, BOB), key=lambda key: key.public)
    for dialling, answering in ((small, large), (large, small)):
        async with running(dialling) as one, running(answering) as other:
            one.manager.add_typed(other.address)
            await until(lambda: agree(one, other))
            first = one.only
            # The other side does not know whose address this is: it dials too.
            other.manager.add_typed(one.address)
            await until(lambda: any(attempt.error for attempt in one_facts(other.manager)))
            assert agree(one, other)
            assert one.only is first
            assert one.kinds == other.kinds == ["PeerConnected"]


async def test_a_device_that_never_chooses_is_dropped() -> None:
    small, large = sorted((ALICE, BOB), key=lambda key: key.public)
    async with running(large, timing=Timing(handshake=0.2)) as one:
        undecided = await dial(one.address, small, admit=lambda _: True, purpose=Purpose.PEER)
        with pytest.raises(ChannelClosedError):
            await undecided.receive()
        assert not one.events


async def test_a_lost_peer_is_met_again_when_it_returns() -> None:
    async with running(ALICE) as one:
        async with running(BOB) as other:
            port = other.manager.port
            one.manager.add_typed(other.address)
            await until(lambda: agree(one, other))
        await until(lambda: not one.manager.connections())
        assert one.kinds == ["PeerConnected", "PeerDisconnected"]
        async with running(BOB, port=port) as other:
            await until(lambda: agree(one, other), seconds=20)


async def test_a_pulled_cable_is_noticed_and_mended() -> None:
    async with running(ALICE) as one, running(BOB) as other, proxying(other.address) as proxy:
        one.manager.add_typed(Address("127.0.0.1", proxy.port))
        await until(lambda: agree(one, other))
        proxy.cut = True
        await until(lambda: not one.manager.connections() and not other.manager.connections())
        proxy.cut = False
        await until(lambda: agree(one, other), seconds=20)


async def test_a_restarted_peer_replaces_its_own_dead_connection() -> None:
    """The new process dials, while here the old connection still looks open."""
    patient = Timing(keep_alive=0.1, silence=60, tick=0.05)
    async with running(ALICE, timing=patient) as one, proxying(one.address) as proxy:
        before = await dial_as_peer(Address("127.0.0.1", proxy.port))
        await until(one.manager.connections)
        proxy.cut = True
        await until(lambda: one.manager._is_stale(one.only))
        after = await dial_as_peer(one.address)
        await until(lambda: one.only.handshake_hash == after.handshake_hash)
        before.close()
        after.close()


async def dial_as_peer(address: Address) -> Connection:
    """Dial as Bob; choose the connection, which has no effect where the other side chooses."""
    connection = await dial(address, BOB, admit=lambda _: True, purpose=Purpose.PEER)
    connection.choose()
    return connection


async def test_an_errand_comes_beside_the_connection_there_is() -> None:
    for errand_key, key in ((ALICE, BOB), (BOB, ALICE)):
        async with running(key) as one, running(errand_key) as other:
            one.manager.add_typed(other.address)
            await until(lambda: agree(one, other))
            errand = await dial(one.address, errand_key, admit=lambda _: True)
            await until(lambda: len(one.events) == 2)
            event = one.events[-1]
            assert isinstance(event, PeerConnected)
            assert event.admission is Admission.GUEST
            await errand.send(b"may I join?")
            assert await event.connection.receive() == b"may I join?"
            errand.close()
            await until(lambda: one.kinds[-1] == "PeerDisconnected")
            assert agree(one, other)
            assert other.kinds == ["PeerConnected"]


async def test_errands_and_guests_are_bounded() -> None:
    async with running(ALICE, admit=lambda _: Admission.GUEST) as one:
        errands = [
            await dial(one.address, SigningKey(bytes([number]) * 32), admit=lambda _: True)
            for number in range(MAX_GUESTS)
        ]
        await until(lambda: len(one.events) == MAX_GUESTS)
        refused = await dial(one.address, MALLORY, admit=lambda _: True)
        with pytest.raises(ChannelClosedError) as closed:
            await refused.receive()
        assert closed.value.details["reason"] == "BUSY"
        errands[0].close()
        await until(lambda: one.kinds.count("PeerDisconnected") == 1)
        again = await dial(one.address, MALLORY, admit=lambda _: True)
        await until(lambda: one.kinds.count("PeerConnected") == MAX_GUESTS + 1)
        for connection in (*errands, again):
            connection.close()


async def test_found_remembered_and_typed_addresses_are_dialled_at_once() -> None:
    keys = [SigningKey(bytes([number]) * 32) for number in range(1, 4)]
    async with (
        running(ALICE) as one,
        running(keys[0]) as found,
        running(keys[1]) as remembered,
        running(keys[2]) as typed,
    ):
        # Nothing answers here: it must not hold the others up.
        one.manager.add_typed(Address("127.0.0.2", 9))
        found.manager.discovered(Announced(TagTable({KEY: KEY}, 5)))
        knock = Knock(tag(KEY, 5), KEY)
        service = Found(ServiceKind.GROUPS, "x", (found.address,), frozenset({b"g"}), knock)
        one.manager.discovered(service)
        one.manager.remember(remembered.address, keys[1].public)
        one.manager.add_typed(typed.address)
        await until(lambda: len(one.manager.connections()) == 3)
        facts = one.manager.facts()
        (failed,) = [attempt for attempt in facts.attempts if attempt.error is not None]
        assert failed.address == Address("127.0.0.2", 9)
        assert failed.failures >= 1
        assert set(facts.connected) == {key.public for key in keys}
        one.manager.discovered(Gone("x"))
        assert found.address in {attempt.address for attempt in one.manager.facts().attempts}
        one.manager.disconnect(keys[0].public)
        await until(lambda: found.address not in {one.address for one in one_facts(one.manager)})


def one_facts(manager: PeerManager):
    return manager.facts().attempts


async def test_a_repeated_announcement_does_not_make_devices_show_who_they_are() -> None:
    """Mallory has heard the tags and announces them too, without knowing the group."""
    asked: list[bytes] = []

    def curious(device: bytes) -> Admission:
        asked.append(device)
        return Admission.MEMBER

    async with running(ALICE) as one, running(MALLORY, admit=curious) as impostor:
        knock = Knock(tag(KEY, 5), KEY)
        service = Found(ServiceKind.GROUPS, "x", (impostor.address,), frozenset({b"g"}), knock)
        one.manager.discovered(service)
        await until(lambda: any(attempt.error for attempt in one_facts(one.manager)))
        (attempt,) = one_facts(one.manager)
        assert isinstance(attempt.error, HandshakeError)
        assert not asked
        assert not one.events


async def test_hundreds_of_hostile_connections_do_not_disturb_an_honest_one() -> None:
    """Recorded handshakes come back changed at random, cut off or as they were."""
    async with running(ALICE) as one, running(BOB) as other, proxying(one.address) as proxy:
        other.manager.add_typed(Address("127.0.0.1", proxy.port))
        await until(lambda: agree(one, other))
        recorded, chance = bytes(proxy.seen), random.Random(1)

        async def attack() -> None:
            changed = bytearray(recorded[: chance.randrange(len(recorded))])
            for _ in range(chance.randrange(3)):
                if changed:
                    changed[chance.randrange(len(changed))] = chance.randrange(256)
            reader, writer = await asyncio.open_connection("127.0.0.1", one.manager.port)
            with contextlib.suppress(ConnectionError):
                writer.write(changed)
                writer.write_eof()
                while await reader.read(4096):
                    pass
            writer.close()

        async def talk() -> None:
            for number in range(200):
                await other.only.send(b"%d" % number)
                assert await one.only.receive() == b"%d" % number

        async def attack_often() -> None:
            for _ in range(60):
                await asyncio.gather(*(attack() for _ in range(5)))

        await asyncio.gather(talk(), attack_often())
        await until(lambda: not one.manager._listener._greeting)
        assert one.manager.facts().incoming == 301
        assert one.kinds == ["PeerConnected"]
        assert agree(one, other)


async def test_finding_oneself_is_not_tried_again() -> None:
    async with running(ALICE) as one:
        one.manager.add_typed(one.address)
        await until(lambda: one.manager.facts().incoming == 1)
        await until(lambda: not one_facts(one.manager))
        assert not one.events


async def test_refused_devices_never_appear() -> None:
    def only_bob(device: bytes) -> Admission:
        return Admission.MEMBER if device == BOB.public else Admission.REFUSED

    async with running(ALICE, admit=only_bob) as one, running(MALLORY) as stranger:
        stranger.manager.add_typed(one.address)
        await until(lambda: any(attempt.error for attempt in one_facts(stranger.manager)))
        assert not one.events
        assert not stranger.events


async def test_guests_are_marked_and_can_become_members_or_be_turned_out() -> None:
    admissions = {BOB.public: Admission.GUEST}
    async with running(ALICE, admit=admissions.__getitem__) as one, running(BOB) as guest:
        guest.manager.add_typed(one.address)
        await until(lambda: agree(one, guest))
        (event,) = one.events
        assert event == PeerConnected(one.only, Admission.GUEST)
        admissions[BOB.public] = Admission.MEMBER
        one.manager.readmit()
        assert one.events[-1] == AdmissionChanged(one.only, Admission.MEMBER)
        admissions[BOB.public] = Admission.REFUSED
        one.manager.readmit()
        assert isinstance(one.events[-1], PeerDisconnected)
        await until(lambda: guest.kinds[-1] == "PeerDisconnected")


async def test_a_changed_network_makes_it_try_again_at_once() -> None:
    async with running(ALICE) as one:
        async with running(BOB) as other:
            address = other.address
        one.manager.add_typed(address)
        await until(lambda: [a.failures for a in one_facts(one.manager)] >= [3], seconds=20)
        async with running(BOB, port=address.port) as other:
            one.manager.discovered(NetworkChanged(()))
            await until(lambda: agree(one, other), seconds=2)


async def test_waking_from_suspend_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lutra.net.peers.WATCH_SECONDS", 0.05)
    wall = [1000.0]
    resumed = asyncio.Event()
    manager = PeerManager(
        ALICE,
        on_event=lambda _: None,
        admit=member,
        wall_clock=lambda: wall[0],
        on_resume=resumed.set,
    )
    await manager.open("127.0.0.1")
    await asyncio.sleep(0.2)
    assert not resumed.is_set()
    wall[0] += 3600
    async with asyncio.timeout(5):
        await resumed.wait()
    await manager.close()


async def test_closing_says_goodbye() -> None:
    async with running(ALICE) as one, running(BOB) as other:
        one.manager.add_typed(other.address)
        await until(lambda: agree(one, other))
        connection = other.only
        await one.manager.close()
        await until(lambda: connection.ending is not None)
        assert connection.ending is not None
        assert connection.ending.details["reason"] == "GOING_AWAY"
        assert one.kinds == ["PeerConnected", "PeerDisconnected"]
