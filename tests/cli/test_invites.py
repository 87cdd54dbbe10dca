"""Inviting and joining from the command line."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Lutra, start_node

LOOPBACK = ("--no-discovery", "--listen", "127.0.0.1:0")


@pytest.fixture
def group(node: subprocess.Popen[bytes], lutra: Lutra) -> str:
    """A group on Ana's running node."""
    return str(lutra.value("group", "create", "Choir")["id"])


@pytest.fixture
def ben(
    short_directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Lutra:
    """Ben, without a running node."""
    found = Lutra(short_directory / "ben", capsys, monkeypatch)
    found.value("init", "--name", "Ben", "--device", "desk")
    return found


@pytest.fixture
def bens_node(ben: Lutra) -> Iterator[None]:
    process = start_node(ben.profile)
    yield
    process.terminate()
    process.wait(20)
    assert process.stdout is not None
    process.stdout.close()


def test_options_of_an_invite(lutra: Lutra, group: str) -> None:
    made = lutra.value(
        "group", "invite", group, "--role", "reader", "--expires", "3d", "--uses", "4",
        "--approve", "--short", "--no-address",
    )  # fmt: skip
    assert (made["role"], made["uses"], made["by_hand"]) == ("reader", 4, True)
    assert made["expires"] - made["created"] == 3 * 24 * 3600 * 1000
    assert len(made["short_code"].split()) == 3
    assert "#" not in made["link"]
    shown = lutra("group", "invite", group, "--short", "--approve", "--qr").out
    assert "Short code: " in shown
    assert "lutra group approve" in shown
    assert "\u2588" in shown
    for wrong in (("--expires", "0d"), ("--expires", "soon"), ("--role", "king"), ("--uses", "0")):
        outcome = lutra("group", "invite", group, *wrong)
        assert outcome.status == 2, outcome


def test_listing_revoking_and_renewing(lutra: Lutra, group: str) -> None:
    first, second = (lutra.value("group", "invite", group, "--short")["id"] for _ in range(2))
    assert {item["id"] for item in lutra.value("group", "invites")} == {first, second}
    assert len(lutra.value("group", "invites", group[:8])) == 2
    assert lutra.value("group", "invites", "--revoke", first[:8])["state"] == "revoked"
    renewed = lutra.value("group", "invites", "--new-code", second)
    assert renewed["short_state"] == "open"
    assert "revoked" in lutra("group", "invites").out
    assert lutra("group", "invites", "--new-code", first).status == 1
    assert lutra("group", "invites", "--revoke", "zzzzzz").status == 1
    assert lutra("group", "invites", "--revoke", first, "--new-code", second).status == 2


@pytest.mark.usefixtures("bens_node")
def test_ones_own_invite_is_refused_offline_too(lutra: Lutra, group: str) -> None:
    code = lutra.value("group", "invite", group)["code"]
    refused = lutra("group", "join", code, "--no-discovery")
    assert refused.status == 2
    assert "This invite is your own" in refused.err
    stranger = "ahxbm-gc6vm-nchsr-dl4wa-z77s6-cobsg-a"
    assert "cannot be looked for" in lutra("group", "join", stranger, "--no-discovery").err


def test_waiting_for_approval_and_being_let_in(lutra: Lutra, group: str, ben: Lutra) -> None:
    made = lutra.value("group", "invite", group, "--approve", "--short")
    address = lutra.value("status")["listening"][0]
    words = made["short_code"].split()
    found = ben.value("group", "join", *words, "--address", address)
    assert found["state"] == "waiting"
    (waiting,) = lutra.value("group", "approve", "--list")
    assert waiting["comparison"] == found["comparison"]
    assert (waiting["name"], waiting["device_name"]) == ("Ben", "desk")
    shown = lutra("group", "approve").out
    assert waiting["comparison"] in shown
    assert "into Choir as writer" in shown
    assert found["comparison"] in ben("group", "joins").out
    assert ben.value("group", "list") == []
    done = lutra.value("group", "approve", waiting["device"][:8])
    assert (done["approved"], done["name"]) == (True, "Ben")
    joined = ben.value("group", "join", made["code"], "--address", address, "--wait")
    assert (joined["state"], joined["name"]) == ("admitted", "Choir")
    assert lutra("group", "approve").out.strip() == "Nobody waits to be let in."
    assert lutra("group", "approve", "zzzzzz").status == 1
    assert lutra("group", "approve", "--decline").status == 2


def test_joining_without_a_running_node_goes_on_later(lutra: Lutra, group: str, ben: Lutra) -> None:
    made = lutra.value("group", "invite", group, "--approve")
    address = lutra.value("status")["listening"][0]
    begun = ben.value("group", "join", made["code"], "--address", address, "--no-wait", *LOOPBACK)
    assert begun["state"] == "seeking"
    outcome = ben("group", "join", made["code"], "--address", address, *LOOPBACK)
    assert outcome.status == 0
    assert "They see the same digits" in outcome.out
    (attempt,) = ben.value("group", "joins")
    (waiting,) = lutra.value("group", "approve")
    assert waiting["comparison"] == attempt["comparison"]
    declined = lutra("group", "approve", waiting["device"], "--decline")
    assert "is not let in" in declined.out
    refused = ben("group", "join", made["code"], "--address", address, *LOOPBACK)
    assert refused.status == 1
    assert "declined" in refused.err
    begun = ben.value("group", "join", made["code"], "--address", address, "--no-wait", *LOOPBACK)
    ben.value("group", "joins", "--cancel", begun["id"][:8])
    assert ben("group", "joins").out.startswith("No invites are being used")


def test_nearby_needs_a_running_node_and_says_who_is_there(
    lutra: Lutra, group: str, ben: Lutra
) -> None:
    assert ben("group", "nearby", "--visible", "10").status == 1
    shown = lutra("group", "nearby", "--visible", "10")
    assert "can see you until" in shown.out
    assert lutra.value("group", "nearby", "--visible", "0")["visible_until"] == 0
    assert lutra("group", "nearby", "--visible", "1000").status == 2
    assert lutra("group", "nearby", "--invite", "Ben", group).status == 2
    assert lutra("group", "nearby", "--accept", "x", "--refuse", "y").status == 2
    assert lutra("group", "nearby").out.startswith("Nobody is visible nearby")
