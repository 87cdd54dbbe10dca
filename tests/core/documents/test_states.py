"""Documents as states without history."""

from __future__ import annotations

import random

import pytest

from lutra.documents.document import Document
from lutra.documents.errors import DamagedUpdateError
from lutra.documents.state_body import StateBody, decode_state, encode_state, pack
from lutra.documents.states import state_of
from lutra.errors import MalformedError

PAGE = bytes(range(32))
DEVICES = [bytes([number]) * 32 for number in (1, 2, 3)]
NEWCOMER = bytes([9]) * 32


class Writers:
    """Three devices that write at random, and what they publish."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.documents = [Document(PAGE, device, clock=lambda: 1_000) for device in DEVICES]
        self.log: list[tuple[bytes, bytes]] = []
        self.read = [0, 0, 0]
        self.letter = 0x4E00
        self.deleted: set[str] = set()

    def live(self, steps: int) -> None:
        for _ in range(steps):
            writer = self.rng.randrange(3)
            if self.rng.random() < 0.3:
                self.sync(writer)
            else:
                self.edit(self.documents[writer])
        for writer in (0, 1, 2, 0, 1, 2):
            self.sync(writer)

    def sync(self, writer: int) -> None:
        update = self.documents[writer].take_local()
        if update is not None:
            self.log.append((DEVICES[writer], update))
        news = [item for item in self.log[self.read[writer] :] if item[0] != DEVICES[writer]]
        self.documents[writer].import_batch(news)
        self.read[writer] = len(self.log)

    def edit(self, document: Document) -> None:
        length = len(document)
        kind = self.rng.random()
        if kind < 0.5 or length < 3:
            text = ""
            for _ in range(self.rng.randint(1, 5)):
                self.letter += 1
                text += chr(self.letter)
            document.splice(self.rng.randint(0, length), 0, text)
        elif kind < 0.8:
            start = self.rng.randint(0, length - 2)
            count = self.rng.randint(1, min(8, length - start))
            self.deleted.update(document.text[start : start + count])
            document.splice(start, count, "")
        elif kind < 0.9:
            start = self.rng.randint(0, length - 2)
            document.format(start, self.rng.randint(start + 1, length), "bold", value=True)
        else:
            document.set_field(self.rng.choice("ab"), self.rng.choice((None, 1, "x", "y")))


@pytest.mark.parametrize("seed", range(20))
def test_a_state_reads_the_same_and_takes_in_all_that_comes_later(seed: int) -> None:
    writers = Writers(seed)
    writers.live(80)
    source = writers.documents[0]
    state = state_of(source.full_update(), PAGE, DEVICES)
    newcomer = Document(PAGE, NEWCOMER)
    newcomer.import_batch(state)
    assert (newcomer.spans(), newcomer.fields) == (source.spans(), source.fields)
    deleted = writers.deleted
    held = newcomer.full_update().decode("utf-8", "replace")
    assert deleted
    assert not deleted & set(held)
    before = len(writers.log)
    writers.live(40)
    newcomer.import_batch(writers.log[before:])
    assert (newcomer.spans(), newcomer.fields) == (source.spans(), source.fields)


@pytest.mark.parametrize("seed", range(20))
def test_states_of_different_times_and_the_edits_themselves_merge(seed: int) -> None:
    writers = Writers(seed)
    states: list[list[tuple[bytes, bytes]]] = []
    for _ in range(4):
        writers.live(30)
        source = writers.rng.choice(writers.documents)
        states.append(state_of(source.full_update(), PAGE, DEVICES, max_edits=50))
    batches = [*states, writers.log]
    writers.rng.shuffle(batches)
    newcomer = Document(PAGE, NEWCOMER)
    for batch in batches:
        for author, update in batch:
            newcomer.import_batch([(author, part) for part in newcomer.unknown_part(update)])
    assert newcomer.waiting() is None
    assert newcomer.text == writers.documents[0].text


def test_links_and_fields_that_are_gone_are_not_told() -> None:
    document = Document(PAGE, DEVICES[0])
    document.splice(0, 0, "see here and there")
    document.format(4, 8, "link", "https://old.example")
    document.format(4, 8, "link", "https://new.example")
    document.set_field("pin", "1234")
    document.set_field("pin", "5678")
    ((_, update),) = state_of(document.full_update(), PAGE, DEVICES)
    assert b"new.example" in update
    assert b"5678" in update
    assert b"old.example" not in update
    assert b"1234" not in update


def test_a_state_tells_no_times_unless_asked_to() -> None:
    document = Document(PAGE, DEVICES[0], clock=lambda: 1_700_000_000)
    document.splice(0, 0, "text")
    for timeless, times in ((True, {0}), (False, {1_700_000_000})):
        newcomer = Document(PAGE, NEWCOMER)
        newcomer.import_batch(state_of(document.full_update(), PAGE, DEVICES, timeless=timeless))
        assert {change.time or 0 for change in newcomer.history()} == times


def test_bodies_of_states() -> None:
    state = StateBody(PAGE, {DEVICES[1]: 4, DEVICES[0]: 0}, pack([(DEVICES[0], b"loro")]))
    data = encode_state(state)
    read = decode_state(data)
    assert (read.document, read.covers) == (PAGE, state.covers)
    assert read.updates() == [(DEVICES[0], b"loro")]
    for broken in (data[:-1], b"\x80", encode_state(StateBody(b"short", {}, []))):
        with pytest.raises(MalformedError):
            decode_state(broken)


def test_what_is_no_update_is_refused() -> None:
    document = Document(PAGE, DEVICES[0])
    for call in (document.holds, document.unknown_part):
        with pytest.raises(DamagedUpdateError):
            call(b"nonsense")
