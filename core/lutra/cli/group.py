"""`lutra group …`: make, list, show groups; invite and join. Members: `lutra.cli.members`."""

from __future__ import annotations

from typing import Any

import click

from lutra.cli import invites, joining
from lutra.cli.invocation import Invocation, common
from lutra.cli.members import COMMANDS, departure
from lutra.cli.session import session
from lutra.cli.text import columns, count, short


@click.group()
def group() -> None:
    """Groups: who shares what."""


for command in COMMANDS:
    group.add_command(command)


@group.command()
@click.argument("name")
@click.option(
    "--history",
    type=click.Choice(["archive", "join-on", "sealed"]),
    default="archive",
    show_default=True,
    help="What newcomers may read of the time before them; it stays as it is.",
)
@common
def create(invocation: Invocation, name: str, history: str) -> None:
    """Create a group called NAME.

    archive: newcomers read everything. join-on: they read pages as they are, not what they were.
    sealed: the same, and the key of each change is deleted once it has been read.
    """
    with session(invocation.profile) as node:
        made = node.call("create_group", name=name, profile=history)
    invocation.show(made, f"Created “{made['name']}”: {made['id']}")


@group.command(name="list")
@common
def list_groups(invocation: Invocation) -> None:
    """List the groups of this device."""
    with session(invocation.profile) as node:
        groups = node.call("groups")
    rows = [
        (
            short(item["id"]),
            item["name"] or "(name not known yet)",
            count(_present(item), "device"),
            count(item["documents"], "page"),
        )
        for item in groups
    ]
    invocation.show(groups, columns(rows) or "No groups yet: lutra group create NAME")


@group.command()
@click.argument("group_id", metavar="GROUP")
@common
def show(invocation: Invocation, group_id: str) -> None:
    """Show GROUP (an id, or its first six letters or more) and its members."""
    with session(invocation.profile) as node:
        found = node.call("group", group=group_id)
    lines = [
        f"{found['name']}  {found['id']}",
        f"{count(found['documents'], 'page')}, history: {found['profile']}",
    ]
    rows = [
        (
            short(member["device"]),
            member["name"] or "(name not known yet)",
            member["device_name"],
            _state(member),
        )
        for member in found["members"]
    ]
    if found["departure"] is not None:
        lines.append(departure(found["departure"]))
    invocation.show(found, "\n".join([*lines, columns(rows)]))


for command in (invites.invite, invites.invites, invites.approve):
    group.add_command(command)
for command in (joining.join, joining.joins, joining.nearby):
    group.add_command(command)


def _present(item: dict[str, Any]) -> int:
    return sum(1 for member in item["members"] if member["present"])


def _state(member: dict[str, Any]) -> str:
    if not member["present"]:
        return "removed"
    if member["me"]:
        return "this device"
    return "online" if member["online"] else "offline"
