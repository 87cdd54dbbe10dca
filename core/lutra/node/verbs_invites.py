"""Verbs of coming in: invites, requests, joining, people nearby."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from lutra.errors import UsageError
from lutra.groups.contents import Role
from lutra.node.arguments import Arguments, group_id
from lutra.node.ids import resolve_id
from lutra.node.invitations import INVITE_LIFETIME
from lutra.node.invite_api import JOIN_SECONDS
from lutra.node.node import Node

_MAX_LOOKING = 60


async def _invite(node: Node, arguments: Arguments) -> object:
    group = arguments.text("group")
    role = _role(arguments.text("role", "writer"))
    uses, lifetime = arguments.number("uses", 1), arguments.number("lifetime", INVITE_LIFETIME)
    by_hand, short = arguments.flag("by_hand"), arguments.flag("short")
    with_address = arguments.flag("with_address", default=True)
    arguments.finish()
    return await node.invite(
        await group_id(node, group),
        role=role,
        uses=uses,
        lifetime=lifetime,
        by_hand=by_hand,
        short=short,
        with_address=with_address,
    )


async def _invites(node: Node, arguments: Arguments) -> object:
    group = arguments.optional_text("group")
    arguments.finish()
    return await node.invites(None if group is None else await group_id(node, group))


async def _revoke(node: Node, arguments: Arguments) -> object:
    return await node.revoke_invite(await _invite_id(node, arguments))


async def _renew(node: Node, arguments: Arguments) -> object:
    return await node.renew_short_code(await _invite_id(node, arguments))


async def _requests(node: Node, arguments: Arguments) -> object:
    arguments.finish()
    return await node.requests()


async def _decide(node: Node, arguments: Arguments) -> object:
    text, approve = arguments.text("device"), arguments.flag("approve", default=True)
    arguments.finish()
    waiting = {request.device: request for request in await node.requests()}
    device = resolve_id(text, waiting, "waiting device")
    await (node.approve(device) if approve else node.decline(device))
    return waiting[device]


async def _join(node: Node, arguments: Arguments) -> object:
    code, address = arguments.text("code"), arguments.optional_text("address")
    seconds = arguments.number("wait", int(JOIN_SECONDS))
    arguments.finish()
    return await node.join(code, address, wait=seconds)


async def _wait_join(node: Node, arguments: Arguments) -> object:
    return await node.wait_join(await _join_id(node, arguments))


async def _joins(node: Node, arguments: Arguments) -> object:
    arguments.finish()
    return await node.joins()


async def _cancel_join(node: Node, arguments: Arguments) -> object:
    join = await _join_id(node, arguments)
    await node.cancel_join(join)
    return {"cancelled": join}


async def _nearby(node: Node, arguments: Arguments) -> object:
    seconds = arguments.number("look", 0)
    arguments.finish()
    if seconds > _MAX_LOOKING:
        raise UsageError(f"Look around for up to {_MAX_LOOKING} seconds at a time.")
    if seconds:
        node.look_nearby(2 * seconds + 60)
        await asyncio.sleep(seconds)
    return node.nearby()


async def _show_nearby(node: Node, arguments: Arguments) -> object:
    seconds = arguments.number("seconds")
    arguments.finish()
    node.show_nearby(seconds)
    return node.nearby()


async def _invite_nearby(node: Node, arguments: Arguments) -> object:
    person, group = arguments.text("person"), arguments.text("group")
    role = _role(arguments.text("role", "writer"))
    arguments.finish()
    chosen = _one(person, [(one.id, one.name) for one in node.nearby().people], "person nearby")
    digits = await node.invite_nearby(chosen, await group_id(node, group), role=role)
    return {"person": chosen, "comparison": digits}


async def _answer_nearby(node: Node, arguments: Arguments) -> object:
    text, accept = arguments.text("invitation"), arguments.flag("accept")
    seconds = arguments.number("wait", int(JOIN_SECONDS))
    arguments.finish()
    names = [(one.id, one.name) for one in node.nearby().invitations]
    answered = await node.answer_nearby(
        _one(text, names, "invitation"), accept=accept, wait=seconds
    )
    return {"declined": True} if answered is None else answered


async def _invite_id(node: Node, arguments: Arguments) -> bytes:
    text = arguments.text("invite")
    arguments.finish()
    return resolve_id(text, [view.id for view in await node.invites()], "invite")


async def _join_id(node: Node, arguments: Arguments) -> bytes:
    text = arguments.text("join")
    arguments.finish()
    known = {view.id for view in await node.joins()} | node.admissions()
    return resolve_id(text, known, "attempt to join")


def _one(text: str, names: Iterable[tuple[str, str]], noun: str) -> str:
    """Return the id that a name, an id, or the beginning of one stands for."""
    wanted = text.strip().lower()
    found = [one for one, name in names if wanted and (one.startswith(wanted) or name == text)]
    if len(found) != 1:
        raise UsageError(
            f"There is no {noun} “{text}”."
            if not found
            else f"Several fit “{text}”; give the {noun}'s id."
        )
    return found[0]


def _role(text: str) -> Role:
    try:
        return Role[text.upper()]
    except KeyError:
        names = ", ".join(role.name.lower() for role in Role)
        raise UsageError(f"There is no role “{text}”; there are {names}.") from None


VERBS: dict[str, Callable[[Node, Arguments], Awaitable[object]]] = {
    "invite": _invite,
    "invite_nearby": _invite_nearby,
    "invites": _invites,
    "answer_nearby": _answer_nearby,
    "cancel_join": _cancel_join,
    "decide": _decide,
    "join": _join,
    "joins": _joins,
    "nearby": _nearby,
    "renew_short_code": _renew,
    "requests": _requests,
    "revoke_invite": _revoke,
    "show_nearby": _show_nearby,
    "wait_join": _wait_join,
}
