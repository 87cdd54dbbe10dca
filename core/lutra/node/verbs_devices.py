"""Verbs about a person's own devices."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from lutra.errors import NotFoundError
from lutra.node.arguments import Arguments
from lutra.node.device_views import DeviceView
from lutra.node.events import CatchUpChanged, GroupsChanged, PeersChanged, PersonChanged
from lutra.node.ids import ID_LETTERS, parse_id, resolve_id
from lutra.node.node import Node


async def _devices(node: Node, arguments: Arguments) -> object:
    arguments.finish()
    return await node.devices()


async def _device(node: Node, arguments: Arguments) -> object:
    wanted = arguments.text("device")
    arguments.finish()
    return await _view(node, await _device_id(node, wanted))


async def _rename_device(node: Node, arguments: Arguments) -> object:
    wanted, name = arguments.text("device"), arguments.text("name")
    arguments.finish()
    device = await _device_id(node, wanted)
    await node.rename_device(device, name)
    return await _view(node, device)


async def _remove_device(node: Node, arguments: Arguments) -> object:
    wanted, wipe = arguments.text("device"), arguments.flag("wipe")
    arguments.finish()
    device = await _device_id(node, wanted)
    await node.remove_device(device, wipe=wipe)
    return await _view(node, device)


async def _catch_up(node: Node, arguments: Arguments) -> object:
    arguments.finish()
    return await node.catch_up()


async def _catch_up_more(node: Node, arguments: Arguments) -> object:
    """Return the progress of a newly paired device once it differs from what is known."""
    groups, pages = arguments.number("groups_ready"), arguments.number("pages_here")
    seconds = arguments.number("seconds", 60)
    arguments.finish()
    with node.events() as events:
        try:
            async with asyncio.timeout(seconds):
                while True:
                    view = await node.catch_up()
                    if view is None or (view.groups_ready, view.pages_here) != (groups, pages):
                        return view
                    while not isinstance(await anext(events), CatchUpChanged | GroupsChanged):
                        pass
        except TimeoutError:
            return await node.catch_up()


async def _wait_for_device(node: Node, arguments: Arguments) -> object:
    """Wait until an own device is connected, or is not any more."""
    device, online = parse_id(arguments.text("device")), arguments.flag("online")
    seconds = arguments.number("seconds", 60)
    arguments.finish()
    with node.events() as events:
        try:
            async with asyncio.timeout(seconds):
                while await _is_online(node, device) is not online:
                    while not isinstance(await anext(events), PeersChanged | PersonChanged):
                        pass
        except TimeoutError:
            return {"online": not online}
    return {"online": online}


async def _is_online(node: Node, device: bytes) -> bool:
    return any(view.online for view in await node.devices() if view.device == device)


async def _view(node: Node, device: bytes) -> DeviceView:
    view = next((view for view in await node.devices() if view.device == device), None)
    if view is None:
        raise NotFoundError("That is not one of your devices: `lutra device list` shows them.")
    return view


async def _device_id(node: Node, text: str) -> bytes:
    if len(text) == ID_LETTERS:
        return parse_id(text)
    return resolve_id(text, [view.device for view in await node.devices()], "device")


DEVICE_VERBS: dict[str, Callable[[Node, Arguments], Awaitable[object]]] = {
    "catch_up": _catch_up,
    "catch_up_more": _catch_up_more,
    "device": _device,
    "devices": _devices,
    "remove_device": _remove_device,
    "rename_device": _rename_device,
    "wait_for_device": _wait_for_device,
}
