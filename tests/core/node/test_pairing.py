"""Pairing between real nodes on loopback."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.node.nodes import address_of, until_text
from core.node.pairing_homes import LOOPBACK, Home, Waiting, confirm, pair, reach, until_complete
from lutra.errors import NotFoundError, NotPermittedError, UsageError
from lutra.node.node import Node


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


@pytest.mark.parametrize("restarted", ["existing", "new", "both"])
@pytest.mark.parametrize("state", ["ready", "comparing", "agreeing"])
async def test_a_restart_at_any_step_loses_nothing(
    tmp_path: Path, restarted: str, state: str
) -> None:
    home, waiting = await Home.make(tmp_path, "Ana"), await Waiting.make(tmp_path)
    laptop, newcomer = await home.start(), await waiting.open()
    shown = await laptop.pairing.show(new=False)
    if state != "ready":
        await newcomer.pairing.enter(shown.code, new=True, addresses=shown.addresses)
        await reach(laptop.pairing, "comparing")
        await reach(newcomer.pairing, "comparing")
    if state == "agreeing":
        await newcomer.pairing.accept()
    if restarted != "new":
        await laptop.close()
        laptop = await home.start()
    if restarted != "existing":
        await newcomer.close()
        newcomer = await waiting.open()
    again = laptop.pairing.view
    assert again is not None
    if state == "ready":
        assert (again.code, again.addresses) == (shown.code, shown.addresses)
        await newcomer.pairing.enter(shown.code, new=True, addresses=shown.addresses)
    for service in (laptop.pairing, newcomer.pairing):
        view = service.view
        assert view is not None
        if state != "agreeing" or not view.new:
            await reach(service, "comparing")
            await service.accept()
    await reach(newcomer.pairing, "done")
    await reach(laptop.pairing, "done")
    await newcomer.close()
    async with laptop, await waiting.start() as phone:
        await until_complete(phone)
        assert phone.identity.person == laptop.identity.person


async def test_a_profile_with_a_person_is_no_newcomer(tmp_path: Path) -> None:
    home, waiting = await Home.make(tmp_path, "Ana"), await Waiting.make(tmp_path)
    with pytest.raises(NotFoundError):
        await Node.open(waiting.profile, waiting.key, LOOPBACK)
    async with await home.start() as laptop, await waiting.open() as newcomer:
        with pytest.raises(NotPermittedError):
            await newcomer.pairing.show(new=False)
        await pair(laptop, newcomer)
    with pytest.raises(UsageError):
        await waiting.open()


async def test_merging_brings_groups_and_other_devices_of_the_person_in(tmp_path: Path) -> None:
    home, other = await Home.make(tmp_path, "Ana"), await Home.make(tmp_path, "Anna")
    guest = await Home.make(tmp_path, "Ben")
    async with await home.start() as laptop, await other.start(laptop) as tablet:
        old = tablet.identity.person
        mine = await tablet.create_group("Recipes")
        page = await tablet.create_document(mine.id, "Soup", "leek")
        async with await guest.start(tablet) as ben:
            his = await ben.create_group("Ben's")
            invite = await ben.invite(his.id)
            await tablet.join(invite.code, str(address_of(ben)))
            shown = await laptop.pairing.show(new=False)
            await tablet.pairing.enter(shown.code, new=True, addresses=shown.addresses)
            await reach(tablet.pairing, "comparing")
            with pytest.raises(UsageError):
                await tablet.pairing.accept()
            await confirm(laptop.pairing, tablet.pairing, merge=True)
            view = tablet.pairing.view
            assert view is not None
            assert view.separate == (his.id,)
            await until_text(laptop, page.id, "leek")
            await laptop.append(page.id, " and potato")
            await until_text(tablet, page.id, "leek and potato")
            await tablet.append(page.id, ", hot")
            await until_text(laptop, page.id, "leek and potato, hot")
            assert tablet.identity.person == laptop.identity.person != old
            persons = {m.person for m in (await tablet.group(mine.id)).members if m.present}
            assert persons == {laptop.identity.person}
            roles = {member.role for member in (await laptop.group(mine.id)).members}
            assert roles == {"admin"}
            # In the group of somebody else it goes on as before.
            note = await tablet.create_document(his.id, "Note", "still here")
            await until_text(ben, note.id, "still here")
            assert {group.name for group in await laptop.groups()} == {"Recipes"}
