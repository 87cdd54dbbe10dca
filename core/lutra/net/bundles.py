"""Bundles: files that carry sections for several readers and tell everybody else only their size.

A bundle is 32 random bytes, the *salt*, followed by blocks of equal size::

    salt(32)  block(16384) × n

Each section takes consecutive blocks. Its first one begins with a tag, which is keyed from the
section's secret and made over the salt, so that only who knows the secret finds it; the rest is
ChaCha20-Poly1305 under a key of this section and salt, each block with its own counter. Behind the
sections random blocks fill the file up to a size that many contents share (Padmé, Nikitin et al.,
PETS 2019). All of it looks random, how many sections there are included.

A section's plaintext is ``version(1) blocks-of-the-file(4) length(8)`` and then ``length`` bytes of
records, each with its own length (4) in front, zeros to the end. The number of blocks is in every
section, so that a file that lost its end is recognised by every reader.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from lutra.crypto.chachapoly import TAG_BYTES as SEAL_BYTES
from lutra.crypto.chachapoly import ChaChaPoly
from lutra.crypto.hashing import blake3_derive, blake3_keyed
from lutra.crypto.random import Random, system_random
from lutra.errors import DecryptionError, RemoteError, UsageError

SALT_BYTES = 32
BLOCK_BYTES = 16 * 1024
MIN_BLOCKS = 8
MAX_RECORD_BYTES = 8 * 1024 * 1024
_TAG_BYTES = 16
_VERSION = 1
_HEADER = struct.Struct(">BIQ")
_LENGTH = struct.Struct(">I")
_FIRST_BYTES = BLOCK_BYTES - _TAG_BYTES - SEAL_BYTES - _HEADER.size
_REST_BYTES = BLOCK_BYTES - SEAL_BYTES


class BundleError(RemoteError):
    """A bundle cannot be used."""

    code = "bundle"


class ForeignBundleError(BundleError):
    """Nothing in the file is for this device, or the file is no bundle at all."""

    code = "bundle.foreign"


class IncompleteBundleError(BundleError):
    """The file has lost its end, or something was added to it."""

    code = "bundle.incomplete"


class DamagedBundleError(BundleError):
    """A part of the file is not what was written; ``details`` tells where."""

    code = "bundle.damaged"


@dataclass(frozen=True, slots=True)
class SectionLock:
    """What finds and opens the sections made for one secret, in any file."""

    master: bytes = field(repr=False)

    @classmethod
    def of_group(cls, discovery_secret: bytes) -> SectionLock:
        """Return the lock of a group's sections: its members open them, whatever keys they hold."""
        return cls(blake3_derive("lutra bundle group section v1", discovery_secret))

    @classmethod
    def of_kit(cls, recovery_key: bytes) -> SectionLock:
        """Return the lock of the section for a recovery kit.

        It only hides the section from strangers: who knows the person knows the public key. What
        is inside must be sealed to the kit.
        """
        return cls(blake3_derive("lutra bundle kit section v1", recovery_key))

    def tag(self, salt: bytes) -> bytes:
        """Return what the section begins with."""
        return blake3_keyed(self.master, b"tag" + salt)[:_TAG_BYTES]

    def cipher(self, salt: bytes) -> ChaChaPoly:
        """Return the cipher of the section's blocks."""
        return ChaChaPoly(blake3_keyed(self.master, b"key" + salt))


def padded_blocks(blocks: int) -> int:
    """Return how many blocks a file of ``blocks`` is filled up to: at most 12 % more (Padmé)."""
    if blocks <= MIN_BLOCKS:
        return MIN_BLOCKS
    exponent = blocks.bit_length() - 1
    mask = (1 << (exponent - exponent.bit_length())) - 1
    return (blocks + mask) & ~mask


@dataclass(slots=True)
class _Written:
    """A section whose first block is written last, when the size of the file is known."""

    lock: SectionLock
    block: int
    first: bytes
    length: int


class BundleWriter:
    """Writes a bundle: `begin` a section, `add` its records, and so on; `finish` at the end.

    Args:
        file: empty, to be written and moved about in.
        random: source of salt and padding.
    """

    def __init__(self, file: BinaryIO, random: Random = system_random) -> None:
        self._file = file
        self._random = random
        self._salt = random(SALT_BYTES)
        self._blocks = 0
        self._sections: list[_Written] = []
        self._open: _Written | None = None
        self._cipher: ChaChaPoly | None = None
        self._pending = bytearray()
        self._counter = 0
        file.write(self._salt)

    @property
    def salt(self) -> bytes:
        """The random bytes at the beginning of the file."""
        return self._salt

    def begin(self, lock: SectionLock) -> None:
        """Begin the section for a secret; each secret has one section at most."""
        self._end_section()
        if any(one.lock == lock for one in self._sections):
            raise UsageError("A bundle holds one part for each group.")
        self._open = _Written(lock, self._blocks, b"", 0)
        self._cipher = lock.cipher(self._salt)
        self._counter = 0

    def add(self, record: bytes) -> None:
        """Add a record to the section begun last."""
        if self._open is None or len(record) > MAX_RECORD_BYTES:
            raise UsageError("A record of a bundle has no section, or is too large.")
        self._open.length += _LENGTH.size + len(record)
        self._pending += _LENGTH.pack(len(record)) + record
        self._flush(to_end=False)

    def finish(self) -> int:
        """Write what is left and the padding; returns the size of the file in bytes."""
        self._end_section()
        total = padded_blocks(self._blocks)
        for _ in range(total - self._blocks):
            self._file.write(self._random(BLOCK_BYTES))
        for section in self._sections:
            header = _HEADER.pack(_VERSION, total, section.length)
            sealed = section.lock.cipher(self._salt).encrypt(0, header + section.first, None)
            self._file.seek(_offset(section.block))
            self._file.write(section.lock.tag(self._salt) + sealed)
        self._file.seek(0, os.SEEK_END)
        return _offset(total)

    def _end_section(self) -> None:
        if self._open is not None:
            self._flush(to_end=True)
            self._sections.append(self._open)
            self._open = None

    def _flush(self, *, to_end: bool) -> None:
        section, cipher = self._open, self._cipher
        assert section is not None
        assert cipher is not None
        while len(self._pending) >= self._room() or (
            to_end and (self._pending or not self._counter)
        ):
            room = self._room()
            part = bytes(self._pending[:room]).ljust(room, b"\0")
            del self._pending[:room]
            if self._counter:
                self._file.write(cipher.encrypt(self._counter, part, None))
            else:
                section.first = part
                self._file.write(bytes(BLOCK_BYTES))
            self._counter += 1
            self._blocks += 1

    def _room(self) -> int:
        return _REST_BYTES if self._counter else _FIRST_BYTES


class BundleReader:
    """Finds sections in a bundle.

    Args:
        file: the bundle, to be read and moved about in.

    Raises:
        IncompleteBundleError: its size cannot be a bundle's.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        size = file.seek(0, os.SEEK_END)
        self.blocks, rest = divmod(size - SALT_BYTES, BLOCK_BYTES)
        if rest or self.blocks < MIN_BLOCKS:
            raise IncompleteBundleError(
                "This file is no bundle, or the end of it is missing. Copy it once more."
            )
        file.seek(0)
        self.salt = file.read(SALT_BYTES)

    def find(self, locks: Mapping[bytes, SectionLock]) -> dict[bytes, Section]:
        """Return the sections that some of the locks open, by the locks' names.

        Raises:
            IncompleteBundleError: the file has lost its end.
            DamagedBundleError: the beginning of a section does not open;
                ``details["section"]`` is the name of its lock.
        """
        wanted = {lock.tag(self.salt): name for name, lock in locks.items()}
        found: dict[bytes, Section] = {}
        for block in range(self.blocks):
            self._file.seek(_offset(block))
            name = wanted.get(self._file.read(_TAG_BYTES))
            if name is not None and name not in found:
                found[name] = self._section(name, block, locks[name])
        return found

    def _section(self, name: bytes, block: int, lock: SectionLock) -> Section:
        try:
            return Section(self, block, lock.cipher(self.salt))
        except DamagedBundleError as error:
            raise DamagedBundleError(error.message, section=name, **error.details) from None

    def read_block(self, block: int) -> bytes:
        """Return a block's bytes.

        Raises:
            IncompleteBundleError: the file has become shorter.
        """
        self._file.seek(_offset(block))
        data = self._file.read(BLOCK_BYTES)
        if len(data) != BLOCK_BYTES:
            raise IncompleteBundleError("The end of this file is missing. Copy it once more.")
        return data


class Section:
    """One section of a bundle; reading it checks it block by block.

    Attributes:
        blocks: how many blocks it takes.
        length: bytes of its records.
    """

    def __init__(self, reader: BundleReader, block: int, cipher: ChaChaPoly) -> None:
        self._reader = reader
        self._block = block
        self._cipher = cipher
        version, total, self.length = _HEADER.unpack_from(self._open(0))
        if version != _VERSION:
            raise BundleError("This bundle was made by a newer Lutra. Please update to use it.")
        if total != reader.blocks:
            raise IncompleteBundleError("The end of this file is missing. Copy it once more.")
        self.blocks = 1 + max(0, -(-(self.length - _FIRST_BYTES) // _REST_BYTES))
        if block + self.blocks > total:
            raise self._damaged(0)

    def check(self, progress: Callable[[int], None] = lambda blocks: None) -> None:
        """Read the whole section without using it.

        Args:
            progress: called with the number of blocks read since the last call.

        Raises:
            DamagedBundleError: a block is not what was written.
            IncompleteBundleError: the file has become shorter.
        """
        for number in range(self.blocks):
            self._open(number)
            progress(1)

    def records(self) -> Iterator[bytes]:
        """Yield the records in order; holds one of them in memory.

        Raises:
            DamagedBundleError: a block is not what was written.
            IncompleteBundleError: the file has become shorter.
        """
        left = self.length
        pending = bytearray()
        for number in range(self.blocks):
            plaintext = self._open(number)
            part = plaintext if number else plaintext[_HEADER.size :]
            pending += part[:left]
            left -= min(left, len(part))
            while len(pending) >= _LENGTH.size:
                (length,) = _LENGTH.unpack_from(pending)
                if length > MAX_RECORD_BYTES:
                    raise self._damaged(number)
                end = _LENGTH.size + length
                if len(pending) < end:
                    break
                yield bytes(pending[_LENGTH.size : end])
                del pending[:end]
        if pending:
            raise self._damaged(self.blocks - 1)

    def _open(self, number: int) -> bytes:
        data = self._reader.read_block(self._block + number)
        try:
            return self._cipher.decrypt(number, data[0 if number else _TAG_BYTES :], None)
        except DecryptionError:
            raise self._damaged(number) from None

    def _damaged(self, number: int) -> DamagedBundleError:
        place = _offset(self._block + number)
        return DamagedBundleError(
            f"This file is damaged somewhere behind byte {place:,}. Copy it once more.",
            offset=place,
        )


def _offset(block: int) -> int:
    return SALT_BYTES + block * BLOCK_BYTES
