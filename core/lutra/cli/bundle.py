"""`lutra bundle …`: groups as one encrypted file, for sticks and other ways without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lutra.cli.invocation import Invocation, common
from lutra.cli.session import session
from lutra.cli.text import columns, count


@click.group()
def bundle() -> None:
    """Bundles: everything of some groups in one encrypted file."""


@bundle.command(name="export")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--group", "groups", multiple=True, metavar="GROUP", help="This group; repeatable.")
@click.option("--person", metavar="PERSON", help="All groups you share with this person.")
@click.option("--all", "everything", is_flag=True, help="All groups, for your other devices too.")
@click.option("--overwrite", is_flag=True, help="Replace FILE if it is there.")
@common
def export_file(
    invocation: Invocation,
    *,
    file: Path,
    groups: tuple[str, ...],
    person: str | None,
    everything: bool,
    overwrite: bool,
) -> None:
    """Write groups into FILE; only their members, and your recovery kit, can open it."""
    with session(invocation.profile) as node:
        made = node.call(
            "bundle_export",
            file=str(file.absolute()),
            groups=list(groups),
            person=person,
            everything=everything,
            overwrite=overwrite,
        )
    operations = count(made["operations"], "change")
    text = f"Wrote {count(len(made['groups']), 'group')} with {operations} to {file}"
    invocation.show(made, text)


@bundle.command(name="import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@common
def import_file(invocation: Invocation, file: Path) -> None:
    """Take in what FILE holds for this device; twice is harmless."""
    with session(invocation.profile) as node:
        taken = node.call("bundle_import", file=str(file.absolute()))
    invocation.show(taken, describe(taken))


def describe(taken: dict[str, Any]) -> str:
    """Say in lines what a bundle brought."""
    rows = [
        (
            group["name"] or "(name not known yet)",
            f"{group['new']} new",
            f"{group['known']} known",
            f"{group['refused']} refused",
            count(group["pages"], "new page"),
        )
        for group in taken["groups"]
    ]
    head = f"{count(taken['new'], 'new change')}, {count(taken['pages'], 'new page')}."
    return "\n".join([head, columns(rows)]) if rows else head
