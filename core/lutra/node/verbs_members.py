"""Verbs about who is in a group."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from lutra.errors import NotFoundError, UsageError
from lutra.groups.contents import Role
from lutra.node.arguments import Arguments, group_id
from lutra.node.ids import format_id
from lutra.node.node import Node
from lutra.node.plain import plain

_LEAST_LETTERS = 6


async def _members(node: Node, arguments: Arguments) -> object:
    wanted = arguments.text("group")
    arguments.finish()
    group = await group_id(node, wanted)
    view = await node.group(group)
    return {**plain(view), "changes": plain(await node.membership_changes(group))}


async def _set_role(node: Node, arguments: Arguments) -> object:
    wanted, member = arguments.text("group"), arguments.text("person")
    role = _role(arguments.text("role"))
    arguments.finish()
    group = await group_id(node, wanted)
    return await node.set_role(group, await _person(node, group, member), role)


async def _remove_person(node: Node, arguments: Arguments) -> object:
    wanted, member = arguments.text("group"), arguments.text("person")
    arguments.finish()
    group = await group_id(node, wanted)
    person = await _person(node, group, member)
    await node.remove_person(group, person)
    return await node.removal_status(group, person)


async def _removal_preview(node: Node, arguments: Arguments) -> object:
    wanted, member = arguments.text("group"), arguments.text("person")
    arguments.finish()
    group = await group_id(node, wanted)
    return await node.removal_preview(group, await _person(node, group, member))


async def _removal_status(node: Node, arguments: Arguments) -> object:
    wanted, member = arguments.text("group"), arguments.text("person")
    arguments.finish()
    group = await group_id(node, wanted)
    return await node.removal_status(group, await _person(node, group, member))


async def _add_again(node: Node, arguments: Arguments) -> object:
    wanted, member = arguments.text("group"), arguments.text("person")
    role = arguments.optional_text("role")
    arguments.finish()
    group = await group_id(node, wanted)
    person = await _person(node, group, member)
    return await node.add_again(group, person, None if role is None else _role(role))


async def _leave_group(node: Node, arguments: Arguments) -> object:
    wanted = arguments.text("group")
    arguments.finish()
    return await node.leave_group(await group_id(node, wanted))


async def _rename_group(node: Node, arguments: Arguments) -> object:
    wanted, name = arguments.text("group"), arguments.text("name")
    arguments.finish()
    return await node.rename_group(await group_id(node, wanted), name)


def _role(text: str) -> Role:
    try:
        return Role[text.strip().upper()]
    except KeyError:
        known = ", ".join(role.name.lower() for role in Role)
        raise UsageError(f"“{text}” is no role; the roles are {known}.") from None


async def _person(node: Node, group: bytes, text: str) -> bytes:
    """Return the person of a group whose id starts with ``text``, or who alone is called so."""
    members = (await node.group(group)).members
    wanted = text.strip()
    found = {item.person for item in members if item.person and item.name == wanted}
    if not found and len(wanted) >= _LEAST_LETTERS:
        found = {
            item.person
            for item in members
            if item.person and format_id(item.person).startswith(wanted.lower())
        }
    if len(found) > 1:
        raise UsageError(f"Several persons fit “{text}”; give the letters of an id.")
    if not found:
        raise NotFoundError(f"There is nobody “{text}” in this group.")
    return found.pop()


VERBS: dict[str, Callable[[Node, Arguments], Awaitable[object]]] = {
    "add_again": _add_again,
    "leave_group": _leave_group,
    "members": _members,
    "removal_preview": _removal_preview,
    "removal_status": _removal_status,
    "remove_person": _remove_person,
    "rename_group": _rename_group,
    "set_role": _set_role,
}
