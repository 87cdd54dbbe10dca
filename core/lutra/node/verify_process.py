"""The process that checks signatures ahead: ``python -m lutra.node.verify_process``.

It reads how many headers follow, how long each is (32 bits, little-endian) and the headers, and
answers with a byte for each: 1 where the signature fits. It ends when its input does, or by itself
when nothing was asked for a while. See `lutra.node.verifying_ahead`.
"""

from __future__ import annotations

import os
import signal
import struct
import sys
import threading
import time
from typing import BinaryIO, Protocol

from lutra.crypto.signing import is_signature
from lutra.operation import header_claim

IDLE_SECONDS = 20.0
_NUMBER = struct.Struct("<I")


class Requests(Protocol):
    """Where requests come from."""

    def read(self, size: int, /) -> bytes:
        """Return that many bytes, fewer at the end only."""
        ...


def serve(requests: Requests, answers: BinaryIO) -> None:
    """Answer until the requests end."""
    while len(count := requests.read(_NUMBER.size)) == _NUMBER.size:
        (number,) = _NUMBER.unpack(count)
        sizes = struct.unpack(f"<{number}I", requests.read(number * _NUMBER.size))
        headers = requests.read(sum(sizes))
        fits, at = bytearray(), 0
        for size in sizes:
            claim = header_claim(headers[at : at + size])
            at += size
            fits.append(claim is not None and is_signature(*claim))
        answers.write(fits)
        answers.flush()


class _Idle:
    """Requests that end the process when none comes for too long."""

    def __init__(self, requests: BinaryIO) -> None:
        self._requests = requests
        self._read_at = time.monotonic()
        threading.Thread(target=self._watch, daemon=True).start()

    def read(self, size: int, /) -> bytes:
        """Read as from the requests."""
        data = self._requests.read(size)
        self._read_at = time.monotonic()
        return data

    def _watch(self) -> None:
        while (left := self._read_at + IDLE_SECONDS - time.monotonic()) > 0:
            time.sleep(left)
        os._exit(0)


def main() -> None:
    """Serve standard input."""
    # Ctrl-C is for the node, which then ends this process by closing its input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(_Idle(sys.stdin.buffer), sys.stdout.buffer)


if __name__ == "__main__":
    main()
