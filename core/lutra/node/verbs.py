"""The node's verbs with plain arguments and plain results, for the socket and the command line."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from lutra.documents.delta import Span
from lutra.documents.document import Document
from lutra.documents.markdown_writer import to_markdown
from lutra.errors import NotFoundError, UsageError
from lutra.node import (
    verbs_backup,
    verbs_bundles,
    verbs_invites,
    verbs_members,
    verbs_persons,
    verbs_recovery,
)
from lutra.node.arguments import Arguments
from lutra.node.arguments import group_id as _group_id
from lutra.node.control import ControlServer
from lutra.node.editor_session import EditorSession
from lutra.node.history_profiles import profile_named
from lutra.node.ids import ID_LETTERS, parse_id, resolve_id
from lutra.node.node import Node
from lutra.node.plain import plain, plain_event
from lutra.node.subscription import Subscription
from lutra.node.verbs_devices import DEVICE_VERBS
from lutra.node.verbs_pairing import PAIRING_VERBS
from lutra.store.profile import Profile


def control_server(
    node: Node,
    profile: Profile,
    *,
    window: bool = False,
    ready: Callable[[], Awaitable[object]] | None = None,
) -> ControlServer:
    """Return the control socket's server for a running node, not yet started.

    Args:
        node: answers the verbs.
        profile: has the socket's place.
        window: the node has a window that a second start brings to the front.
        ready: is awaited before each verb; for a node that is just starting.
    """
    return ControlServer(
        profile.socket,
        handler=lambda: ControlHandler(node, ready),
        raise_window=node.request_raise if window else None,
    )


class ControlHandler:
    """Serves one connection of the control socket, or one command without a running node.

    Editing places that a connection opened are given back when it ends.
    """

    def __init__(self, node: Node, ready: Callable[[], Awaitable[object]] | None = None) -> None:
        self._node = node
        self._ready = ready
        self._editors: dict[int, EditorSession] = {}
        self._editors_opened = 0
        self._subscriptions: list[Subscription] = []

    async def perform(self, verb: str, arguments: Mapping[str, object]) -> Any:
        """Carry out one verb and return its result as plain values.

        Raises:
            UsageError: there is no such verb, or its arguments are wrong.
            LutraError: the verb failed.
        """
        checked = Arguments(verb, arguments)
        if self._ready is not None:
            await self._ready()
        if verb in _EDITOR_VERBS:
            return plain(await _EDITOR_VERBS[verb](self, checked))
        if verb in PAIRING_VERBS:
            return plain(await PAIRING_VERBS[verb](self._node, checked))
        if verb in _VERBS:
            return plain(await _VERBS[verb](self._node, checked))
        raise UsageError(f"There is no verb “{verb}”.")

    def watch(self) -> AsyncIterator[object]:
        """Return the node's events from this moment on, as plain values."""
        subscription = self._node.events()
        self._subscriptions.append(subscription)
        return _plain_events(subscription)

    async def close(self) -> None:
        """Give editing places back, and listen no more."""
        for subscription in self._subscriptions:
            subscription.close()
        self._subscriptions.clear()
        for editor in self._editors.values():
            await editor.close()
        self._editors.clear()

    async def open_editor(self, arguments: Arguments) -> object:
        """Take an editing place: its number, the Loro peer id to edit as, and the snapshot."""
        wanted = arguments.text("document")
        arguments.finish()
        document = await _document_id(self._node, wanted)
        editor = await self._node.open_editor(document)
        self._editors_opened += 1
        self._editors[self._editors_opened] = editor
        return {
            "editor": self._editors_opened,
            "document": document,
            "peer": str(editor.peer),
            "slot": editor.slot,
            "snapshot": base64.b64encode(editor.snapshot).decode(),
        }

    async def apply(self, arguments: Arguments) -> object:
        """Take in edits of an editing place; they are durable when the answer comes."""
        editor, update = self._editor(arguments), arguments.base64("update")
        arguments.finish()
        await editor.apply(update)
        return {"saved": True}

    async def close_editor(self, arguments: Arguments) -> object:
        """Give one editing place back."""
        number = arguments.number("editor")
        arguments.finish()
        editor = self._editors.pop(number, None)
        if editor is not None:
            await editor.close()
        return {"closed": editor is not None}

    def _editor(self, arguments: Arguments) -> EditorSession:
        number = arguments.number("editor")
        try:
            return self._editors[number]
        except KeyError:
            raise NotFoundError("This connection has no such editor open.") from None


async def _plain_events(subscription: Subscription) -> AsyncIterator[object]:
    async for event in subscription:
        yield plain_event(event)


async def _document_id(node: Node, text: str) -> bytes:
    if len(text) == ID_LETTERS:
        return parse_id(text)
    return resolve_id(text, [page.id for page in await node.documents()], "page")


async def _status(node: Node, arguments: Arguments) -> object:
    arguments.finish()
    return await node.status()


async def _peers(node: Node, arguments: Arguments) -> object:
    arguments.finish()
    return await node.peers()


async def _groups(node: Node, arguments: Arguments) -> object:
    arguments.finish()
    return await node.groups()


async def _group(node: Node, arguments: Arguments) -> object:
    group = arguments.text("group")
    arguments.finish()
    return await node.group(await _group_id(node, group))


async def _create_group(node: Node, arguments: Arguments) -> object:
    name, profile = arguments.text("name"), arguments.text("profile", "archive")
    arguments.finish()
    return await node.create_group(name, profile_named(profile))


async def _documents(node: Node, arguments: Arguments) -> object:
    group = arguments.optional_text("group")
    arguments.finish()
    return await node.documents(None if group is None else await _group_id(node, group))


async def _create_document(node: Node, arguments: Arguments) -> object:
    group = arguments.text("group")
    title, text = arguments.text("title", ""), arguments.text("text", "")
    arguments.finish()
    return await node.create_document(await _group_id(node, group), title, text)


async def _document(node: Node, arguments: Arguments) -> object:
    wanted = arguments.text("document")
    arguments.finish()
    document = await _document_id(node, wanted)
    view = await node.document(document)
    status = await node.document_status(document)
    return {**plain(view), "text": await node.text(document), "status": plain(status)}


async def _splice(node: Node, arguments: Arguments) -> object:
    wanted = arguments.text("document")
    position, delete = arguments.number("position"), arguments.number("delete", 0)
    insert = arguments.text("insert", "")
    arguments.finish()
    document = await _document_id(node, wanted)
    await node.splice(document, position, delete, insert)
    return {"document": document, "length": len(await node.text(document))}


async def _append(node: Node, arguments: Arguments) -> object:
    wanted, text = arguments.text("document"), arguments.text("text")
    arguments.finish()
    document = await _document_id(node, wanted)
    await node.append(document, text)
    return {"document": document, "length": len(await node.text(document))}


async def _replace_text(node: Node, arguments: Arguments) -> object:
    wanted, text = arguments.text("document"), arguments.text("text")
    arguments.finish()
    document = await _document_id(node, wanted)
    await node.replace_text(document, text)
    return {"document": document, "length": len(await node.text(document))}


async def _history(node: Node, arguments: Arguments) -> object:
    wanted = arguments.text("document")
    arguments.finish()
    return await node.history(await _document_id(node, wanted))


async def _export(node: Node, arguments: Arguments) -> object:
    wanted = arguments.text("document")
    arguments.finish()
    document = await _document_id(node, wanted)
    return {"document": document, "markdown": await node.read(document, _markdown)}


def _markdown(content: Document) -> str:
    """Write a page as Markdown, its title as the first heading."""
    title = [Span(content.title), Span("\n", {"block": "h1"})] if content.title else []
    return to_markdown([*title, *content.spans()])


_VERBS: dict[str, Callable[[Node, Arguments], Awaitable[object]]] = {
    **DEVICE_VERBS,
    "append": _append,
    "create_document": _create_document,
    "create_group": _create_group,
    "document": _document,
    "documents": _documents,
    "export": _export,
    "group": _group,
    "groups": _groups,
    "history": _history,
    "peers": _peers,
    "replace_text": _replace_text,
    "splice": _splice,
    "status": _status,
    **verbs_backup.VERBS,
    **verbs_bundles.VERBS,
    **verbs_invites.VERBS,
    **verbs_members.VERBS,
    **verbs_persons.VERBS,
    **verbs_recovery.VERBS,
}

_EDITOR_VERBS: dict[str, Callable[[ControlHandler, Arguments], Awaitable[object]]] = {
    "apply": ControlHandler.apply,
    "close_editor": ControlHandler.close_editor,
    "open_editor": ControlHandler.open_editor,
}
