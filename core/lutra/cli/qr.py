"""QR codes for the terminal and for sheets to print."""

from __future__ import annotations

import io

import segno


def terminal(payload: str) -> str:
    """Return a QR code drawn with block characters."""
    out = io.StringIO()
    segno.make(payload, error="m").terminal(out=out, compact=True)
    return out.getvalue().rstrip("\n")


def svg(payload: str) -> str:
    """Return a QR code as an SVG element."""
    return segno.make(payload, error="q").svg_inline(scale=5)
