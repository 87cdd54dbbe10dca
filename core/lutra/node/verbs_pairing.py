"""Verbs of pairing; a profile that waits for its person has these and no others."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import Protocol

from lutra.node.arguments import Arguments
from lutra.node.device_files import DeviceFiles
from lutra.node.pairing_service import PairingService


class Pairs(Protocol):
    """Whoever can be paired: a node, or a profile that waits for its person."""

    @property
    def pairing(self) -> PairingService:
        """Pairs on a network."""
        ...

    @property
    def device_files(self) -> DeviceFiles:
        """Pairs by files."""
        ...


async def _view(pairs: Pairs, arguments: Arguments) -> object:
    arguments.finish()
    return pairs.pairing.view


async def _show(pairs: Pairs, arguments: Arguments) -> object:
    new, link = arguments.flag("new"), arguments.flag("link")
    arguments.finish()
    return await pairs.pairing.show(new=new, link=link)


async def _enter(pairs: Pairs, arguments: Arguments) -> object:
    code, new = arguments.text("code"), arguments.flag("new")
    addresses = arguments.texts("addresses")
    arguments.finish()
    return await pairs.pairing.enter(code, new=new, addresses=addresses)


async def _is_entered(pairs: Pairs, arguments: Arguments) -> object:
    code, new = arguments.text("code"), arguments.flag("new")
    addresses = arguments.texts("addresses")
    arguments.finish()
    return {"same": pairs.pairing.is_entered(code, new=new, addresses=addresses)}


async def _accept(pairs: Pairs, arguments: Arguments) -> object:
    merge = arguments.flag("merge")
    arguments.finish()
    return await pairs.pairing.accept(merge=merge)


async def _cancel(pairs: Pairs, arguments: Arguments) -> object:
    arguments.finish()
    return await pairs.pairing.cancel()


async def _wait(pairs: Pairs, arguments: Arguments) -> object:
    revision = arguments.number("revision")
    arguments.finish()
    return await pairs.pairing.wait(revision)


async def _offer(pairs: Pairs, arguments: Arguments) -> object:
    link = arguments.flag("link")
    arguments.finish()
    made = await pairs.device_files.offer(link=link)
    return {"link": made.link, "content": _text(made.content)}


async def _offer_saved(pairs: Pairs, arguments: Arguments) -> object:
    content = arguments.base64("content")
    arguments.finish()
    await pairs.device_files.offer_saved(content)
    return None


async def _read_request(pairs: Pairs, arguments: Arguments) -> object:
    content = arguments.base64("content")
    arguments.finish()
    return await pairs.device_files.read_request(content)


async def _respond(pairs: Pairs, arguments: Arguments) -> object:
    content, same = arguments.base64("content"), arguments.flag("same_digits")
    arguments.finish()
    return {"content": _text(await pairs.device_files.respond(content, same_digits=same))}


async def _request(pairs: Pairs, arguments: Arguments) -> object:
    link, merge = arguments.text("link", ""), arguments.flag("merge")
    offered: str | bytes = link or arguments.base64("content")
    arguments.finish()
    made = await pairs.device_files.request(offered, merge=merge)
    return {"digits": made.digits, "content": _text(made.content)}


async def _digits(pairs: Pairs, arguments: Arguments) -> object:
    arguments.finish()
    return {"digits": await pairs.device_files.digits()}


async def _take_response(pairs: Pairs, arguments: Arguments) -> object:
    content, same = arguments.base64("content"), arguments.flag("same_digits")
    arguments.finish()
    separate = await pairs.device_files.accept(content, same_digits=same)
    return {"separate": separate}


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


PAIRING_VERBS: dict[str, Callable[[Pairs, Arguments], Awaitable[object]]] = {
    "pairing": _view,
    "pairing_accept": _accept,
    "pairing_cancel": _cancel,
    "pairing_digits": _digits,
    "pairing_enter": _enter,
    "pairing_is_entered": _is_entered,
    "pairing_offer": _offer,
    "pairing_offer_saved": _offer_saved,
    "pairing_read_request": _read_request,
    "pairing_request": _request,
    "pairing_respond": _respond,
    "pairing_show": _show,
    "pairing_take_response": _take_response,
    "pairing_wait": _wait,
}
