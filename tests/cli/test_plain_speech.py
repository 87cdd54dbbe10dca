"""Odd input, odd terminals, odd names: one sentence, and nothing that commands a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from lutra.cli.text import columns, harmless
from lutra.node.addresses import is_host

from .conftest import Lutra

ESCAPES = "a\x1b[31mred\x1b[0m\x07 b\u2028c\x9b2J"
FULL = Path("/dev/full")


@pytest.fixture
def ana(lutra: Lutra) -> Lutra:
    lutra.value("init", "--name", "Ana", "--device", "laptop")
    return lutra


def command(lutra: Lutra, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "lutra.cli", *arguments, "--profile", str(lutra.profile)]


def new_page(lutra: Lutra, text: str, title: str = "") -> str:
    group = lutra.value("group", "create", "Choir")["id"]
    return lutra.value("page", "create", group, "--title", title, stdin=text)["id"]


@pytest.mark.parametrize("name", ["Eve\x1b[2J", "Eve\nAna", "Eve\u2028Ana", "E\x9bve"])
def test_a_name_is_one_line_of_text(lutra: Lutra, name: str) -> None:
    assert lutra("init", "--name", name).status == 2
    assert lutra("init", "--name", "Eve", "--device", name).status == 2
    assert not lutra.profile.exists()
    lutra.value("init", "--name", "Zoë 🦦‍🦦", "--device", "laptop")
    assert lutra("group", "create", name).status == 2


def test_names_and_titles_of_others_do_not_command_a_terminal(ana: Lutra) -> None:
    page = new_page(ana, "text", title=ESCAPES)
    shown = ana("page", "list").out
    assert harmless(shown, kept="\n") == shown
    assert len(shown.splitlines()) == 1
    shown = ana("page", "show", page).err
    assert harmless(shown, kept="\n") == shown
    assert columns([["a\nb", "\x1b"], ["c", "d"]]) == "a\ufffdb  \ufffd\nc    d"


def test_a_text_goes_out_as_it_is_but_not_to_a_terminal(ana: Lutra) -> None:
    page = new_page(ana, ESCAPES)
    piped = subprocess.run(command(ana, "page", "show", page), capture_output=True, check=True)
    assert piped.stdout.decode() == ESCAPES
    outer, inner = pty.openpty()
    subprocess.run(
        command(ana, "page", "show", page), stdout=inner, stderr=subprocess.DEVNULL, check=True
    )
    assert os.read(outer, 1000).decode() == harmless(ESCAPES)
    os.close(inner)
    os.close(outer)


def test_without_standard_input_there_is_a_sentence(ana: Lutra) -> None:
    page = new_page(ana, "text")
    line = " ".join(command(ana, "page", "edit", page))
    done = subprocess.run(f"exec {line} <&-", shell=True, capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stderr == b"There is no standard input to read the text from.\n"
    assert ana("page", "show", page).out == "text"


@pytest.mark.skipif(not FULL.exists(), reason="no device here that is always full")
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_output_that_cannot_be_written_is_a_failure(ana: Lutra, options: tuple[str, ...]) -> None:
    with FULL.open("w") as full:
        done = subprocess.run(
            command(ana, "status", *options), stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 1
    assert done.stderr == b"No space left on device.\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--profile", "", "status"),
        ("export", ""),
        ("run", "--no-discovery", "--interface", "foo"),
        ("run", "--no-discovery", "--interface", ""),
        ("run", "--no-discovery", "--peer", "192.168..7:4242"),
        ("run", "--no-discovery", "--peer", f"{'a' * 300}:4242"),
        ("run", "--no-discovery", "--peer", "\udcff:3"),
        ("run", "--no-discovery", "--listen", "a..b:0"),
        ("run", "--no-discovery", "--listen", "127.0.0.1:٣"),
        ("group", "invite", "abcdef", "--uses", "-1"),
    ],
)
def test_what_cannot_be_meant_is_refused(ana: Lutra, arguments: tuple[str, ...]) -> None:
    outcome = ana(*arguments)
    assert outcome.status == 2
    assert len(outcome.err.strip().splitlines()) == 1


def test_the_window_refuses_what_the_node_would(
    ana: Lutra, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("PySide6.QtWidgets", reason="the desktop extra is not installed")
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    for wrong in (("--peer", "foo"), ("--listen", "foo"), ("--interface", "foo")):
        outcome = ana("app", "--no-discovery", *wrong)
        assert outcome.status == 2
        assert len(outcome.err.strip().splitlines()) == 1


def test_hosts() -> None:
    assert all(map(is_host, ("192.168.0.7", "fe80::1%eth0", "ben.local", "größe.example")))
    assert not any(map(is_host, ("", "a..b", "a" * 64, "\udcff", "a\x1bb")))


def test_an_interface_is_all_that_is_listened_at(ana: Lutra) -> None:
    process = subprocess.Popen(
        command(ana, "run", "--no-discovery", "--interface", "127.0.0.1"), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    line = process.stdout.readline().decode()
    process.terminate()
    process.wait(20)
    process.stdout.close()
    assert "listens at 127.0.0.1:" in line


def test_an_address_that_is_not_here_cannot_be_listened_at(ana: Lutra) -> None:
    outcome = ana("run", "--no-discovery", "--interface", "192.0.2.77")
    assert outcome.status == 1
    assert outcome.err == (
        "Lutra cannot listen at 192.0.2.77:0: Cannot assign requested address.\n"
    )


def test_watching_without_a_profile_says_that_there_is_none(lutra: Lutra) -> None:
    assert lutra("watch").err == "There is no profile here yet.\n"
