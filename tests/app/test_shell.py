"""Panes, palette, sidebar rows and sheets."""

from __future__ import annotations

import sys
from random import Random
from types import FrameType
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QAbstractItemModelTester, QTest
from PySide6.QtWidgets import QListView, QWidget
from pytestqt.qtbot import QtBot

from lutra.node.views import DocumentView, GroupView, MemberView
from lutra_app.shell.forms import LinkForm
from lutra_app.shell.known import Known
from lutra_app.shell.palette import Command, Palette, rank
from lutra_app.shell.panes import Panes, Side
from lutra_app.sidebar.rows import PageRows, RowKind, RowsModel, build_rows, steady_order
from lutra_app.sidebar.sidebar import Sidebar
from lutra_app.theme.theme import Theme


def page(number: int, title: str = "", group: bytes = b"g") -> DocumentView:
    return DocumentView(bytes([number]) * 32, group, title, 0, 0)


def group(name: str, identity: bytes = b"g") -> GroupView:
    me = MemberView(
        b"m" * 32, "Ana", "laptop", present=True, me=True, online=True, person=b"p", role="admin"
    )
    return GroupView(identity, name, 0, True, (me,), 0, ready=True, role="admin", profile="archive")


@pytest.fixture
def panes(theme: Theme, qtbot: QtBot) -> Panes:
    made = Panes(theme, QWidget(), QWidget(), QWidget())
    qtbot.addWidget(made)
    made.resize(1200, 700)
    made.show()
    return made


@pytest.mark.parametrize("width", [480, 700, 1000, 1920, 3840])
def test_the_page_keeps_its_room(panes: Panes, width: int) -> None:
    panes.resize(width, 700)
    panes.show_pane(Side.RIGHT, True)
    assert panes.page.width() >= min(width, 440)
    panes.show_pane(Side.LEFT, True)
    assert panes.page.width() >= min(width, 440)


def test_a_narrow_window_floats_the_sidebar(panes: Panes) -> None:
    assert panes.is_shown(Side.LEFT)
    panes.resize(480, 700)
    assert not panes.is_shown(Side.LEFT)
    assert panes.page.width() == 480
    panes.toggle(Side.LEFT)
    assert panes.is_floating(Side.LEFT)
    assert panes.page.width() == 480
    panes.dismiss()
    assert not panes.is_shown(Side.LEFT)
    panes.resize(1200, 700)
    assert panes.is_shown(Side.LEFT)
    assert panes.page.width() < 1200


def test_rank() -> None:
    assert rank("riv", "River") == 0
    assert rank("riv sum", "Summer on the river") == 1
    assert rank("ummer", "Summer") == 2
    assert rank("lake", "Summer on the river") is None


def test_palette_by_keyboard(theme: Theme, qtbot: QtBot) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    window.resize(800, 600)
    window.show()
    ran: list[str] = []
    palette = Palette(theme, window)
    texts = ("Summer on the river", "River guide", "New page")
    palette.ask([Command(text, "file-text", lambda text=text: ran.append(text)) for text in texts])
    field = window.focusWidget()
    assert field is not None
    QTest.keyClicks(field, "river")
    assert palette.found() == ["River guide", "Summer on the river"]
    QTest.keyClick(field, Qt.Key.Key_Down)
    QTest.keyClick(field, Qt.Key.Key_Return)
    assert ran == ["Summer on the river"]
    assert not palette.isVisible()


def test_sheet_closes_on_escape_and_says_what_went_wrong(theme: Theme, qtbot: QtBot) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    window.resize(500, 600)
    window.show()
    asked: list[str] = []
    form = LinkForm(theme, window, asked.append)
    form.ask()
    QTest.keyClicks(form.field, "abcd-efgh")
    QTest.keyClick(form.field, Qt.Key.Key_Return)
    assert asked == ["abcd-efgh"]
    form.set_busy("Looking …")
    assert not form.field.isEnabled()
    form.fail("Nobody was found.")
    assert form.error.isVisible()
    assert form.field.text() == "abcd-efgh"
    QTest.keyClick(form.field, Qt.Key.Key_Escape)
    assert not form.isVisible()


def test_rows() -> None:
    first, second = group("Choir", b"1"), group("Kitchen", b"2")
    rows = build_rows([first, second], {b"1": [page(1, "Songs", b"1")]}, frozenset())
    assert [(row.kind, row.text) for row in rows] == [
        (RowKind.GROUP, "Choir"),
        (RowKind.PAGE, "Songs"),
        (RowKind.GROUP, "Kitchen"),
        (RowKind.HINT, "Write the first page"),
    ]
    folded = build_rows([first], {b"1": [page(1, "Songs", b"1")]}, frozenset((b"1",)))
    assert [row.kind for row in folded] == [RowKind.GROUP]


def test_listed_pages_keep_their_places() -> None:
    before = [page(number).id for number in (1, 2, 3)]
    now = [page(3), page(4), page(1), page(2)]
    assert [item.id[0] for item in steady_order(before, now)] == [4, 1, 2, 3]


def test_the_model_tells_only_what_changed(qtbot: QtBot, theme: Theme) -> None:
    model = RowsModel(theme)
    told: list[tuple[str, int, int]] = []
    model.rowsInserted.connect(lambda _, a, b: told.append(("in", a, b)))
    model.rowsRemoved.connect(lambda _, a, b: told.append(("out", a, b)))
    model.dataChanged.connect(lambda a, b: told.append(("data", a.row(), b.row())))
    choir = [group("Choir")]
    model.show_rows(build_rows(choir, {b"g": [page(1, "a"), page(2, "b")]}, frozenset()))
    told.clear()
    model.show_rows(build_rows(choir, {b"g": [page(1, "a"), page(2, "c")]}, frozenset()))
    assert told == [("data", 2, 2)]
    told.clear()
    rows = build_rows(choir, {b"g": [page(3, "n"), page(1, "a"), page(2, "c")]}, frozenset())
    model.show_rows(rows)
    assert told == [("in", 1, 1)]
    assert model.rows == rows


def test_the_model_keeps_to_what_views_rely_on(qtbot: QtBot, theme: Theme, qtlog: Any) -> None:
    """Qt's own check of models warns where rows are not yet, or no more, as announced."""
    model = RowsModel(theme)
    modes = QAbstractItemModelTester.FailureReportingMode
    QAbstractItemModelTester(model, modes.Warning, model)
    pages = [page(number, f"Page {number}") for number in range(30)]
    chance = Random(5)
    for _ in range(60):
        listed = sorted(chance.sample(range(30), chance.randrange(12)))
        rows = build_rows([group("Choir")], {b"g": [pages[at] for at in listed]}, frozenset())
        model.show_rows(rows)
        shown = [model.index(at).data() for at in range(model.rowCount())]
        assert shown == [row.text for row in rows]
    model.deleteLater()
    assert [record.message for record in qtlog.records] == []


def test_the_keyboard_stays_where_it_is_when_pages_come(theme: Theme, qtbot: QtBot) -> None:
    sidebar = Sidebar(theme)
    qtbot.addWidget(sidebar)
    sidebar.show()
    pages = [page(number, f"Page {number}") for number in range(9)]
    choir = Known((group("Choir"),))
    sidebar.show_known(choir, {b"g": pages})
    sidebar.select(pages[3].id)
    sidebar.focus_list()
    view = sidebar.findChild(QListView)
    assert view is not None
    QTest.keyClick(view, Qt.Key.Key_Down)
    QTest.keyClick(view, Qt.Key.Key_Down)
    wanted: list[bytes] = []
    sidebar.page_wanted.connect(wanted.append)
    sidebar.show_known(choir, {b"g": [page(20, "New"), *pages]})
    QTest.keyClick(view, Qt.Key.Key_Return)
    assert wanted == [pages[5].id]
    # What is marked is the page that is open, until another one is.
    assert [index.data() for index in view.selectedIndexes()] == ["Page 3"]
    sidebar.select(pages[5].id)
    assert [index.data() for index in view.selectedIndexes()] == ["Page 5"]


def test_a_group_is_folded_and_unfolded_by_keyboard(theme: Theme, qtbot: QtBot) -> None:
    sidebar = Sidebar(theme)
    qtbot.addWidget(sidebar)
    sidebar.show()
    first, second = group("Choir", b"1"), group("Kitchen", b"2")
    pages = {b"1": [page(1, "Songs", b"1")], b"2": [page(2, "Bread", b"2"), page(3, "", b"2")]}
    sidebar.show_known(Known((first, second)), pages)
    sidebar.select(pages[b"1"][0].id)
    sidebar.focus_list()
    view = sidebar.findChild(QListView)
    assert view is not None
    QTest.keyClick(view, Qt.Key.Key_Down)
    before = sidebar.rows()
    for listed in (3, 5, 3):
        QTest.keyClick(view, Qt.Key.Key_Return)
        assert len(sidebar.rows()) == listed
        assert view.currentIndex().row() == 2
        assert [index.data() for index in view.selectedIndexes()] == ["Songs"]
    QTest.keyClick(view, Qt.Key.Key_Return)
    assert sidebar.rows() == before


def test_a_list_read_again_makes_rows_only_of_what_changed() -> None:
    made = PageRows()
    choir = [group("Choir")]
    pages = [page(number, f"Page {number}") for number in range(1, 100)]
    before = build_rows(choir, {b"g": pages}, frozenset(), made=made)
    # What the node reads anew is equal, not the same.
    pages = [page(number, f"Page {number}") for number in range(1, 100)]
    pages[7] = page(8, "Other")
    after = build_rows(choir, {b"g": pages}, frozenset(), made=made)
    changed = [new for old, new in zip(before[1:], after[1:], strict=True) if new is not old]
    assert [row.text for row in changed] == ["Other"]
    made.keep({b"g": pages[:2]})
    assert build_rows(choir, {b"g": pages}, frozenset(), made=made) == after


def test_rows_are_laid_out_without_asking_for_each_one(qtbot: QtBot, theme: Theme) -> None:
    """Each question may wait for a busy engine: a thousand of them stop the window."""
    asked: list[str] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_name in ("data", "flags", "sizeHint", "paint"):
            asked.append(frame.f_code.co_name)

    sidebar = Sidebar(theme)
    qtbot.addWidget(sidebar)
    sidebar.resize(260, 600)
    sidebar.show()
    pages = [page(number, f"Page {number}") for number in range(250)]
    sys.setprofile(note)
    try:
        sidebar.show_known(Known((group("Choir"),)), {b"g": pages})
        qtbot.waitUntil(lambda: "paint" in asked)
    finally:
        sys.setprofile(None)
    assert len(sidebar.rows()) == 251
    assert len(asked) < 100
