"""What the window knows of the node, read in one go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lutra.node.events import CatchUpChanged
from lutra.node.person_views import PersonView
from lutra.node.views import DocumentView, GroupView, Identity, JoinRequestView, JoinView

if TYPE_CHECKING:
    from lutra.node.node import Node

_MANY = 500
"""Changed pages from which on all are read."""


@dataclass(frozen=True, slots=True)
class Known:
    """Groups, pages and people at one moment.

    Attributes:
        groups: all groups; those this person is in first.
        documents: all pages, last changed first.
        people: persons by id.
        requests: who waits to be let in here.
        joins: invites this device uses.
        connected: number of connected devices.
        identity: this device and its person.
        catch_up: how far this device is that was paired; None if nothing is awaited.
    """

    groups: tuple[GroupView, ...] = ()
    documents: tuple[DocumentView, ...] = ()
    people: Mapping[bytes, PersonView] = field(default_factory=dict[bytes, PersonView])
    requests: tuple[JoinRequestView, ...] = ()
    joins: tuple[JoinView, ...] = ()
    connected: int = 0
    catch_up: CatchUpChanged | None = None
    identity: Identity | None = None

    def group(self, group: bytes | None) -> GroupView | None:
        """Return a group, or None."""
        return next((one for one in self.groups if one.id == group), None)

    def waiting(self, group: bytes) -> int:
        """Return how many wait to be let into a group."""
        return sum(1 for request in self.requests if request.group == group)


async def read_known(node: Node, before: Known, pages: frozenset[bytes] | None) -> Known:
    """Read what the lists show.

    Args:
        node: who is asked.
        before: what was read last.
        pages: those that changed since; None if it is not known, then all are read.
    """
    groups = sorted(await node.groups(), key=lambda group: not group.member)
    status = await node.status()
    return Known(
        tuple(groups),
        await _read_pages(node, before.documents, pages),
        {person.id: person for person in await node.people.list()},
        tuple(await node.requests()),
        tuple(await node.joins()),
        status.connected,
        await node.catch_up(),
        status.identity,
    )


async def _read_pages(
    node: Node, before: tuple[DocumentView, ...], pages: frozenset[bytes] | None
) -> tuple[DocumentView, ...]:
    """Read the pages that changed only: people have thousands, and a sync changes a few."""
    if pages is None or len(pages) > _MANY:
        return tuple(await node.documents())
    if not pages:
        return before
    kept = [page for page in before if page.id not in pages]
    fresh = await node.documents_among(pages)
    return tuple(sorted([*fresh, *kept], key=lambda page: page.changed, reverse=True))
