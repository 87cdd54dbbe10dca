"""How a node is to behave."""

from __future__ import annotations

from dataclasses import dataclass, field

from lutra.net.connection import Timing


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """Settings of one run.

    Attributes:
        listen_host: address to listen at; None means every interface.
        listen_port: TCP port; 0 lets the system choose.
        interface: use only the interface with this address for discovery.
        discovery: look for devices on the local network, and be found.
        peers: addresses to dial besides those found, as ``host:port``.
        timing: how long connections wait for what.
    """

    listen_host: str | None = None
    listen_port: int = 0
    interface: str | None = None
    discovery: bool = True
    peers: tuple[str, ...] = ()
    timing: Timing = field(default_factory=Timing)
