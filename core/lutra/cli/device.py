"""`lutra device …`: list, pair, link, rename and remove the devices of one person."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import click

from lutra.cli import device_files
from lutra.cli.invocation import Invocation, common, network_options
from lutra.cli.pairing import Pairing
from lutra.cli.session import pairing_session, session
from lutra.cli.text import columns, harmless, short
from lutra.errors import UsageError

_FILE = click.Path(path_type=Path, dir_okay=False)
_same = click.option(
    "--yes-same",
    is_flag=True,
    help="Both devices show the same digits; for scripts that have compared them.",
)


@click.group()
def device() -> None:
    """Your own devices: add, name and remove them."""


@device.command(name="list")
@common
def list_devices(invocation: Invocation) -> None:
    """List the devices of this person."""
    with session(invocation.profile) as node:
        found = node.call("devices")
    rows = [(short(item["device"]), item["name"] or "(no name)", _state(item)) for item in found]
    invocation.show(found, columns(rows))


@device.command()
@click.option("--code", help="Enter the code or link that the new device shows.")
@click.option("--address", "addresses", multiple=True, metavar="HOST:PORT", help="Where it is.")
@click.option("--link", is_flag=True, help="Show a link instead of a code.")
@click.option("--qr", is_flag=True, help="Show a QR code of the link.")
@click.option("--offer", type=_FILE, help="Write an offer to FILE, for a device never met.")
@click.option("--offer-link", is_flag=True, help="The same as a link, to be passed on unseen.")
@click.option("--request", "request_file", type=_FILE, help="Answer the request in FILE.")
@click.option("--response", type=_FILE, help="Write the answer to FILE.")
@_same
@network_options
@common
def pair(
    invocation: Invocation,
    *,
    code: str | None,
    addresses: tuple[str, ...],
    link: bool,
    qr: bool,
    offer: Path | None,
    offer_link: bool,
    request_file: Path | None,
    response: Path | None,
    yes_same: bool,
    **network: Any,
) -> None:
    """Take a new device in: show a code for it, or enter the one it shows.

    By files: --offer FILE or --offer-link, then --request FILE --response FILE with what the new
    device has written.
    """
    if offer is not None or offer_link:
        device_files.offer(invocation, offer)
        return
    if request_file is not None or response is not None:
        if request_file is None or response is None:
            raise UsageError("A request is answered with --request FILE and --response FILE.")
        device_files.answer(invocation, request_file, response, yes_same=yes_same)
        return
    wish = {"link": True} if link or qr else {}
    with pairing_session(invocation.profile, network=network) as node:
        pairing = Pairing(node, invocation, yes_same=yes_same, qr=qr)
        if code is not None:
            done = pairing.run("pairing_enter", code=code, new=False, addresses=addresses)
        else:
            done = pairing.run("pairing_show", new=False, **wish)
        pairing.stay_until_copied(done)


@device.command()
@click.argument("code", required=False, metavar="[CODE|LINK]")
@click.option("--address", "addresses", multiple=True, metavar="HOST:PORT", help="Where it is.")
@click.option("--device", "name", help="What this device is called (default: its host name).")
@click.option(
    "--keep-separate",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Keep the identity that is here as it is: link in a new profile in DIR.",
)
@click.option("--merge", is_flag=True, help="Make the identity that is here part of the person.")
@click.option("--link", is_flag=True, help="Show a link instead of a code.")
@click.option("--qr", is_flag=True, help="Show a QR code of the link.")
@click.option("--offer", help="Answer the offer in FILE, or of a link, with --request FILE.")
@click.option("--request", "request_file", type=_FILE, help="Write the request to FILE.")
@click.option("--response", type=_FILE, help="Read the answer from FILE.")
@_same
@network_options
@common
def link(
    invocation: Invocation,
    *,
    code: str | None,
    addresses: tuple[str, ...],
    name: str | None,
    keep_separate: Path | None,
    merge: bool,
    link: bool,
    qr: bool,
    offer: str | None,
    request_file: Path | None,
    response: Path | None,
    yes_same: bool,
    **network: Any,
) -> None:
    """Make this device one of yours: enter the code that another one shows, or show one here.

    The profile may be a fresh one; it is created if need be. By files: --offer FILE --request
    FILE, then --response FILE.
    """
    if keep_separate is not None and merge:
        raise UsageError("The identity that is here is either kept separate or merged.")
    profile = keep_separate.absolute() if keep_separate is not None else invocation.profile
    name = name or platform.node() or "device"
    if offer is not None:
        if request_file is None:
            raise UsageError("Say where the request is to be written: --request FILE.")
        device_files.ask(invocation, profile, name, offer, request_file, merge=merge)
        return
    if response is not None:
        device_files.take(invocation, profile, name, response, yes_same=yes_same)
        return
    with pairing_session(profile, network=network, device=name) as node:
        if node.has_person is not merge:
            raise UsageError(
                "There is no identity here that could be merged."
                if merge
                else "There is an identity on this profile: say --merge, or --keep-separate DIR."
            )
        pairing = Pairing(node, invocation, yes_same=yes_same, qr=qr, merge=merge)
        if code is not None:
            pairing.run("pairing_enter", code=code, new=True, addresses=addresses)
        else:
            pairing.run("pairing_show", new=True, link=link or qr)
    with session(profile, network=network) as node:
        Pairing(node, invocation).catch_up()


@device.command()
@click.argument("wanted", metavar="DEVICE")
@click.argument("name")
@common
def rename(invocation: Invocation, wanted: str, name: str) -> None:
    """Call DEVICE (an id, or its first six letters or more) NAME."""
    with session(invocation.profile) as node:
        changed = node.call("rename_device", device=wanted, name=name)
    invocation.show(changed, f"Called “{changed['name']}” from now on: {short(changed['device'])}")


@device.command()
@click.argument("wanted", metavar="DEVICE")
@click.option(
    "--wipe",
    is_flag=True,
    help="Also ask it to delete everything it holds. It does if it goes online with an unchanged "
    "program; who keeps it offline or has changed the program keeps everything.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@common
def remove(invocation: Invocation, wanted: str, *, wipe: bool, yes: bool) -> None:
    """Remove DEVICE from your devices, and so from all your groups.

    New text is encrypted with keys it does not get. What it holds already stays on it, unless
    --wipe is heard.
    """
    with session(invocation.profile) as node:
        found = node.call("device", device=wanted)
        # What was removed already is refused without a question.
        if not yes and found["active"]:
            question = f"Remove {_called(found)} from your devices"
            node.meanwhile(
                lambda: click.confirm(
                    harmless(
                        f"{question} and ask it to delete everything?" if wipe else f"{question}?"
                    ),
                    abort=True,
                    err=True,
                )
            )
        removed = node.call("remove_device", device=found["device"], wipe=wipe)
    name = removed["name"] or short(removed["device"])
    text = f"Removed “{name}”. Groups change their keys now."
    if wipe:
        text += (
            " It deletes everything once it meets one of your devices or a member of one of your "
            "groups. Whoever keeps it offline, or has changed its program, keeps what is on it."
        )
    invocation.show(removed, text)


def _called(item: dict[str, Any]) -> str:
    shown = short(item["device"])
    if item["me"]:
        return f"this device ({shown})"
    return f"“{item['name']}” ({shown})" if item["name"] else shown


def _state(item: dict[str, Any]) -> str:
    if not item["active"]:
        return "removed"
    if item["me"]:
        return "this device"
    return "online" if item["online"] else "offline"
