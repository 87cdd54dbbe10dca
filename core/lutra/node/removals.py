"""What a removal would mean, and how far one has got around: for people to decide and to see."""

from __future__ import annotations

from collections.abc import Iterable

from lutra.errors import NotFoundError
from lutra.groups.chronicle import ChangeKind
from lutra.groups.errors import NotAMemberError
from lutra.groups.group import Group
from lutra.node.acknowledgements import Acknowledgements
from lutra.node.context import Context
from lutra.node.departures import last_departure, name_of
from lutra.node.group_registry import GroupRegistry
from lutra.node.log_keeper import LogKeeper
from lutra.node.queries import Online
from lutra.node.telling import Telling
from lutra.node.views import MembershipChange, MemberView, RemovalPreview, RemovalStatus
from lutra.operation import LogKey

_KEEPS = {
    "archive": "They could read everything that was ever written here, and keep what their "
    "devices have of it. Nothing can take that back.",
    "join-on": "They could read what was written since they were added, and keep what their "
    "devices have of it. Nothing can take that back.",
    "sealed": "They keep what their devices have kept of what was written while they were "
    "in. Nothing can take that back.",
}


class Removals:
    """Previews and reports; changes nothing."""

    def __init__(
        self,
        context: Context,
        logs: LogKeeper,
        *,
        groups: GroupRegistry,
        acknowledgements: Acknowledgements,
        telling: Telling,
        online: Online,
    ) -> None:
        self._context = context
        self._logs = logs
        self._groups = groups
        self._acknowledgements = acknowledgements
        self._telling = telling
        self._online = online

    def preview(self, group: bytes, person: bytes) -> RemovalPreview:
        """Say what removing a person would mean.

        Raises:
            NotFoundError: there is no such group here.
            NotAMemberError: the person is not in it.
        """
        replica = self._groups.get(group)
        if person not in replica.roles():
            raise NotAMemberError("This person is not in the group.")
        members = self._views(replica)
        theirs = tuple(item for item in members if item.person == person and item.present)
        unaware = tuple(
            item
            for item in members
            if item.present and item.person != person and not item.me and not item.online
        )
        added = [
            item.time
            for item in replica.changes()
            if item.person == person and item.kind in (ChangeKind.ADDED, ChangeKind.CREATED)
        ]
        cuts = self._logs.cuts(group, {item.device for item in members if item.person == person})
        store = self._context.store
        drafts = store.drafts.documents_with_drafts()
        pages = {row.id for row in store.documents.list(group)}
        history = replica.profile.name.lower().replace("_", "-")
        return RemovalPreview(
            group=group,
            person=person,
            name=name_of(replica, person),
            devices=theirs,
            pages=len(pages),
            since=max(added, default=0),
            history=history,
            keeps=_KEEPS[history],
            operations=sum(cut.seq_num + 1 for cut in cuts),
            unaware=unaware,
            protected=_protected(unaware),
            drafts=len(pages.intersection(drafts)),
        )

    def status(self, group: bytes, person: bytes) -> RemovalStatus:
        """Say how far the removal of a person has got around.

        Raises:
            NotFoundError: there is no such group here, or the person was not removed from it.
        """
        replica = self._groups.get(group)
        change = last_departure(replica.changes(), person)
        if change is None or person in replica.roles():
            raise NotFoundError("This person was not removed from the group.")
        key = LogKey(change.author, group)
        members = self._views(replica)
        aware: list[MemberView] = []
        unaware: list[MemberView] = []
        for item in members:
            if not item.present:
                continue
            knows = (
                item.me
                or item.device == change.author
                or self._acknowledgements.holds(item.device, key, change.seq_num)
            )
            (aware if knows else unaware).append(item)
        return RemovalStatus(
            group=group,
            person=person,
            name=name_of(replica, person),
            by=change.by,
            by_name=name_of(replica, change.by),
            time=change.time,
            protected=replica.current_epoch() is not None,
            aware=tuple(aware),
            unaware=tuple(unaware),
            told=tuple(
                item
                for item in members
                if item.person == person and self._telling.knows(replica, item.device)
            ),
        )

    def changes(self, group: bytes) -> list[MembershipChange]:
        """Return who changed the membership of a group how, oldest first as this device learned."""
        replica = self._groups.get(group)
        return [
            MembershipChange(
                item.kind.value,
                item.person,
                name_of(replica, item.person),
                "" if item.role is None else item.role.name.lower(),
                item.by,
                name_of(replica, item.by),
                item.time,
                item.counts,
            )
            for item in replica.changes()
        ]

    def _views(self, replica: Group) -> list[MemberView]:
        online = set(self._online.connected(replica.id))
        own = self._context.device
        return [
            MemberView(
                item.device,
                item.name,
                item.device_name,
                item.present,
                item.device == own,
                item.device in online,
                item.person,
                "" if item.role is None else item.role.name.lower(),
            )
            for item in replica.members()
        ]


def _protected(unaware: Iterable[MemberView]) -> str:
    names = [item.device_name or item.name or "a device without a name" for item in unaware]
    if not names:
        return "Nobody else has to hear of it: new text is protected at once, on all devices."
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return (
        "New text written here is protected at once. What is written on devices that have not "
        f"heard of the removal yet ({shown}) can still be read by them until it reaches those."
    )
