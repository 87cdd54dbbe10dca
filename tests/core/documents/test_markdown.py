"""Markdown out and in: what is written is read back as the same rich text."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lutra.documents.delta import Span, joined
from lutra.documents.markdown_reader import from_markdown
from lutra.documents.markdown_writer import lines_of, to_markdown


def end(block: str = "", indent: int = 0, **more: str) -> Span:
    attributes: dict = {"block": block} if block else {}
    if indent:
        attributes["indent"] = indent
    return Span("\n", {**attributes, **more})


PAGE = [
    Span("A page"),
    end("h1"),
    Span("Some "),
    Span("bold", {"bold": True}),
    Span(" and "),
    Span("both", {"bold": True, "italic": True}),
    Span(", "),
    Span("under", {"underline": True}),
    Span("lined, "),
    Span("x = `1`", {"code": True}),
    Span(" and "),
    Span("a link", {"link": "https://example.org/a_(b)?c=1&d=2"}),
    Span("."),
    end(),
    Span("milk"),
    end("check"),
    Span("bread"),
    end("checked"),
    Span("first"),
    end("ol"),
    Span("detail"),
    end("ul", 1),
    Span("second"),
    end("ol"),
    Span("Quoted"),
    end("quote"),
    Span("twice"),
    end("quote"),
    Span("def f():"),
    end("code", language="python"),
    Span("    return '```'"),
    end("code", language="python"),
]

MARKDOWN = """\
# A page

Some **bold** and <i><b>both</b></i>, <u>under</u>lined, ``x = `1` `` and \
[a link](<https://example.org/a_(b)?c=1\\&d=2>).

- [ ] milk
- [x] bread
1. first
   - detail
2. second

> Quoted
>
> twice

````python
def f():
    return '```'
````
"""


def test_a_page_is_written_as_people_would_write_it() -> None:
    written = to_markdown(PAGE)
    assert written.splitlines()[0] == "# A page"
    assert "Some **bold** and " in written
    assert "- [ ] milk\n- [x] bread\n" in written
    assert "1. first\n   - detail\n2. second\n" in written
    assert "> Quoted\n>\n> twice\n" in written
    assert "````python\ndef f():\n    return '```'\n````\n" in written
    assert from_markdown(written) == joined(PAGE)


def test_what_others_write_is_read() -> None:
    source = """\
Title
=====

One
two\\
three

* a
    * b

      still b

    1. c
* [X] done

#### deep

    indented code

---

| a | b |
|---|---|

<div>html</div>

![cat](cat.png)
"""
    text = "".join(
        f"{line.text}[{line.block}{line.indent or ''}]\n"
        for line in lines_of(from_markdown(source))
    )
    assert text == (
        "Title[h1]\nOne two[]\nthree[]\na[ul]\nb[ul1]\nstill b[ul1]\nc[ol1]\ndone[checked]\n"
        "deep[h3]\nindented code[code]\n---[]\n| a | b | |---|---|[]\n<div>html</div>[]\n\ufffc[]\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        "*stars* _lines_ `ticks` ~~waves~~ <b>tags</b> [brackets](x) &amp; \\ !",
        "# not a heading",
        "1. not a list",
        "12) nor this",
        "- nor this",
        "+ x",
        "> no quote",
        "===",
        "---",
        "```",
        "   led by spaces",
        "trailing spaces   ",
        "\ttab",
        "[ ] no task",
        "<br>",
        "ends in #",
        "a\u00a0",
        "שלום عالم 👨‍👩‍👧 e\u0301",
    ],
)
@pytest.mark.parametrize("block", ["", "h1", "ul", "ol", "check", "quote"])
def test_plain_text_stays_plain(text: str, block: str) -> None:
    spans = [Span(text), end(block)]
    assert from_markdown(to_markdown(spans)) == joined(spans)


def test_nothing_is_nothing() -> None:
    assert to_markdown([]) == ""
    assert from_markdown("") == []


def test_a_last_line_without_an_end_gets_one() -> None:
    assert from_markdown(to_markdown([Span("text")])) == [Span("text\n")]


LETTERS = st.text(
    st.sampled_from("ab1 .,!*_`~[]()<>&#-+=\\|:/\"'é😀ש\u00a0"), min_size=1, max_size=8
)
MARKS = st.fixed_dictionaries(
    {},
    optional={
        "bold": st.just(True),
        "italic": st.just(True),
        "strike": st.just(True),
        "underline": st.just(True),
        "code": st.just(True),
        "link": st.sampled_from(["https://example.org/", "a b", "x?y=1&amp;z", "p(q)\\<>"]),
    },
)
INLINE = st.lists(st.builds(Span, LETTERS, MARKS), max_size=4)


@st.composite
def pages(draw: st.DrawFn) -> list[Span]:
    spans: list[Span] = []
    depth = -1
    for _ in range(draw(st.integers(0, 6))):
        block = draw(st.sampled_from(["", "h1", "h2", "h3", "ul", "ol", "check", "quote", "code"]))
        indent = 0
        if block in {"ul", "ol", "check"}:
            indent = draw(st.integers(0, depth + 1))
            depth = indent
        else:
            depth = -1
        if block == "code":
            spans += [Span(draw(LETTERS)), end("code", language=draw(st.sampled_from(["py", "c"])))]
        else:
            spans += [*draw(INLINE), end(block, indent)]
    return spans


@settings(max_examples=400, deadline=None)
@given(pages())
@example(PAGE)
def test_every_page_survives_the_round_trip(page: list[Span]) -> None:
    written = to_markdown(page)
    assert from_markdown(written) == joined(page), written


@given(st.text(max_size=200))
def test_any_markdown_is_read(source: str) -> None:
    text = "".join(span.text for span in from_markdown(source))
    assert text == "" or text.endswith("\n")
