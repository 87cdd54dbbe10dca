"""The three panes at work: what the person does becomes verbs, what happens becomes views."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from lutra.node.events import (
    CatchUpChanged,
    DeviceRemoved,
    DocumentChanged,
    DocumentsChanged,
    DocumentStatusChanged,
    GroupsChanged,
    InvitesChanged,
    JoinChanged,
    JoinRequested,
    KitUsed,
    MemberJoined,
    PeersChanged,
    PersonChanged,
    PresenceChanged,
    RaiseRequested,
    Trouble,
    VerifiedKeysChanged,
)
from lutra.node.views import DocumentView, GroupView
from lutra_app.bridge import Bridge
from lutra_app.editor.page import PageBody
from lutra_app.editor.session import PageSession
from lutra_app.i18n import tr
from lutra_app.people.drawer import Drawer
from lutra_app.shell.attention import Attention
from lutra_app.shell.known import Known, read_known
from lutra_app.shell.page_area import PageArea
from lutra_app.shell.page_status import PageStatus
from lutra_app.shell.rescue import Rescue
from lutra_app.shell.standing import standing
from lutra_app.sidebar.sidebar import Sidebar

if TYPE_CHECKING:
    from lutra.node.editor_session import EditorSession

_REFRESH_MS = 60
_LISTED = 10_000


class Workspace(QObject):
    """Groups, pages and the open page.

    Attributes:
        known: what the lists show.
        attention: what the banners say.
        rescue: looks after what could not be saved.

    Signals:
        opened: a page is open and can be edited.
        raise_wanted: the program was started a second time.
        groups_changed: `known` is new.
        owners_known: device → person of all members.
    """

    opened = Signal(bytes)
    raise_wanted = Signal()
    groups_changed = Signal()
    owners_known = Signal(object)

    def __init__(
        self, bridge: Bridge, sidebar: Sidebar, area: PageArea, drawer: Drawer, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._bridge, self._sidebar, self._area, self._drawer = bridge, sidebar, area, drawer
        self.known = Known()
        self.attention = Attention(bridge, area.banners, self)
        self.rescue = Rescue(bridge, area.banners, self)
        self._documents: dict[bytes, list[DocumentView]] = {}
        self.session: PageSession | None = None
        self._current: bytes | None = None
        self._group: bytes | None = None
        self._status = PageStatus(bridge, area.state_line, drawer.people, self)
        self._refresh = QTimer(self)
        self._refresh.setSingleShot(True)
        self._refresh.setInterval(_REFRESH_MS)
        self._refresh.timeout.connect(self._ask_stale)
        self._refreshing = False
        self._again = False
        # Pages whose entries are old; None if any may be.
        self._stale: frozenset[bytes] | None = None
        self._outdated = False
        self._opened_first: Callable[[], None] | None = None
        bridge.happened.connect(self._take)
        bridge.trouble.connect(area.notice.show_text)
        drawer.history_wanted.connect(self._ask_history)
        self.rescue.refused.connect(self._note_refusal)
        self.rescue.saved.connect(self._note_saved)
        self.rescue.copied.connect(self._note_copy)
        self.rescue.reopen_wanted.connect(self._reopen)

    @property
    def current(self) -> bytes | None:
        """The page that is open or being opened."""
        return self._current

    @property
    def page(self) -> PageBody:
        """Where the open page is written."""
        return self._area.page

    @property
    def groups(self) -> tuple[GroupView, ...]:
        """All groups; those this person is in first."""
        return self.known.groups

    @property
    def group(self) -> GroupView | None:
        """The group of the open page, else the first one."""
        return self.known.group(self._group) or (self.groups[0] if self.groups else None)

    def _writable_group(self) -> GroupView | None:
        """The group a new page goes into: the open page's, if one may write there."""
        wanted = [self.known.group(self._group), *self.groups]
        return next((one for one in wanted if one is not None and standing(one) is None), None)

    def page_list(self) -> list[tuple[DocumentView, str]]:
        """Return every page with the name of its group."""
        names = {group.id: group.name for group in self.groups}
        return [(page, names.get(page.group, "")) for page in self._sidebar.pages()]

    # -- starting ------------------------------------------------------------------------

    def begin(self, remembered: bytes | None) -> None:
        """Show what there is, and open the page that was open last."""
        if self._bridge.identity is not None:
            self._sidebar.show_identity(self._bridge.identity)
        self._sidebar.show_connected(0)
        self._current = remembered
        if remembered is not None:
            # The page first: typing must be possible before the lists are there.
            self.open_page(remembered, missing=self._open_first)
        else:
            self._opened_first = self._open_first
        self._ask_lists()

    def begin_new(self) -> None:
        """Give a new person a group and an empty page to write in."""
        if self._bridge.identity is not None:
            self._sidebar.show_identity(self._bridge.identity)
        self._sidebar.show_connected(0)
        self._area.show_opening()
        self.new_page()

    def _open_first(self) -> None:
        pages = self._sidebar.pages()
        if pages:
            self.open_page(pages[0].id)
        else:
            self._area.show_empty()

    # -- pages ---------------------------------------------------------------------------

    def open_page(self, document: bytes, *, missing: Callable[[], None] | None = None) -> None:
        """Open a page in place of the one that is open."""
        if self.session is not None and self.session.document == document:
            self._area.page.setFocus()
            return
        self._current = document
        self._sidebar.select(document)
        self._follow_events()

        def failed(message: str) -> None:
            if missing is not None:
                missing()
            else:
                self._area.notice.show_text(message)
                self._stay()

        self._bridge.ask(
            lambda node: node.open_editor(document),
            lambda editor: self._show_page(document, editor),
            failed,
        )

    def _show_page(self, document: bytes, editor: EditorSession) -> None:
        def give_back() -> None:
            self._bridge.ask(lambda _: editor.close())

        def show() -> None:
            if document == self._current:
                self._replace_page(document, editor)
            else:
                give_back()

        def stay() -> None:
            give_back()
            self._stay()

        self.rescue.when_stored(show, stay)

    def _stay(self) -> None:
        """Go on with the page that is open: another cannot be opened."""
        if self.session is not None:
            self._current = self.session.document
            self._sidebar.select(self._current)
            self._follow_events()

    def _follow_events(self) -> None:
        """Hear of edits to the page that is being opened, and to the one shown until then."""
        shown = self.session.document if self.session is not None else None
        wanted = (self._current, shown)
        self._bridge.set_open_documents(frozenset(one for one in wanted if one is not None))

    def _replace_page(self, document: bytes, editor: EditorSession) -> None:
        self._close_page()
        self._outdated = False
        self._follow_events()
        session = PageSession(self._bridge, editor, self._area.page)
        self.session = session
        self.rescue.follow(session)
        session.saving.connect(self._status.note_saving)
        session.title_changed.connect(lambda title: self._sidebar.rename_page(document, title))
        session.people_changed.connect(self._note_people)
        self._note_people([])
        self._show_where()
        self._sidebar.select(document)
        self._status.begin(document)
        if self._drawer.shows_history():
            self._ask_history()
        page = self._area.page
        page.verticalScrollBar().setValue(0)
        empty = session.replica.title_length == 0 and session.replica.body_length == 0
        (page.title if empty else page).setFocus()
        self.opened.emit(document)

    def _show_where(self) -> None:
        document = self._current
        view = next(
            (page for pages in self._documents.values() for page in pages if page.id == document),
            None,
        )
        if view is not None:
            self._group = view.group
        group = self.group
        self._area.show_page(
            group.name if group is not None else "",
            may_invite=group is None or (group.member and group.role == "admin"),
        )
        self._show_people(group)
        self._freeze()

    def _freeze(self) -> None:
        """Let a page be written only where what is written would be taken."""
        self._area.page.set_frozen(self.rescue.holding or standing(self.group) is not None)

    def _show_people(self, group: GroupView | None) -> None:
        waiting = self.known.waiting(group.id) if group is not None else 0
        self._drawer.people.show_group(group, self.known.people, waiting)
        self.attention.show_known(self.known, group)

    def _close_page(self) -> None:
        if self.session is not None:
            self.rescue.leave()
            self.session.close()
            self.session = None

    def show_nothing(self) -> None:
        """Show nothing any more: the node has deleted everything and closed."""
        self.close()
        self._show_lists(Known())
        self._area.show_opening()

    def close(self) -> None:
        """Close the open page; nothing is asked of the node any more."""
        self._close_page()
        self._current = None
        self._refresh.stop()
        self._status.stop()

    def new_page(self, group: bytes | None = None) -> None:
        """Make a page and open it; without any group, one for oneself is made first."""
        writable = self._writable_group()
        target = group or (writable.id if writable is not None else None)
        if target is None:
            self._bridge.ask(
                lambda node: node.create_group(tr("My pages")),
                lambda made: self.new_page(made.id),
            )
            return
        self._group = target
        self._bridge.ask(lambda node: node.create_document(target, ""), self._open_new)

    def _open_new(self, made: DocumentView) -> None:
        self._documents.setdefault(made.group, []).insert(0, made)
        self._ask_lists()
        self.open_page(made.id)

    # -- groups --------------------------------------------------------------------------

    def enter_new_group(self, group: GroupView) -> None:
        """Go on in a group that was just made: with a first page."""
        self._ask_lists()
        self.new_page(group.id)

    def enter_joined_group(self, group: bytes) -> None:
        """Go on in a group this device was let into."""
        self._group = group
        self._ask_lists()

    def show_group(self, group: bytes) -> None:
        """Show the people of a group in the drawer."""
        self._show_people(self.known.group(group))

    # -- what could not be saved ---------------------------------------------------------

    def _note_refusal(self, message: str) -> None:
        self._status.note_trouble(message)
        self._freeze()

    def _note_saved(self) -> None:
        self._freeze()
        if self._outdated:
            self._reopen()

    def _note_copy(self, page: DocumentView) -> None:
        self._ask_lists()
        self._area.notice.show_text(
            tr("What could not be saved is kept in the page “{title}”.", title=page.title)
        )

    # -- events --------------------------------------------------------------------------

    def _take(self, event: object) -> None:
        match event:
            case DocumentChanged() | PresenceChanged():
                if self.session is not None:
                    self.session.take(event)
            case DocumentStatusChanged():
                if self._current is not None and (
                    not event.documents or self._current in event.documents
                ):
                    self._status.look_soon()
            case DocumentsChanged():
                self._refresh_soon(frozenset(event.documents))
                self._status.look_soon()
            case MemberJoined() | PeersChanged():
                self._refresh_soon(frozenset())
                self._status.look_soon()
            case GroupsChanged():
                self._refresh_soon()
                self._status.look_soon()
            case (
                PersonChanged()
                | VerifiedKeysChanged()
                | InvitesChanged()
                | JoinRequested()
                | JoinChanged()
            ):
                self._refresh_soon()
            case KitUsed():
                if self.known.identity is not None and event.person == self.known.identity.person:
                    self.attention.show_kit_used()
            case DeviceRemoved():
                self.attention.show_removed(wiped=event.wiped)
                self._refresh_soon()
            case CatchUpChanged():
                self.attention.show_catch_up(event)
            case RaiseRequested():
                self.raise_wanted.emit()
            case Trouble():
                self._area.notice.show_text(event.message)
                if event.code == "events.lost":
                    # Nothing tells again which pages changed, whatever becomes of the open one.
                    self._refresh_soon()
                    self._outdated = True
                    self.rescue.when_stored(self._reopen, self._stay)
            case _:
                pass

    def _refresh_soon(self, pages: frozenset[bytes] | None = None) -> None:
        """Read the lists anew in a moment: of pages these, by default all."""
        self._stale = None if pages is None or self._stale is None else self._stale | pages
        if not self._refresh.isActive():
            self._refresh.start()

    def _reopen(self) -> None:
        """Show the page anew after events were lost."""
        document = self._current
        self._close_page()
        self._ask_lists()
        if document is not None:
            self.open_page(document)

    def _ask_lists(self) -> None:
        """Read all lists now."""
        self._stale = None
        self._ask_stale()

    def _ask_stale(self) -> None:
        if self._refreshing:
            self._again = True
            return
        self._refreshing = True
        before, pages = self.known, self._stale
        self._stale = frozenset()

        def failed(message: str) -> None:
            self._stale = None
            self._area.notice.show_text(message)
            self._end_reading()

        self._bridge.ask(lambda node: read_known(node, before, pages), self._show_lists, failed)

    def _end_reading(self) -> None:
        self._refreshing = False
        if self._again:
            self._again = False
            self._refresh_soon(frozenset())

    def _show_lists(self, known: Known) -> None:
        self._end_reading()
        self.known = known
        by_group: dict[bytes, list[DocumentView]] = {}
        for page in known.documents[:_LISTED]:
            by_group.setdefault(page.group, []).append(page)
        self._documents = by_group
        self.owners_known.emit(
            {
                member.device: member.person
                for group in known.groups
                for member in group.members
                if member.person
            }
        )
        self._sidebar.show_known(known, by_group)
        self._sidebar.show_connected(known.connected)
        if known.identity is not None:
            self._sidebar.show_identity(known.identity)
        if self.session is not None:
            self._show_where()
        else:
            self._show_people(self.group)
        self.groups_changed.emit()
        self._bridge.begin_network()
        first, self._opened_first = self._opened_first, None
        if first is not None:
            first()

    def _note_people(self, people: list[tuple[str, bytes]]) -> None:
        self._area.show_people(people)
        self._drawer.people.show_here(frozenset(device for _, device in people))

    def _ask_history(self) -> None:
        document = self._current
        if document is not None:
            self._bridge.ask(lambda node: node.history(document), self._drawer.history.show_changes)
