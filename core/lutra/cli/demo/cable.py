"""The network between the two nodes of the demonstration, with a cable that can be pulled.

With root and `ip` it is two network namespaces on a bridge: the nodes find each other by mDNS, and
pulling the cable takes the link down. Otherwise it is a relay on the loopback interface; pulling
stops it from carrying anything, without telling either side, as a pulled cable does.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from lutra.errors import EnvironmentalError

SIDES = ("a", "b")
_CHUNK = 1 << 16
_LOOPBACK = "127.0.0.1"


class CableError(EnvironmentalError):
    """The network of the demonstration could not be set up."""

    code = "demo.cable"


class Cable(Protocol):
    """Connects side 0 and side 1.

    Attributes:
        name: what it is, for the report.
        invite_address: where side 1 reaches side 0 if it must be told; else None.
    """

    name: str
    invite_address: str | None

    def command(self, side: int) -> Sequence[str]:
        """Return what stands before the command of a node."""
        ...

    def options(self, side: int) -> Sequence[str]:
        """Return the options of `lutra run` for a node."""
        ...

    def listening(self, side: int, port: int) -> None:
        """Take note of the port where a node listens."""
        ...

    def pull(self) -> None:
        """Disconnect the two sides."""
        ...

    def plug(self) -> None:
        """Connect them again."""
        ...

    def bytes_carried(self) -> int:
        """Return how many bytes both sides together have sent so far."""
        ...

    def close(self) -> None:
        """Take everything down."""
        ...


def make_cable() -> Cable:
    """Return network namespaces where that is possible, else the loopback relay."""
    if hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("ip"):
        with contextlib.suppress(CableError):
            return NamespaceCable()
    return LoopbackCable()


class NamespaceCable:
    """Two network namespaces on the bridge of a third."""

    name = "two network namespaces on a bridge, mDNS"

    def __init__(self) -> None:
        self.invite_address: str | None = None
        prefix = f"lutra-demo-{os.getpid()}"
        self.hub = f"{prefix}-hub"
        self._sides = [f"{prefix}-{side}" for side in SIDES]
        try:
            self._set_up()
        except CableError:
            self.close()
            raise

    def _set_up(self) -> None:
        _ip("netns", "add", self.hub)
        _ip("-n", self.hub, "link", "add", "bridge", "type", "bridge")
        _ip("-n", self.hub, "link", "set", "bridge", "up")
        for number, namespace in enumerate(self._sides):
            port = f"port-{SIDES[number]}"
            _ip("netns", "add", namespace)
            _ip("-n", self.hub, "link", "add", port, "type", "veth", "peer", "name", "eth0",
                "netns", namespace)  # fmt: skip
            _ip("-n", self.hub, "link", "set", port, "master", "bridge", "up")
            _ip("-n", namespace, "link", "set", "lo", "up")
            _ip("-n", namespace, "addr", "add", f"10.77.0.{number + 1}/24", "dev", "eth0")
            _ip("-n", namespace, "link", "set", "eth0", "up")
            _ip("-n", namespace, "route", "add", "224.0.0.0/4", "dev", "eth0")

    def command(self, side: int) -> Sequence[str]:
        """Return what runs a command in the side's namespace."""
        return ["ip", "netns", "exec", self._sides[side]]

    def options(self, side: int) -> Sequence[str]:
        """Return no options: the nodes find each other."""
        del side
        return []

    def listening(self, side: int, port: int) -> None:
        """Do nothing: the nodes find each other."""

    def pull(self) -> None:
        """Take one side's link down."""
        _ip("-n", self.hub, "link", "set", "port-a", "down")

    def plug(self) -> None:
        """Take it up again."""
        _ip("-n", self.hub, "link", "set", "port-a", "up")

    def bytes_carried(self) -> int:
        """Return the bytes the bridge has received, Ethernet headers and multicast included."""
        total = 0
        for side in SIDES:
            text = _ip("-n", self.hub, "-s", "-j", "link", "show", "dev", f"port-{side}")
            total += int(json.loads(text)[0]["stats64"]["rx"]["bytes"])
        return total

    def close(self) -> None:
        """Delete the namespaces."""
        for namespace in (*self._sides, self.hub):
            with contextlib.suppress(CableError):
                _ip("netns", "delete", namespace)


class LoopbackCable:
    """A relay between ports of the loopback interface.

    Attributes:
        recording: set to a list to keep everything that is carried from then on.
    """

    name = "a relay on the loopback interface, typed addresses"

    def __init__(self) -> None:
        self._ports: list[int | None] = [None, None]
        self._open = threading.Event()
        self._open.set()
        self._closed = False
        self._lock = threading.Lock()
        self._carried = 0
        self._sockets: list[socket.socket] = []
        self.recording: list[bytes] | None = None
        self._listeners = [_listen(), _listen()]
        for side, listener in enumerate(self._listeners):
            self._start(self._accept, listener, side)
        self.invite_address: str | None = self._address(0)

    def _address(self, side: int) -> str:
        return f"{_LOOPBACK}:{self._listeners[side].getsockname()[1]}"

    def command(self, side: int) -> Sequence[str]:
        """Return nothing: both run side by side."""
        del side
        return []

    def options(self, side: int) -> Sequence[str]:
        """Return where to listen, and the relay's address of the other side to dial."""
        return ["--listen", f"{_LOOPBACK}:0", "--no-discovery", "--peer", self._address(1 - side)]

    def listening(self, side: int, port: int) -> None:
        """Take note of the port where a node listens."""
        self._ports[side] = port

    def pull(self) -> None:
        """Stop carrying bytes."""
        self._open.clear()

    def plug(self) -> None:
        """Carry bytes again."""
        self._open.set()

    def bytes_carried(self) -> int:
        """Return the bytes carried in both directions."""
        return self._carried

    def close(self) -> None:
        """Close all sockets."""
        self._closed = True
        self._open.set()
        with self._lock:
            for item in (*self._listeners, *self._sockets):
                _close(item)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        threading.Thread(target=target, args=args, name="lutra-relay", daemon=True).start()

    def _accept(self, listener: socket.socket, side: int) -> None:
        while True:
            self._open.wait()
            try:
                caller, _ = listener.accept()
            except OSError:
                return
            port = self._ports[side]
            try:
                if port is None or self._closed:
                    raise ConnectionRefusedError
                callee = socket.create_connection((_LOOPBACK, port), timeout=5)
                callee.settimeout(None)
            except OSError:
                _close(caller)
                continue
            with self._lock:
                self._sockets = [item for item in self._sockets if item.fileno() >= 0]
                self._sockets += [caller, callee]
            for end in (caller, callee):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._start(self._carry, caller, callee)
            self._start(self._carry, callee, caller)

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                self._open.wait()
                target.sendall(data)
                with self._lock:
                    self._carried += len(data)
                    if self.recording is not None:
                        self.recording.append(data)
        # A side that has hung up behind a pulled cable is not heard of until it is plugged in.
        self._open.wait()
        _close(source)
        _close(target)


def _listen() -> socket.socket:
    listener = socket.create_server((_LOOPBACK, 0))
    listener.listen(8)
    return listener


def _close(item: socket.socket) -> None:
    with contextlib.suppress(OSError):
        item.shutdown(socket.SHUT_RDWR)
    item.close()


def _ip(*arguments: str) -> str:
    try:
        done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise CableError("Network namespaces cannot be set up here.") from error
    return done.stdout
