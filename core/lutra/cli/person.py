"""`lutra person …`: who is in your groups, with which devices, and whether that was compared."""

from __future__ import annotations

from typing import Any

import click

from lutra.cli.invocation import Invocation, common
from lutra.cli.session import session
from lutra.cli.text import columns, count, short

_TRUST = {
    "unverified": "not verified",
    "verified": "verified",
    "changed": "KEYS CHANGED since they were verified: compare again",
}


@click.group()
def person() -> None:
    """Persons: their devices, and comparing safety numbers."""


@person.command()
@click.argument("person_id", metavar="[PERSON]", required=False)
@common
def show(invocation: Invocation, person_id: str | None) -> None:
    """Show PERSON with devices and safety number; without one, list everybody."""
    with session(invocation.profile) as node:
        if person_id is None:
            everybody = node.call("persons")
            invocation.show(everybody, columns([_row(item) for item in everybody]))
            return
        found = node.call("person", person=person_id)
        number = None if found["me"] else node.call("safety_number", person=found["id"])
    lines = [
        f"{found['name'] or '(name not known yet)'}  {found['id']}",
        "You" if found["me"] else _TRUST[found["trust"]],
        f"{count(len(found['groups']), 'group')} shared",
        columns(
            [
                (short(device["device"]), device["name"], _state(device))
                for device in found["devices"]
            ]
        ),
    ]
    if number is not None:
        lines += ["", "Safety number:", number_text(number), _qr(number)]
    invocation.show({**found, "safety_number": number}, "\n".join(lines))


@person.command()
@click.argument("person_id", metavar="PERSON")
@click.option("--number", help="The number the other person reads to you.")
@click.option("--qr", "scanned", metavar="TEXT", help="What a scan of the other's QR code gave.")
@click.option("--withdraw", is_flag=True, help="Vouch for this person no longer.")
@click.option("--seen", is_flag=True, help="Note that you know of the change; it stays unverified.")
@common
def verify(
    invocation: Invocation,
    *,
    person_id: str,
    number: str | None,
    scanned: str | None,
    withdraw: bool,
    seen: bool,
) -> None:
    """Compare the safety number of PERSON, on a way nobody else controls."""
    if sum((number is not None, scanned is not None, withdraw, seen)) > 1:
        raise click.UsageError("Give one of --number, --qr, --withdraw and --seen.")
    with session(invocation.profile) as node:
        if withdraw or seen:
            verb = "person_withdraw" if withdraw else "person_seen"
            result = node.call(verb, person=person_id)
        else:
            compared = number or scanned
            if compared is None:
                compared = _ask(node.call("safety_number", person=person_id))
            result = node.call("person_verify", person=person_id, number=compared)
    invocation.show(result, f"{result['name'] or short(result['id'])}: {_TRUST[result['trust']]}")


def number_text(number: dict[str, Any]) -> str:
    """Write a safety number in three lines of four groups."""
    groups = number["number"]
    return "\n".join(" ".join(groups[start : start + 4]) for start in range(0, len(groups), 4))


def _ask(number: dict[str, Any]) -> str:
    click.echo(number_text(number), err=True)
    click.confirm("Does the other person see the same number?", abort=True, err=True)
    return "".join(number["number"])


def _qr(number: dict[str, Any]) -> str:
    from lutra.cli.qr import terminal

    return terminal(number["qr"])


def _row(found: dict[str, Any]) -> tuple[str, ...]:
    return (
        short(found["id"]),
        found["name"] or "(name not known yet)",
        count(sum(device["active"] for device in found["devices"]), "device"),
        count(len(found["groups"]), "group"),
        "you" if found["me"] else _TRUST[found["trust"]],
    )


def _state(device: dict[str, Any]) -> str:
    if not device["active"]:
        return "removed"
    return "this device" if device["me"] else "in use"
