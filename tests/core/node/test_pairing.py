"""Pairing between real nodes on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from pathlib import Path

import pytest

from core.node.nodes import address_of, until, until_text
from core.node.pairing_homes import LOOPBACK, Home, Waiting, confirm, pair, reach, until_complete
from lutra.codec import encode
from lutra.crypto.signing import SigningKey
from lutra.errors import MalformedError, NotFoundError, NotPermittedError, UsageError
from lutra.identity.errors import PairingFileError, PairingStateError
from lutra.identity.pairing_memory import Spent
from lutra.identity.pairing_table import REASONS, Event, State
from lutra.net.errors import DialError
from lutra.net.transport import dial
from lutra.node import pairing_late
from lutra.node.addresses import parse_address
from lutra.node.device_views import PairingView
from lutra.node.newcomer import Newcomer
from lutra.node.node import Node
from lutra.node.pairing_desk import EngineDesk, Entrance, WaitingDesk
from lutra.node.pairing_meeting import Meeting
from lutra.node.pairing_service import PairingService
from lutra.operation import Operation


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


class LosesTheLine(WaitingDesk):
    """The connection breaks when the new device is in, before its receipt has left."""

    newcomer: Newcomer

    async def enter(self, entrance: Entrance, name: str = "pairing") -> tuple[bytes, ...]:
        entered = await super().enter(entrance, name)
        run = self.newcomer.pairing._run
        assert run is not None
        assert run.connection is not None
        run.connection.close()
        return entered


async def test_a_lost_receipt_is_made_up_for_when_the_devices_meet(tmp_path: Path) -> None:
    home, waiting = await Home.make(tmp_path, "Ana"), await Waiting.make(tmp_path)
    async with await home.start() as laptop:
        async with await waiting.open() as newcomer:
            desk = newcomer.pairing._desk
            assert isinstance(desk, WaitingDesk)
            failing = LosesTheLine(desk._thread, desk._store, desk.key)
            failing.newcomer = newcomer
            newcomer.pairing._desk = failing
            shown = await laptop.pairing.show(new=False)
            await newcomer.pairing.enter(shown.code, new=True, addresses=shown.addresses)
            for service in (laptop.pairing, newcomer.pairing):
                await reach(service, "comparing")
                await service.accept()
            await reach(newcomer.pairing, "done")
            await reach(laptop.pairing, "delivering")
        async with await waiting.start() as phone:
            await reach(laptop.pairing, "done")
            await until_complete(phone)


async def test_what_was_handed_over_and_cannot_be_read_adds_nothing_here(tmp_path: Path) -> None:
    waiting = await Waiting.make(tmp_path)
    home = await Home.make(tmp_path, "Ana")
    async with await home.open() as laptop, await waiting.open() as newcomer:
        offer = await laptop.device_files.offer()
        asked = await newcomer.device_files.request(offer.content)
        answers = await laptop.device_files._offer_of(asked.content)
        assert isinstance(answers, tuple)
        offering, request = answers
        desk = laptop.device_files._desk
        made: list[bytes] = []

        def spoil(operations: tuple[Operation, ...], given: bytes) -> None:
            made.append(offering.respond(request, operations, hand_over=given[:-1]))

        await desk.admit(request.consent, request.card, (), spoil, "pairing_offer")
        with pytest.raises(MalformedError):
            await newcomer.device_files.accept(made[0], same_digits=True)
        assert await newcomer.device_files.digits() == asked.digits
    async with await waiting.open():
        pass


async def test_files_pair_devices_that_meet_later(tmp_path: Path) -> None:
    home, waiting = await Home.make(tmp_path, "Ana"), await Waiting.make(tmp_path)
    async with await home.start() as laptop:
        group = await laptop.create_group("Otters")
        page = await laptop.create_document(group.id, "Fish", "trout")
        async with await waiting.open() as newcomer:
            offer = await laptop.device_files.offer()
            asked = await newcomer.device_files.request(offer.content)
            assert await newcomer.device_files.request(offer.content) == asked
            shown = await laptop.device_files.read_request(asked.content)
            assert shown.digits == asked.digits != ""
            with pytest.raises(PairingStateError):
                await laptop.device_files.respond(asked.content)
            response = await laptop.device_files.respond(asked.content, same_digits=True)
            assert await laptop.device_files.read_request(asked.content) == shown
            assert await laptop.device_files.respond(asked.content, same_digits=True) == response
            assert len(await laptop.devices()) == 2
            with pytest.raises(PairingStateError):
                await laptop.device_files.read_request(asked.content + b"x")
            with pytest.raises(PairingStateError):
                await newcomer.device_files.accept(response)
            await newcomer.device_files.accept(response, same_digits=True)
        async with await waiting.start() as phone:
            phone.add_peer(str(address_of(laptop)))
            await until_text(phone, page.id, "trout")
            await until_complete(phone)


async def test_another_offer_gets_another_request(tmp_path: Path) -> None:
    home, waiting = await Home.make(tmp_path, "Ana"), await Waiting.make(tmp_path)
    async with await home.open() as laptop, await waiting.open() as newcomer:
        first = await newcomer.device_files.request((await laptop.device_files.offer()).content)
        other = await newcomer.device_files.request((await laptop.device_files.offer()).content)
        assert other.digits != first.digits
        assert (await laptop.device_files.read_request(other.content)).digits == other.digits


async def test_an_offer_stays_valid_until_the_next_one_is_saved(tmp_path: Path) -> None:
    home, waiting = await Home.make(tmp_path, "Ana"), await Waiting.make(tmp_path)
    async with await home.open() as laptop, await waiting.open() as newcomer:
        files = laptop.device_files
        first = await files.offer()
        lost, saved = await files.offer(), await files.offer()
        requests = [
            (await newcomer.device_files.request(offer.content)).content
            for offer in (first, lost, saved)
        ]
        # The file of the latest may be on its way already; of the one between, nobody can tell.
        for valid in (requests[0], requests[2]):
            assert (await files.read_request(valid)).digits
        with pytest.raises(PairingFileError):
            await files.read_request(requests[1])
        with pytest.raises(PairingStateError):
            await files.offer_saved(lost.content)
        await files.offer_saved(saved.content)
        with pytest.raises(PairingFileError):
            await files.read_request(requests[0])
        # Saved or not, one that was answered withdraws the other; until then both are valid.
        latest = await files.offer()
        asked = await newcomer.device_files.request(latest.content)
        response = await files.respond(asked.content, same_digits=True)
        with pytest.raises(PairingStateError):
            await files.read_request(requests[2])
        # What an answered offer gave is there until another one is saved, too.
        another = await files.offer()
        assert await files.respond(asked.content, same_digits=True) == response
        await files.offer_saved(another.content)
        with pytest.raises(PairingFileError):
            await files.read_request(asked.content)


async def test_a_link_withdraws_earlier_offers_at_once(tmp_path: Path) -> None:
    home, waiting = await Home.make(tmp_path, "Ana"), await Waiting.make(tmp_path)
    async with await home.open() as laptop, await waiting.open() as newcomer:
        files = laptop.device_files
        offers = [await files.offer(), await files.offer(), await files.offer(link=True)]
        asked = [
            (await newcomer.device_files.request(offer.link or offer.content)).content
            for offer in offers
        ]
        for void in asked[:2]:
            with pytest.raises(PairingFileError):
                await files.read_request(void)
        with pytest.raises(PairingStateError):
            await files.offer_saved(offers[1].content)
        assert not (await files.read_request(asked[2])).digits


class Deliberate(EngineDesk):
    """Between what it has read and what follows, others have time."""

    async def load(self, name: str = "pairing") -> bytes | None:
        found = await super().load(name)
        await asyncio.sleep(0.2)
        return found


@pytest.mark.parametrize("step", ["offer", "offer_saved"])
async def test_an_answer_and_an_offer_at_once_do_not_lose_the_response(
    tmp_path: Path, step: str
) -> None:
    home, waiting = await Home.make(tmp_path, "Ana"), await Waiting.make(tmp_path)
    async with await home.open() as laptop, await waiting.open() as newcomer:
        files = laptop.device_files
        first = await files.offer()
        latest = await files.offer()
        asked = await newcomer.device_files.request(first.content)
        desk = files._desk
        assert isinstance(desk, EngineDesk)
        slow = Deliberate(desk._engine, desk.key, places=desk._places, on_entered=desk._on_entered)
        files._desk = slow

        async def meanwhile() -> None:
            await asyncio.sleep(0.1)
            with contextlib.suppress(PairingStateError):
                if step == "offer":
                    await files.offer()
                else:
                    await files.offer_saved(latest.content)

        response, _ = await asyncio.gather(
            files.respond(asked.content, same_digits=True), meanwhile()
        )
        assert await files.respond(asked.content, same_digits=True) == response


async def test_a_code_that_nobody_enters_ends_with_a_sentence(tmp_path: Path) -> None:
    home = await Home.make(tmp_path, "Ana")
    async with await home.open() as laptop:
        now = [1000.0]
        service = PairingService(
            laptop.pairing._desk, LOOPBACK, lambda _view: None, clock=lambda: now[0]
        )
        await service.show(new=False)
        with pytest.raises(PairingStateError):
            await service.show(new=False)
        now[0] += 601
        told = await reach(service, "failed")
        assert told.sentence.startswith("The other device did not appear.")
        assert not told.code
        await service.show(new=False)
        await service.close()
        assert await laptop.pairing.resume() is not None


async def test_who_enters_a_code_that_was_used_is_told_until_there_is_another(
    tmp_path: Path,
) -> None:
    home, waiting = await Home.make(tmp_path, "Ana"), await Waiting.make(tmp_path)
    late = await Waiting.make(tmp_path, "tablet")
    async with await home.start() as laptop, await late.open() as tablet:
        shown = await laptop.pairing.show(new=False)
        async with await waiting.open() as newcomer:
            await newcomer.pairing.enter(shown.code, new=True, addresses=shown.addresses)
            await confirm(laptop.pairing, newcomer.pairing)
        ended = laptop.pairing.view
        for _ in range(2):
            await tablet.pairing.enter(shown.code, new=True, addresses=shown.addresses)
            told = await reach(tablet.pairing, "failed")
            assert told.sentence == REASONS[State.INTRODUCING, Event.USED]
            assert not told.device_name + told.person_name
        assert laptop.pairing.view == ended
        assert len(await laptop.devices()) == 2
        await laptop.pairing.show(new=False)
        with pytest.raises(DialError):
            await dial(parse_address(shown.addresses[0]), SigningKey.generate())
        await laptop.pairing.cancel()
        await pair(laptop, tablet)


@pytest.mark.parametrize("link", [False, True])
async def test_who_enters_a_code_that_has_expired_is_told(tmp_path: Path, link: bool) -> None:
    home, waiting = await Home.make(tmp_path, "Ana"), await Waiting.make(tmp_path)
    async with await home.open() as laptop, await waiting.open() as newcomer:
        now = [1000.0]
        service = PairingService(
            laptop.pairing._desk, LOOPBACK, lambda _view: None, clock=lambda: now[0]
        )
        shown = await service.show(new=False, link=link)
        now[0] += 601
        await reach(service, "failed")
        code = shown.link or shown.code
        await newcomer.pairing.enter(code, new=True, addresses=shown.addresses)
        told = await reach(newcomer.pairing, "failed")
        assert told.sentence == REASONS[State.INTRODUCING, Event.EXPIRED]
        await service.close()
        with pytest.raises(DialError):
            await dial(parse_address(shown.addresses[0]), SigningKey.generate())


async def test_nobody_is_told_about_a_code_that_was_withdrawn(tmp_path: Path) -> None:
    home = await Home.make(tmp_path, "Ana")
    async with await home.open() as laptop:
        shown = await laptop.pairing.show(new=False)
        await laptop.pairing.cancel()

        async def closed() -> bool:
            try:
                connection = await dial(parse_address(shown.addresses[0]), SigningKey.generate())
            except DialError:
                return True
            connection.close()
            return False

        await until(closed, "nobody listens any more")


async def nobody_listens(view: PairingView) -> None:
    with pytest.raises(DialError):
        await dial(parse_address(view.addresses[0]), SigningKey.generate())


async def test_closing_at_once_leaves_no_meeting_place_open(tmp_path: Path) -> None:
    home = await Home.make(tmp_path, "Ana")
    async with await home.open() as laptop:
        service = PairingService(laptop.pairing._desk, LOOPBACK, lambda _view: None)
        shown = await service.show(new=False)
        await service.cancel()
        await service.close()
        await nobody_listens(shown)


async def test_two_pairings_that_begin_at_once_are_one(tmp_path: Path) -> None:
    home = await Home.make(tmp_path, "Ana")
    async with await home.open() as laptop:
        begun = await asyncio.gather(
            *(laptop.pairing.show(new=False) for _ in range(2)), return_exceptions=True
        )
        assert [isinstance(one, PairingStateError) for one in begun] == [False, True]


async def test_a_spent_code_is_forgotten_when_its_meeting_place_closes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairing_late, "_STAY_SECONDS", 0.1)
    home = await Home.make(tmp_path, "Ana")
    async with await home.open() as laptop:
        now = [1000.0]
        service = PairingService(
            laptop.pairing._desk, LOOPBACK, lambda _view: None, clock=lambda: now[0]
        )
        shown = await service.show(new=False)
        now[0] += 601
        await reach(service, "failed")

        async def forgotten() -> bool:
            gc.collect()
            return not any(isinstance(one, Spent) for one in gc.get_objects())

        await until(forgotten, "nothing knows the code any more")
        await nobody_listens(shown)
        await service.close()


@pytest.mark.parametrize("end", ["cancel", "close"])
async def test_what_is_ended_while_it_begins_leaves_no_meeting_place_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    opening: asyncio.Queue[Meeting] = asyncio.Queue()
    really = Meeting.open

    async def slowly(meeting: Meeting, port: int = 0) -> None:
        opening.put_nowait(meeting)
        await asyncio.sleep(0.2)
        await really(meeting, port)

    monkeypatch.setattr(Meeting, "open", slowly)
    home = await Home.make(tmp_path, "Ana")
    async with await home.open() as laptop:
        desk = laptop.pairing._desk
        service = PairingService(desk, LOOPBACK, lambda _view: None)
        begins = asyncio.ensure_future(service.show(new=False))
        meeting = await opening.get()
        await getattr(service, end)()
        if end == "cancel":
            assert (await begins).state == "cancelled"
        else:
            with pytest.raises(PairingStateError):
                await begins
        assert await desk.load() is None
        with pytest.raises(DialError):
            await dial(meeting.addresses()[0], SigningKey.generate())
        await service.close()


class Slow(WaitingDesk):
    """Its disk takes the end of a pairing only when it is let."""

    def __init__(self, desk: WaitingDesk) -> None:
        super().__init__(desk._thread, desk._store, desk.key)
        self.going, self.let = asyncio.Event(), asyncio.Event()

    async def save(self, record: bytes | None, name: str = "pairing") -> None:
        if record is None:
            self.going.set()
            await self.let.wait()
        await super().save(record, name)


@pytest.mark.parametrize("answer", ["accept", "cancel"])
async def test_who_answers_while_the_other_device_ends_it_finds_out_how(
    tmp_path: Path, answer: str
) -> None:
    home, waiting = await Home.make(tmp_path, "Ana"), await Waiting.make(tmp_path)
    async with await home.start() as laptop, await waiting.open() as newcomer:
        shown = await laptop.pairing.show(new=False)
        await newcomer.pairing.enter(shown.code, new=True, addresses=shown.addresses)
        await reach(newcomer.pairing, "comparing")
        await reach(laptop.pairing, "comparing")
        desk = newcomer.pairing._desk
        assert isinstance(desk, WaitingDesk)
        slow = newcomer.pairing._desk = Slow(desk)
        await laptop.pairing.cancel()
        await slow.going.wait()
        asyncio.get_running_loop().call_later(0.1, slow.let.set)
        with pytest.raises(PairingStateError):
            await getattr(newcomer.pairing, answer)()
        view = newcomer.pairing.view
        assert view is not None
        assert view.state == "cancelled"


async def test_a_record_of_another_version_is_dropped(tmp_path: Path) -> None:
    home = await Home.make(tmp_path, "Ana")
    async with await home.open() as laptop:
        await laptop.pairing._desk.save(encode([b"\x80", [None, bytes(16)], [], 1]))
        assert await laptop.pairing.resume() is None
        assert (await laptop.pairing.show(new=False)).code
