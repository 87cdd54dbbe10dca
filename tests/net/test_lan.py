"""Devices on a LAN of network namespaces: real mDNS over a bridge, cables pulled, a wire tapped."""

from __future__ import annotations

import json
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lutra.crypto.signing import SigningKey
from net.lan_peer import GREETING
from net.namespaces import Computer, Lan, NamespaceError, lan, require

GROUP, SECRET, NAME = bytes(range(32)), bytes(range(100, 132)), "Otter lovers of Basel"
SEEDS = [bytes([number]) * 32 for number in (7, 8, 9)]


@pytest.fixture(autouse=True)
def _namespaces() -> None:
    require()


class Device:
    """A `lan_peer` process and the events it has printed."""

    def __init__(self, computer: Computer, seed: bytes, groups: dict[bytes, bytes]) -> None:
        config = {
            "seed": seed.hex(),
            "groups": {group.hex(): one.hex() for group, one in groups.items()},
        }
        script = Path(__file__).with_name("lan_peer.py")
        self.computer = computer
        self.seen: list[dict[str, Any]] = []
        self._process = computer.start(
            [sys.executable, "-W", "error", str(script), json.dumps(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._events: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._events.put(json.loads(line))

    def wait_for(self, event: str, seconds: float = 20) -> dict[str, Any]:
        """Return the next event of this name that was not waited for yet."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                one = self._events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                pytest.fail(f"no {event!r} within {seconds} s; seen: {self.seen}")
            self.seen.append(one)
            if one["event"] == event:
                return one

    def diagnose(self) -> list[str]:
        assert self._process.stdin is not None
        self._process.stdin.write("diagnose\n")
        self._process.stdin.flush()
        return self.wait_for("diagnosis")["troubles"]

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(20) == 0


Start = Callable[..., Device]


@pytest.fixture
def start() -> Start:
    """Start a device; the LAN ends it."""

    def begin(computer: Computer, number: int, groups: dict[bytes, bytes] | None = None) -> Device:
        device = Device(computer, SEEDS[number], {GROUP: SECRET} if groups is None else groups)
        device.wait_for("ready")
        return device

    return begin


def two_connected(network: Lan, start: Start) -> tuple[Device, Device]:
    one, other = start(network.computers[0], 0), start(network.computers[1], 1)
    for device in (one, other):
        device.wait_for("frame")
    return one, other


def public(seed: bytes) -> str:
    return SigningKey(seed).public.hex()


def test_two_devices_meet_and_a_stranger_stays_outside(start: Start) -> None:
    with lan(3) as network:
        stranger = start(network.computers[2], 2, {GROUP: b"wrong secret".ljust(32)})
        one, other = two_connected(network, start)
        assert {e["device"] for e in one.seen if e["event"] == "connected"} == {public(SEEDS[1])}
        assert {e["device"] for e in other.seen if e["event"] == "connected"} == {public(SEEDS[0])}
        assert stranger.diagnose() == ["only-strangers"]
        for device in (one, other, stranger):
            device.end()
            device.wait_for("closed")
        assert not [event for event in stranger.seen if event["event"] in {"found", "connected"}]


def test_the_wire_shows_no_group_no_name_no_key_and_no_content(start: Start) -> None:
    with lan(2) as network:
        with network.capture() as capture:
            one, other = two_connected(network, start)
            one.end()
            other.end()
        announcements = capture.udp(5353)
        assert any(b"_lutra" in packet for packet in announcements)
        assert capture.tcp_bytes() > 500
        # What is looked for would be found: a capture that sees nothing proves nothing.
        assert capture.contains(b"LUTRA\x01\x01")
        hidden = [GROUP, SECRET, NAME.encode(), GREETING, socket.gethostname().encode()]
        for seed in SEEDS[:2]:
            hidden += [seed, SigningKey(seed).public]
        for secret in hidden:
            for form in (secret, secret.hex().encode(), secret[:8]):
                assert not capture.contains(form)


def test_a_pulled_cable_is_noticed_by_both_within_ten_seconds_and_mended(start: Start) -> None:
    with lan(2) as network:
        one, other = two_connected(network, start)
        pulled = time.time()
        network.computers[1].pull()
        for device in (one, other):
            gone = device.wait_for("disconnected", 12)
            assert gone["time"] - pulled <= 10
            assert not gone["replaced"]
        assert other.diagnose() == ["no-network"]
        plugged = time.time()
        network.computers[1].plug()
        back = [device.wait_for("connected", 40) for device in (one, other)]
        assert max(event["time"] for event in back) - plugged < 10


def test_a_network_that_comes_late_and_goes_again_is_used(start: Start) -> None:
    with lan(2) as network:
        for computer in network.computers:
            computer.pull()
        one, other = start(network.computers[0], 0), start(network.computers[1], 1)
        assert one.diagnose() == ["no-network"]
        for computer in network.computers:
            computer.plug()
        for device in (one, other):
            device.wait_for("frame")
        assert one.diagnose() == []
        network.computers[0].remove_address()
        for device in (one, other):
            device.wait_for("disconnected", 15)
        assert one.diagnose() == ["no-network"]
        network.computers[0].add_address()
        for device in (one, other):
            device.wait_for("frame", 40)


def test_a_bare_cable_without_any_address_is_enough(start: Start) -> None:
    """Two computers on a switch without DHCP meet by IPv6 link-local addresses."""
    if not Path("/proc/net/if_inet6").exists():
        pytest.skip("this kernel has no IPv6")
    with lan(2, addresses=False) as network:
        two_connected(network, start)


def test_a_slow_lossy_network_is_enough(start: Start) -> None:
    with lan(2) as network:
        try:
            network.shape("delay", "100ms", "20ms", "loss", "5%")
        except NamespaceError as error:
            pytest.skip(f"this kernel cannot shape traffic: {error}")
        two_connected(network, start)
