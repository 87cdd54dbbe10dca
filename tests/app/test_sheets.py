"""Every sheet: reachable by keyboard, named for screen readers, inside a narrow window."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QLineEdit
from pytestqt.qtbot import QtBot

from app.conftest import WAIT_MS, MakeDesktop, write_in
from lutra_app.main import Desktop
from lutra_app.shell.flow import Flow
from lutra_app.shell.task import Task

SHEETS: dict[str, Callable[[Desktop], Flow]] = {
    "new group": lambda desktop: desktop.window.sheets.new_group,
    "join": lambda desktop: desktop.window.sheets.join,
    "invite": lambda desktop: desktop.window.sheets.invite,
    "requests": lambda desktop: desktop.window.sheets.requests,
    "group": lambda desktop: desktop.window.sheets.group,
    "devices": lambda desktop: desktop.window.sheets.devices,
    "kits": lambda desktop: desktop.window.sheets.kits,
    "bundles": lambda desktop: desktop.window.sheets.bundles,
}
COMMANDS = {
    "new group": "New group",
    "join": "Join a group",
    "invite": "Invite somebody",
    "requests": "Let in who waits",
    "group": "Group: name, history, leave",
    "devices": "Your devices: list, add, remove",
    "kits": "Recovery kits",
    "bundles": "Carry by file: write or take in a bundle",
}


@pytest.mark.parametrize("name", list(SHEETS))
def test_a_sheet_by_keyboard(make_desktop: MakeDesktop, qtbot: QtBot, name: str) -> None:
    desktop = make_desktop("ana")
    write_in(desktop, qtbot, "Ana Lima")
    window = desktop.window
    window.resize(480, 640)
    qtbot.waitUntil(lambda: window.workspace.group is not None, timeout=WAIT_MS)
    # The palette opens it.
    window.show_palette()
    field = window.focusWidget()
    assert isinstance(field, QLineEdit)
    field.setText(COMMANDS[name])
    QTest.keyClick(field, Qt.Key.Key_Return)
    sheet = SHEETS[name](desktop)
    qtbot.waitUntil(sheet.isVisible, timeout=WAIT_MS)
    steps = [sheet.heading.text()]
    qtbot.waitUntil(lambda: len(_controls(sheet)) > 1, timeout=WAIT_MS)
    for control in _controls(sheet):
        assert control.accessibleName(), f"{control} {control.property('text')} after {steps}"
    # Nothing sticks out, and nothing needs scrolling sideways.
    assert sheet.rect().contains(sheet.card.geometry())
    for control in _controls(sheet):
        left = control.mapTo(sheet.card, control.rect().topLeft()).x()
        assert left >= 0
        assert left + control.width() <= sheet.card.width(), control.property("text")
    # Tab goes round inside the card.
    seen: set[object] = set()
    for _ in range(40):
        QTest.keyClick(window.focusWidget() or sheet, Qt.Key.Key_Tab)
        focused = window.focusWidget()
        assert focused is not None
        assert sheet.card.isAncestorOf(focused)
        seen.add(focused)
    enabled = {one for one in _controls(sheet) if one.isEnabled()}
    assert enabled <= seen
    QTest.keyClick(window.focusWidget() or sheet, Qt.Key.Key_Escape)
    assert not sheet.isVisible()


def _controls(sheet: Task) -> list[QAbstractButton | QLineEdit]:
    return [
        one
        for kind in (QAbstractButton, QLineEdit)
        for one in sheet.card.findChildren(kind)
        if one.isVisible()
    ]


def test_one_sheet_at_a_time(make_desktop: MakeDesktop, qtbot: QtBot) -> None:
    desktop = make_desktop("ana")
    write_in(desktop, qtbot, "Ana Lima")
    sheets = desktop.window.sheets
    qtbot.waitUntil(lambda: desktop.window.workspace.group is not None, timeout=WAIT_MS)
    sheets.open_join()
    assert sheets.join.isVisible()
    sheets.open_group()
    assert sheets.group.isVisible()
    assert not sheets.join.isVisible()
    # A click beside it closes it and gives the keyboard back.
    QTest.mouseClick(sheets.group, Qt.MouseButton.LeftButton, pos=QPoint(3, 3))
    assert not sheets.group.isVisible()
