"""The `lutra` command: the same verbs the window uses.

Only the command that was asked for is imported, so that `lutra …` answers at once.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, cast

import click

from lutra import __version__
from lutra.cli.invocation import Invocation, common, to_json
from lutra.cli.question import end_process
from lutra.cli.text import harmless
from lutra.errors import LutraError, UsageError

DONE, FAILED, USAGE = 0, 1, 2

COMMANDS = {
    "app": "lutra.cli.desktop:app",
    "backup": "lutra.cli.backup:backup",
    "bundle": "lutra.cli.bundle:bundle",
    "demo": "lutra.cli.demo:demo",
    "device": "lutra.cli.device:device",
    "export": "lutra.cli.export:export",
    "group": "lutra.cli.group:group",
    "init": "lutra.cli.profile:init",
    "mls-vectors": "lutra.cli.mls_vectors:mls_vectors",
    "page": "lutra.cli.page:page",
    "peers": "lutra.cli.running:peers",
    "person": "lutra.cli.person:person",
    "recovery": "lutra.cli.recovery:recovery",
    "run": "lutra.cli.running:run",
    "status": "lutra.cli.running:status",
    "watch": "lutra.cli.running:watch",
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names without importing anything."""
        del ctx
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        return cast("click.Command", getattr(importlib.import_module(module), name))


@click.group(cls=LazyGroup, invoke_without_command=True)
@click.version_option(__version__, prog_name="lutra")
@common
@click.pass_context
def lutra(context: click.Context, invocation: Invocation) -> None:
    """Group documents that stay on your own devices. Without a command: open the window."""
    context.obj = invocation
    if context.invoked_subcommand is None:
        context.invoke(cast("Any", lutra.get_command(context, "app")))


def run(arguments: Sequence[str]) -> int:
    """Carry out one command line and return its exit status: 0 done, 1 failed, 2 wrong usage.

    Whatever goes wrong is one plain sentence on stderr, with `--json` also an object on stdout;
    a traceback is shown only if LUTRA_DEBUG is set.
    """
    as_json = "--json" in arguments
    try:
        # A command that ends early with a status of its own has it returned here.
        status = lutra.main(list(arguments), prog_name="lutra", standalone_mode=False)
    except click.UsageError as error:
        return _failed(error.format_message(), USAGE, as_json=as_json)
    except click.ClickException as error:
        return _failed(error.format_message(), FAILED, as_json=as_json)
    except (click.Abort, KeyboardInterrupt):
        return _failed("Stopped.", FAILED, as_json=as_json)
    except BrokenPipeError:
        # The reader of our output has gone (`| head`).
        _let_go_of_output()
        return FAILED
    except OSError as error:
        _let_go_of_output()
        where = f": {error.filename}" if error.filename else ""
        return _failed(f"{error.strerror or error}{where}.", FAILED, as_json=as_json)
    except LutraError as error:
        values = error.to_dict()
        status = USAGE if values["error"] == UsageError.code else FAILED
        return _failed(error.message, status, values, as_json=as_json)
    except Exception as error:
        if os.environ.get("LUTRA_DEBUG"):
            raise
        sentence = f"Lutra failed unexpectedly ({type(error).__name__}). LUTRA_DEBUG=1 shows where."
        return _failed(sentence, FAILED, {"error": "bug", "message": sentence}, as_json=as_json)
    return status if isinstance(status, int) else DONE


def main() -> None:
    """Run the command line of this process."""
    end_process(run(sys.argv[1:]))


def _let_go_of_output() -> None:
    """Let the interpreter's last flush succeed where nothing more can be written."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _failed(
    sentence: str,
    status: int,
    values: Mapping[str, object] | None = None,
    *,
    as_json: bool,
) -> int:
    click.echo(harmless(sentence, kept="\n"), err=True)
    if as_json:
        code = UsageError.code if status == USAGE else "failed"
        with contextlib.suppress(OSError):
            click.echo(to_json(values or {"error": code, "message": sentence}))
    return status
