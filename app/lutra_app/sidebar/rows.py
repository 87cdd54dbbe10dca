"""The sidebar's rows: groups with their pages, as one flat list a screen reader can walk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, Qt

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


def build_rows(
    groups: Sequence[GroupView],
    documents: Mapping[bytes, Sequence[DocumentView]],
    folded: frozenset[bytes],
    requests: Sequence[JoinRequestView] = (),
    joins: Sequence[JoinView] = (),
) -> list[Row]:
    """Return the rows for these groups and pages, in the order given, then what is under way."""
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
        rows.extend(
            Row(RowKind.PAGE, page.id, group.id, page.title.strip() or tr("Untitled"))
            for page in pages
        )
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
    place = {document: index for index, document in enumerate(before)}
    new = [page for page in pages if page.id not in place]
    known = [page for page in pages if page.id in place]
    known.sort(key=lambda page: place[page.id])
    return [*new, *known]


class RowsModel(QAbstractListModel):
    """The rows for a view."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.rows: list[Row] = []

    def show_rows(self, rows: list[Row]) -> None:
        """Show other rows; only what differs is told to the view."""
        old = self.rows
        if len(old) == len(rows):
            changed = [i for i, (a, b) in enumerate(zip(old, rows, strict=True)) if a != b]
            if not changed:
                return
            self.rows = rows
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
            self.beginRemoveRows(QModelIndex(), head, len(old) - tail - 1)
            self.rows = old[:head] + old[len(old) - tail :]
            self.endRemoveRows()
        if len(rows) > head + tail:
            self.beginInsertRows(QModelIndex(), head, len(rows) - tail - 1)
            self.rows = rows
            self.endInsertRows()
        self.rows = rows

    def row_of(self, identity: bytes, kind: RowKind) -> int | None:
        """Return where a group or page is listed."""
        return next(
            (i for i, row in enumerate(self.rows) if row.id == identity and row.kind is kind), None
        )

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = QModelIndex()) -> int:  # noqa: B008
        """Return the number of rows."""
        return 0 if parent.isValid() else len(self.rows)

    def data(
        self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole
    ) -> object:
        """Return a row's text and what a screen reader says for it."""
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
