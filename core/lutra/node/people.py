"""Persons, as part of the node's public API."""

from __future__ import annotations

from lutra.node.errands import EngineCalls
from lutra.node.person_views import PersonView, SafetyNumberView


class People:
    """The persons met in groups; `lutra.node.node.Node.people`.

    `lutra.node.events.PersonChanged` tells of every change, `VerifiedKeysChanged` of those that
    a person must be told of; what was not shown yet stays `PersonView.unseen`.
    """

    def __init__(self, engine: EngineCalls) -> None:
        self._engine = engine

    async def list(self) -> list[PersonView]:
        """Return this person first, then everybody met in a group or verified, by name."""
        return await self._engine.call(lambda engine: engine.people.list())

    async def get(self, person: bytes) -> PersonView:
        """Return one person.

        Raises:
            NotFoundError: it is not known here.
        """
        return await self._engine.call(lambda engine: engine.people.get(person))

    async def safety_number(self, person: bytes) -> SafetyNumberView:
        """Return the number to compare with a person.

        Raises:
            NotFoundError: it is not known here.
            UsageError: it is this device's own person.
        """
        return await self._engine.call(lambda engine: engine.people.safety_number(person))

    async def verify(self, person: bytes, number: str) -> PersonView:
        """Record that both have seen the same ``number``: digits, or a scanned QR code.

        Raises:
            SafetyNumberDiffersError: it is not the number of the keys in use.
            NotFoundError: the person is not known here.
            UsageError: it is this device's own person, or what was scanned is no safety number.
        """
        await self._engine.call(lambda engine: engine.people.verify(person, number))
        return await self.get(person)

    async def withdraw(self, person: bytes) -> PersonView:
        """Vouch for a person's keys no longer.

        Raises:
            NotFoundError: the person is not known here.
        """
        await self._engine.call(lambda engine: engine.people.withdraw(person))
        return await self.get(person)

    async def mark_seen(self, person: bytes) -> PersonView:
        """Record that a change of verified keys was shown.

        Raises:
            NotFoundError: the person is not known here.
        """
        await self._engine.call(lambda engine: engine.people.mark_seen(person))
        return await self.get(person)
