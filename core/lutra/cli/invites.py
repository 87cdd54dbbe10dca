"""`lutra group invite`, `invites`, `approve`: letting others into a group."""

from __future__ import annotations

import re
from typing import Any

import click

from lutra.cli.invocation import Invocation, common
from lutra.cli.session import session
from lutra.cli.text import columns, count, moment, short

ROLES = ("keeper", "reader", "writer", "admin")
_UNITS = {"m": 60, "h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600}
_WHILE_RUNNING = "It can be used while this device is running: lutra run"


def _span(_context: click.Context, _option: click.Parameter, value: str | None) -> int | None:
    """Read a time span such as ``30m``, ``12h``, ``3d`` or ``2w``; returns milliseconds."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d{1,5})([mhdw])", value.strip())
    if found is None or int(found[1]) == 0:
        raise click.BadParameter(f"“{value}” is no time span; write it like 30m, 12h, 3d or 2w.")
    return int(found[1]) * _UNITS[found[2]] * 1000


@click.command()
@click.argument("group_id", metavar="GROUP")
@click.option("--role", type=click.Choice(ROLES), default="writer", help="Role of who comes in.")
@click.option("--expires", callback=_span, metavar="SPAN", help="Good for 30m, 12h, 3d, 2w …")
@click.option(
    "--uses",
    type=click.IntRange(min=1),
    metavar="N",
    help="So many persons may use it (default: 1).",
)
@click.option("--approve", is_flag=True, help="Whoever uses it waits until you approve.")
@click.option("--short", "short_code", is_flag=True, help="A number and two words to say, too.")
@click.option("--qr", "as_qr", is_flag=True, help="Show the link as a QR code, too.")
@click.option("--no-address", is_flag=True, help="Do not tell where this device is.")
@common
def invite(
    invocation: Invocation,
    *,
    group_id: str,
    role: str,
    expires: int | None,
    uses: int | None,
    approve: bool,
    short_code: bool,
    as_qr: bool,
    no_address: bool,
) -> None:
    """Make an invite into GROUP; give its code to those only whom you want to let in."""
    with session(invocation.profile) as node:
        made = node.call(
            "invite",
            group=group_id,
            role=role,
            lifetime=expires,
            uses=uses,
            by_hand=approve,
            short=short_code,
            with_address=not no_address,
        )
        running = node.call("status")["running"]
    lines = [f"Code: {made['code']}", f"Link: {made['link']}"]
    if made["short_code"]:
        lines.append(f"Short code: {made['short_code']} (one try, {moment(made['short_expires'])})")
    lines.append(f"Good until {moment(made['expires'])} for {count(made['uses'], 'person')}.")
    if approve:
        lines.append("Whoever uses it waits until you approve: lutra group approve")
    if not running:
        lines.append(_WHILE_RUNNING)
    if as_qr:
        from lutra.cli.qr import terminal

        lines += ["", terminal(made["qr"])]
    invocation.show(made, "\n".join(lines))


@click.command()
@click.argument("group_id", metavar="[GROUP]", required=False)
@click.option("--revoke", metavar="ID", help="Withdraw this invite.")
@click.option("--new-code", metavar="ID", help="Give this invite a new short code.")
@common
def invites(
    invocation: Invocation, *, group_id: str | None, revoke: str | None, new_code: str | None
) -> None:
    """List the invites of this device (into GROUP); withdraw one, or renew its short code."""
    if revoke is not None and new_code is not None:
        raise click.UsageError("Give one of --revoke and --new-code.")
    with session(invocation.profile) as node:
        if revoke is not None:
            taken = node.call("revoke_invite", invite=revoke)
            invocation.show(taken, "Withdrawn: nobody comes in by this invite any more.")
            return
        if new_code is not None:
            made = node.call("renew_short_code", invite=new_code)
            invocation.show(made, f"Short code: {made['short_code']} (one try)")
            return
        found = node.call("invites", group=group_id)
        names = {item["id"]: item["name"] for item in node.call("groups")}
    rows = [
        (
            short(item["id"]),
            names.get(item["group"], ""),
            item["role"],
            item["state"] if item["state"] != "open" else f"open, {item['uses']} left",
            "by hand" if item["by_hand"] else "",
            moment(item["expires"]),
            _short_state(item),
        )
        for item in found
    ]
    invocation.show(found, columns(rows) or "No invites: lutra group invite GROUP")


@click.command()
@click.argument("device", metavar="[DEVICE]", required=False)
@click.option("--list", "as_list", is_flag=True, help="Only show who waits.")
@click.option("--decline", is_flag=True, help="Do not let them in.")
@common
def approve(invocation: Invocation, *, device: str | None, as_list: bool, decline: bool) -> None:
    """Let in the person whose DEVICE waits; without one, show who waits.

    Compare the digits with that person first: both screens must show the same.
    """
    if device is None and decline:
        raise click.UsageError("Say whom to decline.")
    with session(invocation.profile) as node:
        if device is None or as_list:
            waiting = node.call("requests")
            text = columns([_waiting(item) for item in waiting])
            invocation.show(waiting, text or "Nobody waits to be let in.")
            return
        done = node.call("decide", device=device, approve=not decline)
    who = f"{done['name']} on {done['device_name']}"
    said = "is not let in" if decline else f"is in “{done['group_name']}” now"
    invocation.show({**done, "approved": not decline}, f"{who} {said}.")


def _short_state(item: dict[str, Any]) -> str:
    if item["short_state"] == "guessed":
        return "short code tried with wrong words, dead"
    return item["short_code"]


def _waiting(item: dict[str, Any]) -> tuple[str, ...]:
    return (
        short(item["device"]),
        item["name"],
        item["device_name"],
        f"into {item['group_name']} as {item['role']}",
        item["comparison"],
        moment(item["time"]),
    )
