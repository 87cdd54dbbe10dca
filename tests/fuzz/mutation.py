"""A small mutation fuzzer for byte strings: deterministic under its generator, no dependencies.

It finds less than a coverage-guided fuzzer per second, but it runs everywhere and in every
ordinary test run; `mls_atheris.py` is the coverage-guided one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

# Bytes that mean something to a TLS presentation language decoder: small enums, length headers
# of one, two and four bytes, their largest values, and the reserved prefix.
INTERESTING = (
    b"\x00",
    b"\x01",
    b"\x02",
    b"\x03",
    b"\x05",
    b"\x3f",
    b"\x40\x40",
    b"\x7f\xff",
    b"\x80\x00\x40\x00",
    b"\xbf\xff\xff\xff",
    b"\xc0",
    b"\xff",
    b"\x00\x00\x00\x00",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
)


class Mutator:
    """Turns valid inputs into nearly valid ones."""

    def __init__(self, rng: Random, seeds: Sequence[bytes], largest: int = 1 << 16) -> None:
        self._rng = rng
        self._seeds = seeds
        self._largest = largest
        self._changes: tuple[Callable[[bytearray], None], ...] = (
            self._flip,
            self._set,
            self._place,
            self._insert,
            self._delete,
            self._repeat,
            self._splice,
            self._cut,
            self._count,
        )

    def mutate(self, data: bytes) -> bytes:
        """Change ``data`` in one to four places."""
        changed = bytearray(data)
        for _ in range(self._rng.choice((1, 1, 1, 2, 3, 4))):
            self._rng.choice(self._changes)(changed)
        return bytes(changed[: self._largest])

    def _at(self, data: bytearray) -> int:
        return self._rng.randrange(len(data) + 1)

    def _span(self, data: bytearray) -> tuple[int, int]:
        start = self._at(data)
        return start, min(len(data), start + self._rng.choice((1, 2, 4, 16, 64, 256)))

    def _flip(self, data: bytearray) -> None:
        if data:
            data[self._rng.randrange(len(data))] ^= 1 << self._rng.randrange(8)

    def _set(self, data: bytearray) -> None:
        if data:
            data[self._rng.randrange(len(data))] = self._rng.randrange(256)

    def _place(self, data: bytearray) -> None:
        value = self._rng.choice(INTERESTING)
        start = self._at(data)
        data[start : start + len(value)] = value

    def _insert(self, data: bytearray) -> None:
        start = self._at(data)
        data[start:start] = self._rng.choice(INTERESTING)

    def _delete(self, data: bytearray) -> None:
        start, stop = self._span(data)
        del data[start:stop]

    def _repeat(self, data: bytearray) -> None:
        start, stop = self._span(data)
        data[stop:stop] = data[start:stop] * self._rng.choice((1, 2, 8, 64))

    def _splice(self, data: bytearray) -> None:
        other = bytearray(self._rng.choice(self._seeds))
        start, stop = self._span(other)
        place = self._at(data)
        data[place : place + (stop - start)] = other[start:stop]

    def _cut(self, data: bytearray) -> None:
        del data[self._at(data) :]

    def _count(self, data: bytearray) -> None:
        """Step a byte by one: lengths, indices, epochs and generations are numbers."""
        if data:
            place = self._rng.randrange(len(data))
            data[place] = (data[place] + self._rng.choice((-1, 1))) % 256
