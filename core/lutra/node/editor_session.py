"""An editor window's connection to its document in the node."""

from __future__ import annotations

from lutra.node.host import EngineHost


class EditorSession:
    """Made by `Node.open_editor`; close it when the window closes.

    The window keeps a `lutra.documents.replica.Replica` made from `snapshot` and `peer`. It sends
    its own edits with `apply`, and imports the updates of `DocumentChanged` events for the
    document, except those whose slot is its own.

    Attributes:
        document: the document's id.
        slot: this window's editing place.
        peer: Loro peer id for the window's replica.
        snapshot: the state to start from.
    """

    def __init__(
        self, host: EngineHost, document: bytes, slot: int, peer: int, snapshot: bytes
    ) -> None:
        self._host = host
        self.document = document
        self.slot = slot
        self.peer = peer
        self.snapshot = snapshot

    async def apply(self, update: bytes) -> None:
        """Hand over edits of the window; they are durable on return."""
        await self._host.call(lambda engine: engine.apply_local(self.document, self.slot, update))

    async def set_presence(self, anchor: bytes | None, head: bytes | None) -> None:
        """Tell others where the caret is, as Loro cursors; None means it has left the page."""
        await self._host.call(lambda engine: engine.presence(self.document, anchor, head))

    async def close(self) -> None:
        """Give the editing place back."""
        await self._host.call(lambda engine: engine.presence(self.document, None, None))
        await self._host.call(lambda engine: engine.close_editor(self.document, self.slot))
