"""Markdown to rich text: CommonMark with strike-through and task lists.

Reads everything `to_markdown` writes. What documents do not have yet, such as tables, arrives as
text: nothing is dropped but the difference between one and two blank lines.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from markdown_it import MarkdownIt

from lutra.documents.delta import Attributes, AttributeValue, Span, joined
from lutra.documents.markdown_writer import EMBED_CHARACTER, EMPTY_LINE

if TYPE_CHECKING:
    from markdown_it.token import Token

_ELEMENTS: Final = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "s": "strike",
    "del": "strike",
    "u": "underline",
    "ins": "underline",
    "code": "code",
}
_TOKENS: Final = {"strong": "bold", "em": "italic", "s": "strike"}
_TAG: Final = re.compile(r"<(/?)([a-zA-Z]+)>\Z")
_BREAK: Final = re.compile(r"<br\s*/?>\Z", re.IGNORECASE)
_TASK: Final = re.compile(r"\[([ xX])\](?: |\Z)")


def from_markdown(source: str) -> list[Span]:
    """Return the rich text that ``source`` describes; every line ends in a line feed."""
    reader = _Reader()
    reader.read(_parser().parse(source))
    return joined(reader.spans)


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": True}).enable("strikethrough")
    # Addresses stay as they were written: encoding them would change them at each round trip.
    parser.normalizeLink = lambda url: url
    parser.normalizeLinkText = lambda link: link
    return parser


class _Reader:
    """Walks the parser's tokens, keeping the enclosing blocks."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self._lists: list[str] = []
        self._quotes = 0
        self._heading = ""
        self._item_is_new = False

    def read(self, tokens: Sequence[Token]) -> None:
        for index, token in enumerate(tokens):
            match token.type:
                case "bullet_list_open":
                    self._lists.append("ul")
                case "ordered_list_open":
                    self._lists.append("ol")
                case "bullet_list_close" | "ordered_list_close":
                    self._lists.pop()
                case "list_item_open":
                    self._item_is_new = True
                    following = tokens[index + 1].type
                    if following not in {"paragraph_open", "heading_open", "html_block"}:
                        self._end_line(self._block())
                        self._item_is_new = False
                case "blockquote_open":
                    self._quotes += 1
                case "blockquote_close":
                    self._quotes -= 1
                case "heading_open":
                    self._heading = f"h{min(int(token.tag[1]), 3)}"
                case "heading_close":
                    self._heading = ""
                case "inline":
                    self._inline_line(token)
                case "fence" | "code_block":
                    self._code(token)
                case "hr":
                    self._plain_line("---")
                case "html_block":
                    self._html_block(token)
                case _:
                    pass

    def _block(self) -> dict[str, AttributeValue]:
        if self._heading:
            return {"block": self._heading}
        if self._lists:
            attributes: dict[str, AttributeValue] = {"block": self._lists[-1]}
            if len(self._lists) > 1:
                attributes["indent"] = len(self._lists) - 1
            return attributes
        return {"block": "quote"} if self._quotes else {}

    def _inline_line(self, token: Token) -> None:
        children = list(token.children or [])
        block = self._block()
        content = token.content
        if self._lists and self._item_is_new and not self._heading:
            task = _TASK.match(token.content)
            if task is not None:
                block["block"] = "check" if task[1] == " " else "checked"
                _drop_start(children, len(task[0]))
                content = content[len(task[0]) :]
        self._item_is_new = False
        if content == EMPTY_LINE:
            children = []
        self._inline(children, block)
        self._end_line(block)

    def _inline(self, children: Sequence[Token], block: Attributes) -> None:
        marks: dict[str, AttributeValue] = {}
        for token in children:
            kind = token.type
            name = _TOKENS.get(kind.removesuffix("_open").removesuffix("_close"))
            if name is not None:
                _set(marks, name, on=kind.endswith("_open"))
            elif kind == "link_open":
                marks["link"] = str(token.attrs.get("href", ""))
            elif kind == "link_close":
                marks.pop("link", None)
            elif kind == "code_inline":
                self._text(token.content, {**marks, "code": True})
            elif kind == "softbreak":
                self._text(" ", marks)
            elif kind == "hardbreak":
                self._end_line(block)
            elif kind == "image":
                self._text(EMBED_CHARACTER, {**marks, "embed": str(token.attrs.get("src", ""))})
            elif kind == "html_inline":
                self._html_inline(token.content, marks, block)
            else:
                self._text(token.content, marks)

    def _html_inline(
        self, content: str, marks: dict[str, AttributeValue], block: Attributes
    ) -> None:
        tag = _TAG.match(content)
        name = _ELEMENTS.get(tag[2].lower()) if tag else None
        if tag is not None and name is not None:
            _set(marks, name, on=not tag[1])
        elif _BREAK.match(content):
            self._end_line(block)
        else:
            self._text(content, marks)

    def _html_block(self, token: Token) -> None:
        content = token.content.rstrip("\n")
        if _BREAK.match(content):
            self._end_line(self._block())
            return
        for line in content.split("\n"):
            # Blocks of plain marks, as a paragraph that begins with one, are still inline text.
            children = _parser().parseInline(line.strip())
            self._inline(children[0].children or [], self._block())
            self._end_line(self._block())

    def _code(self, token: Token) -> None:
        attributes: dict[str, AttributeValue] = {"block": "code"}
        language = token.info.strip().split(" ")[0]
        if language:
            attributes["language"] = language
        for line in token.content.removesuffix("\n").split("\n"):
            self._text(line, {})
            self._end_line(attributes)

    def _plain_line(self, text: str) -> None:
        self._text(text, {})
        self._end_line(self._block())

    def _text(self, text: str, marks: Attributes) -> None:
        if text:
            self.spans.append(Span(text.replace("\n", " "), dict(marks)))

    def _end_line(self, attributes: Attributes) -> None:
        self.spans.append(Span("\n", dict(attributes)))


def _set(marks: dict[str, AttributeValue], name: str, *, on: bool) -> None:
    if on:
        marks[name] = True
    else:
        marks.pop(name, None)


def _drop_start(children: list[Token], length: int) -> None:
    """Take the task sign off the text it was read as."""
    for token in children:
        if length == 0 or token.type != "text":
            return
        taken = min(length, len(token.content))
        token.content = token.content[taken:]
        length -= taken
