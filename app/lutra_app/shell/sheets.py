"""The sheets of the window, each made when it is first wanted; one is open at a time."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget

from lutra_app.bridge import Bridge
from lutra_app.i18n import tr
from lutra_app.shell.flow import Flow
from lutra_app.shell.sheet import Sheet
from lutra_app.shell.workspace import Workspace
from lutra_app.theme.theme import Theme

if TYPE_CHECKING:
    from lutra.node.views import GroupView
    from lutra_app.bundles.bundle_sheet import BundleSheet
    from lutra_app.devices.devices import Devices
    from lutra_app.groups.group_sheet import GroupSheet
    from lutra_app.groups.new_group import NewGroup
    from lutra_app.invites.invite import Invite
    from lutra_app.invites.join import Join
    from lutra_app.invites.requests import Requests
    from lutra_app.onboarding.pair import PairThisDevice
    from lutra_app.onboarding.restore import Restore
    from lutra_app.people.person_sheet import PersonSheet
    from lutra_app.recovery.kits import Kits
    from lutra_app.shell.forms import LinkForm
    from lutra_app.shell.leaving import Leaving
    from lutra_app.shell.palette import Command, Palette


class Sheets(QObject):
    """The sheets over one window.

    Args:
        bridge: the way to the node.
        theme: what to draw with.
        over: what sheets lie over.
        workspace: what they are about.
    """

    def __init__(self, bridge: Bridge, theme: Theme, over: QWidget, workspace: Workspace) -> None:
        super().__init__(over)
        self._bridge, self._theme, self._over = bridge, theme, over
        self._workspace = workspace
        bridge.happened.connect(self._tell)

    def _tell(self, event: object) -> None:
        """Tell the sheet that is open."""
        for sheet in self._over.findChildren(Flow):
            if sheet.isVisible():
                sheet.happened(event)

    # -- sheets --------------------------------------------------------------------------

    @cached_property
    def palette(self) -> Palette:
        """The command palette."""
        from lutra_app.shell.palette import Palette

        return Palette(self._theme, self._over)

    @cached_property
    def link(self) -> LinkForm:
        """Asks where a link leads."""
        from lutra_app.shell.forms import LinkForm

        return LinkForm(self._theme, self._over, self._link)

    @cached_property
    def new_group(self) -> NewGroup:
        """Makes a group."""
        from lutra_app.groups.new_group import NewGroup

        return NewGroup(self._bridge, self._theme, self._over, self._workspace.enter_new_group)

    @cached_property
    def join(self) -> Join:
        """Uses an invite."""
        from lutra_app.invites.join import Join

        return Join(self._bridge, self._theme, self._over, self._workspace.enter_joined_group)

    @cached_property
    def invite(self) -> Invite:
        """Makes and lists invites."""
        from lutra_app.invites.invite import Invite

        return Invite(self._bridge, self._theme, self._over)

    @cached_property
    def requests(self) -> Requests:
        """Lets in who waits."""
        from lutra_app.invites.requests import Requests

        return Requests(self._bridge, self._theme, self._over)

    @cached_property
    def person(self) -> PersonSheet:
        """Shows a person."""
        from lutra_app.people.person_sheet import PersonSheet

        return PersonSheet(self._bridge, self._theme, self._over)

    @cached_property
    def group(self) -> GroupSheet:
        """Shows a group as a whole."""
        from lutra_app.groups.group_sheet import GroupSheet

        return GroupSheet(self._bridge, self._theme, self._over, self.export_group)

    @cached_property
    def devices(self) -> Devices:
        """This person's devices."""
        from lutra_app.devices.devices import Devices

        return Devices(self._bridge, self._theme, self._over)

    @cached_property
    def pair_here(self) -> PairThisDevice:
        """Makes this device, which has no identity, one of somebody's."""
        from lutra_app.onboarding.pair import PairThisDevice

        return PairThisDevice(self._bridge, self._theme, self._over)

    @cached_property
    def restore(self) -> Restore:
        """Comes back by a recovery kit."""
        from lutra_app.onboarding.restore import Restore

        return Restore(self._bridge, self._theme, self._over)

    @cached_property
    def kits(self) -> Kits:
        """Recovery kits."""
        from lutra_app.recovery.kits import Kits

        return Kits(self._bridge, self._theme, self._over)

    @cached_property
    def bundles(self) -> BundleSheet:
        """Groups as files."""
        from lutra_app.bundles.bundle_sheet import BundleSheet

        return BundleSheet(self._bridge, self._theme, self._over, lambda: self._workspace.groups)

    @cached_property
    def leaving(self) -> Leaving:
        """Asks what becomes of text that could not be stored."""
        from lutra_app.shell.leaving import Leaving

        return Leaving(self._theme, self._over)

    def close(self) -> None:
        """Close the sheet that is open."""
        for sheet in self._over.findChildren(Sheet):
            sheet.close_sheet()

    def fail(self, message: str) -> bool:
        """Have the open sheet say what went wrong; False if none is open."""
        shown = [sheet for sheet in self._over.findChildren(Flow) if sheet.isVisible()]
        for sheet in shown:
            sheet.fail(message)
        return bool(shown)

    # -- opening them --------------------------------------------------------------------

    def open_new_group(self) -> None:
        """Make a group."""
        self.new_group.begin()

    def open_join(self) -> None:
        """Use an invite, or see what became of one."""
        self.join.begin()

    def open_requests(self) -> None:
        """Let in who waits."""
        self.requests.begin()

    def open_devices(self) -> None:
        """Look after this person's devices."""
        self.devices.begin()

    def open_kits(self) -> None:
        """Look after recovery kits."""
        self.kits.begin()

    def open_bundles(self) -> None:
        """Write or take in a file."""
        self.bundles.begin(self._workspace.group)

    def open_invite(self, group: bytes | None = None) -> None:
        """Invite into a group, by default that of the open page."""
        found = self._workspace.known.group(group) if group else self._workspace.group
        if found is not None:
            self.invite.begin(found)

    def open_person(self, group: bytes, person: bytes, *, verify: bool = False) -> None:
        """Show a person of a group."""
        found = self._workspace.known.group(group)
        if found is not None:
            self.person.begin(found, person, verify=verify)

    def open_group(self, group: bytes | None = None) -> None:
        """Show what can be done with a group, by default that of the open page."""
        found = self._workspace.known.group(group) if group else self._workspace.group
        if found is not None:
            self.group.begin(found)

    def export_group(self, group: GroupView) -> None:
        """Write a group into a file."""
        self.bundles.begin(group)

    def open_file(self, path: Path) -> None:
        """Take in a bundle that was dropped on the window."""
        self.bundles.begin_import(path)

    def commands(self) -> list[Command]:
        """Return what the palette can open."""
        from lutra_app.shell.palette import Command

        return [
            Command(tr("New group"), "users-three", self.open_new_group),
            Command(tr("Join a group"), "sign-in", self.open_join),
            Command(tr("Invite somebody"), "user-plus", self.open_invite, "Ctrl+Shift+I"),
            Command(tr("Let in who waits"), "user-plus", self.open_requests),
            Command(tr("Group: name, history, leave"), "gear-six", self.open_group),
            Command(tr("Your devices: list, add, remove"), "desktop", self.open_devices),
            Command(tr("Recovery kits"), "lifebuoy", self.open_kits),
            Command(
                tr("Carry by file: write or take in a bundle"),
                "package",
                self.open_bundles,
            ),
            *(
                Command(
                    tr("Person: {name}", name=person.name or tr("Unknown person")),
                    "user",
                    lambda person=person: self.open_person(person.groups[0], person.id),
                )
                for person in self._workspace.known.people.values()
                if person.groups
            ),
        ]

    def _link(self, address: str) -> None:
        from lutra_app.editor.paste import safe_link

        page = self._workspace.page
        if not address:
            self.link.close_sheet()
            page.set_link(None)
            return
        safe = safe_link(address) or safe_link(f"https://{address}")
        if safe is None:
            self.link.fail(tr("A link starts with https://, http:// or mailto:."))
            return
        self.link.close_sheet()
        page.set_link(safe)
