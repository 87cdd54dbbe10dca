"""`lutra recovery`: kits made with a test, listed, withdrawn; coming back."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from lutra.identity.recovery import RecoveryKit

from .conftest import Lutra, start_node

LOOPBACK = ("--no-discovery", "--listen", "127.0.0.1:0")


def make_kit(lutra: Lutra, sheet: Path, *, wrong_first: bool = False) -> tuple[str, dict[str, Any]]:
    """Run `recovery create`, and type back what the sheet says; returns words and result."""
    command = [sys.executable, "-m", "lutra.cli", "recovery", "create", "--json"]
    command += ["--sheet", str(sheet), "--profile", str(lutra.profile)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        heard = b""
        words: list[str] = []
        attempts = 0
        while byte := process.stderr.read(1):
            heard += byte
            if not heard.endswith(b": ") or b"Word " not in heard.splitlines()[-1]:
                continue
            words = words_of(sheet)
            place = int(heard.splitlines()[-1].split()[-1].rstrip(b":"))
            typed = "wrong" if wrong_first and attempts < 2 else words[place - 1]
            attempts += 1
            process.stdin.write(typed.encode() + b"\n")
            heard += b"\n"
        result = process.stdout.read()
        assert process.wait(20) == 0, heard
    assert not any(word.encode() in heard + result for word in words)
    return " ".join(words), json.loads(result)


def words_of(sheet: Path) -> list[str]:
    text = sheet.read_text()
    if sheet.suffix == ".txt":
        items = text.split()
        return [word for number, word in pairwise(items) if re.fullmatch(r"\d+\.", number)]
    return [line[4:-5] for line in text.splitlines() if line.startswith("<li>")]


def test_a_kit_is_made_tested_listed_and_withdrawn(lutra: Lutra, tmp_path: Path) -> None:
    lutra.value("init", "--name", "Ana <b>", "--device", "laptop")
    assert lutra("recovery", "list").out.startswith("No recovery kit yet")
    words, made = make_kit(lutra, tmp_path / "kit.html", wrong_first=True)
    page = (tmp_path / "kit.html").read_text()
    assert RecoveryKit.restore(words).mark == made["mark"]
    assert "<svg" in page
    assert "Ana &lt;b&gt;" in page
    assert (tmp_path / "kit.html").stat().st_mode & 0o777 == 0o600
    assert [(kit["mark"], kit["active"]) for kit in lutra.value("recovery", "list")] == [
        (made["mark"], True)
    ]
    assert "it is valid" in lutra("recovery", "test", stdin=f"{words}\n").out
    other, second = make_kit(lutra, tmp_path / "kit.txt")
    assert len(other.split()) == 12
    outcome = lutra("recovery", "withdraw", made["mark"], stdin=f"{other}\n")
    assert outcome.status == 0
    assert made["mark"] in outcome.out
    states = {kit["mark"]: kit["active"] for kit in lutra.value("recovery", "list")}
    assert states == {made["mark"]: False, second["mark"]: True}
    assert lutra("recovery", "withdraw", second["mark"], stdin=f"{words}\n").status == 1


def test_wrong_words_are_named(lutra: Lutra, tmp_path: Path) -> None:
    lutra.value("init", "--name", "Ana")
    words, _ = make_kit(lutra, tmp_path / "kit.html")
    typed = words.split()
    typed[3] = typed[3][:-1] + ("k" if typed[3][-1] != "k" else "t")
    outcome = lutra("recovery", "test", "--json", stdin=f"{' '.join(typed)}\n")
    assert outcome.status != 0
    assert "4" in outcome.err.splitlines()[-1]
    assert not set(words.split()) & set(outcome.out.split())
    foreign = " ".join(RecoveryKit(bytes(16)).words())
    assert lutra("recovery", "test", stdin=f"{foreign}\n").status == 1
    assert lutra("recovery", "test", stdin="one two\n").status == 1


def test_coming_back_from_a_friend_and_from_a_bundle(
    lutra: Lutra,
    short_directory: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def other(name: str) -> Lutra:
        return Lutra(short_directory / name, capsys, monkeypatch)

    lutra.value("init", "--name", "Ana", "--device", "laptop")
    process = start_node(lutra.profile)
    friend = None
    try:
        group = lutra.value("group", "create", "Choir")["id"]
        page = lutra.value("page", "create", group, "--title", "Notes", stdin="kept")["id"]
        words, _ = make_kit(lutra, tmp_path / "kit.html")
        lutra.value("bundle", "export", str(tmp_path / "stick"), "--all")
        code = lutra.value("group", "invite", group)["code"]
        address = lutra.value("status")["listening"][0]
        ben = other("ben")
        ben.value("init", "--name", "Ben")
        ben.value("group", "join", code, "--address", address, *LOOPBACK)
        friend = start_node(ben.profile, "--peer", address)
        process.terminate()
        process.wait(20)
        where = ben.value("status")["listening"][0]
        back = other("back")
        found = back.value(
            "recovery", "restore", "--name", "Ana", "--device", "new",
            "--peer", where, *LOOPBACK, stdin=f"{words}\n",
        )  # fmt: skip
        assert (found["groups"], found["waiting"], found["own_devices"]) == (1, 0, False)
        assert len(found["lost"]) == 1
        assert back("page", "show", page).out == "kept"
        again = back(
            "recovery", "restore", "--name", "Ana", "--peer", where, *LOOPBACK, stdin=f"{words}\n"
        )
        assert again.status == 1
        assert "already a profile" in again.err
    finally:
        for one in (process, friend):
            if one is not None:
                one.terminate()
                one.wait(20)
                assert one.stdout is not None
                one.stdout.close()
    alone = other("alone")
    outcome = alone(
        "recovery", "restore", "--name", "Ana", "--bundle", str(tmp_path / "stick"),
        *LOOPBACK, stdin=f"{words}\n",
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    assert "Welcome back, Ana: 1 group, 1 page." in outcome.out
    assert "1 group can be written in once a member was met" in outcome.out
    assert alone("page", "show", page).out == "kept"
    nobody = other("nobody")
    outcome = nobody("recovery", "restore", "--name", "Ana", *LOOPBACK, stdin=f"{words}\n")
    assert outcome.status == 1
    assert not nobody.profile.exists()
