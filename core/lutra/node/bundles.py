"""Bundles, as part of the node's public API."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lutra.errors import UsageError
from lutra.node.bundle_files import Progress, export_bundle, ignore, import_bundle
from lutra.node.bundle_views import BundleView, ImportView
from lutra.node.errands import EngineCalls


class Bundles:
    """Everything of some groups in one encrypted file; `lutra.node.node.Node.bundles`."""

    def __init__(self, engine: EngineCalls) -> None:
        self._engine = engine

    async def export(
        self,
        path: Path,
        *,
        groups: Sequence[bytes] = (),
        person: bytes | None = None,
        everything: bool = False,
        overwrite: bool = False,
        progress: Progress = ignore,
    ) -> BundleView:
        """Write a bundle; cancelling it leaves nothing behind.

        Args:
            path: the file.
            groups: these groups; or
            person: all groups shared with this person; or
            everything: all groups, with what this person's other devices and recovery kits need.
            overwrite: take the place of a file of this name.
            progress: called on the event loop as it goes on.

        Raises:
            UsageError: not exactly one of groups, person and everything is given.
            NotFoundError: there is no such group, or none is shared with the person.
            BundleExistsError: there is a file of this name already.
            BundleFileError: the disk does not take it.
        """
        if bool(groups) + (person is not None) + everything != 1:
            raise UsageError("Say which groups, or which person, or all is to go into the bundle.")
        scope = await self._engine.call(
            lambda engine: (
                engine.bundles.scope_of_groups(groups)
                if groups
                else engine.bundles.scope_of_person(person)
            )
        )
        return await export_bundle(
            self._engine, path, scope, overwrite=overwrite, progress=progress
        )

    async def load(self, path: Path, *, progress: Progress = ignore) -> ImportView:
        """Take in what a bundle holds for this device; twice is harmless.

        Raises:
            ForeignBundleError: nothing in it is for this device, or it is no bundle.
            IncompleteBundleError: its end is missing; nothing was taken in.
            DamagedBundleError: a part is damaged; nothing of that part was taken in.
            BundleFileError: the file cannot be read.
        """
        return await import_bundle(self._engine, path, progress=progress)
