"""Groups of several devices without store or network, and random histories of what they do."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from lutra.crypto.signing import SigningKey
from lutra.groups.data_keys import BodyCipher
from lutra.groups.epochs import SealingKey
from lutra.groups.group import Group
from lutra.groups.keys import Reception
from lutra.operation import Extensions, Operation, sign_operation

_RANDOM = random.Random(7)
SIGNING = [SigningKey.generate(_RANDOM.randbytes) for _ in range(6)]
SEALING = [SealingKey.generate(_RANDOM.randbytes) for _ in range(6)]
NUMBER = {key.public: number for number, key in enumerate(SIGNING)}


@dataclass
class Log:
    """Signs one device's control operations; implements `ControlSigner`."""

    group: bytes
    key: SigningKey
    last: Operation | None = None
    cipher: BodyCipher = field(default_factory=BodyCipher)

    def sign_control(
        self,
        kind: str,
        body: bytes,
        *,
        epoch: bytes | None,
        secret: bytes | None,
        previous: tuple[bytes, ...],
    ) -> Operation:
        extensions = Extensions(
            log=self.group, kind=kind, group=self.group, epoch=epoch, previous=previous
        )
        seq_num = 0 if self.last is None else self.last.seq_num + 1
        backlink = None if self.last is None else self.last.id
        if secret is not None:
            body = self.cipher.seal(
                secret,
                body,
                author=self.key.public,
                seq_num=seq_num,
                backlink=backlink,
                extensions=extensions,
            )
        self.last = sign_operation(
            self.key, seq_num=seq_num, backlink=backlink, body=body, extensions=extensions
        )
        return self.last


class Party:
    """One device: its replica of the group, its log, and all operations it knows."""

    def __init__(self, number: int, group: bytes) -> None:
        self.number = number
        self.key, self.sealing = SIGNING[number], SEALING[number]
        self.device = self.key.public
        self.group = Group(group, self.device, self.sealing)
        self.log = Log(group, self.key)
        self.known: dict[bytes, Operation] = {}

    def take(self, operations: list[Operation]) -> None:
        """Receive operations in any order, each when what it follows is there."""
        waiting = [item for item in operations if item.id not in self.known]
        while waiting:
            left: list[Operation] = []
            for operation in waiting:
                if self.group.receive(operation) is Reception.WAITING:
                    left.append(operation)
                else:
                    self.known[operation.id] = operation
            assert len(left) < len(waiting), "operations follow unknown ones"
            waiting = left

    def note(self, operations: list[Operation]) -> None:
        """Remember operations this device has just made."""
        self.known.update({item.id: item for item in operations})

    def view(self) -> tuple[object, ...]:
        """Return what all devices with the same operations must agree on."""
        group = self.group
        head = group._head()
        return (
            group.heads(),
            frozenset(item.device for item in group.members() if item.present),
            None if head is None else head.id,
        )


def found(number: int = 0) -> tuple[Party, list[Operation]]:
    """Start a group; returns its founder and the first operations."""
    nonce = bytes(32)
    identity = Group.create(
        Log(bytes(32), SIGNING[number]), nonce, SIGNING[number].public, SEALING[number]
    )[0].id
    party = Party(number, identity)
    party.group, operations = Group.create(party.log, nonce, party.device, party.sealing)
    party.note(operations)
    return party, operations


def tell(source: Party, *others: Party) -> None:
    """Give others everything that ``source`` knows."""
    for other in others:
        other.take(list(source.known.values()))


def friends(count: int) -> list[Party]:
    """Return devices that are all in one group and know it."""
    founder, _ = found()
    parties = [founder, *(Party(number, founder.group.id) for number in range(1, count))]
    for party in parties[1:]:
        founder.note(founder.group.add(founder.log, party.device, party.sealing.public))
    tell(founder, *parties[1:])
    return parties
