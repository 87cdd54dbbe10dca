"""Who is in a group, from the command line."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from .conftest import Lutra, start_node, until, until_text

LOOPBACK = ("--no-discovery", "--listen", "127.0.0.1:0")


@pytest.fixture
def ben(
    short_directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Lutra:
    profile = Lutra(short_directory / "ben", capsys, monkeypatch)
    profile.value("init", "--name", "Ben", "--device", "desk")
    return profile


@pytest.fixture
def group(node: subprocess.Popen[bytes], lutra: Lutra, ben: Lutra) -> str:
    """A group of Ana, whose node runs, and Ben, whose does not."""
    identifier = lutra.value("group", "create", "Choir")["id"]
    lutra.value("page", "create", identifier, "--title", "Notes", stdin="la la")
    code = lutra.value("group", "invite", identifier)["code"]
    address = lutra.value("status")["listening"][0]
    joined = ben("group", "join", code, "--address", address, *LOOPBACK).out
    assert joined.startswith("Joined “")
    assert "lutra run" in joined
    return identifier


def test_persons_roles_and_names(lutra: Lutra, group: str) -> None:
    text = lutra("group", "members", group, "--changes").out
    assert "Ana (you)" in text
    assert "Ana added Ben as writer" in text
    members = lutra.value("group", "members", group)["members"]
    assert {item["name"]: item["role"] for item in members} == {"Ana": "admin", "Ben": "writer"}
    ben = next(item["person"] for item in members if item["name"] == "Ben")
    changed = lutra.value("group", "role", group, ben[:8], "reader")["members"]
    assert {item["name"]: item["role"] for item in changed} == {"Ana": "admin", "Ben": "reader"}
    assert lutra("group", "rename", group, "Quartet").out == (
        "The group is called “Quartet” now.\n"
    )
    assert lutra("group", "profile", group).out.startswith("archive: ")


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("role", "Ben", "king"), 2),
        (("role", "Carl", "reader"), 1),
        (("role", "Ana", "reader"), 1),
        (("remove", "Ana", "--yes"), 2),
        (("remove", "Ben", "--preview", "--status"), 2),
        (("remove", "Ben", "--status"), 1),
        (("leave", "--yes"), 1),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    lutra: Lutra, group: str, arguments: tuple[str, ...], status: int
) -> None:
    outcome = lutra("group", arguments[0], group, *arguments[1:])
    assert outcome.status == status
    assert outcome.err.strip().endswith(".")


def test_removing_somebody_and_undoing_it(lutra: Lutra, group: str) -> None:
    preview = lutra("group", "remove", group, "Ben", "--preview")
    assert preview.status == 0
    assert "They could read everything that was ever written here" in preview.out
    assert "(desk)" in preview.out or "protected at once, on all devices" in preview.out
    assert lutra("group", "remove", group, "Ben", stdin="n\n").status == 1
    assert len(lutra.value("group", "members", group)["members"]) == 2
    done = lutra("group", "remove", group, "Ben", "--yes").out
    assert "Removed Ben." in done
    assert "New text from this device is protected." in done
    assert "Ben has not been told yet." in lutra("group", "remove", group, "Ben", "--status").out
    text = lutra("group", "members", group, "--changes").out
    assert "Ana removed Ben" in text
    assert "not in the group any more" in text
    again = lutra.value("group", "add-again", group, "Ben")["members"]
    assert {item["name"]: item["role"] for item in again} == {"Ana": "admin", "Ben": "writer"}


def test_an_invite_ends_with_the_office_of_who_made_it(
    node: subprocess.Popen[bytes], lutra: Lutra, group: str, ben: Lutra
) -> None:
    del node
    lutra.value("group", "role", group, "Ben", "admin")
    address = lutra.value("status")["listening"][0]
    other = start_node(ben.profile, "--peer", address)
    try:
        until(lambda: _roles(ben, group).get("Ben") == "admin")
        ben.value("group", "invite", group)
        assert [item["state"] for item in ben.value("group", "invites", group)] == ["open"]
        lutra.value("group", "role", group, "Ben", "writer")
        until(lambda: _roles(ben, group).get("Ben") == "writer")
        assert [item["state"] for item in ben.value("group", "invites", group)] == ["revoked"]
    finally:
        other.terminate()
        other.wait(20)
        assert other.stdout is not None
        other.stdout.close()


def test_a_newcomer_hears_that_who_wrote_before_is_not_known(
    node: subprocess.Popen[bytes], lutra: Lutra, ben: Lutra
) -> None:
    del node
    group = lutra.value("group", "create", "Secret", "--history", "sealed")["id"]
    page = lutra.value("page", "create", group, stdin="la la")["id"]
    code = lutra.value("group", "invite", group)["code"]
    address = lutra.value("status")["listening"][0]
    ben.value("group", "join", code, "--address", address, *LOOPBACK)
    other = start_node(ben.profile, "--peer", address)
    try:
        until_text(ben, page, "la la")
        assert "not known here" in ben("page", "history", page).out
    finally:
        other.terminate()
        other.wait(20)
        assert other.stdout is not None
        other.stdout.close()


def _roles(lutra: Lutra, group: str) -> dict[str, str]:
    members = lutra.value("group", "members", group)["members"]
    return {item["name"]: item["role"] for item in members}


def test_leaving(group: str, ben: Lutra) -> None:
    page = ben.value("page", "create", group, "--title", "Mine", stdin="la la")["id"]
    assert ben("group", "leave", group, stdin="n\n").status == 1
    left = ben("group", "leave", group, "--yes")
    assert left.out == "You have left “Choir”. Its pages stay here to be read.\n"
    assert "You have left this group" in ben("group", "show", group).out
    assert "la la" in ben("page", "show", page).out
    assert ben("page", "create", group, "--title", "No", stdin="no").status == 1
