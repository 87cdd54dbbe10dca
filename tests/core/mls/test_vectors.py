"""Every case of every official vector file, and the command that runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from lutra.cli.mls_vectors import mls_vectors
from lutra.mls.suites import SUITES
from lutra.mls.vectors import load_cases, run_case, run_file

FILES = [
    "crypto-basics",
    "deserialization",
    "key-schedule",
    "message-protection",
    "messages",
    "passive-client-handling-commit",
    "passive-client-welcome",
    "psk_secret",
    "secret-tree",
    "transcript-hashes",
    "tree-math",
    "tree-operations",
    "tree-validation",
    "welcome",
]


@pytest.mark.parametrize("name", FILES)
def test_official_vectors(shared: Path, name: str) -> None:
    results = list(run_file(shared / "vectors" / "mls" / f"{name}.json"))
    assert results
    assert [result for result in results if not result.has_passed] == []


@pytest.mark.parametrize("suite", range(1, 8))
def test_treekem_vectors(shared: Path, suite: int) -> None:
    """The costliest file, by suite."""
    path = shared / "vectors" / "mls" / "treekem.json"
    cases = [c for c in enumerate(load_cases(path)) if c[1]["cipher_suite"] == suite]
    assert cases
    results = [run_case(path.name, index, case) for index, case in cases]
    assert [result for result in results if not result.has_passed] == []


def test_all_official_suites_are_there() -> None:
    assert set(range(1, 8)) | {0xF04D} == set(SUITES)


def test_command_reports_files_and_cases(shared: Path, tmp_path: Path) -> None:
    source = shared / "vectors" / "mls" / "tree-math.json"
    cases = json.loads(source.read_text())
    (tmp_path / "tree-math.json").write_text(json.dumps(cases))
    good = CliRunner().invoke(mls_vectors, [str(tmp_path)])
    assert good.exit_code == 0
    assert f"pass  tree-math.json: {len(cases)} passed, 0 failed" in good.output
    cases[1]["root"] += 1
    (tmp_path / "tree-math.json").write_text(json.dumps(cases))
    bad = CliRunner().invoke(mls_vectors, [str(tmp_path)])
    assert bad.exit_code == 1
    assert "FAIL  case 1" in bad.output
    as_json = CliRunner().invoke(mls_vectors, [str(tmp_path), "--json"])
    statuses = [entry["status"] for entry in json.loads(as_json.output)]
    assert statuses.count("fail") == 1


def test_unknown_suites_are_skipped_by_name_and_unknown_formats_fail(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([{"cipher_suite": 99, "psks": []}]))
    result = CliRunner().invoke(mls_vectors, [str(tmp_path)])
    assert result.exit_code == 0
    assert "cipher suite 99 is not available" in result.output
    (tmp_path / "a.json").write_text(json.dumps([{"surprise": 1}]))
    assert CliRunner().invoke(mls_vectors, [str(tmp_path)]).exit_code == 1
    (tmp_path / "a.json").unlink()
    assert CliRunner().invoke(mls_vectors, [str(tmp_path)]).exit_code == 1
