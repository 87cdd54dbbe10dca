"""The sidebar's rows: groups with their pages, as one flat list a screen reader can walk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, QStringListModel, Qt

from lutra.node.views import DocumentView, GroupView, JoinRequestView, JoinView
from lutra_app.i18n import plural, tr


class RowKind(Enum):
    """What a row is."""

    GROUP = "group"
    PAGE = "page"
    HINT = "hint"
    JOIN = "join"


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Attributes:
        kind: what it is.
        id: of the group or the page; of the group for a hint; of the attempt for a join.
        group: the group it belongs to.
        text: what is read.
        folded: a group whose pages are hidden.
        people: persons in a group.
        waiting: how many ask to be let into a group.
        ended: nothing new arrives in a group any more.
    """

    kind: RowKind
    id: bytes
    group: bytes
    text: str
    folded: bool = False
    people: int = 0
    waiting: int = 0
    ended: bool = False


class PageRows:
    """The rows of pages; the row of a page that did not change stays the same object."""

    def __init__(self) -> None:
        self._rows: dict[bytes, tuple[str, Row]] = {}

    def row(self, page: DocumentView) -> Row:
        """Return the row of a page."""
        known = self._rows.get(page.id)
        if known is not None and known[0] == page.title and known[1].group == page.group:
            return known[1]
        row = Row(RowKind.PAGE, page.id, page.group, page_text(page.title))
        self._rows[page.id] = (page.title, row)
        return row

    def keep(self, documents: Mapping[bytes, Sequence[DocumentView]]) -> None:
        """Forget pages that are not listed any more."""
        if len(self._rows) > sum(len(pages) for pages in documents.values()):
            listed = {page.id for pages in documents.values() for page in pages}
            self._rows = {page: row for page, row in self._rows.items() if page in listed}


def page_text(title: str) -> str:
    """Return what the list says for a page with this title."""
    return title.strip() or tr("Untitled")


def build_rows(
    groups: Sequence[GroupView],
    documents: Mapping[bytes, Sequence[DocumentView]],
    folded: frozenset[bytes],
    requests: Sequence[JoinRequestView] = (),
    joins: Sequence[JoinView] = (),
    *,
    made: PageRows | None = None,
) -> list[Row]:
    """Return the rows for these groups and pages, in the order given, then what is under way.

    Args:
        groups: in the order shown.
        documents: pages by group.
        folded: groups whose pages are hidden.
        requests: who waits to be let in.
        joins: invites this device uses.
        made: rows of pages made before.
    """
    made = made or PageRows()
    rows: list[Row] = []
    for group in groups:
        people = len({m.person or m.device for m in group.members if m.present})
        hidden = group.id in folded
        waiting = sum(1 for request in requests if request.group == group.id)
        rows.append(
            Row(
                RowKind.GROUP,
                group.id,
                group.id,
                group.name or tr("A group that is on its way"),
                hidden,
                people,
                waiting,
                ended=not group.member,
            )
        )
        if hidden:
            continue
        pages = documents.get(group.id, ())
        rows.extend(map(made.row, pages))
        if not pages and group.member and group.role not in ("reader", "keeper"):
            rows.append(Row(RowKind.HINT, group.id, group.id, tr("Write the first page")))
    for join in joins:
        text = {
            "seeking": tr("Looking for who invited you"),
            "waiting": tr("Waiting to be let in"),
        }.get(join.state, tr("An invite did not work"))
        rows.append(Row(RowKind.JOIN, join.id, b"", text))
    return rows


def steady_order(before: Sequence[bytes], pages: Sequence[DocumentView]) -> list[DocumentView]:
    """Return pages so that known ones stay where they are and new ones stand on top.

    A list that reorders while one types or clicks makes people miss; the newest-first order of
    the node applies to pages that were not listed yet.
    """
    left = {page.id: page for page in pages}
    known = [left.pop(document) for document in before if document in left]
    return [*left.values(), *known]


class RowsModel(QStringListModel):
    """The rows for a view.

    Qt's own list counts them: laying out asks for the count once for every row, and each time
    Python is asked it may first have to wait for a busy engine.
    """

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.rows: list[Row] = []
        self._next: list[Row] = []
        self._places: dict[RowKind, dict[bytes, int]] = {}
        # Told before any view: until rows are gone or there, the old ones are what there is.
        self.rowsRemoved.connect(self._take_next)
        self.rowsInserted.connect(self._take_next)

    def show_rows(self, rows: list[Row]) -> None:
        """Show other rows; only what differs is told to the view."""
        old = self.rows
        if len(old) == len(rows):
            pairs = enumerate(zip(old, rows, strict=True))
            changed = [i for i, (a, b) in pairs if a is not b and a != b]
            if not changed:
                return
            self._next = rows
            self._take_next()
            self.dataChanged.emit(self.index(changed[0]), self.index(changed[-1]))
            return
        head = next(
            (i for i, (a, b) in enumerate(zip(old, rows, strict=False)) if a != b),
            min(len(old), len(rows)),
        )
        tail = 0
        while tail < min(len(old), len(rows)) - head and old[-1 - tail] == rows[-1 - tail]:
            tail += 1
        if len(old) > head + tail:
            self._next = old[:head] + old[len(old) - tail :]
            self.removeRows(head, len(old) - head - tail)
        if len(rows) > head + tail:
            self._next = rows
            self.insertRows(head, len(rows) - head - tail)

    def _take_next(self) -> None:
        self.rows = self._next
        self._places = {}

    def row_of(self, identity: bytes, kind: RowKind) -> int | None:
        """Return where a group or page is listed."""
        places = self._places.get(kind)
        if places is None:
            places = {row.id: i for i, row in enumerate(self.rows) if row.kind is kind}
            self._places[kind] = places
        return places.get(identity)

    def flags(self, index: QModelIndex | QPersistentModelIndex) -> Qt.ItemFlag:
        """Rows can be chosen; Qt's list would have them edited and dragged."""
        if not index.isValid():
            return Qt.ItemFlag.NoItemFlags
        return Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable

    def data(
        self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole
    ) -> object:
        """Return a row's text and what a screen reader says for it."""
        if not index.isValid():
            return None
        row = self.rows[index.row()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return row.text
        if role == Qt.ItemDataRole.AccessibleTextRole:
            if row.kind is RowKind.GROUP:
                people = plural(row.people, "{count} person", "{count} people")
                if row.waiting:
                    people += ", " + plural(
                        row.waiting, "{count} waits to come in", "{count} wait to come in"
                    )
                if row.ended:
                    people += ", " + tr("read-only")
                state = tr("folded") if row.folded else tr("open")
                return tr(
                    "Group {name}, {people}, {state}", name=row.text, people=people, state=state
                )
            return row.text
        return None
