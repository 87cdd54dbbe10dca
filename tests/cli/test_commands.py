"""The commands: results, text, exit statuses; with and without a running node."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lutra.cli import COMMANDS, run
from lutra.cli.client import ControlClient
from lutra.cli.invocation import default_profile
from lutra.store.custody import FileCustody
from lutra.store.profile import Profile, default_directory

from .conftest import Lutra, start_node

LOOPBACK = ("--no-discovery", "--listen", "127.0.0.1:0")
SENTENCE_END = (".", "?", "!", ")")


@pytest.fixture(params=["alone", "beside a running node"])
def ana(request: pytest.FixtureRequest, lutra: Lutra) -> Lutra:
    """A profile, once without and once with a node running on it."""
    if request.param == "alone":
        lutra.value("init", "--name", "Ana", "--device", "laptop")
    else:
        request.getfixturevalue("node")
    return lutra


@pytest.fixture
def group(ana: Lutra) -> str:
    return ana.value("group", "create", "Choir")["id"]


@pytest.fixture
def page(ana: Lutra, group: str) -> str:
    return ana.value("page", "create", group, "--title", "Notes", stdin="one two\nthree")["id"]


@pytest.mark.parametrize("history", ["archive", "join-on", "sealed"])
def test_a_group_says_what_newcomers_may_read(ana: Lutra, history: str) -> None:
    made = ana.value("group", "create", "Choir", "--history", history)
    assert made["profile"] == history
    page = ana.value("page", "create", made["id"], "--title", "Notes", stdin="one")["id"]
    assert text_of(ana, page)
    assert f"history: {history}" in ana("group", "show", made["id"]).out


def test_an_unknown_history_profile_is_refused(ana: Lutra) -> None:
    assert ana("group", "create", "Choir", "--history", "open").status == 2
    assert ana.value("group", "list") == []


def text_of(ana: Lutra, page: str) -> str:
    outcome = ana("page", "show", page)
    assert outcome.status == 0
    return outcome.out


def test_init_says_who_and_where(lutra: Lutra) -> None:
    made = lutra.value("init", "--name", "Ana", "--device", "laptop")
    assert (made["name"], made["device_name"]) == ("Ana", "laptop")
    assert made["custody"] == "file"
    status = lutra.value("status")
    assert status["identity"]["device"] == made["device"]
    assert status["running"] is False


def test_init_twice_is_refused_and_changes_nothing(lutra: Lutra) -> None:
    device = lutra.value("init", "--name", "Ana")["device"]
    outcome = lutra("init", "--name", "Ben", "--json")
    assert outcome.status == 1
    assert outcome.value["message"] == outcome.err.strip()
    assert lutra.value("status")["identity"]["device"] == device


def test_init_goes_on_where_it_was_cut_short(lutra: Lutra) -> None:
    Profile.create(lutra.profile, FileCustody(lutra.profile))
    assert "run “lutra init”" in lutra("status").err
    assert lutra.value("init", "--name", "Ana", "--device", "laptop")["name"] == "Ana"
    assert lutra("init", "--name", "Ben").status == 1


def test_init_does_not_write_over_a_profile_whose_database_is_lost(lutra: Lutra) -> None:
    lutra.value("init", "--name", "Ana", "--device", "laptop")
    database = lutra.profile / "lutra.db"
    kept = database.read_bytes()
    database.unlink()
    for command in (["status"], ["init", "--name", "Ana"]):
        outcome = lutra(*command)
        assert outcome.status == 1
        assert "lutra.db, is missing" in outcome.err
    database.write_bytes(kept)
    assert lutra.value("status")["identity"]["name"] == "Ana"


def test_init_with_an_empty_name_leaves_nothing_behind(lutra: Lutra) -> None:
    assert lutra("init", "--name", "  ").status == 2
    assert not lutra.profile.exists()


def test_groups_and_members(ana: Lutra, group: str) -> None:
    assert [item["id"] for item in ana.value("group", "list")] == [group]
    shown = ana.value("group", "show", group[:6])
    assert shown["name"] == "Choir"
    assert [member["me"] for member in shown["members"]] == [True]
    assert "Choir" in ana("group", "list").out
    assert "this device" in ana("group", "show", group).out


def test_pages_keep_their_text_exactly(ana: Lutra, group: str) -> None:
    text = "Grüße 🦦\n\n  tabs\tand spaces  \nעברית"
    page = ana.value("page", "create", group, "--title", "Títle", stdin=text)["id"]
    assert text_of(ana, page) == text
    assert ana.value("page", "show", page)["text"] == text
    assert [item["title"] for item in ana.value("page", "list")] == ["Títle"]
    assert [item["id"] for item in ana.value("page", "list", group)] == [page]


def test_edit_replaces_appends_and_splices(ana: Lutra, page: str) -> None:
    assert ana("page", "edit", page, stdin="one 2\nthree").status == 0
    assert text_of(ana, page) == "one 2\nthree"
    assert ana.value("page", "edit", page, "--append", stdin=" four")["length"] == 16
    assert text_of(ana, page) == "one 2\nthree four"
    ana.value("page", "edit", page[:8], "--at", "4", "--delete", "1", "--insert", "🦦🦦")
    assert text_of(ana, page) == "one 🦦🦦\nthree four"
    ana.value("page", "edit", page, "--at", "5", "--delete", "1")
    assert text_of(ana, page) == "one 🦦\nthree four"


def test_edits_outside_the_text_are_refused(ana: Lutra, page: str) -> None:
    outcome = ana("page", "edit", page, "--at", "99", "--insert", "x")
    assert outcome.status == 1
    assert "outside" in outcome.err
    assert text_of(ana, page) == "one two\nthree"


def test_history_names_the_author(ana: Lutra, page: str) -> None:
    ana.value("page", "edit", page, "--append", stdin="!")
    changes = ana.value("page", "history", page)
    assert {change["name"] for change in changes} == {"Ana"}
    assert sum(change["edits"] for change in changes) >= len("one two\nthree!")
    assert "Ana" in ana("page", "history", page).out


def test_export_writes_markdown_and_never_overwrites(
    ana: Lutra, group: str, page: str, tmp_path: Path
) -> None:
    hostile = ana.value("page", "create", group, "--title", "../../etc/pass\nwd", stdin="x")["id"]
    target = tmp_path / "out"
    done = ana.value("export", str(target))
    assert done["pages"] == 2
    files = sorted(path for path in target.rglob("*") if path.is_file())
    assert sorted(map(str, files)) == sorted(done["files"])
    assert {file.parent.parent for file in files} == {target}
    notes = next(file for file in files if file.name.startswith("Notes"))
    assert "one two" in notes.read_text()
    assert any(hostile[:8] in file.name for file in files)
    again = ana("export", str(target))
    assert again.status == 1
    assert "one two" in notes.read_text()


def test_a_second_export_writes_what_is_not_there_yet(
    ana: Lutra, group: str, page: str, tmp_path: Path
) -> None:
    first = ana.value("export", str(tmp_path))["files"]
    Path(first[0]).write_text("mine")
    ana.value("page", "create", group, "--title", "Other", stdin="other")
    again = ana("export", str(tmp_path), "--json")
    assert again.status == 1
    assert [Path(file).read_text() for file in again.value["files"]] == ["# Other\n\nother\n"]
    assert again.value["there"] == first
    assert Path(first[0]).read_text() == "mine"
    assert first[0] in ana("export", str(tmp_path)).out


def test_an_unknown_id_fails_and_an_ambiguous_one_is_usage(ana: Lutra, page: str) -> None:
    other = "zzzzzz" if not page.startswith("zzzzzz") else "aaaaaa"
    missing = ana("page", "show", other)
    assert missing.status == 1
    assert other in missing.err
    assert ana("page", "show", "abc").status == 2


def test_invite_prints_a_code(ana: Lutra, group: str) -> None:
    made = ana.value("group", "invite", group)
    text = ana("group", "invite", group).out
    assert made["code"]
    assert text.startswith("Code: ")


def test_join_refuses_a_mistyped_code(ana: Lutra) -> None:
    outcome = ana("group", "join", "no-such-code", *LOOPBACK)
    assert outcome.status in (1, 2)
    assert outcome.err.strip().endswith(SENTENCE_END)


def test_two_devices_share_a_page(
    node: subprocess.Popen[bytes],
    lutra: Lutra,
    short_directory: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    group = lutra.value("group", "create", "Choir")["id"]
    code = lutra.value("group", "invite", group)["code"]
    address = lutra.value("status")["listening"][0]
    ben = Lutra(short_directory / "ben", capsys, monkeypatch)
    ben.value("init", "--name", "Ben", "--device", "desk")
    assert ben.value("group", "join", code, "--address", address, *LOOPBACK)["name"] == "Choir"
    watcher = subprocess.Popen(
        [sys.executable, "-m", "lutra.cli", "watch", "--profile", str(lutra.profile)],
        stdout=subprocess.PIPE,
    )
    second = start_node(ben.profile, "--peer", address)
    assert watcher.stdout is not None
    assert second.stdout is not None
    try:
        text = "shared text"
        page = ben.value("page", "create", group, "--title", "Ours", stdin=text)["id"]
        for line in watcher.stdout:
            event = json.loads(line)
            if event["event"] == "DocumentChanged" and event["document"] == page:
                break
        assert text_of(lutra, page) == text
        peers = lutra.value("peers")
        assert [(peer["name"], peer["connected"]) for peer in peers] == [("Ben", True)]
    finally:
        watcher.kill()
        second.terminate()
        second.wait(20)
        watcher.wait(20)
        watcher.stdout.close()
        second.stdout.close()


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("group",),
        ("group", "create"),
        ("status", "--nonsense"),
        ("init",),
        ("page", "edit", "abcdef", "--append", "--at", "1"),
        ("page", "edit", "abcdef", "--insert", "x"),
        ("page", "edit", "abcdef", "--at", "1"),
        ("page", "edit", "abcdef", "--at", "-1", "--insert", "x"),
        ("run", "--listen", "nowhere"),
    ],
)
def test_wrong_usage_is_status_2_and_one_sentence(lutra: Lutra, arguments: tuple[str, ...]) -> None:
    lutra.value("init", "--name", "Ana")
    outcome = lutra(*arguments)
    assert outcome.status == 2
    assert len(outcome.err.strip().splitlines()) == 1 or arguments == ("group",)


@pytest.mark.parametrize("command", [("status",), ("group", "list"), ("watch",), ("run",)])
def test_without_a_profile_commands_fail_with_one_sentence(
    lutra: Lutra, command: tuple[str, ...]
) -> None:
    outcome = lutra(*command)
    assert outcome.status == 1
    assert outcome.err.strip().endswith(SENTENCE_END)
    assert len(outcome.err.strip().splitlines()) == 1


def test_a_damaged_profile_fails_with_one_sentence(lutra: Lutra) -> None:
    lutra.value("init", "--name", "Ana")
    (lutra.profile / "lutra.db").write_bytes(b"x" * 8192)
    outcome = lutra("status", "--json")
    assert outcome.status == 1
    assert outcome.value["message"] == outcome.err.strip()


def test_a_defect_is_a_sentence_and_no_traceback(
    lutra: Lutra, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr("lutra.cli.running.session", broken)
    outcome = lutra("status", "--json")
    assert outcome.status == 1
    assert outcome.value["error"] == "bug"


def test_text_that_is_not_utf8_is_refused(lutra: Lutra) -> None:
    lutra.value("init", "--name", "Ana")
    group = lutra.value("group", "create", "Choir")["id"]
    outcome = lutra("page", "create", group, stdin="\udcff\udcfe")
    assert outcome.status == 1
    assert "UTF-8" in outcome.err


def test_the_passphrase_comes_from_a_file(
    lutra: Lutra, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("correct horse\n")
    monkeypatch.setenv("LUTRA_PASSPHRASE_FILE", str(secret))
    assert lutra.value("init", "--name", "Ana", "--passphrase")["custody"] == "passphrase"
    assert lutra.value("status")["identity"]["name"] == "Ana"
    secret.write_text("wrong horse\n")
    outcome = lutra("status")
    assert outcome.status == 1
    assert "passphrase" in outcome.err
    assert "horse" not in outcome.err
    monkeypatch.delenv("LUTRA_PASSPHRASE_FILE")
    nobody = lutra("status")
    assert nobody.status == 1
    assert "LUTRA_PASSPHRASE_FILE" in nobody.err


def test_the_passphrase_is_asked_for_on_a_terminal(lutra: Lutra) -> None:
    command = [sys.executable, "-m", "lutra.cli"]
    ends = ["init", "--name", "Ana", "--passphrase", "--profile", str(lutra.profile)]
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [*command, *ends],
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    shown = b""
    for prompt in (b"Passphrase:", b"Repeat for confirmation:"):
        while prompt not in shown:
            shown += os.read(controller, 4096)
        os.write(controller, b"correct horse\n")
    out, _ = process.communicate(timeout=60)
    os.close(controller)
    assert process.returncode == 0
    assert b"Ready, Ana" in out
    assert b"horse" not in shown


def test_a_second_node_on_the_profile_is_refused(
    node: subprocess.Popen[bytes], lutra: Lutra
) -> None:
    outcome = lutra("run", *LOOPBACK)
    assert outcome.status == 1
    assert "already running" in outcome.err


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_run_ends_cleanly_on_a_signal(
    node: subprocess.Popen[bytes], lutra: Lutra, ending: signal.Signals
) -> None:
    node.send_signal(ending)
    assert node.wait(20) == 0
    assert not (lutra.profile / "socket").exists()
    assert lutra.value("status")["running"] is False


def test_watching_begins_with_the_call(node: subprocess.Popen[bytes], lutra: Lutra) -> None:
    client = ControlClient.connect(lutra.profile)
    assert client is not None
    events = client.watch()
    group = lutra.value("group", "create", "Choir")["id"]
    assert next(events) == {"event": "GroupsChanged", "group": group}
    client.close()


@pytest.mark.usefixtures("children_hear_interrupts")
@pytest.mark.parametrize("ending", ["the node ends", "Ctrl-C"])
def test_watch_prints_events_until_the_end(
    node: subprocess.Popen[bytes], lutra: Lutra, ending: str
) -> None:
    watcher = subprocess.Popen(
        [sys.executable, "-m", "lutra.cli", "watch", "--profile", str(lutra.profile)],
        stdout=subprocess.PIPE,
    )
    assert watcher.stdout is not None
    with watcher, watcher.stdout:
        try:
            while not select.select([watcher.stdout], [], [], 0.2)[0]:
                lutra.value("group", "create", "Choir")
            assert json.loads(watcher.stdout.readline())["event"] == "GroupsChanged"
            if ending == "Ctrl-C":
                watcher.send_signal(signal.SIGINT)
            else:
                node.terminate()
            assert watcher.wait(20) == 0
        finally:
            watcher.kill()


def test_app_without_a_display_says_so(lutra: Lutra, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    for arguments in ((), ("app",)):
        outcome = lutra(*arguments)
        assert outcome.status == 1
        assert "display" in outcome.err


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    assert "Usage: lutra " + name in capsys.readouterr().out


def test_the_official_vectors_pass_and_a_failure_has_a_status(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("tree-math.json", "deserialization.json"):
        shutil.copy(shared / "vectors" / "mls" / name, tmp_path)
    assert run(["mls-vectors", str(tmp_path)]) == 0
    cases = json.loads((tmp_path / "tree-math.json").read_text())
    cases[0]["root"] += 1
    (tmp_path / "tree-math.json").write_text(json.dumps(cases))
    assert run(["mls-vectors", str(tmp_path)]) == 1
    capsys.readouterr()


def test_the_default_profile_is_the_stores() -> None:
    assert default_profile() == default_directory()


def test_asking_a_running_node_imports_next_to_nothing(
    node: subprocess.Popen[bytes], lutra: Lutra
) -> None:
    code = (
        "import sys, lutra.cli; "
        f"assert lutra.cli.run(['status', '--profile', {str(lutra.profile)!r}]) == 0; "
        "print([name for name in ('asyncio', 'lutra.store', 'cryptography', 'loro', 'keyring')"
        " if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.splitlines()[-1] == "[]"
