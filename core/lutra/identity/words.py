"""Words that carry bits, for reading aloud and writing down: our own scheme.

A word is five letters, consonant and vowel in turn, such as ``tavem``. Two syllables carry 12 bits
(16 consonants, 4 vowels each); the last consonant is a check over the word's letters and its place
in the list: a sum over GF(16) with a different weight for each, so that any one wrong letter, any
two letters of a kind exchanged, and any word in a wrong place are noticed, and the word at fault
can be named. The letters exist in every Latin alphabet, are spoken much the same in most languages
that use it, and no two consonants look alike in handwriting.
"""

from __future__ import annotations

from collections.abc import Sequence

from lutra.identity.errors import WordsError

CONSONANTS = "bdfgjklmnprstvwz"
VOWELS = "aeio"
BITS_PER_WORD = 12
MAX_WORDS = 16
_LETTERS = 5


def to_words(value: int, count: int) -> tuple[str, ...]:
    """Return ``count`` words (at most `MAX_WORDS`) that carry ``value``, highest bits first."""
    return tuple(
        _word(value >> BITS_PER_WORD * (count - 1 - place) & 0xFFF, place) for place in range(count)
    )


def from_words(words: Sequence[str], count: int) -> int:
    """Return the value that words carry; upper case and spaces around do not matter.

    Raises:
        WordsError: their number is wrong, or some of them are not what was written down.
    """
    given = [word.strip().lower() for word in words]
    if len(given) != count:
        raise WordsError(f"There must be {count} words, not {len(given)}.", words=[])
    values = [_value(word, place) for place, word in enumerate(given)]
    wrong = [place + 1 for place, value in enumerate(values) if value is None]
    if wrong:
        raise WordsError(_complaint(wrong), words=wrong)
    total = 0
    for value in values:
        total = total << BITS_PER_WORD | (value or 0)
    return total


def is_word(word: str, place: int) -> bool:
    """Tell whether a word can stand at a place (from 0), for checking while it is typed."""
    return _value(word.strip().lower(), place) is not None


def near_words(word: str, place: int) -> tuple[str, ...]:
    """Return the words that can stand at a place and differ from ``word`` in one letter."""
    word = word.strip().lower()
    if len(word) != _LETTERS:
        return ()
    found = {
        candidate
        for at in range(_LETTERS)
        for letter in (VOWELS if at % 2 else CONSONANTS)
        if is_word(candidate := word[:at] + letter + word[at + 1 :], place)
    }
    return tuple(sorted(found))


def _word(value: int, place: int) -> str:
    first, left, second, right = value >> 8, value >> 6 & 3, value >> 2 & 15, value & 3
    check = _check(first, left, second, right, place)
    letters = (CONSONANTS[first], VOWELS[left], CONSONANTS[second], VOWELS[right])
    return "".join(letters) + CONSONANTS[check]


def _value(word: str, place: int) -> int | None:
    if len(word) != _LETTERS:
        return None
    digits = [(VOWELS if at % 2 else CONSONANTS).find(word[at]) for at in range(_LETTERS)]
    if min(digits) < 0:
        return None
    first, left, second, right, check = digits
    if _check(first, left, second, right, place) != check:
        return None
    return first << 8 | left << 6 | second << 2 | right


def _check(first: int, left: int, second: int, right: int, place: int) -> int:
    # Weight 1 belongs to the check letter itself; the others differ from it and from each other.
    return _times(2, first) ^ _times(3, left) ^ _times(4, second) ^ _times(5, right) ^ place


def _times(left: int, right: int) -> int:
    """Multiply in GF(16) modulo x^4 + x + 1."""
    product = 0
    for bit in range(4):
        if right >> bit & 1:
            product ^= left << bit
    for bit in (6, 5, 4):
        if product >> bit & 1:
            product ^= 0b10011 << (bit - 4)
    return product


def _complaint(wrong: list[int]) -> str:
    if len(wrong) == 1:
        return f"Word {wrong[0]} is not one of the words written down. Please look at it again."
    places = ", ".join(str(place) for place in wrong[:-1])
    return f"Words {places} and {wrong[-1]} are not as written down. Please look at them again."
