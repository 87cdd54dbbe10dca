"""The recorded session and the typist: every step in exactly the text it was made in."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loro import ExportMode

from lutra.cli.demo.player import Player
from lutra.cli.demo.trace import Script, built_in_script, cable_cut, load_trace
from lutra.documents.crdt import new_loro_doc
from lutra.documents.document import Document
from lutra.errors import MalformedError

DOCUMENT, DEVICE = b"d" * 32, b"a" * 32
PEERS = (11, 12)


def snapshot() -> bytes:
    document = Document.create(DOCUMENT, DEVICE, created=0)
    document.splice_title(0, 0, "Otter sightings")
    return document.snapshot()


def players(script: Script) -> list[Player]:
    state = snapshot()
    return [
        Player(script, agent, snapshot=state, peer=PEERS[agent], other=PEERS[1 - agent])
        for agent in (0, 1)
    ]


def play(script: Script, seed: int) -> tuple[str, str]:
    """Play both sides; updates are held back and delivered in bunches at random."""
    chance = random.Random(seed)
    sides = players(script)
    waiting: list[list[bytes]] = [[], []]
    while not all(side.done for side in sides) or any(waiting):
        side = chance.randrange(2)
        if waiting[side] and chance.random() < 0.5:
            taken = chance.randint(1, len(waiting[side]))
            sides[side].take_in(waiting[side][:taken])
            del waiting[side][:taken]
            continue
        update = sides[side].type(chance.randint(1, 200), None)
        if update is not None:
            waiting[1 - side].append(update)
    return sides[0].text, sides[1].text


def test_the_recorded_session_ends_in_its_recorded_text(shared: Path) -> None:
    script = load_trace(shared / "traces" / "friendsforever.json.gz")
    assert script.steps == 26_078
    assert play(script, 1) == (script.end_content, script.end_content)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1 << 32))
def test_both_sides_of_the_built_in_script_end_alike(seed: int) -> None:
    script = built_in_script(words=40, seed=seed)
    first, second = play(script, seed)
    assert first == second
    assert len(first) > 100


def test_a_typist_goes_on_where_the_document_says(shared: Path) -> None:
    script = load_trace(shared / "traces" / "friendsforever.json.gz")
    sides = players(script)
    document = new_loro_doc(99)
    document.import_(snapshot())
    for _ in range(40):
        for side in (0, 1):
            update = sides[side].type(50, None)
            if update is not None:
                sides[1 - side].take_in([update])
                document.import_(update)
    restored = Player(
        script, 0, snapshot=document.export(ExportMode.Snapshot()), peer=PEERS[0], other=PEERS[1]
    )
    assert restored.made == sides[0].made > 500
    assert restored.text == sides[0].text
    while restored.type(50, None) is not None:
        pass
    while sides[0].type(50, None) is not None:
        pass
    assert restored.text == sides[0].text
    assert restored.next_index == sides[0].next_index


def test_nothing_is_typed_before_its_parents_have_arrived() -> None:
    transactions = [
        {"parents": [], "agent": 0, "patches": [[0, 0, "ab"]]},
        {"parents": [0], "agent": 1, "patches": [[1, 1, "é🦦"]]},
        {"parents": [0], "agent": 0, "patches": [[2, 0, "c"]]},
        {"parents": [1, 2], "agent": 0, "patches": [[4, 0, "d"]]},
    ]
    script = parse(transactions, "aé🦦cd")
    first, second = players(script)
    assert second.type(9, None) is None
    first_update = first.type(9, None)
    assert first_update is not None
    assert (first.made, first.done) == (3, False)
    second.take_in([first_update])
    second_update = second.type(9, None)
    assert second_update is not None
    # It was typed in "ab", although "abc" had arrived.
    assert second.text == "aé🦦c"
    first.take_in([second_update])
    assert first.type(9, None) is not None
    assert first.text == script.end_content


def test_steps_behind_the_mark_wait() -> None:
    script = built_in_script(words=10)
    first, _ = players(script)
    first.type(1000, 20)
    assert first.next_index == 20
    assert first.made == 10
    assert first.type(1000, 20) is None


def test_the_cable_is_pulled_near_the_middle(shared: Path) -> None:
    script = load_trace(shared / "traces" / "friendsforever.json.gz")
    assert 0.4 * script.steps <= cable_cut(script) <= 0.6 * script.steps


def parse(transactions: list[dict[str, object]], end_content: str, **fields: object) -> Script:
    recording = {
        "kind": "concurrent",
        "numAgents": 2,
        "txns": transactions,
        "endContent": end_content,
        **fields,
    }
    with TemporaryDirectory() as directory:
        path = Path(directory) / "trace.json.gz"
        path.write_bytes(gzip.compress(json.dumps(recording).encode()))
        return load_trace(path)


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "sequential"},
        {"numAgents": 3},
        {"txns": [{"parents": [4], "agent": 0, "patches": []}]},
        {"txns": [{"parents": [], "agent": 7, "patches": []}]},
        {"txns": [{"agent": 0}]},
        {"txns": "no"},
    ],
)
def test_other_files_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(MalformedError):
        parse([], "", **fields)


def test_a_file_that_is_no_recording_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    for content in (b"", b"\x1f\x8bnope", b"{}", b"[1]"):
        path.write_bytes(content)
        with pytest.raises(MalformedError):
            load_trace(path)
