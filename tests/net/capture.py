"""Recording what crosses a network interface, to search it for what must not be there.

Run as a program (``python capture.py INTERFACE FILE``), it writes every Ethernet frame, behind its
length in four bytes, until it is terminated; it says ``ready`` when it listens. Needs root.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_ETH_P_ALL = 3
_IPV4 = 0x0800
_UDP = 17
_TCP = 6


@dataclass
class Capture:
    """A recording under way or finished.

    Attributes:
        path: the file it goes to.
    """

    path: Path
    _final: list[bytes] | None = None

    def frames(self) -> list[bytes]:
        """Return the Ethernet frames recorded so far."""
        if self._final is not None:
            return self._final
        data, found, position = self.path.read_bytes(), [], 0
        while position + 4 <= len(data):
            (length,) = struct.unpack_from("!I", data, position)
            if position + 4 + length > len(data):
                break
            found.append(data[position + 4 : position + 4 + length])
            position += 4 + length
        return found

    def udp(self, port: int) -> list[bytes]:
        """Return the payloads of UDP datagrams from or to ``port`` (IPv4)."""
        return [
            packet[8:]
            for protocol, packet in map(_ipv4_packet, self.frames())
            if protocol == _UDP and port in struct.unpack_from("!HH", packet)
        ]

    def tcp_bytes(self) -> int:
        """Return how many bytes of TCP payload were seen (IPv4), repetitions included."""
        return sum(
            len(packet) - (packet[12] >> 4) * 4
            for protocol, packet in map(_ipv4_packet, self.frames())
            if protocol == _TCP
        )

    def contains(self, needle: bytes) -> bool:
        """Tell whether ``needle`` occurs in any frame or any TCP stream (IPv4)."""
        streams: dict[bytes, bytearray] = {}
        for frame in self.frames():
            if needle in frame:
                return True
            protocol, packet = _ipv4_packet(frame)
            if protocol == _TCP:
                ends = frame[26:34] + packet[:4]
                streams.setdefault(ends, bytearray()).extend(packet[(packet[12] >> 4) * 4 :])
        return any(needle in stream for stream in streams.values())

    def finish(self) -> None:
        """Keep what was recorded in memory, before the file goes."""
        self._final = self.frames()


def _ipv4_packet(frame: bytes) -> tuple[int, bytes]:
    """Return protocol and payload of an Ethernet frame's IPv4 packet, or (0, b"")."""
    if len(frame) < 34 or struct.unpack_from("!H", frame, 12)[0] != _IPV4:
        return 0, b""
    header = (frame[14] & 15) * 4
    total = struct.unpack_from("!H", frame, 16)[0]
    return frame[23], frame[14 + header : 14 + total]


@contextlib.contextmanager
def start_capture(prefix: Sequence[str], interface: str) -> Iterator[Capture]:
    """Record ``interface`` while the block runs; ``prefix`` is put before the command."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frames"
        path.touch()
        process = subprocess.Popen(
            [*prefix, sys.executable, __file__, interface, str(path)], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        capture = Capture(path)
        try:
            assert process.stdout.readline() == b"ready\n"
            yield capture
            time.sleep(0.1)  # the kernel hands frames over a moment after they passed
        finally:
            process.terminate()
            process.wait()
            process.stdout.close()
            capture.finish()


def _record(interface: str, path: str) -> None:
    with (
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL)) as tap,
        open(path, "ab", buffering=0) as file,
    ):
        tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024 * 1024)
        tap.bind((interface, 0))
        print("ready", flush=True)
        while True:
            frame = tap.recv(65536)
            file.write(struct.pack("!I", len(frame)) + frame)


if __name__ == "__main__":
    _record(sys.argv[1], sys.argv[2])
