"""A profile that waits for its person, opened by this process to be paired."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

from lutra.cli.listen import options
from lutra.cli.own import aside, unlocked
from lutra.node.arguments import Arguments
from lutra.node.new_identity import checked_name
from lutra.node.newcomer import Newcomer, create_waiting_profile, waits_for_person
from lutra.node.plain import plain
from lutra.node.verbs_pairing import PAIRING_VERBS
from lutra.store.custody import Custody
from lutra.store.errors import ProfileInUseError
from lutra.store.profile import Profile

Result = TypeVar("Result")


class OwnNewcomer:
    """A session that pairs; see `lutra.cli.session`."""

    lasts = False
    has_person = False

    def __init__(self, profile: Profile, network: Mapping[str, Any] | None) -> None:
        with ExitStack() as stack:
            stack.enter_context(profile.lock())
            key = unlocked(profile)
            runner = stack.enter_context(asyncio.Runner())
            settings = options(**network) if network is not None else None
            self._newcomer = runner.run(Newcomer.open(profile, key, settings))
            stack.callback(lambda: runner.run(self._newcomer.close()))
            self._runner = runner
            self._stack = stack.pop_all()

    def call(self, verb: str, **arguments: object) -> Any:
        """Carry out one verb of pairing; arguments that are None count as not given.

        Raises:
            LutraError: the verb failed.
        """
        given = {name: value for name, value in arguments.items() if value is not None}
        work = PAIRING_VERBS[verb](self._newcomer, Arguments(verb, given))
        return plain(self._runner.run(_awaited(work)))

    def meanwhile(self, function: Callable[[], Result]) -> Result:
        """Call a function that may take long while the pairing goes on."""
        return self._runner.run(aside(function))

    def close(self) -> None:
        """Close the store; what is under way can be taken up later."""
        self._stack.close()


async def _awaited(work: Any) -> Any:
    return await work


def open_newcomer(
    directory: Path, network: Mapping[str, Any] | None, device: str | None
) -> OwnNewcomer | None:
    """Open a profile that waits for its person; None if it has one.

    Args:
        directory: the profile directory.
        network: options of `lutra.cli.listen.options`.
        device: what this device is called: a profile is created where there is none.
    """
    if not Profile.exists(directory):
        if device is None:
            return None
        create_waiting(directory, device)
    profile = Profile.open(directory)
    try:
        with profile.lock():
            waits = asyncio.run(waits_for_person(profile, unlocked(profile)))
    except ProfileInUseError:
        return None
    return OwnNewcomer(profile, network) if waits else None


def create_waiting(directory: Path, device: str, custody: Custody | None = None) -> None:
    """Create a profile for a device that is to be paired.

    Raises:
        UsageError: the name is empty or too long.
        ProfileExistsError: there is a profile already.
        LutraError: a subclass says what else is wrong.
    """
    name = checked_name(device)
    profile = Profile.create(directory, custody)
    with profile.lock():
        asyncio.run(create_waiting_profile(profile, profile.unlock(), name))
