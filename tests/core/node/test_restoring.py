"""Coming back by a recovery kit, end to end: real nodes on loopback, real bundles."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from core.node.nodes import Home, address_of, until, until_text
from lutra.codec import decode, encode
from lutra.crypto.signing import SigningKey
from lutra.errors import NotFoundError, NotPermittedError
from lutra.groups.errors import KitWithdrawnError
from lutra.groups.restore import _PROOF, RestoreChannel, _token
from lutra.identity.errors import DeviceNotInPersonError, WordsError
from lutra.identity.recovery import RecoveryKit
from lutra.net.bundles import ForeignBundleError
from lutra.net.connection import Connection
from lutra.net.errors import ChannelClosedError
from lutra.net.transport import dial
from lutra.node.addresses import NobodyFoundError
from lutra.node.errands import RESTORE
from lutra.node.events import KitUsed
from lutra.node.node import Node
from lutra.node.options import NodeOptions
from lutra.node.restoring import (
    ProfileInUseForPersonError,
    RestoreView,
    find_person,
)
from lutra.store.custody import FileCustody
from lutra.store.profile import Profile


class Household:
    """Homes and their running nodes, closed at the end."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.folder = folder
        self.stack = stack

    async def person(self, name: str, *peers: Node) -> Node:
        home = await Home.make(self.folder, name)
        return await self.stack.enter_async_context(await home.start(*peers))

    async def restore(
        self,
        name: str,
        kit: RecoveryKit,
        *peers: Node,
        bundle: Path | None = None,
        remove_lost: bool = False,
    ) -> tuple[RestoreView, Node]:
        """Restore on a new profile, then run it; the peers are asked and dialled."""
        found = await find_person(
            kit,
            name="Ana",
            device_name=name,
            options=offline(*peers),
            bundle=bundle,
            remove_lost=remove_lost,
        )
        place = self.folder / name
        profile = Profile.create(place, FileCustody(place))
        home = Home(place, name, profile, profile.unlock())
        await found.write(profile, home.key)
        node = await self.stack.enter_async_context(await home.start(*peers))
        if bundle is not None:
            await node.bundles.load(bundle)
        return found.view, node


def offline(*peers: Node) -> NodeOptions:
    addresses = tuple(str(address_of(peer)) for peer in peers)
    return NodeOptions(listen_host="127.0.0.1", discovery=False, peers=addresses)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Household]:
    async with AsyncExitStack() as stack:
        yield Household(tmp_path, stack)


async def make_kit(node: Node) -> RecoveryKit:
    """Make a kit as a person does; returns what is on the paper."""
    new = await node.recovery.create("25 November")
    words = new.sheet.words
    view = await node.recovery.confirm(new, {place: words[place - 1] for place in new.places})
    assert view.mark == new.sheet.mark
    return RecoveryKit.restore(" ".join(words))


async def share(ana: Node, ben: Node) -> tuple[bytes, bytes]:
    group = (await ana.create_group("Otters")).id
    page = (await ana.create_document(group, "Page", "before")).id
    await ben.join((await ana.invite(group)).link)
    await until_text(ben, page, "before")
    return group, page


async def until_kits(node: Node, person: bytes, kits: int) -> None:
    async def check() -> bool:
        return (await node.people.get(person)).kits == kits

    await until(check, f"{kits} recovery kits known")


async def until_ready(node: Node, group: bytes) -> None:
    async def check() -> bool:
        return (await node.group(group)).ready

    await until(check, "a group's keys")


async def test_a_kit_counts_only_after_its_test(house: Household) -> None:
    ana = await house.person("ana")
    new = await ana.recovery.create("today")
    with pytest.raises(WordsError) as caught:
        await ana.recovery.confirm(new, {new.places[0]: new.sheet.words[new.places[0] - 1]})
    assert caught.value.details["words"] == [new.places[1]]
    assert await ana.recovery.list() == []
    assert not any(word in repr(new) for word in new.sheet.words)
    typed = {place: f" {new.sheet.words[place - 1].upper()} " for place in new.places}
    view = await ana.recovery.confirm(new, typed)
    assert [(kit.mark, kit.active) for kit in await ana.recovery.list()] == [(view.mark, True)]
    # Later too the sheet can be tested, whole.
    assert await ana.recovery.test(" ".join(new.sheet.words)) == view
    with pytest.raises(NotFoundError):
        await ana.recovery.test(" ".join(RecoveryKit(bytes(16)).words()))
    wrong = [*new.sheet.words[:-1], new.sheet.words[0]]
    with pytest.raises(WordsError):
        await ana.recovery.test(" ".join(wrong))


async def test_only_a_kit_withdraws_a_kit(house: Household) -> None:
    ana = await house.person("ana")
    first, second = await make_kit(ana), await make_kit(ana)
    foreign = " ".join(RecoveryKit(bytes(16)).words())
    with pytest.raises(DeviceNotInPersonError):
        await ana.recovery.withdraw(first.mark, foreign)
    with pytest.raises(NotFoundError):
        await ana.recovery.withdraw("AAAA-AAAA", " ".join(second.words()))
    view = await ana.recovery.withdraw(first.mark.lower(), " ".join(second.words()))
    assert (view.mark, view.active) == (first.mark, False)
    with pytest.raises(DeviceNotInPersonError):
        await ana.recovery.withdraw(second.mark, " ".join(first.words()))
    # What a device signed itself does not count.
    person = await ana._call(lambda e: e.persons.own)
    key = await ana._call(lambda e: e.signing_key)
    with pytest.raises((DeviceNotInPersonError, NotPermittedError)):
        person.remove(key, second.key.public, 1)


async def test_all_devices_are_lost_and_a_friend_has_the_group(house: Household) -> None:
    ana, ben = await house.person("ana"), await house.person("ben")
    group, page = await share(ana, ben)
    kit = await make_kit(ana)
    await until_kits(ben, ana.identity.person, 1)
    lost = ana.identity.device
    await ana.close()
    with ben.events() as events:
        view, back = await house.restore("new", kit, ben)
        async with asyncio.timeout(20):
            async for event in events:
                if isinstance(event, KitUsed):
                    break
    assert event == KitUsed(view.person, view.device)
    assert (view.groups, view.own_devices, view.lost) == ((group,), False, (lost,))
    assert back.identity.person == ana.identity.person == view.person
    await until_text(back, page, "before")
    await until_ready(back, group)
    await back.append(page, " and after")
    await until_text(ben, page, "before and after")
    # The old kit stays valid; a new personal group was begun.
    assert [one.active for one in await back.recovery.list()] == [True]
    assert [one.name for one in await back.groups()] == ["Otters"]
    devices = {one.device: one.active for one in (await back.people.get(view.person)).devices}
    assert devices == {lost: True, view.device: True}


async def test_lost_devices_are_removed_in_the_same_go(house: Household) -> None:
    ana, ben = await house.person("ana"), await house.person("ben")
    group, page = await share(ana, ben)
    kit = await make_kit(ana)
    await until_kits(ben, ana.identity.person, 1)
    await ana.close()
    view, back = await house.restore("new", kit, ben, remove_lost=True)
    assert view.lost == ()
    await until_text(back, page, "before")

    async def is_out() -> bool:
        members = (await ben.group(group)).members
        return {one.device for one in members if one.present} == {
            ben.identity.device,
            view.device,
        }

    await until(is_out, "the lost device is out of the group")


async def test_an_own_device_that_is_left_gives_everything(house: Household) -> None:
    ana, ben = await house.person("ana"), await house.person("ben")
    group, page = await share(ana, ben)
    alone = (await ana.create_group("Diary")).id
    secret = (await ana.create_document(alone, "Secret", "mine")).id
    kit = await make_kit(ana)
    view, back = await house.restore("new", kit, ana)
    assert (set(view.groups), view.own_devices) == ({group, alone}, True)
    assert view.lost == (ana.identity.device,)
    await until_text(back, secret, "mine")
    await until_text(back, page, "before")
    names = {one.device: one.name for one in (await back.people.get(view.person)).devices}
    assert names == {ana.identity.device: "ana's laptop", view.device: "new"}
    await until_ready(back, alone)
    await back.append(secret, " again")
    await until_text(ana, secret, "mine again")


async def test_only_a_bundle_is_left(house: Household, tmp_path: Path) -> None:
    ana, ben = await house.person("ana"), await house.person("ben")
    group, page = await share(ana, ben)
    alone = (await ana.create_group("Diary")).id
    secret = (await ana.create_document(alone, "Secret", "mine")).id
    kit = await make_kit(ana)
    path = tmp_path / "stick"
    assert (await ana.bundles.export(path, everything=True)).kits == 1
    await ana.close()
    view, back = await house.restore("new", kit, bundle=path)
    assert (view.asked, view.own_devices, set(view.groups)) == (0, True, {group, alone})
    # With nobody else there everything can be read at once.
    assert await back.text(page) == "before"
    assert await back.text(secret) == "mine"
    # It shows by itself that it belongs to the group, and gets its keys from Ben.
    back.add_peer(str(address_of(ben)))
    await until_ready(back, group)
    await back.append(page, " and after")
    await until_text(ben, page, "before and after")


async def test_own_devices_that_never_meet_share_everything_by_bundles(
    house: Household, tmp_path: Path
) -> None:
    home = await Home.make(house.folder, "ana")
    ana = await house.stack.enter_async_context(await home.open())
    group = (await ana.create_group("Diary")).id
    page = (await ana.create_document(group, "Page", "one")).id
    kit = await make_kit(ana)
    stick, back_stick = tmp_path / "there", tmp_path / "back"
    await ana.bundles.export(stick, everything=True)
    found = await find_person(kit, name="Ana", device_name="phone", options=offline(), bundle=stick)
    place = house.folder / "phone"
    profile = Profile.create(place, FileCustody(place))
    await found.write(profile, profile.unlock())
    phone = await house.stack.enter_async_context(
        await Home(place, "phone", profile, profile.unlock()).open()
    )
    await phone.bundles.load(stick)
    assert await phone.text(page) == "one"
    # The laptop hears of the phone, gives it keys, and makes a group the phone knows nothing of.
    await phone.bundles.export(back_stick, everything=True)
    await ana.bundles.load(back_stick)
    later = (await ana.create_group("Later")).id
    second = (await ana.create_document(later, "Second", "two")).id
    await ana.append(page, " more")
    await _until_keys(ana, group)
    await _until_keys(ana, (await ana._call(lambda e: e.own_devices.personal)) or b"")
    await ana.bundles.export(stick, everything=True, overwrite=True)
    taken = await phone.bundles.load(stick)
    assert taken.refused == 0
    assert {one.group: one.pages for one in taken.groups} == {group: 0, later: 1}
    assert await phone.text(second) == "two"
    assert await phone.text(page) == "one more"
    await phone.bundles.export(back_stick, everything=True, overwrite=True)
    await ana.bundles.load(back_stick)
    await _until_keys(ana, later)
    # A phone that was removed opens no keys of later bundles, though it finds its groups in them.
    await ana._call(lambda e: e.persons.remove_device(phone.identity.device))
    await _until_keys(ana, (await ana._call(lambda e: e.own_devices.personal)) or b"")
    secret = (await ana.create_group("After")).id
    await ana.append(page, " unseen")
    await ana.bundles.export(stick, everything=True, overwrite=True)
    await phone.bundles.load(stick)
    assert secret not in {one.id for one in await phone.groups()}
    assert await phone.text(page) == "one more"


async def test_a_friends_bundle_brings_back_the_shared_groups(
    house: Household, tmp_path: Path
) -> None:
    ana, ben = await house.person("ana"), await house.person("ben")
    group, page = await share(ana, ben)
    other = (await ben.create_group("Not for Ana")).id
    kit = await make_kit(ana)
    await until_kits(ben, ana.identity.person, 1)
    await ana.close()
    path, back_path = tmp_path / "stick", tmp_path / "answer"
    await ben.bundles.export(path, person=ana.identity.person)
    view, back = await house.restore("new", kit, bundle=path)
    assert (view.groups, view.own_devices) == ((group,), False)
    assert other not in {one.id for one in await back.groups()}
    # To and fro: Ben's device hears of the new one, and gives it the keys.
    await back.bundles.export(back_path, groups=[group])
    await ben.bundles.load(back_path)

    async def has_place() -> bool:
        return view.device in {one.device for one in (await ben.group(group)).members}

    await until(has_place, "the new device is known")
    await asyncio.wait_for(_until_keys(ben, group), 20)
    await ben.bundles.export(path, person=ana.identity.person, overwrite=True)
    await back.bundles.load(path)
    assert await back.text(page) == "before"
    assert (await back.group(group)).ready


async def _until_keys(node: Node, group: bytes) -> None:
    """Wait until everybody who is in has a place in the keys."""

    async def check() -> bool:
        return not await node._call(lambda e: e._groups.get(group).awaited())

    await until(check, "keys in line with the roster")


async def test_another_kit_and_a_withdrawn_one(house: Household, tmp_path: Path) -> None:
    ana, ben = await house.person("ana"), await house.person("ben")
    await share(ana, ben)
    kit, other = await make_kit(ana), await make_kit(ana)
    path = tmp_path / "stick"
    await ana.bundles.export(path, everything=True)
    foreign = RecoveryKit(bytes(16))
    with pytest.raises(NobodyFoundError):
        await house.restore("a", foreign, ana, ben)
    with pytest.raises(ForeignBundleError):
        await house.restore("b", foreign, bundle=path)
    await ana.recovery.withdraw(kit.mark, " ".join(other.words()))
    await until_kits(ben, ana.identity.person, 1)
    for number, peer in enumerate((ana, ben)):
        with pytest.raises(KitWithdrawnError):
            await house.restore(f"c{number}", kit, peer)
    found = await find_person(kit=other, name="Ana", device_name="x", options=offline(ana))
    home = await Home.make(house.folder, "cara")
    with pytest.raises(ProfileInUseForPersonError):
        await found.write(home.profile, home.key)


@pytest.mark.usefixtures("loopback_multicast")
async def test_a_friend_is_found_on_the_local_network(house: Household) -> None:
    home = await Home.make(house.folder, "ana")
    nearby = NodeOptions(listen_host="127.0.0.1", interface="127.0.0.1")
    ana = await house.stack.enter_async_context(await Node.open(home.profile, home.key, nearby))
    await ana.start()
    group = (await ana.create_group("Otters")).id
    kit = await make_kit(ana)
    found = await find_person(kit, name="Ana", device_name="new", options=nearby)
    assert (found.view.groups, found.view.asked) == ((group,), 1)
    stranger = RecoveryKit(bytes(16))
    with pytest.raises(NobodyFoundError):
        await find_person(stranger, name="X", device_name="x", options=nearby, seconds=1)


class Attacker:
    """Knows the kit's public key, as every member of a shared group does, and not the kit."""

    def __init__(self, kit: RecoveryKit) -> None:
        self.public = kit.key.public
        self.key = SigningKey(bytes(31) + b"a")

    async def connect(self, node: Node) -> Connection:
        connection = await dial(address_of(node), self.key, admit=lambda _: True)
        await connection.send(RESTORE)
        return connection

    def frame(self, connection: Connection, proof: bytes) -> bytes:
        token = _token(self.public, connection.handshake_hash, self.key.public)
        return encode(["restore", token, proof])


async def test_an_attacker_without_the_kit_learns_nothing(house: Household) -> None:
    ana, ben = await house.person("ana"), await house.person("ben")
    group, _ = await share(ana, ben)
    kit = await make_kit(ana)
    await until_kits(ben, ana.identity.person, 1)
    attacker = Attacker(kit)
    for node in (ana, ben):
        answers = []
        connection = await attacker.connect(node)
        keys = attacker.key.public, connection.peer_device
        message = RestoreChannel(connection.handshake_hash, *keys).signed(_PROOF)
        replayed = kit.key.sign(RestoreChannel(bytes(32), *keys).signed(_PROOF))
        await connection.send(attacker.frame(connection, attacker.key.sign(message)))
        answers.append(await connection.receive())
        connection.close()
        connection = await attacker.connect(node)
        await connection.send(attacker.frame(connection, replayed))
        answers.append(await connection.receive())
        connection.close()
        # Without any knowledge the answer is the same.
        connection = await attacker.connect(node)
        await connection.send(encode(["restore", bytes(32), bytes(64)]))
        answers.append(await connection.receive())
        connection.close()
        assert [decode(answer) for answer in answers] == [["refused", "unknown"]] * 3
        # Nor does it learn whose device it talks to.
        assert connection.peer_device not in {ana.identity.device, ben.identity.device}
        # Nobody gets to the second step without the first.
        connection = await attacker.connect(node)
        await connection.send(encode(["add", [b"x"]]))
        with pytest.raises(ChannelClosedError):
            await connection.receive()
        await connection.wait_closed()
    members = (await ben.group(group)).members
    assert {one.device for one in members} == {ana.identity.device, ben.identity.device}
