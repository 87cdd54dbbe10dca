"""Bundles: write groups into one encrypted file, and take such a file in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from lutra.node.bundle_views import BundleProgress, BundleView, ImportView
from lutra.node.person_views import PersonView
from lutra.node.views import GroupView
from lutra_app.bridge import Bridge
from lutra_app.bundles import SUFFIX
from lutra_app.i18n import plural, tr
from lutra_app.shell.flow import Flow
from lutra_app.shell.task import plain, primary
from lutra_app.theme.parts import Choices, Option
from lutra_app.theme.theme import Theme
from lutra_app.theme.tokens import Space
from lutra_app.theme.widgets import label

_ALL = "everything"


class BundleSheet(Flow):
    """The sheet of bundles; `groups` gives the groups there are."""

    def __init__(
        self,
        bridge: Bridge,
        theme: Theme,
        over: QWidget,
        groups: Callable[[], tuple[GroupView, ...]],
    ) -> None:
        super().__init__(bridge, theme, over, heading=tr("Carry by file"))
        self._groups = groups
        self.scope: Choices | None = None
        self._stop: Callable[[], None] | None = None

    def begin(self, group: GroupView | None = None) -> None:
        """Open; with a group, to write that one."""
        self.show_step(heading=tr("Carry by file"))
        self.open_task()
        chosen = f"group:{group.id.hex()}" if group is not None else _ALL
        self.ask(lambda node: node.people.list(), lambda people: self._show(people, chosen))

    def begin_import(self, path: Path) -> None:
        """Open and take in a file."""
        self.show_step(heading=tr("Carry by file"))
        self.open_task()
        self.take(path)

    def _show(self, people: list[PersonView], chosen: str) -> None:
        options = [
            Option(
                _ALL,
                tr("Everything of mine"),
                tr("All groups. Your other devices and your recovery kits can open it."),
            )
        ]
        options += [
            Option(f"group:{group.id.hex()}", group.name, tr("Its members can open it."))
            for group in self._groups()
            if any(member.person for member in group.members)
        ]
        options += [
            Option(
                f"person:{person.id.hex()}",
                tr("For {name}", name=person.name or tr("Unknown person")),
                plural(
                    len(person.groups),
                    "The {count} group you share.",
                    "The {count} groups you share.",
                ),
            )
            for person in people
            if not person.me and person.groups
        ]
        if chosen not in {option.key for option in options}:
            chosen = _ALL
        self.scope = Choices(tr("What goes into the file"), options, chosen)
        self.show_step(
            label(
                tr(
                    "A bundle carries pages, changes and members on a stick or by mail where no "
                    "network reaches. It is encrypted; an outsider sees nothing but its size. "
                    "Taking the same one in twice does no harm."
                ),
                "muted",
                wrap=True,
            ),
            self.scope,
            heading=tr("Carry by file"),
            buttons=(
                plain(tr("Take a file in …"), self._ask_import),
                primary(tr("Write a file …"), self._ask_export),
            ),
        )

    # -- out -----------------------------------------------------------------------------

    def _ask_export(self) -> None:
        name, _ = QFileDialog.getSaveFileName(
            self,
            tr("Write the bundle"),
            str(Path.home() / f"bundle{SUFFIX}"),
            tr("Lutra bundles (*{suffix})", suffix=SUFFIX),
        )
        if name:
            # The file dialog has asked whether to replace a file of this name.
            self.write(Path(name))

    def write(self, path: Path) -> None:
        """Write what is chosen into a file, in the place of one of this name."""
        assert self.scope is not None
        kind, _, key = self.scope.key.partition(":")
        groups = (bytes.fromhex(key),) if kind == "group" else ()
        person = bytes.fromhex(key) if kind == "person" else None
        progress = self.bridge.relay(self._progress)
        self._begin(tr("Writing the file"))
        self._stop = self.ask(
            lambda node: node.bundles.export(
                path,
                groups=groups,
                person=person,
                everything=kind == _ALL,
                overwrite=True,
                progress=progress,
            ),
            self._written,
            failed=self._failed,
        )

    def _written(self, view: BundleView) -> None:
        self._stop = None
        facts = [
            plural(len(view.groups), "{count} group", "{count} groups"),
            plural(view.operations, "{count} change", "{count} changes"),
            size_text(view.size),
        ]
        if view.kits:
            facts.append(
                plural(view.kits, "{count} recovery kit opens it", "{count} recovery kits open it")
            )
        self.show_step(
            label(str(view.path), wrap=True),
            label(" · ".join(facts), "muted", wrap=True),
            heading=tr("The file is written"),
            buttons=(primary(tr("Done"), self.close_sheet),),
        )

    # -- in ------------------------------------------------------------------------------

    def _ask_import(self) -> None:
        name, _ = QFileDialog.getOpenFileName(
            self,
            tr("Take a bundle in"),
            str(Path.home()),
            tr("Lutra bundles (*{suffix});;All files (*)", suffix=SUFFIX),
        )
        if name:
            self.take(Path(name))

    def take(self, path: Path) -> None:
        """Take a file in."""
        progress = self.bridge.relay(self._progress)
        self._begin(tr("Taking the file in"))
        self._stop = self.ask(
            lambda node: node.bundles.load(path, progress=progress),
            self._taken,
            failed=self._failed,
        )

    def _taken(self, view: ImportView) -> None:
        self._stop = None
        column = QVBoxLayout()
        column.setSpacing(Space.S)
        for group in view.groups:
            column.addWidget(label(group.name or tr("A group whose name is not known yet")))
            column.addWidget(
                label(
                    _counts(group.new, group.known, group.refused, group.pages), "muted", wrap=True
                )
            )
        self.show_step(
            label(_counts(view.new, view.known, view.refused, view.pages), "lead", wrap=True),
            column,
            heading=tr("The file is taken in") if view.new else tr("Nothing new in this file"),
            buttons=(primary(tr("Done"), self.close_sheet),),
        )

    # -- both ----------------------------------------------------------------------------

    def _begin(self, heading: str) -> None:
        self.show_step(heading=heading, buttons=(plain(tr("Stop"), self._halt),))
        self.busy(tr("Beginning …"))

    def _progress(self, progress: BundleProgress) -> None:
        if self._stop is None or not self.isVisible():
            return
        if progress.phase == "writing":
            text = tr("{done} of {total} changes", done=progress.done, total=progress.total)
        elif progress.phase == "checking":
            text = tr("Checking the file: nothing is taken in before it is whole")
        else:
            text = tr("Taking in")
        self.busy(text, progress.done, progress.total)

    def _halt(self) -> None:
        if self._stop is not None:
            self._stop()
        self._failed(tr("Stopped. What was taken in already stays, and is whole in itself."))

    def _failed(self, message: str) -> None:
        self._stop = None
        self.show_step(
            label(message, wrap=True),
            heading=tr("That did not go to its end"),
            buttons=(primary(tr("Back"), self.begin),),
        )


def _counts(new: int, known: int, refused: int, pages: int) -> str:
    parts = [
        plural(new, "{count} new change", "{count} new changes"),
        plural(pages, "{count} new page", "{count} new pages"),
        tr("{count} known already", count=known),
    ]
    if refused:
        parts.append(tr("{count} refused", count=refused))
    return " · ".join(parts)


def size_text(size: int) -> str:
    """Return a number of bytes as people say it."""
    if size < 1024 * 1024:
        return tr("{size} KB", size=max(1, size // 1024))
    return tr("{size} MB", size=f"{size / 1024 / 1024:.1f}")
