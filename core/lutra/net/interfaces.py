"""Which network interfaces this computer has, and which of them are usable now."""

from __future__ import annotations

import ipaddress
import socket
import struct
import sys
from dataclasses import dataclass

import ifaddr

_LINK_LOCAL_V6 = ipaddress.IPv6Network("fe80::/10")
_IFF_UP = 0x1
_IFF_RUNNING = 0x40
_SIOCGIFFLAGS = {"linux": 0x8913, "darwin": 0xC0206911}


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface with the address that Lutra uses on it.

    Attributes:
        name: the operating system's name for it, for people.
        address: its first IPv4 address, or its IPv6 link-local one where there is none.
        index: the operating system's number for it.
        loopback: reaches only this computer.
        connected: switched on, and the cable or radio link stands.
    """

    name: str
    address: str
    index: int
    loopback: bool
    connected: bool


def interfaces() -> tuple[Interface, ...]:
    """Return all interfaces that have an address, sorted by name."""
    found: list[Interface] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for adapter in ifaddr.get_adapters():
            address = _address(adapter)
            if address is not None:
                loopback = ipaddress.ip_address(address).is_loopback
                connected = _is_connected(probe, str(adapter.name))
                index = adapter.index or 0
                found.append(Interface(adapter.nice_name, address, index, loopback, connected))
    return tuple(sorted(found, key=lambda one: (one.name, one.address)))


def _address(adapter: ifaddr.Adapter) -> str | None:
    link_local: str | None = None
    for ip in adapter.ips:
        if isinstance(ip.ip, str):
            return ip.ip
        if link_local is None and ipaddress.IPv6Address(ip.ip[0]) in _LINK_LOCAL_V6:
            link_local = ip.ip[0]
    return link_local


def _is_connected(probe: socket.socket, name: str) -> bool:
    """Ask the operating system; where it cannot be asked, having an address counts."""
    request = _SIOCGIFFLAGS.get(sys.platform)
    if request is None:
        return True
    import fcntl

    try:
        answer = fcntl.ioctl(probe, request, struct.pack("16sh14x", name.encode()[:15], 0))
    except OSError:
        return False
    flags = struct.unpack_from("H", answer, 16)[0]
    return bool(flags & _IFF_UP and flags & _IFF_RUNNING)
