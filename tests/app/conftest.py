"""What tests of the desktop share: Qt without a display, real nodes in temporary profiles."""

from __future__ import annotations

import os

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

pytest.importorskip("PySide6.QtWidgets", reason="the desktop extra is not installed")

from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtWidgets import QAbstractButton, QApplication, QLabel, QWidget
from pytestqt.qtbot import QtBot

from app.editing import Editor
from lutra.node.options import NodeOptions
from lutra_app.main import Desktop
from lutra_app.theme.theme import Theme

WAIT_MS = 20_000

Result = TypeVar("Result")
MakeDesktop = Callable[..., Desktop]


@pytest.fixture(scope="session")
def theme(qapp: QApplication) -> Theme:
    return Theme(qapp, choice="light", motion=False)


@pytest.fixture
def editor(theme: Theme) -> Iterator[Editor]:
    made = Editor(theme)
    yield made
    made.close()


@pytest.fixture
def make_desktop(qapp: QApplication, qtbot: QtBot, tmp_path: Path) -> Iterator[MakeDesktop]:
    """Return a function that starts a desktop on the profile `name`."""
    made: list[Desktop] = []

    def make(name: str, *, discovery: bool = False) -> Desktop:
        options = NodeOptions(listen_host="127.0.0.1", interface="127.0.0.1", discovery=discovery)
        desktop = Desktop(tmp_path / name, options, application=qapp)
        desktop.theme.motion = False
        made.append(desktop)
        desktop.show()
        return desktop

    yield make
    for desktop in made:
        desktop.close()
        # Qt restyles every window there is, also those that only wait to be collected.
        desktop.window.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)


def write_in(desktop: Desktop, qtbot: QtBot, name: str) -> None:
    """Go through onboarding until the page can be written."""
    window = desktop.window
    qtbot.waitUntil(lambda: window.onboarding is not None, timeout=WAIT_MS)
    screen = window.onboarding
    assert screen is not None
    qtbot.keyClicks(screen.field, name)
    screen.go.click()
    qtbot.waitUntil(lambda: window.workspace.session is not None, timeout=WAIT_MS)


def listed(desktop: Desktop, document: bytes) -> bool:
    return any(page.id == document for page in desktop.window.sidebar.pages())


def ask(desktop: Desktop, qtbot: QtBot, verb: Callable[..., Awaitable[Result]]) -> Result:
    """Ask a desktop's node for something and wait for the answer."""
    answers: list[Result] = []
    desktop.bridge.ask(verb, answers.append, pytest.fail)
    qtbot.waitUntil(lambda: bool(answers), timeout=WAIT_MS)
    return answers[0]


def press(widget: QWidget, text: str) -> None:
    """Press the visible button that says `text`, as a person would find it."""
    found = [
        one
        for one in widget.findChildren(QAbstractButton)
        if one.isVisible() and (one.text() == text or one.accessibleName() == text)
    ]
    assert found, f"no button says “{text}”"
    assert found[0].isEnabled(), f"“{text}” cannot be pressed"
    found[0].click()


def says(widget: QWidget) -> str:
    """Return everything a person can read on a widget now."""
    labels = [one.text() for one in widget.findChildren(QLabel) if one.isVisible()]
    return "\n".join(labels).replace("\u200b", "")


def buttons(widget: QWidget) -> list[str]:
    """Return what the visible buttons of a widget say."""
    return [one.text() for one in widget.findChildren(QAbstractButton) if one.isVisible()]
