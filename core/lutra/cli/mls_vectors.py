"""``lutra mls-vectors``: run the official MLS test vectors."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

import click

from lutra.mls.vectors import CaseResult, run_file


@click.command("mls-vectors")
@click.argument(
    "folder", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR"
)
@click.option("--verbose", is_flag=True, help="Show every case, not only failures.")
@click.option("--json", "as_json", is_flag=True, help="Print results as JSON.")
def mls_vectors(folder: Path, verbose: bool, as_json: bool) -> None:
    """Run every vector file in DIR; the exit status is 1 if a case fails.

    Files are those of mlswg/mls-implementations, one JSON array of cases each.
    """
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise click.ClickException(f"There are no vector files in {folder}.")
    results: list[CaseResult] = []
    for path in paths:
        began = time.perf_counter()
        of_file = list(run_file(path))
        results.extend(of_file)
        if not as_json:
            _show(path.name, of_file, time.perf_counter() - began, verbose=verbose)
    if as_json:
        click.echo(json.dumps([_as_json(result) for result in results], indent=1))
    if not all(result.problem is None for result in results):
        raise click.exceptions.Exit(1)


def _status(result: CaseResult) -> str:
    if result.skipped is not None:
        return "skip"
    return "pass" if result.problem is None else "FAIL"


def _show(name: str, results: list[CaseResult], seconds: float, *, verbose: bool) -> None:
    counts = Counter(_status(result) for result in results)
    summary = f"{counts['pass']} passed, {counts['FAIL']} failed, {counts['skip']} skipped"
    verdict = "FAIL" if counts["FAIL"] or not results else "pass"
    click.echo(f"{verdict}  {name}: {summary} ({seconds:.1f} s)")
    for result in results:
        if verbose or not result.has_passed:
            suite = "" if result.suite is None else f" suite {result.suite}"
            reason = result.problem or result.skipped or ""
            click.echo(f"      {_status(result)}  case {result.case}{suite} {reason}".rstrip())


def _as_json(result: CaseResult) -> dict[str, object]:
    return {
        "file": result.file,
        "case": result.case,
        "suite": result.suite,
        "status": _status(result).lower(),
        "reason": result.problem or result.skipped,
    }
