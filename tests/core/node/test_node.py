"""The public API of a node: verbs, events, editor sessions, errors."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

import pytest

from core.node.nodes import Home, address_of, until, until_status, until_text
from lutra.documents.replica import Replica
from lutra.errors import NotFoundError, UsageError
from lutra.groups.errors import InviteError, JoinRefusedError, NotAMemberError
from lutra.groups.invite_secret import InviteSecret
from lutra.node.addresses import NobodyFoundError
from lutra.node.events import (
    DocumentChanged,
    DocumentsChanged,
    Event,
    GroupsChanged,
    MemberJoined,
    PresenceChanged,
)
from lutra.node.node import Node, NotRunningError
from lutra.node.subscription import Subscription
from lutra.store.errors import StoreClosedError

E = TypeVar("E", bound=Event)


@pytest.fixture
async def ana(tmp_path: Path) -> AsyncIterator[Node]:
    node = await (await Home.make(tmp_path, "ana")).start()
    yield node
    await node.close()


@pytest.fixture
async def ben(tmp_path: Path) -> AsyncIterator[Node]:
    node = await (await Home.make(tmp_path, "ben")).start()
    yield node
    await node.close()


async def join(inviter: Node, joiner: Node, group: bytes) -> None:
    invite = await inviter.invite(group)
    await joiner.join(invite.link)


async def next_event(events: Subscription, kind: type[E]) -> E:
    async with asyncio.timeout(20):
        async for event in events:
            if isinstance(event, kind):
                return event
    raise AssertionError("the node was closed")


async def test_groups_and_pages_without_network(tmp_path: Path) -> None:
    home = await Home.make(tmp_path, "ana")
    node = await home.open()
    with node.events() as events:
        group = await node.create_group("  Otters ")
        assert (group.name, group.member, group.ready) == ("Otters", True, True)
        assert [member.name for member in group.members] == ["ana"]
        assert (await next_event(events, GroupsChanged)).group == group.id
        page = await node.create_document(group.id, "Title", "one two")
        assert (await next_event(events, DocumentsChanged)).documents == (page.id,)
    await node.splice(page.id, 4, 3, "three")
    await node.append(page.id, "!")
    await node.set_title(page.id, "Better title")
    assert await node.text(page.id) == "one three!"
    await node.replace_text(page.id, "four")
    assert (await node.document(page.id)).title == "Better title"
    assert (await node.rename_group(group.id, "Beavers")).name == "Beavers"
    assert {change.name for change in await node.history(page.id)} == {"ana"}
    status = await node.status()
    assert (status.groups, status.documents, status.running) == (1, 1, False)
    await node.close()
    await node.close()
    node = await home.open()
    assert await node.text(page.id) == "four"
    assert [view.name for view in await node.groups()] == ["Beavers"]
    assert (await node.status()).drafts == 0
    await node.close()


async def test_errors_change_nothing(tmp_path: Path) -> None:
    node = await (await Home.make(tmp_path, "ana")).open()
    group = await node.create_group("Otters")
    for call in (
        node.create_group(" "),
        node.create_group("x" * 1000),
        node.rename_group(group.id, ""),
        node.invite(group.id, uses=0),
    ):
        with pytest.raises(UsageError):
            await call
    for call in (
        node.group(bytes(32)),
        node.text(bytes(32)),
        node.create_document(bytes(32), "Title"),
        node.open_editor(bytes(32)),
    ):
        with pytest.raises(NotFoundError):
            await call
    with pytest.raises(NotAMemberError):
        await node.remove_person(group.id, bytes(32))
    with pytest.raises(NotRunningError):
        await node.join((await node.invite(group.id)).code)
    assert [view.name for view in await node.groups()] == ["Otters"]
    events = node.events()
    await node.close()
    assert [event async for event in events] == []
    events.close()
    with pytest.raises(StoreClosedError):
        await node.groups()


async def test_two_nodes_join_write_and_know_who_has_what(ana: Node, ben: Node) -> None:
    group = (await ana.create_group("Otters")).id
    page = (await ana.create_document(group, "Page", "from ana")).id
    assert (await ana.document_status(page)).devices == 1
    with ana.events() as events:
        await join(ana, ben, group)
        assert (await next_event(events, MemberJoined)).device == ben.identity.device
    await until_text(ben, page, "from ana")
    await until_status(ana, page, 2)
    await ben.append(page, " and ben")
    await until_text(ana, page, "from ana and ben")
    await until_status(ben, page, 2)
    (peer,) = await ana.peers()
    assert (peer.name, peer.connected, peer.groups) == ("ben", True, (group,))
    assert (await ben.group(group)).name == "Otters"
    sent, received = ana.traffic_bytes()
    assert sent > 0
    assert received > 0
    before = (await ben.document_status(page)).holders
    await ben.close()
    await ana.append(page, "!")
    assert before == 2
    await until_status(ana, page, 1)
    assert (await ana.document_status(page)).waiting_for == ("ben",)


async def test_an_editor_window_and_the_node_share_a_page(ana: Node, ben: Node) -> None:
    group = (await ana.create_group("Otters")).id
    page = (await ana.create_document(group, "Page", "text")).id
    await join(ana, ben, group)
    await until_text(ben, page, "text")
    session = await ana.open_editor(page)
    window = Replica(session.snapshot, session.peer)
    with ana.events() as events, ben.events() as theirs:
        window.edit_body(0, 0, "typed ", {})
        update = window.take_updates()
        assert update is not None
        await session.apply(update)
        own = await next_event(events, DocumentChanged)
        assert (own.author, own.slot) == (ana.identity.device, session.slot)
        await until_text(ben, page, "typed text")
        await ben.append(page, " by ben")
        foreign = await next_event(events, DocumentChanged)
        assert (foreign.author, foreign.slot) == (ben.identity.device, None)
        for update in foreign.updates:
            window.import_updates(update)
        assert "".join(span.text for span in window.body_spans()) == "typed text by ben"
        await session.set_presence(b"anchor", b"head")
        caret = await next_event(theirs, PresenceChanged)
        assert (caret.document, caret.name, caret.anchor) == (page, "ana", b"anchor")
        await session.close()
        gone = await next_event(theirs, PresenceChanged)
        assert (gone.anchor, gone.head) == (None, None)


async def test_invites_that_do_not_work(ana: Node, ben: Node) -> None:
    group = (await ana.create_group("Otters")).id
    invite = await ana.invite(group)
    with pytest.raises(InviteError):
        await ben.join(invite.code[:-1])
    with pytest.raises(NobodyFoundError):
        await ben.join(invite.code)
    with pytest.raises(UsageError):
        await ben.join(invite.code, "nowhere")
    seeking = await ben.join(invite.code, "127.0.0.1:1", wait=0.2)
    assert (seeking.state, seeking.group) == ("seeking", b"")
    assert (await ben.join(invite.code, str(address_of(ana)))).state == "admitted"
    assert await ben.joins() == []
    with pytest.raises(UsageError):
        await ana.join(invite.code, str(address_of(ana)))
    other = await ben.create_group("Badgers")
    theirs = await ben.invite(other.id)
    await ben.revoke_invite(theirs.id)
    with pytest.raises(JoinRefusedError):
        await ana.join(theirs.code, str(address_of(ben)))
    unknown = InviteSecret.generate(os.urandom).code()
    with pytest.raises(JoinRefusedError):
        await ana.join(unknown, str(address_of(ben)))


async def test_a_wrong_address_does_not_keep_from_the_right_one(ana: Node, ben: Node) -> None:
    group = (await ana.create_group("Otters")).id
    invite = await ana.invite(group)
    silent = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    view = await ben.join(invite.link, f"127.0.0.1:{port}")
    assert view.group == group
    silent.close()
    await silent.wait_closed()


async def test_a_removed_device_gets_nothing_more(ana: Node, ben: Node) -> None:
    group = (await ana.create_group("Otters")).id
    page = (await ana.create_document(group, "Page", "before")).id
    await join(ana, ben, group)
    await until_text(ben, page, "before")
    await ana.remove_person(group, ben.identity.person)
    await ana.append(page, " after")

    async def is_out() -> bool:
        return not (await ben.group(group)).member

    await until(is_out, "the removed device knows")
    assert await ben.text(page) == "before"
    with pytest.raises(NotAMemberError):
        await ben.invite(group)
    with pytest.raises(NotAMemberError):
        await ben.append(page, " alone")
    assert await ana.text(page) == "before after"
