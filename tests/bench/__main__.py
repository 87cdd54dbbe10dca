"""Runs every measurement in a process of its own and prints each figure beside its goal.

    python -m tests.bench [NAME ...]

Writes all figures to ``build/bench.json``.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

MEASUREMENTS = (
    "replay",
    "keystroke",
    "latency",
    "cold_sync",
    "pages",
    "ingest",
    "pairing",
    "desktop",
    "membership",
)
_SECONDS = 900


def run(name: str) -> dict[str, Any]:
    """Run one measurement; returns what it reported."""
    print(f"{name} …", flush=True)
    if hasattr(os, "sync"):
        # What the one before left to be written is not this one's.
        os.sync()
    done = subprocess.run(
        [sys.executable, "-m", f"tests.bench.{name}"],
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
    )
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        sys.exit(f"{name} failed")
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    for row in report["rows"]:
        print("  " + line(row))
    print(f"  peak memory {report['peak_mib']:.0f} MiB")
    return report


def line(row: dict[str, Any]) -> str:
    """Return one figure as text."""
    sign = ">=" if row["higher_is_better"] else "<="
    goal = "" if row["goal"] is None else f"  goal {sign} {row['goal']:g}"
    verdict = {None: "", True: "  ok", False: "  MISSED"}[row["reached"]]
    beside = f"  ({row['beside']})" if row["beside"] else ""
    return f"{row['name']}: {row['value']:.4g} {row['unit']}{goal}{verdict}{beside}"


def main() -> None:
    """Run what was asked for, or everything."""
    names = sys.argv[1:] or list(MEASUREMENTS)
    report = {
        "cores": os.cpu_count(),
        "processor": platform.machine(),
        "python": platform.python_version(),
        "measurements": {name: run(name) for name in names},
    }
    folder = Path("build")
    folder.mkdir(exist_ok=True)
    (folder / "bench.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
