"""The local control socket: other processes of the same person talk to a running node.

The command line and a second start of the desktop connect here instead of opening the database,
which one process owns. One JSON object a line, both ways:

    → {"id": 1, "verb": "create_group", "arguments": {"name": "Choir"}}
    ← {"id": 1, "result": {...}}             or {"id": 1, "error": {"error": code, "message": …}}
    → {"id": 2, "verb": "watch"}
    ← {"id": 2, "event": {...}}              until the connection ends

The socket lies in the profile directory with mode 0600. Where there are no Unix sockets (Windows)
it is a TCP port on the loopback interface, and the first line must be the token of the 0600 file
`socket.json` beside it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from lutra.crypto.hashing import equal_constant_time
from lutra.crypto.random import Random, system_random
from lutra.errors import BugError, EnvironmentalError, LutraError, RemoteError, UsageError

ENDPOINT_NAME = "socket.json"
MAX_LINE = 32 * 1024 * 1024
"""Longest request and reply, bytes: a page's whole text fits."""
MAX_CONNECTIONS = 32


class Handler(Protocol):
    """Serves one connection; results and events are plain JSON values."""

    async def perform(self, verb: str, arguments: Mapping[str, object]) -> object:
        """Carry out one verb; raises LutraError."""
        ...

    def watch(self) -> AsyncIterator[object]:
        """Return the node's events from this moment on."""
        ...

    async def close(self) -> None:
        """Give up what the connection held: it has ended."""
        ...


class ControlProtocolError(RemoteError):
    """A line on the control socket is not what the protocol asks for."""

    code = "control.protocol"


class SocketError(EnvironmentalError):
    """The control socket could not be opened."""

    code = "control.socket"


@dataclass(frozen=True, slots=True)
class Request:
    """One line from a client: its number, the verb, the verb's arguments."""

    number: int
    verb: str
    arguments: Mapping[str, object]


def decode_request(line: bytes) -> Request:
    """Read one request line.

    Raises:
        ControlProtocolError: the line is no JSON object with `id` and `verb`.
    """
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        raise ControlProtocolError("A request on the control socket is not JSON.") from None
    if not isinstance(value, dict):
        raise ControlProtocolError("A request on the control socket is not a JSON object.")
    fields = cast("dict[str, object]", value)
    number, verb, arguments = fields.get("id"), fields.get("verb"), fields.get("arguments", {})
    if not isinstance(number, int) or not isinstance(verb, str) or not isinstance(arguments, dict):
        raise ControlProtocolError("A request on the control socket lacks its id or verb.")
    return Request(number, verb, cast("dict[str, object]", arguments))


def encode_line(value: Mapping[str, object]) -> bytes:
    """Write one JSON object as a line."""
    text = json.dumps(value, separators=(",", ":"), default=_plain)
    return text.encode() + b"\n"


def _plain(value: object) -> str:
    """Show what JSON has no form for: an error's details may hold ids or paths."""
    return value.hex() if isinstance(value, bytes) else str(value)


class ControlServer:
    """Serves a node's verbs and events on the profile's control socket.

    Lives on one asyncio loop. `raise_window` is called when another start of the desktop asks the
    running one to come to the front; without a window the verb `raise` says so.
    """

    def __init__(
        self,
        path: Path,
        *,
        handler: Callable[[], Handler],
        raise_window: Callable[[], None] | None = None,
        random: Random = system_random,
    ) -> None:
        self._path = path
        self._endpoint = path.with_name(ENDPOINT_NAME)
        self._handler = handler
        self._raise_window = raise_window
        self._random = random
        self._server: asyncio.Server | None = None
        self._token: bytes | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Open the socket. The caller owns the profile, so a left-over socket is removed.

        Raises:
            SocketError: the operating system refused.
        """
        try:
            self._remove_files()
            if hasattr(socket, "AF_UNIX"):
                self._server = await asyncio.start_unix_server(
                    self._accept, self._path, limit=MAX_LINE, start_serving=False
                )
                self._path.chmod(0o600)
                await self._server.start_serving()
            else:
                self._server = await asyncio.start_server(
                    self._accept, "127.0.0.1", 0, limit=MAX_LINE
                )
                self._publish_port(self._server.sockets[0].getsockname()[1])
        except OSError as error:
            raise SocketError(
                "The local control socket could not be opened.", reason=str(error)
            ) from error

    async def close(self) -> None:
        """Stop listening and end all connections."""
        if self._server is not None:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None
        self._remove_files()

    def _remove_files(self) -> None:
        self._path.unlink(missing_ok=True)
        self._endpoint.unlink(missing_ok=True)

    def _publish_port(self, port: int) -> None:
        token = self._random(32).hex()
        self._token = token.encode()
        descriptor = os.open(self._endpoint, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            json.dump({"port": port, "token": token}, file)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._connections) >= MAX_CONNECTIONS:
            writer.close()
            return
        self._connections.add(task)
        try:
            await _Connection(self, self._handler(), reader, writer).serve()
        except (ConnectionError, asyncio.CancelledError):
            # The client has gone, or the server is closing: nothing is owed to anyone.
            pass
        finally:
            self._connections.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def admits(self, line: bytes) -> bool:
        """Return whether a connection's first line is the token of the endpoint file."""
        return self._token is not None and equal_constant_time(line.strip(), self._token)

    @property
    def needs_token(self) -> bool:
        """Whether the first line must be a token (no file permissions guard a TCP port)."""
        return self._token is not None

    def raise_window(self) -> None:
        """Bring the window to the front.

        Raises:
            UsageError: there is none.
        """
        if self._raise_window is None:
            raise UsageError("Lutra runs on this profile without a window.")
        self._raise_window()


class _Connection:
    """One client: requests are answered in order, events are written between them."""

    def __init__(
        self,
        server: ControlServer,
        handler: Handler,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._server = server
        self._handler = handler
        self._reader = reader
        self._writer = writer
        self._watches: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Answer until the client has gone or breaks the protocol."""
        try:
            if self._server.needs_token and not self._server.admits(await self._line()):
                return
            while line := await self._line():
                request = decode_request(line)
                if request.verb == "watch":
                    await self._start_watch(request)
                else:
                    await self._write(await self._answer(request))
        except ControlProtocolError as error:
            await self._write({"id": None, "error": error.to_dict()})
        finally:
            for task in self._watches:
                task.cancel()
            await asyncio.gather(*self._watches, return_exceptions=True)
            await self._handler.close()

    async def _line(self) -> bytes:
        try:
            return await self._reader.readline()
        except ValueError:
            raise ControlProtocolError(
                "A request on the control socket is too long.", limit=MAX_LINE
            ) from None

    async def _answer(self, request: Request) -> dict[str, object]:
        try:
            return {"id": request.number, "result": await self._carry_out(request)}
        except LutraError as error:
            return {"id": request.number, "error": error.to_dict()}
        except Exception as error:  # noqa: BLE001 - a broken verb must not end the node
            bug = BugError(f"Lutra failed in {request.verb!r} ({type(error).__name__}).")
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"control verb {request.verb!r} failed", "exception": error}
            )
            return {"id": request.number, "error": bug.to_dict()}

    async def _carry_out(self, request: Request) -> object:
        if request.verb == "ping":
            return {"alive": True}
        if request.verb == "raise":
            self._server.raise_window()
            return {"raised": True}
        return await self._handler.perform(request.verb, request.arguments)

    async def _start_watch(self, request: Request) -> None:
        if self._watches:
            raise ControlProtocolError("This connection watches already.")
        events = self._handler.watch()
        await self._write({"id": request.number, "result": {"watching": True}})
        self._watches.add(asyncio.create_task(self._forward(request.number, events)))

    async def _forward(self, number: int, events: AsyncIterator[object]) -> None:
        try:
            async for event in events:
                await self._write({"id": number, "event": event})
        except ConnectionError:
            return
        self._writer.close()

    async def _write(self, value: Mapping[str, object]) -> None:
        self._writer.write(encode_line(value))
        await self._writer.drain()
