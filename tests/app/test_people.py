"""People of a group: verifying, roles, removing with its preview, leaving."""

from __future__ import annotations

from pytestqt.qtbot import QtBot

from app.conftest import WAIT_MS, MakeDesktop, ask, buttons, press, says, write_in
from app.test_desktop import share
from app.test_recovery import make_kit
from lutra_app.main import Desktop
from lutra_app.people.person_sheet import PersonSheet


def open_person(desktop: Desktop, qtbot: QtBot, name: str) -> PersonSheet:
    panel = desktop.window.drawer.people
    qtbot.waitUntil(lambda: panel.row(name) is not None, timeout=WAIT_MS)
    row = panel.row(name)
    assert row is not None
    row.click()
    sheet = desktop.window.sheets.person
    qtbot.waitUntil(lambda: "Devices" in says(sheet), timeout=WAIT_MS)
    return sheet


def pair_up(make_desktop: MakeDesktop, qtbot: QtBot) -> tuple[Desktop, Desktop]:
    ana, ben = make_desktop("ana"), make_desktop("ben")
    write_in(ana, qtbot, "Ana Lima")
    write_in(ben, qtbot, "Ben Okafor")
    ana.window.area.page.insertPlainText("for both")
    share(ana, ben, qtbot)
    return ana, ben


def test_safety_numbers_are_compared(make_desktop: MakeDesktop, qtbot: QtBot) -> None:
    ana, ben = pair_up(make_desktop, qtbot)
    numbers: list[str] = []
    for desktop, name in ((ana, "Ben Okafor"), (ben, "Ana Lima")):
        sheet = open_person(desktop, qtbot, name)
        assert "Not verified" in says(sheet)
        press(sheet, "Compare safety numbers")
        qtbot.waitUntil(lambda sheet=sheet: "They are the same" in buttons(sheet), timeout=WAIT_MS)
        digits = [line for line in says(sheet).split("\n") if line.isdigit() and len(line) == 5]
        assert len(digits) == 12
        numbers.append("".join(digits))
    assert numbers[0] == numbers[1]
    sheet = ana.window.sheets.person
    press(sheet, "They are the same")
    qtbot.waitUntil(lambda: "Verified" in says(sheet), timeout=WAIT_MS)
    row = ana.window.drawer.people.row("Ben Okafor")
    assert row is not None
    qtbot.waitUntil(
        lambda: (
            "verified"
            in str(getattr(ana.window.drawer.people.row("Ben Okafor"), "accessibleName", str)())
        ),
        timeout=WAIT_MS,
    )
    # The other one types it; a wrong number is refused.
    other = ben.window.sheets.person
    press(other, "They differ")
    assert "Do not verify" in says(other)
    press(other, "Back")


def test_changed_keys_are_said_loudly(make_desktop: MakeDesktop, qtbot: QtBot) -> None:
    ana, ben = pair_up(make_desktop, qtbot)
    sheet = open_person(ana, qtbot, "Ben Okafor")
    press(sheet, "Compare safety numbers")
    qtbot.waitUntil(lambda: "They are the same" in buttons(sheet), timeout=WAIT_MS)
    press(sheet, "They are the same")
    qtbot.waitUntil(lambda: "Verified" in says(sheet), timeout=WAIT_MS)
    sheet.close_sheet()
    banners = ana.window.area.banners
    assert not banners.text("keys")

    # A recovery kit is one more key that can act for its person.
    make_kit(ben, qtbot)
    told = "The keys of Ben Okafor have changed"
    qtbot.waitUntil(lambda: told in banners.text("keys"), timeout=WAIT_MS)
    ana.close()
    again = make_desktop("ana")
    banners = again.window.area.banners
    qtbot.waitUntil(lambda: told in banners.text("keys"), timeout=WAIT_MS)
    banners.button("keys").click()
    sheet = again.window.sheets.person
    qtbot.waitUntil(lambda: "They are the same" in buttons(sheet), timeout=WAIT_MS)
    press(sheet, "They are the same")
    qtbot.waitUntil(lambda: not banners.text("keys"), timeout=WAIT_MS)


def test_roles_are_changed(make_desktop: MakeDesktop, qtbot: QtBot) -> None:
    ana, ben = pair_up(make_desktop, qtbot)
    sheet = open_person(ana, qtbot, "Ben Okafor")
    press(sheet, "Change what Ben Okafor may do")
    sheet.role.choose("reader")
    press(sheet, "Change")
    qtbot.waitUntil(lambda: "Reader" in says(sheet), timeout=WAIT_MS)
    # Ben's page closes for writing, and says why.
    page = ben.window.area.page
    qtbot.waitUntil(page.isReadOnly, timeout=WAIT_MS)
    assert "You are a reader" in ben.window.area.banners.text("standing")
    press(sheet, "Change what Ben Okafor may do")
    sheet.role.choose("writer")
    press(sheet, "Change")
    qtbot.waitUntil(lambda: not page.isReadOnly(), timeout=WAIT_MS)
    assert not ben.window.area.banners.text("standing")


def test_a_person_is_removed_after_a_preview(make_desktop: MakeDesktop, qtbot: QtBot) -> None:
    ana, ben = pair_up(make_desktop, qtbot)
    sheet = open_person(ana, qtbot, "Ben Okafor")
    qtbot.waitUntil(lambda: "Remove from the group …" in buttons(sheet), timeout=WAIT_MS)
    press(sheet, "Remove from the group …")
    qtbot.waitUntil(lambda: "What Ben Okafor keeps" in says(sheet), timeout=WAIT_MS)
    assert "1 page is in the group" in says(sheet)
    assert "From when you are protected" in says(sheet)
    press(sheet, "Remove")
    qtbot.waitUntil(lambda: "Ben Okafor is out" in says(sheet), timeout=WAIT_MS)
    assert "keys Ben Okafor does not get" in says(sheet)
    # Ben's window says what has happened, and by whom; the page stays to be read.
    standing = ben.window.area.banners
    qtbot.waitUntil(
        lambda: "Ana Lima removed you" in standing.text("standing"), timeout=2 * WAIT_MS
    )
    page = ben.window.area.page
    assert page.isReadOnly()
    assert page.toPlainText() == "for both"
    press(sheet, "Undo: add again")
    qtbot.waitUntil(lambda: "The removal is undone" in says(sheet), timeout=WAIT_MS)
    people = ana.window.drawer.people
    qtbot.waitUntil(lambda: people.row("Ben Okafor") is not None, timeout=WAIT_MS)
    # Whoever was told hears of the undoing too.
    qtbot.waitUntil(lambda: not standing.text("standing"), timeout=2 * WAIT_MS)
    qtbot.waitUntil(lambda: not page.isReadOnly(), timeout=WAIT_MS)


def test_leaving_and_who_came_and_went(make_desktop: MakeDesktop, qtbot: QtBot) -> None:
    ana, ben = pair_up(make_desktop, qtbot)
    # The only admin cannot leave; the sentence says what to do.
    ana.window.sheets.open_group()
    sheet = ana.window.sheets.group
    press(sheet, "Leave the group …")
    assert "You are its only admin" in says(sheet)
    press(sheet, "Leave")
    qtbot.waitUntil(sheet.error.isVisible, timeout=WAIT_MS)
    assert "admin" in sheet.error.text()
    sheet.close_sheet()
    ben.window.sheets.open_group()
    other = ben.window.sheets.group
    press(other, "Leave the group …")
    press(other, "Leave")
    qtbot.waitUntil(lambda: not other.isVisible(), timeout=WAIT_MS)
    qtbot.waitUntil(
        lambda: "You have left" in ben.window.area.banners.text("standing"), timeout=WAIT_MS
    )
    assert ben.window.area.page.isReadOnly()
    qtbot.waitUntil(lambda: ana.window.drawer.people.row("Ben Okafor") is None, timeout=WAIT_MS)
    ana.window.sheets.open_group()
    press(sheet, "Who came and went")
    qtbot.waitUntil(lambda: "Ben Okafor left" in says(sheet), timeout=WAIT_MS)
    assert "Ana Lima added Ben Okafor as writer" in says(sheet)


def test_what_is_refused_is_kept(make_desktop: MakeDesktop, qtbot: QtBot) -> None:
    ana, ben = pair_up(make_desktop, qtbot)
    group = ana.window.workspace.group
    assert group is not None
    member = next(one for one in group.members if not one.me) if len(group.members) > 1 else None
    assert ben.bridge.identity is not None
    person = member.person if member is not None else ben.bridge.identity.person
    page = ben.window.area.page
    # The node refuses before the window knows: as if the words crossed the news.
    page.set_frozen(False)
    from lutra.groups.contents import Role

    ask(ana, qtbot, lambda node: node.set_role(group.id, person, Role.READER))
    qtbot.waitUntil(page.isReadOnly, timeout=WAIT_MS)
    page.set_frozen(False)
    page.moveCursor(page.textCursor().MoveOperation.End)
    page.insertPlainText(" and mine")
    banners = ben.window.area.banners
    qtbot.waitUntil(lambda: "could not be saved" in banners.text("refused"), timeout=WAIT_MS)
    assert page.isReadOnly()
    assert page.toPlainText() == "for both and mine"
    banners.button("refused").click()

    def kept() -> bool:
        titles = {one.title: one.id for one in ben.window.sidebar.pages()}
        return any("(your copy)" in title for title in titles)

    qtbot.waitUntil(kept, timeout=WAIT_MS)
    copy = next(one for one in ben.window.sidebar.pages() if "(your copy)" in one.title)
    assert ask(ben, qtbot, lambda node: node.text(copy.id)) == "for both and mine"
    qtbot.waitUntil(
        lambda: (
            ben.window.workspace.session is not None
            and ben.window.workspace.session.replica.body == "for both"
        ),
        timeout=WAIT_MS,
    )
