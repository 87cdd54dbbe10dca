"""What the window knows of the node: reading only what changed gives what reading all gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.node.nodes import Home
from lutra_app.shell.known import Known, read_known


async def test_only_pages_that_changed_are_read(tmp_path: Path) -> None:
    node = await (await Home.make(tmp_path, "ana")).open()
    try:
        group = await node.create_group("Choir")
        made = [await node.create_document(group.id, f"Page {number}") for number in range(5)]
        before = await read_known(node, Known(), None)
        assert len(before.documents) == 5
        await node.edit(made[1].id, lambda content: content.replace_title("Songs"))
        new = await node.create_document(group.id, "New")
        concerned = frozenset((made[1].id, new.id, b"\0" * 32))
        after = await read_known(node, before, concerned)
        everything = await read_known(node, Known(), None)
        assert {page.id: page for page in after.documents} == {
            page.id: page for page in everything.documents
        }
        changed = [page.changed for page in after.documents]
        assert changed == sorted(changed, reverse=True)
        kept = {id(page) for page in before.documents}
        assert sum(id(page) in kept for page in after.documents) == 4
        untouched = await read_known(node, after, frozenset())
        assert untouched.documents is after.documents
    finally:
        await node.close()


async def test_pages_changed_at_one_moment_stand_as_the_node_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A friend's clock that is ahead makes all pages of a sync as new as this moment."""
    monkeypatch.setattr("lutra.node.host.wall_clock", lambda: 1_700_000_000_000)
    node = await (await Home.make(tmp_path, "ana")).open()
    try:
        group = await node.create_group("Choir")
        before = await read_known(node, Known(), None)
        made = [await node.create_document(group.id, f"Page {number}") for number in range(20)]
        after = await read_known(node, before, frozenset(page.id for page in made))
        assert [page.title for page in after.documents] == [
            page.title for page in await node.documents()
        ]
    finally:
        await node.close()
