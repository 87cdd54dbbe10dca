"""Finds the files that come with the application: icons, translations, handbook."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def resources_folder() -> Path:
    """Return the folder of resources: inside the installed package, or in the source tree."""
    here = Path(__file__).resolve().parent
    installed = here / "resources"
    return installed if installed.is_dir() else here.parent.parent / "resources"


def resource(name: str) -> Path:
    """Return the path of one resource, such as ``icons/lutra.svg``."""
    return resources_folder() / name
