"""Where a command's verbs go: to the node running on the profile, or to one opened for the call."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from lutra.cli.client import ControlClient

if TYPE_CHECKING:
    from lutra.cli.own import OwnNode

Result = TypeVar("Result")
_PATIENCE_SECONDS = 5.0
_RETRY_SECONDS = 0.05


class Session(Protocol):
    """Carries out verbs; arguments that are None count as not given.

    Attributes:
        lasts: the node goes on when the session ends.
        has_person: the profile belongs to somebody; otherwise it waits to be paired.
    """

    lasts: bool
    has_person: bool

    def call(self, verb: str, **arguments: object) -> Any:
        """Carry out one verb and return its result as plain values."""
        ...

    def meanwhile(self, function: Callable[[], Result]) -> Result:
        """Call a function that may take long while the node goes on; to ask the person."""
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


@contextmanager
def pairing_session(
    profile: Path, *, network: Mapping[str, Any] | None = None, device: str | None = None
) -> Generator[Session]:
    """Do the same for pairing, which a profile can do that waits for its person.

    Args:
        profile: the profile directory.
        network: as for `session`.
        device: what this device is called: a profile is created where there is none.

    Raises:
        ProfileMissingError: there is no profile, and none is to be created.
        ProfileInUseError: another process holds it and does not answer.
    """
    running = ControlClient.connect(profile)
    if running is None:
        from lutra.cli.newcomer import open_newcomer

        newcomer = open_newcomer(profile, network, device)
        if newcomer is not None:
            with closing(newcomer):
                yield newcomer
            return
    with closing(running or _open_or_wait(profile, network)) as opened:
        yield opened


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
