"""The control socket: requests, errors, events, bounds, and who may connect."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from lutra.cli.client import ControlClient, NodeError, NodeSilentError
from lutra.errors import NotFoundError
from lutra.node import control
from lutra.node.control import ControlServer


@pytest.fixture
def directory() -> Any:
    with TemporaryDirectory(prefix="lutra-") as short:  # socket paths must be short
        yield Path(short)


class Service:
    """The node's side: answers verbs and holds the events to send."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[object] = asyncio.Queue()
        self.watchers = 0
        self.closed = asyncio.Event()

    async def perform(self, verb: str, arguments: Mapping[str, object]) -> object:
        if verb == "missing":
            raise NotFoundError("There is no such page.", page=b"\x01\x02")
        if verb == "broken":
            raise ZeroDivisionError
        return {"verb": verb, **arguments}

    async def watch(self) -> AsyncIterator[object]:
        self.watchers += 1
        try:
            while True:
                yield await self.events.get()
        finally:
            self.watchers -= 1

    async def close(self) -> None:
        self.closed.set()


@asynccontextmanager
async def serving(
    directory: Path, service: Service, **options: Any
) -> AsyncIterator[ControlServer]:
    server = ControlServer(directory / "socket", handler=lambda: service, **options)
    await server.start()
    try:
        yield server
    finally:
        await server.close()


async def connect(directory: Path) -> ControlClient:
    client = await asyncio.to_thread(ControlClient.connect, directory)
    assert client is not None
    return client


async def test_a_call_returns_the_result(directory: Path) -> None:
    async with serving(directory, Service()):
        client = await connect(directory)
        result = await asyncio.to_thread(client.call, "echo", text="grüß 🦦\n", none=None)
        assert result == {"verb": "echo", "text": "grüß 🦦\n"}
        assert await asyncio.to_thread(client.call, "again") == {"verb": "again"}
        client.close()


async def test_errors_travel_with_code_message_and_details(directory: Path) -> None:
    async with serving(directory, Service()):
        client = await connect(directory)
        with pytest.raises(NodeError, match=r"There is no such page\.") as caught:
            await asyncio.to_thread(client.call, "missing")
        assert caught.value.to_dict() == {
            "error": "not-found",
            "message": "There is no such page.",
            "page": "0102",
        }
        client.close()


async def test_a_broken_verb_is_reported_and_the_server_goes_on(directory: Path) -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    async with serving(directory, Service()):
        client = await connect(directory)
        with pytest.raises(NodeError) as caught:
            await asyncio.to_thread(client.call, "broken")
        assert caught.value.to_dict()["error"] == "bug"
        assert await asyncio.to_thread(client.call, "echo") == {"verb": "echo"}
        client.close()
    assert isinstance(reported[0]["exception"], ZeroDivisionError)


async def test_watch_streams_events_until_the_client_leaves(directory: Path) -> None:
    service = Service()
    async with serving(directory, service):
        client = await connect(directory)
        for number in range(3):
            service.events.put_nowait({"number": number})
        events = await asyncio.to_thread(client.watch)
        seen = [(await asyncio.to_thread(next, events))["number"] for _ in range(3)]
        assert seen == [0, 1, 2]
        assert service.watchers == 1
        client.close()
        await asyncio.wait_for(service.closed.wait(), 5)
        assert service.watchers == 0


async def test_a_watcher_sees_the_end_when_the_node_closes(directory: Path) -> None:
    service = Service()
    async with serving(directory, service):
        client = await connect(directory)
        service.events.put_nowait({"number": 1})
        events = await asyncio.to_thread(client.watch)
        assert await asyncio.to_thread(next, events) == {"number": 1}
    assert await asyncio.to_thread(lambda: list(events)) == []
    client.close()


async def test_raise_calls_the_window_or_says_there_is_none(directory: Path) -> None:
    raised: list[bool] = []
    async with serving(directory, Service(), raise_window=lambda: raised.append(True)):
        client = await connect(directory)
        await asyncio.to_thread(client.call, "raise")
        client.close()
    assert raised == [True]
    async with serving(directory, Service()):
        client = await connect(directory)
        with pytest.raises(NodeError, match="without a window"):
            await asyncio.to_thread(client.call, "raise")
        client.close()


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense\n",
        b"[]\n",
        b'{"id": "one", "verb": "echo"}\n',
        b'{"id": 1}\n',
        b'{"id": 1, "verb": "echo", "arguments": 7}\n',
        b"[" * 100_000 + b"\n",
        b"\xff\xfe\n",
    ],
)
async def test_a_malformed_request_ends_the_connection_with_a_reason(
    directory: Path, line: bytes
) -> None:
    async with serving(directory, Service()):
        reader, writer = await asyncio.open_unix_connection(directory / "socket")
        writer.write(line)
        reply = json.loads(await reader.readline())
        assert reply["error"]["error"] == "control.protocol"
        assert await reader.read() == b""
        writer.close()


async def test_an_endless_line_is_refused(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "MAX_LINE", 1 << 16)
    async with serving(directory, Service()):
        reader, writer = await asyncio.open_unix_connection(directory / "socket")
        writer.write(b"x" * (1 << 18))
        reply = json.loads(await reader.readline())
        assert "too long" in reply["error"]["message"]
        writer.close()


@pytest.mark.skipif(sys.platform == "win32", reason="file modes of Unix")
async def test_the_socket_is_private_and_goes_away(directory: Path) -> None:
    async with serving(directory, Service()):
        assert stat.S_IMODE((directory / "socket").stat().st_mode) == 0o600
    assert os.listdir(directory) == []
    assert ControlClient.connect(directory) is None


async def test_a_node_that_does_not_answer_is_not_waited_for(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lutra.cli.client._ANSWER_SECONDS", 0.2)
    silent = socket.socket(socket.AF_UNIX)
    silent.bind(str(directory / "socket"))
    silent.listen()
    with pytest.raises(NodeSilentError, match="does not answer"):
        await connect(directory)
    silent.close()


async def test_a_node_that_is_just_ending_counts_as_none(directory: Path) -> None:
    ending = socket.socket(socket.AF_UNIX)
    ending.bind(str(directory / "socket"))
    ending.listen()

    def hang_up() -> None:
        ending.accept()[0].close()

    gone = asyncio.create_task(asyncio.to_thread(hang_up))
    assert await asyncio.to_thread(ControlClient.connect, directory) is None
    await gone
    ending.close()


async def test_a_socket_left_over_by_a_crash_is_replaced(directory: Path) -> None:
    left_over = socket.socket(socket.AF_UNIX)
    left_over.bind(str(directory / "socket"))
    left_over.close()
    assert ControlClient.connect(directory) is None
    async with serving(directory, Service()):
        client = await connect(directory)
        assert await asyncio.to_thread(client.call, "echo") == {"verb": "echo"}
        client.close()


async def test_without_unix_sockets_a_token_guards_the_port(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(socket, "AF_UNIX")
    async with serving(directory, Service()):
        endpoint = directory / "socket.json"
        assert stat.S_IMODE(endpoint.stat().st_mode) == 0o600
        client = await connect(directory)
        assert await asyncio.to_thread(client.call, "echo") == {"verb": "echo"}
        client.close()
        values = json.loads(endpoint.read_text())
        endpoint.write_text(json.dumps({**values, "token": "0" * 64}))
        assert await asyncio.to_thread(ControlClient.connect, directory) is None
    assert os.listdir(directory) == []
