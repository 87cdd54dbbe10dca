"""Why devices do not find or reach each other: facts, and what they mean.

`diagnose` measures and collects; `findings` is pure and turns the facts into sentences with advice.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from lutra.crypto.random import Random, system_random
from lutra.net.connection import Address
from lutra.net.dialplan import Attempt
from lutra.net.discovery import Discovery, DiscoveryFacts
from lutra.net.errors import DialError, VersionError
from lutra.net.interfaces import Interface, interfaces
from lutra.net.peers import PeerFacts, PeerManager

MDNS_GROUP = "224.0.0.251"
MDNS_PORT = 5353
PROBE_SECONDS = 1.0

_EMPTY_QUERY_TAIL = bytes(10)
_ID_BYTES = 2


@dataclass(frozen=True, slots=True)
class MulticastFacts:
    """Whether multicast DNS passes on an interface.

    Attributes:
        address: of the interface (IPv4).
        sent: the operating system took a datagram.
        heard: it came back to this computer, as it must unless something blocks it.
        error: why not sent, in the operating system's words.
    """

    address: str
    sent: bool
    heard: bool
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All facts of one look.

    Attributes:
        interfaces: of this computer.
        multicast: for each connected IPv4 interface.
        discovery: what discovery saw, or None where it is switched off.
        peers: what dialling and listening met.
    """

    interfaces: tuple[Interface, ...]
    multicast: tuple[MulticastFacts, ...]
    discovery: DiscoveryFacts | None
    peers: PeerFacts


class Trouble(Enum):
    """What can be wrong; the value is a stable name for programs."""

    NO_NETWORK = "no-network"
    MULTICAST_BLOCKED = "multicast-blocked"
    MULTICAST_FORBIDDEN = "multicast-forbidden"
    DISCOVERY_OFF = "discovery-off"
    ONLY_STRANGERS = "only-strangers"
    NOBODY_NEARBY = "nobody-nearby"
    NO_ANSWER = "no-answer"
    NOT_RUNNING = "not-running"
    UNREACHABLE = "unreachable"
    UNKNOWN_NAME = "unknown-name"
    OTHER_VERSION = "other-version"
    NOTHING_COMES_IN = "nothing-comes-in"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        trouble: what, for programs.
        message: what, for people.
        advice: what to do about it.
        subject: the address or interface concerned, or an empty text.
    """

    trouble: Trouble
    message: str
    advice: str
    subject: str = ""


async def diagnose(
    peers: PeerManager,
    discovery: Discovery | None,
    *,
    list_interfaces: Callable[[], Sequence[Interface]] = interfaces,
) -> Diagnosis:
    """Measure and collect; takes `PROBE_SECONDS` at most."""
    present = tuple(list_interfaces())
    addresses = [one.address for one in present if one.connected and ":" not in one.address]
    probes = await asyncio.gather(*(probe_multicast(address) for address in addresses))
    facts = discovery.facts() if discovery is not None else None
    return Diagnosis(present, tuple(probes), facts, peers.facts())


async def probe_multicast(
    address: str, *, seconds: float = PROBE_SECONDS, random: Random = system_random
) -> MulticastFacts:
    """Send an empty multicast DNS query through an interface and listen for it.

    The query asks nothing, so no device answers it.
    """
    query = random(_ID_BYTES) + _EMPTY_QUERY_TAIL
    with contextlib.ExitStack() as stack:
        try:
            receiver = stack.enter_context(_receiver(address))
            sender = stack.enter_context(_sender(address))
            sender.sendto(query, (MDNS_GROUP, MDNS_PORT))
        except OSError as error:
            return MulticastFacts(address, sent=False, heard=False, error=error.strerror)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(seconds):
                while await loop.sock_recv(receiver, 2048) != query:
                    pass
        except TimeoutError:
            return MulticastFacts(address, sent=True, heard=False)
    return MulticastFacts(address, sent=True, heard=True)


@contextlib.contextmanager
def _receiver(address: str) -> Generator[socket.socket, None, None]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.setblocking(False)
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "SO_REUSEPORT"):
            receiver.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        receiver.bind(("", MDNS_PORT))
        membership = socket.inet_aton(MDNS_GROUP) + socket.inet_aton(address)
        receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        yield receiver


@contextlib.contextmanager
def _sender(address: str) -> Generator[socket.socket, None, None]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
        yield sender


def findings(diagnosis: Diagnosis) -> tuple[Finding, ...]:
    """Return what is wrong, the most basic things first; empty if nothing is."""
    if not any(one.connected and not one.loopback for one in diagnosis.interfaces):
        return (
            Finding(
                Trouble.NO_NETWORK,
                "This computer is not connected to any network.",
                "Connect it by cable or Wi-Fi. What you write meanwhile is safe and waits.",
            ),
        )
    return (
        *_multicast_findings(diagnosis),
        *_discovery_findings(diagnosis),
        *(
            finding
            for attempt in diagnosis.peers.attempts
            if (finding := _attempt_finding(attempt, diagnosis.peers)) is not None
        ),
        *_incoming_findings(diagnosis),
    )


def _multicast_findings(diagnosis: Diagnosis) -> Iterator[Finding]:
    names = {one.address: one.name for one in diagnosis.interfaces}
    for probe in diagnosis.multicast:
        name = names.get(probe.address, probe.address)
        if not probe.sent:
            yield Finding(
                Trouble.MULTICAST_FORBIDDEN,
                f"This computer does not let Lutra look for devices on {name}: {probe.error}.",
                "Add the other device by its address instead.",
                probe.address,
            )
        elif not probe.heard:
            yield Finding(
                Trouble.MULTICAST_BLOCKED,
                f"A firewall on this computer blocks looking for devices on {name}.",
                "Allow UDP port 5353 (mDNS) in the firewall, or add the other device by its "
                "address.",
                probe.address,
            )


def _discovery_findings(diagnosis: Diagnosis) -> Iterator[Finding]:
    facts = diagnosis.discovery
    if facts is None:
        yield Finding(
            Trouble.DISCOVERY_OFF,
            "Looking for devices nearby is switched off.",
            "Switch it on, or add devices by their address.",
        )
    elif facts.acquaintances == 0 and not diagnosis.peers.connected:
        if facts.strangers:
            yield Finding(
                Trouble.ONLY_STRANGERS,
                "There are Lutra devices nearby, but none of your groups.",
                "If one should be, compare the clocks: they may differ by an hour at most.",
            )
        else:
            yield Finding(
                Trouble.NOBODY_NEARBY,
                "No other Lutra device shows up on this network.",
                "Check that Lutra runs on the other device and that both are in the same network. "
                "Guest networks often keep devices apart: then add it by its address.",
            )


_ATTEMPT_TROUBLES = {
    "timeout": (
        Trouble.NO_ANSWER,
        "Allow Lutra in the firewall of the other device, or let that one connect to this one.",
    ),
    "refused": (Trouble.NOT_RUNNING, "Start Lutra there, and check the port."),
    "unreachable": (Trouble.UNREACHABLE, "Check that both devices are in the same network."),
    "name": (Trouble.UNKNOWN_NAME, "Check the spelling, or use the numeric address."),
}


def _attempt_finding(attempt: Attempt, peers: PeerFacts) -> Finding | None:
    if attempt.error is None or attempt.device in peers.connected:
        return None
    subject = str(attempt.address)
    if isinstance(attempt.error, VersionError):
        advice = "Update Lutra on the older of the two devices."
        return Finding(Trouble.OTHER_VERSION, attempt.error.message, advice, subject)
    if isinstance(attempt.error, DialError):
        known = _ATTEMPT_TROUBLES.get(str(attempt.error.details.get("reason")))
        if known is not None:
            return Finding(known[0], attempt.error.message, known[1], subject)
    return None


def _incoming_findings(diagnosis: Diagnosis) -> Iterator[Finding]:
    facts = diagnosis.discovery
    nearby = facts is not None and facts.acquaintances > 0
    if nearby and diagnosis.peers.incoming == 0 and not diagnosis.peers.connected:
        port = _port(diagnosis.peers.listening)
        yield Finding(
            Trouble.NOTHING_COMES_IN,
            "Devices of your groups are nearby, but none of them reaches this one.",
            f"Allow incoming connections for Lutra (TCP port {port}) in this computer's firewall.",
        )


def _port(listening: tuple[Address, ...]) -> int:
    return listening[0].port if listening else 0
