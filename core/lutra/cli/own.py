"""A node opened by this process: for one call while none runs, or in the foreground (`run`)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar, cast

from lutra.cli import passphrase
from lutra.cli.listen import options
from lutra.node.new_identity import checked_name
from lutra.node.newcomer import is_nobodys
from lutra.node.node import Node, create_profile_identity
from lutra.node.plain import plain
from lutra.node.verbs import ControlHandler
from lutra.store.custody import Custody, PassphraseCustody
from lutra.store.profile import Profile

Result = TypeVar("Result")


def unlocked(profile: Profile) -> bytes:
    """Return a profile's database key, asking for its passphrase if it has one.

    Raises:
        LutraError: a subclass says why it cannot be had.
    """
    return profile.unlock(passphrase.ask() if profile.needs_passphrase else None)


def create_profile(
    directory: Path,
    name: str,
    device: str,
    *,
    secret: str | None = None,
    custody: Custody | None = None,
) -> tuple[dict[str, Any], str]:
    """Create a profile with its keys and names.

    Args:
        directory: where.
        name: what the person is called.
        device: what the device is called.
        secret: lock it with this passphrase.
        custody: who keeps the key if there is no passphrase; None means the keyring if one works,
            else a private file.

    Returns:
        The identity as plain values, and the kind of custody.

    Raises:
        UsageError: a name is empty or too long.
        ProfileExistsError: there is a profile already.
        LutraError: a subclass says what else is wrong.
    """
    name, device = checked_name(name), checked_name(device)
    keeper = PassphraseCustody(secret) if secret is not None else custody
    profile = _begun(directory) or Profile.create(directory, keeper)
    key = profile.unlock(secret)
    with profile.lock(), asyncio.Runner() as runner:
        runner.run(create_profile_identity(profile, key, name, device))
        node = runner.run(Node.open(profile, key))
        runner.run(node.close())
    return plain(node.identity), profile.custody


def _begun(directory: Path) -> Profile | None:
    """Return a profile that was begun and is nobody's yet: it can become this person's.

    One with a passphrase is not looked into.
    """
    profile = Profile.open(directory) if Profile.exists(directory) else None
    if profile is None or profile.needs_passphrase:
        return None
    with profile.lock():
        free = asyncio.run(is_nobodys(profile, profile.unlock()))
    return profile if free else None


async def aside(function: Callable[[], Result]) -> Result:
    """Run a function on a thread of its own, which does not keep the process from ending."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[Result] = loop.create_future()

    def settle(result: Result | None, error: BaseException | None) -> None:
        if outcome.done():
            return
        if error is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(cast("Result", result))

    def work() -> None:
        try:
            result = function()
        except BaseException as error:  # noqa: BLE001 - it is raised where it is awaited
            loop.call_soon_threadsafe(settle, None, error)
        else:
            loop.call_soon_threadsafe(settle, result, None)

    threading.Thread(target=work, daemon=True).start()
    return await outcome


class OwnNode:
    """A session with a node of this process; see `lutra.cli.session`.

    Args:
        profile: the profile directory.
        network: also go online, with these options of `lutra.cli.listen.options`.

    Raises:
        ProfileMissingError: there is no profile.
        ProfileInUseError: another process holds it.
        LutraError: a subclass says what else is wrong.
    """

    lasts = False
    """The node ends with this session."""
    has_person = True

    def __init__(self, profile: Path, *, network: Mapping[str, Any] | None = None) -> None:
        with ExitStack() as stack:
            opened = Profile.open(profile)
            stack.enter_context(opened.lock())
            key = unlocked(opened)
            runner = stack.enter_context(asyncio.Runner())
            self._node = runner.run(
                Node.open(opened, key, options(**network) if network is not None else None)
            )
            stack.callback(lambda: runner.run(self._node.close()))
            self._handler = ControlHandler(self._node)
            if network is not None:
                runner.run(self._node.start())
            self._runner = runner
            self._stack = stack.pop_all()

    def call(self, verb: str, **arguments: object) -> Any:
        """Carry out one verb; arguments that are None count as not given.

        Raises:
            LutraError: the verb failed.
        """
        given = {name: value for name, value in arguments.items() if value is not None}
        return self._runner.run(self._handler.perform(verb, given))

    def meanwhile(self, function: Callable[[], Result]) -> Result:
        """Call a function that may take long while the node goes on."""
        return self._runner.run(aside(function))

    def close(self) -> None:
        """Publish what can be, close the store and let the profile go."""
        self._stack.close()
