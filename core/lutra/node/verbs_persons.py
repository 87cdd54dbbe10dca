"""Verbs of persons and safety numbers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from lutra.node.arguments import Arguments, person_id
from lutra.node.node import Node


async def _persons(node: Node, arguments: Arguments) -> object:
    arguments.finish()
    return await node.people.list()


async def _person(node: Node, arguments: Arguments) -> object:
    person = await _taken(node, arguments)
    return await node.people.get(person)


async def _safety_number(node: Node, arguments: Arguments) -> object:
    person = await _taken(node, arguments)
    return await node.people.safety_number(person)


async def _verify(node: Node, arguments: Arguments) -> object:
    number = arguments.text("number")
    person = await _taken(node, arguments)
    return await node.people.verify(person, number)


async def _withdraw(node: Node, arguments: Arguments) -> object:
    person = await _taken(node, arguments)
    return await node.people.withdraw(person)


async def _seen(node: Node, arguments: Arguments) -> object:
    person = await _taken(node, arguments)
    return await node.people.mark_seen(person)


async def _taken(node: Node, arguments: Arguments) -> bytes:
    text = arguments.text("person")
    arguments.finish()
    return await person_id(node, text)


VERBS: dict[str, Callable[[Node, Arguments], Awaitable[object]]] = {
    "person": _person,
    "person_seen": _seen,
    "person_verify": _verify,
    "person_withdraw": _withdraw,
    "persons": _persons,
    "safety_number": _safety_number,
}
