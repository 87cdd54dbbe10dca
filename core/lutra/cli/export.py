"""`lutra export`: every page as a Markdown file."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Any

import click

from lutra.cli.invocation import Folder, Invocation, common
from lutra.cli.session import Session, session
from lutra.cli.text import count, short

_LONGEST_NAME = 100
_RESERVED = re.compile(r"(?i)^(con|prn|aux|nul|com\d|lpt\d)$")


@click.command()
@click.argument("directory", type=Folder())
@click.option("--group", "group_id", metavar="GROUP", help="Only the pages of this group.")
@common
def export(invocation: Invocation, directory: Path, group_id: str | None) -> None:
    """Write pages as Markdown files into DIRECTORY, one folder a group.

    Files that are there already are left alone, which makes the status 1: they may be older.
    """
    with session(invocation.profile) as node:
        groups = node.call("groups")
        if group_id is not None:
            only = node.call("group", group=group_id)["id"]
            groups = [item for item in groups if item["id"] == only]
        pages = [page for item in groups for page in _export_group(node, directory, item)]
    files = [str(path) for path, written in pages if written]
    there = [str(path) for path, written in pages if not written]
    value = {"directory": str(directory), "pages": len(files), "files": files, "there": there}
    left = f"; left alone, as there already: {', '.join(there)}" if there else ""
    invocation.show(value, f"Exported {count(len(files), 'page')} to {directory}{left}")
    if there:
        raise click.exceptions.Exit(1)


def _export_group(node: Session, directory: Path, group: dict[str, Any]) -> list[tuple[Path, bool]]:
    """Write a group's pages; returns each one's file, and whether it was written now."""
    pages = node.call("documents", group=group["id"])
    folder = directory / _file_name(group["name"], group["id"])
    if not pages:
        return []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [_export_page(node, folder, page) for page in pages]
    except OSError as error:
        raise click.ClickException(f"Cannot write to {folder}: {error.strerror}.") from None


def _export_page(node: Session, folder: Path, page: dict[str, Any]) -> tuple[Path, bool]:
    markdown = node.call("export", document=page["id"])["markdown"]
    path = folder / f"{_file_name(page['title'], page['id'])}.md"
    try:
        file = path.open("x", encoding="utf-8", newline="\n")
    except FileExistsError:
        return path, False
    with file:
        file.write(markdown)
    return path, True


def _file_name(title: str, identifier: str) -> str:
    """Make a name every file system takes, and that leads nowhere else, from a title.

    Titles come from other people: separators, dots in front, control and bidirectional characters
    are taken out; the id keeps names apart.
    """
    kept = "".join(
        " "
        if character in '/\\:*?"<>|' or unicodedata.category(character)[0] in "CZ"
        else character
        for character in unicodedata.normalize("NFC", title)
    )
    name = " ".join(kept.split()).strip(". ")[:_LONGEST_NAME].strip(". ")
    while len(name.encode()) > 2 * _LONGEST_NAME:
        name = name[:-1]
    if not name or _RESERVED.match(name):
        name = "page"
    return f"{name} {short(identifier)}"
