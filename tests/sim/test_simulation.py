"""Simulated lives: many seeds, and rules broken on purpose to see the simulator notice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lutra.groups import gate, group, planning
from lutra.groups.epochs import EpochNode
from lutra.groups.head import HeadChooser
from sim.simulation import Simulation, Size, Violation


@pytest.mark.parametrize("seed", range(12))
def test_everything_holds(seed: int) -> None:
    Simulation(seed).run(120)


def test_a_seed_replays_exactly() -> None:
    one, two = Simulation(5), Simulation(5)
    for simulation in (one, two):
        simulation.run(60)
    assert one.history == two.history


@pytest.mark.soak
def test_everything_holds_for_long() -> None:
    for seed in range(1_000, 1_200):
        Simulation(seed, Size(persons=6, devices=2, malicious=2)).run(200)


def _half_a_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "is_open", lambda node, auth: auth.leaves.issuperset(node.roster))


def _other_half_of_a_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "is_open", lambda node, auth: not auth.removals & ~node.known)


def _no_repair_of_links(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "_unlinked", lambda control, keyring, head: {})


def _first_come(monkeypatch: pytest.MonkeyPatch) -> None:
    def best(_: HeadChooser, parent: EpochNode, eligible: list[EpochNode], *__: object) -> object:
        return eligible[0]

    monkeypatch.setattr(HeadChooser, "_best", best)


def _unstored_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        group.Group, "private_state", lambda self: group.Keyring(self._services).to_bytes()
    )


@pytest.mark.parametrize(
    "break_rule",
    [_half_a_gate, _other_half_of_a_gate, _no_repair_of_links, _first_come, _unstored_keys],
)
def test_a_broken_rule_is_noticed(
    break_rule: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    break_rule(monkeypatch)
    with pytest.raises(Violation):
        _live_many()


def _live_many() -> None:
    for seed in range(60):
        Simulation(seed).run(150)
