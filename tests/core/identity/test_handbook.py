"""The handbook's page on devices shows the table that the machine runs on."""

from __future__ import annotations

from pathlib import Path

from lutra.identity.pairing_table import render

PAGE = Path(__file__).resolve().parents[3] / "resources" / "handbook" / "devices.md"


def test_the_handbook_has_the_table_of_states() -> None:
    assert PAGE.read_text("utf-8").endswith(render())
