"""Persons as groups see them: device chains of `lutra.identity`, carried as evidence.

One piece of evidence is one operation of a person's device log, header and body. It proves itself:
it does not matter who brought it into the group.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from lutra.codec import decode, encode
from lutra.errors import RemoteError
from lutra.groups.authorisation import Devices
from lutra.identity.device_log import read_content
from lutra.identity.person import Person
from lutra.identity.resolution import PersonState
from lutra.operation import Operation, decode_operation

_MAX_OPERATIONS = 16_384
_MAX_PERSONS = 4_096
_MAX_ANSWERS = 4
_Chains = dict[bytes, frozenset[bytes]]
"""Person → the evidence about it."""


@dataclass(frozen=True, slots=True)
class _Answer:
    evidence: frozenset[bytes]
    chains: _Chains
    devices: Devices


_NOTHING = _Answer(frozenset(), {}, Devices({}, frozenset()))


def evidence_of(operations: Iterable[Operation]) -> tuple[bytes, ...]:
    """Return operations of a person's device log as evidence, sorted."""
    return tuple(sorted(encode([item.header_bytes, item.body or b""]) for item in operations))


class ChainDirectory:
    """Reads device chains; a `lutra.groups.authorisation.Directory`.

    It is asked about ever growing sets of the same evidence, so it remembers what each piece says,
    what each person's pieces amount to, and its last answers. Groups may share one. A device may
    let several persons add it, as when two identities of one human become one.
    """

    def __init__(self) -> None:
        self._operations: dict[bytes, Operation | None] = {}
        self._persons: dict[tuple[bytes, frozenset[bytes]], PersonState] = {}
        self._answers: list[_Answer] = []

    def __call__(self, evidence: frozenset[bytes]) -> Devices:
        """Return which devices belong to whom.

        What is no valid operation of a device log counts for nothing, for everyone alike. A device
        that let two persons add it belongs to the one with the lesser id.
        """
        parts = [answer for answer in self._answers if answer.evidence <= evidence]
        before = max(parts, key=lambda answer: len(answer.evidence), default=_NOTHING)
        chains = self._chains_of(evidence - before.evidence)
        devices = None
        if before.chains.keys().isdisjoint(chains):
            devices = self._extended(before.devices, chains)
        if devices is not None:
            chains = {**before.chains, **chains}
        else:
            chains = self._chains_of(evidence)
            devices = self._judge(chains)
        self._answers = [_Answer(evidence, chains, devices), *self._answers[: _MAX_ANSWERS - 1]]
        return devices

    def _chains_of(self, evidence: frozenset[bytes]) -> _Chains:
        """Sort evidence by the person it is about; what is no valid statement is left out."""
        chains: dict[bytes, list[bytes]] = {}
        for item in evidence:
            operation = self.statement(item)
            if operation is not None:
                chains.setdefault(operation.log, []).append(item)
        return {person: frozenset(items) for person, items in chains.items()}

    def _extended(self, devices: Devices, chains: _Chains) -> Devices | None:
        """Add persons of whom nothing was known; None where they list devices that were."""
        more = self._judge(chains)
        if not devices.owner.keys().isdisjoint(more.owner):
            return None
        return Devices(
            {**devices.owner, **more.owner},
            devices.revoked | more.revoked,
            {**devices.others, **more.others},
            devices.revoked_elsewhere | more.revoked_elsewhere,
        )

    def _judge(self, chains: _Chains) -> Devices:
        owner: dict[bytes, bytes] = {}
        revoked: set[bytes] = set()
        others: dict[bytes, set[bytes]] = {}
        elsewhere: set[tuple[bytes, bytes]] = set()
        for person in sorted(chains):
            state = self._person(person, chains[person])
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

    def statement(self, item: bytes) -> Operation | None:
        """Return the operation that a piece of evidence is; None if it is no valid one."""
        if item not in self._operations:
            if len(self._operations) >= _MAX_OPERATIONS:
                self._operations.clear()
            self._operations[item] = statement(item)
        return self._operations[item]

    def _person(self, identifier: bytes, items: frozenset[bytes]) -> PersonState:
        key = (identifier, items)
        state = self._persons.get(key)
        if state is None:
            found = (self.statement(item) for item in sorted(items))
            state = Person(identifier, (item for item in found if item is not None)).state
            if len(self._persons) >= _MAX_PERSONS:
                self._persons.clear()
            self._persons[key] = state
        return state


def devices_by_chains(evidence: frozenset[bytes]) -> Devices:
    """Return which devices belong to whom, remembering nothing; see `ChainDirectory`."""
    return ChainDirectory()(evidence)


def statement(evidence: bytes) -> Operation | None:
    """Return the operation that a piece of evidence is; None if it is no valid one."""
    try:
        operation = _decode(evidence)
        read_content(operation, operation.log)
    except RemoteError:
        return None
    return operation


def _decode(evidence: bytes) -> Operation:
    value = decode(evidence)
    fields = cast("list[Any]", value) if type(value) is list else []
    if len(fields) != 2 or type(fields[0]) is not bytes or type(fields[1]) is not bytes:
        raise RemoteError("A statement about a person has not its form.")
    return decode_operation(fields[0], fields[1] or None)
