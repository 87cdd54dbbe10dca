"""Replays one simulated life and prints its history: ``python -m tests.sim SEED [STEPS]``."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sim.simulation import Simulation


def main() -> int:
    """Run; returns 1 where something does not hold."""
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    steps = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    simulation = Simulation(seed)
    try:
        simulation.run(steps)
    except Exception:
        print("\n".join(simulation.history))
        raise
    print("\n".join(simulation.history))
    print(f"seed {seed}, {steps} steps: all holds; {simulation.commits} commits")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
