"""Random persons: devices that act without knowing everything, in any order of delivery."""

from __future__ import annotations

from dataclasses import dataclass, field

from lutra.crypto.signing import SigningKey
from lutra.identity.device_log import (
    SEALING_KEY_BYTES,
    Add,
    Content,
    KitConsent,
    Recovery,
    Remove,
    Rename,
    consent,
    kit_consent,
    sign_content,
)
from lutra.identity.person import Person
from lutra.identity.resolution import heads_to_follow
from lutra.operation import Operation


def key(number: int) -> SigningKey:
    return SigningKey(number.to_bytes(32, "big"))


def some_random(length: int) -> bytes:
    """Deterministic, so that Hypothesis can replay what it found."""
    return bytes(length)


def new_person(first: int = 1) -> Person:
    return Person.create(
        key(first), person_name=b"Ana", device_name=b"first", time=1, random=some_random
    )


def copy(person: Person) -> Person:
    return Person(person.id, person.operations())


def exchange(*persons: Person) -> None:
    """Give everybody everything."""
    for source in persons:
        for target in persons:
            for operation in source.operations():
                target.receive(operation)


def add(person: Person, by: int, device: int, name: bytes = b"") -> Operation:
    return person.add(key(by), consent(key(device), person.id, some_random), name, 1)


def add_recovery(person: Person, by: int, kit: int) -> Operation:
    return person.add_recovery(key(by), agree_as_kit(kit, person), 1)


def agree_as_kit(kit: int, person: Person) -> KitConsent:
    return kit_consent(key(kit), bytes(SEALING_KEY_BYTES), person.id, some_random)


@dataclass
class World:
    """One replica per device; devices say what they like, whether or not they may."""

    replicas: dict[int, Person] = field(default_factory=dict[int, Person])
    next_device: int = 2

    @classmethod
    def start(cls) -> World:
        return cls({1: new_person()})

    def act(self, who: int, content: Content) -> Operation:
        """Sign as ``who``, following what it knows, without asking whether it may."""
        replica = self.replicas[who]
        own = [one for one in replica.operations() if one.author == key(who).public]
        last = max(own, key=lambda one: one.seq_num, default=None)
        operation = sign_content(
            key(who),
            replica.id,
            content,
            seq_num=0 if last is None else last.seq_num + 1,
            backlink=None if last is None else last.id,
            previous=heads_to_follow(replica._operations.values()),
        )
        replica.receive(operation)
        return operation

    def add(self, who: int, *, recovery: bool = False) -> int:
        device = self.next_device
        self.next_device += 1
        replica = self.replicas[who]
        if recovery:
            self.act(who, Recovery(agree_as_kit(device, replica)))
        else:
            self.act(who, Add(consent(key(device), replica.id, some_random), b"device"))
        self.replicas[device] = copy(self.replicas[who])
        return device

    def remove(self, who: int, target: int) -> None:
        self.act(who, Remove(key(target).public))

    def rename(self, who: int, name: bytes) -> None:
        self.act(who, Rename(None, name))

    def sync(self, left: int, right: int) -> None:
        exchange(self.replicas[left], self.replicas[right])

    def everything(self) -> list[Operation]:
        known = {one.id: one for person in self.replicas.values() for one in person.operations()}
        return [known[one] for one in sorted(known)]
