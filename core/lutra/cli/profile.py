"""`lutra init`: the profile of this person on this device."""

from __future__ import annotations

import platform

import click

from lutra.cli import passphrase
from lutra.cli.invocation import Invocation, common


@click.command()
@click.option("--name", required=True, help="What others call you.")
@click.option("--device", default=None, help="What this device is called (default: its host name).")
@click.option(
    "--passphrase",
    "with_passphrase",
    is_flag=True,
    help="Lock the profile with a passphrase (asked for, or from LUTRA_PASSPHRASE_FILE).",
)
@common
def init(invocation: Invocation, name: str, device: str | None, with_passphrase: bool) -> None:
    """Create a profile: your name and this device's keys. Nothing leaves this machine."""
    from lutra.cli.own import create_profile

    secret = passphrase.ask(new=True) if with_passphrase else None
    identity, custody = create_profile(
        invocation.profile, name, device or platform.node() or "device", secret=secret
    )
    value = {**identity, "profile": str(invocation.profile), "custody": custody}
    invocation.show(value, f"Ready, {identity['name']}. This device: {identity['device']}")
