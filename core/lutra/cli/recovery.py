"""`lutra recovery …`: kits on paper, and coming back by one.

The words stay in this process: a running node is given only what the kit has signed.
"""

from __future__ import annotations

import base64
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lutra.cli.invocation import Invocation, common, network_options
from lutra.cli.session import Session, session
from lutra.cli.text import columns, count, moment

if TYPE_CHECKING:
    from lutra.identity.recovery import RecoveryKit
    from lutra.node.new_kit import NewKit
    from lutra.node.person_views import KitView

_ATTEMPTS = 3


@click.group()
def recovery() -> None:
    """Recovery kits: twelve words on paper that bring you back if all devices are lost."""


@recovery.command()
@click.option(
    "--sheet",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the sheet to print into this file (HTML; plain text if it ends in .txt).",
)
@common
def create(invocation: Invocation, sheet: Path | None) -> None:
    """Make a recovery kit; it counts once two of its words were typed back."""
    from lutra.cli.sheet import write_sheet
    from lutra.node.ids import parse_id
    from lutra.node.new_kit import NewKit

    with session(invocation.profile) as node:
        identity = node.call("status")["identity"]
        new = NewKit(parse_id(identity["person"]), identity["name"], time.strftime("%Y-%m-%d"))
        if sheet is None:
            click.echo(new.sheet.text(), err=True)
        else:
            write_sheet(new.sheet, sheet)
            click.echo(f"Print {sheet} now, and delete the file afterwards.", err=True)
        made = _test_and_add(node, new)
    invocation.show(made, f"Your recovery kit {made['mark']} is valid. Keep the sheet safe.")


@recovery.command()
@common
def test(invocation: Invocation) -> None:
    """Type the words from a sheet, to see that they are right and still valid."""
    from lutra.node.recovery import matching

    with session(invocation.profile) as node:
        kits = _kits(node)
        kit = matching(kits, _ask_words())
    state = "valid" if kit.active else "withdrawn"
    value = {"mark": kit.mark, "active": kit.active, "made": kit.made}
    invocation.show(value, f"These are the words of your recovery kit {kit.mark}: it is {state}.")


@recovery.command(name="list")
@common
def list_kits(invocation: Invocation) -> None:
    """List your recovery kits."""
    with session(invocation.profile) as node:
        kits = node.call("recovery_kits")
    rows = [
        (kit["mark"], moment(kit["made"]), "valid" if kit["active"] else "withdrawn")
        for kit in kits
    ]
    text = columns(rows) or "No recovery kit yet: lutra recovery create"
    invocation.show(kits, text)


@recovery.command()
@click.argument("mark")
@common
def withdraw(invocation: Invocation, mark: str) -> None:
    """Make the kit with the letters MARK invalid, by the words of any valid kit."""
    from lutra.node.recovery import withdrawal

    with session(invocation.profile) as node:
        statements = tuple(base64.b64decode(one) for one in node.call("recovery_statements"))
        signed = withdrawal(statements, _kits(node), mark, _ask_words())
        kit = node.call("recovery_withdraw", withdrawal=base64.b64encode(signed).decode())
    invocation.show(kit, f"Your recovery kit {kit['mark']} is not valid any more.")


@recovery.command()
@click.option("--name", required=True, help="What others call you.")
@click.option("--device", default=None, help="What this device is called (default: its host name).")
@click.option(
    "--bundle",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A bundle that you or somebody you share groups with has made.",
)
@click.option(
    "--remove-lost",
    is_flag=True,
    help="Remove all devices you had before, those in reach included.",
)
@click.option(
    "--passphrase",
    "with_passphrase",
    is_flag=True,
    help="Lock the profile with a passphrase (asked for, or from LUTRA_PASSPHRASE_FILE).",
)
@network_options
@common
def restore(
    invocation: Invocation,
    *,
    name: str,
    device: str | None,
    bundle: Path | None,
    remove_lost: bool,
    with_passphrase: bool,
    **network: Any,
) -> None:
    """Come back on a new profile, by the words of your recovery kit."""
    from lutra.cli.listen import options
    from lutra.cli.restore import restore_here

    value = restore_here(
        invocation.profile,
        _ask_words(),
        name=name,
        device=device or platform.node() or "device",
        bundle=bundle,
        remove_lost=remove_lost,
        with_passphrase=with_passphrase,
        options=options(**network),
    )
    lines = [
        f"Welcome back, {name}: {count(value['groups'], 'group')}, {count(value['pages'], 'page')}."
    ]
    if value["waiting"]:
        waits = count(value["waiting"], "group")
        lines.append(f"{waits} can be written in once a member was met: lutra run")
    if not value["own_devices"]:
        lines.append(
            "None of your devices was found: what only they had is lost unless a bundle has it."
        )
    if value["lost"]:
        devices = count(len(value["lost"]), "earlier device")
        lines.append(f"{devices} of yours can still read along; remove those that are lost.")
    invocation.show(value, "\n".join(lines))


def _test_and_add(node: Session, new: NewKit) -> dict[str, Any]:
    from lutra.identity.errors import WordsError

    for attempt in range(_ATTEMPTS):
        typed = {place: click.prompt(f"Word {place}", err=True) for place in new.places}
        try:
            agreed = new.tested(typed)
        except WordsError as error:
            click.echo(error.message, err=True)
            if attempt == _ATTEMPTS - 1:
                raise
            continue
        fields = {
            "device": agreed.device,
            "nonce": agreed.nonce,
            "sealing_key": agreed.sealing_key,
            "signature": agreed.signature,
        }
        encoded = {key: base64.b64encode(value).decode() for key, value in fields.items()}
        return node.call("recovery_add", **encoded)
    raise AssertionError


def _kits(node: Session) -> list[KitView]:
    from lutra.node.ids import parse_id
    from lutra.node.person_views import KitView

    return [
        KitView(parse_id(kit["key"]), kit["mark"], kit["active"], kit["made"])
        for kit in node.call("recovery_kits")
    ]


def _ask_words() -> RecoveryKit:
    """Ask for the words; one that is probably mistyped is named with what it may be."""
    from lutra.identity.errors import WordsError
    from lutra.identity.recovery import RecoveryKit, suggestions

    text = click.prompt("The twelve words", err=True)
    try:
        return RecoveryKit.restore(text)
    except WordsError:
        found = suggestions(text.lower().replace(",", " ").split())
        if found:
            hints = " or ".join(f"word {place} “{word}”" for place, word in found[:3])
            click.echo(f"Perhaps {hints}?", err=True)
        raise
