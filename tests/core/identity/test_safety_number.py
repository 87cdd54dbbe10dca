"""Safety numbers and what is remembered about them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.identity.people import key
from lutra.errors import UsageError
from lutra.identity.safety_number import Fingerprint, SafetyNumber, Trust, Verification

fingerprints = st.builds(Fingerprint, st.binary(min_size=32, max_size=32))


@settings(deadline=None, max_examples=20)
@given(fingerprints, fingerprints)
def test_both_sides_see_the_same_sixty_digits(mine: Fingerprint, theirs: Fingerprint) -> None:
    here, there = SafetyNumber.between(mine, theirs), SafetyNumber.between(theirs, mine)
    assert here == there
    assert len(here.groups) == 12
    assert all(len(group) == 5 and group.isdigit() for group in here.groups)
    assert here.text().count("\n") == 2
    assert here.matches(there.qr.lower())


def test_any_device_more_or_less_changes_half_of_the_number() -> None:
    ana, ben = bytes(32), bytes([1]) * 32
    before = Fingerprint.of(ana, [key(1).public, key(2).public])
    assert before == Fingerprint.of(ana, [key(2).public, key(1).public, key(1).public])
    after = Fingerprint.of(ana, [key(1).public, key(2).public, key(3).public])
    other = Fingerprint.of(ben, [key(9).public])
    assert Fingerprint.of(ben, [key(1).public, key(2).public]) != before
    old, new = SafetyNumber.between(before, other), SafetyNumber.between(after, other)
    assert not old.matches(new.qr)
    assert len(set(old.groups) & set(new.groups)) == 6
    with pytest.raises(UsageError):
        old.matches("https://example.org")


def test_the_number_is_pinned() -> None:
    """Another version must show the same digits, or people would be alarmed for nothing."""
    number = SafetyNumber.between(Fingerprint(bytes(32)), Fingerprint(bytes(range(32))))
    assert number.groups[0] == "30945"
    assert number.groups[-1] == "23184"


def test_a_change_is_announced_until_shown_and_stays_until_compared() -> None:
    one, two, three = (Fingerprint(bytes([number]) * 32) for number in (1, 2, 3))
    known = Verification(one)
    assert (known.trust, known.announce) == (Trust.UNVERIFIED, False)
    assert not known.observe(two).announce
    known = known.verify(one)
    assert (known.trust, known.announce) == (Trust.VERIFIED, False)
    known = known.observe(two)
    assert (known.trust, known.announce) == (Trust.CHANGED, True)
    known = known.shown()
    assert (known.trust, known.announce) == (Trust.CHANGED, False)
    assert known.observe(three).announce
    assert known.observe(one).trust is Trust.VERIFIED
    with pytest.raises(UsageError):
        known.verify(three)
    assert known.verify(two).trust is Trust.VERIFIED
    assert known.withdraw().trust is Trust.UNVERIFIED
