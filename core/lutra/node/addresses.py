"""Addresses as people type them, and finding nobody at them."""

from __future__ import annotations

from lutra.errors import EnvironmentalError, UsageError
from lutra.net.connection import Address


class NobodyFoundError(EnvironmentalError):
    """No device that could help was reached, or can be looked for."""

    code = "join.nobody-found"


def parse_address(text: str) -> Address:
    """Read ``host:port`` or ``[ipv6]:port``.

    Raises:
        UsageError: it is not that.
    """
    host, separator, port = text.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not separator or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UsageError(f"“{text}” is not an address; write it like 192.168.0.7:4242.")
    return Address(host, int(port))
