"""Checking signatures of operations that come next, while the present ones are applied.

Applying holds Python's global lock, so threads would wait for each other: a process of its own
does it (`lutra.node.verify_process`). It is started when much arrives and ends by itself. Whatever
goes wrong with it costs time only, since the signatures are checked here then.
"""

from __future__ import annotations

import contextlib
import os
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

_WORTH_SHARING = 32
_WORTH_STARTING = 1024
_PATIENCE_SECONDS = 1.0
_SHARE_STEP = 0.02
_LEAST_SHARE = 0.5
_NO_WINDOW = 0x08000000
"""Windows: the process gets no console window."""


@dataclass(frozen=True, slots=True)
class _Request:
    places: dict[bytes, int]
    answer: Future[bytes]


def verifying_command() -> tuple[str, ...] | None:
    """Return how the process is started here; None where that is impossible or would not help."""
    if getattr(sys, "frozen", False) or not sys.executable or (os.cpu_count() or 1) < 2:
        return None
    return (sys.executable, "-I", "-m", "lutra.node.verify_process")


class VerifyingAhead:
    """Keeps the process and what it was asked.

    Args:
        command: starts the process; see `verifying_command`.
    """

    def __init__(self, command: Sequence[str] | None) -> None:
        self._command = command
        self._thread: ThreadPoolExecutor | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._is_warm = False
        self._requests: deque[_Request] = deque(maxlen=2)
        self._seen = 0
        self._share = 1.0

    def expect(self, headers: Sequence[bytes]) -> None:
        """Begin to check the signatures of operations that will be taken in soon.

        The process gets as many of them as it has lately been able to check in the meantime.
        """
        if self._command is None or len(headers) < _WORTH_SHARING:
            return
        self._seen += len(headers)
        if self._seen < _WORTH_STARTING:
            return
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "lutra-verify-ahead")
        shared = tuple(headers[: round(len(headers) * self._share)])
        places = {header: place for place, header in enumerate(shared)}
        answer = self._thread.submit(self._ask, self._command, shared)
        self._requests.append(_Request(places, answer))

    def answers(self, headers: Sequence[bytes]) -> dict[bytes, bool]:
        """Return what is known of some of these headers: whether the signature fits.

        It waits for answers that are under way, but not for a process that is just starting.
        """
        known: dict[bytes, bool] = {}
        for request in tuple(self._requests):
            asked = [header for header in headers if header in request.places]
            if not asked:
                continue
            self._requests.remove(request)
            in_time = request.answer.done()
            if not self._is_warm and not in_time:
                continue
            step = _SHARE_STEP if in_time else -_SHARE_STEP
            self._share = min(1.0, max(_LEAST_SHARE, self._share + step))
            try:
                fits = request.answer.result(_PATIENCE_SECONDS)
            except (OSError, TimeoutError):
                self.close()
                break
            known.update((header, fits[request.places[header]] == 1) for header in asked)
        return known

    def close(self) -> None:
        """End the process and wait for its end; `expect` starts another one if it is used again."""
        self._requests.clear()
        self._seen = 0
        if self._process is not None:
            self._process.kill()
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)
            self._thread = None
        self._end()

    # On the thread

    def _ask(self, command: Sequence[str], headers: tuple[bytes, ...]) -> bytes:
        if self._process is not None and self._process.poll() is not None:
            self._end()  # it had nothing to do for long
        if self._process is None:
            self._process = _start(command)
        requests, answers = self._process.stdin, self._process.stdout
        assert requests is not None
        assert answers is not None
        sizes = struct.pack(f"<{1 + len(headers)}I", len(headers), *map(len, headers))
        requests.write(b"".join((sizes, *headers)))
        requests.flush()
        fits = answers.read(len(headers))
        if len(fits) != len(headers):
            raise BrokenPipeError
        self._is_warm = True
        return fits

    def _end(self) -> None:
        process, self._process = self._process, None
        self._is_warm = False
        if process is None:
            return
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        process.wait()


def _start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        creationflags=_NO_WINDOW if sys.platform == "win32" else 0,
    )
