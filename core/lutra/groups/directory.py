"""Persons as groups see them: device chains of `lutra.identity`, carried as evidence.

One piece of evidence is one operation of a person's device log, header and body. It proves itself:
it does not matter who brought it into the group.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, cast

from lutra.codec import decode, encode
from lutra.errors import RemoteError
from lutra.groups.authorisation import Devices
from lutra.identity.person import Person
from lutra.identity.resolution import PersonState
from lutra.operation import Operation, decode_operation


def evidence_of(operations: Iterable[Operation]) -> tuple[bytes, ...]:
    """Return operations of a person's device log as evidence, sorted."""
    return tuple(sorted(encode([item.header_bytes, item.body or b""]) for item in operations))


def statement(evidence: bytes) -> Operation | None:
    """Return the operation that a piece of evidence is; None if it is no valid one."""
    try:
        return _operation(evidence)
    except RemoteError:
        return None


class ChainDirectory:
    """Says which devices belong to whom; a `lutra.groups.authorisation.Directory`.

    What is no valid operation of a device log counts for nothing, for everyone alike. A device may
    let several persons add it, as when two identities of one human become one. What was checked
    once is remembered, since a group asks anew with every statement that arrives.
    """

    def __init__(self) -> None:
        self._statements: dict[bytes, Operation | None] = {}
        self._states: dict[frozenset[bytes], PersonState] = {}

    def __call__(self, evidence: frozenset[bytes]) -> Devices:
        """Return what a set of evidence says."""
        chains: dict[bytes, list[Operation]] = {}
        for item in sorted(evidence):
            operation = self._statement(item)
            if operation is not None:
                chains.setdefault(operation.log, []).append(operation)
        owner: dict[bytes, bytes] = {}
        revoked: set[bytes] = set()
        others: dict[bytes, set[bytes]] = {}
        elsewhere: set[tuple[bytes, bytes]] = set()
        for person in sorted(chains):
            state = self._state(person, chains[person])
            for device in state.devices:
                if device.recovery:
                    continue
                counts = device.active and device.key not in state.equivocating
                if owner.setdefault(device.key, person) == person:
                    if not counts:
                        revoked.add(device.key)
                    continue
                others.setdefault(device.key, set()).add(person)
                if not counts:
                    elsewhere.add((person, device.key))
        listed = {device: frozenset(persons) for device, persons in others.items()}
        return Devices(owner, frozenset(revoked), listed, frozenset(elsewhere))

    def _statement(self, evidence: bytes) -> Operation | None:
        if evidence not in self._statements:
            self._statements[evidence] = statement(evidence)
        return self._statements[evidence]

    def _state(self, person: bytes, operations: list[Operation]) -> PersonState:
        name = frozenset(operation.id for operation in operations)
        state = self._states.get(name)
        if state is None:
            chain = Person(person)
            for operation in operations:
                # A statement that breaks the form of a device log counts for nothing either.
                with suppress(RemoteError):
                    chain.receive(operation)
            state = self._states[name] = chain.state
        return state


def _operation(evidence: bytes) -> Operation:
    value = decode(evidence)
    fields = cast("list[Any]", value) if type(value) is list else []
    if len(fields) != 2 or type(fields[0]) is not bytes or type(fields[1]) is not bytes:
        raise RemoteError("A statement about a person has not its form.")
    return decode_operation(fields[0], fields[1] or None)
