"""Recovery kits and bundles: made, tested, withdrawn; out and in; coming back by both."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtPrintSupport import QPrintDialog
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from app.conftest import WAIT_MS, MakeDesktop, ask, buttons, press, says, write_in
from app.test_desktop import share
from lutra_app.main import Desktop
from lutra_app.recovery.kits import Kits


def show_new_kit(desktop: Desktop, qtbot: QtBot) -> Kits:
    """Begin to make a kit; returns the sheet that shows its words."""
    sheet = desktop.window.sheets.kits
    desktop.window.sheets.open_kits()
    qtbot.waitUntil(lambda: "You have none" in says(sheet), timeout=WAIT_MS)
    press(sheet, "Make a kit")
    qtbot.waitUntil(lambda: "Your new recovery kit" in says(sheet), timeout=WAIT_MS)
    return sheet


def make_kit(desktop: Desktop, qtbot: QtBot) -> str:
    """Make a kit as a person does; returns its words."""
    sheet = show_new_kit(desktop, qtbot)
    assert sheet.kit is not None
    words = sheet.kit.sheet.words
    for word in words:
        assert word in says(sheet)
    press(sheet, "I have the words")
    # Wrong words do not make it count.
    for field in sheet.tested.values():
        field.setText("wrong")
    press(sheet, "Make it count")
    qtbot.waitUntil(sheet.error.isVisible, timeout=WAIT_MS)
    assert ask(desktop, qtbot, lambda node: node.recovery.list()) == []
    for place, field in sheet.tested.items():
        field.setText(words[place - 1])
    press(sheet, "Make it count")
    qtbot.waitUntil(lambda: "Your recovery kit is ready" in says(sheet), timeout=WAIT_MS)
    return " ".join(words)


def test_a_kit_is_made_tested_and_withdrawn(
    make_desktop: MakeDesktop, qtbot: QtBot, tmp_path: Path
) -> None:
    ana = make_desktop("ana")
    write_in(ana, qtbot, "Ana Lima")
    words = make_kit(ana, qtbot)
    sheet = ana.window.sheets.kits
    assert sheet.kit is None
    press(sheet, "All kits")
    qtbot.waitUntil(lambda: "Test a sheet" in buttons(sheet), timeout=WAIT_MS)
    press(sheet, "Test a sheet")
    # Pasting all words into the first field fills the others.
    sheet.words.fields[0].setText("")
    sheet.words.set_text(words)
    press(sheet, "Test")
    qtbot.waitUntil(lambda: "it is valid" in says(sheet), timeout=WAIT_MS)
    sheet.words.fields[3].setFocus()
    sheet.words.fields[3].selectAll()
    qtbot.keyClicks(sheet.words.fields[3], "zzzzz")
    assert "Word 4 is not right" in says(sheet)
    sheet.back.click()
    mark = ask(ana, qtbot, lambda node: node.recovery.list())[0].mark
    qtbot.waitUntil(lambda: "Make a kit" in buttons(sheet), timeout=WAIT_MS)
    press(sheet, f"Kit {mark}: withdraw …")
    sheet.words.set_text(words)
    press(sheet, "Withdraw")
    qtbot.waitUntil(lambda: f"{mark} · withdrawn" in says(sheet), timeout=WAIT_MS)


def test_the_sheet_becomes_a_pdf(make_desktop: MakeDesktop, qtbot: QtBot, tmp_path: Path) -> None:
    ana = make_desktop("ana")
    write_in(ana, qtbot, "Ana Lima")
    sheet = show_new_kit(ana, qtbot)
    sheet.save_pdf(tmp_path / "kit.pdf")
    assert "delete it" in says(sheet)
    assert sheet.kit is not None
    written = (tmp_path / "kit.pdf").read_bytes()
    assert written.startswith(b"%PDF")
    assert written.count(b"/Type /Page\n") == 1
    sheet.save_pdf(tmp_path / "no" / "such" / "folder.pdf")
    assert "cannot be written" in says(sheet)


def test_the_sheet_is_printed_or_saved_where_the_dialogs_say(
    make_desktop: MakeDesktop, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = make_desktop("ana")
    write_in(ana, qtbot, "Ana Lima")
    sheet = show_new_kit(ana, qtbot)
    printed, saved = tmp_path / "printed.pdf", tmp_path / "saved.pdf"

    def confirm(dialog: QPrintDialog) -> int:
        dialog.printer().setOutputFileName(str(printed))
        return 1

    monkeypatch.setattr(QPrintDialog, "exec", lambda _: 0)
    press(sheet, "Print …")
    assert not printed.exists()
    monkeypatch.setattr(QPrintDialog, "exec", confirm)
    press(sheet, "Print …")
    assert printed.read_bytes().startswith(b"%PDF")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: ("", ""))
    press(sheet, "Save as PDF …")
    assert not saved.exists()
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(saved), ""))
    press(sheet, "Save as PDF …")
    assert saved.read_bytes().startswith(b"%PDF")


def test_a_bundle_goes_where_the_dialogs_say(
    make_desktop: MakeDesktop, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = make_desktop("ana")
    write_in(ana, qtbot, "Ana Lima")
    path = str(tmp_path / "all.lutra")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (path, ""))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (path, ""))
    sheet = ana.window.sheets.bundles
    ana.window.sheets.open_bundles()
    qtbot.waitUntil(lambda: "Write a file …" in buttons(sheet), timeout=WAIT_MS)
    press(sheet, "Write a file …")
    qtbot.waitUntil(lambda: "The file is written" in says(sheet), timeout=WAIT_MS)
    assert path in says(sheet)
    press(sheet, "Done")
    ana.window.sheets.open_bundles()
    qtbot.waitUntil(lambda: "Take a file in …" in buttons(sheet), timeout=WAIT_MS)
    press(sheet, "Take a file in …")
    qtbot.waitUntil(lambda: "Nothing new in this file" in says(sheet), timeout=WAIT_MS)


def write_bundle(desktop: Desktop, qtbot: QtBot, path: Path, scope: str) -> None:
    sheet = desktop.window.sheets.bundles
    desktop.window.sheets.open_bundles()
    qtbot.waitUntil(lambda: sheet.scope is not None and sheet.scope.isVisible(), timeout=WAIT_MS)
    assert sheet.scope is not None
    sheet.scope.choose(scope)
    sheet.write(path)
    qtbot.waitUntil(lambda: "The file is written" in says(sheet), timeout=WAIT_MS)
    assert path.exists()


def test_a_bundle_goes_out_and_in(make_desktop: MakeDesktop, qtbot: QtBot, tmp_path: Path) -> None:
    ana, ben = make_desktop("ana"), make_desktop("ben")
    write_in(ana, qtbot, "Ana Lima")
    write_in(ben, qtbot, "Ben Okafor")
    share(ana, ben, qtbot)
    group = ana.window.workspace.group
    assert group is not None
    ben.close()
    page = ask(ana, qtbot, lambda node: node.create_document(group.id, "By stick", "carried"))
    path = tmp_path / "river.lutra"
    write_bundle(ana, qtbot, path, f"group:{group.id.hex()}")
    # Anas's device is out of reach: only the file can bring it.
    ana.close()
    again = make_desktop("ben")
    qtbot.waitUntil(lambda: bool(again.window.sidebar.pages()), timeout=WAIT_MS)
    assert all(one.id != page.id for one in again.window.sidebar.pages())
    again.window.sheets.open_file(path)
    sheet = again.window.sheets.bundles
    qtbot.waitUntil(lambda: "The file is taken in" in says(sheet), timeout=WAIT_MS)
    assert "1 new page" in says(sheet)
    qtbot.waitUntil(
        lambda: any(one.id == page.id for one in again.window.sidebar.pages()), timeout=WAIT_MS
    )
    assert ask(again, qtbot, lambda node: node.text(page.id)) == "carried"
    again.window.sheets.open_file(path)
    qtbot.waitUntil(lambda: "Nothing new in this file" in says(sheet), timeout=WAIT_MS)
    (tmp_path / "other.lutra").write_bytes(b"no bundle at all")
    again.window.sheets.open_file(tmp_path / "other.lutra")
    qtbot.waitUntil(lambda: "did not go to its end" in says(sheet), timeout=WAIT_MS)


def test_coming_back_by_kit_and_bundle(
    make_desktop: MakeDesktop, qtbot: QtBot, tmp_path: Path
) -> None:
    ana, new = make_desktop("ana"), make_desktop("new")
    write_in(ana, qtbot, "Ana Lima")
    ana.window.area.page.insertPlainText("not lost")
    words = make_kit(ana, qtbot)
    path = tmp_path / "mine.lutra"
    write_bundle(ana, qtbot, path, "everything")
    ana.close()

    window = new.window
    qtbot.waitUntil(lambda: window.onboarding is not None, timeout=WAIT_MS)
    assert window.onboarding is not None
    press(window.onboarding, "Restore with a recovery kit")
    sheet = window.sheets.restore
    sheet.name.setText("Ana Lima")
    sheet.words.set_text(words)
    sheet.use_bundle(path)
    assert sheet.go.isEnabled()
    sheet.go.click()
    qtbot.waitUntil(lambda: new.bridge.identity is not None, timeout=2 * WAIT_MS)
    qtbot.waitUntil(lambda: bool(window.sidebar.pages()), timeout=WAIT_MS)
    document = window.sidebar.pages()[0].id
    window.workspace.open_page(document)
    qtbot.waitUntil(
        lambda: (
            window.workspace.session is not None
            and window.workspace.session.replica.body == "not lost"
        ),
        timeout=WAIT_MS,
    )
    # The sheet it began in has closed; that does not keep the device off the network.
    qtbot.waitUntil(lambda: ask(new, qtbot, lambda node: node.status()).running, timeout=WAIT_MS)
