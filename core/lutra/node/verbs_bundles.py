"""Verbs of bundles."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from lutra.errors import UsageError
from lutra.node.arguments import Arguments, group_id, person_id
from lutra.node.node import Node


async def _export(node: Node, arguments: Arguments) -> object:
    path = _path(arguments)
    groups, person = arguments.optional_texts("groups"), arguments.optional_text("person")
    everything, overwrite = arguments.flag("everything"), arguments.flag("overwrite")
    arguments.finish()
    return await node.bundles.export(
        path,
        groups=[await group_id(node, text) for text in groups],
        person=None if person is None else await person_id(node, person),
        everything=everything,
        overwrite=overwrite,
    )


async def _import(node: Node, arguments: Arguments) -> object:
    path = _path(arguments)
    arguments.finish()
    return await node.bundles.load(path)


def _path(arguments: Arguments) -> Path:
    path = Path(arguments.text("file"))
    if not path.is_absolute():
        raise UsageError("A bundle's file must be named by its full path.")
    return path


VERBS: dict[str, Callable[[Node, Arguments], Awaitable[object]]] = {
    "bundle_export": _export,
    "bundle_import": _import,
}
