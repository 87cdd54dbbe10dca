"""`lutra bundle` and `lutra person`, with and without a running node."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Lutra, start_node

LOOPBACK = ("--no-discovery", "--listen", "127.0.0.1:0")


@pytest.fixture
def pair(
    lutra: Lutra,
    short_directory: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[Lutra, Lutra, str]:
    """Ana and Ben, who share a group and are both off."""
    lutra.value("init", "--name", "Ana", "--device", "laptop")
    process = start_node(lutra.profile)
    try:
        group = lutra.value("group", "create", "Choir")["id"]
        code = lutra.value("group", "invite", group)["code"]
        address = lutra.value("status")["listening"][0]
        ben = Lutra(short_directory / "ben", capsys, monkeypatch)
        ben.value("init", "--name", "Ben", "--device", "desk")
        ben.value("group", "join", code, "--address", address, *LOOPBACK)
    finally:
        process.terminate()
        process.wait(20)
        assert process.stdout is not None
        process.stdout.close()
    return lutra, ben, group


def test_a_bundle_carries_pages_without_a_network(
    pair: tuple[Lutra, Lutra, str], tmp_path: Path
) -> None:
    ana, ben, group = pair
    page = ana.value("page", "create", group, "--title", "Notes", stdin="by stick")["id"]
    stick = tmp_path / "stick"
    made = ana.value("bundle", "export", str(stick), "--group", group[:8])
    assert made["groups"] == [group]
    assert made["size"] == stick.stat().st_size
    assert stick.stat().st_mode & 0o777 == 0o600
    taken = ben.value("bundle", "import", str(stick))
    assert (taken["pages"], taken["refused"]) == (1, 0)
    assert ben("page", "show", page).out == "by stick"
    again = ben("bundle", "import", str(stick))
    assert again.out.startswith("0 new changes, 0 new pages.")
    assert ana("bundle", "export", str(stick), "--group", group).status == 1
    person = ben.value("person", "show")[0]["id"]
    ana.value("bundle", "export", str(stick), "--person", person[:8], "--overwrite")
    assert ben.value("bundle", "import", str(stick))["new"] == 0
    ana.value("bundle", "export", str(stick), "--person", "Ben", "--overwrite")
    everything = ana.value("bundle", "export", str(tmp_path / "all"), "--all")
    assert everything["groups"] == [group]
    assert ben.value("bundle", "import", str(tmp_path / "all"))["groups"][0]["name"] == "Choir"


def test_wrong_use_of_bundles(lutra: Lutra, tmp_path: Path) -> None:
    lutra.value("init", "--name", "Ana")
    (tmp_path / "text").write_text("no bundle")
    assert lutra("bundle", "export", str(tmp_path / "x")).status == 2
    assert lutra("bundle", "export", str(tmp_path / "x"), "--all", "--group", "abcdef").status != 0
    outcome = lutra("bundle", "import", str(tmp_path / "text"), "--json")
    assert (outcome.status, outcome.value["error"]) == (1, "bundle.incomplete")
    assert lutra("bundle", "import", str(tmp_path / "nothing")).status == 1


def test_two_persons_verify_each_other(pair: tuple[Lutra, Lutra, str]) -> None:
    ana, ben, group = pair
    me, other = ana.value("person", "show")
    assert (me["me"], other["name"], other["groups"]) == (True, "Ben", [group])
    shown = ana.value("person", "show", other["id"])
    assert ana.value("person", "show", "Ben")["id"] == other["id"]
    assert ana("person", "show", "Carla").status == 1
    text = ana("person", "show", other["id"][:8]).out
    assert "not verified" in text
    assert " ".join(shown["safety_number"]["number"][:4]) in text
    theirs = ben.value("person", "show", me["id"])["safety_number"]
    assert theirs["number"] == shown["safety_number"]["number"]
    wrong = ana("person", "verify", other["id"], "--number", "0" * 60, "--json")
    assert wrong.value["error"] == "person.number-differs"
    assert ana("person", "verify", other["id"], "--number", "1", "--withdraw").status == 2
    assert ana("person", "verify", other["id"], stdin="n\n").status == 1
    assert ana.value("person", "show", other["id"])["trust"] == "unverified"
    number = " ".join(theirs["number"])
    done = ana.value("person", "verify", other["id"], "--number", number)
    assert done["trust"] == "verified"
    assert ana("person", "verify", other["id"], "--withdraw").out.strip() == "Ben: not verified"
    assert ana.value("person", "verify", other["id"], "--qr", theirs["qr"])["trust"] == "verified"
    assert ana("person", "show", me["id"]).out.splitlines()[1] == "You"
