"""Replays simulated lives: ``python -m tests.sim SEED [STEPS]`` prints the history of one.

``python -m tests.sim FIRST:LAST [STEPS]`` lives many, LAST excluded, and names those that fail.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sim.simulation import STEPS, Simulation


def main(arguments: list[str]) -> int:
    """Run; returns 1 where something does not hold."""
    seeds = arguments[0] if arguments else "1"
    steps = int(arguments[1]) if len(arguments) > 1 else STEPS
    if ":" in seeds:
        first, last = seeds.split(":")
        return _live_many(range(int(first), int(last)), steps)
    return _live(int(seeds), steps)


def _live(seed: int, steps: int) -> int:
    simulation = Simulation(seed)
    try:
        simulation.run(steps)
    finally:
        print("\n".join(simulation.history))
    print(f"seed {seed}, {steps} steps: all holds; {simulation.commits} commits")
    for number, count in sorted(simulation.judge.checked.items(), key=str):
        print(f"  {number!s:>9}: checked {count} times")
    return 0


def _live_many(seeds: range, steps: int) -> int:
    failed = 0
    for seed in seeds:
        try:
            Simulation(seed).run(steps)
        except Exception as error:  # noqa: BLE001 - whatever breaks is a finding
            failed += 1
            print(f"seed {seed}, {steps} steps: {type(error).__name__}: {error}", flush=True)
        if (seed + 1) % 100 == 0:
            print(f"lived up to seed {seed}; {failed} failed", flush=True)
    print(f"seeds {seeds.start} to {seeds.stop - 1}, {steps} steps each: {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
