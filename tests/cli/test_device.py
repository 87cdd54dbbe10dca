"""`lutra device`: processes that pair, by code, link and files, with and without a running node."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.store.full_disk import full_disk
from lutra.identity.pairing_code import PairingSecret
from lutra.identity.pairing_table import CANCELLED_THERE, REASONS, Event, State

from .conftest import Lutra

LOOPBACK = ("--no-discovery", "--listen", "127.0.0.1:0")


class Command:
    """A command under way in a process of its own, which says one JSON object a line, or text."""

    def __init__(
        self, profile: Path, *arguments: str, answers: str = "", as_json: bool = True
    ) -> None:
        command = [sys.executable, "-m", "lutra.cli", *arguments, "--profile", str(profile)]
        self._process = subprocess.Popen(
            [*command, "--json"] if as_json else command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"},
        )
        self.type(answers)

    def line(self) -> Any:
        assert self._process.stdout is not None
        text = self._process.stdout.readline()
        if not text:
            pytest.fail(f"the command ended: {self._process.communicate()}")
        return json.loads(text)

    def end(self, status: int = 0) -> list[Any]:
        return [json.loads(line) for line in self.said(status)[0].splitlines()]

    def said(self, status: int = 0, answers: str = "") -> tuple[str, str]:
        """Wait for its end; returns what it said, and what it said as an error."""
        out, err = self._process.communicate(answers, timeout=60)
        assert self._process.returncode == status, (out, err)
        assert "Traceback" not in err
        return out, err

    def said_unanswered(self, status: int) -> tuple[str, str]:
        """The same for a command that nobody answers, whose input does not end either."""
        assert self._process.wait(30) == status
        return self.said(status)

    def type(self, answer: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(answer)
        self._process.stdin.flush()

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def phone(short_directory: Path) -> Path:
    return short_directory / "phone"


@pytest.fixture(params=["alone", "beside a running node"])
def ana(request: pytest.FixtureRequest, lutra: Lutra) -> Lutra:
    if request.param == "alone":
        lutra.value("init", "--name", "Ana", "--device", "laptop")
    else:
        request.getfixturevalue("node")
    return lutra


def link_arguments(shown: Any) -> list[str]:
    return [shown["code"], "--address", shown["addresses"][0], "--device", "phone"]


def test_a_code_an_address_and_an_answer(ana: Lutra, phone: Path) -> None:
    group = ana.value("group", "create", "Choir")["id"]
    ana.value("page", "create", group, "--title", "Notes", stdin="la la")
    pair = Command(ana.profile, "device", "pair", *LOOPBACK, answers="y\n")
    shown = pair.line()
    link = Command(phone, "device", "link", *link_arguments(shown), *LOOPBACK, answers="y\n")
    said = link.end()
    assert said[-1]["complete"]
    assert said[-1]["documents"] == 1
    assert any(one.get("event") is None and one.get("pages") == 1 for one in said)
    assert pair.end()[-1]["state"] == "done"
    names = sorted(item["name"] for item in ana.value("device", "list"))
    assert names == ["laptop", "phone"]


def test_saying_that_the_digits_differ_ends_it(lutra: Lutra, phone: Path) -> None:
    lutra.value("init", "--name", "Ana", "--device", "laptop")
    pair = Command(lutra.profile, "device", "pair", *LOOPBACK, answers="n\n")
    arguments = link_arguments(pair.line())
    link = Command(phone, "device", "link", *arguments, *LOOPBACK, answers="y\n")
    pair.end(1)
    assert link.end(1)[-1]["error"] == "pairing.failed"
    assert len(lutra.value("device", "list")) == 1
    # What was begun to be paired can become a person's own profile.
    again = Lutra(phone, lutra._capsys, lutra._monkeypatch)
    assert again.value("init", "--name", "Ben", "--device", "phone")["name"] == "Ben"


@pytest.mark.usefixtures("children_hear_interrupts")
# Every pair of choices is there once: with a node or alone, how, and who.
@pytest.mark.parametrize(
    ("ana", "how", "decliner"),
    [
        ("alone", "no", "existing"),
        ("alone", "Ctrl-C", "new"),
        ("beside a running node", "no", "new"),
        ("beside a running node", "Ctrl-C", "existing"),
    ],
    indirect=["ana"],
)
def test_who_is_asked_still_hears_at_once_that_the_other_device_declined(
    ana: Lutra, phone: Path, decliner: str, how: str
) -> None:
    pair = Command(ana.profile, "device", "pair", *LOOPBACK)
    link = Command(phone, "device", "link", *link_arguments(pair.line()), *LOOPBACK)
    for command in (pair, link):
        while not command.line()["asks"]:
            pass
    declines, waits = (pair, link) if decliner == "existing" else (link, pair)
    if how == "no":
        declines.type("n\n")
    else:
        declines.interrupt()
    out, err = waits.said_unanswered(1)
    ended, failed = (json.loads(line) for line in out.splitlines())
    assert ended["state"] == "cancelled"
    assert failed["error"] == "pairing.failed"
    assert failed["message"] == CANCELLED_THERE
    assert err.splitlines()[-1] == CANCELLED_THERE
    declines.said_unanswered(1)
    assert len(ana.value("device", "list")) == 1
    # Nothing is left of it: both begin anew.
    pair = Command(ana.profile, "device", "pair", "--yes-same", *LOOPBACK)
    arguments = (*link_arguments(pair.line()), "--yes-same")
    assert Command(phone, "device", "link", *arguments, *LOOPBACK).end()[-1]["complete"]
    pair.end()


def test_a_code_that_was_used_already_is_told(
    lutra: Lutra, node: subprocess.Popen[bytes], phone: Path, short_directory: Path
) -> None:
    pair = Command(lutra.profile, "device", "pair", "--yes-same", *LOOPBACK)
    arguments = (*link_arguments(pair.line()), "--yes-same", *LOOPBACK)
    Command(phone, "device", "link", *arguments).end()
    pair.end()
    late = Command(short_directory / "tablet", "device", "link", *arguments, as_json=False)
    _, err = late.said_unanswered(1)
    assert err.splitlines()[-1] == REASONS[State.INTRODUCING, Event.USED]


def test_a_question_about_digits_takes_yes_and_no_only(lutra: Lutra, phone: Path) -> None:
    lutra.value("init", "--name", "Ana", "--device", "laptop")
    pair = Command(lutra.profile, "device", "pair", "--yes-same", *LOOPBACK)
    arguments = (*link_arguments(pair.line()), *LOOPBACK)
    link = Command(phone, "device", "link", *arguments, answers="perhaps\nYES\n", as_json=False)
    _, err = link.said()
    assert err.count("Do both devices show") == 2
    assert "Please answer y or n." in err
    assert pair.end()[-1]["state"] == "done"


def test_a_killed_command_is_taken_up_again(lutra: Lutra, phone: Path) -> None:
    lutra.value("init", "--name", "Ana", "--device", "laptop")
    pair = Command(lutra.profile, "device", "pair", *LOOPBACK)
    shown = pair.line()
    link = Command(phone, "device", "link", *link_arguments(shown), *LOOPBACK)
    while not link.line()["asks"]:
        pass
    link.kill()
    pair.kill()
    pair = Command(lutra.profile, "device", "pair", "--yes-same", *LOOPBACK)
    link = Command(phone, "device", "link", "--yes-same", *LOOPBACK)
    assert link.end()[-1]["complete"]
    assert pair.end()[-1]["comparison"]
    assert len(lutra.value("device", "list")) == 2


@pytest.mark.parametrize("mistaken", ["code", "address"])
def test_what_is_typed_counts_for_more_than_what_was_typed_before(
    lutra: Lutra, phone: Path, mistaken: str
) -> None:
    lutra.value("init", "--name", "Ana", "--device", "laptop")
    pair = Command(lutra.profile, "device", "pair", "--yes-same", *LOOPBACK)
    right = link_arguments(pair.line())
    code = PairingSecret.short().text() if mistaken == "code" else right[0]
    # Nobody is at this address, so that no guess is used up.
    wrong = (code, "--address", "127.0.0.1:1", "--device", "phone")
    link = Command(phone, "device", "link", *wrong, *LOOPBACK)
    assert link.line()["state"] == "ready"
    link.kill()
    link = Command(phone, "device", "link", *right, "--yes-same", *LOOPBACK, as_json=False)
    out, err = link.said()
    assert "Another pairing was begun before. Pairing was cancelled." in out
    assert err.startswith("Looking for the other device")
    assert pair.end()[-1]["state"] == "done"


def test_what_was_accepted_is_taken_up_by_its_code_and_not_replaced(
    lutra: Lutra, phone: Path
) -> None:
    lutra.value("init", "--name", "Ana", "--device", "laptop")
    pair = Command(lutra.profile, "device", "pair", *LOOPBACK)
    right = link_arguments(pair.line())
    link = Command(phone, "device", "link", *right, "--yes-same", *LOOPBACK)
    while link.line()["state"] != "agreeing":
        pass
    link.kill()
    another = Command(phone, "device", "link", PairingSecret.short().text(), *LOOPBACK)
    assert "accepted here already" in another.end(1)[-1]["message"]
    link = Command(phone, "device", "link", right[0], "--yes-same", *LOOPBACK)
    assert link.line()["state"] == "agreeing"
    pair.said(answers="y\n")
    assert link.end()[-1]["complete"]


def test_keeping_an_identity_separate_leaves_its_profile_alone(
    lutra: Lutra, short_directory: Path
) -> None:
    lutra.value("init", "--name", "Ana", "--device", "laptop")
    other = short_directory / "other"
    assert Command(other, "init", "--name", "Anna", "--device", "phone").end()[-1]
    before = {path: path.read_bytes() for path in other.iterdir() if path.is_file()}
    pair = Command(lutra.profile, "device", "pair", "--yes-same", "--link", *LOOPBACK)
    shown = pair.line()
    beside = short_directory / "beside"
    arguments = (shown["link"], "--keep-separate", str(beside), "--yes-same", "--device", "phone")
    assert Command(other, "device", "link", *arguments, *LOOPBACK).end()[-1]["complete"]
    pair.end()
    assert before == {path: path.read_bytes() for path in other.iterdir() if path.is_file()}
    assert Command(beside, "status").end()[-1]["identity"]["name"] == "Ana"


def test_a_profile_with_an_identity_says_what_becomes_of_it(lutra: Lutra, phone: Path) -> None:
    lutra.value("init", "--name", "Ana", "--device", "laptop")
    Command(phone, "init", "--name", "Anna", "--device", "phone").end()
    pair = Command(lutra.profile, "device", "pair", "--yes-same", *LOOPBACK)
    shown = pair.line()
    undecided = Command(phone, "device", "link", shown["code"], *LOOPBACK)
    assert "--merge" in undecided.end(2)[-1]["message"]
    arguments = (shown["code"], "--address", shown["addresses"][0], "--merge", "--yes-same")
    Command(phone, "device", "link", *arguments, *LOOPBACK).end()
    pair.end()
    assert Command(phone, "status").end()[-1]["identity"]["name"] == "Ana"


def new_offer(lutra: Lutra, path: Path, *, by_link: bool) -> str:
    """Make an offer to pair; returns its link or the path of its file."""
    if by_link:
        return lutra.value("device", "pair", "--offer-link")["offer"]
    lutra.value("device", "pair", "--offer", str(path))
    return str(path)


@pytest.mark.parametrize("by_link", [True, False])
def test_files_for_devices_that_never_meet(
    lutra: Lutra, phone: Path, short_directory: Path, by_link: bool
) -> None:
    lutra.value("init", "--name", "Ana", "--device", "laptop")
    offer = new_offer(lutra, short_directory / "o", by_link=by_link)
    request, response = (str(short_directory / name) for name in ("request", "r"))
    here = Lutra(phone, lutra._capsys, lutra._monkeypatch)
    made = here.value("device", "link", "--offer", offer, "--request", request, "--device", "phone")
    assert bool(made["digits"]) is not by_link
    answered = lutra.value(
        "device", "pair", "--request", request, "--response", response, "--yes-same"
    )
    assert answered["digits"] == made["digits"]
    here.value("device", "link", "--response", response, "--yes-same")
    assert here.value("status")["identity"]["name"] == "Ana"
    assert b"Ana" not in Path(response).read_bytes()
    twice = here("device", "link", "--response", response, "--yes-same", "--json")
    assert twice.status == 1


@pytest.mark.parametrize("by_link", [True, False])
def test_a_response_that_cannot_be_written_adds_nothing_and_a_lost_one_is_given_again(
    lutra: Lutra, short_directory: Path, by_link: bool
) -> None:
    lutra.value("init", "--name", "Ana", "--device", "laptop")
    offer = new_offer(lutra, short_directory / "o", by_link=by_link)
    request, response = (str(short_directory / name) for name in ("request", "r"))
    phone = Lutra(short_directory / "phone", lutra._capsys, lutra._monkeypatch)
    phone.value("device", "link", "--offer", offer, "--request", request, "--device", "phone")
    answer = ("device", "pair", "--yes-same", "--request", request, "--response")
    there = short_directory / "there"
    there.write_bytes(b"mine")
    for path in (there, short_directory / "no folder" / "r"):
        assert lutra(*answer, str(path)).status != 0
    assert there.read_bytes() == b"mine"
    assert len(lutra.value("device", "list")) == 1
    first = lutra.value(*answer, response)
    lost = Path(response).read_bytes()
    Path(response).unlink()
    again = lutra.value(*answer, response)
    assert again == first
    assert Path(response).read_bytes() == lost
    assert len(lutra.value("device", "list")) == 2
    phone.value("device", "link", "--response", response, "--yes-same")
    assert phone.value("status")["identity"]["name"] == "Ana"


def test_offers_and_requests_that_cannot_be_written_leave_the_earlier_files_valid(
    lutra: Lutra, short_directory: Path
) -> None:
    lutra.value("init", "--name", "Ana", "--device", "laptop")
    offer, request, response = (str(short_directory / name) for name in ("o", "request", "r"))
    nowhere = str(short_directory / "no folder" / "file")
    phone = Lutra(short_directory / "phone", lutra._capsys, lutra._monkeypatch)
    lutra.value("device", "pair", "--offer", offer)
    for path in (offer, nowhere):
        assert lutra("device", "pair", "--offer", path).status != 0
    ask = ("device", "link", "--device", "phone", "--offer", offer, "--request")
    assert phone(*ask, nowhere).status == 1
    assert not phone.profile.exists()
    phone.value(*ask, request)
    for path in (request, nowhere):
        assert phone(*ask, path).status != 0
    lutra.value("device", "pair", "--request", request, "--response", response, "--yes-same")
    phone.value("device", "link", "--response", response, "--yes-same")
    assert phone.value("status")["identity"]["name"] == "Ana"


def test_an_offer_that_a_full_disk_does_not_take_leaves_the_earlier_one_valid(
    ana: Lutra, short_directory: Path
) -> None:
    offer, second = str(short_directory / "o"), short_directory / "second"
    request, response = (str(short_directory / name) for name in ("request", "r"))
    phone = Lutra(short_directory / "phone", ana._capsys, ana._monkeypatch)
    ana.value("device", "pair", "--offer", offer)
    with full_disk():
        refused = ana("device", "pair", "--offer", str(second))
    assert refused.status == 1
    assert "No space left on device" in refused.err
    assert not second.exists()
    phone.value("device", "link", "--offer", offer, "--request", request, "--device", "phone")
    ana.value("device", "pair", "--request", request, "--response", response, "--yes-same")
    phone.value("device", "link", "--response", response, "--yes-same")
    # What was answered is out of date once another offer is on the disk.
    ana.value("device", "pair", "--offer", str(second))
    again = ana("device", "pair", "--request", request, "--response", f"{response}2", "--yes-same")
    assert again.status == 1


def test_saying_no_to_the_digits_leaves_no_file(lutra: Lutra, short_directory: Path) -> None:
    lutra.value("init", "--name", "Ana", "--device", "laptop")
    offer, request, response = (str(short_directory / name) for name in ("o", "request", "r"))
    lutra.value("device", "pair", "--offer", offer)
    phone = Lutra(short_directory / "phone", lutra._capsys, lutra._monkeypatch)
    phone.value("device", "link", "--offer", offer, "--request", request, "--device", "phone")
    answer = ("device", "pair", "--request", request, "--response", response)
    assert lutra(*answer, stdin="n\n").status == 1
    assert not Path(response).exists()
    assert len(lutra.value("device", "list")) == 1


@pytest.mark.parametrize("link", ["lutra:pair/xx", "lutra:join/abc"])
def test_a_link_that_is_no_offer_is_told(lutra: Lutra, short_directory: Path, link: str) -> None:
    request = short_directory / "request"
    refused = lutra("device", "link", "--offer", link, "--request", str(request))
    assert refused.status == 2
    assert "This link is not an offer." in refused.err
    assert not request.exists()
    assert not lutra.profile.exists()


def test_a_response_that_is_not_there_is_told_before_digits_are_compared(
    lutra: Lutra, short_directory: Path
) -> None:
    lutra.value("init", "--name", "Ana", "--device", "laptop")
    offer, request, missing = (str(short_directory / name) for name in ("o", "request", "r"))
    lutra.value("device", "pair", "--offer", offer)
    phone = Lutra(short_directory / "phone", lutra._capsys, lutra._monkeypatch)
    phone.value("device", "link", "--offer", offer, "--request", request, "--device", "phone")
    refused = phone("device", "link", "--response", missing)
    assert refused.status == 1
    assert "cannot be read" in refused.err
    assert "show" not in refused.err


def last_letter_changed(device: str) -> str:
    return device[:-1] + ("a" if device[-1] != "a" else "q")


def test_names_and_removal(ana: Lutra, short_directory: Path) -> None:
    offer, request, response = (str(short_directory / name) for name in ("o", "request", "r"))
    ana.value("device", "pair", "--offer", offer)
    phone = Lutra(short_directory / "phone", ana._capsys, ana._monkeypatch)
    phone.value("device", "link", "--offer", offer, "--request", request, "--device", "phone")
    ana.value("device", "pair", "--request", request, "--response", response, "--yes-same")
    device = next(item for item in ana.value("device", "list") if not item["me"])["device"]
    assert ana.value("device", "rename", device[:8], "pocket")["name"] == "pocket"
    asked = ana("device", "remove", device[:8], stdin="n\n")
    assert asked.status == 1
    assert "Remove “pocket”" in asked.err
    for nobody in ("zzzzzzzz", last_letter_changed(device)):
        unknown = ana("device", "remove", nobody, stdin="y\n")
        assert unknown.status == 1
        assert "Remove" not in unknown.err
    removed = ana.value("device", "remove", device[:8], "--yes")
    assert not removed["active"]
    again = ana("device", "remove", device, stdin="y\n")
    assert again.status == 1
    assert "Remove" not in again.err
    last = next(item for item in ana.value("device", "list") if item["me"])["device"]
    refused = ana("device", "remove", last, "--yes", "--json")
    assert refused.status == 1
    assert refused.value["error"] == "identity.not-in-person"


def test_a_typing_mistake_uses_no_guess_up(lutra: Lutra) -> None:
    lutra.value("init", "--name", "Ana", "--device", "laptop")
    refused = lutra("device", "pair", "--code", "123 wrong words", "--json", *LOOPBACK)
    assert refused.value["error"] == "identity.pairing-code"
    assert refused.status == 1
