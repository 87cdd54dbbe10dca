"""The form of bundles: sections found by their readers only, damage recognised, sizes padded."""

from __future__ import annotations

import io
import math
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lutra.errors import UsageError
from lutra.net.bundles import (
    BLOCK_BYTES,
    MAX_RECORD_BYTES,
    MIN_BLOCKS,
    SALT_BYTES,
    BundleError,
    BundleReader,
    BundleWriter,
    DamagedBundleError,
    IncompleteBundleError,
    SectionLock,
    padded_blocks,
)

OTTERS = SectionLock.of_group(b"o" * 32)
BEAVERS = SectionLock.of_group(b"b" * 32)
LOCKS = {b"otters": OTTERS, b"beavers": BEAVERS}


def write(*sections: tuple[SectionLock, list[bytes]], seed: int = 0) -> bytes:
    file = io.BytesIO()
    writer = BundleWriter(file, random.Random(seed).randbytes)
    for lock, records in sections:
        writer.begin(lock)
        for record in records:
            writer.add(record)
    assert writer.finish() == len(file.getvalue())
    return file.getvalue()


def read(data: bytes, locks: dict[bytes, SectionLock] = LOCKS) -> dict[bytes, list[bytes]]:
    found = BundleReader(io.BytesIO(data)).find(locks)
    for section in found.values():
        section.check()
    return {name: list(section.records()) for name, section in found.items()}


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 70_000), max_size=5),
    st.lists(st.integers(0, 70_000), max_size=5),
    st.integers(0, 2**32),
)
def test_what_was_written_is_read(first: list[int], second: list[int], seed: int) -> None:
    rng = random.Random(seed)
    content = {
        b"otters": [rng.randbytes(size) for size in first],
        b"beavers": [rng.randbytes(size) for size in second],
    }
    data = write((OTTERS, content[b"otters"]), (BEAVERS, content[b"beavers"]), seed=seed)
    assert read(data) == content
    assert read(data, {b"beavers": BEAVERS}) == {b"beavers": content[b"beavers"]}


@pytest.mark.parametrize("edge", [-1, 0, 1])
@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_sections_that_just_fill_their_blocks(blocks: int, edge: int) -> None:
    # First block: tag, header and seal; the others: the seal.
    room = BLOCK_BYTES - 16 - 16 - 13 + (blocks - 1) * (BLOCK_BYTES - 16)
    record = bytes(room - 4 + edge)
    data = write((OTTERS, [record]), (BEAVERS, [b"next"]))
    assert read(data) == {b"otters": [record], b"beavers": [b"next"]}


def test_a_stranger_finds_nothing() -> None:
    data = write((OTTERS, [b"secret"]))
    stranger = {b"x": SectionLock.of_group(bytes(32)), b"k": SectionLock.of_kit(b"o" * 32)}
    assert read(data, stranger) == {}


def test_size_tells_neither_the_number_of_sections_nor_the_exact_length() -> None:
    sizes = {
        len(write()),
        len(write((OTTERS, [b"a"]))),
        len(write((OTTERS, [b"a"]), (BEAVERS, [b"b" * 5000]))),
        len(write((OTTERS, [b"a" * 90_000]))),
    }
    assert sizes == {SALT_BYTES + MIN_BLOCKS * BLOCK_BYTES}
    for blocks in range(1, 5000):
        padded = padded_blocks(blocks)
        assert padded >= blocks
        assert blocks <= MIN_BLOCKS or padded <= blocks * 1.12
        assert padded_blocks(padded) == padded
    # Padmé: O(log log n) bits of the size remain.
    assert len({padded_blocks(blocks) for blocks in range(1, 4096)}) < 120


def test_the_file_looks_random() -> None:
    """Chi-squared over bytes, runs of bits, and repeated blocks: of structure nothing is left."""
    text = [b"\0" * 40_000, b"the same sentence " * 4000] * 3
    for seed in range(3):
        data = write((OTTERS, text), (BEAVERS, text), seed=seed)
        counts = Counter(data)
        expected = len(data) / 256
        chi = sum((counts[byte] - expected) ** 2 / expected for byte in range(256))
        assert 255 - 6 * math.sqrt(510) < chi < 255 + 6 * math.sqrt(510)
        ones = int.from_bytes(data, "big").bit_count()
        assert abs(ones - len(data) * 4) < 6 * math.sqrt(len(data) * 2)
        words = [data[at : at + 16] for at in range(0, len(data), 16)]
        assert len(set(words)) == len(words)
        # The beginnings of all blocks, where tags stand, are as good as any other place.
        starts = b"".join(data[at : at + 16] for at in range(SALT_BYTES, len(data), BLOCK_BYTES))
        bits = int.from_bytes(starts, "big").bit_count()
        assert abs(bits - len(starts) * 4) < 6 * math.sqrt(len(starts) * 2)
    first, second = write((OTTERS, text), seed=1), write((OTTERS, text), seed=2)
    equal = sum(a == b for a, b in zip(first, second, strict=True))
    assert abs(equal - len(first) / 256) < 6 * math.sqrt(len(first) / 256)


def test_every_flipped_byte_is_refused_or_harmless() -> None:
    content = [b"one", b"two" * 7000]
    data = write((OTTERS, content))
    section_end = SALT_BYTES + 2 * BLOCK_BYTES
    refused = 0
    for place in (*range(600), *range(600, len(data), 97), section_end - 1, section_end):
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        try:
            found = read(bytes(changed))
        except BundleError:
            refused += 1
            continue
        # In salt or tag: not found any more. Behind the section: padding.
        is_outside = place < SALT_BYTES + 16
        assert found == ({} if is_outside else {b"otters": content})
        assert is_outside or place >= section_end
    assert refused > 300


def test_every_truncation_is_recognised() -> None:
    data = write((OTTERS, [bytes(100_000)]), (BEAVERS, [bytes(100_000)]))
    for size in (*range(0, len(data), 4001), *range(SALT_BYTES, len(data), BLOCK_BYTES)):
        try:
            found = read(data[:size])
        except IncompleteBundleError:
            continue
        assert found == {}
    with pytest.raises(IncompleteBundleError):
        read(data + b"more")
    with pytest.raises(IncompleteBundleError):
        read(data + bytes(BLOCK_BYTES))


def test_blocks_cannot_be_exchanged() -> None:
    data = bytearray(write((OTTERS, [bytes(BLOCK_BYTES * 4)])))
    one, two = (SALT_BYTES + number * BLOCK_BYTES for number in (1, 2))
    first, second = data[one : one + BLOCK_BYTES], data[two : two + BLOCK_BYTES]
    data[one : one + BLOCK_BYTES], data[two : two + BLOCK_BYTES] = second, first
    with pytest.raises(DamagedBundleError) as caught:
        read(bytes(data))
    assert caught.value.details["offset"] == one


def test_writing_is_bounded() -> None:
    writer = BundleWriter(io.BytesIO())
    with pytest.raises(UsageError):
        writer.add(b"without a section")
    writer.begin(OTTERS)
    with pytest.raises(UsageError):
        writer.add(bytes(MAX_RECORD_BYTES + 1))
    with pytest.raises(UsageError):
        writer.begin(OTTERS)
    assert "o" * 32 not in repr(OTTERS)
