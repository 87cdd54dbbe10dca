"""Starts the desktop: one Qt application, one node, one window."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer
from PySide6.QtGui import QGuiApplication, QIcon
from PySide6.QtWidgets import QApplication
from qasync import QEventLoop

from lutra_app import i18n
from lutra_app.bridge import Bridge
from lutra_app.collector import spare_the_window
from lutra_app.display import explained
from lutra_app.resources import resource
from lutra_app.shell.memory import Memory
from lutra_app.shell.window import MainWindow
from lutra_app.theme.theme import Theme

if TYPE_CHECKING:
    from lutra.node.options import NodeOptions

_SIGNAL_CHECK_MS = 200


class Desktop:
    """Application, theme, node and window of one profile.

    Args:
        directory: the profile; created by onboarding if there is none.
        options: how the node behaves in this run.
        application: an existing Qt application, else one is made.
    """

    def __init__(
        self,
        directory: Path,
        options: NodeOptions | None = None,
        *,
        application: QApplication | None = None,
    ) -> None:
        self.application = application or make_application()
        memory = Memory(directory)
        self.theme = Theme(self.application, choice=memory.theme, motion=memory.motion)
        self.bridge = Bridge(directory, options)
        # The node opens while the window is being built.
        self.bridge.start()
        self.window = MainWindow(self.bridge, self.theme, directory)
        spare_the_window(self.window)

    def show(self) -> None:
        """Show the window."""
        self.window.show()

    def raise_window(self) -> None:
        """Bring the window to the front."""
        self.window.raise_window()

    def close(self) -> None:
        """Close the window, then the node; everything is stored when this returns."""
        self.window.close()
        self.bridge.close()


def make_application() -> QApplication:
    """Return the Qt application with its name, icon and language."""
    QGuiApplication.setDesktopFileName("lutra")
    with explained():
        application = QApplication(sys.argv[:1])
    application.setApplicationName("lutra")
    application.setApplicationDisplayName("Lutra")
    application.setWindowIcon(QIcon(str(resource("icons/lutra.svg"))))
    i18n.install(application, resource("translations"))
    return application


def run(
    profile_dir: Path,
    options: NodeOptions | None = None,
    *,
    started: Callable[[Desktop], None] | None = None,
) -> int:
    """Show the window on a profile until it is closed.

    Args:
        profile_dir: the profile's folder.
        options: how the node behaves in this run.
        started: called once the window is shown, for example by a demonstration.

    Returns:
        The exit status.
    """
    desktop = Desktop(profile_dir, options)
    desktop.show()
    with _interruptible(desktop.application):
        if started is not None:
            started(desktop)
        # Qt's loop is asyncio's as well, for whatever a window may want to await.
        loop = QEventLoop(desktop.application)
        asyncio.set_event_loop(loop)
        try:
            status = loop.run_forever()
        finally:
            asyncio.set_event_loop(None)
            loop.close()
    desktop.close()
    return status


@contextmanager
def _interruptible(application: QApplication) -> Generator[None]:
    """Let Ctrl+C and a plain kill end the program in good order."""
    timer = QTimer()
    # Python only sees signals while it runs; this gives it the chance.
    timer.timeout.connect(lambda: None)
    timer.start(_SIGNAL_CHECK_MS)
    before = {
        number: signal.signal(number, lambda *_: application.quit())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        timer.stop()
        for number, handler in before.items():
            signal.signal(number, handler)


def main(profile: Path) -> int:
    """Run the desktop on `profile`; the command line's entry."""
    return run(profile)
