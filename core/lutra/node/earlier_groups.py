"""Groups of a Lutra that knew devices only: what becomes of them in a profile that is opened now.

Their keys cannot go on, since no device can sign for another that it belongs to a person. Pages
stay readable where they are. Whoever started a group has it begun anew, with a copy of its pages,
and invites the others into it.
"""

from __future__ import annotations

from lutra.groups.contents import CREATE
from lutra.node.context import Context
from lutra.node.document_registry import DocumentRegistry
from lutra.node.events import Trouble
from lutra.node.group_registry import MLS_FORM, GroupRegistry
from lutra.store.groups import GroupRow

_DONE = "earlier_groups"
_MARK = " (earlier Lutra)"


class EarlierGroups:
    """Begins groups of the earlier form anew, once."""

    def __init__(
        self, context: Context, groups: GroupRegistry, documents: DocumentRegistry
    ) -> None:
        self._context = context
        self._groups = groups
        self._documents = documents

    def renew(self) -> None:
        """Begin anew what this device started, and tell what can only be read from now on."""
        store = self._context.store
        if store.settings.get(_DONE) is not None:
            return
        for row in store.groups.list():
            if row.form == MLS_FORM:
                continue
            if not row.left and self._is_founder(row.id):
                self._begin_anew(row)
            elif not row.left:
                self._context.outbox.emit(
                    Trouble(
                        "group.earlier-form",
                        f"“{row.name}” was made with an earlier Lutra and can only be read now. "
                        "Ask whoever started it for an invite: its new form has all pages.",
                    )
                )
            self._set_aside(row)
        store.settings.set(_DONE, 1)

    def _is_founder(self, group: bytes) -> bool:
        operations = (item.decode() for item in self._context.store.operations.control(group))
        first = next((item for item in operations if item.kind == CREATE), None)
        return first is not None and first.author == self._context.device

    def _begin_anew(self, row: GroupRow) -> None:
        store = self._context.store
        group = self._groups.create(row.name)
        for page in store.documents.list(row.id):
            source = self._documents.get(page.id).document
            title, spans = source.title, source.spans()
            copy = self._documents.create(group, title, "")
            self._documents.edit(copy, lambda made, spans=spans: made.insert_spans(0, spans))
            self._documents.publish(copy)

    def _set_aside(self, row: GroupRow) -> None:
        self._context.store.groups.set_left(row.id, True)
        self._context.store.groups.set_name(row.id, row.name + _MARK)
