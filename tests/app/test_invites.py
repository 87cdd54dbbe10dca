"""Inviting and joining: by code, by hand, seen by both sides."""

from __future__ import annotations

import pytest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from app.conftest import WAIT_MS, MakeDesktop, ask, buttons, press, says, write_in
from lutra.node.node import Node
from lutra.node.views import InviteView
from lutra_app.main import Desktop
from lutra_app.sidebar.rows import RowKind
from lutra_app.theme.parts import RowButton


def make_invite(desktop: Desktop, qtbot: QtBot, *, by_hand: bool, role: str) -> InviteView:
    window = desktop.window
    qtbot.waitUntil(lambda: window.workspace.group is not None, timeout=WAIT_MS)
    window.sheets.open_invite()
    sheet = window.sheets.invite
    sheet.role.choose(role)
    sheet.approval.choose("by-hand" if by_hand else "automatic")
    sheet.make.click()
    qtbot.waitUntil(lambda: sheet.shown is not None, timeout=WAIT_MS)
    assert sheet.shown is not None
    return sheet.shown


def test_an_invite_with_approval(make_desktop: MakeDesktop, qtbot: QtBot) -> None:
    ana, ben = make_desktop("ana"), make_desktop("ben")
    write_in(ana, qtbot, "Ana Lima")
    write_in(ben, qtbot, "Ben Okafor")
    ana.window.area.page.insertPlainText("for readers")
    invite = make_invite(ana, qtbot, by_hand=True, role="reader")
    assert invite.code in says(ana.window.sheets.invite)
    ana.window.sheets.invite.close_sheet()

    join = ben.window.sheets.join
    join.begin(invite.link)
    join.go.click()
    qtbot.waitUntil(lambda: "Waiting for approval" in says(join), timeout=WAIT_MS)
    banners = ana.window.area.banners
    qtbot.waitUntil(lambda: "Ben Okafor waits" in banners.text("requests"), timeout=WAIT_MS)
    rows = ana.window.sidebar.rows()
    assert [row.waiting for row in rows if row.kind is RowKind.GROUP] == [1]
    digits = ask(ana, qtbot, lambda node: node.requests())[0].comparison
    assert digits in says(join)

    # It survives a restart of whoever waits, and is shown there.
    ben.close()
    again = make_desktop("ben")
    qtbot.waitUntil(lambda: digits in again.window.area.banners.text("joins"), timeout=WAIT_MS)
    banners.button("requests").click()
    requests = ana.window.sheets.requests
    qtbot.waitUntil(lambda: "Ben Okafor" in says(requests), timeout=WAIT_MS)
    press(requests, "The digits are the same: let in")
    group = ana.window.workspace.group
    assert group is not None
    qtbot.waitUntil(
        lambda: again.window.workspace.known.group(group.id) is not None, timeout=2 * WAIT_MS
    )
    document = ana.window.workspace.current
    assert document is not None
    qtbot.waitUntil(
        lambda: any(page.id == document for page in again.window.sidebar.pages()),
        timeout=2 * WAIT_MS,
    )
    again.window.workspace.open_page(document)
    page = again.window.area.page
    qtbot.waitUntil(
        lambda: (
            again.window.workspace.session is not None
            and again.window.workspace.session.replica.body == "for readers"
        ),
        timeout=WAIT_MS,
    )
    # A reader's page can only be read, and says why.
    qtbot.waitUntil(page.isReadOnly, timeout=WAIT_MS)
    qtbot.waitUntil(
        lambda: "You are a reader" in again.window.area.banners.text("standing"), timeout=WAIT_MS
    )
    qtbot.keyClicks(page, "no")
    page.toggle_kind("h1")
    page.toggle_mark("bold")
    qtbot.keyClicks(page.title, "no")
    assert again.window.workspace.session is not None
    assert again.window.workspace.session.replica.body == "for readers"
    assert again.window.workspace.session.replica.title == ""


def test_a_refused_request(make_desktop: MakeDesktop, qtbot: QtBot) -> None:
    ana, ben = make_desktop("ana"), make_desktop("ben")
    write_in(ana, qtbot, "Ana Lima")
    write_in(ben, qtbot, "Ben Okafor")
    invite = make_invite(ana, qtbot, by_hand=True, role="writer")
    join = ben.window.sheets.join
    join.begin(invite.link)
    join.go.click()
    qtbot.waitUntil(lambda: "Waiting for approval" in says(join), timeout=WAIT_MS)
    ana.window.sheets.open_requests()
    requests = ana.window.sheets.requests
    qtbot.waitUntil(lambda: "Ben Okafor" in says(requests), timeout=WAIT_MS)
    press(requests, "Decline")
    qtbot.waitUntil(lambda: "Nobody waits any more" in says(requests), timeout=WAIT_MS)
    banners = ben.window.area.banners
    qtbot.waitUntil(lambda: "did not work" in banners.text("joins"), timeout=WAIT_MS)
    banners.button("joins").click()
    qtbot.waitUntil(lambda: "Forget it" in buttons(join), timeout=WAIT_MS)
    press(join, "Forget it")
    qtbot.waitUntil(lambda: not ask(ben, qtbot, lambda node: node.joins()), timeout=WAIT_MS)


def test_invites_are_listed_and_withdrawn(make_desktop: MakeDesktop, qtbot: QtBot) -> None:
    ana = make_desktop("ana")
    write_in(ana, qtbot, "Ana Lima")
    invite = make_invite(ana, qtbot, by_hand=False, role="admin")
    sheet = ana.window.sheets.invite
    assert invite.role == "admin"
    press(sheet, "Withdraw")
    qtbot.waitUntil(lambda: "None can be used" in says(sheet), timeout=WAIT_MS)
    assert ask(ana, qtbot, lambda node: node.invites())[0].revoked


def test_a_new_group_has_a_history_profile(make_desktop: MakeDesktop, qtbot: QtBot) -> None:
    ana = make_desktop("ana")
    write_in(ana, qtbot, "Ana Lima")
    sheet = ana.window.sheets.new_group
    sheet.begin()
    sheet.field.setText("River people")
    assert sheet.profile is not None
    sheet.profile.choose("join-on")
    sheet.go.click()
    qtbot.waitUntil(lambda: not sheet.isVisible(), timeout=WAIT_MS)
    qtbot.waitUntil(lambda: len(ana.window.workspace.groups) == 2, timeout=WAIT_MS)
    made = next(one for one in ana.window.workspace.groups if one.name == "River people")
    assert made.profile == "join-on"


def row(sheet: QWidget, text: str) -> RowButton | None:
    found = [one for one in sheet.findChildren(RowButton) if one.isVisible()]
    return next((one for one in found if one.title.text() == text), None)


def row_of(sheet: QWidget, qtbot: QtBot, text: str) -> RowButton:
    """Wait for the row that begins with a text."""
    qtbot.waitUntil(lambda: row(sheet, text) is not None, timeout=WAIT_MS)
    found = row(sheet, text)
    assert found is not None
    return found


@pytest.mark.usefixtures("loopback_multicast")
def test_people_nearby(make_desktop: MakeDesktop, qtbot: QtBot) -> None:
    ana, ben = make_desktop("ana", discovery=True), make_desktop("ben", discovery=True)
    write_in(ana, qtbot, "Ana Lima")
    write_in(ben, qtbot, "Ben Okafor")
    qtbot.waitUntil(lambda: ana.window.workspace.group is not None, timeout=WAIT_MS)
    ana.window.sheets.open_invite()
    press(ana.window.sheets.invite, "People nearby")
    qtbot.waitUntil(lambda: "Nobody is seen yet" in says(ana.window.sheets.invite), timeout=WAIT_MS)

    ben.window.sheets.open_join()
    press(ben.window.sheets.join, "Be invited by somebody nearby")
    row_of(ana.window.sheets.invite, qtbot, "Ben Okafor").click()
    invited = row_of(ben.window.sheets.join, qtbot, "Ana Lima invites you")
    invited.click()
    qtbot.waitUntil(lambda: "They are the same" in buttons(ben.window.sheets.join), timeout=WAIT_MS)
    qtbot.waitUntil(
        lambda: not row_of(ana.window.sheets.invite, qtbot, "Ben Okafor").isEnabled(),
        timeout=WAIT_MS,
    )
    digits = ask(ana, qtbot, _digits)
    assert digits in says(ana.window.sheets.invite)
    assert digits in says(ben.window.sheets.join)

    press(ben.window.sheets.join, "They are the same")
    banners = ana.window.area.banners
    qtbot.waitUntil(lambda: "Ben Okafor waits" in banners.text("requests"), timeout=WAIT_MS)
    banners.button("requests").click()
    requests = ana.window.sheets.requests
    qtbot.waitUntil(lambda: "Ben Okafor" in says(requests), timeout=WAIT_MS)
    assert digits in says(requests)
    press(requests, "The digits are the same: let in")
    group = ana.window.workspace.group
    assert group is not None
    qtbot.waitUntil(
        lambda: ben.window.workspace.known.group(group.id) is not None, timeout=2 * WAIT_MS
    )


async def _digits(node: Node) -> str:
    return next(person.comparison for person in node.nearby().people)
