"""The state line: one sentence that is always true.

Every number comes from `DocumentStatus`, whose numbers are backed by acknowledgements of devices.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from lutra.node.views import DocumentStatus
from lutra_app.i18n import plural, tr


class Tone(Enum):
    """How a state feels: decides the dot's colour only, never replaces the words."""

    GOOD = "good"
    QUIET = "muted"
    ATTENTION = "warning"
    BAD = "danger"


@dataclass(frozen=True, slots=True)
class State:
    """A sentence and its tone."""

    sentence: str
    tone: Tone


def page_state(
    status: DocumentStatus | None, *, saving: bool = False, trouble: str | None = None
) -> State:
    """Return what is true of a page now.

    Args:
        status: as the node told last; None before it has told anything.
        saving: keystrokes are on their way to the disk for noticeably long.
        trouble: why saving failed, a sentence; None while it works.
    """
    if trouble is not None:
        return State(tr("Not saved: {reason}", reason=trouble), Tone.BAD)
    if saving:
        return State(tr("Saving on this device …"), Tone.QUIET)
    if status is None:
        return State(tr("Opening …"), Tone.QUIET)
    if status.devices <= 1:
        return State(tr("Saved on this device · nobody else is in this group yet"), Tone.GOOD)
    if status.holders >= status.devices and not status.unpublished:
        return State(
            plural(
                status.devices,
                "Saved on this device",
                "Saved · all {count} devices have it",
            ),
            Tone.GOOD,
        )
    if status.connected == 0:
        return _offline(status)
    return State(
        tr(
            "Saved on this device · {holders} of {devices} devices have it",
            holders=_holders(status),
            devices=status.devices,
        ),
        Tone.QUIET,
    )


def _holders(status: DocumentStatus) -> int:
    """Return how many devices have everything: only this one while an edit is unpublished."""
    return 1 if status.unpublished else status.holders


def _offline(status: DocumentStatus) -> State:
    whom = names(status.waiting_for)
    if not status.waiting or not whom:
        return State(
            tr(
                "Saved on this device · offline: {holders} of {devices} devices have it",
                holders=_holders(status),
                devices=status.devices,
            ),
            Tone.ATTENTION,
        )
    return State(
        plural(
            status.waiting,
            "Saved on this device · offline: {count} change waits for {whom}",
            "Saved on this device · offline: {count} changes wait for {whom}",
            whom=whom,
        ),
        Tone.ATTENTION,
    )


def names(devices: tuple[str, ...]) -> str:
    """Return a list of names as people say it: two in full, the rest as a number."""
    known = tuple(name for name in devices if name)
    if not known:
        return ""
    if len(known) == 1:
        return known[0]
    if len(known) == 2:
        return tr("{first} and {second}", first=known[0], second=known[1])
    return tr("{first} and {count} others", first=known[0], count=len(known) - 1)
