"""How a membership ended, for people."""

from __future__ import annotations

from lutra.groups.chronicle import Change, ChangeKind
from lutra.groups.group import Group
from lutra.node.views import DepartureView


def last_departure(changes: list[Change], person: bytes) -> Change | None:
    """Return the last change that put a person out of a group, if one counts."""
    kinds = (ChangeKind.REMOVED, ChangeKind.LEFT)
    gone = [item for item in changes if item.person == person and item.kind in kinds]
    return next((item for item in reversed(gone) if item.counts), None)


def departure_of(replica: Group, device: bytes) -> DepartureView | None:
    """Return how a device came to be out of a group; None while it is in, or nothing is known."""
    if not replica.was_removed(device):
        return None
    person = replica.person_of(device)
    change = None if person is None else last_departure(replica.changes(), person)
    if person is None or person in replica.roles() or change is None:
        return DepartureView("device", b"", "", 0)
    reason = "left" if change.kind is ChangeKind.LEFT else "removed"
    return DepartureView(reason, change.by, name_of(replica, change.by), change.time)


def name_of(replica: Group, person: bytes) -> str:
    """Return what a person is called in a group; empty while unknown."""
    names = (item.name for item in replica.members() if item.person == person)
    return next((name for name in names if name), "")
