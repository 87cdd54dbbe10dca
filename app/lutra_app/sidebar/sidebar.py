"""The sidebar: search, groups with their pages, and who is around."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PySide6.QtCore import (
    QEvent,
    QItemSelectionModel,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QRect,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QFont, QKeyEvent, QMouseEvent, QPainter
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QFrame,
    QHBoxLayout,
    QListView,
    QMenu,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
)

from lutra.node.views import DocumentView, Identity
from lutra_app.i18n import plural, tr
from lutra_app.shell.known import Known
from lutra_app.shell.standing import standing
from lutra_app.sidebar.rows import (
    PageRows,
    Row,
    RowKind,
    RowsModel,
    build_rows,
    page_text,
    steady_order,
)
from lutra_app.theme import icons
from lutra_app.theme.theme import Theme
from lutra_app.theme.tokens import Radius, Space, Type
from lutra_app.theme.widgets import Avatar, IconButton, button, label, rule

_ROW_HEIGHT = 34


class _Delegate(QStyledItemDelegate):
    def __init__(self, theme: Theme, model: RowsModel) -> None:
        super().__init__(model)
        self._theme, self._model = theme, model

    def sizeHint(
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> QSize:
        return QSize(80, _ROW_HEIGHT)

    def paint(
        self,
        painter: QPainter,
        option: QStyleOptionViewItem,
        index: QModelIndex | QPersistentModelIndex,
    ) -> None:
        row = self._model.rows[index.row()]
        state: QStyle.StateFlag = option.state  # type: ignore[attr-defined]
        rect: QRect = option.rect.adjusted(Space.S, 1, -Space.S, -1)  # type: ignore[attr-defined]
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if row.kind is RowKind.GROUP:
            # Nearer to its own pages than to those of the group above.
            rect.setTop(rect.top() + Space.XS)
        selected = bool(state & QStyle.StateFlag.State_Selected)
        hovered = bool(state & QStyle.StateFlag.State_MouseOver)
        if selected or hovered:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self._theme.color("accent_soft" if selected else "hover"))
            painter.drawRoundedRect(rect, Radius.M, Radius.M)
        if state & QStyle.StateFlag.State_HasFocus:
            painter.setPen(self._theme.color("focus"))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(rect, Radius.M, Radius.M)
        inner = rect.adjusted(Space.S, 0, -Space.S, 0)
        if row.kind is RowKind.GROUP:
            self._paint_group(painter, inner, row, hovered)
        else:
            self._paint_page(painter, inner, row, selected)
        painter.restore()

    def _paint_group(self, painter: QPainter, rect: QRect, row: Row, hovered: bool) -> None:
        caret = "caret-right" if row.folded else "caret-down"
        muted = self._theme.color("muted")
        mark = QRect(rect.left() - 2, rect.center().y() - 5, 12, 12)
        icons.paint(painter, mark, caret, muted)
        text = rect.adjusted(Space.L, 0, -Space.XL, 0)
        self._set_font(painter, Type.CAPTION, QFont.Weight.DemiBold)
        self._text(painter, text, row.text, "muted")
        if row.waiting:
            self._paint_waiting(painter, rect, row.waiting)
        elif row.ended:
            icons.paint(painter, add_rect(rect), "eye", muted)
        elif hovered:
            icons.paint(painter, add_rect(rect), "plus", muted)
        elif row.people > 1:
            count = QRect(rect.right() - 36, rect.top(), 36, rect.height())
            self._set_font(painter, Type.CAPTION, QFont.Weight.Normal)
            painter.setPen(muted)
            side = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(count, int(side), str(row.people))
            width = painter.fontMetrics().horizontalAdvance(str(row.people))
            people = QRect(count.right() - width - 19, rect.center().y() - 6, 14, 14)
            icons.paint(painter, people, "users", muted)

    def _paint_waiting(self, painter: QPainter, rect: QRect, count: int) -> None:
        """Draw a mark that somebody waits to be let in."""
        text = str(count)
        self._set_font(painter, Type.CAPTION, QFont.Weight.DemiBold)
        width = max(18, painter.fontMetrics().horizontalAdvance(text) + 10)
        mark = QRect(rect.right() - width, rect.center().y() - 8, width, 18)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._theme.color("accent"))
        painter.drawRoundedRect(mark, 9, 9)
        painter.setPen(self._theme.color("on_accent"))
        painter.drawText(mark, int(Qt.AlignmentFlag.AlignCenter), text)

    def _paint_page(self, painter: QPainter, rect: QRect, row: Row, selected: bool) -> None:
        hint = row.kind is RowKind.HINT
        name = {RowKind.HINT: "plus", RowKind.JOIN: "hourglass"}.get(row.kind, "file-text")
        color = self._theme.color("accent" if selected else "muted")
        icons.paint(painter, QRect(rect.left(), rect.center().y() - 7, 16, 16), name, color)
        weight = QFont.Weight.Medium if selected else QFont.Weight.Normal
        text = rect.adjusted(Space.XL, 0, 0, 0)
        self._set_font(painter, Type.UI, weight)
        quiet = hint or row.kind is RowKind.JOIN
        self._text(painter, text, row.text, "muted" if quiet else "text")

    def _set_font(self, painter: QPainter, size: int, weight: QFont.Weight) -> None:
        font = QFont(painter.font())
        font.setPixelSize(size)
        font.setWeight(weight)
        painter.setFont(font)

    def _text(self, painter: QPainter, rect: QRect, text: str, color: str) -> None:
        painter.setPen(self._theme.color(color))
        shown = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, rect.width())
        side = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(rect, int(side), shown)


def add_rect(rect: QRect) -> QRect:
    """Return where a group's “new page” mark is, in the row's inner rectangle."""
    return QRect(rect.right() - 15, rect.center().y() - 7, 15, 15)


class _List(QListView):
    """The list; Enter opens, the mark at a group's end makes a page."""

    pressed_row = Signal(int, bool)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        index = self.indexAt(event.position().toPoint())
        if index.isValid() and event.button() == Qt.MouseButton.LeftButton:
            inner = self.visualRect(index).adjusted(2 * Space.S, 0, -2 * Space.S, 0)
            at_end = event.position().x() >= add_rect(inner).left() - Space.S
            self.pressed_row.emit(index.row(), at_end)
        super().mouseReleaseEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.pressed_row.emit(self.currentIndex().row(), False)
            return
        super().keyPressEvent(event)


class Sidebar(QFrame):
    """Groups, pages, search and people around.

    Signals:
        page_wanted: open this page.
        new_page_wanted: make a page in this group.
        new_group_wanted: make a group.
        join_wanted: enter an invite code.
        palette_wanted: search.
        people_wanted: show who is in this group.
        group_wanted: show what can be done with this group.
        requests_wanted: show who waits to be let in.
        joins_wanted: show the invites under way.
        menu_wanted: show the person's menu below this point.
    """

    page_wanted = Signal(bytes)
    new_page_wanted = Signal(bytes)
    new_group_wanted = Signal()
    join_wanted = Signal()
    palette_wanted = Signal()
    people_wanted = Signal(bytes)
    group_wanted = Signal(bytes)
    requests_wanted = Signal()
    joins_wanted = Signal()
    menu_wanted = Signal(QPoint)

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._icons: list[tuple[QAbstractButton, str]] = []
        theme.changed.connect(self._renew_icons)
        self._known = Known()
        self._documents: dict[bytes, list[DocumentView]] = {}
        self._folded: frozenset[bytes] = frozenset()
        self._current: bytes | None = None
        self.setProperty("role", "panel")
        self._model = RowsModel(self)
        self._page_rows = PageRows()
        self._list = self._make_list()
        self._avatar = Avatar(theme, "", bytes(32), 26)
        self._name = label("")
        self._around = label("", "muted")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, Space.M, 0, Space.S)
        layout.setSpacing(0)
        layout.addLayout(self._make_head())
        layout.addSpacing(Space.S)
        layout.addWidget(self._list, 1)
        layout.addSpacing(Space.XS)
        layout.addWidget(rule())
        layout.addSpacing(Space.XS)
        layout.addLayout(self._make_foot())

    def _make_list(self) -> _List:
        view = _List()
        view.setModel(self._model)
        view.setItemDelegate(_Delegate(self._theme, self._model))
        # Otherwise a thousand pages are asked for their height whenever one comes.
        view.setUniformItemSizes(True)
        view.setMouseTracking(True)
        view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        view.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        view.customContextMenuRequested.connect(self._show_menu)
        view.setAccessibleName(tr("Groups and pages"))
        view.pressed_row.connect(self._press)
        return view

    def _make_head(self) -> QHBoxLayout:
        head = QHBoxLayout()
        head.setContentsMargins(Space.M, 0, Space.S, 0)
        head.setSpacing(Space.XS)
        search = button(tr("Search or jump to …"), "search")
        self._put_icon(search, "magnifying-glass")
        search.setToolTip(tr("Search or jump to a page") + "  Ctrl+K")
        search.clicked.connect(self.palette_wanted)
        new = IconButton(self._theme, "note-pencil", tr("New page"), shortcut="Ctrl+N")
        new.clicked.connect(lambda: self.new_page_wanted.emit(b""))
        head.addWidget(search, 1)
        head.addWidget(new)
        return head

    def _make_foot(self) -> QVBoxLayout:
        foot = QVBoxLayout()
        foot.setContentsMargins(Space.S, 0, Space.S, 0)
        foot.setSpacing(0)
        for text, icon, signal in (
            (tr("New group"), "users-three", self.new_group_wanted),
            (tr("Join a group"), "sign-in", self.join_wanted),
        ):
            item = button(text, "quiet")
            self._put_icon(item, icon)
            item.clicked.connect(signal)
            foot.addWidget(item)
        foot.addSpacing(Space.XS)
        me = QHBoxLayout()
        me.setContentsMargins(Space.S, Space.XS, 0, 0)
        me.setSpacing(Space.S)
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(self._name)
        words.addWidget(self._around)
        more = IconButton(self._theme, "gear", tr("Appearance and more"))
        more.clicked.connect(lambda: self.menu_wanted.emit(more.mapToGlobal(QPoint(0, 0))))
        me.addWidget(self._avatar)
        me.addLayout(words, 1)
        me.addWidget(more)
        foot.addLayout(me)
        return foot

    def _put_icon(self, item: QAbstractButton, icon: str) -> None:
        item.setIcon(self._theme.icon(icon))
        self._icons.append((item, icon))

    def _renew_icons(self) -> None:
        for item, icon in self._icons:
            item.setIcon(self._theme.icon(icon))

    # -- content -------------------------------------------------------------------------

    def show_identity(self, identity: Identity) -> None:
        """Show whose device this is."""
        self._avatar.show_person(identity.name, identity.person)
        self._name.setText(identity.name)
        self._name.setToolTip(identity.device_name)

    def show_connected(self, connected: int) -> None:
        """Say how many devices are connected."""
        self._around.setText(
            plural(connected, "{count} device connected", "{count} devices connected")
            if connected
            else tr("No other device in reach")
        )

    def show_known(self, known: Known, documents: Mapping[bytes, Sequence[DocumentView]]) -> None:
        """Show groups, these pages by group, and what waits; listed pages keep their places."""
        self._known = known
        self._documents = {
            group.id: steady_order(
                [page.id for page in self._documents.get(group.id, [])],
                documents.get(group.id, ()),
            )
            for group in known.groups
        }
        self._page_rows.keep(self._documents)
        self._rebuild()

    def rename_page(self, document: bytes, title: str) -> None:
        """Show a title as it is being typed."""
        row = self._model.row_of(document, RowKind.PAGE)
        if row is None:
            return
        rows = list(self._model.rows)
        old = rows[row]
        rows[row] = Row(old.kind, old.id, old.group, page_text(title))
        self._model.show_rows(rows)

    def rows(self) -> list[Row]:
        """Return what is listed."""
        return list(self._model.rows)

    def pages(self) -> list[DocumentView]:
        """Return all pages in the order listed."""
        return [page for group in self._known.groups for page in self._documents.get(group.id, [])]

    def select(self, document: bytes | None) -> None:
        """Mark the page that is open."""
        self._current = document
        self._mark_current()

    def focus_list(self) -> None:
        """Put the keyboard into the list."""
        self._list.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def _rebuild(self) -> None:
        known = self._known
        cursor = self._cursor()
        self._model.show_rows(
            build_rows(
                known.groups,
                self._documents,
                self._folded,
                known.requests,
                known.joins,
                made=self._page_rows,
            )
        )
        self._mark_current(cursor)

    def _cursor(self) -> Row | None:
        """Return where somebody is who goes through the list by keyboard."""
        index = self._list.currentIndex()
        if not index.isValid() or self.window().focusWidget() is not self._list:
            return None
        return self._model.rows[index.row()]

    def _mark_current(self, cursor: Row | None = None) -> None:
        """Mark the page that is open; the keyboard begins there, or goes on at `cursor`."""
        selection, flags = self._list.selectionModel(), QItemSelectionModel.SelectionFlag
        row = None if self._current is None else self._model.row_of(self._current, RowKind.PAGE)
        if row is None:
            selection.clearSelection()
        else:
            selection.select(self._model.index(row), flags.ClearAndSelect)
        at = None if cursor is None else self._model.row_of(cursor.id, cursor.kind)
        begin = row if at is None else at
        if begin is not None:
            selection.setCurrentIndex(self._model.index(begin), flags.NoUpdate)

    # -- what the person does ------------------------------------------------------------

    def _press(self, index: int, at_end: bool) -> None:
        if not 0 <= index < len(self._model.rows):
            return
        row = self._model.rows[index]
        if row.kind is RowKind.PAGE:
            self.page_wanted.emit(row.id)
        elif row.kind is RowKind.JOIN:
            self.joins_wanted.emit()
        elif row.kind is RowKind.GROUP and at_end and row.waiting:
            self.requests_wanted.emit()
        elif row.kind is RowKind.GROUP and at_end and row.ended:
            self.people_wanted.emit(row.group)
        elif row.kind is RowKind.HINT or at_end:
            self.new_page_wanted.emit(row.group)
            self._mark_current()
        else:
            self._folded = self._folded ^ {row.id}
            self._rebuild()

    def _show_menu(self, point: QPoint) -> None:
        index = self._list.indexAt(point)
        if not index.isValid():
            return
        group = self._model.rows[index.row()].group
        if not group:
            return
        menu = QMenu(self)
        if standing(self._known.group(group)) is None:
            menu.addAction(tr("New page")).triggered.connect(
                lambda: self.new_page_wanted.emit(group)
            )
        menu.addAction(tr("People")).triggered.connect(lambda: self.people_wanted.emit(group))
        menu.addAction(tr("Group: name, history, leave …")).triggered.connect(
            lambda: self.group_wanted.emit(group)
        )
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self._list.viewport().mapToGlobal(point))

    def changeEvent(self, event: QEvent) -> None:
        """Keep row heights right when the font changes."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self._list.doItemsLayout()
