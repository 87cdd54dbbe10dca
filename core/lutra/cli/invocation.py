"""What every command shares: `--profile`, `--json`, and how results are shown."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import click
import platformdirs

from lutra.cli.text import harmless

_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Invocation:
    """The options of one call.

    Attributes:
        profile: the profile directory.
        json: show results as JSON instead of text.
    """

    profile: Path
    json: bool

    def show(self, value: object, text: str) -> None:
        """Print a result: `value` with `--json`, otherwise `text`."""
        click.echo(to_json(value) if self.json else harmless(text, kept="\n"))


class Folder(click.Path):
    """A directory. An empty text is none: it would stand for the current one, by accident."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, file_okay=False)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """Refuse an empty text."""
        if value == "":
            self.fail("the name of the directory is empty.", param, ctx)
        return super().convert(value, param, ctx)


def default_profile() -> Path:
    """Return the default profile directory (the store's own answer, without importing it)."""
    return platformdirs.user_data_path("lutra", appauthor=False)


def to_json(value: object) -> str:
    """Write plain values as one line of JSON."""
    return json.dumps(value, ensure_ascii=False, default=str)


def common(command: _Command) -> _Command:
    """Give a command `--profile` and `--json`; it receives them as its `invocation`.

    An option given before the command's name (`lutra --json status`) counts too.
    """

    @click.option(
        "--profile",
        type=Folder(),
        envvar="LUTRA_PROFILE",
        help="Directory of the profile (default: the user's data directory).",
    )
    @click.option("--json", "as_json", is_flag=True, help="Show results as JSON.")
    @functools.wraps(command)
    def wrapper(*args: Any, profile: Path | None, as_json: bool, **kwargs: Any) -> Any:
        outer = click.get_current_context().find_object(Invocation)
        directory = profile or (outer.profile if outer else default_profile())
        asked = as_json or (outer is not None and outer.json)
        return command(*args, invocation=Invocation(directory.absolute(), asked), **kwargs)

    return cast("_Command", wrapper)


def network_options(command: _Command) -> _Command:
    """Give a command the options that `lutra.cli.listen.options` takes."""
    for option in (
        click.option("--peer", "peers", multiple=True, metavar="HOST:PORT", help="Dial this too."),
        click.option("--no-discovery", is_flag=True, help="Neither look for others nor be found."),
        click.option(
            "--interface", metavar="ADDR", help="Use only the interface with this address."
        ),
        click.option(
            "--listen", metavar="HOST:PORT", help="Listen here only (port 0: any free one)."
        ),
    ):
        command = option(command)
    return command


def is_typed() -> bool:
    """Tell whether a person types what is read from standard input."""
    return sys.stdin is not None and sys.stdin.isatty()  # pyright: ignore[reportUnnecessaryComparison]


def read_text() -> str:
    """Return standard input as text; line ends become `\\n`.

    Raises:
        click.ClickException: it is not UTF-8, or there is none.
    """
    if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison] - closed by the caller
        raise click.ClickException("There is no standard input to read the text from.")
    if is_typed():
        click.echo("Type the text; Ctrl-D ends it.", err=True)
    data = sys.stdin.buffer.read()
    try:
        return data.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise click.ClickException("The text on standard input is not UTF-8.") from None
