"""Pairing links with addresses: ``lutra:pair/…#host:port,host:port``.

The addresses are where the device that shows the link listens for this pairing only.
"""

from __future__ import annotations

from collections.abc import Iterable

from lutra.errors import UsageError
from lutra.identity.pairing_code import PairingSecret
from lutra.net.connection import Address
from lutra.node.addresses import parse_address

_MAX_ADDRESSES = 16


def pairing_link(secret: PairingSecret, addresses: Iterable[Address]) -> str:
    """Return the link to show."""
    places = ",".join(str(one) for one in addresses)
    return f"{secret.text()}#{places}" if places else secret.text()


def read_pairing_code(text: str) -> tuple[PairingSecret, tuple[Address, ...]]:
    """Read a code or a link.

    Raises:
        PairingCodeError: it is incomplete or has a typing mistake.
        UsageError: the link's addresses are none.
    """
    code, _, places = text.strip().partition("#")
    listed = [one for one in places.split(",") if one]
    if len(listed) > _MAX_ADDRESSES:
        raise UsageError("This pairing link names too many addresses.")
    return PairingSecret.parse(code), tuple(parse_address(one) for one in listed)
