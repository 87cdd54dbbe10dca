"""Device chains of persons as evidence in groups."""

from __future__ import annotations

from lutra.crypto.signing import SigningKey
from lutra.groups.directory import ChainDirectory, evidence_of
from lutra.identity.device_log import consent
from lutra.identity.person import Person
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
