"""`lutra.mls` beside ts-mls and OpenMLS (in core-crypto), in one run, with ratios.

    python tests/bench/mls_peers.py [--members 10 100 1000] [--suites 3] [--json FILE]

`mls_bench.py` measures ours; this has the other implementations installed and runs them right
after, size by size, so that all of them meet the same load. OpenMLS runs as WebAssembly with a
store in memory: its native build needs a newer C library than many systems have.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.mls_bench import GOALS, measure
from interop.peers import PeersMissingError, install

FOLDER = Path(__file__).resolve().parent
SCRIPTS = {"ts-mls": "mls_peers_ts.mjs", "core-crypto": "mls_peers_core_crypto.mjs"}
SUITES = {"ts-mls": {1, 2, 3, 4, 5, 6, 7}, "core-crypto": {1, 2, 3, 5, 7}}
TIMES = {"ms": "elapsed time", "cpu_ms": "processor time"}
FASTER_THAN_TS = 3.0
"""How many times faster than ts-mls every row should be."""


def measure_peer(name: str, suite: int, members: int, repeats: int) -> dict[str, Any] | None:
    """Run another implementation's script; None where it has no such suite."""
    if suite not in SUITES[name]:
        return None
    command = ["node", str(FOLDER / SCRIPTS[name]), str(suite), str(members), str(repeats)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{name} failed for suite {suite}, {members} members:\n{done.stderr}")
    return json.loads(done.stdout)


def table(figures: list[dict[str, Any]], time_kind: str) -> list[str]:
    """Lines comparing the implementations' figures for one suite and size; ours come first."""
    ours, *others = figures
    heads = "".join(f"{other['implementation']:>16} {'ratio':>8}" for other in others)
    lines = [
        "",
        f"suite 0x{ours['suite']:04x}, {ours['members']} members, {TIMES[time_kind]}",
        f"  {'':16} {'lutra':>12}{heads}",
    ]
    for kind, unit in ((time_kind, "ms"), ("bytes", "B")):
        for row, value in ours[kind].items():
            cells = f"  {row:16} {value:>9.10g} {unit}"
            for other in others:
                theirs = other[kind].get(row)
                cells += f"{'':25}" if theirs is None else f"{theirs:>13.10g} {unit} "
                cells += "" if theirs is None else f"{theirs / value:>7.1f}x"
            lines.append(cells.rstrip() + _verdict(ours, others, kind, row))
    return lines


def _verdict(ours: dict[str, Any], others: list[dict[str, Any]], kind: str, row: str) -> str:
    """Which goals a figure misses."""
    if kind == "bytes":
        return ""
    value = ours[kind][row]
    missed: list[str] = []
    for other in others:
        theirs = other[kind].get(row)
        if other["implementation"] == "ts-mls" and theirs is not None:
            missed += [f"{FASTER_THAN_TS:.0f}x"] * (theirs < FASTER_THAN_TS * value)
    if ours["members"] == 1000 and ours["suite"] in {1, 3} and value > GOALS.get(row, value):
        missed.append(f"{GOALS[row]:.0f} ms")
    return f"  misses {' and '.join(missed)}" if missed else ""


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--members", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--suites", type=lambda text: int(text, 0), nargs="+", default=[3])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peers", nargs="+", choices=sorted(SCRIPTS), default=list(SCRIPTS))
    parser.add_argument(
        "--cpu", action="store_true", help="compare processor time, which load disturbs less"
    )
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    try:
        install()
    except PeersMissingError as error:
        sys.exit(f"The other implementations cannot be had here: {error}")
    everything: list[dict[str, Any]] = []
    for suite in arguments.suites:
        for members in arguments.members:
            figures = [measure(suite, members, arguments.repeats)]
            for name in arguments.peers:
                theirs = measure_peer(name, suite, members, arguments.repeats)
                figures += [theirs] if theirs is not None else []
            print("\n".join(table(figures, "cpu_ms" if arguments.cpu else "ms")), flush=True)
            everything += figures
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(everything, indent=1))


if __name__ == "__main__":
    main()
