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
        self._is_left = False
        self._over = threading.Event()
        threading.Thread(target=self._run, name=_READER, daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Wait for the answer, for so long at most; returns whether there is one."""
        return self._over.wait(seconds)

    def answer(self) -> bool:
        """Return the answer, once `wait` has said that there is one.

        Raises:
            click.Abort: standard input has ended.
            OSError: standard input cannot be read, or nothing can be asked on stderr.
        """
        if self._error is not None:
            raise self._error
        return bool(self._answer)

    def leave(self) -> None:
        """Ask no more: what is said next begins a line of its own."""
        self._is_left = True
        click.echo(err=True)

    def _run(self) -> None:
        try:
            self._ask()
        except (click.Abort, OSError) as error:
            self._error = error
        finally:
            self._over.set()

    def _ask(self) -> None:
        _forget_what_was_typed()
        # Not `click.confirm`: while that waits, everything that is printed goes to stderr.
        while self._answer is None:
            click.echo(f"{self._text} [y/N]: ", nl=False, err=True)
            line = _line()
            if self._is_left:
                return
            if not line:
                raise click.Abort
            self._answer = _ANSWERS.get(line.strip().lower())
            if self._answer is None:
                click.echo("Please answer y or n.", err=True)


def _line() -> str:
    """Return the next line of standard input; nothing at its end."""
    if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison]
        return ""
    try:
        return sys.stdin.readline()
    except UnicodeDecodeError:
        return "\N{REPLACEMENT CHARACTER}"  # no answer, but no end either


def _forget_what_was_typed() -> None:
    """Drop what was typed at a terminal before there was a question; it answers another one."""
    if sys.stdin is None or not sys.stdin.isatty():  # pyright: ignore[reportUnnecessaryComparison]
        return
    if sys.platform == "win32":
        import msvcrt

        while msvcrt.kbhit():
            msvcrt.getwch()
    else:
        import termios

        with contextlib.suppress(termios.error):
            termios.tcflush(sys.stdin, termios.TCIFLUSH)


def end_process(status: int) -> NoReturn:
    """End the process, also where a question was left that nobody has answered.

    Its thread holds standard input then, which the interpreter would close when it ends, and for
    which it would abort the process.
    """
    if any(thread.name == _READER for thread in threading.enumerate()):
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                if stream is not None:  # pyright: ignore[reportUnnecessaryComparison]
                    stream.flush()
        os._exit(status)
    sys.exit(status)
