"""Reading the engine's state as views; changes nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from lutra.documents.document import Document
from lutra.documents.peers import SLOT_BITS, peer_prefix
from lutra.errors import NotFoundError
from lutra.groups.contents import Profile
from lutra.node.acknowledgements import Acknowledgements
from lutra.node.context import Context
from lutra.node.departures import departure_of
from lutra.node.document_registry import DocumentRegistry
from lutra.node.group_registry import GroupRegistry
from lutra.node.history_profiles import profile_name
from lutra.node.telling import Telling
from lutra.node.views import (
    ChangeView,
    DepartureView,
    DocumentStatus,
    DocumentView,
    GroupView,
    MemberView,
    PeerView,
)
from lutra.store.documents import DocumentRow, SearchHit
from lutra.store.groups import GroupRow
from lutra.store.peers import AddressRow


class Online(Protocol):
    """Who is connected right now."""

    def connected(self, group: bytes) -> Sequence[bytes]:
        """Return the connected devices that share a group."""
        ...


class Queries:
    """Views of groups, documents and peers."""

    def __init__(
        self,
        context: Context,
        groups: GroupRegistry,
        documents: DocumentRegistry,
        *,
        acknowledgements: Acknowledgements,
        telling: Telling,
        online: Online,
    ) -> None:
        self._context = context
        self._groups = groups
        self._documents = documents
        self._telling = telling
        self._acknowledgements = acknowledgements
        self._online = online

    def groups(self) -> list[GroupView]:
        """Return all groups by name."""
        rows = self._context.store.groups.list()
        return [self._group_view(row) for row in rows if not row.personal]

    def group(self, group: bytes) -> GroupView:
        """Return one group.

        Raises:
            NotFoundError: there is no such group here.
        """
        return self._group_view(self._groups.row(group))

    def is_readable(self, group: bytes) -> bool:
        """Tell whether a group's keys and name have come."""
        row = self._groups.row(group)
        return bool(row.name) and self._is_ready(row)

    def documents(self, group: bytes | None = None) -> list[DocumentView]:
        """Return the pages of one group or of all, last changed first."""
        return [_document_view(row) for row in self._context.store.documents.list(group)]

    def document(self, document: bytes) -> DocumentView:
        """Return one page.

        Raises:
            NotFoundError: it is not on this device.
        """
        row = self._context.store.documents.get(document)
        if row is None or row.deleted:
            raise NotFoundError("There is no such page on this device.")
        return _document_view(row)

    def documents_among(self, documents: Collection[bytes]) -> list[DocumentView]:
        """Return those of these pages that are here, last changed first."""
        return [_document_view(row) for row in self._context.store.documents.among(documents)]

    def is_in(self, document: bytes, group: bytes) -> bool:
        """Tell whether a page is here and belongs to a group."""
        row = self._context.store.documents.get(document)
        return row is not None and not row.deleted and row.group == group

    def text(self, document: bytes) -> str:
        """Return a page's text without formatting."""
        return self._documents.get(document).document.text

    def content(self, document: bytes) -> Document:
        """Return a document to read from; use it in the same call only, and do not edit it."""
        return self._documents.get(document).document

    def history(self, document: bytes) -> list[ChangeView]:
        """Return who changed a document when, oldest first, as far as this device was told."""
        opened = self._documents.get(document)
        members = {
            peer_prefix(item.device, document): item for item in self._members(opened.row.group)
        }
        now = self._context.now()
        views: list[ChangeView] = []
        for change in opened.document.history():
            if not change.time:
                # Part of a state without history: what was before is not known here.
                continue
            author = members.get(change.peer >> SLOT_BITS)
            views.append(
                ChangeView(
                    author.device if author is not None else None,
                    author.name if author is not None else "",
                    min(max(0, change.time or 0) * 1000, now),
                    change.end - change.start,
                )
            )
        return views

    def status(self, document: bytes) -> DocumentStatus:
        """Return where a document's content is."""
        row = self.document(document)
        return self._acknowledgements.status(
            self._groups.get(row.group),
            document,
            bool(self._context.store.drafts.list(document)),
            self._online.connected(row.group),
        )

    def peers(self) -> list[PeerView]:
        """Return every other device this one shares a group with or has met."""
        own = self._context.device
        shared: dict[bytes, list[bytes]] = {}
        names: dict[bytes, tuple[str, str]] = {}
        connected: set[bytes] = set()
        for group in self._groups.ids():
            connected.update(self._online.connected(group))
            for member in self._context.store.members.list(group):
                if not member.removed and member.device != own:
                    shared.setdefault(member.device, []).append(group)
                    if member.person_name or member.device not in names:
                        names[member.device] = (member.person_name, member.device_name)
        addresses: dict[bytes, AddressRow] = {}
        for row in self._context.store.addresses.list():
            addresses.setdefault(row.device, row)
        return [
            PeerView(
                device=device,
                name=names.get(device, ("", ""))[0],
                device_name=names.get(device, ("", ""))[1],
                address=f"{addresses[device].host}:{addresses[device].port}"
                if device in addresses
                else "",
                connected=device in connected,
                groups=tuple(shared.get(device, ())),
            )
            for device in sorted({*shared, *addresses})
        ]

    def search(self, query: str, group: bytes | None, limit: int) -> list[SearchHit]:
        """Find pages that contain every word of a query."""
        return self._context.store.documents.search(query, group, limit)

    def counts(self) -> tuple[int, int, int, int, int, int]:
        """Return the numbers of groups, pages, operations, drafted pages, waiting, forks."""
        store = self._context.store
        groups = self._groups.ids()
        return (
            sum(not row.personal for row in store.groups.list()),
            store.documents.count(),
            store.operations.count(),
            len(store.drafts.documents_with_drafts()),
            sum(len(store.operations.waiting(group)) for group in groups),
            len({fork.key for fork in store.forks.list()}),
        )

    def name_of(self, group: bytes, device: bytes) -> str:
        """Return what a member's person is called; empty while unknown."""
        row = self._context.store.members.get(group, device)
        return "" if row is None else row.person_name

    def discovery_secrets(self) -> dict[bytes, bytes]:
        """Return group id → secret by which members find each other's devices on the network.

        Groups that this device is out of are among them until a member has heard of that.
        """
        return {
            row.id: row.discovery_secret
            for row in self._context.store.groups.list()
            if row.discovery_secret and (not row.left or self._telling.is_news(row.id))
        }

    def known_devices(self) -> frozenset[bytes]:
        """Return the devices that are in a group that this device is in."""
        return self._context.store.members.present()

    def _members(self, group: bytes) -> Sequence[MemberView]:
        online = set(self._online.connected(group))
        return [
            MemberView(
                item.device,
                item.person_name,
                item.device_name,
                not item.removed,
                item.device == self._context.device,
                item.device in online,
                item.person,
                item.role,
            )
            for item in sorted(self._context.store.members.list(group), key=lambda row: row.device)
        ]

    def _group_view(self, row: GroupRow) -> GroupView:
        return GroupView(
            id=row.id,
            name=row.name,
            created=row.created,
            member=not row.left,
            members=tuple(self._members(row.id)),
            documents=self._context.store.documents.count(row.id),
            ready=self._is_ready(row),
            role=self._role(row),
            departure=self._departure(row),
            profile=profile_name(Profile(row.profile)),
        )

    def _is_ready(self, row: GroupRow) -> bool:
        replica = self._groups.find(row.id)
        return replica is not None and replica.current_epoch() is not None

    def _departure(self, row: GroupRow) -> DepartureView | None:
        replica = self._groups.find(row.id) if row.left else None
        return None if replica is None else departure_of(replica, self._context.device)

    def _role(self, row: GroupRow) -> str:
        member = self._context.store.members.get(row.id, self._context.device)
        return "" if member is None or member.removed else member.role


def _document_view(row: DocumentRow) -> DocumentView:
    return DocumentView(row.id, row.group, row.title, row.created, row.changed)
