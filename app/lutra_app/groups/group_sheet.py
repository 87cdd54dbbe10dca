"""A group as a whole: its name, its history profile in words, a file of it, and leaving it."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QLineEdit, QWidget

from lutra.node.views import GroupView, MembershipChange
from lutra_app.bridge import Bridge
from lutra_app.i18n import plural, tr
from lutra_app.people.removal import RemovalSteps, gone_row
from lutra_app.people.roster import roster
from lutra_app.people.words import profile_words, role_name, when_text
from lutra_app.shell.flow import Flow
from lutra_app.shell.task import plain, primary
from lutra_app.theme.parts import RowButton, link_button, side_by_side
from lutra_app.theme.theme import Theme
from lutra_app.theme.widgets import label

_MOST_CHANGES = 50


class GroupSheet(Flow):
    """The sheet; `export` is called with a group to write into a file."""

    def __init__(
        self,
        bridge: Bridge,
        theme: Theme,
        over: QWidget,
        export: Callable[[GroupView], None],
    ) -> None:
        super().__init__(bridge, theme, over, heading=tr("Group"))
        self._export = export
        self._group: GroupView | None = None
        self.field = QLineEdit()
        self.rename = plain(tr("Rename"), self._rename)
        self.removal = RemovalSteps(self, self._look)
        self.closed.connect(self.removal.leave)

    def begin(self, group: GroupView) -> None:
        """Open for a group."""
        self._show(group)
        self.open_task()

    def _show(self, group: GroupView) -> None:
        self._group = group
        admin = group.member and group.role == "admin"
        self.field = QLineEdit(group.name)
        self.field.setAccessibleName(tr("Name of the group"))
        self.field.setEnabled(admin)
        self.rename = plain(tr("Rename"), self._rename)
        self.rename.setEnabled(False)
        self.field.textChanged.connect(self._typed)
        self.field.returnPressed.connect(self.rename.click)
        row = side_by_side(self.field, self.rename)
        row.setStretch(1, 0)
        facts = [
            plural(group.documents, "{count} page", "{count} pages"),
            plural(len(roster(group, {})), "{count} person", "{count} people"),
        ]
        if group.role:
            facts.append(tr("you are {role}", role=role_name(group.role).lower()))
        items: list[QWidget] = [
            label(" · ".join(facts), "muted", wrap=True),
            label(tr("What newcomers read"), "section"),
            label(profile_words(group.profile), wrap=True),
            link_button(tr("Who came and went"), self._look_back),
            link_button(tr("Write this group into a file"), lambda: self._export(group)),
        ]
        if not admin and group.member:
            items.insert(0, label(tr("An admin of the group can rename it."), "muted", wrap=True))
        buttons = [primary(tr("Done"), self.close_sheet)]
        if group.member:
            buttons.insert(0, plain(tr("Leave the group …"), self._ask_leave, "danger"))
        self.show_step(row, *items, heading=group.name, buttons=buttons, focus=buttons[-1])

    def _typed(self, text: str) -> None:
        assert self._group is not None
        name = text.strip()
        self.rename.setEnabled(bool(name) and name != self._group.name)

    def _rename(self) -> None:
        group, name = self._group, self.field.text().strip()
        assert group is not None

        def done(view: GroupView) -> None:
            self._show(view)
            self.say(tr("Renamed for everybody in the group."), good=True)

        self.ask(lambda node: node.rename_group(group.id, name), done)

    def _look(self) -> None:
        group = self._group
        assert group is not None
        self.ask(lambda node: node.group(group.id), self._show)

    # -- who came and went ---------------------------------------------------------------

    def _look_back(self) -> None:
        group = self._group
        assert group is not None
        self.ask(lambda node: node.membership_changes(group.id), self._show_changes)

    def _show_changes(self, changes: list[MembershipChange]) -> None:
        group = self._group
        assert group is not None
        present = {one.person for one in roster(group, {})}
        gone: dict[bytes, MembershipChange] = {}
        for change in changes:
            if change.person not in present and change.kind in ("removed", "left"):
                gone[change.person] = change
        items: list[QWidget] = []
        if gone and group.member:
            items.append(
                label(tr("Out of the group: press to see who knows, or to undo"), "section")
            )
            items += [self._gone(change) for change in gone.values()]
        items.append(label(tr("All changes, newest first"), "section"))
        items += [
            label(change_text(change), "muted", wrap=True)
            for change in list(reversed(changes))[:_MOST_CHANGES]
        ]
        self.show_step(
            *items,
            heading=tr("Who came and went"),
            buttons=(primary(tr("Done"), self.close_sheet),),
            back=self._look,
        )

    def _gone(self, change: MembershipChange) -> RowButton:
        group = self._group
        assert group is not None
        return gone_row(
            self,
            change.name or tr("Unknown person"),
            change_text(change),
            lambda: self.removal.follow(group.id, change.person),
        )

    def happened(self, event: object) -> None:
        """Follow who knows of a removal."""
        self.removal.happened(event)

    # -- leaving -------------------------------------------------------------------------

    def _ask_leave(self) -> None:
        group = self._group
        assert group is not None
        others = [one for one in roster(group, {}) if not one.me]
        admins = [one for one in others if one.role == "admin"]
        sentences = [
            tr(
                "All your devices leave. The pages that are here stay readable on them, but "
                "nothing new arrives, and you cannot change them."
            ),
            tr("Only an admin of the group can bring you back, with a new invite."),
        ]
        if group.role == "admin" and others and not admins:
            sentences.append(
                tr(
                    "You are its only admin. Without one nobody can be invited or removed: make "
                    "somebody else admin first, in their sheet under People."
                )
            )
        if not others:
            sentences.append(tr("Nobody else is in it: nobody will be able to come back."))
        self.show_step(
            *(label(sentence, wrap=True) for sentence in sentences),
            heading=tr("Leave “{name}”?", name=group.name),
            buttons=(
                plain(tr("Stay"), lambda: self._show(group)),
                plain(tr("Leave"), self._leave, "danger"),
            ),
            back=lambda: self._show(group),
        )

    def _leave(self) -> None:
        group = self._group
        assert group is not None
        self.ask(
            lambda node: node.leave_group(group.id),
            lambda _: self.close_sheet(),
            busy=tr("Leaving …"),
        )


def change_text(change: MembershipChange) -> str:
    """Return a change of the membership as a sentence."""
    name, by = change.name or tr("somebody"), change.by_name or tr("somebody")
    role = role_name(change.role).lower()
    text = {
        "created": tr("{by} began the group", by=by),
        "added": tr("{by} added {name} as {role}", by=by, name=name, role=role),
        "removed": tr("{by} removed {name}", by=by, name=name),
        "role": tr("{by} made {name} {role}", by=by, name=name, role=role),
        "left": tr("{name} left", name=name),
    }.get(change.kind, change.kind)
    if change.kind == "role" and change.by == change.person and change.role == "admin":
        text = tr("{by} took over as admin, as nobody else was left", by=by)
    when = when_text(change.time)
    sentence = f"{text} · {when}" if when else text
    return sentence if change.counts else tr("{change} (undone)", change=sentence)
