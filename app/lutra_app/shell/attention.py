"""Keeps the banners true: read-only pages, changed keys, people who wait, invites under way."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from lutra.node.events import CatchUpChanged
from lutra.node.person_views import PersonView
from lutra.node.views import GroupView, JoinView
from lutra_app.bridge import Bridge
from lutra_app.i18n import plural, tr
from lutra_app.shell.banners import Banner, Banners
from lutra_app.shell.known import Known
from lutra_app.shell.standing import Why, standing

ICONS = {Why.EARLIER: "archive", Why.REMOVED: "prohibit", Why.LEFT: "sign-out", Why.READER: "eye"}


class Attention(QObject):
    """Decides which banners are shown.

    Signals:
        join_wanted: enter an invite.
        joins_wanted: show the invites under way.
        people_wanted: show who is in this group.
        requests_wanted: show who waits.
        devices_wanted: show this person's devices.
        verify_wanted: compare safety numbers: (group, person).
    """

    join_wanted = Signal()
    joins_wanted = Signal()
    people_wanted = Signal(bytes)
    requests_wanted = Signal()
    devices_wanted = Signal()
    verify_wanted = Signal(bytes, bytes)

    def __init__(self, bridge: Bridge, banners: Banners, parent: QObject) -> None:
        super().__init__(parent)
        self._bridge, self._banners = bridge, banners
        self._put_away: set[bytes] = set()

    def show_known(self, known: Known, group: GroupView | None) -> None:
        """Show what is true with `group` in front."""
        self._banners.show_banner("standing", self._standing(group))
        self._banners.show_banner("requests", self._requests(known))
        self._banners.show_banner("keys", self._keys(known))
        self._banners.show_banner("joins", self._joins(known.joins))
        self.show_catch_up(known.catch_up)

    def show_catch_up(self, progress: CatchUpChanged | None) -> None:
        """Say how far this device is that was paired."""
        banner = None
        if progress is not None and not progress.complete:
            text = tr(
                "Your pages arrive: {pages_here} of {pages} pages, {groups_ready} of {groups} "
                "groups. Keep your other device on.",
                pages_here=progress.pages_here,
                pages=progress.pages,
                groups_ready=progress.groups_ready,
                groups=progress.groups,
            )
            banner = Banner(text, "download-simple")
        self._banners.show_banner("catch-up", banner)

    def show_kit_used(self) -> None:
        """Say loudly that somebody came back as this person, by a recovery kit."""
        self._banners.show_banner(
            "kit",
            Banner(
                tr(
                    "A recovery kit of yours was used, and a new device acts as you now. If that "
                    "was not you, remove that device and withdraw the kit."
                ),
                "warning",
                loud=True,
                action=tr("Show my devices"),
                run=self.devices_wanted.emit,
                dismiss=lambda: self._banners.show_banner("kit", None),
            ),
        )

    def show_removed(self, *, wiped: bool) -> None:
        """Say that this device was removed from its person, and perhaps emptied."""
        text = (
            tr(
                "This device was removed from your devices by another one, which asked for "
                "everything on it to be deleted. That is done."
            )
            if wiped
            else tr(
                "This device was removed from your devices. What was here stays readable, but it "
                "takes part in nothing more."
            )
        )
        self._banners.show_banner(
            "removed",
            Banner(
                text,
                "prohibit",
                loud=True,
            ),
        )

    def _standing(self, group: GroupView | None) -> Banner | None:
        found = standing(group)
        if found is None or group is None:
            return None
        reader = found.why is Why.READER
        run = (lambda: self.people_wanted.emit(group.id)) if reader else self.join_wanted.emit
        return Banner(found.sentence, ICONS[found.why], action=found.action, run=run)

    def _requests(self, known: Known) -> Banner | None:
        requests = known.requests
        if not requests:
            return None
        first = requests[0]
        text = (
            tr(
                "{name} waits to be let into “{group}”.",
                name=first.name or tr("Unknown person"),
                group=first.group_name,
            )
            if len(requests) == 1
            else plural(
                len(requests), "{count} person waits to come in.", "{count} people wait to come in."
            )
        )
        return Banner(text, "user-plus", action=tr("Look"), run=self.requests_wanted.emit)

    def _keys(self, known: Known) -> Banner | None:
        changed = next((one for one in known.people.values() if one.unseen), None)
        if changed is None or not changed.groups:
            return None
        return Banner(
            tr(
                "The keys of {name} have changed since you verified them. Before you write "
                "anything secret, compare safety numbers again.",
                name=changed.name or tr("Unknown person"),
            ),
            "warning",
            loud=True,
            action=tr("Compare"),
            run=lambda: self.verify_wanted.emit(changed.groups[0], changed.id),
            dismiss=lambda: self._seen(changed),
        )

    def _seen(self, person: PersonView) -> None:
        self._bridge.ask(lambda node: node.people.mark_seen(person.id))
        self._banners.show_banner("keys", None)

    def _joins(self, joins: tuple[JoinView, ...]) -> Banner | None:
        shown = [one for one in joins if one.id not in self._put_away]
        if not shown:
            return None
        join = shown[0]
        if join.state == "waiting":
            text = tr(
                "You asked to join a group; somebody there has to let you in. Digits to "
                "compare: {digits}.",
                digits=join.comparison,
            )
        elif join.state == "seeking":
            text = tr("An invite you use: the inviting device was not found yet.")
        else:
            text = tr("An invite you used did not work: {reason}", reason=join.reason)
        return Banner(
            text,
            "hourglass",
            action=tr("Show"),
            run=self.joins_wanted.emit,
            dismiss=lambda: self._put_off(join.id),
        )

    def _put_off(self, join: bytes) -> None:
        self._put_away.add(join)
        self._banners.show_banner("joins", None)
