"""Pairing as it should go, however it is interrupted."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.identity.pairs import LONG, SHORT, Pair, channels
from core.identity.people import key
from lutra.errors import MalformedError
from lutra.identity.errors import PairingCodeError, PairingStateError
from lutra.identity.pairing import MAX_ATTEMPTS, Pairing
from lutra.identity.pairing_code import PairingSecret
from lutra.identity.pairing_messages import Choice
from lutra.identity.pairing_table import (
    REASONS,
    TABLE,
    TERMINAL,
    TIMES,
    Event,
    Role,
    Side,
    State,
    possible,
    render,
    step,
)
from lutra.identity.person import Person

sides = pytest.mark.parametrize("existing_side", list(Side))
secrets = pytest.mark.parametrize("secret", [SHORT, LONG], ids=["code", "link"])


def assert_paired(pair: Pair) -> None:
    assert pair.existing.state is pair.new.state is State.DONE
    assert pair.existing.person is not None
    devices = {key(1).public, key(2).public}
    assert pair.existing.person.state.active() == devices
    log = pair.new.machine.admission
    assert Person(pair.existing.person.id, log).state == pair.existing.person.state
    compared = pair.existing.machine.comparison
    assert compared is not None
    assert compared == pair.new.machine.comparison
    assert len(pair.existing.person.operations()) == 2


@sides
@secrets
def test_two_devices_pair(existing_side: Side, secret: PairingSecret) -> None:
    pair = Pair.make(existing_side, secret)
    pair.connect()
    pair.run()
    assert_paired(pair)
    assert pair.existing.machine.peer is not None
    assert pair.existing.machine.peer.device_name == "brand new laptop"


@sides
@secrets
@pytest.mark.parametrize("who", ["enters", "shows", "both"])
def test_a_crash_or_lost_connection_at_any_step_changes_nothing(
    existing_side: Side, secret: PairingSecret, who: str
) -> None:
    whole = Pair.make(existing_side, secret)
    whole.connect()
    steps = 0
    while whole.deliver() or whole.people():
        steps += 1
    for moment in range(steps + 1):
        pair = Pair.make(existing_side, secret)
        pair.connect()
        for _ in range(moment):
            assert pair.deliver() or pair.people()
        for one in (pair.enters, pair.shows):
            if who == "both" or one is getattr(pair, who):
                one.crash()
            elif one.state not in TERMINAL:
                one.outbox.clear()
                one.do(lambda machine: machine.disconnect(0))
        if pair.new.state is State.DONE:
            # The receipt was lost; the addition stands.
            if pair.existing.state is State.DELIVERING:
                pair.existing.do(lambda machine: machine.tick(10_000))
        else:
            pair.connect()
        pair.run()
        assert_paired(pair)


@given(st.lists(st.booleans(), max_size=40))
@settings(deadline=None, max_examples=60)
def test_many_lost_connections(losses: list[bool]) -> None:
    pair = Pair.make(secret=LONG)
    pair.connect()
    early = 0
    for lost in losses:
        if lost and pair.new.state is not State.DONE and early < MAX_ATTEMPTS - 1:
            early += 1
            pair.disconnect()
            pair.connect()
        elif not (pair.deliver() or pair.people()):
            break
    pair.run()
    assert_paired(pair)


@sides
def test_an_identity_on_the_new_device_is_merged(existing_side: Side) -> None:
    pair = Pair.make(existing_side, own_identity=True)
    assert pair.new.person is not None
    pair.connect()
    while pair.existing.machine.addition is None:
        assert pair.deliver() or pair.people()
    addition = pair.existing.machine.addition
    assert addition.choice is Choice.MERGE
    assert addition.card.person == pair.new.person.id
    assert addition.merged == pair.new.person.operations()
    pair.run()
    assert_paired(pair)


def test_an_identity_on_the_new_device_is_kept_under_another_key() -> None:
    pair = Pair.make(own_identity=True)
    pair.connect()
    while pair.deliver():
        pass
    with pytest.raises(PairingStateError):
        pair.new.machine.accept(0)
    with pytest.raises(PairingStateError):
        pair.new.machine.accept(0, Choice.KEEP_SEPARATE)
    with pytest.raises(PairingStateError):
        pair.new.machine.accept(0, Choice.MERGE)
    pair.new.do(lambda machine: machine.accept(0, Choice.KEEP_SEPARATE, key(30)))
    pair.run()
    assert pair.new.state is pair.existing.state is State.DONE
    assert pair.existing.person is not None
    assert pair.existing.person.state.active() == {key(1).public, key(30).public}


@pytest.mark.parametrize("role", list(Role))
def test_two_devices_of_the_same_part_are_told_so(role: Role) -> None:
    pair = Pair.make(roles=(role, role))
    pair.connect()
    pair.run()
    assert pair.enters.state is pair.shows.state is State.FAILED
    expected = REASONS[State.INTRODUCING, Event.SAME_ROLE]
    assert pair.enters.machine.sentence == pair.shows.machine.sentence == expected


@sides
def test_cancelling_at_every_step(existing_side: Side) -> None:
    for canceller in ("enters", "shows"):
        moment = 0
        while True:
            pair = Pair.make(existing_side)
            pair.connect()
            if not all(pair.deliver() or pair.people() for _ in range(moment)):
                break
            one = getattr(pair, canceller)
            if one.state in TERMINAL:
                break
            late = one.state is State.DELIVERING
            one.do(lambda machine: machine.cancel(0))
            assert one.state is State.CANCELLED
            assert one.machine.sentence
            assert ("added already" in one.machine.sentence) == late
            while pair.deliver():
                pass
            other = pair.shows if one is pair.enters else pair.enters
            other.do(lambda machine: machine.tick(10_000))
            assert other.state in TERMINAL
            assert other.machine.sentence or other.state is State.DONE
            moment += 1
        assert moment > 6


@sides
def test_time_runs_out_at_every_step_with_a_sentence(existing_side: Side) -> None:
    for waiting in ("enters", "shows"):
        for moment in range(12):
            pair = Pair.make(existing_side)
            pair.connect()
            for _ in range(moment):
                _ = pair.deliver() or pair.people()
            one = getattr(pair, waiting)
            before = one.state
            deadline = one.machine.deadline
            if before in TERMINAL:
                assert deadline is None
                continue
            one.do(lambda machine, at=deadline: machine.tick(at - 0.1))
            assert one.state is before
            one.do(lambda machine, at=deadline: machine.tick(at))
            assert one.state is (State.DONE if before is State.DELIVERING else State.FAILED)
            assert one.machine.sentence.endswith(".")


def test_what_is_stored_of_an_ended_pairing_holds_no_secret() -> None:
    pair = Pair.make(secret=LONG)
    pair.connect()
    pair.run()
    assert LONG.secret not in pair.existing.stored
    assert LONG.secret not in pair.new.stored
    for shown in (repr(pair.new.machine), repr(pair.new.machine._memory), repr(LONG)):
        assert LONG.secret.hex() not in shown
        assert repr(LONG.secret) not in shown


def test_a_damaged_store_is_refused() -> None:
    pair = Pair.make()
    for stored in (b"", b"\x80", pair.new.stored[:-1], pair.new.stored.replace(b"READY", b"REEDY")):
        with pytest.raises(MalformedError):
            Pairing.restore(stored, key(2), 0)


@given(st.integers(100, 999), st.binary(min_size=3, max_size=3))
def test_codes_survive_being_read_aloud(number: int, secret: bytes) -> None:
    code = PairingSecret(number, secret)
    assert PairingSecret.parse(f" {code.text().upper().replace(' ', ' - ')} ") == code
    first = code.text()
    for at in range(4, len(first)):
        wrong = first[:at] + ("b" if first[at] != "b" else "d") + first[at + 1 :]
        with pytest.raises(PairingCodeError):
            PairingSecret.parse(wrong)


@given(st.binary(min_size=16, max_size=16))
def test_links_survive_being_copied(secret: bytes) -> None:
    link = PairingSecret(None, secret)
    assert PairingSecret.parse(link.text().upper().replace("LUTRA:PAIR", "lutra:pair")) == link
    assert link.rendezvous != PairingSecret(None, bytes(16)).rendezvous or secret == bytes(16)
    with pytest.raises(PairingCodeError):
        PairingSecret.parse(link.text()[:-1])


def test_the_public_part_of_a_code_does_not_depend_on_the_words() -> None:
    assert PairingSecret(407, b"abc").rendezvous == PairingSecret(407, b"xyz").rendezvous
    assert PairingSecret(407, b"abc").rendezvous != PairingSecret(408, b"abc").rendezvous
    for text in (
        "",
        "40 bodem bodem",
        "407 bodem",
        "0407 bodem bodem",
        "abc bodem bodem",
        "lutra:pair/%",
    ):
        with pytest.raises(PairingCodeError):
            PairingSecret.parse(text)


def test_the_table_is_whole_and_unambiguous() -> None:
    for party, state, event in TABLE:
        assert state not in TERMINAL
        if isinstance(party, Side | Role):
            others = [one for one in TABLE if one[1:] == (state, event) and one[0] is not None]
            assert all(type(one[0]) is type(party) for one in others)
    for (state, event), sentence in REASONS.items():
        reachable = [possible(side, role, state, event) for side in Side for role in Role]
        assert State.FAILED in reachable
        assert sentence.endswith(".")
    for side in Side:
        for role in Role:
            for state in State:
                if state in TERMINAL:
                    with pytest.raises(PairingStateError):
                        step(side, role, state, Event.CANCEL)
                    continue
                assert state in TIMES
                if role is Role.NEW and state in {State.ADMITTING, State.DELIVERING}:
                    continue
                assert possible(side, role, state, Event.CANCEL) is State.CANCELLED
                assert possible(side, role, state, Event.TIMEOUT) in TERMINAL
                for event in Event:
                    if possible(side, role, state, event) is State.FAILED:
                        assert (state, event) in REASONS


def test_the_rendered_table_is_the_table() -> None:
    rows = [line for line in render().splitlines() if line.count("|") == 5][2:]
    assert len(rows) == len(TABLE)
    for (party, state, event), after in TABLE.items():
        who = "either" if party is None else party.value
        assert f"| {state.value} | {event.value} | {who} | {after.value} |" in rows
    assert f"| ready | {TIMES[State.READY]} s |" in render()


def test_a_second_connection_is_turned_away_at_every_step_and_the_first_goes_on() -> None:
    pair = Pair.make()
    pair.connect()
    while pair.deliver() or pair.people():
        for end, one in enumerate((pair.enters, pair.shows)):
            before = one.machine.store()
            with pytest.raises(PairingStateError):
                one.machine.connect(channels(99)[end], 0)
            assert one.machine.store() == before
    assert_paired(pair)
