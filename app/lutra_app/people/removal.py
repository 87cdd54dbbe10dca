"""Removing a person from a group: what it means before, who knows of it after."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lutra.node.views import GroupView
from lutra_app.i18n import plural, tr
from lutra_app.people.roster import Member
from lutra_app.shell.task import plain
from lutra_app.theme.widgets import label

if TYPE_CHECKING:
    from lutra_app.shell.flow import Flow


class RemovalSteps:
    """Steps of a sheet: preview, removal, and who knows by now.

    Args:
        flow: the sheet they are shown in.
        back: shows the person again.
    """

    def __init__(self, flow: Flow, back: Callable[[], None]) -> None:
        self._flow, self._back = flow, back
        self._group: GroupView | None = None
        self._member: Member | None = None

    def begin(self, group: GroupView, member: Member) -> None:
        """Show what removing a person means."""
        self._group, self._member = group, member
        name = member.name or tr("Unknown person")
        self._flow.show_step(
            label(
                plural(
                    group.documents,
                    "{name} keeps a copy of the {count} page that is on their devices.",
                    "{name} keeps copies of the {count} pages that are on their devices.",
                    name=name,
                ),
                wrap=True,
            ),
            heading=tr("Remove {name}?", name=name),
            buttons=(
                plain(tr("Cancel"), self._back),
                plain(tr("Remove"), self._remove, "danger"),
            ),
            back=self._back,
        )

    def _remove(self) -> None:
        group, member = self._group, self._member
        assert group is not None
        assert member is not None
        self._flow.ask(
            lambda node: node.remove_person(group.id, member.person),
            lambda _: self._back(),
            busy=tr("Removing …"),
        )

    def happened(self, event: object) -> None:
        """Follow who knows of the removal."""
