"""What the diagnosis says about facts, and that its measurements measure."""

from __future__ import annotations

import asyncio
import socket

import pytest

from core.net.channels import ALICE, BOB
from core.net.waiting import until
from lutra.errors import LutraError
from lutra.net import diagnosis
from lutra.net.connection import Address
from lutra.net.diagnosis import (
    Diagnosis,
    MulticastFacts,
    Trouble,
    diagnose,
    findings,
    probe_multicast,
)
from lutra.net.dialplan import Attempt, Source
from lutra.net.discovery import Discovery, DiscoveryFacts
from lutra.net.errors import ConnectionLostError, DialError, VersionError
from lutra.net.interfaces import Interface
from lutra.net.peers import Admission, PeerFacts, PeerManager

LAN = Interface("eth0", "192.0.2.1", 2, loopback=False, connected=True)
LO = Interface("lo", "127.0.0.1", 1, loopback=True, connected=True)
HERE, THERE = Address("::", 4000), Address("192.0.2.7", 4000)

ONE_NEARBY = DiscoveryFacts(("192.0.2.1",), {}, 0, 1)


def facts(
    *,
    interfaces: tuple[Interface, ...] = (LAN, LO),
    multicast: tuple[MulticastFacts, ...] = (MulticastFacts("192.0.2.1", True, True),),
    discovery: DiscoveryFacts | None = ONE_NEARBY,
    incoming: int = 1,
    connected: tuple[bytes, ...] = (),
    attempts: tuple[Attempt, ...] = (),
) -> Diagnosis:
    peers = PeerFacts((HERE,), incoming, 0, connected, attempts)
    return Diagnosis(interfaces, multicast, discovery, peers)


def failed(error: LutraError, device: bytes | None = None) -> tuple[Attempt, ...]:
    return (Attempt(THERE, frozenset({Source.TYPED}), device, 1, error, 2.0),)


def discovered(strangers: int, acquaintances: int) -> DiscoveryFacts:
    return DiscoveryFacts(("192.0.2.1",), {}, strangers, acquaintances)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (facts(), []),
        (facts(interfaces=(LO,)), [Trouble.NO_NETWORK]),
        (facts(interfaces=()), [Trouble.NO_NETWORK]),
        (
            facts(multicast=(MulticastFacts("192.0.2.1", True, False),)),
            [Trouble.MULTICAST_BLOCKED],
        ),
        (
            facts(multicast=(MulticastFacts("192.0.2.1", False, False, "not permitted"),)),
            [Trouble.MULTICAST_FORBIDDEN],
        ),
        (facts(discovery=None), [Trouble.DISCOVERY_OFF]),
        (facts(discovery=discovered(2, 0)), [Trouble.ONLY_STRANGERS]),
        (facts(discovery=discovered(0, 0)), [Trouble.NOBODY_NEARBY]),
        (facts(discovery=discovered(0, 0), connected=(BOB.public,)), []),
        (facts(incoming=0), [Trouble.NOTHING_COMES_IN]),
        (facts(incoming=0, connected=(BOB.public,)), []),
        (facts(attempts=failed(DialError("x", reason="timeout"))), [Trouble.NO_ANSWER]),
        (facts(attempts=failed(DialError("x", reason="refused"))), [Trouble.NOT_RUNNING]),
        (facts(attempts=failed(DialError("x", reason="unreachable"))), [Trouble.UNREACHABLE]),
        (facts(attempts=failed(DialError("x", reason="name"))), [Trouble.UNKNOWN_NAME]),
        (facts(attempts=failed(VersionError("x"))), [Trouble.OTHER_VERSION]),
        (facts(attempts=failed(ConnectionLostError("x"))), []),
        (
            facts(
                connected=(BOB.public,),
                attempts=failed(DialError("x", reason="timeout"), BOB.public),
            ),
            [],
        ),
    ],
)
def test_each_trouble_is_named_and_nothing_else(state: Diagnosis, expected: list[Trouble]) -> None:
    found = findings(state)
    assert [one.trouble for one in found] == expected
    for one in found:
        assert one.message.endswith((".", "x"))
        assert one.advice.endswith(".")


def test_the_names_of_troubles_are_stable_and_all_can_occur() -> None:
    assert len({trouble.value for trouble in Trouble}) == len(Trouble) == 12


@pytest.mark.usefixtures("loopback_multicast")
async def test_multicast_is_heard_on_loopback_and_refused_elsewhere() -> None:
    refused = await probe_multicast("192.0.2.77", seconds=0.1)
    assert not refused.sent
    assert refused.error
    assert (await probe_multicast("127.0.0.1")).heard


@pytest.mark.usefixtures("loopback_multicast")
async def test_another_datagram_is_not_taken_for_the_probes_echo() -> None:
    """A sender whose datagrams never come back is what a firewall looks like."""
    answers = iter([b"\x01\x02"])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        probing = asyncio.ensure_future(
            probe_multicast("127.0.0.1", seconds=5, random=lambda _: next(answers))
        )
        await asyncio.sleep(0)
        other.sendto(bytes(12), (diagnosis.MDNS_GROUP, diagnosis.MDNS_PORT))
        result = await probing
    assert result.heard


@pytest.mark.usefixtures("loopback_multicast")
async def test_a_look_at_this_computer() -> None:
    manager = PeerManager(
        ALICE, on_event=lambda _: None, admit=lambda _: Admission.REFUSED, jitter=lambda: 0.0
    )
    await manager.open("127.0.0.1")
    discovery = Discovery(manager.port, manager.discovered, interface="127.0.0.1")
    await discovery.start()
    await until(lambda: discovery.facts().active)
    found = await diagnose(manager, discovery, list_interfaces=lambda: (LO,))
    assert found.interfaces == (LO,)
    assert [probe.address for probe in found.multicast] == ["127.0.0.1"]
    assert found.peers.listening == (Address("127.0.0.1", manager.port),)
    assert found.discovery == DiscoveryFacts(("127.0.0.1",), {}, 0, 0)
    await discovery.close()
    await manager.close()
