"""Removing a person from a group: what it means before, who knows of it after, and undoing it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QWidget

from lutra.node.events import DocumentStatusChanged, GroupsChanged, PeersChanged
from lutra.node.views import MemberView, RemovalPreview, RemovalStatus
from lutra_app.i18n import plural, tr
from lutra_app.people.words import when_text
from lutra_app.shell.task import plain, primary
from lutra_app.theme.parts import IconLabel, RowButton
from lutra_app.theme.widgets import label

if TYPE_CHECKING:
    from lutra_app.shell.flow import Flow


class RemovalSteps:
    """Steps of a sheet: preview, removal, and who knows by now.

    Args:
        flow: the sheet they are shown in.
        back: shows the step before.
    """

    def __init__(self, flow: Flow, back: Callable[[], None]) -> None:
        self._flow, self._back = flow, back
        self._group, self._person = b"", b""
        self._following = False

    def begin(self, group: bytes, person: bytes) -> None:
        """Show what removing a person means."""
        self._group, self._person, self._following = group, person, False
        self._flow.ask(lambda node: node.removal_preview(group, person), self._show_preview)

    def follow(self, group: bytes, person: bytes) -> None:
        """Show who knows that a person is out."""
        self._group, self._person, self._following = group, person, True
        self._look()

    def leave(self) -> None:
        """Follow no more."""
        self._following = False

    # -- before --------------------------------------------------------------------------

    def _show_preview(self, preview: RemovalPreview) -> None:
        name = preview.name or tr("Unknown person")
        since = when_text(preview.since)
        keeps = plural(
            preview.pages,
            "{count} page is in the group.",
            "{count} pages are in the group.",
        )
        items: list[QWidget] = [
            label(tr("What {name} keeps", name=name), "section"),
            label(f"{keeps} {preview.keeps}", wrap=True),
            label(tr("From when you are protected"), "section"),
            label(preview.protected, wrap=True),
        ]
        if preview.unaware:
            items += [
                label(tr("Who does not know at first"), "section"),
                label(names_of(preview.unaware), "muted", wrap=True),
            ]
        facts: list[str] = []
        if preview.operations:
            facts.append(
                plural(
                    preview.operations,
                    "{count} change by {name} stays in the pages.",
                    "{count} changes by {name} stay in the pages.",
                    name=name,
                )
            )
        if since:
            facts.append(tr("In the group since {when}.", when=since))
        if facts:
            items.append(label(" ".join(facts), "muted", wrap=True))
        self._flow.show_step(
            *items,
            heading=tr("Remove {name}?", name=name),
            buttons=(
                plain(tr("Cancel"), self._leave),
                plain(tr("Remove"), self._remove, "danger"),
            ),
            back=self._leave,
        )

    def _remove(self) -> None:
        group, person = self._group, self._person
        self._flow.ask(
            lambda node: node.remove_person(group, person),
            lambda _: self.follow(group, person),
            busy=tr("Removing …"),
        )

    # -- after ---------------------------------------------------------------------------

    def _look(self) -> None:
        group, person = self._group, self._person
        self._flow.ask(
            lambda node: node.removal_status(group, person),
            self._show_status,
            failed=self._nothing_to_follow,
        )

    def _nothing_to_follow(self, _reason: str) -> None:
        if self._following:
            self._leave()

    def _show_status(self, status: RemovalStatus) -> None:
        if not self._following:
            return
        name = status.name or tr("Unknown person")
        protected = (
            tr("What you write is encrypted with keys {name} does not get.", name=name)
            if status.protected
            else tr("What you write now waits until the keys have changed; it is not sent before.")
        )
        items: list[QWidget] = [
            label(protected, "lead", wrap=True),
            label(tr("Know of it"), "section"),
            label(names_of(status.aware) or tr("nobody yet"), wrap=True),
        ]
        if status.unaware:
            items += [
                label(tr("Do not know yet"), "section"),
                label(
                    tr(
                        "{names}. What is written there can still be read by {name} until it "
                        "reaches them.",
                        names=names_of(status.unaware),
                        name=name,
                    ),
                    wrap=True,
                ),
            ]
        if status.told:
            items.append(
                label(
                    tr("{name} was told: {names}.", name=name, names=names_of(status.told)),
                    "muted",
                    wrap=True,
                )
            )
        self._flow.show_step(
            *items,
            heading=tr("{name} is out", name=name),
            buttons=(
                plain(tr("Undo: add again"), self._undo),
                primary(tr("Done"), self._flow.close_sheet),
            ),
        )

    def _undo(self) -> None:
        group, person, self._following = self._group, self._person, False

        def failed(reason: str) -> None:
            self._following = True
            self._flow.fail(reason)

        self._flow.ask(
            lambda node: node.add_again(group, person),
            lambda _: self._show_undone(),
            busy=tr("Adding again …"),
            failed=failed,
        )

    def _show_undone(self) -> None:
        self._flow.show_step(
            label(tr("Added again, with the role from before."), "lead", wrap=True),
            label(
                tr(
                    "Their devices take part again as soon as they have heard of it. A device "
                    "that knows of its removal may look for this group no more: then send an "
                    "invite."
                ),
                wrap=True,
            ),
            heading=tr("The removal is undone"),
            buttons=(primary(tr("Done"), self._flow.close_sheet),),
            back=self._leave,
        )

    def _leave(self) -> None:
        self._following = False
        self._back()

    def happened(self, event: object) -> None:
        """Follow who knows of the removal."""
        if self._following and isinstance(
            event, GroupsChanged | PeersChanged | DocumentStatusChanged
        ):
            self._look()


def names_of(devices: Sequence[MemberView]) -> str:
    """Return devices as people know them: person and device."""
    return ", ".join(
        tr("this device")
        if one.me
        else tr("{name} ({device})", name=one.name or tr("somebody"), device=one.device_name)
        if one.device_name
        else one.name or tr("somebody")
        for one in devices
    )


def gone_row(flow: Flow, name: str, detail: str, run: Callable[[], None]) -> RowButton:
    """Return a row for somebody who is out of a group."""
    row = RowButton(
        name, detail, picture=IconLabel(flow.theme, "user-minus", "muted", 20), role="choice"
    )
    row.clicked.connect(run)
    return row
