"""Makes the pictures people look at: `python tests/app/screenshots.py [FOLDER [sheets]]`.

Two real desktops with real nodes share a page over the loopback interface; every state worth
looking at is written as a PNG. Works without a display.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
os.environ.setdefault("QT_SCALE_FACTOR", "2")

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QFocusEvent, QPainter, QPixmap
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QWidget

from lutra.groups.contents import Role
from lutra.node.options import NodeOptions
from lutra.node.views import InviteView
from lutra_app.main import Desktop, make_application
from lutra_app.shell.panes import Side
from lutra_app.theme.tokens import HIGH_CONTRAST_DARK, Colors

PATIENCE_SECONDS = 30.0
TEXT = """We meet at the boat house on Friday at six. Whoever comes later finds the key under the \
third stone, as always. Everybody writes here, also without a connection.
## What to bring
- Tent and **two** ropes
A lamp that floats
Something to share by the fire

## Still open
[x] Ask Ben for the canoe
Buy `M8` screws for the rack
Tell the neighbours

> The river is everywhere at the same time.

"""


def wait_until(condition: Callable[[], object]) -> None:
    """Let Qt work until the condition holds.

    Raises:
        TimeoutError: it does not hold in time.
    """
    until = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError("the desktop did not get where the picture is taken")
        QApplication.processEvents()
        time.sleep(0.005)


def settle(seconds: float = 0.4) -> None:
    until = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > until)


class Studio:
    """Takes the pictures."""

    def __init__(self, application: QApplication, profiles: Path, folder: Path) -> None:
        self._application, self._profiles, self._folder = application, profiles, folder
        folder.mkdir(parents=True, exist_ok=True)

    def desktop(self, name: str) -> Desktop:
        options = NodeOptions(listen_host="127.0.0.1", discovery=False)
        desktop = Desktop(self._profiles / name, options, application=self._application)
        desktop.theme.choose("light")
        desktop.show()
        return desktop

    def take(self, name: str, widget: QWidget) -> None:
        settle()
        picture = widget.grab()
        path = self._folder / f"{name}.png"
        picture.save(str(path))
        sys.stdout.write(f"{path}\n")

    def take_both(self, name: str, left: QWidget, right: QWidget) -> None:
        settle()
        pictures = [left.grab(), right.grab()]
        ratio = pictures[0].devicePixelRatio()
        gap = round(24 * ratio)
        width = sum(picture.width() for picture in pictures) + 3 * gap
        height = max(picture.height() for picture in pictures) + 2 * gap
        sheet = QPixmap(width, height)
        sheet.fill(Qt.GlobalColor.lightGray)
        painter = QPainter(sheet)
        x = gap
        for picture in pictures:
            picture.setDevicePixelRatio(1.0)
            painter.drawPixmap(x, gap, picture)
            x += picture.width() + gap
        painter.end()
        path = self._folder / f"{name}.png"
        sheet.save(str(path))
        sys.stdout.write(f"{path}\n")


def begin(desktop: Desktop, name: str) -> None:
    wait_until(lambda: desktop.window.onboarding is not None)
    screen = desktop.window.onboarding
    assert screen is not None
    screen.field.setText(name)
    screen.go.click()
    wait_until(lambda: desktop.window.workspace.session is not None)


def front(desktop: Desktop) -> None:
    """Give the window the keyboard, as the person's click would."""
    desktop.window.activateWindow()
    wait_until(desktop.window.isActiveWindow)


def write(desktop: Desktop, text: str) -> None:
    front(desktop)
    # Without a display no window keeps the keyboard: the title would go on showing its caret.
    QApplication.sendEvent(desktop.window.area.page.title, QFocusEvent(QEvent.Type.FocusOut))
    desktop.window.area.page.setFocus()
    for character in text:
        if character == "\n":
            QTest.keyClick(desktop.window.area.page, Qt.Key.Key_Return)
        else:
            QTest.keyClick(desktop.window.area.page, character)


def text_of(desktop: Desktop) -> str:
    session = desktop.window.workspace.session
    return session.replica.body if session is not None else ""


def share(first: Desktop, second: Desktop) -> None:
    invites: list[InviteView] = []
    group = first.window.workspace.group
    assert group is not None
    first.bridge.ask(lambda node: node.invite(group.id), invites.append)
    wait_until(lambda: invites)
    second.window.sheets.join.begin(invites[0].link)
    second.window.sheets.join.go.click()
    wait_until(lambda: not second.window.sheets.join.isVisible())
    document = first.window.workspace.current
    assert document is not None
    wait_until(lambda: any(page.id == document for page in second.window.sidebar.pages()))
    second.window.workspace.open_page(document)
    wait_until(lambda: text_of(second) == text_of(first))


def main(folder: Path, only: str = "") -> None:
    application = make_application()
    with tempfile.TemporaryDirectory() as profiles:
        studio = Studio(application, Path(profiles), folder)
        ana, ben = studio.desktop("ana"), studio.desktop("ben")
        try:
            if only == "sheets":
                pictures_of_sheets(studio, ana, ben)
            else:
                pictures_of(studio, ana, ben)
        finally:
            ana.close()
            ben.close()


def pictures_of(studio: Studio, ana: Desktop, ben: Desktop) -> None:
    window = ana.window
    wait_until(lambda: window.onboarding is not None)
    front(ana)
    studio.take("01-onboarding", window)
    begin(ana, "Ana Lima")
    studio.take("02-first-page", window)
    ana.bridge.ask(lambda node: node.create_group("River people"), window.workspace.enter_new_group)
    wait_until(lambda: window.workspace.group and len(window.workspace.groups) == 2)
    settle()
    QTest.keyClicks(window.area.page.title, "Summer on the river")
    QTest.keyClick(window.area.page.title, Qt.Key.Key_Return)
    write(ana, TEXT)
    settle(2.0)
    studio.take("03-light", window)
    page = window.area.page
    cursor = page.textCursor()
    cursor.setPosition(text_of(ana).index("the key"))
    cursor.movePosition(cursor.MoveOperation.EndOfWord, cursor.MoveMode.KeepAnchor, 1)
    cursor.movePosition(cursor.MoveOperation.NextWord, cursor.MoveMode.KeepAnchor, 4)
    page.setTextCursor(cursor)
    studio.take("03-selection", window)
    cursor.clearSelection()
    page.setTextCursor(cursor)
    front(ben)
    begin(ben, "Ben Okafor")
    share(ana, ben)
    collaborate(studio, ana, ben)
    narrow_and_more(studio, ana)


def collaborate(studio: Studio, ana: Desktop, ben: Desktop) -> None:
    ana.window.resize(760, 720)
    ben.window.resize(760, 720)
    settle()
    page = ben.window.area.page
    cursor = page.textCursor()
    start = text_of(ben).index("Whoever comes")
    cursor.setPosition(start)
    cursor.setPosition(start + 19, cursor.MoveMode.KeepAnchor)
    page.setTextCursor(cursor)
    place = ana.window.area.page.textCursor()
    place.setPosition(text_of(ana).index("A lamp") + 18)
    ana.window.area.page.setTextCursor(place)
    write(ana, " well")
    wait_until(lambda: text_of(ana) == text_of(ben))
    for desktop in (ana, ben):
        desktop.window.area.page.verticalScrollBar().setValue(0)
        wait_until(lambda desktop=desktop: desktop.window.area.page.carets.carets())
    studio.take_both("04-together", ana.window, ben.window)


def narrow_and_more(studio: Studio, ana: Desktop) -> None:
    window = ana.window
    front(ana)
    window.resize(480, 800)
    studio.take("05-narrow", window)
    window.panes.show_pane(Side.LEFT, True)
    studio.take("06-narrow-sidebar", window)
    window.panes.dismiss()
    window.resize(1280, 800)
    settle()
    window.panes.show_pane(Side.RIGHT, True)
    studio.take("07-people", window)
    ana.theme.choose("dark")
    studio.take("08-dark", window)
    window.drawer.show_tab(1)
    studio.take("09-history-dark", window)
    themed(studio, ana, HIGH_CONTRAST_DARK)
    ana.theme.choose("light")
    ana.theme.choose("system")
    window.panes.show_pane(Side.RIGHT, False)
    window.show_palette()
    studio.take("11-palette", window)
    window.sheets.close()
    sheets_of(studio, ana)
    window.workspace.close()
    window.area.show_empty()
    studio.take("13-nothing-open", window)


def pictures_of_sheets(studio: Studio, ana: Desktop, ben: Desktop) -> None:
    begin(ana, "Ana Lima")
    ana.window.area.page.title.insertPlainText("Summer on the river")
    ana.window.area.page.insertPlainText("We meet at the boat house on Friday at six.")
    begin(ben, "Ben Okafor")
    share(ana, ben)
    ana.window.resize(1280, 800)
    ana.window.panes.show_pane(Side.RIGHT, True)
    sheets_of(studio, ana)
    more_sheets_of(studio, ana, ben)


def sheets_of(studio: Studio, ana: Desktop) -> None:
    """Draw each sheet in light, dark and narrow."""
    window = ana.window
    sheets = window.sheets
    people = [one for one in window.workspace.known.people.values() if not one.me]
    group = window.workspace.group
    assert group is not None

    def person() -> None:
        sheets.open_person(group.id, people[0].id)

    def verify() -> None:
        sheets.open_person(group.id, people[0].id, verify=True)

    def removal() -> None:
        person()
        wait_until(lambda: sheets.person.member is not None)
        settle()
        assert sheets.person.member is not None
        sheets.person.removal.begin(group.id, sheets.person.member.person)

    def invite() -> None:
        sheets.open_invite()
        sheets.invite.make.click()
        wait_until(lambda: sheets.invite.shown is not None)

    def pairing() -> None:
        sheets.open_devices()
        settle()
        sheets.devices.ask_how()
        sheets.devices.pairing.begin(show=True)

    def kit() -> None:
        sheets.open_kits()
        settle()
        press(sheets.kits, "Make a kit")
        wait_until(lambda: sheets.kits.kit is not None)

    def ways() -> None:
        sheets.open_devices()
        settle()
        sheets.devices.ask_how()

    shots: list[tuple[str, Callable[[], None]]] = [
        ("person", person),
        ("verify", verify),
        ("removal", removal),
        ("group", sheets.open_group),
        ("new-group", sheets.open_new_group),
        ("invite-form", sheets.open_invite),
        ("invite", invite),
        ("join", sheets.open_join),
        ("devices", sheets.open_devices),
        ("pair-ways", ways),
        ("pair-code", pairing),
        ("kits", sheets.open_kits),
        ("kit", kit),
        ("bundles", sheets.open_bundles),
    ]
    for name, show in shots:
        for look in ("light", "dark", "narrow"):
            ana.theme.choose("dark" if look == "dark" else "light")
            window.resize(*((480, 800) if look == "narrow" else (1280, 800)))
            show()
            studio.take(f"20-{name}-{look}", window)
            if name == "pair-code":
                sheets.devices.pairing.cancel()
                settle()
            sheets.close()
    ana.theme.choose("light")
    window.resize(1280, 800)


def more_sheets_of(studio: Studio, ana: Desktop, ben: Desktop) -> None:
    """Draw what takes two: requests, digits, banners."""
    window = ana.window
    group = window.workspace.group
    assert group is not None
    invites: list[InviteView] = []
    eva = studio.desktop("eva")
    try:
        wait_until(lambda: eva.window.onboarding is not None)
        eva.window.resize(760, 760)
        studio.take("30-onboarding", eva.window)
        eva.window.sheets.restore.begin("Eva")
        eva.window.sheets.restore.words.set_text("one two")
        studio.take("30-restore", eva.window)
        eva.window.sheets.close()
        begin(eva, "Eva Brandt")
        ana.bridge.ask(lambda node: node.invite(group.id, by_hand=True), invites.append)
        wait_until(lambda: invites)
        eva.window.sheets.join.begin(invites[0].link)
        eva.window.sheets.join.go.click()
        wait_until(lambda: window.workspace.known.requests)
        studio.take("31-request-banner", window)
        wait_until(lambda: eva.window.workspace.known.joins)
        settle(1.0)
        studio.take("32-waiting", eva.window)
        eva.window.sheets.close()
        studio.take("33-waiting-banner", eva.window)
        for look in ("light", "dark"):
            ana.theme.choose(look)
            window.sheets.open_requests()
            studio.take(f"34-requests-{look}", window)
            window.sheets.close()
        ana.theme.choose("light")
    finally:
        eva.close()
    assert ben.bridge.identity is not None
    person = ben.bridge.identity.person
    ana.bridge.ask(lambda node: node.set_role(group.id, person, Role.READER))
    wait_until(ben.window.area.page.isReadOnly)
    ben.window.resize(760, 720)
    studio.take("35-reader", ben.window)
    ben.window.resize(480, 720)
    studio.take("36-reader-narrow", ben.window)
    ana.theme.apply(HIGH_CONTRAST_DARK)
    window.sheets.open_devices()
    studio.take("37-devices-contrast", window)
    window.sheets.open_invite()
    studio.take("38-invite-contrast", window)
    window.sheets.close()
    ana.theme.choose("light")


def press(widget: QWidget, text: str) -> None:
    """Press a button by what it says, once it is there."""

    def found() -> list[QAbstractButton]:
        return [
            one
            for one in widget.findChildren(QAbstractButton)
            if one.isVisible() and one.text() == text
        ]

    wait_until(found)
    found()[0].click()


def themed(studio: Studio, desktop: Desktop, colors: Colors) -> None:
    desktop.theme.apply(colors)
    studio.take("10-high-contrast", desktop.window)


if __name__ == "__main__":
    main(
        Path(sys.argv[1] if len(sys.argv) > 1 else "build/screenshots"),
        sys.argv[2] if len(sys.argv) > 2 else "",
    )
