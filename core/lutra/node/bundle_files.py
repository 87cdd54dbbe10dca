"""Writing and reading bundle files: the engine gives and takes steps, other threads do the disk.

An export writes beside its target and takes its name at the end, so that there is never half a
bundle under it. An import reads a file twice: it is checked as a whole before anything is taken in.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

from lutra.crypto.random import Random, system_random
from lutra.errors import EnvironmentalError, LocalError, RemoteError
from lutra.identity.recovery import RecoveryKit
from lutra.net.bundles import (
    BundleError,
    BundleReader,
    BundleWriter,
    DamagedBundleError,
    ForeignBundleError,
    Section,
    SectionLock,
)
from lutra.node.bundle_records import KitGift, open_gift
from lutra.node.bundle_views import BundleProgress, BundleView, GroupImport, ImportView
from lutra.node.bundling import BundleScope, Taken
from lutra.node.engine import Engine
from lutra.node.errands import EngineCalls

Result = TypeVar("Result")
_KIT = b"kit"


class BundleFileError(EnvironmentalError):
    """The disk does not let the file be read or written."""

    code = "bundle.file"


class BundleExistsError(LocalError):
    """There is a file of this name already."""

    code = "bundle.exists"


Progress = Callable[[BundleProgress], None]


def ignore(progress: BundleProgress) -> None:
    """Take no notice of progress."""


async def export_bundle(
    engine: EngineCalls,
    path: Path,
    scope: BundleScope,
    *,
    overwrite: bool = False,
    progress: Progress = ignore,
    random: Random = system_random,
) -> BundleView:
    """Write a bundle; cancelling leaves nothing behind.

    Raises:
        BundleExistsError: there is a file of this name.
        BundleFileError: the disk does not take it.
        LutraError: a subclass says what else is wrong.
    """
    if not overwrite and await _in_thread(path.exists):
        raise BundleExistsError("There is a file of this name already.", path=str(path))
    await engine.call(Engine.publish_all)
    file, temporary = await _in_thread(lambda: _create(path))
    try:
        export = _Export(engine, BundleWriter(file, random), progress)
        size = await export.write(scope)
        await _in_thread(lambda: _keep(file, temporary, path, overwrite=overwrite))
    except OSError as error:
        raise _file_error(error, path) from error
    finally:
        await _in_thread(lambda: _drop(file, temporary))
    # The personal group is none that a person knows of.
    personal = await engine.call(lambda e: e.own_devices.personal)
    groups = tuple(group for group in scope.groups if group != personal)
    return BundleView(path, size, groups, export.operations, export.kits)


class _Export:
    def __init__(self, engine: EngineCalls, writer: BundleWriter, progress: Progress) -> None:
        self._engine = engine
        self._writer = writer
        self._progress = progress
        self.operations = 0
        self.kits = 0

    async def write(self, scope: BundleScope) -> int:
        call, writer = self._engine.call, self._writer
        readings = await call(lambda e: [(one, e.bundles.read(one)) for one in scope.groups])
        total = sum(reading.total for _, reading in readings)
        hand_overs = await call(lambda e: e.bundles.hand_overs(scope))
        personal = await call(lambda e: e.own_devices.personal)
        for group, reading in readings:
            await self._begin(await call(lambda e, group=group: e.bundles.lock(group)))
            while True:
                records, count = await call(lambda _, reading=reading: reading.step())
                if not records:
                    break
                await _in_thread(lambda records=records: self._add(records))
                self.operations += count
                self._progress(
                    BundleProgress("writing", self.operations, max(total, self.operations))
                )
            if group == personal:
                await _in_thread(lambda: self._add(hand_overs))
        salt = writer.salt
        for lock, records in await call(lambda e: e.bundles.gifts(scope, salt)):
            await self._begin(lock)
            await _in_thread(lambda records=records: self._add(records))
            self.kits += 1
        return await _in_thread(writer.finish)

    async def _begin(self, lock: SectionLock) -> None:
        await _in_thread(lambda: self._writer.begin(lock))

    def _add(self, records: list[bytes]) -> None:
        for record in records:
            self._writer.add(record)


async def import_bundle(
    engine: EngineCalls, path: Path, *, progress: Progress = ignore
) -> ImportView:
    """Take in what a bundle holds for this device; twice is harmless.

    Cancelling leaves what was taken in so far, which is whole in itself.

    Raises:
        ForeignBundleError: nothing in it is for this device, or it is no bundle.
        IncompleteBundleError: its end is missing; nothing was taken in.
        DamagedBundleError: a part is damaged; nothing of that part was taken in.
        BundleFileError: the file cannot be read.
    """
    file = await _in_thread(lambda: _open(path))
    try:
        reader = await _in_thread(lambda: BundleReader(file))
        return await _Import(engine, reader, progress).take()
    except OSError as error:
        raise _file_error(error, path) from error
    finally:
        file.close()


class _Import:
    def __init__(self, engine: EngineCalls, reader: BundleReader, progress: Progress) -> None:
        self._engine = engine
        self._reader = reader
        self._progress = progress
        self._done: list[GroupImport] = []
        self._hidden = Taken()

    async def take(self) -> ImportView:
        seen: set[bytes] = set()
        while sections := await self._find(seen):
            seen.update(sections)
            await self._check(sections)
            for group, section in sections.items():
                await self._take(group, section)
        if not seen:
            raise ForeignBundleError(
                "Nothing in this file is for this device. It was made for other groups, or it is "
                "damaged, or it is no bundle."
            )
        totals = self._hidden
        for one in self._done:
            totals += Taken(one.new, one.known, one.refused)
        return ImportView(
            tuple(self._done),
            totals.new,
            totals.known,
            totals.refused,
            sum(one.pages for one in self._done),
        )

    async def _find(self, seen: set[bytes]) -> dict[bytes, Section]:
        """Return the sections to be read next: those of own devices tell of further groups."""
        locks = await self._engine.call(lambda e: e.bundles.locks())
        wanted = {group: lock for group, lock in locks.items() if group not in seen}
        try:
            found = await _in_thread(lambda: self._reader.find(wanted))
        except DamagedBundleError as error:
            raise await self._damaged(cast("bytes", error.details["section"]), error) from error
        return {group: found[group] for group in wanted if group in found}

    async def _check(self, sections: dict[bytes, Section]) -> None:
        total = sum(section.blocks for section in sections.values())
        done = 0
        for group, section in sections.items():
            try:
                await _in_thread(section.check)
            except DamagedBundleError as error:
                raise await self._damaged(group, error) from error
            done += section.blocks
            self._progress(BundleProgress("checking", done, total))

    async def _take(self, group: bytes, section: Section) -> None:
        call = self._engine.call
        before = await call(lambda e: e.bundles.pages(group))
        records = section.records()
        taken = Taken()
        done = 0
        try:
            while (record := await _in_thread(lambda: next(records, None))) is not None:
                taken += await call(lambda e, record=record: e.bundles.take(group, record))
                done += len(record)
                self._progress(BundleProgress("reading", done, section.length))
        except DamagedBundleError as error:
            raise await self._damaged(group, error) from error
        view = await call(lambda e: e.bundles.outcome(group, taken, before))
        if view is None:
            self._hidden += taken
        else:
            self._done.append(view)

    async def _damaged(self, group: bytes, error: DamagedBundleError) -> DamagedBundleError:
        name = await self._engine.call(lambda e: e.bundles.name_of(group))
        return DamagedBundleError(
            f"This file is damaged, in its part for “{name}”. Copy it once more.",
            group=group,
            offset=error.details["offset"],
        )


async def read_gift(path: Path, kit: RecoveryKit) -> KitGift:
    """Return what a bundle holds for a recovery kit.

    Raises:
        ForeignBundleError: nothing in it is for this kit.
        BundleError: the file is damaged or incomplete.
        BundleFileError: the file cannot be read.
    """

    def read() -> KitGift:
        with _open(path) as file:
            reader = BundleReader(file)
            section = reader.find({_KIT: SectionLock.of_kit(kit.key.public)}).get(_KIT)
            if section is None:
                raise ForeignBundleError("Nothing in this file is for this recovery kit.")
            section.check()
            return open_gift(kit, section.records(), reader.salt)

    try:
        return await _in_thread(read)
    except OSError as error:
        raise _file_error(error, path) from error
    except BundleError:
        raise
    except RemoteError:
        raise BundleError("The part of this file for the recovery kit cannot be read.") from None


async def _in_thread(function: Callable[[], Result]) -> Result:
    """Run ``function`` in another thread; if cancelled, first wait until it is through."""
    running = asyncio.ensure_future(asyncio.to_thread(function))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


def _create(path: Path) -> tuple[BinaryIO, Path]:
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=path.parent)
    except OSError as error:
        raise _file_error(error, path) from error
    return os.fdopen(descriptor, "w+b"), Path(name)


def _keep(file: BinaryIO, temporary: Path, path: Path, *, overwrite: bool) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()
    if not overwrite and path.exists():
        raise BundleExistsError("There is a file of this name already.", path=str(path))
    temporary.replace(path)


def _drop(file: BinaryIO, temporary: Path) -> None:
    file.close()
    temporary.unlink(missing_ok=True)


def _open(path: Path) -> BinaryIO:
    try:
        return cast("BinaryIO", path.open("rb"))
    except OSError as error:
        raise _file_error(error, path) from error


def _file_error(error: OSError, path: Path) -> BundleFileError:
    reason = error.strerror or type(error).__name__
    return BundleFileError(f"The file cannot be used: {reason}.", path=str(path))
