"""The client of a running node's control socket (see `lutra.node.control`).

Plain blocking sockets and nothing of the library imported: a command that only asks the running
node starts in a moment.
"""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from lutra.errors import EnvironmentalError, LutraError

Result = TypeVar("Result")
_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 10.0
_CHUNK = 1 << 16


class NodeError(LutraError):
    """The running node answered with an error; `to_dict` gives it, code included, as it came."""

    def __init__(self, values: Mapping[str, object]) -> None:
        super().__init__(str(values.get("message", "The running node reported an error.")))
        self.values = dict(values)

    def to_dict(self) -> dict[str, object]:
        """Return what the node sent."""
        return self.values


class NodeGoneError(EnvironmentalError):
    """The running node closed the connection before it answered."""

    code = "control.gone"


class NodeSilentError(EnvironmentalError):
    """A node runs on the profile and does not answer; it is suspended, for example."""

    code = "control.silent"


class ControlClient:
    """One connection to a running node."""

    lasts = True
    """The node goes on when this session ends."""
    has_person = True

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = bytearray()
        self._number = 0

    @classmethod
    def connect(cls, profile: Path) -> ControlClient | None:
        """Connect to the node running on a profile; None if there is none.

        Raises:
            NodeSilentError: there is one, but it does not answer.
        """
        client = cls._open(profile)
        return client if client is not None and client._is_served() else None

    @classmethod
    def _open(cls, profile: Path) -> ControlClient | None:
        endpoint = profile / "socket.json"
        if endpoint.is_file():
            return cls._connect_port(endpoint)
        if not hasattr(socket, "AF_UNIX"):
            return None
        path = profile / "socket"
        if not path.exists():
            path = _distant_socket(profile)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(_CONNECT_SECONDS)
        try:
            connection.connect(str(path))
        except OSError:
            connection.close()
            return None
        return cls(connection)

    @classmethod
    def _connect_port(cls, endpoint: Path) -> ControlClient | None:
        try:
            values = cast("dict[str, Any]", json.loads(endpoint.read_text("ascii")))
            address = ("127.0.0.1", int(values["port"]))
            connection = socket.create_connection(address, timeout=_CONNECT_SECONDS)
            connection.sendall(str(values["token"]).encode() + b"\n")
        except (OSError, ValueError, KeyError):
            return None
        return cls(connection)

    def _is_served(self) -> bool:
        """Ask for a sign of life: the system takes connections for a suspended process, too."""
        self._connection.settimeout(_ANSWER_SECONDS)
        try:
            self.call("ping")
        except NodeGoneError:
            # It is just ending, or serves as many as it can.
            self.close()
            return False
        except BaseException:
            self.close()
            raise
        self._connection.settimeout(None)
        return True

    def call(self, verb: str, **arguments: object) -> Any:
        """Carry out one verb and return its result; arguments that are None are left out.

        Raises:
            NodeError: the node refused or failed.
            NodeGoneError: the node went away.
        """
        number = self._send(verb, arguments)
        while True:
            reply = self._receive()
            if reply.get("id") in (number, None) and "event" not in reply:
                return _result_of(reply)

    def meanwhile(self, function: Callable[[], Result]) -> Result:
        """Call a function that may take long, for example to ask the person."""
        return function()

    def watch(self) -> Iterator[dict[str, Any]]:
        """Return the node's events from this moment until it goes away.

        Use a connection of its own for it: calls on the same one would swallow events.

        Raises:
            NodeError: the node refused.
        """
        self.call("watch")
        return self._events()

    def _events(self) -> Iterator[dict[str, Any]]:
        while True:
            try:
                reply = self._receive()
            except NodeGoneError:
                return
            if "event" in reply:
                yield reply["event"]

    def close(self) -> None:
        """End the connection; a call that waits in another thread then fails."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def _send(self, verb: str, arguments: Mapping[str, object]) -> int:
        self._number += 1
        given = {name: value for name, value in arguments.items() if value is not None}
        request = {"id": self._number, "verb": verb, "arguments": given}
        try:
            self._connection.sendall(json.dumps(request).encode() + b"\n")
        except OSError:
            raise NodeGoneError("The running Lutra has gone away.") from None
        return self._number

    def _receive(self) -> dict[str, Any]:
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            try:
                data = self._connection.recv(_CHUNK)
            except TimeoutError:
                raise NodeSilentError(
                    "The Lutra that runs on this profile does not answer. It may be suspended: "
                    "let it go on or end it, then try again."
                ) from None
            except OSError:
                data = b""
            if not data:
                raise NodeGoneError("The running Lutra has gone away.")
            self._buffer += data
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return cast("dict[str, Any]", json.loads(line))


def _result_of(reply: Mapping[str, Any]) -> Any:
    if "error" in reply:
        raise NodeError(reply["error"])
    return reply["result"]


def _distant_socket(profile: Path) -> Path:
    """Return the socket of a profile whose path is too long to hold it."""
    from lutra.store.profile import Profile

    if not Profile.exists(profile):
        return profile / "socket"
    return Profile.open(profile).socket
