"""`lutra group join`, `joins`, `nearby`: coming into a group, and meeting people nearby."""

from __future__ import annotations

from typing import Any

import click

from lutra.cli.invites import ROLES
from lutra.cli.invocation import Invocation, common, network_options
from lutra.cli.session import session
from lutra.cli.text import columns, moment, short

_LOOK_SECONDS = 5
_PAGES_LATER = "Its pages come while Lutra runs: lutra run, or the window."


@click.command()
@click.argument("code", nargs=-1, required=True)
@click.option("--address", metavar="HOST:PORT", help="Where the inviting device listens, if known.")
@click.option(
    "--wait/--no-wait",
    default=None,
    help="Wait for approval too, however long; or not at all (default: half a minute).",
)
@network_options
@common
def join(
    invocation: Invocation,
    *,
    code: tuple[str, ...],
    address: str | None,
    wait: bool | None,
    **network: Any,
) -> None:
    """Join a group with the CODE, short code (407 tavem dilok) or link of an invite.

    The attempt goes on while Lutra runs on this profile. The options of the network count if no
    node runs on it.
    """
    seconds = 0 if wait is False else None
    with session(invocation.profile, network=network) as node:
        found = node.call("join", code=" ".join(code), address=address, wait=seconds)
        if wait and found["state"] in ("seeking", "waiting"):
            click.echo(_progress(found), err=True)
            found = node.call("wait_join", join=found["id"])
        hint = "" if node.lasts or found["state"] != "admitted" else f"\n{_PAGES_LATER}"
    invocation.show(found, _progress(found) + hint)


@click.command()
@click.option("--cancel", metavar="ID", help="Give this attempt up, or forget one that is over.")
@common
def joins(invocation: Invocation, cancel: str | None) -> None:
    """List the invites you are using; give one of them up."""
    with session(invocation.profile) as node:
        if cancel is not None:
            invocation.show(node.call("cancel_join", join=cancel), "Given up.")
            return
        found = node.call("joins")
    rows = [
        (
            short(item["id"]),
            item["state"],
            item["comparison"],
            f"from {item['inviter']}" if item["inviter"] else "",
            moment(item["since"]),
            item["reason"],
        )
        for item in found
    ]
    invocation.show(found, columns(rows) or "No invites are being used: lutra group join CODE")


@click.command()
@click.option("--visible", type=float, metavar="MINUTES", help="Let others see you; 0 ends it.")
@click.option("--invite", "invited", nargs=2, metavar="PERSON GROUP", help="Invite PERSON.")
@click.option("--role", type=click.Choice(ROLES), default="writer", help="Role of who comes in.")
@click.option("--accept", metavar="INVITATION", help="Say yes to an invitation.")
@click.option("--refuse", metavar="INVITATION", help="Say no to an invitation.")
@common
def nearby(
    invocation: Invocation,
    *,
    visible: float | None,
    invited: tuple[str, str] | None,
    role: str,
    accept: str | None,
    refuse: str | None,
) -> None:
    """Look who is nearby and visible, and who invites you; needs a running node.

    Before you say yes or approve, compare the digits: both screens must show the same.
    """
    if sum(one is not None for one in (visible, invited, accept, refuse)) > 1:
        raise click.UsageError("Give one of --visible, --invite, --accept and --refuse.")
    with session(invocation.profile) as node:
        if visible is not None:
            view = node.call("show_nearby", seconds=round(visible * 60))
            until = view["visible_until"]
            text = f"Others nearby can see you until {moment(until)}." if until else "Not visible."
            invocation.show(view, text)
        elif invited is not None:
            asked = node.call("invite_nearby", person=invited[0], group=invited[1], role=role)
            text = (
                f"Asked. The other screen must show {asked['comparison']}. Once they have said "
                "yes: lutra group approve"
            )
            invocation.show(asked, text)
        elif accept is not None or refuse is not None:
            answered = node.call(
                "answer_nearby", invitation=accept or refuse, accept=accept is not None
            )
            text = "Said no." if accept is None else _progress(answered)
            invocation.show(answered, text)
        else:
            view = node.call("nearby", look=_LOOK_SECONDS)
            invocation.show(view, _around(view))


def _progress(found: dict[str, Any]) -> str:
    """Say in one or two lines how far joining has come."""
    if found["state"] == "admitted":
        return f"Joined “{found['name'] or '(name not known yet)'}”: {found['group']}"
    if found["state"] == "waiting":
        return (
            "Somebody in the group has to let you in first. They see the same digits: "
            f"{found['comparison']}\nThis goes on while Lutra runs: lutra group joins"
        )
    return "Not found yet. This goes on while Lutra runs: lutra group joins"


def _around(view: dict[str, Any]) -> str:
    rows = [
        (one["id"][:6], one["name"], one["device_name"], one["state"], one["comparison"])
        for one in view["people"]
    ]
    rows += [
        (one["id"][:6], one["name"], one["device_name"], "invites you", one["comparison"])
        for one in view["invitations"]
    ]
    return columns(rows) or "Nobody is visible nearby: lutra group nearby --visible 10"
