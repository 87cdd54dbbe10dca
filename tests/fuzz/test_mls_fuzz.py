"""Hostile input to `lutra.mls`: typed errors only, no blow-up in time or memory."""

from __future__ import annotations

import gc
import math
import subprocess
import sys
import time
import tracemalloc
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from fuzz.mls_decoders import decoders
from fuzz.mls_insider import feeds, scene
from fuzz.mls_swollen import SWOLLEN
from fuzz.mutation import Mutator
from lutra.errors import LocalError, RemoteError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fuzz.mls_decoders import Decoder

ROUNDS = 400
TARGET = Path(__file__).with_name("mls_atheris.py")


@pytest.mark.parametrize("name", sorted(decoders()))
def test_every_decoder_undoes_its_encoder(name: str) -> None:
    decoder = decoders()[name]
    for seed in decoder.seeds:
        try:
            value = decoder.decode(seed)
        except RemoteError:
            # The made-up tree is a tree, but nobody vouches for its keys.
            assert name == "ratchet_tree_validity"
        else:
            assert decoder.encode is None or decoder.encode(value) == seed


@pytest.mark.parametrize("name", sorted(decoders()))
def test_a_decoder_refuses_with_typed_errors_only(name: str) -> None:
    decoder = decoders()[name]
    mutator = Mutator(Random(name), decoder.seeds)
    refused = 0
    for round_ in range(ROUNDS):
        data = mutator.mutate(decoder.seeds[round_ % len(decoder.seeds)])
        try:
            value = decoder.decode(data)
        except RemoteError:
            refused += 1
        else:
            # What is accepted has one encoding only: the one that came.
            assert decoder.encode is None or decoder.encode(value) == data
    assert refused > 0


@pytest.mark.parametrize("name", sorted(set(feeds()) - {f"decoder of {d}" for d in decoders()}))
def test_a_member_refuses_with_typed_errors_only(name: str) -> None:
    feed = feeds()[name]
    mutator = Mutator(Random(name), feed.seeds)
    victim = scene().victim.to_bytes()
    refused = 0
    for round_ in range(ROUNDS):
        try:
            feed.give(mutator.mutate(feed.seeds[round_ % len(feed.seeds)]))
        except (RemoteError, LocalError):
            refused += 1
    assert refused > 0
    assert scene().victim.to_bytes() == victim


def _costs(decoder: Decoder, inputs: Sequence[bytes]) -> list[float]:
    """CPU seconds of decoding each input, the best of five.

    By turns, as the speed of a shared processor changes, and without what other tests have left
    in memory, which the collector would go through each time.
    """
    best = [math.inf] * len(inputs)
    gc.collect()
    gc.freeze()
    try:
        for place, data in [*enumerate(inputs)] * 5:
            start = time.process_time()
            with suppress(RemoteError):
                decoder.decode(data)
            best[place] = min(best[place], time.process_time() - start)
    finally:
        gc.unfreeze()
    return best


@pytest.mark.parametrize("what", sorted(SWOLLEN))
def test_time_grows_with_the_input_and_no_faster(what: str) -> None:
    name, make = SWOLLEN[what]
    decoder = decoders()[name]
    small, large = make(20_000), make(160_000)
    growth = len(large) / len(small)
    assert growth > 4
    # Quadratic work would cost growth squared; three times linear leaves room for noise.
    floor = 0.0005
    of_small, of_large = _costs(decoder, (small, large))
    assert of_large < max(of_small, floor) * growth * 3


@pytest.mark.parametrize("what", sorted(SWOLLEN))
def test_memory_is_bounded_by_the_input(what: str) -> None:
    name, make = SWOLLEN[what]
    data = make(100_000)
    tracemalloc.start()
    try:
        with suppress(RemoteError):
            decoders()[name].decode(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # A list entry of one byte becomes a few pointers; 128 bytes per byte is room for those.
    assert peak < 128 * len(data)


def _coverage_guided(seconds: int, seed: int) -> None:
    pytest.importorskip("atheris", reason="no coverage-guided fuzzer on this Python")
    done = subprocess.run(
        [sys.executable, str(TARGET), str(seconds), str(seed)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]


def test_coverage_guided_fuzzing_for_a_moment() -> None:
    _coverage_guided(3, 1)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_coverage_guided_fuzzing_for_ten_minutes() -> None:
    _coverage_guided(600, time.time_ns() % (1 << 31))


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_mutation_for_two_minutes() -> None:
    """The part of the ten minutes that Pythons without a coverage-guided fuzzer can have."""
    seed = time.time_ns()
    rng = Random(seed)
    ways = list(feeds().items())
    mutators = {name: Mutator(rng, feed.seeds) for name, feed in ways}
    end = time.monotonic() + 120
    while time.monotonic() < end:
        name, feed = rng.choice(ways)
        data = mutators[name].mutate(rng.choice(feed.seeds))
        try:
            with suppress(RemoteError, LocalError):
                feed.give(data)
        except Exception as error:
            error.add_note(f"{name}, seed {seed}: {data.hex()}")
            raise
