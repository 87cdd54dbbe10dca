"""Simulated lives: many seeds, each exactly repeatable; see ``make sim``.

Long runs take the seeds from 1,000 on, in parts; ``LUTRA_SIM_SEEDS=FIRST:LAST`` takes others, so
that an interrupted run can go on where it was.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest

from sim.invariants import INVARIANTS
from sim.simulation import STEPS, Simulation

SEEDS = 200
SOAK_STEPS = 100
SOAK_PARTS = 100
TELLING = (22, 51, 17, *range(60))
"""Seeds that between them check everything, the most telling ones first."""


@pytest.mark.parametrize("seed", range(SEEDS))
def test_everything_holds(seed: int) -> None:
    Simulation(seed).run(STEPS)


def test_a_seed_replays_exactly() -> None:
    one, two = Simulation(5), Simulation(5)
    one.run(STEPS)
    # Shared judgements change nothing.
    two.run_alone(STEPS)
    assert one.history == two.history


def test_every_invariant_is_put_to_the_test() -> None:
    checked: Counter[int | str] = Counter()
    for seed in TELLING:
        simulation = Simulation(seed)
        simulation.run(STEPS)
        checked += simulation.judge.checked
        if checked.keys() >= INVARIANTS.keys():
            return
    assert checked.keys() == INVARIANTS.keys()


def _soak_seeds() -> range:
    first, last = os.environ.get("LUTRA_SIM_SEEDS", "1000:11000").split(":")
    return range(int(first), int(last))


@pytest.mark.soak
@pytest.mark.parametrize("part", range(SOAK_PARTS))
def test_everything_holds_for_long(part: int) -> None:
    for seed in _soak_seeds()[part::SOAK_PARTS]:
        simulation = Simulation(seed)
        run = simulation.run_alone if seed % 10 == 0 else simulation.run
        run(SOAK_STEPS)
