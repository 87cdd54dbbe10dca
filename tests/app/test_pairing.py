"""A second device: by code, by files, and everything that can be said no to."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from app.conftest import WAIT_MS, MakeDesktop, ask, press, says, write_in
from core.store.full_disk import full_disk
from lutra_app.main import Desktop
from lutra_app.onboarding.pair import PairThisDevice
from lutra_app.theme.parts import RowButton


def start_pairing(new: Desktop, qtbot: QtBot) -> PairThisDevice:
    window = new.window
    qtbot.waitUntil(lambda: window.onboarding is not None, timeout=WAIT_MS)
    assert window.onboarding is not None
    press(window.onboarding, "I have Lutra on another device")
    sheet = window.sheets.pair_here
    qtbot.waitUntil(lambda: "Enter the code" in says(sheet), timeout=WAIT_MS)
    return sheet


def pick(sheet: QWidget, text: str) -> None:
    """Press the row that begins with a text."""
    row = next(
        one for one in sheet.findChildren(RowButton) if one.isVisible() and one.title.text() == text
    )
    row.click()


def show_code(old: Desktop, qtbot: QtBot) -> tuple[str, str]:
    """Return code and address that the existing device shows."""
    old.window.sheets.open_devices()
    sheet = old.window.sheets.devices
    qtbot.waitUntil(lambda: "Each has all your groups" in says(sheet), timeout=WAIT_MS)
    press(sheet, "Add a device")
    pick(sheet, "Show a code here")
    qtbot.waitUntil(lambda: "Waiting for the other device" in says(sheet), timeout=WAIT_MS)
    view = ask(old, qtbot, _view)
    assert view is not None
    return view.code, view.addresses[0]


async def _view(node: object) -> object:
    return node.pairing.view  # type: ignore[attr-defined]


def enter_code(sheet: PairThisDevice, qtbot: QtBot, code: str, address: str) -> None:
    pick(sheet, "Enter the code")
    sheet.pairing.code.setText(code)
    sheet.pairing.address.setText(address)
    sheet.pairing.connect_button.click()


def pair(old: Desktop, new: Desktop, qtbot: QtBot) -> None:
    """Make the new desktop one of the person's devices, by code."""
    sheet = start_pairing(new, qtbot)
    code, address = show_code(old, qtbot)
    first = old.window.sheets.devices
    assert code in says(first)
    enter_code(sheet, qtbot, code, address)
    for one in (first, sheet):
        qtbot.waitUntil(lambda one=one: "Do both screens" in says(one), timeout=WAIT_MS)
    view = ask(old, qtbot, _view)
    assert view.comparison in says(first)
    assert view.comparison in says(sheet)
    press(first, "They are the same")
    press(sheet, "They are the same")
    qtbot.waitUntil(lambda: new.bridge.identity is not None, timeout=WAIT_MS)
    qtbot.waitUntil(lambda: "one of your devices now" in says(first), timeout=WAIT_MS)


def test_a_second_device_gets_everything(make_desktop: MakeDesktop, qtbot: QtBot) -> None:
    old, new = make_desktop("laptop"), make_desktop("desktop")
    write_in(old, qtbot, "Ana Lima")
    old.window.area.page.insertPlainText("written before")
    pair(old, new, qtbot)
    assert new.bridge.identity is not None
    assert new.bridge.identity.name == "Ana Lima"
    qtbot.waitUntil(
        lambda: (
            [page.id for page in new.window.sidebar.pages()]
            == [page.id for page in old.window.sidebar.pages()]
        ),
        timeout=WAIT_MS,
    )
    document = new.window.sidebar.pages()[0].id
    new.window.workspace.open_page(document)
    qtbot.waitUntil(
        lambda: (
            new.window.workspace.session is not None
            and new.window.workspace.session.replica.body == "written before"
        ),
        timeout=WAIT_MS,
    )
    press(old.window.sheets.devices, "All devices")
    qtbot.waitUntil(lambda: len(ask(old, qtbot, _devices)) == 2, timeout=WAIT_MS)


def test_a_stolen_device_is_asked_to_delete_everything(
    make_desktop: MakeDesktop, qtbot: QtBot
) -> None:
    old, new = make_desktop("laptop"), make_desktop("desktop")
    write_in(old, qtbot, "Ana Lima")
    old.window.area.page.insertPlainText("secret")
    pair(old, new, qtbot)
    qtbot.waitUntil(lambda: bool(new.window.sidebar.pages()), timeout=WAIT_MS)
    assert new.bridge.identity is not None
    device = new.bridge.identity.device
    sheet = old.window.sheets.devices
    press(sheet, "All devices")
    qtbot.waitUntil(
        lambda: any(
            row.title.text() and "this device" not in row.detail.text() for row in _rows(sheet)
        ),
        timeout=WAIT_MS,
    )
    next(row for row in _rows(sheet) if "this device" not in row.detail.text()).click()
    press(sheet, "Remove …")
    assert "cannot take back" in says(sheet)
    sheet.wish.choose("wipe")
    with qtbot.waitSignal(new.bridge.ended, timeout=2 * WAIT_MS):
        press(sheet, "Remove it")
    assert "That is done" in new.window.area.banners.text("removed")
    assert new.window.sidebar.pages() == []
    views = ask(old, qtbot, _devices)
    assert [view.active for view in views if view.device == device] == [False]
    # The next start says it too.
    new.close()
    again = make_desktop("desktop")
    qtbot.waitUntil(lambda: again.window.onboarding is not None, timeout=WAIT_MS)
    welcome = again.window.onboarding
    assert welcome is not None
    qtbot.waitUntil(lambda: "asked for everything on it" in says(welcome), timeout=WAIT_MS)


def _rows(sheet: QWidget) -> list[RowButton]:
    return [one for one in sheet.findChildren(RowButton) if one.isVisible()]


async def _devices(node: object) -> list[object]:
    return await node.devices()  # type: ignore[attr-defined]


@pytest.mark.parametrize("decliner", ["existing", "new"])
def test_different_digits_end_it_on_both(
    make_desktop: MakeDesktop, qtbot: QtBot, decliner: str
) -> None:
    old, new = make_desktop("laptop"), make_desktop("desktop")
    write_in(old, qtbot, "Ana Lima")
    sheet = start_pairing(new, qtbot)
    code, address = show_code(old, qtbot)
    enter_code(sheet, qtbot, code, address)
    first = old.window.sheets.devices
    for one in (first, sheet):
        qtbot.waitUntil(lambda one=one: "Do both screens" in says(one), timeout=WAIT_MS)
    press(first if decliner == "existing" else sheet, "Different")
    for one in (first, sheet):
        qtbot.waitUntil(lambda one=one: "Not paired" in says(one), timeout=WAIT_MS)
    assert len(ask(old, qtbot, _devices)) == 1
    # Whoever gives up pairing can still begin as somebody of one's own.
    press(sheet, "Close")
    window = new.window
    assert window.onboarding is not None
    window.onboarding.field.setText("Eva")
    window.onboarding.go.click()
    qtbot.waitUntil(lambda: window.workspace.session is not None, timeout=WAIT_MS)


def test_a_wrong_code_is_told(make_desktop: MakeDesktop, qtbot: QtBot) -> None:
    new = make_desktop("desktop")
    sheet = start_pairing(new, qtbot)
    enter_code(sheet, qtbot, "no code at all", "")
    qtbot.waitUntil(sheet.error.isVisible, timeout=WAIT_MS)
    assert sheet.error.text().endswith(".")
    assert sheet.pairing.code.text() == "no code at all"


def test_devices_that_never_meet(
    make_desktop: MakeDesktop, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = make_desktop("laptop"), make_desktop("desktop")
    write_in(old, qtbot, "Ana Lima")
    sheet = start_pairing(new, qtbot)
    pick(sheet, "By files")
    old.window.sheets.open_devices()
    first = old.window.sheets.devices
    qtbot.waitUntil(lambda: "Each has all your groups" in says(first), timeout=WAIT_MS)
    press(first, "Add a device")
    pick(first, "By files")
    chosen = [tmp_path / "offer", None, tmp_path / "no folder" / "offer", tmp_path / "offer"]
    monkeypatch.setattr(first.files, "_ask_save", lambda _name: chosen.pop(0))
    press(first, "Save the offer …")
    qtbot.waitUntil(lambda: "Carry it to the new device" in says(first), timeout=WAIT_MS)
    content = sheet.files.read(tmp_path / "offer")
    assert content is not None
    # Whoever does not save another offer keeps the one that was saved.
    press(first, "Save the offer …")
    press(first, "Save the offer …")
    qtbot.waitUntil(lambda: "cannot be written" in says(first), timeout=WAIT_MS)
    # Nor does one that the disk does not take, although it was to replace the file.
    first.files._begin_existing()
    with full_disk():
        press(first, "Save the offer …")
        qtbot.waitUntil(lambda: "No space left" in says(first), timeout=WAIT_MS)
    assert [path.name for path in tmp_path.iterdir() if "offer" in path.name] == ["offer"]
    assert sheet.files.read(tmp_path / "offer") == content
    sheet.files.take_offer(content)
    qtbot.waitUntil(lambda: "Carry the request" in says(sheet), timeout=WAIT_MS)
    digits = next(line for line in says(sheet).split("\n") if line.replace(" ", "").isdigit())
    requests: list[bytes] = []
    new.bridge.ask_pairing(
        lambda pairs: pairs.device_files.request(content),
        lambda made: requests.append(made.content),
    )
    qtbot.waitUntil(lambda: bool(requests), timeout=WAIT_MS)
    first.files.take_request(requests[0])
    qtbot.waitUntil(lambda: "wants to become yours" in says(first), timeout=WAIT_MS)
    assert digits
    press(first, "They are the same")
    qtbot.waitUntil(lambda: "Carry the response" in says(first), timeout=WAIT_MS)
    # Closed without saving: the same request, opened again, gives the response after all.
    press(first, "Done")
    first.files.take_request(requests[0])
    qtbot.waitUntil(lambda: "wants to become yours" in says(first), timeout=WAIT_MS)
    press(first, "They are the same")
    qtbot.waitUntil(lambda: "Carry the response" in says(first), timeout=WAIT_MS)
    monkeypatch.setattr(first.files, "_ask_save", lambda _name: tmp_path / "response")
    press(first, "Save the response …")
    assert len(ask(old, qtbot, _devices)) == 2
    response = sheet.files.read(tmp_path / "response")
    assert response is not None
    sheet.files.take_response(response)
    qtbot.waitUntil(lambda: "Did the other device" in says(sheet), timeout=WAIT_MS)
    press(sheet, "They are the same")
    qtbot.waitUntil(lambda: new.bridge.identity is not None, timeout=WAIT_MS)
    assert new.bridge.identity is not None
    assert new.bridge.identity.name == "Ana Lima"


def test_two_identities_become_one(make_desktop: MakeDesktop, qtbot: QtBot) -> None:
    old, other = make_desktop("laptop"), make_desktop("desktop")
    write_in(old, qtbot, "Ana Lima")
    write_in(other, qtbot, "Ana at work")
    assert old.bridge.identity is not None
    code, address = show_code(old, qtbot)
    sheet = other.window.sheets.devices
    other.window.sheets.open_devices()
    qtbot.waitUntil(lambda: "Each has all your groups" in says(sheet), timeout=WAIT_MS)
    press(sheet, "Make this one of another identity’s devices …")
    pick(sheet, "Enter the code")
    sheet.merging.code.setText(code)
    sheet.merging.address.setText(address)
    sheet.merging.connect_button.click()
    first = old.window.sheets.devices
    for one in (first, sheet):
        qtbot.waitUntil(lambda one=one: "Do both screens" in says(one), timeout=WAIT_MS)
    assert "has an identity already" in says(sheet)
    press(first, "They are the same")
    press(sheet, "They are the same: merge")
    qtbot.waitUntil(lambda: "One identity" in says(sheet), timeout=2 * WAIT_MS)
    person = old.bridge.identity.person
    qtbot.waitUntil(
        lambda: (
            other.window.workspace.known.identity is not None
            and other.window.workspace.known.identity.person == person
        ),
        timeout=WAIT_MS,
    )
    # Both have the groups of both.
    qtbot.waitUntil(
        lambda: len([one for one in other.window.workspace.groups if one.member]) == 2,
        timeout=2 * WAIT_MS,
    )
