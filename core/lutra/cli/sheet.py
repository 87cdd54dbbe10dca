"""The recovery kit's sheet, to be printed: HTML with a QR code, or plain text."""

from __future__ import annotations

import html
import os
from pathlib import Path

import click

from lutra.identity.recovery import Sheet

_STYLE = """
body { font: 12pt/1.5 serif; margin: 2.5cm; max-width: 16cm; color: #000; background: #fff; }
h1 { font-size: 20pt; margin: 0 0 0.6cm; }
ol { columns: 3; font: 15pt/2 monospace; padding-left: 1.2cm; margin: 0.8cm 0; }
svg { width: 5cm; height: 5cm; display: block; }
p.mark { font-family: monospace; }
"""


def write_sheet(sheet: Sheet, path: Path) -> None:
    """Write a sheet for this user only; ``.txt`` gives plain text, anything else HTML.

    Raises:
        click.ClickException: there is a file of this name, or the disk does not take it.
    """
    text = sheet.text() if path.suffix.lower() == ".txt" else to_html(sheet)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise click.ClickException(f"Cannot write {path}: {error.strerror}.") from None


def to_html(sheet: Sheet) -> str:
    """Return a sheet as one HTML page that needs nothing else."""
    from lutra.cli.qr import svg

    sentences = "\n".join(f"<p>{html.escape(one)}</p>" for one in sheet.instructions)
    words = "\n".join(f"<li>{html.escape(word)}</li>" for word in sheet.words)
    return f"""<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>{html.escape(sheet.title)}</title>
<style>{_STYLE}</style>
<h1>{html.escape(sheet.title)}</h1>
{sentences}
<ol>
{words}
</ol>
{svg(sheet.qr)}
<p class="mark">{html.escape(sheet.mark)} · {html.escape(sheet.made)}</p>
</html>
"""
