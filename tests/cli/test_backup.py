"""Backups from the command line, with and without a running node."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Lutra


@pytest.fixture
def back(
    short_directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Lutra:
    return Lutra(short_directory / "back", capsys, monkeypatch)


@pytest.fixture
def phrase(short_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = short_directory / "phrase"
    path.write_text("correct horse\n")
    monkeypatch.setenv("LUTRA_PASSPHRASE_FILE", str(path))
    return path


@pytest.mark.usefixtures("node")
def test_a_backup_comes_back_as_a_new_device(
    lutra: Lutra, back: Lutra, phrase: Path, short_directory: Path
) -> None:
    group = lutra.value("group", "create", "Choir")["id"]
    page = lutra.value("page", "create", group, "--title", "Notes", stdin="la la")["id"]
    place = short_directory / "backup"
    made = lutra.value("backup", "create", str(place))
    assert made["pages"] == 1
    assert lutra("backup", "create", str(place)).status == 1
    assert "The backup is sound: 1 page" in lutra("backup", "check", str(place)).out
    phrase.write_text("wrong\n")
    for command in (("check", str(place)), ("restore", str(place))):
        assert lutra("backup", *command).status == 1
    phrase.write_text("correct horse\n")
    assert lutra("backup", "restore", str(place)).status == 1
    assert "as a new device" in back("backup", "restore", str(place)).out
    assert back.value("page", "show", page)["text"] == "la la"
    before, after = (one.value("status")["identity"] for one in (lutra, back))
    assert before["person"] == after["person"]
    assert before["device"] != after["device"]
    assert back.value("page", "show", page)["text"] == "la la"
