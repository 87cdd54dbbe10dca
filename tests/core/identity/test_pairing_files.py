"""Pairing by files: link or digits, and what happens to files that were changed or exchanged."""

from __future__ import annotations

from random import Random

import pytest

from core.identity.pairs import NAMES
from core.identity.people import key, new_person
from lutra.crypto.hpke import HYBRID
from lutra.identity.device_log import consent
from lutra.identity.errors import PairingCodeError, PairingFileError, PairingStateError
from lutra.identity.pairing_files import Offer, Offering, Requesting
from lutra.identity.pairing_messages import Card, Choice
from lutra.identity.pairing_table import Role
from lutra.identity.person import Person

links = pytest.mark.parametrize("link", [True, False], ids=["link", "file"])


def existing_card(person: Person, number: int = 1, seed: int = 1) -> Card:
    return Card.make(
        Role.EXISTING,
        key(number).public,
        person=person.id,
        person_name=NAMES[0],
        device_name=NAMES[1],
        random=Random(seed).randbytes,
    )


def new_card(number: int = 2, person: bytes | None = None) -> Card:
    return Card.make(
        Role.NEW,
        key(number).public,
        person=person,
        person_name=NAMES[2],
        device_name=NAMES[3],
        random=Random(number).randbytes,
    )


def passed_on(offer: Offer) -> Offer:
    return Offer.of_file(offer.file()) if offer.secret is None else Offer.of_link(offer.link())


def answer(person: Person, offering: Offering, request: bytes) -> bytes:
    opened = offering.read(request)
    person.add(key(1), opened.consent, opened.card.device_name.encode(), 2)
    return offering.respond(opened, person.operations(), hand_over=b"all the keys")


@links
def test_two_devices_that_never_meet(link: bool) -> None:
    person = new_person()
    offering = Offering.restore(Offering.make(existing_card(person), link=link).store())
    requesting = Requesting.make(passed_on(offering.offer), new_card(), key(2))
    requesting = Requesting.restore(requesting.store())
    asked = offering.read(requesting.request)
    assert asked.digits == requesting.digits
    assert (asked.digits is None) == link
    assert asked.card == new_card()
    response = answer(person, offering, requesting.request)
    opened = requesting.read(response, same_digits=not link)
    assert opened.card.person == person.id
    active = Person(person.id, opened.operations).state.active()
    assert active == {key(1).public, key(2).public}
    assert opened.hand_over == b"all the keys"
    assert b"all the keys" not in response


def test_without_comparing_a_response_is_not_used() -> None:
    person = new_person()
    offering = Offering.make(existing_card(person), link=False)
    requesting = Requesting.make(passed_on(offering.offer), new_card(), key(2))
    response = answer(person, offering, requesting.request)
    with pytest.raises(PairingStateError):
        requesting.read(response, same_digits=False)


def test_merging_and_keeping() -> None:
    person, own = new_person(), new_person(2)
    offering = Offering.make(existing_card(person), link=True)
    card = new_card(person=own.id)
    merging = Requesting.make(
        offering.offer, card, key(2), choice=Choice.MERGE, merged=own.operations()
    )
    assert offering.read(merging.request).merged == own.operations()
    keeping = Requesting.make(
        offering.offer, card, key(2), choice=Choice.KEEP_SEPARATE, separate_key=key(40)
    )
    assert offering.read(keeping.request).consent.device == key(40).public
    undecided = Requesting.make(offering.offer, card, key(2))
    with pytest.raises(PairingFileError):
        offering.read(undecided.request)


@links
def test_changed_files_are_refused_wherever_they_were_changed(link: bool) -> None:
    person = new_person()
    offering = Offering.make(existing_card(person), link=link)
    requesting = Requesting.make(passed_on(offering.offer), new_card(), key(2))
    request = requesting.request
    for at in range(0, len(request), 1 if link else 7):
        with pytest.raises(PairingFileError):
            offering.read(request[:at] + bytes([request[at] ^ 1]) + request[at + 1 :])
    response = answer(person, offering, request)
    for at in range(0, len(response), 7):
        changed = response[:at] + bytes([response[at] ^ 1]) + response[at + 1 :]
        with pytest.raises(PairingFileError):
            requesting.read(changed, same_digits=True)
    for part in (b"", request[:50], request + b"x"):
        with pytest.raises(PairingFileError):
            offering.read(part)


def test_a_changed_link_is_noticed_and_a_changed_offer_file_changes_the_digits() -> None:
    person = new_person()
    link = Offering.make(existing_card(person), link=True).offer.link()
    for at in range(len("lutra:pair-file/"), len(link)):
        other = "a" if link[at] != "a" else "b"
        with pytest.raises(PairingCodeError):
            Offer.of_link(link[:at] + other + link[at + 1 :])
    with pytest.raises(PairingFileError):
        Offer.of_file(b"short")


def test_somebody_between_is_seen_in_the_digits_and_cannot_use_either_file() -> None:
    victim, thief = new_person(), new_person(9)
    offering = Offering.make(existing_card(victim), link=False)
    false_offering = Offering.make(existing_card(thief, 9), link=False)
    requesting = Requesting.make(passed_on(false_offering.offer), new_card(), key(2))
    stolen = false_offering.read(requesting.request)
    # The thief puts its own device forward, under the victim's new device's name.
    forged = Requesting.make(passed_on(offering.offer), new_card(10), key(10))
    opened = offering.read(forged.request)
    assert opened.digits != requesting.digits
    # The new device's consent was given to the thief's claim: it adds nothing to the victim.
    assert stolen.consent.device == key(2).public
    with pytest.raises(PairingFileError):
        offering.read(requesting.request)


@links
def test_a_response_answers_one_request_only(link: bool) -> None:
    person = new_person()
    offering = Offering.make(existing_card(person), link=link)
    first = Requesting.make(passed_on(offering.offer), new_card(), key(2))
    second = Requesting.make(passed_on(offering.offer), new_card(), key(2))
    response = answer(person, offering, first.request)
    with pytest.raises(PairingFileError):
        second.read(response, same_digits=True)
    other = Offering.make(existing_card(person, seed=5), link=link)
    with pytest.raises(PairingFileError):
        other.read(first.request)


def test_a_request_for_a_device_whose_key_is_not_held_is_refused() -> None:
    offering = Offering.make(existing_card(new_person()), link=True)
    card = new_card(person=new_person(2).id)
    forged = Requesting.make(
        offering.offer, card, key(3), choice=Choice.KEEP_SEPARATE, separate_key=key(40)
    )
    with pytest.raises(PairingFileError):
        offering.read(forged.request)


def test_a_response_from_another_person_is_refused_even_if_the_thief_has_the_link() -> None:
    person, thief = new_person(), new_person(9)
    offering = Offering.make(existing_card(person), link=True)
    requesting = Requesting.make(offering.offer, new_card(), key(2))
    opened = offering.read(requesting.request)
    # Even if the new device had agreed to belong to the thief on another occasion.
    thief.add(key(9), consent(key(2), thief.id), b"", 2)
    false = Offering(existing_card(thief, 9), offering.offer, b"")
    with pytest.raises(PairingFileError):
        requesting.read(false.respond(opened, thief.operations()), same_digits=True)


@links
def test_files_show_nothing(link: bool) -> None:
    person, own = new_person(), new_person(2)
    offering = Offering.make(existing_card(person), link=link)
    requesting = Requesting.make(
        passed_on(offering.offer),
        new_card(person=own.id),
        key(2),
        choice=Choice.MERGE,
        merged=own.operations(),
    )
    response = answer(person, offering, requesting.request)
    files = [requesting.request, response, b"" if link else offering.offer.file()]
    for known in (person.id, own.id, key(1).public, key(2).public, *map(str.encode, NAMES)):
        assert not any(known in file for file in files)
        assert known.hex() not in repr(offering) + repr(requesting) + repr(offering.offer)
    assert HYBRID.kem.public_bytes == 1216


def test_only_a_device_of_a_person_makes_offers() -> None:
    with pytest.raises(PairingStateError):
        Offering.make(new_card(), link=True)
    link = Offering.make(existing_card(new_person()), link=True)
    file = Offering.make(existing_card(new_person()), link=False)
    with pytest.raises(PairingStateError):
        link.offer.file()
    with pytest.raises(PairingStateError):
        file.offer.link()
