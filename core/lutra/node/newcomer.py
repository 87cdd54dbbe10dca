"""A device that has no person yet: it can be paired, and nothing else, until it has one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Self

from lutra.crypto.signing import SigningKey
from lutra.errors import UsageError
from lutra.node.device_files import DeviceFiles
from lutra.node.device_views import PairingView
from lutra.node.new_identity import DEVICE, create_waiting, is_waiting
from lutra.node.options import NodeOptions
from lutra.node.pairing_desk import WaitingDesk
from lutra.node.pairing_service import PairingService
from lutra.store.profile import Profile
from lutra.store.store import Store
from lutra.store.thread import StoreThread


def _ignore(_view: PairingView) -> None:
    return


class Newcomer:
    """Pairs a waiting profile; once that is done, close it and open a `Node` on the profile.

    Attributes:
        pairing: pairs on a network.
        device_files: pairs by files.
    """

    def __init__(
        self,
        thread: StoreThread,
        store: Store,
        key: SigningKey,
        options: NodeOptions,
        changed: Callable[[PairingView], None],
    ) -> None:
        desk = WaitingDesk(thread, store, key)
        self._thread = thread
        self._store = store
        self.pairing = PairingService(desk, options, changed)
        self.device_files = DeviceFiles(desk)

    @classmethod
    async def open(
        cls,
        profile: Profile,
        key: bytes,
        options: NodeOptions | None = None,
        *,
        changed: Callable[[PairingView], None] = _ignore,
    ) -> Self:
        """Open a profile that waits for its person, and take up a pairing left by an earlier run.

        Args:
            profile: the profile; its lock must be held by this process.
            key: the database key from `Profile.unlock`.
            options: settings of this run.
            changed: called on the event loop when the pairing moves on.

        Raises:
            StoreError: a subclass says what is wrong with disk, file or key.
            UsageError: the profile has a person already.
        """
        thread = StoreThread("lutra-newcomer")
        store = await thread.run(profile.open_store, key)
        try:
            seed = await thread.run(store.keys.get, DEVICE)
            if seed is None or not await thread.run(is_waiting, store):
                raise UsageError("This profile does not wait for a person.")
            newcomer = cls(thread, store, SigningKey(seed), options or NodeOptions(), changed)
            await newcomer.pairing.resume()
        except BaseException:
            await thread.run(store.close)
            await thread.aclose()
            raise
        return newcomer

    async def close(self) -> None:
        """Stop, and close the store; a pairing under way can be taken up later."""
        await self.pairing.close()
        await self._thread.run(self._store.close)
        await self._thread.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


async def create_waiting_profile(profile: Profile, key: bytes, device_name: str) -> None:
    """Give a new profile a device key, so that it can be paired.

    Raises:
        UsageError: the name is empty or too long.
        StoreError: a subclass says what is wrong with disk, file or key.
    """

    def create() -> None:
        with profile.open_store(key) as store:
            create_waiting(store, device_name)

    await asyncio.to_thread(create)


async def is_nobodys(profile: Profile, key: bytes) -> bool:
    """Tell whether a profile can still become anybody's.

    It waits to be paired, or the program that made it ended before it was somebody's.

    Raises:
        StoreError: a subclass says what is wrong with disk, file or key.
    """

    def look() -> bool:
        with profile.open_store(key) as store:
            return store.keys.get(DEVICE) is None or is_waiting(store)

    return await asyncio.to_thread(look)


async def waits_for_person(profile: Profile, key: bytes) -> bool:
    """Tell whether a profile is to be opened by `Newcomer` rather than by `Node`.

    Raises:
        StoreError: a subclass says what is wrong with disk, file or key.
    """

    def look() -> bool:
        with profile.open_store(key) as store:
            return is_waiting(store)

    return await asyncio.to_thread(look)
