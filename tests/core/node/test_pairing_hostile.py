"""Somebody on the network while two devices pair: relaying, guessing, repeating, keeping busy."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from core.node.pairing_homes import Home, Waiting, confirm, pair, reach
from lutra.codec import encode
from lutra.crypto.signing import SigningKey
from lutra.errors import LutraError
from lutra.identity.pairing_messages import Frame
from lutra.identity.pairing_table import REASONS, Event, State
from lutra.net.connection import Address, Connection
from lutra.net.errors import DialError
from lutra.net.transport import Listener, dial
from lutra.node.addresses import parse_address

LOOPBACK = "127.0.0.1"


class Relay:
    """Sits between two victims with a channel to each, and passes frames on."""

    def __init__(self, target: Address) -> None:
        self.frames: list[bytes] = []
        self._target = target
        self._key = SigningKey.generate()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener = Listener(self._key, on_connection=self._came, admit=lambda _: True)

    async def open(self) -> str:
        await self._listener.open(LOOPBACK)
        return str(self._listener.addresses[0])

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._listener.close()

    def _came(self, connection: Connection) -> None:
        self._tasks.add(asyncio.ensure_future(self._between(connection)))

    async def _between(self, victim: Connection) -> None:
        try:
            other = await dial(self._target, self._key, admit=lambda _: True)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass_on(victim, other))
                both.create_task(self._pass_on(other, victim))
        except* LutraError:
            pass
        finally:
            victim.close()

    async def _pass_on(self, source: Connection, target: Connection) -> None:
        try:
            while True:
                frame = await source.receive()
                self.frames.append(frame)
                await target.send(frame)
        finally:
            target.close()


@asynccontextmanager
async def stranger(address: str) -> AsyncIterator[Connection]:
    """A connection of somebody who knows where, but not the code."""
    connection = await dial(parse_address(address), SigningKey.generate(), admit=lambda _: True)
    try:
        yield connection
    finally:
        connection.close()
        await connection.wait_closed()


async def until_over(connection: Connection) -> list[bytes]:
    """Return what still comes until the other side closes."""
    answers: list[bytes] = []
    with contextlib.suppress(LutraError):
        while True:
            answers.append(await connection.receive())
    return answers


async def test_a_relay_between_two_victims_gets_nothing(tmp_path: Path) -> None:
    home, waiting = await Home.make(tmp_path, "Ana"), await Waiting.make(tmp_path)
    async with await home.start() as laptop, await waiting.open() as newcomer:
        shown = await laptop.pairing.show(new=False)
        relay = Relay(parse_address(shown.addresses[0]))
        await newcomer.pairing.enter(shown.code, new=True, addresses=(await relay.open(),))
        here, there = await reach(laptop.pairing, "failed"), await reach(newcomer.pairing, "failed")
        await relay.close()
        assert here.sentence
        assert there.sentence
        assert not here.person_name + here.device_name + there.person_name + there.device_name
        assert not any(b"Ana" in frame or b"phone" in frame for frame in relay.frames)
        assert len(await laptop.devices()) == 1
        await pair(laptop, newcomer)


async def test_a_relay_does_not_use_up_a_link(tmp_path: Path) -> None:
    home, waiting = await Home.make(tmp_path, "Ana"), await Waiting.make(tmp_path)
    async with await home.start() as laptop, await waiting.open() as newcomer:
        shown = await laptop.pairing.show(new=False, link=True)
        relay = Relay(parse_address(shown.addresses[0]))
        # The link names the right address too: it is tried after the typed one.
        await newcomer.pairing.enter(shown.link, new=True, addresses=(await relay.open(),))
        await confirm(laptop.pairing, newcomer.pairing)
        await relay.close()
        view = laptop.pairing.view
        assert view is not None
        assert view.strangers


async def test_who_speaks_first_with_a_guess_burns_the_code_visibly(tmp_path: Path) -> None:
    home, waiting = await Home.make(tmp_path, "Ana"), await Waiting.make(tmp_path)
    async with await home.start() as laptop, await waiting.open() as newcomer:
        shown = await laptop.pairing.show(new=False)
        async with await (await Waiting.make(tmp_path, "thief")).open() as thief:
            other = (await thief.pairing.show(new=True)).code.split()[1:]
            await thief.pairing.cancel()
            guess = " ".join([shown.code.split()[0], *other])
            await thief.pairing.enter(guess, new=True, addresses=shown.addresses)
            told = await reach(laptop.pairing, "failed")
        assert "somebody else tried to pair" in told.sentence
        assert told.strangers == 1
        await pair(laptop, newcomer)


async def test_a_guess_at_a_code_that_was_used_learns_what_a_guess_learns(tmp_path: Path) -> None:
    home, waiting = await Home.make(tmp_path, "Ana"), await Waiting.make(tmp_path)
    async with (
        await home.start() as laptop,
        await waiting.open() as newcomer,
        await (await Waiting.make(tmp_path, "thief")).open() as thief,
    ):
        shown = await laptop.pairing.show(new=False)
        await newcomer.pairing.enter(shown.code, new=True, addresses=shown.addresses)
        await confirm(laptop.pairing, newcomer.pairing)
        # Who only looks, talks nonsense or takes up what never was does not end it.
        for nonsense in (b"\xff", encode([3, bytes(32)]), encode([5, bytes(32)])):
            async with stranger(shown.addresses[0]) as connection:
                await connection.send(nonsense)
                assert await until_over(connection) == [encode([Frame.BYE.value])]
        other = (await thief.pairing.show(new=True)).code.split()[1:]
        await thief.pairing.cancel()
        guess = " ".join([shown.code.split()[0], *other])
        await thief.pairing.enter(guess, new=True, addresses=shown.addresses)
        told = await reach(thief.pairing, "failed")
        assert told.sentence == REASONS[State.CONFIRMING, Event.WRONG_CODE]
        # It was the one guess: now there is nobody to make another at.
        with pytest.raises(DialError):
            async with stranger(shown.addresses[0]):
                pass


async def test_nobody_is_told_about_a_code_that_was_guessed_at(tmp_path: Path) -> None:
    home = await Home.make(tmp_path, "Ana")
    async with await home.start() as laptop:
        async with await (await Waiting.make(tmp_path, "thief")).open() as thief:
            shown = await laptop.pairing.show(new=False)
            other = (await thief.pairing.show(new=True)).code.split()[1:]
            await thief.pairing.cancel()
            guess = " ".join([shown.code.split()[0], *other])
            await thief.pairing.enter(guess, new=True, addresses=shown.addresses)
            await reach(laptop.pairing, "failed")
            await reach(thief.pairing, "failed")
        with pytest.raises(DialError):
            async with stranger(shown.addresses[0]):
                pass


async def test_who_comes_first_and_says_nothing_or_nonsense_changes_nothing(
    tmp_path: Path,
) -> None:
    home, waiting = await Home.make(tmp_path, "Ana"), await Waiting.make(tmp_path)
    async with await home.start() as laptop, await waiting.open() as newcomer:
        shown = await laptop.pairing.show(new=False)
        async with stranger(shown.addresses[0]):
            await reach(laptop.pairing, "connected")
        await reach(laptop.pairing, "ready")
        for nonsense in (b"", b"\xff" * 100, encode([1, 1, b"", b""]), encode([3, bytes(32)])):
            async with stranger(shown.addresses[0]) as connection:
                await connection.send(nonsense)
                assert len(await until_over(connection)) <= 1
        await newcomer.pairing.enter(shown.code, new=True, addresses=shown.addresses)
        await confirm(laptop.pairing, newcomer.pairing)


async def test_what_was_recorded_is_refused_when_repeated(tmp_path: Path) -> None:
    home, waiting = await Home.make(tmp_path, "Ana"), await Waiting.make(tmp_path)
    async with await home.start() as laptop, await waiting.open() as newcomer:
        shown = await laptop.pairing.show(new=False)
        relay = Relay(parse_address(shown.addresses[0]))
        await newcomer.pairing.enter(shown.code, new=True, addresses=(await relay.open(),))
        await reach(laptop.pairing, "failed")
        await relay.close()
        again = await laptop.pairing.show(new=False)
        async with stranger(again.addresses[0]) as connection:
            for frame in relay.frames:
                connection.send_nowait(frame)
            # A share of its own key, at most, and a goodbye.
            assert all(len(answer) < 64 for answer in await until_over(connection))
        assert len(await laptop.devices()) == 1
        view = laptop.pairing.view
        assert view is not None
        assert view.state in ("ready", "failed")
