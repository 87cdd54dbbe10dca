"""The network options of `lutra run` and `lutra app`."""

from __future__ import annotations

from collections.abc import Sequence

from lutra.errors import UsageError
from lutra.node.options import NodeOptions


def options(
    listen: str | None, interface: str | None, no_discovery: bool, peers: Sequence[str]
) -> NodeOptions:
    """Turn the options' texts into the node's options.

    Raises:
        UsageError: `listen` is not HOST:PORT.
    """
    host, port = split_address(listen) if listen is not None else (None, 0)
    return NodeOptions(host, port, interface, not no_discovery, tuple(peers))


def split_address(text: str) -> tuple[str, int]:
    """Split HOST:PORT, the host possibly an IPv6 address in brackets; port 0 is allowed.

    Raises:
        UsageError: it is not that.
    """
    host, separator, port = text.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not separator or not host or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"“{text}” is not HOST:PORT; write it like 127.0.0.1:4242.")
    return host, int(port)
