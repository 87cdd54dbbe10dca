"""Each rule broken on purpose makes some simulated life fail."""

from __future__ import annotations

import pytest

from sim.mutations import MUTATIONS, Mutation
from sim.simulation import STEPS, Simulation, Violation

MAX_SEEDS = 200


@pytest.mark.parametrize("mutation", MUTATIONS, ids=[item.name for item in MUTATIONS])
def test_a_broken_rule_is_noticed(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    mutation.apply(monkeypatch)
    with pytest.raises(Violation):
        _live_many(mutation.seeds)


def _live_many(telling: tuple[int, ...]) -> None:
    for seed in (*telling, *range(MAX_SEEDS)):
        Simulation(seed).run(STEPS)
