"""A display that cannot be used ends the program with a sentence instead of an abort.

Qt can only be asked whether it can show windows by having it try, and where it cannot, it calls
abort() itself. Trying in another process first would make every start wait for a second Qt. So
what Qt says while it starts is held back: its last words, which it says before it aborts, are
answered with a sentence and exit status 1.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager

from PySide6.QtCore import QMessageLogContext, QtMsgType, qFormatLogMessage, qInstallMessageHandler

_UNREACHABLE = ("could not connect to display", "Failed to create wl_display")
_FAILED = 1


@contextmanager
def explained() -> Generator[None]:
    """Start Qt inside; if it cannot show windows, the program ends here with a sentence."""
    said: list[str] = []

    def take(kind: QtMsgType, context: QMessageLogContext, message: str) -> None:
        if kind is QtMsgType.QtFatalMsg:
            _end(no_window(said, os.environ))
        said.append(qFormatLogMessage(kind, context, message))

    before = qInstallMessageHandler(take)
    try:
        yield
    finally:
        qInstallMessageHandler(before)
    for message in said:
        sys.stderr.write(f"{message}\n")


def no_window(said: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return why no window can be opened and what to do, in one sentence.

    Args:
        said: Qt's messages before it gave up.
        environment: what names the display.
    """
    if any(sign in message for message in said for sign in _UNREACHABLE):
        name = environment.get("WAYLAND_DISPLAY") or environment.get("DISPLAY", "")
        return (
            f"No window can be opened on this display (“{name}”), because it cannot be reached: "
            "start Lutra on the computer's own screen or connect anew with `ssh -X`; all other "
            "commands of `lutra` work without a window."
        )
    if platform := environment.get("QT_QPA_PLATFORM"):
        return (
            f"No window can be opened on this display, because QT_QPA_PLATFORM is “{platform}” and "
            "Qt has nothing of that name that works here: unset it and start Lutra again."
        )
    return (
        "No window can be opened on this display, because a library of the system that Qt needs is "
        "missing, most often libxcb-cursor0 (on Debian and Ubuntu: `apt install libxcb-cursor0`): "
        "install it and start Lutra again."
    )


def _end(sentence: str) -> None:
    sys.stdout.flush()
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()
    # Nothing can be raised through Qt, which would abort next; nothing is open yet.
    os._exit(_FAILED)
