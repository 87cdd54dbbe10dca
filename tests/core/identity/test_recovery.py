"""Recovery kits: words, typing mistakes, the sheet, the way back."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.identity.people import add, add_recovery, key, new_person
from lutra.errors import DecryptionError, SignatureError
from lutra.identity.device_log import consent
from lutra.identity.errors import WordsError
from lutra.identity.recovery import (
    SECRET_BYTES,
    WORDS,
    RecoveryKit,
    kit_mark,
    seal_to_kit,
    suggestions,
)
from lutra.identity.words import CONSONANTS, VOWELS, from_words, is_word, to_words

secrets = st.binary(min_size=SECRET_BYTES, max_size=SECRET_BYTES)


@given(st.integers(0, 2**192 - 1))
def test_words_carry_every_bit(value: int) -> None:
    words = to_words(value, 16)
    assert from_words(words, 16) == value
    assert all(is_word(word, place) for place, word in enumerate(words))


@given(st.integers(0, 0xFFF), st.integers(0, 15))
def test_every_wrong_letter_and_exchange_and_place_is_noticed(value: int, place: int) -> None:
    word = to_words(value << 12 * (15 - place), 16)[place]
    for at in range(5):
        for letter in VOWELS if at % 2 else CONSONANTS:
            changed = word[:at] + letter + word[at + 1 :]
            assert is_word(changed, place) == (letter == word[at])
    for left, right in ((0, 2), (2, 4), (0, 4), (1, 3)):
        letters = list(word)
        letters[left], letters[right] = letters[right], letters[left]
        assert is_word("".join(letters), place) == (word[left] == word[right])
    assert not any(is_word(word, other) for other in range(16) if other != place)


@given(secrets)
def test_a_kit_comes_back_from_its_words_and_its_qr(secret: bytes) -> None:
    kit = RecoveryKit(secret)
    typed = "  ".join(kit.words()).upper().replace("  ", ", \n")
    assert RecoveryKit.restore(typed).key.public == kit.key.public
    assert RecoveryKit.restore(kit.sheet("Ana", "1 May").qr).key.public == kit.key.public


@given(secrets, st.integers(0, WORDS - 1), st.integers(0, 4), st.data())
def test_a_typing_mistake_is_told_by_its_number_and_can_be_repaired(
    secret: bytes, place: int, at: int, data: st.DataObject
) -> None:
    words = list(RecoveryKit(secret).words())
    right = words[place]
    letter = data.draw(st.sampled_from(sorted(set("abcdefghijklmnopqrstuvwxyz") - {right[at]})))
    words[place] = right[:at] + letter + right[at + 1 :]
    with pytest.raises(WordsError) as caught:
        RecoveryKit.restore(" ".join(words))
    assert caught.value.details["words"] == [place + 1]
    assert str(place + 1) in caught.value.message
    assert (place + 1, right) in suggestions(words)


@given(secrets, st.integers(0, WORDS - 2))
def test_exchanged_words_are_both_named(secret: bytes, place: int) -> None:
    words = list(RecoveryKit(secret).words())
    words[place], words[place + 1] = words[place + 1], words[place]
    with pytest.raises(WordsError) as caught:
        RecoveryKit.restore(" ".join(words))
    assert caught.value.details["words"] == [place + 1, place + 2]


def test_words_of_another_sheet_or_of_another_number_are_refused() -> None:
    one, two = RecoveryKit(bytes(16)).words(), RecoveryKit(bytes(range(16))).words()
    with pytest.raises(WordsError) as caught:
        RecoveryKit.restore(" ".join(one[:6] + two[6:]))
    assert caught.value.details["words"] == []
    with pytest.raises(WordsError):
        RecoveryKit.restore(" ".join(one[:11]))
    with pytest.raises(WordsError):
        RecoveryKit.restore("LUTRA:KIT/1/AAAA")
    with pytest.raises(WordsError):
        RecoveryKit.restore("LUTRA:KIT/1/0!")


@given(secrets, st.integers(0, 1000))
def test_two_words_are_typed_back(secret: bytes, seed: int) -> None:
    kit = RecoveryKit(secret)
    places = kit.places_to_test(Random(seed).randbytes)
    assert len(set(places)) == 2
    assert all(1 <= place <= WORDS for place in places)
    typed = {place: kit.words()[place - 1].upper() + " " for place in places}
    assert kit.check_words(typed) == ()
    first = places[0]
    assert kit.check_words({**typed, first: "bodem" if first != 1 else "x"}) == (first,)


def test_the_sheet_has_everything_and_nothing_else_shows_the_secret() -> None:
    kit = RecoveryKit(bytes(range(16)))
    sheet = kit.sheet("Ana", "22 November")
    text = sheet.text()
    assert all(word in text for word in kit.words())
    assert sheet.mark == kit.mark == kit_mark(kit.key.public)
    assert sheet.mark in text
    shown = repr(kit) + repr(sheet)
    assert not any(word in shown for word in kit.words())
    # The QR code can use its compact alphanumeric mode.
    assert set(sheet.qr) <= set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:")


def test_what_is_sealed_to_a_kit_opens_with_its_words_only() -> None:
    person, kit, other = new_person(), RecoveryKit(bytes(range(16))), RecoveryKit(bytes(16))
    person.add_recovery(key(1), kit.consent(person.id), 1)
    known = person.state.device(kit.key.public)
    assert known is not None
    enc, sealed = seal_to_kit(known.sealing_key, b"for this", b"secret")
    restored = RecoveryKit.restore(" ".join(kit.words()))
    assert restored.unseal(enc, b"for this", sealed) == b"secret"
    with pytest.raises(DecryptionError):
        restored.unseal(enc, b"for that", sealed)
    with pytest.raises(DecryptionError):
        other.unseal(enc, b"for this", sealed)


def test_a_kit_vouches_for_its_sealing_key() -> None:
    person, kit = new_person(), RecoveryKit(bytes(range(16)))
    agreed = kit.consent(person.id)
    foreign = RecoveryKit(bytes(16)).consent(person.id).sealing_key
    with pytest.raises(SignatureError):
        person.add_recovery(key(1), replace(agreed, sealing_key=foreign), 1)
    with pytest.raises(SignatureError):
        new_person(2).add_recovery(key(2), agreed, 1)


def test_the_whole_way_back() -> None:
    person = new_person()
    kit = RecoveryKit(bytes(range(16)))
    person.add_recovery(key(1), kit.consent(person.id), 1)
    restored = RecoveryKit.restore(" ".join(kit.words()))
    person.add(restored.key, consent(key(2), person.id), b"new laptop", 2)
    person.remove(restored.key, key(1).public, 3)
    assert person.state.active() == {key(2).public}
    # The old kit stays valid until a new one has taken its place.
    add_recovery(person, 2, 60)
    person.remove(restored.key, restored.key.public, 4)
    assert person.state.recovery_keys() == {key(60).public}
    add(person, 60, 3)
