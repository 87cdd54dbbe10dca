"""Who changed the membership of a group, how and when: what people are shown, never a rule."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from lutra.groups.authorisation import Authorisation
from lutra.groups.contents import AddPerson, Content, Create, Leave, RemovePerson, Role, SetRole
from lutra.operation import Operation


class ChangeKind(Enum):
    """What was done."""

    CREATED = "created"
    ADDED = "added"
    REMOVED = "removed"
    ROLE = "role"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the membership.

    Attributes:
        operation: id of the operation that says so.
        kind: what was done.
        person: to whom.
        role: the role it gives; None where it gives none.
        author: the device that did it.
        by: its person.
        time: when, in milliseconds by that device's clock; for display only.
        seq_num: the operation's place in that device's log.
        counts: False where a concurrent removal has undone it.
    """

    operation: bytes
    kind: ChangeKind
    person: bytes
    role: Role | None
    author: bytes
    by: bytes
    time: int
    seq_num: int
    counts: bool


@dataclass(frozen=True, slots=True)
class _Entry:
    index: int
    operation: Operation
    kind: ChangeKind
    person: bytes
    role: Role | None
    by: bytes


class Chronicle:
    """The changes that were permitted when they were made, in the order they became known."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []

    def note(self, index: int, operation: Operation, by: bytes, content: Content) -> None:
        """Note the operation at ``index`` by the person ``by``, if it changes the membership."""
        kind, person, role = ChangeKind.CREATED, by, Role.ADMIN
        match content:
            case Create():
                pass
            case AddPerson(person, role):
                kind = ChangeKind.ADDED
            case SetRole(person, role):
                kind = ChangeKind.ROLE
            case RemovePerson(person, _):
                kind, role = ChangeKind.REMOVED, None
            case Leave():
                kind, role = ChangeKind.LEFT, None
            case _:
                return
        self._entries.append(_Entry(index, operation, kind, person, role, by))

    def changes(self, authorisation: Authorisation, known: int) -> list[Change]:
        """Return all changes with what is known of them by the operations in ``known``."""
        return [
            Change(
                operation=entry.operation.id,
                kind=entry.kind,
                person=entry.person,
                role=entry.role,
                author=entry.operation.author,
                by=entry.by,
                time=entry.operation.header.extensions.time,
                seq_num=entry.operation.seq_num,
                counts=authorisation.counts(entry.index, known),
            )
            for entry in self._entries
        ]
