"""Typing on a page: Markdown, lists, input methods, right-to-left, paste, undo, a steady caret."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QMimeData, QPointF, QRectF, Qt
from PySide6.QtGui import QTextCursor, QTextDocument
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QToolButton

from app.editing import DOCUMENT, Editor, snapshot_of
from lutra.documents.delta import utf16_length
from lutra.documents.peers import peer_id
from lutra.documents.replica import Replica
from lutra_app.editor import decoration
from lutra_app.editor.binding import Binding
from lutra_app.editor.models import TitleModel
from lutra_app.editor.pieces import shown
from lutra_app.editor.title import TitleFormats
from lutra_app.theme.theme import Theme

K, M = Qt.Key, Qt.KeyboardModifier
CTRL, SHIFT, ALT = M.ControlModifier, M.ShiftModifier, M.AltModifier


@pytest.mark.parametrize(
    ("typed", "kind"),
    [
        ("# ", "h1"),
        ("## ", "h2"),
        ("### ", "h3"),
        ("- ", "ul"),
        ("* ", "ul"),
        ("1. ", "ol"),
        ("[] ", "check"),
        ("[ ] ", "check"),
        ("[x] ", "checked"),
        ("> ", "quote"),
        ("```", "code"),
    ],
)
def test_markdown_starts_a_line(editor: Editor, typed: str, kind: str) -> None:
    editor.type(typed + "otter")
    assert editor.replica.body == "otter\n"
    assert editor.kinds() == [kind]
    editor.check()


@pytest.mark.parametrize(
    ("typed", "mark", "text"),
    [
        ("a **bold** b", "bold", "bold"),
        ("a *slanted* b", "italic", "slanted"),
        ("a _slanted_ b", "italic", "slanted"),
        ("a ~~gone~~ b", "strike", "gone"),
        ("a `code` b", "code", "code"),
    ],
)
def test_markdown_marks(editor: Editor, typed: str, mark: str, text: str) -> None:
    editor.type(typed)
    assert editor.replica.body == f"a {text} b"
    assert editor.marked(mark) == text
    editor.check()


@pytest.mark.parametrize("typed", ["2 * 3 * 4", "snake_case_name", "a ** b ** c", "x_y_z "])
def test_no_marks_where_none_are_meant(editor: Editor, typed: str) -> None:
    editor.type(typed)
    assert editor.replica.body == typed


def test_lists_go_on_and_end(editor: Editor) -> None:
    editor.type("- one\ntwo\n\nthree")
    assert editor.replica.body == "one\ntwo\nthree\n"
    assert editor.kinds() == ["ul", "ul", ""]


def test_a_ticked_line_is_followed_by_an_unticked_one(editor: Editor) -> None:
    editor.type("[x] done\nnext")
    assert editor.kinds() == ["checked", "check"]


def test_heading_is_followed_by_a_paragraph(editor: Editor) -> None:
    editor.type("# Title\ntext")
    assert editor.replica.body == "Title\ntext"
    assert editor.kinds() == ["h1"]
    editor.check()


def test_splitting_a_heading_keeps_both_halves_headings(editor: Editor) -> None:
    editor.type("# Twohalves")
    editor.put_caret(3)
    editor.type("\n")
    assert editor.kinds() == ["h1", "h1"]


def test_backspace_takes_indent_then_kind_then_the_line(editor: Editor) -> None:
    editor.type("x\n- one")
    editor.key(K.Key_Tab)
    assert editor.replica.body_spans()[-1].attributes == {"block": "ul", "indent": 1}
    editor.key(K.Key_Home)
    for expected in (["", "ul"], ["", ""]):
        editor.key(K.Key_Backspace)
        assert editor.kinds() == expected
    editor.key(K.Key_Backspace)
    assert editor.replica.body == "xone\n"
    editor.check()


def test_code_keeps_what_is_typed(editor: Editor) -> None:
    editor.type("```# not a heading\n- no *list*\n\nafter")
    assert editor.replica.body == "# not a heading\n- no *list*\nafter\n"
    assert editor.kinds() == ["code", "code", ""]


def test_keys_for_marks_and_lines(editor: Editor) -> None:
    editor.type("one two")
    editor.put_caret(0, 3)
    editor.key(K.Key_B, CTRL)
    editor.key(K.Key_I, CTRL)
    editor.key(K.Key_U, CTRL)
    assert editor.marked("bold") == editor.marked("italic") == editor.marked("underline") == "one"
    editor.key(K.Key_B, CTRL)
    assert editor.marked("bold") == ""
    for key, kind in ((K.Key_7, "ol"), (K.Key_8, "ul"), (K.Key_9, "check")):
        editor.key(key, CTRL | SHIFT)
        assert editor.kinds() == [kind]
    editor.key(K.Key_9, CTRL | SHIFT)
    assert editor.kinds() == [""]
    editor.key(K.Key_2, CTRL | ALT)
    assert editor.kinds() == ["h2"]
    editor.check()


def test_bold_for_what_comes_next(editor: Editor) -> None:
    editor.key(K.Key_B, CTRL)
    editor.type("bold")
    editor.key(K.Key_B, CTRL)
    editor.type(" plain")
    assert editor.marked("bold") == "bold"
    editor.check()


def test_check_box_is_ticked_by_a_click(editor: Editor) -> None:
    editor.type("[] task\nother")
    page = editor.page
    area = QRectF(page.viewport().rect())
    offset = QPointF(0, page.verticalScrollBar().value())
    line = next(iter(decoration.visible_lines(page.document(), area, offset)))
    spot = decoration.check_rect(line).center()
    QTest.mouseClick(page.viewport(), Qt.MouseButton.LeftButton, pos=spot)
    assert editor.kinds() == ["checked", "check"]
    QTest.mouseClick(page.viewport(), Qt.MouseButton.LeftButton, pos=spot)
    assert editor.kinds() == ["check", "check"]
    editor.check()


# -- characters ------------------------------------------------------------------------


def test_surrogate_pairs_are_one_character(editor: Editor) -> None:
    editor.type("a😀👩‍👩‍👧b")
    editor.check()
    editor.key(K.Key_Left)
    editor.key(K.Key_Backspace)
    editor.check()
    editor.replica.body.encode("utf-8")
    assert editor.replica.body.startswith("a😀")
    editor.put_caret(1)
    editor.key(K.Key_Delete)
    assert editor.replica.body.startswith("a👩")
    editor.check()


def test_half_a_surrogate_pair_moves_nothing(editor: Editor) -> None:
    editor.type("ab")
    editor.commit("\ud83d")
    editor.type("cd")
    editor.key(K.Key_Backspace)
    assert editor.replica.body == "ab\ufffdc"
    editor.check()


def test_every_character_has_its_place_in_qt() -> None:
    document = QTextDocument()
    cursor = QTextCursor(document)
    moved: list[str] = []
    for number in {*range(0x10000), 0x1FFFE, 0x1FFFF, 0x10FFFF} - {*range(0xD800, 0xE000), 0x0A}:
        for text in (f"{chr(number)}b", f"a{chr(number)}b", chr(number)):
            cursor.select(QTextCursor.SelectionType.Document)
            cursor.insertText(shown(text))
            kept = document.blockCount() == 1 and document.begin().text() == shown(text)
            if not kept or document.characterCount() - 1 != utf16_length(text):
                moved.append(f"U+{number:04X}")
    assert moved == []


ODD = [
    "\ufeffone\ntwo",
    "one\n\ufefftwo",
    "\ufeff\ufeff\ntwo",
    "\ufffeone\ntwo",
    "o\ufffe\ufdd0\ufdd1\rne\ntwo",
]


@pytest.mark.parametrize("text", ODD)
def test_one_edits_where_one_sees_the_caret(theme: Theme, text: str) -> None:
    editor = Editor(theme, text)
    editor.key(K.Key_End, CTRL)
    editor.key(K.Key_Backspace)
    editor.type("!")
    assert editor.replica.body == text[:-1] + "!"
    editor.key(K.Key_Home, CTRL)
    editor.type("?")
    assert editor.replica.body == "?" + text[:-1] + "!"
    assert editor.binding.text() == shown(editor.replica.body)
    editor.close()


def test_others_insert_a_byte_order_mark(theme: Theme) -> None:
    editor = Editor(theme, "abcdef")
    other = Replica(snapshot_of("abcdef"), peer_id(b"b" * 32, DOCUMENT, 1))
    other.edit_body(3, 0, "\ufeffX")
    update = other.take_updates()
    assert update is not None
    editor.receive([update])
    editor.put_caret(5)
    editor.type("!")
    assert editor.replica.body == "abc\ufeffX!def"
    assert editor.page.toPlainText() == "abc\u2060X!def"
    editor.close()


@pytest.mark.parametrize("text", ["\ufeffTitle", "\ufffeTitle"])
def test_a_title_is_edited_where_one_sees_the_caret(
    editor: Editor, theme: Theme, text: str
) -> None:
    editor.replica.edit_title(0, 0, text)
    title = editor.page.title
    binding = Binding(title.document(), TitleModel(editor.replica), TitleFormats(theme), plain=True)
    binding.load()
    title.bind(binding)
    QTest.keyClick(title, K.Key_End)
    QTest.keyClick(title, "!")
    assert editor.replica.title == text + "!"
    assert title.toPlainText() == shown(text) + "!"
    mime = QMimeData()
    mime.setText("a\ufeff \ud83db")
    title.insertFromMimeData(mime)
    assert editor.replica.title == text + "!a b"


@pytest.mark.parametrize("mark", ["\ufeff", "\ufdd0"])
def test_a_paste_leaves_byte_order_marks_out(editor: Editor, mark: str) -> None:
    editor.paste(text=f"{mark}pasted {mark}")
    editor.type("!")
    editor.paste(html=f"<p>{mark}<b>bold</b>{mark}</p>")
    editor.type("?")
    assert editor.replica.body.split() == ["pasted", "!bold?"]
    editor.check()


def test_paragraphs_find_their_own_direction(theme: Theme) -> None:
    editor = Editor(theme, "English line\nשורה בעברית\nسطر عربي\n")
    directions = [
        editor.page.document().findBlockByNumber(number).textDirection() for number in range(3)
    ]
    left, right = Qt.LayoutDirection.LeftToRight, Qt.LayoutDirection.RightToLeft
    assert directions == [left, right, right]
    editor.put_caret(13)
    editor.page.toggle_kind("ul")
    area = QRectF(editor.page.viewport().rect())
    line = next(iter(decoration.visible_lines(editor.page.document(), area, QPointF())))
    assert line.gutter().center().x() > line.rect.center().x()
    editor.close()


def test_text_that_qt_would_break_lines_at_stays_one_line(theme: Theme) -> None:
    editor = Editor(theme, "a\rb\u2029c\ufdd0d\nend")
    assert editor.page.document().blockCount() == 2
    editor.put_caret(9)
    editor.type("X")
    assert editor.replica.body == "a\rb\u2029c\ufdd0d\neXnd"
    editor.close()


# -- input methods ---------------------------------------------------------------------


def test_remote_edits_wait_while_an_input_method_composes(theme: Theme) -> None:
    snapshot = snapshot_of("朝 morning\n")
    mine, theirs = (Editor(theme, device=device * 32, snapshot=snapshot) for device in (b"a", b"b"))
    mine.put_caret(1)
    mine.compose("に")
    mine.compose("にほん")
    assert mine.replica.body == "朝 morning\n"
    theirs.put_caret(0)
    theirs.type("Good ")
    update = theirs.replica.take_updates()
    assert update is not None
    mine.receive([update])
    assert mine.page.composing
    assert mine.page.toPlainText() == "朝 morning\n"
    mine.commit("日本")
    assert mine.replica.body == "Good 朝日本 morning\n"
    mine.check()
    for editor in (mine, theirs):
        editor.close()


# -- paste -----------------------------------------------------------------------------


def test_html_is_reduced_to_what_a_page_knows(editor: Editor) -> None:
    editor.paste(
        html="""<html><head><style>b{color:red}</style></head><body>
        <h2>Plan</h2><p>With <b>bold</b>, <em>slanted</em> and
        <a href="https://example.org">a link</a> <script>alert(1)</script></p>
        <ul><li>one<ul><li>deep</li></ul></li><li>two</li></ul>
        <a href="javascript:alert(1)">not a link</a></body></html>"""
    )
    assert editor.replica.body == (
        "Plan\nWith bold, slanted and a link\none\ndeep\ntwo\nnot a link"
    )
    assert editor.kinds() == ["h2", "", "ul", "ul", "ul"]
    assert editor.marked("bold") == "bold"
    assert editor.marked("link") == "a link"
    editor.check()


def test_plain_text_is_pasted_as_it_is(editor: Editor) -> None:
    editor.type("ab")
    editor.put_caret(1)
    editor.paste(text="x\r\ny")
    assert editor.replica.body == "ax\nyb"
    assert editor.caret == 4
    editor.check()


def test_markdown_is_pasted_as_what_it_means(editor: Editor) -> None:
    editor.paste(text="# Plan\n\n- one\n- **two**\n")
    assert editor.replica.body.startswith("Plan\none\ntwo")
    assert editor.kinds()[:2] == ["h1", "ul"]
    assert editor.marked("bold") == "two"
    editor.check()


# -- undo ------------------------------------------------------------------------------


def test_undo_takes_back_only_ones_own(theme: Theme) -> None:
    snapshot = snapshot_of("base\n")
    mine, theirs = (Editor(theme, device=device * 32, snapshot=snapshot) for device in (b"a", b"b"))
    mine.put_caret(0)
    mine.type("mine ")
    theirs.put_caret(4)
    theirs.type(" theirs")
    update = theirs.replica.take_updates()
    assert update is not None
    mine.receive([update])
    assert mine.replica.body == "mine base theirs\n"
    mine.key(K.Key_Z, CTRL)
    assert mine.replica.body == "base theirs\n"
    mine.check()
    mine.key(K.Key_Z, CTRL | SHIFT)
    assert mine.replica.body == "mine base theirs\n"
    mine.check()
    for editor in (mine, theirs):
        editor.close()


def test_one_step_back_undoes_one_command(editor: Editor) -> None:
    editor.type("- item")
    editor.clock.now += 10
    editor.paste(html="<p>one</p><p><b>two</b></p><p>three</p>")
    editor.clock.now += 10
    pasted = editor.replica.body
    editor.put_caret(0, 3)
    editor.type("X")
    editor.key(K.Key_Z, CTRL)
    assert editor.replica.body == pasted
    editor.key(K.Key_Z, CTRL)
    assert editor.replica.body == "item\n"
    editor.check()


# -- others ----------------------------------------------------------------------------


@pytest.mark.parametrize(("caret", "after"), [(0, 0), (4, 4), (5, 9), (11, 15)])
def test_the_caret_stays_where_it_is(theme: Theme, caret: int, after: int) -> None:
    snapshot = snapshot_of("Hello world\n")
    mine, theirs = (Editor(theme, device=device * 32, snapshot=snapshot) for device in (b"a", b"b"))
    mine.put_caret(caret)
    theirs.put_caret(4)
    theirs.type("XYZW")
    update = theirs.replica.take_updates()
    assert update is not None
    mine.receive([update])
    assert mine.caret == after
    mine.type("!")
    assert mine.replica.body[after] == "!"
    mine.check()
    for editor in (mine, theirs):
        editor.close()


def test_the_view_stays_where_it_is(theme: Theme) -> None:
    text = "".join(f"line {number}\n" for number in range(300))
    snapshot = snapshot_of(text)
    mine, theirs = (Editor(theme, device=device * 32, snapshot=snapshot) for device in (b"a", b"b"))
    middle = text.index("line 150")
    mine.put_caret(middle)
    mine.page.ensureCursorVisible()
    before = mine.page.cursorRect().top()
    theirs.put_caret(0)
    theirs.type("new\n" * 20)
    update = theirs.replica.take_updates()
    assert update is not None
    mine.receive([update])
    assert mine.page.cursorRect().top() == before
    # The same where one reads elsewhere than where the caret is.
    mine.page.verticalScrollBar().setValue(mine.page.verticalScrollBar().maximum())
    seen, top = mine.page.first_visible().text(), mine.page.first_visible().position()
    theirs.type("more\n" * 20)
    update = theirs.replica.take_updates()
    assert update is not None
    mine.receive([update])
    assert mine.page.first_visible().text() == seen
    assert mine.page.first_visible().position() == top + 100
    for editor in (mine, theirs):
        editor.close()


# -- the bar over a selection ----------------------------------------------------------


def test_the_bar_formats_what_is_selected(editor: Editor) -> None:
    editor.type("one two")
    bar = editor.page.format_bar
    assert not bar.isVisible()
    editor.put_caret(0, 3)
    bar.follow()
    assert bar.isVisible()
    buttons = {button.accessibleName(): button for button in bar.findChildren(QToolButton)}
    for button in buttons.values():
        assert bar.rect().contains(button.geometry())
    QTest.mouseClick(buttons["Bold"], Qt.MouseButton.LeftButton)
    assert editor.marked("bold") == "one"
    assert buttons["Bold"].isChecked()
    QTest.mouseClick(buttons["Heading 2"], Qt.MouseButton.LeftButton)
    assert editor.kinds() == ["h2"]
    assert buttons["Heading 2"].isChecked()
    editor.put_caret(5)
    assert not bar.isVisible()
    editor.check()
