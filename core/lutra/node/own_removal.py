"""Learning that this device was removed from its person, perhaps with the wish to be wiped."""

from __future__ import annotations

from datetime import UTC, datetime

from lutra.node.context import Context
from lutra.node.events import DeviceRemoved
from lutra.node.person_registry import PersonRegistry

_NOTICED = "device.removed"


class OwnRemoval:
    """Notices once that this device is out."""

    def __init__(self, context: Context, persons: PersonRegistry) -> None:
        self._context = context
        self._persons = persons
        self._noticed = context.store.settings.get(_NOTICED)

    def forget(self) -> None:
        """Look again at what is stored, after a transaction was undone."""
        self._noticed = self._context.store.settings.get(_NOTICED)

    def notice(self) -> None:
        """Tell listeners, if the person's devices have just changed in this way."""
        own = self._persons.own.state.device(self._context.device)
        if own is None or own.active or self._noticed is not None:
            return
        self._noticed = self._context.now()
        self._context.store.settings.set(_NOTICED, self._noticed)
        self._context.outbox.emit(DeviceRemoved(wiped=own.wipe))

    def wish(self) -> str | None:
        """Return why this device shall be wiped, in a sentence; None if it shall not.

        It stays so until it is done, also after a crash.
        """
        if not isinstance(self._noticed, int):
            return None
        own = self._persons.own.state.device(self._context.device)
        if own is None or own.active or not own.wipe:
            return None
        day = datetime.fromtimestamp(self._noticed / 1000, UTC).date().isoformat()
        return (
            "This device was removed by another of your devices, which asked for everything on it "
            f"to be deleted. That was done on {day}."
        )
