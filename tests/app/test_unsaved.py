"""Text that cannot be stored: it stays on the page, can be saved again, and is not lost unasked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from app.conftest import WAIT_MS, MakeDesktop, ask, buttons, press, says, write_in
from app.test_desktop import body, saved, sentence, type_text
from lutra.groups.errors import ReadOnlyGroupError
from lutra.node.engine import Engine
from lutra.node.events import Trouble
from lutra.node.queries import Queries
from lutra.store.connection import Connection
from lutra.store.errors import DiskFullError
from lutra_app.main import Desktop

FULL = "The disk is full, so the last change was not saved."
WRITES = ("INSERT", "UPDATE", "REPLACE")


@contextmanager
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let no store take anything any more."""
    run, run_many = Connection.run, Connection.run_many

    def refusing(write: Callable[..., int]) -> Callable[..., int]:
        def refuse(self: Connection, sql: str, *rest: Any) -> int:
            if sql.lstrip().upper().startswith(WRITES):
                raise DiskFullError(FULL)
            return write(self, sql, *rest)

        return refuse

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "run", refusing(run))
        patch.setattr(Connection, "run_many", refusing(run_many))
        yield


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[ExitStack]:
    """What is entered here stays full until `close`."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def ana(
    make_desktop: MakeDesktop, qtbot: QtBot, disk: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> Desktop:
    """A desktop whose disk has become full, with “ and lost?” on the page and not stored."""
    desktop = make_desktop("ana")
    write_in(desktop, qtbot, "Ana")
    type_text(desktop, "before")
    qtbot.waitUntil(lambda: saved(desktop), timeout=WAIT_MS)
    disk.enter_context(full_disk(monkeypatch))
    type_text(desktop, " and lost?")
    qtbot.waitUntil(lambda: "could not be saved" in banner(desktop), timeout=WAIT_MS)
    return desktop


def banner(desktop: Desktop) -> str:
    return desktop.window.area.banners.text("refused")


def unsaved_is_held(desktop: Desktop) -> bool:
    page = desktop.window.area.page
    return (
        page.toPlainText() == body(desktop) == "before and lost?"
        and page.isReadOnly()
        and sentence(desktop) == f"Not saved: {FULL}"
        and FULL in banner(desktop)
    )


def stored(desktop: Desktop, qtbot: QtBot) -> dict[str, str]:
    """Return what the node has: title → text."""
    pages = ask(desktop, qtbot, lambda node: node.documents())
    return {page.title: ask(desktop, qtbot, lambda node, p=page: node.text(p.id)) for page in pages}


def save_again(desktop: Desktop, qtbot: QtBot) -> None:
    button = desktop.window.area.banners.button("refused")
    assert button.text() == "Save again"
    button.click()
    assert not button.isEnabled()


def test_what_a_full_disk_refuses_stays_until_it_is_saved(
    ana: Desktop, qtbot: QtBot, disk: ExitStack
) -> None:
    assert unsaved_is_held(ana)
    for _ in range(2):
        save_again(ana, qtbot)
        qtbot.waitUntil(lambda: "still could not be saved" in banner(ana), timeout=WAIT_MS)
        qtbot.waitUntil(ana.window.area.banners.button("refused").isEnabled, timeout=WAIT_MS)
        assert unsaved_is_held(ana)
    disk.close()
    save_again(ana, qtbot)
    qtbot.waitUntil(lambda: not banner(ana), timeout=WAIT_MS)
    qtbot.waitUntil(lambda: sentence(ana).startswith("Saved on this device"), timeout=WAIT_MS)
    assert not ana.window.area.page.isReadOnly()
    assert stored(ana, qtbot) == {"": "before and lost?"}
    type_text(ana, " no")
    qtbot.waitUntil(lambda: saved(ana), timeout=WAIT_MS)
    assert stored(ana, qtbot) == {"": "before and lost? no"}


def test_another_page_waits_until_the_text_is_stored(
    make_desktop: MakeDesktop,
    qtbot: QtBot,
    disk: ExitStack,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desktop = make_desktop("ana")
    write_in(desktop, qtbot, "Ana")
    workspace = desktop.window.workspace
    qtbot.waitUntil(lambda: workspace.group is not None, timeout=WAIT_MS)
    group = workspace.group
    assert group is not None
    first = workspace.current
    other = ask(desktop, qtbot, lambda node: node.create_document(group.id, "Other", "other"))
    type_text(desktop, "before")
    qtbot.waitUntil(lambda: saved(desktop), timeout=WAIT_MS)
    disk.enter_context(full_disk(monkeypatch))
    # Not even refused yet when the person goes on.
    type_text(desktop, " and lost?")
    workspace.open_page(other.id)
    qtbot.waitUntil(lambda: "could not be saved" in banner(desktop), timeout=WAIT_MS)
    qtbot.waitUntil(lambda: workspace.current == first, timeout=WAIT_MS)
    assert unsaved_is_held(desktop)
    disk.close()
    workspace.open_page(other.id)
    qtbot.waitUntil(lambda: body(desktop) == "other", timeout=WAIT_MS)
    assert not banner(desktop)
    assert stored(desktop, qtbot) == {"": "before and lost?", "Other": "other"}


def test_lost_events_do_not_reload_over_unsaved_text(
    ana: Desktop, qtbot: QtBot, disk: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = ana.window.workspace.session
    page = ana.window.sidebar.pages()[0]
    missed = [replace(page, title="Missed")]
    monkeypatch.setattr(Queries, "documents", lambda *_: missed)
    ana.bridge.happened.emit(Trouble("events.lost", "Something was missed."))
    qtbot.waitUntil(lambda: "still could not be saved" in banner(ana), timeout=WAIT_MS)
    assert unsaved_is_held(ana)
    # The lists have nothing to lose: they are read at once.
    qtbot.waitUntil(lambda: ana.window.sidebar.pages() == missed, timeout=WAIT_MS)
    assert ana.window.workspace.session is session
    disk.close()
    qtbot.waitUntil(ana.window.area.banners.button("refused").isEnabled, timeout=WAIT_MS)
    save_again(ana, qtbot)
    qtbot.waitUntil(lambda: ana.window.workspace.session not in (session, None), timeout=WAIT_MS)
    assert body(ana) == "before and lost?"


def test_a_copy_of_an_untitled_page_has_a_name(
    ana: Desktop, qtbot: QtBot, disk: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.close()

    def refuse(*_: object) -> None:
        raise ReadOnlyGroupError("You only read this group.")

    monkeypatch.setattr(Engine, "apply_local", refuse)
    save_again(ana, qtbot)
    qtbot.waitUntil(lambda: body(ana) == "before", timeout=WAIT_MS)
    assert not banner(ana)
    assert "kept in the page “Untitled (your copy)”" in says(ana.window)
    assert stored(ana, qtbot) == {"": "before", "Untitled (your copy)": "before and lost?"}


# -- closing -----------------------------------------------------------------------------


def test_closing_asks_before_text_is_lost(ana: Desktop, qtbot: QtBot, tmp_path: Path) -> None:
    window = ana.window
    assert not window.close()
    sheet = window.sheets.leaving
    assert sheet.isVisible()
    assert "If Lutra closes now, it is lost." in says(sheet)
    assert FULL in says(sheet)
    press(sheet, "Copy the text")
    assert QGuiApplication.clipboard().text() == "before and lost?\n"
    sheet.write(tmp_path / "missing" / "page.md")
    assert "could not be written" in sheet.error.text()
    assert "Close and lose it" in buttons(sheet)
    sheet.write(tmp_path / "page.md")
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == "before and lost?\n"
    assert "Close and lose it" not in buttons(sheet)
    press(sheet, "Stay")
    assert window.isVisible()
    assert unsaved_is_held(ana)


def test_one_can_close_and_lose_it(ana: Desktop) -> None:
    assert not ana.window.close()
    sheet = ana.window.sheets.leaving
    assert "If Lutra closes now, it is lost." in says(sheet)
    press(sheet, "Close and lose it")
    assert not ana.window.isVisible()


def test_closing_saves_if_there_is_room_again(
    ana: Desktop, qtbot: QtBot, disk: ExitStack, make_desktop: MakeDesktop
) -> None:
    disk.close()
    ana.close()
    assert not ana.window.isVisible()
    again = make_desktop("ana")
    qtbot.waitUntil(lambda: body(again) == "before and lost?", timeout=WAIT_MS)


def test_closing_at_once_asks_as_well(
    make_desktop: MakeDesktop, qtbot: QtBot, disk: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    desktop = make_desktop("ana")
    write_in(desktop, qtbot, "Ana")
    disk.enter_context(full_disk(monkeypatch))
    type_text(desktop, "words")
    assert not desktop.window.close()
    assert desktop.window.sheets.leaving.isVisible()
    assert body(desktop) == "words"
