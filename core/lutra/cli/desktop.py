"""`lutra app`: the window. The desktop is another package, found when it is asked for."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any, cast

import click

from lutra.cli.client import ControlClient, NodeError
from lutra.cli.invocation import Invocation, common, network_options

_DESKTOP = "lutra_app.main"


@click.command()
@network_options
@common
def app(invocation: Invocation, **network: Any) -> None:
    """Open the window, or bring the one that is open to the front."""
    if raise_window(invocation.profile):
        invocation.show({"raised": True}, "Lutra is open already; its window comes to the front.")
        return
    if not has_display():
        raise click.ClickException(
            "There is no display here (neither DISPLAY nor WAYLAND_DISPLAY is set). "
            "`lutra demo` runs without one, and every other command too."
        )
    if not has_desktop():
        raise click.ClickException(
            "The desktop is not installed: pip install 'lutra[desktop]' brings it."
        )
    from lutra.cli.listen import options

    desktop = cast("Any", importlib.import_module(_DESKTOP))
    status = desktop.run(invocation.profile, options(**network))
    if status:
        raise click.exceptions.Exit(int(status))


def has_desktop() -> bool:
    """Tell whether the desktop is installed."""
    return all(importlib.util.find_spec(name) for name in ("PySide6", "lutra_app"))


def has_display() -> bool:
    """Tell whether a window could be shown."""
    return has_screen() or bool(os.environ.get("QT_QPA_PLATFORM"))


def has_screen() -> bool:
    """Tell whether a person could see a window."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def raise_window(profile: Path) -> bool:
    """Ask the Lutra that runs on the profile to show its window; False if none runs.

    Raises:
        NodeError: it runs without a window.
    """
    client = ControlClient.connect(profile)
    if client is None:
        return False
    try:
        client.call("raise")
    except NodeError as error:
        raise click.ClickException(error.message) from None
    finally:
        client.close()
    return True
