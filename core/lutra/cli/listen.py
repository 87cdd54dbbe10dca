"""The network options of `lutra run` and `lutra app`."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from lutra.errors import UsageError
from lutra.node.addresses import is_host, parse_address
from lutra.node.options import NodeOptions


def options(
    listen: str | None, interface: str | None, no_discovery: bool, peers: Sequence[str]
) -> NodeOptions:
    """Turn the options' texts into the node's options.

    Raises:
        UsageError: `listen` or one of `peers` is not HOST:PORT, or `interface` no IP address.
    """
    host, port = split_address(listen) if listen is not None else (interface, 0)
    if interface is not None and not _is_ip_address(interface):
        raise UsageError(
            f"“{interface}” is not the address of an interface; write it like 192.168.0.7."
        )
    for peer in peers:
        parse_address(peer)
    return NodeOptions(host, port, interface, not no_discovery, tuple(peers))


def split_address(text: str) -> tuple[str, int]:
    """Split HOST:PORT, the host possibly an IPv6 address in brackets; port 0 is allowed.

    Raises:
        UsageError: it is not that.
    """
    host, separator, port = text.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    is_port = port.isascii() and port.isdecimal() and int(port) <= 65535
    if not separator or not is_port or not is_host(host):
        raise UsageError(f"“{text}” is not HOST:PORT; write it like 127.0.0.1:4242.")
    return host, int(port)


def _is_ip_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
