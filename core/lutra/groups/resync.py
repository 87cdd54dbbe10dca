"""Devices that cannot enter the head and ask to be added anew (GROUPS §2.8).

A request counts at and below the head its author could not enter. On another branch it has lapsed:
otherwise a commit that is voted down afterwards would leave all who complained unable to commit.
"""

from __future__ import annotations

from dataclasses import dataclass

from lutra.groups.epochs import EpochNode

EXTERNAL_AFTER_MS = 10 * 60 * 1000
"""How long a request to be added anew waits before the device enters by itself."""


@dataclass(frozen=True, slots=True)
class _Request:
    index: int
    device: bytes
    head: EpochNode


class StaleBook:
    """All requests to be added anew."""

    def __init__(self) -> None:
        self._requests: list[_Request] = []
        self._served: dict[tuple[int, bytes], bool] = {}

    def add(self, index: int, device: bytes, head: EpochNode) -> None:
        """Note the request at ``index``, whose author knew ``head``."""
        self._requests.append(_Request(index, device, head))

    def unserved(self, node: EpochNode, known: int) -> frozenset[bytes]:
        """Return the devices with a request in ``known`` that no epoch up to ``node`` served."""
        return frozenset(
            request.device
            for request in self._requests
            if known >> request.index & 1 and not self._is_served(request, node)
        )

    def _is_served(self, request: _Request, node: EpochNode) -> bool:
        key = (request.index, node.id)
        served = self._served.get(key)
        if served is None:
            served = self._served[key] = not node.descends_from(request.head) or any(
                request.device in epoch.added and epoch.known >> request.index & 1
                for epoch in node.path()
            )
        return served
