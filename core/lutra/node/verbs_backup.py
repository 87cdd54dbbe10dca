"""The verb that backs a profile up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from lutra.node.arguments import Arguments
from lutra.node.node import Node


async def _back_up(node: Node, arguments: Arguments) -> object:
    directory, passphrase = arguments.text("directory"), arguments.text("passphrase")
    arguments.finish()
    report = await node.back_up(Path(directory), passphrase)
    return {
        "directory": report.directory,
        "bytes": report.size,
        "operations": report.contents.counts["operations"],
        "pages": report.contents.counts["documents"],
    }


VERBS: dict[str, Callable[[Node, Arguments], Awaitable[object]]] = {"back_up": _back_up}
