"""Verbs of recovery kits; words never travel here, only what a kit has signed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from lutra.identity.device_log import KitConsent
from lutra.node.arguments import Arguments
from lutra.node.node import Node


async def _kits(node: Node, arguments: Arguments) -> object:
    arguments.finish()
    return await node.recovery.list()


async def _add(node: Node, arguments: Arguments) -> object:
    consent = KitConsent(
        arguments.base64("device"),
        arguments.base64("nonce"),
        arguments.base64("sealing_key"),
        arguments.base64("signature"),
    )
    arguments.finish()
    return await node.recovery.add(consent)


async def _statements(node: Node, arguments: Arguments) -> object:
    arguments.finish()
    return await node.recovery.statements()


async def _withdraw(node: Node, arguments: Arguments) -> object:
    evidence = arguments.base64("withdrawal")
    arguments.finish()
    return await node.recovery.take_withdrawal(evidence)


VERBS: dict[str, Callable[[Node, Arguments], Awaitable[object]]] = {
    "recovery_add": _add,
    "recovery_kits": _kits,
    "recovery_statements": _statements,
    "recovery_withdraw": _withdraw,
}
