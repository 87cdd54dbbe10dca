"""A yes-or-no question that can be left before it is answered."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from typing import NoReturn

import click

from lutra.cli.text import harmless

_READER = "lutra-question"
_ANSWERS = {"y": True, "yes": True, "n": False, "no": False, "": False}


class Question:
    """Asks the person on a thread of its own; what is not answered is just not waited for any more.

    Args:
        text: the question; it may hold names that come from other people.
    """

    def __init__(self, text: str) -> None:
        self._text = harmless(text)
        self._answer: bool | None = None
        self._error: Exception | None = None
        self._over = threading.Event()
        threading.Thread(target=self._run, name=_READER, daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Wait for the answer, for so long at most; returns whether there is one."""
        return self._over.wait(seconds)

    def answer(self) -> bool:
        """Return the answer, once `wait` has said that there is one.

        Raises:
            click.Abort: standard input has ended.
            UnicodeDecodeError: what was typed is not text.
        """
        if self._error is not None:
            raise self._error
        return bool(self._answer)

    def leave(self) -> None:
        """Ask no more: what is said next begins a line of its own."""
        click.echo(err=True)

    def _run(self) -> None:
        try:
            self._ask()
        except (click.Abort, UnicodeDecodeError, OSError) as error:
            self._error = error
        finally:
            self._over.set()

    def _ask(self) -> None:
        # Not `click.confirm`: while that waits, everything that is printed goes to stderr.
        while self._answer is None:
            click.echo(f"{self._text} [y/N]: ", nl=False, err=True)
            line = sys.stdin.readline() if sys.stdin is not None else ""  # pyright: ignore[reportUnnecessaryComparison]
            if not line:
                raise click.Abort
            self._answer = _ANSWERS.get(line.strip().lower())
            if self._answer is None:
                click.echo("Please answer y or n.", err=True)


def end_process(status: int) -> NoReturn:
    """End the process, also where a question was left that nobody has answered.

    Its thread holds standard input then, which the interpreter would close when it ends, and for
    which it would abort the process.
    """
    if any(thread.name == _READER for thread in threading.enumerate()):
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(status)
    sys.exit(status)
