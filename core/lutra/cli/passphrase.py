"""Asking for a profile's passphrase: on the terminal or from a file, never as an argument."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from lutra.errors import EnvironmentalError, LocalError

FILE_VARIABLE = "LUTRA_PASSPHRASE_FILE"
"""Environment variable that names a file whose first line is the passphrase."""


class NoTerminalError(LocalError):
    """A passphrase is needed and there is nobody to ask."""

    code = "passphrase.nobody-to-ask"


class PassphraseFileError(EnvironmentalError):
    """The passphrase file cannot be read."""

    code = "passphrase.file"


def ask(*, new: bool = False) -> str:
    """Return the passphrase; a new one typed on the terminal is asked for twice.

    Raises:
        PassphraseFileError: LUTRA_PASSPHRASE_FILE cannot be read.
        NoTerminalError: there is neither a terminal nor LUTRA_PASSPHRASE_FILE.
    """
    named = os.environ.get(FILE_VARIABLE)
    if named:
        return _first_line(Path(named))
    if not sys.stdin.isatty():
        raise NoTerminalError(
            "This profile needs a passphrase and there is no terminal to ask on; put it into a "
            f"file and name that in {FILE_VARIABLE}."
        )
    return click.prompt("Passphrase", hide_input=True, confirmation_prompt=new, err=True)


def _first_line(path: Path) -> str:
    try:
        return path.read_text("utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise PassphraseFileError(
            f"The passphrase file cannot be read ({type(error).__name__}).", path=str(path)
        ) from None
