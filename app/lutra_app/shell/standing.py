"""Why a page can only be read here, and what can be done about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from lutra.node.views import GroupView
from lutra_app.i18n import tr


class Why(Enum):
    """Why a group's pages are read-only here."""

    EARLIER = "earlier"
    REMOVED = "removed"
    LEFT = "left"
    READER = "reader"


@dataclass(frozen=True, slots=True)
class Standing:
    """A reason with its sentence; `action` names the way out and may be empty."""

    why: Why
    sentence: str
    action: str


def standing(group: GroupView | None) -> Standing | None:
    """Return why pages of a group cannot be changed here, or None if they can."""
    if group is None:
        return None
    if not group.member:
        return _outside(group)
    if group.role in ("reader", "keeper"):
        return Standing(
            Why.READER,
            tr(
                "You are a reader in “{name}”. You see every change, and an admin of the group "
                "can let you write.",
                name=group.name,
            ),
            tr("Show the admins"),
        )
    return None


def _outside(group: GroupView) -> Standing:
    if all(not member.person for member in group.members):
        return Standing(
            Why.EARLIER,
            tr(
                "“{name}” was made with an earlier Lutra and can only be read. Ask whoever "
                "started it for an invite: its new form has all pages.",
                name=group.name,
            ),
            tr("Join with a code"),
        )
    departure = group.departure
    reason = departure.reason if departure is not None else ""
    if reason == "left":
        return Standing(
            Why.LEFT,
            tr(
                "You have left “{name}”. What was here stays readable on this device; nothing "
                "new arrives.",
                name=group.name,
            ),
            "",
        )
    if reason == "device":
        return Standing(
            Why.REMOVED,
            tr(
                "This device was removed from your devices, so it takes no part in “{name}” any "
                "more. What was here stays readable.",
                name=group.name,
            ),
            "",
        )
    by = departure.by_name if departure is not None else ""
    return Standing(
        Why.REMOVED,
        tr(
            "{by} removed you from “{name}”. What was here stays readable on this device; "
            "nothing new arrives. An admin can invite you again.",
            by=by or tr("Somebody"),
            name=group.name,
        ),
        tr("Join with a code"),
    )
