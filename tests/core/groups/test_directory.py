"""Device chains of persons as evidence in groups."""

from __future__ import annotations

import pytest

from lutra.crypto.signing import SigningKey
from lutra.groups.authorisation import Auth, Authorisation
from lutra.groups.contents import AddPerson, Create, Profile, Role
from lutra.groups.directory import ChainDirectory, devices_by_chains, evidence_of
from lutra.groups.history import ControlHistory
from lutra.identity.device_log import consent
from lutra.identity.person import Person
from lutra.operation import Extensions, Operation, sign_operation
from sim.device import Stream


def test_chains_say_which_devices_belong_to_whom() -> None:
    random = Stream(b"directory")
    laptop, phone = SigningKey.generate(random), SigningKey.generate(random)
    person = Person.create(laptop, person_name=b"Anna", device_name=b"l", time=1, random=random)
    first = frozenset(evidence_of(person.operations()))
    assert ChainDirectory()(first).owner == {laptop.public: person.id}
    person.add(laptop, consent(phone, person.id, random), b"p", 2)
    both = ChainDirectory()(frozenset(evidence_of(person.operations())))
    assert both.owner == {laptop.public: person.id, phone.public: person.id}
    assert both.revoked == frozenset()
    person.remove(laptop, phone.public, 3)
    after = ChainDirectory()(frozenset(evidence_of(person.operations())))
    assert after.owner == both.owner
    assert after.revoked == {phone.public}


def test_what_is_no_evidence_counts_for_nothing() -> None:
    random = Stream(b"other")
    key = SigningKey.generate(random)
    person = Person.create(key, person_name=b"Ben", device_name=b"l", time=1, random=random)
    good = evidence_of(person.operations())
    forged = bytearray(good[0])
    forged[40] ^= 1
    evidence = frozenset((*good, bytes(forged), b"", b"\x80", b"\x82\x01\x02"))
    assert ChainDirectory()(evidence).owner == {key.public: person.id}


def two_persons_of_one_device() -> tuple[SigningKey, Person, Person, Stream]:
    """A laptop of two persons; the one with the lesser id first."""
    random = Stream(b"two")
    laptop, phone = SigningKey.generate(random), SigningKey.generate(random)
    one = Person.create(laptop, person_name=b"A", device_name=b"l", time=1, random=random)
    other = Person.create(phone, person_name=b"B", device_name=b"p", time=1, random=random)
    other.add(phone, consent(laptop, other.id, random), b"l", 2)
    first, second = sorted((one, other), key=lambda person: person.id)
    return laptop, first, second, random


def test_what_was_asked_before_makes_no_difference() -> None:
    laptop, first, second, random = two_persons_of_one_device()
    pieces = list(evidence_of([*first.operations(), *second.operations()]))
    for number in range(4):
        key, tablet = SigningKey.generate(random), SigningKey.generate(random)
        person = Person.create(key, person_name=b"C", device_name=b"l", time=1, random=random)
        person.add(key, consent(tablet, person.id, random), b"t", 2)
        person.remove(key, tablet.public, 3)
        if number % 2:
            person.add(key, consent(laptop, person.id, random), b"l", 4)
        pieces += evidence_of(person.operations())
    for step in (1, 2, 3, 5, 7):
        order = [pieces[place * step % len(pieces)] for place in range(len(pieces))]
        remembers = ChainDirectory()
        for size in (*range(len(order) + 1), 3, 9, 2):
            evidence = frozenset(order[:size])
            assert remembers(evidence) == devices_by_chains(evidence)


def test_a_device_may_be_listed_by_two_persons() -> None:
    laptop, first, second, _ = two_persons_of_one_device()
    evidence = frozenset(evidence_of([*first.operations(), *second.operations()]))
    devices = ChainDirectory()(evidence)
    assert devices.owner[laptop.public] == first.id
    assert devices.persons_of(laptop.public) == [first.id, second.id]
    assert devices.revocations == frozenset()


@pytest.mark.parametrize("leaves_first", [True, False])
def test_a_revocation_by_one_person_leaves_the_other_one_alone(leaves_first: bool) -> None:
    laptop, first, second, random = two_persons_of_one_device()
    leaving, staying = (first, second) if leaves_first else (second, first)
    spare = SigningKey.generate(random)
    leaving.add(laptop, consent(spare, leaving.id, random), b"s", 3)
    leaving.remove(laptop, laptop.public, 4)
    everything = evidence_of([*first.operations(), *second.operations()])
    devices = ChainDirectory()(frozenset(everything))
    assert devices.persons_of(laptop.public) == [staying.id]
    assert devices.revocations == {(leaving.id, laptop.public)}


def judged(roles: dict[bytes, Role], laptop: SigningKey, *persons: Person) -> Auth:
    """What a group says that a third person founded and in which these have roles."""
    founder = SigningKey(bytes(range(32)))
    admin = Person.create(founder, person_name=b"C", device_name=b"c", time=1, random=Stream(b"c"))
    known = [item for person in (admin, *persons) for item in person.operations()]
    history = ControlHistory()
    authorisation = Authorisation(history, ChainDirectory())
    contents: list[Create | AddPerson] = [
        Create(bytes(32), Profile.ARCHIVE, tuple(evidence_of(known)), b"", bytes(32)),
        *(AddPerson(person, role) for person, role in roles.items()),
    ]
    last: Operation | None = None
    for content in contents:
        operation = sign_operation(
            founder,
            seq_num=0 if last is None else last.seq_num + 1,
            backlink=None if last is None else last.id,
            body=b"body",
            extensions=Extensions(
                bytes(32), "group.test", bytes(32), previous=() if last is None else (last.id,)
            ),
        )
        index = history.add(operation)
        authorisation.note(index, operation.author, operation.seq_num)
        assert authorisation.record(index, operation.author, content)
        last = operation
    assert laptop.public in authorisation.judge(history.everything).owner
    return authorisation.judge(history.everything)


def test_a_device_of_two_members_acts_for_the_higher_role_then_the_lesser_id() -> None:
    laptop, first, second, _ = two_persons_of_one_device()
    for roles, acts_for in (
        ({first.id: Role.WRITER, second.id: Role.ADMIN}, second.id),
        ({first.id: Role.ADMIN, second.id: Role.WRITER}, first.id),
        ({first.id: Role.WRITER, second.id: Role.WRITER}, first.id),
        ({second.id: Role.READER}, second.id),
        ({first.id: Role.READER}, first.id),
    ):
        auth = judged(roles, laptop, first, second)
        assert auth.devices[laptop.public] == acts_for
        assert auth.role_of(laptop.public) is max(roles.values())
        assert auth.owner[laptop.public] == acts_for
    nobody = judged({}, laptop, first, second)
    assert laptop.public not in nobody.devices
