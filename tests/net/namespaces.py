"""Network namespaces joined by a bridge: computers on one LAN, with cables to pull.

Needs root on Linux. Every computer is a namespace with one interface ``eth0`` at 10.77.0.N; the
bridge lives in a namespace of its own, so nothing of it touches the machine's own network:

    with lan(2) as network:
        process = network.computers[0].start([sys.executable, "-c", "..."])
        with network.capture() as capture: ...
        network.computers[1].pull()
        network.computers[1].plug()
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from net.capture import Capture, start_capture

PREFIX = "10.77.0"


class NamespaceError(Exception):
    """A command that sets the network up failed; the message is what it said."""


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NamespaceError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def unavailable() -> str | None:
    """Return why there are no namespaces here, or None."""
    if not sys.platform.startswith("linux"):
        return "network namespaces need Linux"
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need the program ip (iproute2)"
    name = f"lutra-{secrets.token_hex(3)}"
    try:
        run("ip", "netns", "add", name)
        try:
            run("ip", "-n", name, "link", "add", "br0", "type", "bridge")
        finally:
            run("ip", "netns", "del", name)
    except NamespaceError as error:
        return f"network namespaces cannot be made here: {error}"
    return None


def require() -> None:
    """Skip the calling test, with the reason, where there are no namespaces."""
    reason = unavailable()
    if reason is not None:
        pytest.skip(reason)


@dataclass
class Computer:
    """One namespace on the LAN.

    Attributes:
        name: of the namespace.
        address: its IPv4 address.
    """

    name: str
    address: str
    _hub: str
    _port: str
    _processes: list[subprocess.Popen[Any]] = field(default_factory=list)

    def start(self, command: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a process on this computer; it is ended with the LAN."""
        process = subprocess.Popen(["ip", "netns", "exec", self.name, *command], **options)
        self._processes.append(process)
        return process

    def pull(self) -> None:
        """Pull the network cable: both ends lose their link."""
        run("ip", "-n", self._hub, "link", "set", self._port, "down")

    def plug(self) -> None:
        """Put the cable back."""
        run("ip", "-n", self._hub, "link", "set", self._port, "up")

    def remove_address(self) -> None:
        """Lose the address, as when DHCP ends; also of a computer that was never configured."""
        run("ip", "-n", self.name, "addr", "flush", "dev", "eth0")

    def add_address(self) -> None:
        """Get the address (back)."""
        run("ip", "-n", self.name, "addr", "add", f"{self.address}/24", "dev", "eth0")

    def end_processes(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.terminate()
        for process in self._processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()


@dataclass
class Lan:
    """Computers on one bridge."""

    computers: tuple[Computer, ...]
    _hub: str

    @contextlib.contextmanager
    def capture(self) -> Iterator[Capture]:
        """Record every Ethernet frame that crosses the bridge."""
        with start_capture(["ip", "netns", "exec", self._hub], "br0") as capture:
            yield capture

    def shape(self, *netem: str) -> None:
        """Give every cable the properties of ``tc … netem``, for example ``delay 20ms loss 1%``.

        Raises:
            NamespaceError: this kernel has no netem.
        """
        for computer in self.computers:
            run(
                "tc",
                "-n",
                computer.name,
                "qdisc",
                "replace",
                "dev",
                "eth0",
                "root",
                "netem",
                *netem,
            )


@contextlib.contextmanager
def lan(count: int, *, addresses: bool = True) -> Iterator[Lan]:
    """Set up ``count`` computers on a LAN; take everything down again at the end.

    Args:
        count: how many, up to 250.
        addresses: whether they have their addresses from the start.
    """
    token = secrets.token_hex(3)
    hub = f"lutra-{token}-hub"
    made: list[str] = []
    computers: list[Computer] = []
    try:
        run("ip", "netns", "add", hub)
        made.append(hub)
        # Without snooping the bridge floods multicast as a plain switch does.
        run("ip", "-n", hub, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        # Promiscuous, it also shows a capture what passes between two ports.
        run("ip", "-n", hub, "link", "set", "br0", "up", "promisc", "on")
        for number in range(1, count + 1):
            name, port = f"lutra-{token}-{number}", f"port{number}"
            run("ip", "netns", "add", name)
            made.append(name)
            run("ip", "-n", hub, "link", "add", port, "type", "veth",
                "peer", "name", "eth0", "netns", name)  # fmt: skip
            run("ip", "-n", hub, "link", "set", port, "master", "br0")
            run("ip", "-n", hub, "link", "set", port, "up")
            run("ip", "-n", name, "link", "set", "lo", "up")
            run("ip", "-n", name, "link", "set", "eth0", "up")
            computer = Computer(name, f"{PREFIX}.{number}", hub, port)
            if addresses:
                computer.add_address()
            computers.append(computer)
        yield Lan(tuple(computers), hub)
    finally:
        for computer in computers:
            computer.end_processes()
        for name in made:
            run("ip", "netns", "del", name)
