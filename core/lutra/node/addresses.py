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
    is_port = port.isascii() and port.isdecimal() and 0 < int(port) < 65536
    if not separator or not is_port or not is_host(host):
        raise UsageError(f"“{text}” is not an address; write it like 192.168.0.7:4242.")
    return Address(host, int(port))


def is_host(text: str) -> bool:
    """Tell whether a text can be a host: an IP address, or a name the system may look up."""
    try:
        text.encode("idna")
    except UnicodeError:
        # An empty or overlong part between dots, or bytes that are no text.
        return False
    return bool(text) and text.isprintable()
