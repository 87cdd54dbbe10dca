"""Keeps what was typed and could not be saved: a copy of the page in a group of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lutra.documents.delta import Span
from lutra.node.views import DocumentView
from lutra_app.i18n import tr

if TYPE_CHECKING:
    from lutra.node.node import Node


async def keep_copy(node: Node, title: str, spans: Sequence[Span]) -> DocumentView:
    """Make a page with a title and formatted text where this person may write.

    That is a group nobody else is in; if there is none, one is made.
    """
    groups = [
        group
        for group in await node.groups()
        if group.member
        and group.role == "admin"
        and all(member.me for member in group.members if member.present)
    ]
    group = groups[0] if groups else await node.create_group(tr("My pages"))
    made = await node.create_document(group.id, tr("{title} (your copy)", title=title))
    await node.edit(made.id, lambda content: content.insert_spans(0, list(spans)))
    return made
