"""How far a newly paired device has come: which groups and pages of its person are here."""

from __future__ import annotations

from typing import Any, cast

from lutra.codec import decode, encode
from lutra.node.context import Context
from lutra.node.events import CatchUpChanged, GroupsChanged
from lutra.node.group_registry import GroupRegistry

_EXPECTED = "catching_up"
"""Setting: what the device that was paired with has, until all of it is here."""


class CatchingUp:
    """Compares what is here with what was handed over, after every call that may matter."""

    def __init__(self, context: Context, groups: GroupRegistry) -> None:
        self._context = context
        self._groups = groups
        self._expected: dict[bytes, int] = {}
        self._ready: set[bytes] = set()
        self._last: CatchUpChanged | None = None
        self._count = -1
        self.forget()

    def forget(self) -> None:
        """Go back to what is stored, at the start and after a transaction was undone."""
        stored = self._context.store.settings.get(_EXPECTED)
        pairs = cast("list[Any]", decode(stored)) if isinstance(stored, bytes) else []
        self._expected = dict(pairs)
        self._ready.clear()
        self._last = None
        self._count = -1

    @property
    def is_active(self) -> bool:
        """Something may be missing still."""
        return bool(self._expected)

    def expect(self, pages: dict[bytes, int]) -> None:
        """Begin: these groups, with so many pages each, are to come."""
        self._expected = {**self._expected, **pages}
        rows = [[group, count] for group, count in sorted(self._expected.items())]
        self._context.store.settings.set(_EXPECTED, encode(rows))

    def view(self) -> CatchUpChanged | None:
        """Return how far it is; None if nothing is awaited (any more)."""
        return self._look() if self._expected else None

    def note(self) -> None:
        """Tell of progress, if there is some; the last time, that it is complete."""
        if not self._expected or not self._may_have_changed():
            return
        view = self._look()
        if view == self._last:
            return
        self._last = view
        self._context.outbox.emit(view)
        if view.complete:
            self._expected = {}
            self._context.store.settings.set(_EXPECTED, None)

    def _may_have_changed(self) -> bool:
        before, self._count = self._count, self._context.store.documents.count()
        events = self._context.outbox.events
        return before != self._count or any(isinstance(event, GroupsChanged) for event in events)

    def _look(self) -> CatchUpChanged:
        documents = self._context.store.documents
        for group in self._expected.keys() - self._ready:
            if self._is_ready(group):
                self._ready.add(group)
        here = {group: documents.count(group) for group in self._expected}
        # Pages made meanwhile count as well.
        wanted = sum(max(count, here[group]) for group, count in self._expected.items())
        found = sum(here.values())
        ready = len(self._ready)
        complete = ready == len(self._expected) and found >= wanted
        return CatchUpChanged(len(self._expected), ready, wanted, found, complete)

    def _is_ready(self, group: bytes) -> bool:
        member = self._context.store.members.get(group, self._context.device)
        if member is None or member.removed:
            return False
        replica = self._groups.find(group)
        return replica is not None and replica.current_epoch() is not None
