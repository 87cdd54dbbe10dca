"""`lutra run`, `status`, `peers`, `watch`: the node itself, and looking at it."""

from __future__ import annotations

import contextlib
from typing import Any

import click

from lutra.cli.client import ControlClient
from lutra.cli.invocation import Invocation, common, network_options, to_json
from lutra.cli.session import session
from lutra.cli.text import columns, count, short
from lutra.errors import LocalError


class NothingRunsError(LocalError):
    """The command needs a running node."""

    code = "node.not-running"


@click.command()
@network_options
@common
def run(invocation: Invocation, **network: Any) -> None:
    """Run the node in the foreground until Ctrl-C.

    The first line of output says that it is ready; with --json its status.
    """
    from lutra.cli.foreground import run_node
    from lutra.cli.listen import options

    def ready(status: dict[str, Any]) -> None:
        where = ", ".join(status["listening"])
        name = status["identity"]["name"]
        invocation.show(status, f"{name}'s node listens at {where}; Ctrl-C ends it.")

    run_node(invocation.profile, options(**network), ready)


@click.command()
@common
def status(invocation: Invocation) -> None:
    """Show this device, and how much it holds."""
    with session(invocation.profile) as node:
        found = node.call("status")
    who = found["identity"]
    lines = [
        f"{who['name']} on {who['device_name']}  {who['device']}",
        f"{count(found['groups'], 'group')}, {count(found['documents'], 'page')}, "
        f"{count(found['operations'], 'operation')}",
    ]
    if found["running"]:
        lines.append(
            f"Running at {', '.join(found['listening'])}; "
            f"{count(found['connected'], 'device')} connected"
        )
    else:
        lines.append("Not running: start `lutra run` or the window to meet other devices.")
    if found["drafts"]:
        lines.append(f"{count(found['drafts'], 'page')} with edits that wait to be sent")
    if found["waiting_for_keys"]:
        lines.append(f"{count(found['waiting_for_keys'], 'operation')} that cannot be read yet")
    if found["forks"]:
        lines.append(f"{count(found['forks'], 'log')} whose author signed two histories")
    invocation.show(found, "\n".join(lines))


@click.command()
@common
def peers(invocation: Invocation) -> None:
    """List the other devices this one knows."""
    with session(invocation.profile) as node:
        found = node.call("peers")
    rows = [
        (
            short(item["device"]),
            item["name"] or "(name not known yet)",
            item["device_name"],
            "connected" if item["connected"] else "not connected",
            item["address"],
        )
        for item in found
    ]
    invocation.show(found, columns(rows) or "No other devices yet: lutra group invite GROUP")


@click.command()
@common
def watch(invocation: Invocation) -> None:
    """Print the running node's events, one JSON object a line, until it ends or Ctrl-C."""
    client = ControlClient.connect(invocation.profile)
    if client is None:
        from lutra.store.profile import Profile

        Profile.open(invocation.profile)
        raise NothingRunsError(
            "No Lutra runs on this profile: start `lutra run` or the window first."
        )
    with contextlib.closing(client), contextlib.suppress(KeyboardInterrupt):
        for event in client.watch():
            click.echo(to_json(event))
