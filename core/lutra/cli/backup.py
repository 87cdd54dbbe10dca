"""`lutra backup …`: a whole profile under a passphrase, tried out, and brought back."""

from __future__ import annotations

from pathlib import Path

import click

from lutra.cli import passphrase
from lutra.cli.invocation import Invocation, common
from lutra.cli.session import session
from lutra.cli.text import count
from lutra.errors import UsageError

_directory = click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")


@click.group()
def backup() -> None:
    """Backups: everything on this device, under a passphrase of its own."""


@backup.command()
@_directory
@common
def create(invocation: Invocation, directory: Path) -> None:
    """Write a backup into DIR, which must not exist, and try it out.

    The passphrase is asked for, or comes from LUTRA_PASSPHRASE_FILE.
    """
    secret = passphrase.ask(new=True)
    with session(invocation.profile) as node:
        made = node.call("back_up", directory=str(directory.absolute()), passphrase=secret)
    text = f"{count(made['pages'], 'page')} and {count(made['operations'], 'change')}"
    invocation.show(made, f"Backed up {text} to {directory}; the copy was opened and compared.")


@backup.command()
@_directory
@common
def check(invocation: Invocation, directory: Path) -> None:
    """Open the backup in DIR with its passphrase and read all of it."""
    from lutra.store import backup as backups

    report = backups.check(directory, passphrase.ask())
    counts = report.contents.counts
    pages, operations = counts["documents"], counts["operations"]
    value = {
        "directory": str(directory),
        "bytes": report.size,
        "operations": operations,
        "pages": pages,
    }
    text = f"{count(pages, 'page')} and {count(operations, 'change')}"
    invocation.show(value, f"The backup is sound: {text}.")


@backup.command()
@_directory
@click.option(
    "--keep-passphrase",
    is_flag=True,
    help="Lock the new profile with the backup's passphrase (default: keyring or private file).",
)
@common
def restore(invocation: Invocation, directory: Path, *, keep_passphrase: bool) -> None:
    """Make the profile in --profile, which must not exist yet, from the backup in DIR.

    It goes on as a new device of yours: the old one may have written more since the backup.
    """
    from lutra.store import backup as backups
    from lutra.store.custody import PassphraseCustody

    target = invocation.profile
    if target == directory.absolute():
        raise UsageError("The new profile needs another folder than the backup.")
    secret = passphrase.ask()
    custody = PassphraseCustody(secret) if keep_passphrase else None
    profile = backups.restore(directory, target, secret, custody)
    value = {"profile": str(target), "custody": profile.custody}
    invocation.show(
        value,
        f"Restored to {target}. It goes on as a new device of yours once it is started. Do not "
        "go on using the old one; if it is lost, that is all.",
    )
