"""Joining on the network: waiting, asking again, captures, strangers. Real nodes on loopback."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from core.net.proxies import proxying
from core.node.nodes import Home, address_of, until, until_text
from lutra.codec import decode, encode
from lutra.crypto.signing import SigningKey
from lutra.errors import LutraError, NotFoundError, UsageError
from lutra.groups.errors import InviteError, JoinRefusedError
from lutra.groups.invite_keys import Channel, locator
from lutra.groups.invite_secret import InviteSecret
from lutra.net.transport import dial
from lutra.node.errands import JOIN, NEARBY
from lutra.node.events import Event, JoinChanged, JoinRequested, NearbyChanged, Trouble
from lutra.node.invitations import MAX_LIFETIME
from lutra.node.nearby import MAX_WATCHERS
from lutra.node.node import Node
from lutra.node.options import NodeOptions
from lutra.node.subscription import Subscription

LOOPBACK = "127.0.0.1"


@pytest.fixture
async def homes(tmp_path: Path) -> list[Home]:
    return [await Home.make(tmp_path, name) for name in ("Ana Otter", "Ben Beaver")]


@pytest.fixture
async def ana(homes: list[Home]) -> AsyncIterator[Node]:
    node = await homes[0].start()
    yield node
    await node.close()


@pytest.fixture
async def ben(homes: list[Home]) -> AsyncIterator[Node]:
    node = await homes[1].start()
    yield node
    await node.close()


async def expect(events: Subscription, wanted: Event | type[Event]) -> Event:
    """Return the next event that is, or is of the kind of, the wanted one."""
    async with asyncio.timeout(30):
        async for event in events:
            if event == wanted or (isinstance(wanted, type) and isinstance(event, wanted)):
                return event
    raise AssertionError(f"never happened: {wanted}")


async def test_who_waits_is_let_in_the_moment_somebody_approves(ana: Node, ben: Node) -> None:
    group = (await ana.create_group("Otters")).id
    page = (await ana.create_document(group, "Page", "hello")).id
    invite = await ana.invite(group, by_hand=True)
    with ana.events() as events, ben.events() as theirs:
        waiting = await ben.join(invite.link)
        assert waiting.state == "waiting"
        asked = await expect(events, JoinRequested)
        assert isinstance(asked, JoinRequested)
        (request,) = await ana.requests()
        assert waiting.comparison == asked.comparison == request.comparison
        assert (request.name, request.device) == ("Ben Beaver", ben.identity.device)
        assert (request.group_name, request.role, request.invite) == ("Otters", "writer", invite.id)
        assert await ben.groups() == []
        assert [peer.connected for peer in await ben.peers()] == []
        await ana.approve(request.device)
        await expect(theirs, JoinChanged(waiting.id, "admitted", group))
    view = await ben.wait_join(waiting.id)
    assert (view.state, view.group, view.name) == ("admitted", group, "Otters")
    await until_text(ben, page, "hello")
    assert (await ben.joins(), await ana.requests()) == ([], [])


async def test_who_is_declined_or_withdrawn_from_is_told_at_once(ana: Node, ben: Node) -> None:
    group = (await ana.create_group("Otters")).id
    for by in ("decline", "revoke"):
        invite = await ana.invite(group, by_hand=True)
        waiting = await ben.join(invite.link)
        assert waiting.state == "waiting"
        follower = asyncio.ensure_future(ben.wait_join(waiting.id))
        if by == "decline":
            await ana.decline(ben.identity.device)
        else:
            assert (await ana.revoke_invite(invite.id)).state == "revoked"
        with pytest.raises(JoinRefusedError, match="declined" if by == "decline" else "withdrawn"):
            await asyncio.wait_for(follower, 20)
        assert await ben.joins() == []
        with pytest.raises(NotFoundError):
            await ana.approve(ben.identity.device)
    assert len((await ana.group(group)).members) == 1


async def test_approval_while_the_other_is_away(ana: Node, homes: list[Home]) -> None:
    group = (await ana.create_group("Otters")).id
    invite = await ana.invite(group, by_hand=True, short=True)
    ben = await homes[1].start()
    waiting = await ben.join(invite.short_code, str(address_of(ana)))
    assert (waiting.state, waiting.short) == ("waiting", True)
    await ben.close()
    (request,) = await ana.requests()
    assert request.comparison == waiting.comparison
    await ana.approve(request.device)
    ben = await homes[1].start()
    view = await ben.wait_join(waiting.id, wait=30)
    assert (view.state, view.name) == ("admitted", "Otters")
    await ben.close()


async def test_an_inviter_that_is_not_there_yet_is_found_later(homes: list[Home]) -> None:
    ana = await homes[0].start()
    group = (await ana.create_group("Otters")).id
    invite = await ana.invite(group)
    port = address_of(ana).port
    await ana.close()
    ben = await homes[1].start()
    seeking = await ben.join(invite.code, f"{LOOPBACK}:{port}", wait=0)
    assert (seeking.state, seeking.group) == ("seeking", b"")
    await ben.close()
    ben = await homes[1].start()
    (kept,) = await ben.joins()
    assert (kept.id, kept.state) == (seeking.id, "seeking")
    options = NodeOptions(listen_host=LOOPBACK, listen_port=port, discovery=False)
    ana = await Node.open(homes[0].profile, homes[0].key, options)
    await ana.start()
    assert (await ben.wait_join(seeking.id, wait=60)).name == "Otters"
    await ben.close()
    await ana.close()


async def test_an_attempt_can_be_given_up(ana: Node, ben: Node) -> None:
    group = (await ana.create_group("Otters")).id
    invite = await ana.invite(group, by_hand=True)
    waiting = await ben.join(invite.link)
    with ben.events() as events:
        await ben.cancel_join(waiting.id)
        await expect(events, JoinChanged(waiting.id, "cancelled"))
    assert await ben.joins() == []
    await ana.approve(ben.identity.device)
    assert await ben.groups() == []
    with pytest.raises(NotFoundError):
        await ben.wait_join(waiting.id)
    # The same invite again: it was approved meanwhile.
    assert (await ben.join(invite.link)).state == "admitted"


async def test_a_wrong_short_code_ends_it_on_both_sides(ana: Node, ben: Node) -> None:
    group = (await ana.create_group("Otters")).id
    invite = await ana.invite(group, short=True)
    right, _ = InviteSecret.parse(invite.short_code)
    wrong = replace(right, secret=bytes(3)).code()
    where = str(address_of(ana))
    with ana.events() as events:
        with pytest.raises(JoinRefusedError):
            await ben.join(wrong, where)
        trouble = await expect(events, Trouble)
        assert isinstance(trouble, Trouble)
        assert trouble.code == "invite.guessed"
    (view,) = await ana.invites(group)
    assert (view.state, view.short_state, view.short_code) == ("open", "guessed", "")
    with pytest.raises(JoinRefusedError):
        await ben.join(invite.short_code, where)
    with pytest.raises(InviteError):
        await ben.join(wrong, where)
    renewed = await ana.renew_short_code(invite.id)
    assert (renewed.short_state, bool(renewed.short_code)) == ("open", True)
    assert (await ben.join(renewed.short_code, where)).state == "admitted"
    (view,) = await ana.invites()
    assert (view.state, view.short_state) == ("used", "used")


async def test_links_tell_addresses_only_if_wanted(ana: Node, ben: Node) -> None:
    group = (await ana.create_group("Otters")).id
    public = await ana.invite(group, lifetime=MAX_LIFETIME)
    private = await ana.invite(group, with_address=False)
    assert str(address_of(ana)) in public.link
    assert public.qr == public.link
    assert "#" not in private.link
    assert LOOPBACK not in private.link
    (first, _) = await ana.invites(group)
    assert first.link == private.link
    with pytest.raises(LutraError):  # nothing to find it by
        await ben.join(private.link)
    assert (await ben.join(public.link)).state == "admitted"


async def test_a_capture_of_joining_tells_nothing(ana: Node, ben: Node) -> None:
    group = (await ana.create_group("Secret Otters")).id
    await ana.create_document(group, "Secret page", "secret text")
    invite = await ana.invite(group, short=True, by_hand=True)
    captures: list[bytes] = []
    async with proxying(address_of(ana)) as proxy:
        waiting = await ben.join(invite.short_code, f"{LOOPBACK}:{proxy.port}")
        assert waiting.state == "waiting"
        captures.append(bytes(proxy.seen))
        await ana.approve(ben.identity.device)
        assert (await ben.wait_join(waiting.id, wait=30)).state == "admitted"
        captures.append(bytes(proxy.seen))
    secret, _ = InviteSecret.parse(invite.code)
    words = [
        *(b"Otter", b"Beaver", b"laptop", b"Secret", b"secret", group),
        *(node.identity.device for node in (ana, ben)),
        *(node.identity.person for node in (ana, ben)),
        *(secret.secret, secret.id, secret.rendezvous, invite.short_code.encode()),
        *(word.encode() for word in invite.short_code.split()[1:]),
    ]
    for capture in captures:
        assert len(capture) > 1000
        for word in words:
            for form in (word, word.hex().encode(), base64.b64encode(word), word.lower()):
                assert form not in capture


async def test_a_stranger_with_an_errand_learns_nothing(ana: Node) -> None:
    group = (await ana.create_group("Otters")).id
    invite = await ana.invite(group, short=True, by_hand=True)
    right, _ = InviteSecret.parse(invite.short_code)
    keys: set[bytes] = set()
    openings = [
        encode(["join", os.urandom(32), os.urandom(32), os.urandom(32)]),
        encode(["join", b"\0\0", os.urandom(32), os.urandom(32)]),
        encode(["join", os.urandom(700), os.urandom(32), os.urandom(32)]),
        encode(["request", os.urandom(32), os.urandom(32)]),
        b"\xff" * 1000,
        b"",
    ]
    for opening in openings:
        connection = await dial(address_of(ana), SigningKey.generate())
        keys.add(connection.peer_device)
        await connection.send(JOIN)
        await connection.send(opening)
        with contextlib.suppress(LutraError):
            assert decode(await connection.receive()) == ["refused"]
        with pytest.raises(LutraError):
            await connection.receive()
    assert len(keys) == len(openings)
    assert ana.identity.device not in keys
    # What a wrong guess at a short code is told: a random-looking share, then the same refusal.
    connection = await dial(address_of(ana), SigningKey.generate())
    await connection.send(JOIN)
    channel = Channel(connection.handshake_hash, connection.own_device, connection.peer_device)
    where = locator(right, channel)
    await connection.send(encode(["join", where, os.urandom(32), os.urandom(32)]))
    answer = decode(await connection.receive())
    assert (answer[0], len(answer), len(answer[1])) == ("answer", 2, 32)
    await connection.send(encode(["request", os.urandom(32), os.urandom(32)]))
    assert decode(await connection.receive()) == ["refused"]
    connection.close()
    assert await ana.requests() == []
    assert (await ana.invites())[0].short_state == "guessed"
    assert (await ana.status()).connected == 0


async def test_without_anything_to_offer_no_errand_is_run(ana: Node) -> None:
    await ana.create_group("Otters")
    with pytest.raises(LutraError):
        await dial(address_of(ana), SigningKey.generate())
    with pytest.raises(UsageError):
        ana.show_nearby(100_000)


async def test_many_who_wait_do_not_keep_others_out(ana: Node, tmp_path: Path) -> None:
    group = (await ana.create_group("Otters")).id
    by_hand = await ana.invite(group, by_hand=True, uses=50)
    direct = await ana.invite(group)
    nodes = [await (await Home.make(tmp_path, f"guest {n}")).start() for n in range(10)]
    views = await asyncio.gather(*(node.join(by_hand.link) for node in nodes))
    assert {view.state for view in views} == {"waiting"}
    last = await (await Home.make(tmp_path, "last")).start()
    assert (await last.join(direct.link)).state == "admitted"
    for request in await ana.requests():
        await ana.approve(request.device)
    for node, view in zip(nodes, views, strict=True):
        assert (await node.wait_join(view.id, wait=60)).state == "admitted"
    for node in (*nodes, last):
        await node.close()


# With discovery


@contextlib.asynccontextmanager
async def discovering(home: Home) -> AsyncIterator[Node]:
    options = NodeOptions(listen_host=LOOPBACK, interface=LOOPBACK)
    node = await Node.open(home.profile, home.key, options)
    try:
        await node.start()
        yield node
    finally:
        await node.close()


@pytest.mark.usefixtures("loopback_multicast")
async def test_codes_are_enough_on_a_local_network(homes: list[Home]) -> None:
    async with discovering(homes[0]) as ana, discovering(homes[1]) as ben:
        for number in range(2):
            group = (await ana.create_group(f"Otters {number}")).id
            invite = await ana.invite(group, short=True, with_address=False, by_hand=number == 1)
            code = invite.code if number == 0 else invite.short_code
            view = await ben.join(code)
            if number == 1:
                assert view.state == "waiting"
                await ana.approve(ben.identity.device)
                view = await ben.wait_join(view.id, wait=30)
            assert (view.state, view.group) == ("admitted", group)


@pytest.mark.usefixtures("loopback_multicast")
async def test_people_nearby_meet_compare_and_come_in(homes: list[Home]) -> None:
    async with discovering(homes[0]) as ana, discovering(homes[1]) as ben:
        group = (await ana.create_group("Otters")).id
        with ana.events() as events, ben.events() as theirs:
            ana.look_nearby(300)
            assert ana.nearby().people == ()
            ben.show_nearby(300)
            await until(lambda: _true(bool(ana.nearby().people)), "somebody nearby")
            (person,) = ana.nearby().people
            assert (person.name, person.device_name) == ("Ben Beaver", "Ben Beaver's laptop")
            # Whoever looks has told nothing.
            assert ben.nearby().invitations == ()
            digits = await ana.invite_nearby(person.id, group)
            await until(lambda: _true(bool(ben.nearby().invitations)), "an invitation")
            (invitation,) = ben.nearby().invitations
            assert (invitation.name, invitation.comparison) == ("Ana Otter", digits)
            assert ana.nearby().people[0].comparison == digits
            with pytest.raises(UsageError):
                await ana.invite_nearby(person.id, group)
            view = await ben.answer_nearby(invitation.id, accept=True)
            assert view is not None
            assert (view.state, view.comparison, view.inviter) == ("waiting", digits, "Ana Otter")
            asked = await expect(events, JoinRequested)
            assert isinstance(asked, JoinRequested)
            assert asked.comparison == digits
            await ana.approve(asked.device)
            assert (await ben.wait_join(view.id, wait=30)).group == group
            await expect(theirs, NearbyChanged)
        ben.show_nearby(0)
        assert ben.nearby().visible_until == 0
        with pytest.raises(NotFoundError):
            await ben.answer_nearby(invitation.id, accept=True)


@pytest.mark.usefixtures("loopback_multicast")
async def test_a_no_nearby_withdraws_the_invite(homes: list[Home]) -> None:
    async with discovering(homes[0]) as ana, discovering(homes[1]) as ben:
        group = (await ana.create_group("Otters")).id
        ana.look_nearby(300)
        ben.show_nearby(300)
        await until(lambda: _true(bool(ana.nearby().people)), "somebody nearby")
        await ana.invite_nearby(ana.nearby().people[0].id, group)
        await until(lambda: _true(bool(ben.nearby().invitations)), "an invitation")
        assert await ben.answer_nearby(ben.nearby().invitations[0].id, accept=False) is None

        async def withdrawn() -> bool:
            return [view.state for view in await ana.invites(group)] == ["revoked"]

        await until(withdrawn, "the invite is withdrawn")
        assert await ben.joins() == []


async def test_who_looks_too_much_is_cut_off(ana: Node) -> None:
    ana.show_nearby(60)
    connections = []
    for _ in range(MAX_WATCHERS):
        connection = await dial(address_of(ana), SigningKey.generate())
        await connection.send(NEARBY)
        await connection.send(encode(["look"]))
        name, token, *names = decode(await connection.receive())
        assert (name, names) == ("here", ["Ana Otter", "Ana Otter's laptop"])
        connections.append((connection, token))
    assert len({token for _, token in connections}) == 1
    assert ana.identity.device not in {one.peer_device for one, _ in connections}
    late = await dial(address_of(ana), SigningKey.generate())
    await late.send(NEARBY)
    with pytest.raises(LutraError):
        await late.receive()
    # One token for one time of being visible.
    ana.show_nearby(0)
    for connection, _ in connections:
        with pytest.raises(LutraError):
            await connection.receive()
    ana.show_nearby(60)
    again = await dial(address_of(ana), SigningKey.generate())
    await again.send(NEARBY)
    await again.send(encode(["look"]))
    assert decode(await again.receive())[1] != connections[0][1]
    again.close()


async def test_tries_at_the_digits_are_counted(ana: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lutra.node.nearby.MAX_ASKED", 3)
    ana.show_nearby(60)
    answers = []
    for _ in range(4):
        connection = await dial(address_of(ana), SigningKey.generate())
        await connection.send(NEARBY)
        for frame in (["look"], ["invite", bytes(32)]):
            await connection.send(encode(frame))
            answer = decode(await connection.receive())
        answers.append(answer[0])
        connection.close()
        await connection.wait_closed()
    assert answers == ["nonce", "nonce", "nonce", "no"]
    assert ana.nearby().invitations == ()


async def _true(value: bool) -> bool:
    return value
