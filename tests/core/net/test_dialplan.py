"""When addresses are dialled: back-off, jitter and bounds, under a clock of the test's own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lutra.net.connection import Address
from lutra.net.dialplan import MAX_CANDIDATES, STABLE_SECONDS, DialPlan, Source
from lutra.net.errors import ConnectionLostError, DialError

HOME = Address("192.0.2.1", 4000)
DEVICE = b"d" * 32
ERROR = DialError("no answer")
LOST = ConnectionLostError("lost")


def plan(jitter: float = 0.0) -> DialPlan:
    return DialPlan(lambda: jitter)


def wait_after(plan: DialPlan, now: float) -> float:
    due = plan.next_due(())
    assert due is not None
    return due - now


def test_a_new_address_is_due_at_once() -> None:
    dialling = plan()
    assert dialling.next_due(()) is None
    dialling.add(HOME, Source.TYPED, 5.0)
    assert dialling.due(5.0, ()) == [HOME]
    assert dialling.next_due(()) == 5.0
    dialling.begin(HOME)
    assert dialling.due(99.0, ()) == []
    assert dialling.next_due(()) is None


@given(source=st.sampled_from(Source), jitter=st.floats(0, 1, exclude_max=True))
def test_waits_grow_to_the_sources_limit_and_stay_within_jitter(
    source: Source, jitter: float
) -> None:
    dialling = plan(jitter)
    dialling.add(HOME, source, 0.0)
    waits: list[float] = []
    for _ in range(40):
        dialling.begin(HOME)
        dialling.failed(HOME, 0.0, ERROR)
        waits.append(wait_after(dialling, 0.0))
    assert waits == sorted(waits)
    assert 1.0 <= waits[0] <= 2.0
    assert source.value / 2 <= waits[-1] <= source.value


def test_the_most_hopeful_source_decides() -> None:
    dialling = plan()
    dialling.add(HOME, Source.REMEMBERED, 0.0)
    dialling.add(HOME, Source.FOUND, 0.0)
    for _ in range(20):
        dialling.failed(HOME, 0.0, ERROR)
    assert wait_after(dialling, 0.0) == Source.FOUND.value / 2
    dialling.discard(HOME, Source.FOUND)
    dialling.failed(HOME, 0.0, ERROR)
    assert wait_after(dialling, 0.0) == Source.REMEMBERED.value / 2
    dialling.discard(HOME, Source.REMEMBERED)
    assert dialling.next_due(()) is None


def test_showing_up_again_ends_the_wait() -> None:
    dialling = plan()
    dialling.add(HOME, Source.FOUND, 0.0)
    for _ in range(10):
        dialling.failed(HOME, 0.0, ERROR)
    dialling.add(HOME, Source.FOUND, 1.0)
    assert dialling.due(1.0, ()) == [HOME]


def test_a_connected_devices_other_addresses_rest() -> None:
    dialling = plan()
    other = Address("192.0.2.2", 4000)
    dialling.add(HOME, Source.FOUND, 0.0)
    dialling.add(other, Source.REMEMBERED, 0.0, DEVICE)
    dialling.begin(HOME)
    dialling.succeeded(HOME, DEVICE)
    assert dialling.due(0.0, {DEVICE}) == []
    assert dialling.due(0.0, set()) == [other]


def test_a_stable_connection_that_breaks_is_redialled_soon_a_brief_one_later() -> None:
    dialling = plan()
    dialling.add(HOME, Source.FOUND, 0.0)
    for _ in range(8):
        dialling.begin(HOME)
        dialling.succeeded(HOME, DEVICE)
        dialling.lost(HOME, 0.0, STABLE_SECONDS / 2, LOST)
    assert wait_after(dialling, 0.0) >= 10
    dialling.begin(HOME)
    dialling.succeeded(HOME, DEVICE)
    dialling.lost(HOME, 0.0, STABLE_SECONDS, LOST)
    assert wait_after(dialling, 0.0) <= 1


def test_an_address_forgotten_while_connected_goes_when_the_connection_does() -> None:
    dialling = plan()
    dialling.add(HOME, Source.FOUND, 0.0)
    dialling.begin(HOME)
    dialling.succeeded(HOME, DEVICE)
    dialling.discard(HOME, Source.FOUND)
    (attempt,) = dialling.attempts(0.0)
    assert attempt.device == DEVICE
    dialling.lost(HOME, 0.0, 60.0, LOST)
    assert dialling.attempts(0.0) == ()


def test_hurrying_retries_everything_including_what_was_ourselves() -> None:
    dialling = plan(0.5)
    dialling.add(HOME, Source.TYPED, 0.0)
    dialling.begin(HOME)
    dialling.is_itself(HOME)
    assert dialling.next_due(()) is None
    dialling.hurry(100.0)
    assert dialling.due(101.0, ()) == [HOME]


def test_addresses_that_failed_wait_behind_those_that_did_not() -> None:
    dialling = plan()
    bad = [Address("192.0.2.66", port) for port in range(5)]
    for address in bad:
        dialling.add(address, Source.FOUND, 0.0)
        dialling.failed(address, 0.0, ERROR)
    dialling.add(HOME, Source.FOUND, 50.0)
    assert dialling.due(50.0, ())[0] == HOME
    assert set(dialling.due(50.0, ())) == {HOME, *bad}


def test_the_number_of_addresses_is_bounded() -> None:
    dialling = plan()
    for number in range(MAX_CANDIDATES + 10):
        dialling.add(Address("192.0.2.1", number), Source.FOUND, 0.0)
    assert len(dialling.attempts(0.0)) == MAX_CANDIDATES


def test_the_diagnosis_says_why_and_when() -> None:
    dialling = plan()
    dialling.add(HOME, Source.TYPED, 0.0)
    dialling.begin(HOME)
    dialling.failed(HOME, 0.0, ERROR)
    (attempt,) = dialling.attempts(0.5)
    assert attempt.error is ERROR
    assert attempt.failures == 1
    assert attempt.wait == 0.5
    assert attempt.sources == {Source.TYPED}
