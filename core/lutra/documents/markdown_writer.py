"""Rich text to Markdown (CommonMark 0.31 with strike-through and task lists).

What Markdown has no sign for is written as HTML: underline always, and other marks where their
Markdown signs would not be recognised, as inside a word. `from_markdown` reads all of it back.
Control characters, comments and the indent of lines outside lists are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from lutra.documents.delta import Attributes, Span, joined

LIST_BLOCKS: Final = ("ul", "ol", "check", "checked")
EMBED_CHARACTER: Final = "\ufffc"
EMPTY_LINE: Final = "&nbsp;"
"""Stands for a line without text, which Markdown would drop; text never contains it unescaped."""
_HEADINGS: Final = {"h1": "# ", "h2": "## ", "h3": "### "}
_BULLETS: Final = {"ul": "- ", "check": "- [ ] ", "checked": "- [x] "}
_MARKS: Final = (
    # name, Markdown sign, HTML element; from the outside to the inside
    ("bold", "**", "b"),
    ("italic", "*", "i"),
    ("strike", "~~", "s"),
    ("underline", "", "u"),
)
_SPECIAL: Final = re.compile(r"[\\`*_\[\]<&~]")
_SPECIAL_START: Final = re.compile(r"(#|[+=>-]|\d+(?=[.)]))")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a rich text: its spans and the attributes of its end."""

    spans: tuple[Span, ...]
    attributes: Attributes

    @property
    def block(self) -> str:
        """Kind of the line, empty for a plain paragraph."""
        return str(self.attributes.get("block") or "")

    @property
    def indent(self) -> int:
        """Depth of the line among its list."""
        indent = self.attributes.get("indent")
        return indent if isinstance(indent, int) and indent > 0 else 0

    @property
    def text(self) -> str:
        """The characters of the line."""
        return "".join(span.text for span in self.spans)


def lines_of(spans: Iterable[Span]) -> list[Line]:
    """Cut a rich text into its lines; a last one without an end counts if it is not empty."""
    lines: list[Line] = []
    current: list[Span] = []
    for span in spans:
        *ended, rest = span.text.split("\n")
        for part in ended:
            if part:
                current.append(Span(part, span.attributes))
            lines.append(Line(tuple(current), span.attributes))
            current = []
        if rest:
            current.append(Span(rest, span.attributes))
    if current:
        lines.append(Line(tuple(current), {}))
    return lines


def to_markdown(spans: Iterable[Span]) -> str:
    """Return a rich text as Markdown, ending in one line feed unless it is empty."""
    lines = lines_of(spans)
    chunks: list[str] = []
    at = 0
    while at < len(lines):
        kind = _group(lines[at])
        end = at + 1
        while end < len(lines) and kind and _group(lines[end]) == kind:
            end += 1
        group = lines[at:end]
        if kind == "list":
            chunks.append(_list(group))
        elif kind == "quote":
            chunks.append("\n>\n".join(f"> {_paragraph(line)}" for line in group))
        elif kind:
            chunks.append(_code(group))
        elif (heading := _HEADINGS.get(lines[at].block)) is not None:
            chunks.append(heading + _inline(lines[at].spans))
        else:
            chunks.append(_paragraph(lines[at]))
        at = end
    return "\n\n".join(chunks) + "\n" if chunks else ""


def _group(line: Line) -> str:
    """Name what a line is written together with; empty if it stands alone."""
    if line.block in LIST_BLOCKS:
        return "list"
    if line.block == "code":
        return f"code {_language(line)}"
    return "quote" if line.block == "quote" else ""


def _paragraph(line: Line) -> str:
    return _inline(line.spans) or EMPTY_LINE


def _language(line: Line) -> str:
    return re.sub(r"[\s`]", "", str(line.attributes.get("language") or ""))


def _code(lines: Sequence[Line]) -> str:
    content = "\n".join(_CONTROL.sub("", line.text) for line in lines)
    longest = max((len(run) for run in re.findall("`+", content)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{_language(lines[0])}\n{content}\n{fence}"


def _list(lines: Sequence[Line]) -> str:
    out: list[str] = []
    # One entry per open depth: marker width, whether it counts, and the last number given.
    open_lists: list[tuple[int, bool, int]] = []
    for line in lines:
        depth = min(line.indent, len(open_lists))
        number = 0
        counts = line.block == "ol"
        if depth < len(open_lists) and open_lists[depth][1] == counts:
            number = open_lists[depth][2]
        marker = f"{number + 1}. " if counts else _BULLETS[line.block]
        margin = " " * sum(width for width, _, _ in open_lists[:depth])
        del open_lists[depth:]
        open_lists.append((len(marker) if counts else 2, counts, number + 1))
        out.append(margin + marker + _paragraph(line))
    return "\n".join(out)


def _inline(spans: Sequence[Span]) -> str:
    clean = joined(Span(_CONTROL.sub("", span.text), span.attributes) for span in spans)
    out: list[str] = []
    for index, span in enumerate(clean):
        before = clean[index - 1].text[-1] if index else " "
        after = clean[index + 1].text[0] if index + 1 < len(clean) else " "
        marked_neighbour = any(
            any(clean[other].attributes.get(name) for name, _, _ in _MARKS)
            for other in (index - 1, index + 1)
            if 0 <= other < len(clean)
        )
        free = before.isspace() and after.isspace() and not marked_neighbour
        out.append(_span(span, first=index == 0, last=index + 1 == len(clean), signs_work=free))
    return "".join(out)


def _span(span: Span, *, first: bool, last: bool, signs_work: bool) -> str:
    attributes = span.attributes
    text = span.text
    embed = attributes.get("embed")
    if embed is not None and set(text) == {EMBED_CHARACTER}:
        return f"![]({_destination(str(embed))})" * len(text)
    if not attributes.get("code"):
        out = _escaped(text, first=first, last=last)
    elif attributes.get("link") and "]" in text:
        # A line that begins so could be taken for the definition of a link.
        out = f"<code>{_escaped(text, first=False, last=False)}</code>"
    else:
        out = _code_span(text)
    # Signs next to letters and beside spaces are unmistakable; anything else is written as HTML.
    signs_work = signs_work and text[0].isalnum() and text[-1].isalnum()
    signs_work = signs_work and not attributes.get("code")
    for name, sign, element in reversed(_MARKS):
        if attributes.get(name):
            out = sign + out + sign if sign and signs_work else f"<{element}>{out}</{element}>"
            signs_work = signs_work and bool(sign)
    link = attributes.get("link")
    if isinstance(link, str):
        out = f"[{out}]({_destination(link)})"
    return out


def _code_span(text: str) -> str:
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    padded = text[0] in " `" or text[-1] in " `"
    if padded and text.strip(" "):
        return f"{fence} {text} {fence}"
    return fence + text + fence


def _escaped(text: str, *, first: bool, last: bool) -> str:
    kept = text.lstrip() if first else text
    lead = text[: len(text) - len(kept)]
    tail = ""
    if last:
        stripped = kept.rstrip()
        tail = kept[len(stripped) :]
        kept = stripped
    out = _SPECIAL.sub(r"\\\g<0>", kept)
    if first and not lead:
        out = _SPECIAL_START.sub(_start_escape, out, count=1) if _SPECIAL_START.match(out) else out
    if last and out.endswith("#") and not out.endswith("\\#"):
        out = out[:-1] + "\\#"
    if out.endswith("!"):
        out = out[:-1] + "\\!"
    return _entities(lead) + out + _entities(tail)


def _start_escape(found: re.Match[str]) -> str:
    sign = found[0]
    return f"{sign}\\" if sign.isdigit() else f"\\{sign}"


def _entities(blanks: str) -> str:
    return "".join(f"&#{ord(blank)};" for blank in blanks)


def _destination(target: str) -> str:
    return "<" + re.sub(r"[\\<>&]", r"\\\g<0>", re.sub(r"[\r\n]", "", target)) + ">"
