"""A second device: by code, by files, and everything that can be said no to."""

from __future__ import annotations

from pathlib import Path

from pytestqt.qtbot import QtBot

from app.conftest import WAIT_MS, MakeDesktop, ask, press, says, write_in
from lutra_app.main import Desktop
from lutra_app.onboarding.pair import PairThisDevice


def start_pairing(new: Desktop, qtbot: QtBot) -> PairThisDevice:
    window = new.window
    qtbot.waitUntil(lambda: window.onboarding is not None, timeout=WAIT_MS)
    assert window.onboarding is not None
    press(window.onboarding, "I have Lutra on another device")
    sheet = window.sheets.pair_here
    qtbot.waitUntil(lambda: "Enter the code" in says(sheet), timeout=WAIT_MS)
    return sheet


def pick(sheet: object, text: str) -> None:
    """Press the row that begins with a text."""
    from PySide6.QtWidgets import QWidget

    from lutra_app.theme.parts import RowButton

    assert isinstance(sheet, QWidget)
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


def test_a_second_device_gets_everything(make_desktop: MakeDesktop, qtbot: QtBot) -> None:
    old, new = make_desktop("laptop"), make_desktop("desktop")
    write_in(old, qtbot, "Ana Lima")
    old.window.area.page.insertPlainText("written before")
    sheet = start_pairing(new, qtbot)
    code, address = show_code(old, qtbot)
    assert code in says(old.window.sheets.devices)
    enter_code(sheet, qtbot, code, address)
    first = old.window.sheets.devices
    for one in (first, sheet):
        qtbot.waitUntil(lambda one=one: "Do both screens" in says(one), timeout=WAIT_MS)
    view = ask(old, qtbot, _view)
    assert view.comparison in says(first)
    assert view.comparison in says(sheet)
    press(first, "They are the same")
    press(sheet, "They are the same")
    qtbot.waitUntil(lambda: new.bridge.identity is not None, timeout=WAIT_MS)
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
    qtbot.waitUntil(lambda: "one of your devices now" in says(first), timeout=WAIT_MS)
    press(first, "All devices")
    qtbot.waitUntil(lambda: len(ask(old, qtbot, _devices)) == 2, timeout=WAIT_MS)


async def _devices(node: object) -> list[object]:
    return await node.devices()  # type: ignore[attr-defined]


def test_different_digits_end_it_on_both(make_desktop: MakeDesktop, qtbot: QtBot) -> None:
    old, new = make_desktop("laptop"), make_desktop("desktop")
    write_in(old, qtbot, "Ana Lima")
    sheet = start_pairing(new, qtbot)
    code, address = show_code(old, qtbot)
    enter_code(sheet, qtbot, code, address)
    first = old.window.sheets.devices
    for one in (first, sheet):
        qtbot.waitUntil(lambda one=one: "Do both screens" in says(one), timeout=WAIT_MS)
    press(sheet, "Different")
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


def test_devices_that_never_meet(make_desktop: MakeDesktop, qtbot: QtBot, tmp_path: Path) -> None:
    old, new = make_desktop("laptop"), make_desktop("desktop")
    write_in(old, qtbot, "Ana Lima")
    sheet = start_pairing(new, qtbot)
    pick(sheet, "By files")
    old.window.sheets.open_devices()
    first = old.window.sheets.devices
    qtbot.waitUntil(lambda: "Each has all your groups" in says(first), timeout=WAIT_MS)
    press(first, "Add a device")
    pick(first, "By files")
    offer = ask(old, qtbot, lambda node: node.device_files.offer())
    assert first.files.write(tmp_path / "offer", offer.content)
    content = sheet.files.read(tmp_path / "offer")
    assert content is not None
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
    responses: list[bytes] = []
    old.bridge.ask_pairing(
        lambda pairs: pairs.device_files.respond(requests[0], same_digits=True), responses.append
    )
    qtbot.waitUntil(lambda: bool(responses), timeout=WAIT_MS)
    sheet.files.take_response(responses[0])
    qtbot.waitUntil(lambda: "Did the other device" in says(sheet), timeout=WAIT_MS)
    press(sheet, "They are the same")
    qtbot.waitUntil(lambda: new.bridge.identity is not None, timeout=WAIT_MS)
    assert new.bridge.identity is not None
    assert new.bridge.identity.name == "Ana Lima"
