"""What Enter, Backspace, Tab and typed Markdown mean on a page.

Every function works on the text cursor and the `Binding`; each returns whether it did something,
so that the editor lets Qt act otherwise.
"""

from __future__ import annotations

import re
from typing import Final

from PySide6.QtGui import QTextBlock, QTextCursor

from lutra.documents.delta import utf16_length
from lutra_app.editor.binding import Binding
from lutra_app.editor.formats import (
    CHECKS,
    HEADINGS,
    LISTS,
    MAX_INDENT,
    PARAGRAPH,
    indent_of,
    kind_of,
)

_STARTS: Final = {
    "#": "h1",
    "##": "h2",
    "###": "h3",
    "-": "ul",
    "*": "ul",
    "+": "ul",
    "[]": "check",
    "[ ]": "check",
    "[x]": "checked",
    "- []": "check",
    ">": "quote",
}
_NUMBER: Final = re.compile(r"\d{1,3}[.)]")
_INLINE: Final = (
    (re.compile(r"(?<![*\w])\*\*(?=\S)([^*\u2028]+?)(?<=\S)\*\*$"), "bold"),
    (re.compile(r"(?<![`\w])`(?=\S)([^`\u2028]+?)(?<=\S)`$"), "code"),
    (re.compile(r"(?<![~\w])~~(?=\S)([^~\u2028]+?)(?<=\S)~~$"), "strike"),
    (re.compile(r"(?<![*\w])\*(?=[^\s*])([^*\u2028]+?)(?<=[^\s*])\*$"), "italic"),
    (re.compile(r"(?<![_\w])_(?=[^\s_])([^_\u2028]+?)(?<=[^\s_])_$"), "italic"),
)


def set_kind(binding: Binding, cursor: QTextCursor, kind: str) -> None:
    """Make every line of the selection a `kind`; leaving a list leaves its indent too."""
    attributes: dict[str, object] = {"block": kind or None}
    if kind not in LISTS:
        attributes["indent"] = None
    anchor, position = cursor.anchor(), cursor.position()
    binding.set_block(cursor.selectionStart(), cursor.selectionEnd(), attributes)
    # The last line may have got a newline behind the cursor, which pushes it.
    cursor.setPosition(anchor)
    cursor.setPosition(position, QTextCursor.MoveMode.KeepAnchor)


def toggle_kind(binding: Binding, cursor: QTextCursor, kind: str) -> None:
    """Make the lines a `kind`, or paragraphs again if the first already is one."""
    first = cursor.document().findBlock(cursor.selectionStart())
    same = CHECKS if kind == "check" else (kind,)
    set_kind(binding, cursor, PARAGRAPH if kind_of(first) in same else kind)


def toggle_mark(binding: Binding, cursor: QTextCursor, name: str, *, is_set: bool) -> None:
    """Set a mark on the selection, or remove it where all of it has it."""
    value = None if is_set else True
    binding.set_mark(cursor.selectionStart(), cursor.selectionEnd(), name, value)


def space_typed(binding: Binding, cursor: QTextCursor) -> bool:
    """Turn ``# ``, ``- ``, ``1. ``, ``[] ``, ``> `` at the start of a line into what they mean.

    Called before the space is inserted.
    """
    block = cursor.block()
    if cursor.hasSelection() or kind_of(block) == "code":
        return False
    typed = _before(block, cursor.positionInBlock())
    kind = _STARTS.get(typed) or ("ol" if _NUMBER.fullmatch(typed) else None)
    if kind is None or kind == kind_of(block):
        return False
    if kind_of(block) in HEADINGS and kind not in HEADINGS:
        return False
    with binding.as_one():
        _remove_before(cursor, len(typed))
        set_kind(binding, cursor, kind)
    return True


def fence_typed(binding: Binding, cursor: QTextCursor) -> bool:
    """Turn the third back-tick at the start of a line into a code line. Called before it."""
    block = cursor.block()
    if cursor.hasSelection() or kind_of(block) == "code":
        return False
    if cursor.positionInBlock() != 2 or not block.text().startswith("``"):
        return False
    with binding.as_one():
        _remove_before(cursor, 2)
        set_kind(binding, cursor, "code")
    return True


def mark_typed(binding: Binding, cursor: QTextCursor) -> bool:
    """Turn ``**bold**``, ``*italic*``, ``~~strike~~`` and ```code``` just typed into marks."""
    block = cursor.block()
    if cursor.hasSelection() or kind_of(block) == "code":
        return False
    typed = _before(block, cursor.positionInBlock())
    for pattern, name in _INLINE:
        found = pattern.search(typed)
        if found is None:
            continue
        before = len(found.group(0)) - len(found.group(1))
        length = utf16_length(found.group(1))
        start = block.position() + utf16_length(typed[: found.start()])
        with binding.as_one():
            _remove(block, start + before // 2 + length, before // 2)
            _remove(block, start, before // 2)
            binding.set_mark(start, start + length, name, True)
        cursor.setPosition(start + length)
        return True
    return False


def _before(block: QTextBlock, units: int) -> str:
    """Return the first `units` UTF-16 units of a line."""
    return (
        block.text()
        .encode("utf-16-le", "surrogatepass")[: 2 * units]
        .decode("utf-16-le", "replace")
    )


def _remove(block: QTextBlock, position: int, length: int) -> None:
    cursor = QTextCursor(block)
    cursor.setPosition(position)
    cursor.setPosition(position + length, QTextCursor.MoveMode.KeepAnchor)
    cursor.removeSelectedText()


def enter(binding: Binding, cursor: QTextCursor) -> bool:
    """Start the next line: lists go on, an empty item ends its list, headings end with a line."""
    if cursor.hasSelection():
        cursor.removeSelectedText()
    block = cursor.block()
    kind = kind_of(block)
    if kind == PARAGRAPH:
        return False
    at_end = cursor.positionInBlock() == block.length() - 1
    if block.length() == 1 and kind not in ("code", *HEADINGS):
        return backspace_at_start(binding, cursor)
    if kind == "code" and block.length() == 1 and kind_of(block.previous()) == "code":
        set_kind(binding, cursor, PARAGRAPH)
        return True
    if kind in HEADINGS and at_end and _move_to_empty_end(cursor):
        return True
    with binding.as_one():
        cursor.insertBlock()
        if kind in HEADINGS and at_end:
            set_kind(binding, cursor, PARAGRAPH)
        elif kind == "checked":
            binding.set_block(cursor.position(), cursor.position(), {"block": "check"})
    return True


def _move_to_empty_end(cursor: QTextCursor) -> bool:
    """Use the empty last line, where there is one right below, instead of making another."""
    below = cursor.block().next()
    if not below.isValid() or below.next().isValid() or below.length() > 1:
        return False
    cursor.setPosition(below.position())
    return True


def backspace_at_start(binding: Binding, cursor: QTextCursor) -> bool:
    """At the start of a line: first outdent it, then make it a paragraph."""
    block = cursor.block()
    if cursor.hasSelection() or cursor.positionInBlock() > 0:
        return False
    if indent_of(block) > 0:
        return change_indent(binding, cursor, -1)
    if kind_of(block) == PARAGRAPH:
        return False
    set_kind(binding, cursor, PARAGRAPH)
    return True


def change_indent(binding: Binding, cursor: QTextCursor, by: int) -> bool:
    """Move list lines of the selection in or out by one step."""
    document = cursor.document()
    block = document.findBlock(cursor.selectionStart())
    last = document.findBlock(cursor.selectionEnd()).blockNumber()
    done = False
    while block.isValid() and block.blockNumber() <= last:
        following = block.next()
        if kind_of(block) in LISTS or (by < 0 and indent_of(block)):
            depth = min(max(indent_of(block) + by, 0), MAX_INDENT)
            binding.set_block(block.position(), block.position(), {"indent": depth or None})
            done = True
        block = following
    return done


def toggle_check(binding: Binding, position: int, kind: str) -> None:
    """Tick or untick the check box of the line at `position`."""
    other = "check" if kind == "checked" else "checked"
    binding.set_block(position, position, {"block": other})


def _remove_before(cursor: QTextCursor, count: int) -> None:
    cursor.movePosition(QTextCursor.MoveOperation.Left, QTextCursor.MoveMode.KeepAnchor, count)
    cursor.removeSelectedText()
