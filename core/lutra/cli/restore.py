"""Restoring a person on a profile of this process, and waiting for what comes back."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lutra.cli import passphrase
from lutra.identity.recovery import RecoveryKit
from lutra.node.node import Node
from lutra.node.plain import plain
from lutra.node.restoring import RestoreOutcome, RestoreView, find_person, settle
from lutra.store.custody import PassphraseCustody
from lutra.store.errors import ProfileExistsError
from lutra.store.profile import Profile

if TYPE_CHECKING:
    from lutra.node.options import NodeOptions

_SETTLE_SECONDS = 20.0


def restore_here(
    directory: Path,
    kit: RecoveryKit,
    *,
    name: str,
    device: str,
    bundle: Path | None,
    remove_lost: bool,
    with_passphrase: bool,
    options: NodeOptions,
) -> dict[str, Any]:
    """Restore on a new profile in ``directory``; it is made once the person was found.

    Returns:
        the outcome as plain values: those of `RestoreView`, with the numbers of groups, of pages,
        and of groups whose keys are still waited for.

    Raises:
        ProfileExistsError: there is a profile already.
        LutraError: a subclass says what is wrong.
    """
    if Profile.exists(directory):
        raise ProfileExistsError(
            "There is already a profile here. Restore into a new one: --profile DIRECTORY.",
            path=str(directory),
        )
    secret = passphrase.ask(new=True) if with_passphrase else None
    with asyncio.Runner() as runner:
        found = runner.run(
            find_person(
                kit,
                name=name,
                device_name=device,
                options=options,
                bundle=bundle,
                remove_lost=remove_lost,
            )
        )
        profile = Profile.create(directory, None if secret is None else PassphraseCustody(secret))
        key = profile.unlock(secret)
        with profile.lock():
            runner.run(found.write(profile, key))
            outcome = runner.run(_bring_back(profile, key, found.view, bundle, options))
    return {**plain(found.view), **plain(outcome)}


async def _bring_back(
    profile: Profile, key: bytes, view: RestoreView, bundle: Path | None, options: NodeOptions
) -> RestoreOutcome:
    async with await Node.open(profile, key, options) as node:
        if bundle is not None:
            await node.bundles.load(bundle)
        if view.asked:
            await node.start()
        return await settle(node, _SETTLE_SECONDS if view.asked else 0.0)
