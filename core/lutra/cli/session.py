"""Where a command's verbs go: to the node running on the profile, or to one opened for the call."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lutra.cli.client import ControlClient

if TYPE_CHECKING:
    from lutra.cli.own import OwnNode

_PATIENCE_SECONDS = 5.0
_RETRY_SECONDS = 0.05


class Session(Protocol):
    """Carries out verbs; arguments that are None count as not given."""

    def call(self, verb: str, **arguments: object) -> Any:
        """Carry out one verb and return its result as plain values."""
        ...

    def close(self) -> None:
        """End the session."""
        ...


@contextmanager
def session(profile: Path, *, network: Mapping[str, Any] | None = None) -> Generator[Session]:
    """Talk to the node that runs on the profile, or open the profile for this call.

    Args:
        profile: the profile directory.
        network: a node opened for this call also goes online, with these options of
            `lutra.cli.listen.options` (to join a group).

    Raises:
        ProfileMissingError: there is no profile.
        ProfileInUseError: another process holds it and does not answer.
    """
    opened = ControlClient.connect(profile) or _open_or_wait(profile, network)
    try:
        yield opened
    finally:
        opened.close()


def _open_or_wait(profile: Path, network: Mapping[str, Any] | None) -> OwnNode | ControlClient:
    """Open the profile; one that is just starting or ending elsewhere is waited for."""
    from lutra.cli.own import OwnNode
    from lutra.store.errors import ProfileInUseError

    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return OwnNode(profile, network=network)
        except ProfileInUseError:
            client = ControlClient.connect(profile)
            if client is not None:
                return client
            if time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_SECONDS)
