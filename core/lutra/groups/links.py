"""Links: secrets of other epochs, encrypted under an epoch's own (GROUPS §2.7).

Each epoch publishes a commitment to its data secret, the *kid*; whoever opens a link checks it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lutra.crypto import aead
from lutra.crypto.hashing import equal_constant_time
from lutra.crypto.kdf import hkdf
from lutra.crypto.random import Random
from lutra.errors import DecryptionError
from lutra.groups.contents import Link

SECRET_BYTES = 32


def kid_of(secret: bytes) -> bytes:
    """Return the public commitment to an epoch's data secret."""
    return hkdf(secret, b"lutra kid v1")


def seal_links(
    group: bytes, source: bytes, secrets: Mapping[bytes, bytes], random: Random
) -> tuple[Link, ...]:
    """Encrypt ``secrets`` (epoch → secret) under the data secret ``source``."""
    key = hkdf(source, b"lutra link v1")
    return tuple(
        Link(epoch, aead.seal(key, secrets[epoch], group + epoch, random))
        for epoch in sorted(secrets)
    )


def open_link(group: bytes, source: bytes, link: Link, kid: bytes) -> bytes | None:
    """Return the secret a link holds, or None where it does not fit its commitment."""
    try:
        secret = aead.unseal(hkdf(source, b"lutra link v1"), link.sealed, group + link.epoch)
    except DecryptionError:
        return None
    if len(secret) != SECRET_BYTES or not equal_constant_time(kid_of(secret), kid):
        return None
    return secret


class LinkGraph:
    """Which epoch's secret leads to which."""

    def __init__(self) -> None:
        self._links: dict[bytes, list[Link]] = {}
        self._untried: dict[bytes, list[Link]] = {}
        self._broken: set[tuple[bytes, bytes]] = set()

    def add(self, source: bytes, links: tuple[Link, ...]) -> None:
        """Note links under an epoch."""
        self._links.setdefault(source, []).extend(links)
        self._untried.setdefault(source, []).extend(links)

    def reachable(self, source: bytes) -> frozenset[bytes]:
        """Return the epochs whose secrets follow from that of ``source``, itself included.

        Links known to be broken do not count, so that somebody repairs them.
        """
        found = {source}
        frontier = [source]
        while frontier:
            here = frontier.pop()
            for link in self._links.get(here, ()):
                if link.epoch not in found and (here, link.sealed) not in self._broken:
                    found.add(link.epoch)
                    frontier.append(link.epoch)
        return frozenset(found)

    def follow(
        self, group: bytes, secrets: dict[bytes, bytes], kid: Callable[[bytes], bytes]
    ) -> None:
        """Open all links whose source is held, each once, adding to ``secrets``.

        Args:
            group: the group's id.
            secrets: epoch → data secret, as held.
            kid: returns the commitment to an epoch's data secret.
        """
        frontier = [source for source in self._untried if source in secrets]
        while frontier:
            source = frontier.pop()
            for link in self._untried.pop(source, ()):
                if link.epoch in secrets:
                    continue
                secret = open_link(group, secrets[source], link, kid(link.epoch))
                if secret is None:
                    self._broken.add((source, link.sealed))
                    continue
                secrets[link.epoch] = secret
                frontier.append(link.epoch)
