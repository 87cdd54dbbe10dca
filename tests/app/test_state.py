"""The state line says only what is known."""

from __future__ import annotations

import pytest

from lutra.node.views import DocumentStatus
from lutra_app.shell.state import Tone, names, page_state


def status(**values: object) -> DocumentStatus:
    base: dict[str, object] = {
        "document": b"d" * 32,
        "unpublished": False,
        "devices": 3,
        "holders": 2,
        "connected": 1,
        "waiting": 0,
        "waiting_for": (),
    }
    return DocumentStatus(**{**base, **values})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("known", "sentence"),
    [
        (
            status(devices=1, holders=1, connected=0),
            "Saved on this device · nobody else is in this group yet",
        ),
        (status(), "Saved on this device · 2 of 3 devices have it"),
        (status(holders=3), "Saved · all 3 devices have it"),
        (status(holders=3, unpublished=True), "Saved on this device · 1 of 3 devices have it"),
        (
            status(connected=0, waiting=14, waiting_for=("Ana’s laptop",)),
            "Saved on this device · offline: 14 changes wait for Ana’s laptop",
        ),
        (
            status(connected=0, waiting=1, waiting_for=("Ana’s laptop", "Ben’s phone")),
            "Saved on this device · offline: 1 change waits for Ana’s laptop and Ben’s phone",
        ),
        (
            status(connected=0, holders=1, waiting=0, unpublished=True),
            "Saved on this device · offline: 1 of 3 devices have it",
        ),
        (None, "Opening …"),
    ],
)
def test_sentences(known: DocumentStatus | None, sentence: str) -> None:
    assert page_state(known).sentence == sentence


def test_what_is_not_durable_is_never_called_saved() -> None:
    assert "Saved" not in page_state(status(holders=3), saving=True).sentence
    failed = page_state(status(holders=3), trouble="The disk is full.")
    assert failed.sentence == "Not saved: The disk is full."
    assert failed.tone is Tone.BAD


def test_names() -> None:
    assert names(()) == ""
    assert names(("A", "", "B", "C")) == "A and 2 others"
