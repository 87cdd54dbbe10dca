"""`lutra demo`: two complete nodes edit one page, lose each other half way, and meet again."""

from __future__ import annotations

import dataclasses
import signal
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lutra.cli.desktop import has_desktop, has_screen
from lutra.cli.invocation import Invocation, common

if TYPE_CHECKING:
    from lutra.cli.demo.conductor import Report


@click.command()
@click.option(
    "--trace",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Replay this recording of two people (josephg/editing-traces, concurrent).",
)
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep the two profiles in this directory, which must be empty.",
)
@click.option("--no-windows", is_flag=True, help="Show no windows, even on a display.")
@common
def demo(invocation: Invocation, trace: Path | None, keep: Path | None, no_windows: bool) -> None:
    """Show two devices that share a page, lose each other and meet again.

    Two nodes run as processes of their own, as root on networks of their own. Each types one
    side of a recorded session (or of a built-in script); half way the cable is pulled. On a
    display both windows are shown.
    """
    from lutra.cli.demo.cable import make_cable
    from lutra.cli.demo.conductor import perform
    from lutra.cli.demo.trace import built_in_script, load_trace

    if keep is not None and keep.is_dir() and any(keep.iterdir()):
        raise click.UsageError(f"{keep} is not empty.")
    script = load_trace(trace) if trace is not None else built_in_script()
    # A plain kill takes the networks down too, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ExitStack() as stack:
        directory = keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lutra-")))
        directory.mkdir(parents=True, exist_ok=True)
        cable = make_cable()
        stack.callback(cable.close)
        report = perform(
            script,
            cable,
            directory,
            lambda text: click.echo(text, err=True),
            windows=not no_windows and has_screen() and has_desktop(),
        )
    invocation.show(dataclasses.asdict(report), _text(report))
    if not report.equal:
        raise click.ClickException("The two texts are not what they must be.")


def _text(report: Report) -> str:
    lines = [
        f"{report.script}: {report.transactions:,} transactions, {report.edits:,} edits "
        f"in {report.replay:.1f} s",
        f"apart for {report.apart:.1f} s with {report.typed_apart} edits; "
        f"together again {report.converged * 1000:.0f} ms after the cable was plugged in",
        f"last edit on the other side after {report.last_edit * 1000:.0f} ms",
        f"{report.wire_bytes:,} bytes on the wire, {report.wire_bytes / report.edits:.1f} an edit",
    ]
    for store in report.stores:
        text = "as it must be" if store.matches else "WRONG"
        lines.append(
            f"{store.name}: text of {store.characters:,} characters {text}; "
            f"{store.operations:,} operations, {store.database_bytes:,} bytes of database; "
            f"{store.holders} of {store.devices} devices hold everything"
        )
    return "\n".join(lines)
