"""`lutra page …`: make, list, show, edit pages and look at their history."""

from __future__ import annotations

import sys

import click

from lutra.cli.invocation import Invocation, common, is_typed, read_text
from lutra.cli.session import session
from lutra.cli.text import columns, count, harmless, moment, page_state, short


@click.group()
def page() -> None:
    """Pages: the documents of a group."""


@page.command()
@click.argument("group_id", metavar="GROUP")
@click.option("--title", default="", help="The page's title.")
@common
def create(invocation: Invocation, group_id: str, title: str) -> None:
    """Create a page in GROUP with the text on standard input."""
    if is_typed():
        # Nobody is to write a text for a group that is not there.
        with session(invocation.profile) as node:
            group_id = node.call("group", group=group_id)["id"]
    text = read_text()
    with session(invocation.profile) as node:
        made = node.call("create_document", group=group_id, title=title, text=text)
    named = f"“{made['title']}”" if made["title"] else "a page without a title"
    invocation.show(made, f"Created {named}: {made['id']}")


@page.command(name="list")
@click.argument("group_id", metavar="[GROUP]", required=False)
@common
def list_pages(invocation: Invocation, group_id: str | None) -> None:
    """List pages, last changed first; of GROUP or of all groups."""
    with session(invocation.profile) as node:
        pages = node.call("documents", group=group_id)
    rows = [
        (short(item["id"]), moment(item["changed"]), item["title"] or "(no title)")
        for item in pages
    ]
    invocation.show(pages, columns(rows) or "No pages yet: lutra page create GROUP")


@page.command()
@click.argument("page_id", metavar="PAGE")
@common
def show(invocation: Invocation, page_id: str) -> None:
    """Print the text of PAGE (an id, or its first six letters or more).

    Its title and state go to stderr, so that the output is exactly the text.
    """
    with session(invocation.profile) as node:
        found = node.call("document", document=page_id)
    if invocation.json:
        invocation.show(found, "")
        return
    title = harmless(found["title"]) or "(no title)"
    click.echo(f"{title}. {page_state(found['status'])}", err=True)
    # As bytes it goes out as it is; a terminal is not to be commanded by it, though.
    text = harmless(found["text"], kept="\n\t") if sys.stdout.isatty() else found["text"]
    click.echo(text.encode(), nl=False)


@page.command()
@click.argument("page_id", metavar="PAGE")
@click.option("--append", is_flag=True, help="Put standard input at the end.")
@click.option("--at", "position", type=click.IntRange(min=0), help="Edit at this position.")
@click.option("--delete", type=click.IntRange(min=0), default=0, help="Delete so many characters.")
@click.option("--insert", default=None, metavar="TEXT", help="Insert TEXT.")
@common
def edit(
    *,
    invocation: Invocation,
    page_id: str,
    append: bool,
    position: int | None,
    delete: int,
    insert: str | None,
) -> None:
    """Change the text of PAGE; without options standard input replaces it.

    Positions count Unicode characters from 0. A replaced text is merged as the smallest change.
    """
    if append and position is not None:
        raise click.UsageError("Give either --append or --at.")
    if position is None and (delete or insert is not None):
        raise click.UsageError("--delete and --insert need --at.")
    if position is not None and not delete and not insert:
        raise click.UsageError("--at needs --delete or --insert.")
    text = read_text() if position is None else ""
    with session(invocation.profile) as node:
        if position is not None:
            changed = node.call(
                "splice", document=page_id, position=position, delete=delete, insert=insert or ""
            )
        else:
            verb = "append" if append else "replace_text"
            changed = node.call(verb, document=page_id, text=text)
    invocation.show(changed, f"Saved; the page has {count(changed['length'], 'character')}.")


@page.command()
@click.argument("page_id", metavar="PAGE")
@common
def history(invocation: Invocation, page_id: str) -> None:
    """List who changed PAGE and when."""
    with session(invocation.profile) as node:
        changes = node.call("history", document=page_id)
        is_empty = not changes and not node.call("document", document=page_id)["text"]
    rows = [
        (
            moment(item["time"]) or "(time not known)",
            item["name"] or "(name not known yet)",
            count(item["edits"], "edit"),
        )
        for item in changes
    ]
    nothing = (
        "Nothing was written yet."
        if is_empty
        else "Who wrote this is not known here: newcomers get the page as it stands."
    )
    invocation.show(changes, columns(rows) or nothing)
