"""The window: onboarding first, then sidebar · page · drawer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QMimeData, QPoint, QSize, Qt, Signal
from PySide6.QtGui import (
    QAction,
    QActionGroup,
    QCloseEvent,
    QDragEnterEvent,
    QDropEvent,
    QKeySequence,
    QShortcut,
)
from PySide6.QtWidgets import QMainWindow, QMenu, QStackedWidget, QWidget

from lutra_app.bridge import Bridge
from lutra_app.bundles import SUFFIX
from lutra_app.i18n import tr
from lutra_app.opening import Need
from lutra_app.people.drawer import Drawer
from lutra_app.shell.memory import Memory
from lutra_app.shell.page_area import PageArea
from lutra_app.shell.panes import Panes, Side
from lutra_app.shell.sheets import Sheets
from lutra_app.shell.workspace import Workspace
from lutra_app.sidebar.sidebar import Sidebar
from lutra_app.theme.theme import Theme
from lutra_app.theme.tokens import Width

if TYPE_CHECKING:
    from lutra_app.onboarding.welcome import Unlock, Welcome
    from lutra_app.shell.palette import Command

_SIZE = QSize(1180, 780)


class MainWindow(QMainWindow):
    """Lutra's one window.

    Signals:
        editable: a page is open and the keyboard is in it, for the first time.
    """

    editable = Signal()

    def __init__(self, bridge: Bridge, theme: Theme, directory: Path) -> None:
        super().__init__()
        self._bridge, self._theme = bridge, theme
        self._memory = Memory(directory)
        self._first = True
        self._new = False
        self._may_lose = False
        self._cover: Welcome | Unlock | None = None
        self.setWindowTitle("Lutra")
        self.setMinimumSize(Width.WINDOW_LEAST, 420)
        self.setAcceptDrops(True)
        self.resize(_SIZE)
        self.sidebar = Sidebar(theme)
        self.area = PageArea(theme)
        self.drawer = Drawer(theme)
        self.panes = Panes(theme, self.sidebar, self.area, self.drawer)
        self._stack = QStackedWidget()
        self._blank = QWidget()
        self._stack.addWidget(self._blank)
        self._stack.addWidget(self.panes)
        self.setCentralWidget(self._stack)
        self.workspace = Workspace(bridge, self.sidebar, self.area, self.drawer, self)
        self.sheets = Sheets(bridge, theme, self._stack, self.workspace)
        self._memory.restore(self, self.panes)
        self._connect()
        self._make_shortcuts()

    def _connect(self) -> None:
        bridge, sidebar, area, drawer = self._bridge, self.sidebar, self.area, self.drawer
        bridge.needed.connect(self._ask_person)
        bridge.ready.connect(self._begin)
        bridge.failed.connect(self._fail)
        bridge.ended.connect(self._end)
        sidebar.page_wanted.connect(self._open_page)
        sidebar.new_page_wanted.connect(self._new_page)
        sheets = self.sheets
        sidebar.new_group_wanted.connect(sheets.open_new_group)
        sidebar.join_wanted.connect(sheets.open_join)
        sidebar.joins_wanted.connect(sheets.open_join)
        sidebar.requests_wanted.connect(sheets.open_requests)
        sidebar.group_wanted.connect(sheets.open_group)
        sidebar.palette_wanted.connect(self.show_palette)
        sidebar.people_wanted.connect(self._show_people)
        sidebar.menu_wanted.connect(self._show_menu)
        area.sidebar_wanted.connect(lambda: self.panes.toggle(Side.LEFT))
        area.drawer_wanted.connect(lambda: self.panes.toggle(Side.RIGHT))
        area.invite_wanted.connect(sheets.open_invite)
        area.first_page_wanted.connect(lambda: self._new_page(b""))
        area.join_wanted.connect(sheets.open_join)
        area.page.link_wanted.connect(lambda: sheets.link.ask("https://"))
        drawer.people.invite_wanted.connect(sheets.open_invite)
        drawer.people.person_wanted.connect(sheets.open_person)
        drawer.people.group_wanted.connect(sheets.open_group)
        drawer.people.requests_wanted.connect(sheets.open_requests)
        attention = self.workspace.attention
        attention.join_wanted.connect(sheets.open_join)
        attention.joins_wanted.connect(sheets.open_join)
        attention.people_wanted.connect(self._show_people)
        attention.requests_wanted.connect(sheets.open_requests)
        attention.devices_wanted.connect(sheets.open_devices)
        attention.verify_wanted.connect(
            lambda group, person: sheets.open_person(group, person, verify=True)
        )
        self.workspace.owners_known.connect(self._theme.set_owners)
        drawer.close_wanted.connect(lambda: self.panes.show_pane(Side.RIGHT, False))
        self.panes.resized.connect(lambda: self._memory.remember(self, self.panes))
        self.workspace.opened.connect(self._opened)
        self.workspace.raise_wanted.connect(self.raise_window)

    def _make_shortcuts(self) -> None:
        for keys, slot in (
            ("Ctrl+K", self.show_palette),
            ("Ctrl+P", self.show_palette),
            ("Ctrl+Shift+F", self.show_palette),
            ("Ctrl+N", lambda: self._new_page(b"")),
            ("Ctrl+\\", lambda: self.panes.toggle(Side.LEFT)),
            ("Ctrl+.", lambda: self.panes.toggle(Side.RIGHT)),
            ("Ctrl+Shift+I", self._invite),
            ("F6", self._next_pane),
        ):
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.activated.connect(slot)

    @property
    def onboarding(self) -> Welcome | Unlock | None:
        """The screen that asks for a name or a passphrase, while it is shown."""
        return self._cover

    # -- starting ------------------------------------------------------------------------

    def _ask_person(self, need: Need) -> None:
        from lutra_app.onboarding.welcome import Unlock, Welcome

        if need is Need.PERSON and isinstance(self._cover, Welcome):
            self.sheets.pair_here.show_ways()
            return
        if need is Need.PASSPHRASE:
            screen = Unlock(self._theme)
            screen.given.connect(self._bridge.unlock)
        else:
            screen = Welcome(self._theme)
            screen.named.connect(self._create)
            screen.pairing_wanted.connect(self._pair_here)
            screen.restoring_wanted.connect(
                lambda: self.sheets.restore.begin(screen.field.text().strip())
            )
        if self._cover is not None:
            self._stack.removeWidget(self._cover)
            self._cover.deleteLater()
        self._cover = screen
        self._stack.addWidget(screen)
        self._stack.setCurrentWidget(screen)
        screen.field.setFocus()
        if need is Need.PERSON:
            # A pairing was under way when the program ended.
            self.sheets.pair_here.show_ways()

    def _create(self, name: str) -> None:
        self._new = True
        self._bridge.create(name)

    def _pair_here(self) -> None:
        self.sheets.pair_here.begin()
        self._bridge.begin_pairing()

    def _fail(self, message: str) -> None:
        if self._cover is not None:
            self._new = False
            if not self.sheets.fail(message):
                self._cover.fail(message)
            return
        self._stack.setCurrentWidget(self.panes)
        self.area.show_opening()
        self.area.notice.show_text(message)

    def _begin(self) -> None:
        self.sheets.close()
        self._stack.setCurrentWidget(self.panes)
        if self._cover is not None:
            self._stack.removeWidget(self._cover)
            self._cover.deleteLater()
            self._cover = None
        if self._new:
            # A new person can write at once, in a group of one's own.
            self.workspace.begin_new()
        else:
            self.workspace.begin(self._memory.page)

    def _end(self) -> None:
        self.sheets.close()
        self.workspace.show_nothing()

    def _opened(self, document: bytes) -> None:
        self._memory.page = document
        if self._first:
            self._first = False
            self.editable.emit()

    def raise_window(self) -> None:
        """Come to the front, as the second start of the program asks."""
        if self.isMinimized():
            self.showNormal()
        self.show()
        self.raise_()
        self.activateWindow()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take a bundle that is dropped."""
        if _bundle_in(event.mimeData()) is not None and self._bridge.identity is not None:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Take a bundle in."""
        path = _bundle_in(event.mimeData())
        if path is not None:
            event.acceptProposedAction()
            self.sheets.open_file(path)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Keep everything before going, or ask if that is not possible."""
        self._memory.remember(self, self.panes)
        if not self._may_lose and not self.workspace.rescue.finish():
            event.ignore()
            self._ask_to_leave()
            return
        self.workspace.close()
        super().closeEvent(event)

    def _ask_to_leave(self) -> None:
        """Ask what becomes of the text that could not be stored."""
        unsaved = self.workspace.rescue.unsaved
        if unsaved is not None:
            self.sheets.leaving.begin(unsaved.replica, unsaved.refused, self._leave)

    def _leave(self) -> None:
        self._may_lose = True
        self.close()

    # -- what the person does ------------------------------------------------------------

    def _open_page(self, document: bytes) -> None:
        self.workspace.open_page(document)
        if self.panes.is_floating(Side.LEFT):
            self.panes.show_pane(Side.LEFT, False)

    def _new_page(self, group: bytes) -> None:
        self.workspace.new_page(group or None)
        if self.panes.is_floating(Side.LEFT):
            self.panes.show_pane(Side.LEFT, False)

    def _show_people(self, group: bytes) -> None:
        self.workspace.show_group(group)
        self.drawer.show_tab(0)
        self.panes.show_pane(Side.RIGHT, True)

    def _invite(self) -> None:
        if self._stack.currentWidget() is self.panes:
            self.sheets.open_invite()

    def _next_pane(self) -> None:
        """Move the keyboard round sidebar, page and drawer."""
        focused = self.focusWidget()
        if focused is not None and self.sidebar.isAncestorOf(focused):
            self.area.page.setFocus()
        elif (
            focused is not None
            and self.area.isAncestorOf(focused)
            and self.panes.is_shown(Side.RIGHT)
        ):
            self.drawer.setFocus()
            self.drawer.focusNextChild()
        else:
            self.panes.show_pane(Side.LEFT, True)
            self.sidebar.focus_list()

    # -- palette and menu ----------------------------------------------------------------

    def show_palette(self) -> None:
        """Open the command palette."""
        if self._stack.currentWidget() is self.panes:
            self.sheets.palette.ask([*self._page_commands(), *self._commands()])

    def _page_commands(self) -> list[Command]:
        from lutra_app.shell.palette import Command

        return [
            Command(
                page.title.strip() or tr("Untitled"),
                "file-text",
                lambda document=page.id: self._open_page(document),
                group,
            )
            for page, group in self.workspace.page_list()
        ]

    def _commands(self) -> list[Command]:
        from lutra_app.shell.palette import Command

        page = self.area.page
        kinds = (
            (tr("Heading 1"), "text-h-one", "h1", "Ctrl+Alt+1"),
            (tr("Heading 2"), "text-h-two", "h2", "Ctrl+Alt+2"),
            (tr("Heading 3"), "text-h-three", "h3", "Ctrl+Alt+3"),
            (tr("Bulleted list"), "list-bullets", "ul", "Ctrl+Shift+8"),
            (tr("Numbered list"), "list-numbers", "ol", "Ctrl+Shift+7"),
            (tr("Check list"), "check-square", "check", "Ctrl+Shift+9"),
            (tr("Quote"), "quotes", "quote", ">"),
            (tr("Code"), "code", "code", "```"),
        )
        return [
            Command(tr("New page"), "note-pencil", lambda: self._new_page(b""), "Ctrl+N"),
            *self.sheets.commands(),
            Command(
                tr("Show or hide the sidebar"),
                "list",
                lambda: self.panes.toggle(Side.LEFT),
                "Ctrl+\\",
            ),
            Command(
                tr("People and history"),
                "users",
                lambda: self.panes.toggle(Side.RIGHT),
                "Ctrl+.",
            ),
            *(
                Command(text, icon, lambda kind=kind: page.toggle_kind(kind), keys)
                for text, icon, kind, keys in kinds
            ),
            Command(tr("Light"), "sun", lambda: self._choose_theme("light"), tr("Appearance")),
            Command(tr("Dark"), "moon", lambda: self._choose_theme("dark"), tr("Appearance")),
            Command(
                tr("Follow the system"),
                "circle-half",
                lambda: self._choose_theme("system"),
                tr("Appearance"),
            ),
        ]

    def _choose_theme(self, choice: str) -> None:
        self._memory.theme = choice
        self._theme.choose(choice)

    def _show_menu(self, point: QPoint) -> None:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        choices = QActionGroup(menu)
        for text, choice in (
            (tr("Follow the system"), "system"),
            (tr("Light"), "light"),
            (tr("Dark"), "dark"),
        ):
            action = QAction(text, menu, checkable=True)  # type: ignore[call-overload]
            action.setChecked(self._theme.choice == choice)
            action.triggered.connect(lambda _, choice=choice: self._choose_theme(choice))
            choices.addAction(action)
            menu.addAction(action)
        menu.addSeparator()
        motion = QAction(tr("Motion"), menu, checkable=True)  # type: ignore[call-overload]
        motion.setChecked(self._theme.motion)
        motion.toggled.connect(self._set_motion)
        menu.addAction(motion)
        menu.addSeparator()
        for text, run in (
            (tr("Your devices …"), self.sheets.open_devices),
            (tr("Recovery kits …"), self.sheets.open_kits),
            (tr("Carry by file …"), self.sheets.open_bundles),
        ):
            menu.addAction(text).triggered.connect(run)
        size = menu.sizeHint()
        menu.popup(point - QPoint(0, size.height() + 4))

    def _set_motion(self, wanted: bool) -> None:
        self._memory.motion = wanted
        self._theme.motion = wanted


def _bundle_in(data: QMimeData) -> Path | None:
    """Return the one bundle file among what is dropped."""
    paths = [Path(url.toLocalFile()) for url in data.urls() if url.isLocalFile()]
    return paths[0] if len(paths) == 1 and paths[0].suffix == SUFFIX else None
