"""Persons as groups see them: device chains of `lutra.identity`, carried as evidence.

One piece of evidence is one operation of a person's device log, header and body. It proves itself:
it does not matter who brought it into the group.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from lutra.codec import decode, encode
from lutra.errors import RemoteError
from lutra.groups.authorisation import Devices
from lutra.identity.person import Person
from lutra.operation import Operation, decode_operation


def evidence_of(operations: Iterable[Operation]) -> tuple[bytes, ...]:
    """Return operations of a person's device log as evidence, sorted."""
    return tuple(sorted(encode([item.header_bytes, item.body or b""]) for item in operations))


def devices_by_chains(evidence: frozenset[bytes]) -> Devices:
    """Return which devices belong to whom; a `lutra.groups.authorisation.Directory`.

    What is no valid operation of a device log counts for nothing, for everyone alike. A device
    that let two persons add it belongs to the one with the lesser id.
    """
    persons: dict[bytes, Person] = {}
    for item in sorted(evidence):
        try:
            operation = _operation(item)
            person = persons.get(operation.log) or Person(operation.log)
            person.receive(operation)
        except RemoteError:
            continue
        persons[operation.log] = person
    owner: dict[bytes, bytes] = {}
    revoked: set[bytes] = set()
    for identifier in sorted(persons):
        state = persons[identifier].state
        for device in state.devices:
            if device.recovery or owner.setdefault(device.key, identifier) != identifier:
                continue
            if not device.active or device.key in state.equivocating:
                revoked.add(device.key)
    return Devices(owner, frozenset(revoked))


def _operation(evidence: bytes) -> Operation:
    value = decode(evidence)
    fields = cast("list[Any]", value) if type(value) is list else []
    if len(fields) != 2 or type(fields[0]) is not bytes or type(fields[1]) is not bytes:
        raise RemoteError("A statement about a person has not its form.")
    return decode_operation(fields[0], fields[1] or None)
