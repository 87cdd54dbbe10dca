"""What is pasted, reduced to the marks and lines a page knows."""

from __future__ import annotations

from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Final
from urllib.parse import urlsplit

from PySide6.QtCore import QMimeData

from lutra.documents.delta import AttributeValue, Span

_MARK_TAGS: Final = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "u": "underline",
    "ins": "underline",
    "s": "strike",
    "del": "strike",
    "strike": "strike",
    "code": "code",
    "kbd": "code",
    "tt": "code",
}
_HEADING_TAGS: Final = {"h1": "h1", "h2": "h2", "h3": "h3", "h4": "h3", "h5": "h3", "h6": "h3"}
_LINE_TAGS: Final = frozenset(
    ("p", "div", "li", "blockquote", "pre", "tr", "section", "article", "ul", "ol", "table")
) | frozenset(_HEADING_TAGS)
_SILENT_TAGS: Final = frozenset(("style", "script", "head", "title", "template"))
_NO_TEXT: Final = frozenset("\ufdd0\ufdd1\ufeff\ufffe")
"""What marks the order of bytes, or stands for no character at all: never meant to be pasted."""
_LINK_SCHEMES: Final = frozenset(("http", "https", "mailto"))
_MOST: Final = 4 * 1024 * 1024


def safe_link(address: str) -> str | None:
    """Return the address if it may become a link, else None."""
    try:
        scheme = urlsplit(address.strip()).scheme.lower()
    except ValueError:
        return None
    return address.strip() if scheme in _LINK_SCHEMES else None


def spans_of(mime: QMimeData, *, plain: bool = False) -> list[Span]:
    """Return what a clipboard or a drop holds; `plain` leaves all formatting out."""
    if mime.hasHtml() and not plain:
        return html_spans(mime.html()[:_MOST])
    text = tidy(mime.text()[:_MOST])
    if plain or not looks_like_markdown(text):
        return [Span(text, {})] if text else []
    # The parser is only needed now and takes long to import.
    from lutra.documents.markdown_reader import from_markdown

    return trimmed(list(from_markdown(text)))


def tidy(text: str) -> str:
    """Return text with one kind of line end and without characters that cannot be shown."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2029", "\n")
    return "".join(c for c in text if c in "\n\t" or _showable(c))


def _showable(character: str) -> bool:
    half = 0xD800 <= ord(character) <= 0xDFFF
    return character >= " " and not half and character not in _NO_TEXT


def looks_like_markdown(text: str) -> bool:
    """Tell whether several lines, or one clear one, are written as Markdown."""
    starts = ("# ", "## ", "### ", "- ", "* ", "1. ", "> ", "```", "- [ ] ", "- [x] ")
    return any(line.lstrip().startswith(starts) for line in text.splitlines())


def trimmed(spans: list[Span]) -> list[Span]:
    """Drop one plain newline at the end, so that a pasted word does not break the line."""
    if spans and spans[-1].text.endswith("\n") and not spans[-1].attributes.get("block"):
        last = spans[-1]
        shorter = last.text[:-1]
        return [*spans[:-1], *([Span(shorter, last.attributes)] if shorter else [])]
    return spans


def html_spans(html: str) -> list[Span]:
    """Return HTML as spans: known marks, headings, lists, quotes and code; the rest is text."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return trimmed(reader.finish())


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._spans: list[Span] = []
        self._marks: list[tuple[str, str, AttributeValue]] = []
        self._lists: list[str] = []
        self._lines: list[str] = []
        self._silent = 0
        self._empty = True
        self._space = False
        self._check: str | None = None

    def finish(self) -> list[Span]:
        if not self._empty:
            self._end_line()
        return self._spans

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in _SILENT_TAGS:
            self._silent += 1
        if tag in _LINE_TAGS and not self._empty:
            self._end_line()
        if self._space and not self._empty and (tag in _MARK_TAGS or tag in ("a", "span")):
            # The space before a mark begins is not part of it.
            self._add(" ")
            self._space = False
        if tag in ("ul", "ol"):
            self._lists.append(tag)
        elif tag in _HEADING_TAGS:
            self._lines.append(_HEADING_TAGS[tag])
        elif tag in ("blockquote", "pre"):
            self._lines.append("quote" if tag == "blockquote" else "code")
        elif tag == "li":
            self._lines.append(self._lists[-1] if self._lists else "ul")
        elif tag == "input" and values.get("type") == "checkbox":
            self._check = "checked" if "checked" in values else "check"
        elif tag == "br":
            self._end_line()
        elif tag == "a":
            link = safe_link(values.get("href") or "")
            self._marks.append((tag, "link", link))
        self._styled(tag, values)

    def _styled(self, tag: str, values: Mapping[str, str | None]) -> None:
        name = _MARK_TAGS.get(tag)
        style = (values.get("style") or "").replace(" ", "").lower()
        # Google Docs wraps everything in a <b> that says it is not bold.
        if name and not (name == "bold" and "font-weight:normal" in style):
            self._marks.append((tag, name, True))
        elif tag == "span":
            if any(f"font-weight:{weight}" in style for weight in ("bold", "600", "700", "800")):
                self._marks.append((tag, "bold", True))
            elif "font-style:italic" in style:
                self._marks.append((tag, "italic", True))
            else:
                self._marks.append((tag, "", None))
        elif name:
            self._marks.append((tag, "", None))

    def handle_endtag(self, tag: str) -> None:
        if tag in _SILENT_TAGS:
            self._silent = max(0, self._silent - 1)
        if tag in _LINE_TAGS and not self._empty:
            self._end_line()
        if tag in ("ul", "ol") and self._lists:
            self._lists.pop()
        if (tag in _HEADING_TAGS or tag in ("blockquote", "pre", "li")) and self._lines:
            self._lines.pop()
        for index in range(len(self._marks) - 1, -1, -1):
            if self._marks[index][0] == tag:
                del self._marks[index]
                break

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        text = tidy(data)
        if "code" in self._lines:
            for index, line in enumerate(text.split("\n")):
                if index:
                    self._end_line()
                self._add(line)
            return
        words = " ".join(text.split())
        leading = text[:1].isspace() and (not self._empty)
        if words:
            self._add((" " if leading or self._space else "") + words)
            self._space = text[-1:].isspace()
        elif text:
            self._space = not self._empty

    def _add(self, text: str) -> None:
        if not text:
            return
        marks = {name: value for _, name, value in self._marks if name and value is not None}
        self._spans.append(Span(text, marks))
        self._empty = False

    def _end_line(self) -> None:
        attributes: dict[str, AttributeValue] = {}
        kind = self._lines[-1] if self._lines else ""
        if kind in ("ul", "ol"):
            kind = self._check or kind
            if len(self._lists) > 1:
                attributes["indent"] = len(self._lists) - 1
        if kind:
            attributes["block"] = kind
        if kind != "code" and self._spans and self._spans[-1].text.endswith(" "):
            last = self._spans.pop()
            self._spans.append(Span(last.text.rstrip(" "), last.attributes))
        self._spans.append(Span("\n", attributes))
        self._empty, self._space, self._check = True, False, None
