"""Recovery kits, as part of the node's public API; coming back is `lutra.node.restoring`."""

from __future__ import annotations

from collections.abc import Mapping

from lutra.errors import NotFoundError
from lutra.groups.directory import evidence_of, statement
from lutra.identity.device_log import KitConsent
from lutra.identity.person import Person
from lutra.identity.recovery import RecoveryKit
from lutra.node.errands import EngineCalls
from lutra.node.new_kit import NewKit
from lutra.node.person_views import KitView


class Recovery:
    """This person's recovery kits; `lutra.node.node.Node.recovery`.

    `lutra.node.events.PersonChanged` tells of changes.
    """

    def __init__(self, engine: EngineCalls) -> None:
        self._engine = engine

    async def list(self) -> list[KitView]:
        """Return this person's kits, withdrawn ones included, oldest first."""
        return await self._engine.call(lambda engine: engine.kits.list())

    async def create(self, made: str) -> NewKit:
        """Begin a kit: show its sheet, have words typed back, then `confirm`.

        Args:
            made: the day, as people write it, for the sheet.
        """
        identity = await self._engine.call(lambda engine: engine.identity)
        return NewKit(identity.person, identity.name, made)

    async def confirm(self, kit: NewKit, typed: Mapping[int, str]) -> KitView:
        """Make a kit count, if the words were typed back rightly.

        Raises:
            WordsError: they were not; nothing has changed.
        """
        return await self.add(kit.tested(typed))

    async def add(self, consent: KitConsent) -> KitView:
        """Make a kit count that was tested elsewhere.

        Raises:
            DeviceKnownError: it was added before.
            SignatureError: it did not consent.
        """
        return await self._engine.call(lambda engine: engine.kits.add(consent))

    async def test(self, words: str) -> KitView:
        """Tell which of this person's kits some words are, from the sheet at any later time.

        Raises:
            WordsError: they are no kit's.
            NotFoundError: they are a kit, but not this person's.
        """
        return matching(await self.list(), RecoveryKit.restore(words))

    async def statements(self) -> tuple[bytes, ...]:
        """Return this person's device log, for `withdrawal`."""
        return await self._engine.call(lambda engine: engine.kits.statements())

    async def withdraw(self, mark: str, words: str) -> KitView:
        """Make a kit invalid, by the words of any valid kit.

        Raises:
            WordsError: they are no kit's.
            NotFoundError: there is no such kit, or the words are of somebody else's.
            DeviceNotInPersonError: the words' kit was withdrawn itself.
        """
        kits = await self.list()
        signed = withdrawal(await self.statements(), kits, mark, RecoveryKit.restore(words))
        return await self.take_withdrawal(signed)

    async def take_withdrawal(self, evidence: bytes) -> KitView:
        """Take in what `withdrawal` returned.

        Raises:
            UsageError, NotPermittedError: it is no withdrawal, or does not count.
        """
        return await self._engine.call(lambda engine: engine.kits.withdraw(evidence))


def matching(kits: list[KitView], kit: RecoveryKit) -> KitView:
    """Return the view of a kit.

    Raises:
        NotFoundError: it is none of these.
    """
    for view in kits:
        if view.key == kit.key.public:
            return view
    raise NotFoundError("These words are a recovery kit, but not one of yours.", mark=kit.mark)


def withdrawal(
    statements: tuple[bytes, ...], kits: list[KitView], mark: str, kit: RecoveryKit
) -> bytes:
    """Return the statement by which ``kit`` withdraws the kit of a mark, possibly itself.

    Raises:
        NotFoundError: there is no such kit.
        DeviceNotInPersonError: ``kit`` is none of the person's, or was withdrawn.
    """
    wanted = mark.strip().upper()
    target = next((view for view in kits if view.mark == wanted), None)
    if target is None:
        raise NotFoundError("You have no recovery kit with these letters.")
    operations = [item for item in map(statement, statements) if item is not None]
    if not operations:
        raise NotFoundError("Nothing is known of this person.")
    person = Person(operations[0].log, operations)
    time = max(item.header.extensions.time for item in operations)
    (evidence,) = evidence_of([person.remove(kit.key, target.key, time)])
    return evidence
