"""Make a group: its name, and what newcomers may read."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QLineEdit, QWidget

from lutra.groups.contents import Profile
from lutra.node.views import GroupView
from lutra_app.bridge import Bridge
from lutra_app.i18n import tr
from lutra_app.people.words import profiles
from lutra_app.shell.flow import Flow
from lutra_app.shell.task import plain, primary
from lutra_app.theme.parts import Choices
from lutra_app.theme.theme import Theme
from lutra_app.theme.widgets import label


def known_profiles() -> frozenset[str]:
    """Return the history profiles this Lutra can make groups with."""
    return frozenset(one.name.lower().replace("_", "-") for one in Profile)


class NewGroup(Flow):
    """The sheet; `made` is called with the new group."""

    def __init__(
        self, bridge: Bridge, theme: Theme, over: QWidget, made: Callable[[GroupView], None]
    ) -> None:
        super().__init__(bridge, theme, over, heading=tr("New group"))
        self._made = made
        self.field = QLineEdit()
        self.profile: Choices | None = None
        self.go = primary(tr("Make the group"), self._make)

    def begin(self) -> None:
        """Open with empty fields."""
        self.field = QLineEdit()
        self.field.setPlaceholderText(tr("Name, for example Choir or Kitchen"))
        self.field.setAccessibleName(tr("Name of the group"))
        known = known_profiles()
        self.profile = Choices(
            tr("What newcomers read"),
            [option for option in profiles() if option.key in known],
            "archive",
        )
        self.go = primary(tr("Make the group"), self._make)
        self.go.setEnabled(False)
        self.field.textChanged.connect(lambda text: self.go.setEnabled(bool(text.strip())))
        self.field.returnPressed.connect(self.go.click)
        self.show_step(
            label(
                tr("You start alone in it and invite others. All pages are encrypted."),
                "muted",
                wrap=True,
            ),
            self.field,
            label(tr("What newcomers read"), "section"),
            self.profile,
            label(tr("This cannot be changed later."), "muted", wrap=True),
            buttons=(plain(tr("Cancel"), self.close_sheet), self.go),
            focus=self.field,
        )
        self.open_task()

    def _make(self) -> None:
        name = self.field.text().strip()
        assert self.profile is not None
        profile = Profile[self.profile.key.replace("-", "_").upper()]
        if name:
            self.ask(
                lambda node: node.create_group(name, profile),
                self._done,
                busy=tr("Making the group …"),
            )

    def _done(self, group: GroupView) -> None:
        self.close_sheet()
        self._made(group)
