"""The tables against plain dictionaries, with rollbacks and restarts in between."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from lutra.crypto.signing import SigningKey
from lutra.log import LogHead
from lutra.operation import Extensions, LogKey, Operation, sign_operation
from lutra.store import DocumentRow, OperationState, Store
from lutra.store.errors import StatementError

from .conftest import KEY

GROUPS = (b"g" * 32, b"h" * 32)
EPOCHS = (b"e" * 32, b"f" * 32)
SIGNERS = tuple(SigningKey(bytes([number]) * 32) for number in (1, 2))

signers = st.sampled_from(SIGNERS)
groups = st.sampled_from(GROUPS)
epochs = st.sampled_from(EPOCHS)
places = st.integers(0, 7)
pages = st.integers(0, 2)
states = st.sampled_from(tuple(OperationState))
updates = st.binary(max_size=12)
committed = st.sampled_from((True, True, True, False))


def log_of(group: bytes, page: int) -> bytes:
    """Log 0 of a group is its control log; the others are documents'."""
    return group if page == 0 else group[:31] + bytes([page])


class _Undo(Exception):
    """Makes a transaction roll back."""


@dataclass
class OperationsModel:
    """What the operations and logs tables should hold."""

    arrived: list[tuple[Operation, bytes]] = field(default_factory=list)
    states: dict[bytes, OperationState] = field(default_factory=dict)
    heads: dict[LogKey, tuple[bytes, LogHead]] = field(default_factory=dict)

    def of_log(self, key: LogKey) -> list[Operation]:
        mine = [op for op, _ in self.arrived if op.log_key == key]
        return sorted(mine, key=lambda op: op.seq_num)


class _Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "lutra.db"
        self.store = Store.open(self.path, KEY)

    def write(self, commit: bool, call: Any, *args: Any, **kwargs: Any) -> Any:
        """Call inside a transaction that commits or is undone."""
        try:
            with self.store.transaction():
                result = call(*args, **kwargs)
                if not commit:
                    raise _Undo
        except _Undo:
            return None
        return result

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = Store.open(self.path, KEY)

    def teardown(self) -> None:
        assert self.store.integrity_check(quick=True).ok
        self.store.close()
        self.folder.cleanup()


class OperationsMachine(_Machine):
    def __init__(self) -> None:
        super().__init__()
        self.model = OperationsModel()

    @rule(
        group=groups,
        page=pages,
        signer=signers,
        places=st.sets(places, min_size=1, max_size=4),
        epoch=epochs,
        state=states,
        commit=committed,
    )
    def insert(
        self,
        *,
        group: bytes,
        page: int,
        signer: SigningKey,
        places: set[int],
        epoch: bytes,
        state: OperationState,
        commit: bool,
    ) -> None:
        operations = [
            sign_operation(
                signer,
                seq_num=seq_num,
                backlink=b"b" * 32 if seq_num else None,
                body=os.urandom(8),
                extensions=Extensions(log_of(group, page), "document", group, epoch),
            )
            for seq_num in places
        ]
        taken = {op.seq_num for op in self.model.of_log(operations[0].log_key)}
        if taken & places:
            try:
                self.write(
                    True, self.store.operations.insert_many, operations, group=group, state=state
                )
            except StatementError:
                return
            raise AssertionError("a place was taken twice")
        self.write(commit, self.store.operations.insert_many, operations, group=group, state=state)
        if commit:
            self.model.arrived += [(operation, group) for operation in operations]
            self.model.states |= {operation.id: state for operation in operations}

    @rule(data=st.data(), state=states, commit=committed)
    def set_state(self, data: st.DataObject, state: OperationState, commit: bool) -> None:
        held = [op for op, _ in self.model.arrived]
        chosen = data.draw(st.lists(st.sampled_from(held), max_size=3)) if held else []
        stored = [self.store.operations.at(op.log_key, op.seq_num) for op in chosen]
        numbers = [one.number for one in stored if one is not None]
        assert len(numbers) == len(chosen)
        self.write(commit, self.store.operations.set_state, [*numbers, 10**9], state)
        if commit:
            self.model.states |= {op.id: state for op in chosen}

    @rule(group=groups, page=pages, signer=signers, before=places, commit=committed)
    def prune(self, group: bytes, page: int, signer: SigningKey, before: int, commit: bool) -> None:
        key = LogKey(signer.public, log_of(group, page))
        gone = [op for op in self.model.of_log(key) if op.seq_num < before]
        count = self.write(commit, self.store.operations.delete_before, key, before)
        if commit:
            assert count == len(gone)
            for operation in gone:
                self.model.arrived.remove((operation, group))
                del self.model.states[operation.id]

    @rule(group=groups, page=pages, signer=signers, seq_num=places, time=places, commit=committed)
    def set_head(
        self, *, group: bytes, page: int, signer: SigningKey, seq_num: int, time: int, commit: bool
    ) -> None:
        key, head = LogKey(signer.public, log_of(group, page)), LogHead(seq_num, b"i" * 32, 0, time)
        self.write(commit, self.store.logs.set_head, key, head, group=group)
        if commit:
            self.model.heads[key] = (group, head)

    @invariant()
    def logs_are_alike(self) -> None:
        operations = self.store.operations
        for group in GROUPS:
            for page in range(3):
                for signer in SIGNERS:
                    key = LogKey(signer.public, log_of(group, page))
                    expected = self.model.of_log(key)
                    stored = operations.of_log(key)
                    assert [one.decode() for one in stored] == expected
                    assert [one.state for one in stored] == [
                        self.model.states[op.id] for op in expected
                    ]
                    head = self.model.heads.get(key)
                    assert self.store.logs.head(key) == (head[1] if head else None)
            assert dict(self.store.logs.heads(group)) == {
                key: head for key, (of, head) in self.model.heads.items() if of == group
            }

    @invariant()
    def groups_are_alike(self) -> None:
        operations = self.store.operations
        for group in GROUPS:
            mine = [op for op, of in self.model.arrived if of == group]
            assert operations.count(group) == len(mine)
            control = {op.id for op in mine if op.log == group}
            assert {one.id for one in operations.control(group)} == control
            waiting = [op for op in mine if self.model.states[op.id] is OperationState.WAITING]
            assert {one.id for one in operations.waiting(group)} == {op.id for op in waiting}
            for epoch in EPOCHS:
                assert {one.id for one in operations.waiting(group, epoch)} == {
                    op.id for op in waiting if op.header.extensions.epoch == epoch
                }


@dataclass
class Page:
    """What the documents and drafts tables should hold of one document."""

    row: DocumentRow
    snapshot: bytes | None = None
    tail: list[bytes] = field(default_factory=list)


class DocumentsMachine(_Machine):
    def __init__(self) -> None:
        super().__init__()
        self.pages: dict[bytes, Page] = {}
        self.drafts: dict[bytes, list[tuple[int, bytes]]] = {}
        self.acknowledged: dict[tuple[bytes, LogKey], int] = {}

    def identifier(self, page: int) -> bytes:
        return bytes([page + 1]) * 32

    @rule(page=pages, group=groups, title=st.text("abß獺", max_size=4), time=places, keep=committed)
    def upsert(self, page: int, group: bytes, title: str, time: int, keep: bool) -> None:
        row = DocumentRow(self.identifier(page), group, title, 0, time, author_count=time)
        self.write(keep, self.store.documents.upsert, row)
        if keep:
            self.pages.setdefault(row.id, Page(row)).row = row

    @rule(page=pages, update=updates, keep=committed)
    def append(self, page: int, update: bytes, keep: bool) -> None:
        known = self.pages.get(self.identifier(page))
        if known is not None:
            self.write(keep, self.store.documents.append_tail, known.row.id, update)
            if keep:
                known.tail.append(update)

    @rule(page=pages, snapshot=updates, keep=committed)
    def set_snapshot(self, page: int, snapshot: bytes, keep: bool) -> None:
        known = self.pages.get(self.identifier(page))
        if known is not None:
            self.write(keep, self.store.documents.set_snapshot, known.row.id, snapshot)
            if keep:
                known.snapshot, known.tail = snapshot, []

    @rule(page=pages, update=updates, keep=committed)
    def draft(self, page: int, update: bytes, keep: bool) -> None:
        document = self.identifier(page)
        number = self.write(keep, self.store.drafts.add, document, update)
        if keep:
            self.drafts.setdefault(document, []).append((number, update))

    @rule(page=pages, data=st.data(), keep=committed)
    def publish(self, page: int, data: st.DataObject, keep: bool) -> None:
        document = self.identifier(page)
        drafts = self.drafts.get(document, [])
        through = data.draw(st.sampled_from([0, *(number for number, _ in drafts)]))
        self.write(keep, self.store.drafts.delete_through, document, through)
        if keep:
            self.drafts[document] = [draft for draft in drafts if draft[0] > through]

    @rule(device=signers, author=signers, page=pages, seq_num=places, keep=committed)
    def acknowledge(
        self, device: SigningKey, author: SigningKey, page: int, seq_num: int, keep: bool
    ) -> None:
        key = LogKey(author.public, self.identifier(page))
        self.write(keep, self.store.acknowledgements.record, device.public, [(key, seq_num)])
        if keep:
            before = self.acknowledged.get((device.public, key), -1)
            self.acknowledged[device.public, key] = max(before, seq_num)

    @invariant()
    def documents_are_alike(self) -> None:
        documents = self.store.documents
        for document, page in self.pages.items():
            row = documents.get(document)
            assert row is not None
            assert (row.group, row.title, row.changed, row.author_count) == (
                page.row.group,
                page.row.title,
                page.row.changed,
                page.row.author_count,
            )
            assert row.snapshot_bytes == len(page.snapshot or b"")
            assert row.tail_bytes == sum(map(len, page.tail))
            assert documents.snapshot(document) == page.snapshot
            assert documents.tail(document) == page.tail
        changes = [row.changed for row in documents.list()]
        assert changes == sorted((page.row.changed for page in self.pages.values()), reverse=True)
        assert documents.among((*self.pages, b"other")) == documents.list()

    @invariant()
    def drafts_are_alike(self) -> None:
        for document, expected in self.drafts.items():
            found = [(draft.id, draft.update) for draft in self.store.drafts.list(document)]
            assert found == expected
        waiting = {document for document, drafts in self.drafts.items() if drafts}
        assert set(self.store.drafts.documents_with_drafts()) == waiting

    @invariant()
    def acknowledgements_are_alike(self) -> None:
        for signer in SIGNERS:
            assert self.store.acknowledgements.of(signer.public) == {
                key: seq_num
                for (device, key), seq_num in self.acknowledged.items()
                if device == signer.public
            }
        for (_, key), seq_num in self.acknowledged.items():
            assert self.store.acknowledgements.holders(key, seq_num) == {
                device
                for (device, other), held in self.acknowledged.items()
                if other == key and held >= seq_num
            }


_SETTINGS = settings(
    max_examples=30,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestOperations = OperationsMachine.TestCase
TestOperations.settings = _SETTINGS
TestDocuments = DocumentsMachine.TestCase
TestDocuments.settings = _SETTINGS
