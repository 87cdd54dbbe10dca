"""How far a newly paired device has come: which groups and pages of its person are here.

Groups are opened to sync a few at a time, those that changed last first, so that the pages somebody
is likely to look for can be read before keys and operations of all the others have come.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from lutra.codec import decode, encode
from lutra.node.context import Context
from lutra.node.events import CatchUpChanged, GroupsChanged
from lutra.node.group_registry import GroupRegistry
from lutra.node.own_devices import PERSONAL_GROUP

_EXPECTED = "catching_up"
"""Setting: what the device that was paired with has, until all of it is here."""
_STEPS = (1, 4, 12)
"""How many groups are open in each step; after the last one, all are."""
_STEP_SECONDS = 5.0
"""A step takes no longer, whatever is missing: nobody who is reachable may have it."""


class CatchingUp:
    """Compares what is here with what was handed over, after every call that may matter."""

    def __init__(
        self, context: Context, groups: GroupRegistry, monotonic: Callable[[], float]
    ) -> None:
        self._context = context
        self._groups = groups
        self._monotonic = monotonic
        self._step = 0
        self._step_ends: float | None = None
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
        rows = [[group, count] for group, count in self._expected.items()]
        self._context.store.settings.set(_EXPECTED, encode(rows))

    def view(self) -> CatchUpChanged | None:
        """Return how far it is; None if nothing is awaited (any more)."""
        return self._look() if self._expected else None

    def holds_back(self, group: bytes) -> bool:
        """Tell whether a group is not to be synced yet; the first question starts the clock."""
        if not self._expected or self._step >= len(_STEPS):
            return False
        if self._step_ends is None:
            self._step_ends = self._monotonic() + _STEP_SECONDS
        opened = list(self._expected)[: _STEPS[self._step]]
        return group in self._expected and group not in opened

    @property
    def deadline(self) -> float | None:
        """When `note` has to be called at the latest; None if nothing depends on time."""
        return self._step_ends if self._expected else None

    def note(self) -> None:
        """Tell of progress, if there is some; the last time, that it is complete."""
        late = self._step_ends is not None and self._monotonic() >= self._step_ends
        if not self._expected or not (self._may_have_changed() or late):
            return
        self._open_more(late=late)
        view = self._look()
        if view == self._last:
            return
        self._last = view
        self._context.outbox.emit(view)
        if view.complete:
            self._expected = {}
            self._context.store.settings.set(_EXPECTED, None)

    def _open_more(self, *, late: bool) -> None:
        """Go to the next step if all that is open has come, or it took too long."""
        if self._step_ends is None:
            return
        opened = list(self._expected)[: _STEPS[self._step]]
        count = self._context.store.documents.count
        if not late and any(count(group) < self._expected[group] for group in opened):
            return
        self._step += 1
        more = self._step < len(_STEPS)
        self._step_ends = self._monotonic() + _STEP_SECONDS if more else None
        # The sessions look again at which groups they share.
        self._context.outbox.emit(GroupsChanged(opened[0]))

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
        complete = len(self._ready) == len(self._expected) and found >= wanted
        # People do not know of the group that their devices have for themselves.
        hidden = {self._context.store.settings.get(PERSONAL_GROUP)}
        groups, ready = len(self._expected.keys() - hidden), len(self._ready - hidden)
        return CatchUpChanged(groups, ready, wanted, found, complete)

    def _is_ready(self, group: bytes) -> bool:
        member = self._context.store.members.get(group, self._context.device)
        if member is None or member.removed:
            return False
        replica = self._groups.find(group)
        return replica is not None and replica.current_epoch() is not None
