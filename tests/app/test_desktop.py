"""The whole desktop over real nodes: onboarding, writing, sharing, coming back."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QFontMetricsF
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QLineEdit, QTextEdit
from pytestqt.qtbot import QtBot

from app.conftest import WAIT_MS, MakeDesktop, write_in
from lutra.cli.client import ControlClient
from lutra.cli.own import create_profile
from lutra.node.events import PeersChanged
from lutra.node.node import Node
from lutra.node.views import InviteView
from lutra.store.errors import DiskFullError
from lutra_app.bridge import Bridge
from lutra_app.editor.pieces import normal_pieces
from lutra_app.main import Desktop
from lutra_app.shell.known import Known, read_known
from lutra_app.theme.theme import text_font


def body(desktop: Desktop) -> str:
    session = desktop.window.workspace.session
    return session.replica.body if session is not None else ""


def sentence(desktop: Desktop) -> str:
    return desktop.window.area.state_line.sentence


def type_text(desktop: Desktop, text: str) -> None:
    page = desktop.window.area.page
    for character in text:
        if character == "\n":
            QTest.keyClick(page, Qt.Key.Key_Return)
        else:
            QTest.keyClick(page, character)


def saved(desktop: Desktop) -> bool:
    session = desktop.window.workspace.session
    return session is not None and session.unsaved == 0


def share(first: Desktop, second: Desktop, qtbot: QtBot) -> None:
    """Bring the second desktop into the first one's group and onto its page, by code."""
    invites: list[InviteView] = []
    group = first.window.workspace.group
    assert group is not None
    first.bridge.ask(lambda node: node.invite(group.id), invites.append)
    qtbot.waitUntil(lambda: bool(invites), timeout=WAIT_MS)
    second.window.sheets.join.begin(invites[0].link)
    second.window.sheets.join.go.click()
    qtbot.waitUntil(lambda: not second.window.sheets.join.isVisible(), timeout=WAIT_MS)
    document = first.window.workspace.current
    assert document is not None

    def listed() -> bool:
        return any(page.id == document for page in second.window.sidebar.pages())

    qtbot.waitUntil(listed, timeout=WAIT_MS)
    second.window.workspace.open_page(document)
    qtbot.waitUntil(lambda: body(second) == body(first), timeout=WAIT_MS)


def test_a_name_is_all_it_takes(make_desktop: MakeDesktop, qtbot: QtBot) -> None:
    desktop = make_desktop("ana")
    write_in(desktop, qtbot, "Ana Lima")
    window = desktop.window
    qtbot.keyClicks(window.area.page.title, "River")
    qtbot.keyClick(window.area.page.title, Qt.Key.Key_Return)
    type_text(desktop, "# Plan\nSwim")
    qtbot.waitUntil(lambda: saved(desktop), timeout=WAIT_MS)
    qtbot.waitUntil(
        lambda: sentence(desktop) == "Saved on this device · nobody else is in this group yet",
        timeout=WAIT_MS,
    )
    qtbot.waitUntil(lambda: [page.title for page in window.sidebar.pages()] == ["River"])
    desktop.close()

    again = make_desktop("ana")
    qtbot.waitUntil(lambda: body(again) == "Plan\nSwim", timeout=WAIT_MS)
    session = again.window.workspace.session
    assert session is not None
    assert session.replica.title == "River"
    assert session.replica.body_spans()[1].attributes == {"block": "h1"}


def test_two_people_write_on_one_page(make_desktop: MakeDesktop, qtbot: QtBot) -> None:
    ana, ben = make_desktop("ana"), make_desktop("ben")
    write_in(ana, qtbot, "Ana Lima")
    write_in(ben, qtbot, "Ben")
    type_text(ana, "Hello\n")
    share(ana, ben, qtbot)
    # Both at once, at the two ends.
    ben.window.area.page.moveCursor(ben.window.area.page.textCursor().MoveOperation.Start)
    for one, other in zip("from ana", "from ben", strict=True):
        type_text(ana, one)
        type_text(ben, other)
    qtbot.waitUntil(lambda: body(ana) == body(ben) == "from benHello\nfrom ana", timeout=WAIT_MS)
    for desktop in (ana, ben):
        session = desktop.window.workspace.session
        assert session is not None
        assert session.body.text() == session.replica.body
        assert session.body.pieces() == normal_pieces(session.replica.body_spans())
        qtbot.waitUntil(
            lambda desktop=desktop: sentence(desktop) == "Saved · all 2 devices have it",
            timeout=WAIT_MS,
        )
    # Each sees the other's caret under the other's name.
    qtbot.waitUntil(
        lambda: [c.name for c in ana.window.area.page.carets.carets()] == ["Ben"], timeout=WAIT_MS
    )
    caret = ana.window.area.page.carets.carets()[0]
    qtbot.waitUntil(lambda: caret.head == 8 or ana_sees(ana) == 8, timeout=WAIT_MS)
    assert ben.window.area.page.textCursor().position() == 8
    # One undoes one's own only.
    QTest.keyClick(ana.window.area.page, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: body(ana) == body(ben) == "from benHello\nfrom ", timeout=WAIT_MS)


def ana_sees(desktop: Desktop) -> int:
    carets = desktop.window.area.page.carets.carets()
    return carets[0].head if carets else -1


def test_offline_is_said_and_ends(make_desktop: MakeDesktop, qtbot: QtBot) -> None:
    ana, ben = make_desktop("ana"), make_desktop("ben")
    write_in(ana, qtbot, "Ana")
    write_in(ben, qtbot, "Ben")
    share(ana, ben, qtbot)
    type_text(ana, "together ")
    qtbot.waitUntil(lambda: body(ben) == "together ", timeout=WAIT_MS)
    ben.close()
    type_text(ana, "alone")
    qtbot.waitUntil(lambda: "offline" in sentence(ana), timeout=WAIT_MS)
    again = make_desktop("ben")
    qtbot.waitUntil(lambda: body(again) == "together alone", timeout=2 * WAIT_MS)
    qtbot.waitUntil(lambda: sentence(ana) == "Saved · all 2 devices have it", timeout=2 * WAIT_MS)


def test_a_wrong_code_is_explained(make_desktop: MakeDesktop, qtbot: QtBot) -> None:
    desktop = make_desktop("ana")
    write_in(desktop, qtbot, "Ana")
    form = desktop.window.sheets.join
    form.begin("this is no code")
    form.go.click()
    qtbot.waitUntil(form.error.isVisible, timeout=WAIT_MS)
    assert form.error.text().endswith(".")
    assert form.field.text() == "this is no code"


def test_a_second_start_raises_the_window(
    make_desktop: MakeDesktop, qtbot: QtBot, tmp_path: Path
) -> None:
    desktop = make_desktop("ana")
    write_in(desktop, qtbot, "Ana")
    desktop.window.showMinimized()

    def second_start() -> None:
        client = ControlClient.connect(tmp_path / "ana")
        assert client is not None
        client.call("raise")
        client.close()

    with qtbot.waitSignal(desktop.window.workspace.raise_wanted, timeout=WAIT_MS):
        threading.Thread(target=second_start).start()
    assert not desktop.window.isMinimized()


def test_everything_has_a_name_for_screen_readers(make_desktop: MakeDesktop, qtbot: QtBot) -> None:
    desktop = make_desktop("ana")
    write_in(desktop, qtbot, "Ana")
    for kind in (QAbstractButton, QLineEdit, QTextEdit):
        for widget in desktop.window.findChildren(kind):
            assert widget.accessibleName(), f"{widget} {widget.property('text')}"


def test_what_was_typed_last_is_kept(make_desktop: MakeDesktop, qtbot: QtBot) -> None:
    desktop = make_desktop("ana")
    write_in(desktop, qtbot, "Ana")
    type_text(desktop, "the last words")
    desktop.close()
    again = make_desktop("ana")
    qtbot.waitUntil(lambda: body(again) == "the last words", timeout=WAIT_MS)


def test_a_passphrase_opens_a_locked_profile(
    make_desktop: MakeDesktop, qtbot: QtBot, tmp_path: Path
) -> None:
    create_profile(tmp_path / "ana", "Ana", "laptop", secret="river stone")
    desktop = make_desktop("ana")
    window = desktop.window
    qtbot.waitUntil(lambda: window.onboarding is not None, timeout=WAIT_MS)
    screen = window.onboarding
    assert screen is not None
    screen.field.setText("wrong")
    screen.go.click()
    qtbot.waitUntil(screen.error.isVisible, timeout=WAIT_MS)
    assert screen.error.text().endswith(".")
    screen.field.setText("river stone")
    screen.go.click()
    qtbot.waitUntil(lambda: window.onboarding is None, timeout=WAIT_MS)
    qtbot.waitUntil(window.area.first_page.isVisible, timeout=WAIT_MS)
    window.area.first_page.click()
    qtbot.waitUntil(lambda: window.workspace.session is not None, timeout=WAIT_MS)


@pytest.mark.parametrize("width", [480, 1920, 3840])
def test_the_window_takes_any_width(make_desktop: MakeDesktop, qtbot: QtBot, width: int) -> None:
    desktop = make_desktop("ana")
    write_in(desktop, qtbot, "Ana")
    window = desktop.window
    window.resize(width, 900)
    qtbot.waitUntil(lambda: window.panes.width() == width)
    page = window.area.page
    left, column = page.column()
    assert left >= 0
    assert left + column <= page.viewport().width()
    assert page.title.width() == column
    # 60 to 75 characters, or what there is room for.
    letters = column / (QFontMetricsF(text_font()).horizontalAdvance("n") * 0.85)
    assert letters < 80


def test_a_theme_change_reaches_the_text(make_desktop: MakeDesktop, qtbot: QtBot) -> None:
    desktop = make_desktop("ana")
    write_in(desktop, qtbot, "Ana")
    type_text(desktop, "# Plan\ntext")
    page = desktop.window.area.page
    desktop.theme.choose("dark")
    shown = page.document().begin().begin().fragment().charFormat().foreground().color()
    assert shown == desktop.theme.color("text")
    session = desktop.window.workspace.session
    assert session is not None
    assert session.replica.body == "Plan\ntext"
    assert session.body.pieces() == normal_pieces(session.replica.body_spans())
    desktop.theme.choose("light")


def test_closing_before_the_network_began_does_not_begin_it(
    qapp: QApplication, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began: list[Node] = []

    async def start(node: Node) -> None:
        began.append(node)

    monkeypatch.setattr(Node, "start", start)
    # As long as it likes: only closing ends the wait.
    monkeypatch.setattr("lutra_app.bridge._NETWORK_SECONDS", 60)
    create_profile(tmp_path / "ana", "Ana", "laptop")
    bridge = Bridge(tmp_path / "ana")
    with qtbot.waitSignal(bridge.ready, timeout=WAIT_MS):
        bridge.start()
    before = time.monotonic()
    bridge.close()
    assert time.monotonic() - before < 1.5
    assert not began


def test_a_page_that_comes_while_a_reading_fails_is_listed(
    make_desktop: MakeDesktop, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    desktop = make_desktop("ana")
    write_in(desktop, qtbot, "Ana")
    qtbot.waitUntil(lambda: bool(desktop.window.sidebar.pages()), timeout=WAIT_MS)
    group = desktop.window.workspace.group
    assert group is not None
    readings: list[frozenset[bytes] | None] = []

    async def read(node: Node, before: Known, pages: frozenset[bytes] | None) -> Known:
        readings.append(pages)
        if len(readings) > 1:
            return await read_known(node, before, pages)
        await node.create_document(group.id, "Meanwhile")
        # Until the window has heard of it.
        await asyncio.sleep(0.3)
        raise DiskFullError("The disk is full.")

    monkeypatch.setattr("lutra_app.shell.workspace.read_known", read)
    desktop.bridge.happened.emit(PeersChanged())
    qtbot.waitUntil(
        lambda: "Meanwhile" in [page.title for page in desktop.window.sidebar.pages()],
        timeout=WAIT_MS,
    )
    assert readings[1] is None


def test_whoever_asked_hears_of_a_fault(make_desktop: MakeDesktop, qtbot: QtBot) -> None:
    """Otherwise it would wait for ever, and the lists with it."""
    desktop = make_desktop("ana")
    write_in(desktop, qtbot, "Ana")

    async def broken(node: Node) -> None:
        raise RuntimeError(node.identity.name)

    heard: list[str] = []
    desktop.bridge.ask(broken, None, heard.append)
    qtbot.waitUntil(lambda: bool(heard), timeout=WAIT_MS)
    assert "RuntimeError" in heard[0]
    assert "Ana" not in heard[0]
