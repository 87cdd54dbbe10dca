"""Recorded sessions of real people, replayed to the letter."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from lutra.documents.document import Document
from lutra.documents.peers import peer_id
from lutra.documents.replica import Replica

PAGE = b"p" * 32


def trace(shared: Path, name: str) -> dict[str, Any]:
    with gzip.open(shared / "traces" / f"{name}.json.gz") as file:
        return json.load(file)


@pytest.mark.parametrize("name", ["automerge-paper", "rustcode", "sveltecomponent"])
def test_one_persons_session(shared: Path, name: str) -> None:
    session = trace(shared, name)
    author, reader = b"a" * 32, b"b" * 32
    document = Document.create(PAGE, author)
    document.splice(0, 0, session["startContent"])
    copy = Document.load(PAGE, reader, None, [])
    updates: list[bytes] = []
    for number, transaction in enumerate(session["txns"]):
        for position, deleted, inserted in transaction["patches"]:
            document.splice(position, deleted, inserted)
        if number % 100 == 0:
            updates.append(document.take_local() or b"")
    updates.append(document.take_local() or b"")
    assert document.text == session["endContent"]
    copy.import_updates([update for update in updates if update], author)
    assert copy.text == session["endContent"]
    newcomer = Document.load(PAGE, reader, None, [])
    newcomer.import_updates([document.checkpoint()], author)
    assert newcomer.text == session["endContent"]
    assert Document.load(PAGE, author, document.snapshot(), []).text == session["endContent"]


def test_two_people_typing_at_once(shared: Path) -> None:
    session = trace(shared, "friendsforever")
    transactions = session["txns"]
    devices = [bytes([agent + 1]) * 32 for agent in range(session["numAgents"])]
    documents = [Document.load(PAGE, device, None, []) for device in devices]
    windows = [
        Replica(document.snapshot(), peer_id(device, PAGE, 1))
        for document, device in zip(documents, devices, strict=True)
    ]
    published: list[dict[int, int]] = [{} for _ in devices]
    known: list[set[int]] = [set() for _ in devices]
    updates: list[bytes] = []
    for number, transaction in enumerate(transactions):
        agent = transaction["agent"]
        document, window = documents[agent], windows[agent]
        missing: list[int] = []
        ask = list(transaction["parents"])
        while ask:
            parent = ask.pop()
            if parent not in known[agent]:
                known[agent].add(parent)
                missing.append(parent)
                ask += transactions[parent]["parents"]
        for parent in sorted(missing):
            document.import_updates([updates[parent]], devices[transactions[parent]["agent"]])
            window.import_updates(updates[parent])
        for position, deleted, inserted in transaction["patches"]:
            # The session holds no characters outside the first plane: units are code points.
            window.edit_body(position, deleted, inserted)
        document.apply_local(window.take_updates() or b"")
        update, published[agent] = document.export_unpublished(published[agent])
        updates.append(update)
        known[agent].add(number)
    for agent, document in enumerate(documents):
        for number in sorted(set(range(len(updates))) - known[agent]):
            document.import_updates([updates[number]], devices[transactions[number]["agent"]])
            windows[agent].import_updates(updates[number])
        assert document.text == session["endContent"]
        assert windows[agent].body == session["endContent"]

    newcomer = Document.load(PAGE, b"n" * 32, None, [])
    newcomer.import_batch(
        [(device, doc.checkpoint()) for device, doc in zip(devices, documents, strict=True)]
    )
    assert newcomer.text == session["endContent"]
