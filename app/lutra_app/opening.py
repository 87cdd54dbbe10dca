"""How a profile comes to a node: opened, made for a new person, paired, or restored.

Runs on the node's thread. The profile's lock is held from the first look that finds one on.
"""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Callable
from contextlib import ExitStack
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lutra.node.device_views import PairingView
    from lutra.node.newcomer import Newcomer
    from lutra.node.node import Node
    from lutra.node.options import NodeOptions
    from lutra.store.profile import Profile


class Need(Enum):
    """What the profile needs before the node can open it."""

    NAME = "name"
    PASSPHRASE = "passphrase"  # noqa: S105 - the name of a need
    PERSON = "person"


class Opening:
    """One profile on its way to a node.

    Args:
        directory: the profile's.
        options: how the node behaves in this run.
        pairing_changed: called when the pairing of a profile without a person moves on.
    """

    def __init__(
        self,
        directory: Path,
        options: NodeOptions | None,
        pairing_changed: Callable[[PairingView], None],
    ) -> None:
        self._directory = directory
        self._options = options
        self._pairing_changed = pairing_changed
        self._held = ExitStack()
        self.profile: Profile | None = None
        self._key = b""
        self.newcomer: Newcomer | None = None
        self._bundle: Path | None = None

    async def look(self, passphrase: str | None = None) -> Need | None:
        """Open the profile as far as it goes; returns what is missing, None if nothing is."""
        from lutra.store.profile import Profile

        if not Profile.exists(self._directory):
            return Need.NAME
        profile = Profile.open(self._directory)
        if profile.needs_passphrase and passphrase is None:
            return Need.PASSPHRASE
        self._key = await asyncio.to_thread(profile.unlock, passphrase)
        self._take(profile)
        return await self._missing()

    async def wiped(self) -> str:
        """Return why everything that was here was deleted; empty if nothing was."""
        from lutra.store.errors import ProfileWipedError
        from lutra.store.wiping import refuse_wiped

        try:
            await asyncio.to_thread(refuse_wiped, self._directory)
        except ProfileWipedError as error:
            return error.message
        return ""

    async def create(self, name: str) -> None:
        """Make a person called `name`, on a new profile or on one that has waited for its person.

        Raises:
            LutraError: a subclass says what is wrong.
        """
        from lutra.node.node import create_profile_identity

        await self.stop_waiting()
        profile = await self._profile()
        await create_profile_identity(profile, self._key, name, device_name())

    async def wait(self) -> Newcomer:
        """Have the profile wait for its person, so that it can be paired.

        Raises:
            LutraError: a subclass says what is wrong.
        """
        from lutra.node.newcomer import Newcomer, create_waiting_profile

        if self.newcomer is None:
            profile = await self._profile()
            if await self._missing() is Need.NAME:
                await create_waiting_profile(profile, self._key, device_name())
            self.newcomer = await Newcomer.open(
                profile, self._key, self._options, changed=self._pairing_changed
            )
        return self.newcomer

    async def stop_waiting(self) -> None:
        """Leave pairing; the profile can become somebody else's then."""
        newcomer, self.newcomer = self.newcomer, None
        if newcomer is not None:
            await newcomer.close()

    async def restore(
        self,
        words: str,
        name: str,
        *,
        bundle: Path | None,
        address: str,
        remove_lost: bool,
    ) -> None:
        """Bring a person back by a recovery kit; nothing is written before it was found.

        Raises:
            LutraError: a subclass says what is wrong.
        """
        from dataclasses import replace

        from lutra.identity.recovery import RecoveryKit
        from lutra.node.options import NodeOptions
        from lutra.node.restoring import find_person

        await self.stop_waiting()
        options = self._options or NodeOptions()
        if address:
            options = replace(options, peers=(*options.peers, address))
        found = await find_person(
            RecoveryKit.restore(words),
            name=name,
            device_name=device_name(),
            options=options,
            bundle=bundle,
            remove_lost=remove_lost,
        )
        profile = await self._profile()
        await found.write(profile, self._key)
        self._bundle = bundle

    async def node(self) -> Node:
        """Open the node on the profile, which has its person."""
        from lutra.node.node import Node

        await self.stop_waiting()
        profile = await self._profile()
        node = await Node.open(profile, self._key, self._options)
        if self._bundle is not None:
            bundle, self._bundle = self._bundle, None
            await node.bundles.load(bundle)
        return node

    def release(self) -> None:
        """Let go of the profile."""
        self._held.close()
        self.profile = None

    # Inside

    def _take(self, profile: Profile) -> None:
        if self.profile is None:
            self._held.enter_context(profile.lock())
            self.profile = profile

    async def _profile(self) -> Profile:
        """Return the profile; it is made if there is none."""
        from lutra.store.profile import Profile

        if self.profile is None:
            profile = await asyncio.to_thread(Profile.create, self._directory)
            self._key = await asyncio.to_thread(profile.unlock)
            self._take(profile)
        assert self.profile is not None
        return self.profile

    async def _missing(self) -> Need | None:
        profile, key = self.profile, self._key
        assert profile is not None

        def look() -> Need | None:
            from lutra.node.new_identity import DEVICE, is_waiting

            with profile.open_store(key) as store:
                if store.keys.get(DEVICE) is None:
                    # The program ended after the profile was made and before it was somebody's.
                    return Need.NAME
                return Need.PERSON if is_waiting(store) else None

        return await asyncio.to_thread(look)


def device_name() -> str:
    """Return what this device is called unless people name it."""
    return platform.node() or "This device"
