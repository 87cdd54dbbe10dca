"""`lutra group …`: make, list, show groups; invite and join. Members: `lutra.cli.members`."""

from __future__ import annotations

from typing import Any

import click

from lutra.cli.invocation import Invocation, common, network_options
from lutra.cli.members import COMMANDS, departure
from lutra.cli.session import session
from lutra.cli.text import columns, count, moment, short


@click.group()
def group() -> None:
    """Groups: who shares what."""


for command in COMMANDS:
    group.add_command(command)


@group.command()
@click.argument("name")
@common
def create(invocation: Invocation, name: str) -> None:
    """Create a group called NAME."""
    with session(invocation.profile) as node:
        made = node.call("create_group", name=name)
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
            item["name"],
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
    lines = [f"{found['name']}  {found['id']}", f"{count(found['documents'], 'page')}"]
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


@group.command()
@click.argument("group_id", metavar="GROUP")
@common
def invite(invocation: Invocation, group_id: str) -> None:
    """Make an invite into GROUP; give its code to one person only."""
    with session(invocation.profile) as node:
        made = node.call("invite", group=group_id)
        running = node.call("status")["running"]
    text = f"Code: {made['code']}\nLink: {made['link']}\nGood until {moment(made['expires'])}."
    if not running:
        text += "\nIt can be used while this device is running: lutra run"
    invocation.show(made, text)


@group.command()
@click.argument("code")
@click.option("--address", metavar="HOST:PORT", help="Where the inviting device listens, if known.")
@network_options
@common
def join(invocation: Invocation, code: str, address: str | None, **network: Any) -> None:
    """Join a group with the CODE or link of an invite.

    The options of the network count if no node runs on the profile.
    """
    with session(invocation.profile, network=network) as node:
        joined = node.call("join", code=code, address=address)
    invocation.show(joined, f"Joined “{joined['name']}”: {joined['id']}")


def _present(item: dict[str, Any]) -> int:
    return sum(1 for member in item["members"] if member["present"])


def _state(member: dict[str, Any]) -> str:
    if not member["present"]:
        return "removed"
    if member["me"]:
        return "this device"
    return "online" if member["online"] else "offline"
