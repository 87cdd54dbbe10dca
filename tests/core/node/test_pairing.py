"""Pairing between real nodes on loopback."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.node.nodes import until_text
from core.node.pairing_homes import Home, Waiting, confirm, pair, reach, until_complete


async def test_a_new_device_gets_everything_and_both_write(tmp_path: Path) -> None:
    home, waiting = await Home.make(tmp_path, "Ana"), await Waiting.make(tmp_path)
    async with await home.start() as laptop:
        group = await laptop.create_group("Otters")
        page = await laptop.create_document(group.id, "Fish", "trout")
        async with await waiting.open() as newcomer:
            await pair(laptop, newcomer)
        async with await waiting.start() as phone:
            await until_text(phone, page.id, "trout")
            await until_complete(phone)
            assert phone.identity.person == laptop.identity.person
            assert phone.identity.name == "Ana"
            assert (await phone.group(group.id)).name == "Otters"
            await phone.append(page.id, " and salmon")
            await until_text(laptop, page.id, "trout and salmon")
            names = {view.name for view in await laptop.devices()}
            assert names == {"Ana's laptop", "phone"}
            assert {view.name for view in await phone.devices()} == names


@pytest.mark.parametrize("link", [False, True])
async def test_the_new_device_may_show_the_code(tmp_path: Path, link: bool) -> None:
    home, waiting = await Home.make(tmp_path, "Ana"), await Waiting.make(tmp_path)
    async with await home.start() as laptop, await waiting.open() as newcomer:
        shown = await newcomer.pairing.show(new=True, link=link)
        code = shown.link if link else shown.code
        typed = () if link else shown.addresses
        await laptop.pairing.enter(code, new=False, addresses=typed)
        await confirm(laptop.pairing, newcomer.pairing)
        view = laptop.pairing.view
        assert view is not None
        assert view.device_name == "phone"
        assert not view.code
        assert not view.link


async def test_a_wrong_code_is_burnt_visibly_and_an_honest_attempt_follows(tmp_path: Path) -> None:
    home, waiting = await Home.make(tmp_path, "Ana"), await Waiting.make(tmp_path)
    async with await home.start() as laptop, await waiting.open() as newcomer:
        shown = await laptop.pairing.show(new=False)
        other = await newcomer.pairing.show(new=True)
        await newcomer.pairing.cancel()
        wrong = shown.code.split()[0] + " " + " ".join(other.code.split()[1:])
        await newcomer.pairing.enter(wrong, new=True, addresses=shown.addresses)
        here, there = await reach(laptop.pairing, "failed"), await reach(newcomer.pairing, "failed")
        assert "Nothing was given away" in here.sentence
        assert "Nothing was given away" in there.sentence
        assert here.strangers == 1
        await pair(laptop, newcomer)


async def test_cancelling_tells_the_other_side(tmp_path: Path) -> None:
    home, waiting = await Home.make(tmp_path, "Ana"), await Waiting.make(tmp_path)
    async with await home.start() as laptop, await waiting.open() as newcomer:
        shown = await laptop.pairing.show(new=False)
        await newcomer.pairing.enter(shown.code, new=True, addresses=shown.addresses)
        await reach(laptop.pairing, "comparing")
        await reach(newcomer.pairing, "comparing")
        await newcomer.pairing.cancel()
        told = await reach(laptop.pairing, "cancelled")
        assert told.sentence == "Pairing was cancelled on the other device. Nothing was added."
        assert len(await laptop.devices()) == 1
        await pair(laptop, newcomer)
