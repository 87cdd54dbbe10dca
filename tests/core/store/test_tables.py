"""Each table's promises, one by one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lutra.errors import NotFoundError
from lutra.log import LogHead
from lutra.operation import LogKey
from lutra.store import (
    AddressRow,
    DocumentRow,
    GroupRow,
    InviteRow,
    MemberRow,
    OperationState,
    Store,
)
from lutra.store.errors import StatementError

from .conftest import EPOCH, GROUP, MakeLog

APPLIED, WAITING, REFUSED = OperationState
DOCUMENT = b"d" * 32


def document(
    identifier: bytes = DOCUMENT, title: str = "Page", changed: int = 1, group: bytes = GROUP
) -> DocumentRow:
    return DocumentRow(identifier, group, title, created=1, changed=changed, author_count=2)


@pytest.mark.parametrize("value", [b"\x00\xff", "text", 0, -(2**63), 2**63 - 1, ""])
def test_settings_keep_value_and_type(store: Store, value: bytes | str | int) -> None:
    assert store.settings.get("key") is None
    store.settings.set("key", "before")
    store.settings.set("key", value)
    found = store.settings.get("key")
    assert (found, type(found)) == (value, type(value))
    store.settings.set("key", None)
    assert store.settings.get("key") is None


def test_keys_are_replaced_and_deleted(store: Store) -> None:
    store.keys.put("device", b"a" * 32)
    store.keys.put("device", b"b" * 32)
    assert store.keys.get("device") == b"b" * 32
    assert store.keys.get("noise") is None
    store.keys.delete("device")
    assert store.keys.get("device") is None


def test_an_operation_comes_back_whole(store: Store, make_log: MakeLog) -> None:
    with_body, *_ = make_log(1)
    without_body, *_ = make_log(1, log=b"n" * 32, body_bytes=0)
    store.operations.insert(with_body, group=GROUP, state=WAITING)
    store.operations.insert(without_body, group=GROUP, state=APPLIED)
    for operation, state in ((with_body, WAITING), (without_body, APPLIED)):
        stored = store.operations.at(operation.log_key, operation.seq_num)
        assert stored is not None
        assert stored.decode() == operation
        assert stored.state is state
        assert (stored.key, stored.seq_num) == (operation.log_key, operation.seq_num)
    assert store.operations.at(with_body.log_key, 1) is None
    assert store.operations.count() == store.operations.count(GROUP) == 2
    assert store.operations.count(b"h" * 32) == 0


def test_a_log_is_read_in_order_and_in_portions(store: Store, make_log: MakeLog) -> None:
    log = make_log(10)
    store.operations.insert_many(list(reversed(log)), group=GROUP, state=APPLIED)
    key = log[0].log_key
    assert [stored.id for stored in store.operations.of_log(key)] == [op.id for op in log]
    assert [stored.seq_num for stored in store.operations.of_log(key, 6)] == [7, 8, 9]
    assert store.operations.of_log(key, 9) == []
    sizes = [len(op.header_bytes) + len(op.body or b"") for op in log]
    portion = store.operations.of_log(key, None, sum(sizes[:3]))
    assert [stored.seq_num for stored in portion] == [0, 1, 2]
    portion = store.operations.of_log(key, 2, 1)
    assert [stored.seq_num for stored in portion] == [3]
    assert store.operations.of_log(LogKey(b"?" * 32, key.log)) == []
    assert store.operations.id_at(key, 4) == log[4].id
    assert store.operations.id_at(key, 10) is None


def test_logs_of_one_document_by_two_devices_stay_apart(store: Store, make_log: MakeLog) -> None:
    mine, theirs = make_log(3, device=1), make_log(5, device=2)
    store.operations.insert_many([*mine, *theirs], group=GROUP, state=APPLIED)
    assert len(store.operations.of_log(mine[0].log_key)) == 3
    assert len(store.operations.of_log(theirs[0].log_key)) == 5


def test_a_place_of_a_log_is_taken_once(store: Store, make_log: MakeLog) -> None:
    first, fork = make_log(1)[0], make_log(1)[0]
    assert first.id != fork.id
    store.operations.insert(first, group=GROUP, state=APPLIED)
    for again in (first, fork):
        with pytest.raises(StatementError):
            store.operations.insert(again, group=GROUP, state=APPLIED)
    assert store.operations.count() == 1


def test_a_batch_with_one_bad_operation_is_not_stored_at_all(
    store: Store, make_log: MakeLog
) -> None:
    log = make_log(3)
    store.operations.insert(log[2], group=GROUP, state=APPLIED)
    with pytest.raises(StatementError):
        store.operations.insert_many(log, group=GROUP, state=APPLIED)
    assert [stored.id for stored in store.operations.of_log(log[0].log_key)] == [log[2].id]


def test_waiting_operations_are_found_by_epoch(store: Store, make_log: MakeLog) -> None:
    here, other = make_log(3), make_log(2, log=b"o" * 32, epoch=b"f" * 32)
    applied = make_log(1, log=b"p" * 32)
    store.operations.insert_many(here, group=GROUP, state=WAITING)
    store.operations.insert_many(other, group=GROUP, state=WAITING)
    store.operations.insert_many(applied, group=GROUP, state=APPLIED)

    def ids(epoch: bytes | None, group: bytes = GROUP) -> list[bytes]:
        return [stored.id for stored in store.operations.waiting(group, epoch)]

    assert ids(EPOCH) == [op.id for op in here]
    assert ids(b"f" * 32) == [op.id for op in other]
    assert ids(None) == [op.id for op in here + other]
    assert ids(None, b"h" * 32) == ids(EPOCH, b"h" * 32) == []
    numbers = [stored.number for stored in store.operations.waiting(GROUP, EPOCH)]
    store.operations.set_state(numbers[:2], APPLIED)
    store.operations.set_state(numbers[2:], REFUSED)
    assert ids(EPOCH) == []


def test_control_operations_come_in_the_order_of_arrival(store: Store, make_log: MakeLog) -> None:
    mine = make_log(2, device=1, log=GROUP, kind="group.add", epoch=None)
    theirs = make_log(2, device=2, log=GROUP, kind="group.add", epoch=None)
    arrival = [theirs[0], mine[0], mine[1], theirs[1]]
    for operation in arrival:
        store.operations.insert(operation, group=GROUP, state=APPLIED)
    store.operations.insert_many(make_log(4), group=GROUP, state=APPLIED)
    assert [stored.id for stored in store.operations.control(GROUP)] == [op.id for op in arrival]


def test_the_sizes_of_a_log_are_told(store: Store, make_log: MakeLog) -> None:
    log = make_log(4, body_bytes=70)
    key = log[0].log_key
    assert store.operations.sizes_of_log(key) == (0, 0, 0)
    store.operations.insert_many(log[1:], group=GROUP, state=APPLIED)
    assert store.operations.sizes_of_log(key) == (70, 140, 2)


def test_pruning_deletes_what_was_replaced(store: Store, make_log: MakeLog) -> None:
    log, other = make_log(6), make_log(6, device=2)
    store.operations.insert_many(log + other, group=GROUP, state=APPLIED)
    assert store.operations.delete_before(log[0].log_key, 4) == 4
    assert [stored.seq_num for stored in store.operations.of_log(log[0].log_key)] == [4, 5]
    assert len(store.operations.of_log(other[0].log_key)) == 6
    assert store.operations.id_at(log[0].log_key, 3) is None


def test_heads_are_kept_per_group(store: Store) -> None:
    mine, theirs = LogKey(b"a" * 32, DOCUMENT), LogKey(b"b" * 32, DOCUMENT)
    assert store.logs.head(mine) is None
    store.logs.set_head(mine, LogHead(3, b"3" * 32, 1, 9), group=GROUP)
    store.logs.set_heads(
        [(mine, LogHead(4, b"4" * 32, 2, 10)), (theirs, LogHead(0, b"0" * 32))], group=GROUP
    )
    assert store.logs.head(mine) == LogHead(4, b"4" * 32, 2, 10)
    assert dict(store.logs.heads(GROUP)) == {
        mine: LogHead(4, b"4" * 32, 2, 10),
        theirs: LogHead(0, b"0" * 32),
    }
    assert store.logs.heads(b"h" * 32) == []


def test_a_frozen_log_stays_frozen_and_has_its_evidence(store: Store, make_log: MakeLog) -> None:
    first, fork = make_log(1)[0], make_log(1)[0]
    key = first.log_key
    assert not store.logs.is_frozen(key)
    store.operations.insert(first, group=GROUP, state=APPLIED)
    store.forks.add(first)
    store.forks.add(fork)
    store.forks.add(fork)
    store.logs.freeze(key)
    assert store.logs.is_frozen(key)
    assert store.logs.frozen() == [key]
    evidence = store.logs.forks.list(key)
    assert [(one.id, one.header, one.body) for one in evidence] == [
        (one.id, one.header_bytes, one.body) for one in (first, fork)
    ]
    assert store.forks.list() == evidence
    assert store.forks.list(LogKey(b"?" * 32, key.log)) == []
    unknown = LogKey(b"u" * 32, DOCUMENT)
    store.logs.freeze(unknown)
    assert store.logs.is_frozen(unknown)
    assert store.logs.head(unknown) is None


def test_groups_are_replaced_and_changed(store: Store) -> None:
    row = GroupRow(GROUP, "Otters", b"s" * 32, created=1, joined=2, state=b"one")
    store.groups.put(row)
    assert store.groups.get(GROUP) == row
    store.groups.set_state(GROUP, b"two")
    store.groups.set_name(GROUP, "Beavers")
    store.groups.set_left(GROUP, True)
    store.groups.put(GroupRow(b"h" * 32, "ants", b"s" * 32, created=1, joined=2))
    names = [(group.name, group.left, group.state) for group in store.groups.list()]
    assert names == [("ants", False, b""), ("Beavers", True, b"two")]
    assert store.groups.get(b"?" * 32) is None


def test_rows_do_not_show_their_secrets() -> None:
    group = GroupRow(GROUP, "Otters", b"S" * 32, created=1, joined=2, state=b"S" * 8)
    invite = InviteRow(b"i" * 16, GROUP, b"S" * 16, "writer", 9, 1)
    assert "SSSS" not in repr((group, invite))


def test_epochs_come_in_the_order_they_were_put(store: Store) -> None:
    secrets = {bytes([number]) * 32: bytes([255 - number]) * 32 for number in (3, 1, 2)}
    for epoch, secret in secrets.items():
        store.epochs.put(GROUP, epoch, secret)
    store.epochs.put(b"h" * 32, EPOCH, b"x" * 32)
    assert list(store.epochs.all(GROUP).items()) == list(secrets.items())
    assert store.epochs.get(GROUP, b"\x01" * 32) == secrets[b"\x01" * 32]
    assert store.epochs.get(GROUP, EPOCH) is None


def test_a_roster_is_changed_by_device(store: Store) -> None:
    first = MemberRow(b"a" * 32, "Ada", "Laptop", "admin", 1)
    second = MemberRow(b"b" * 32, "Bob", "Phone", "writer", 2, removed=True)
    other = MemberRow(b"c" * 32, "Cy", "Desk", "reader", 3)
    assert not store.members.has_any(GROUP)
    store.members.put(GROUP, [second, first])
    store.members.put(b"h" * 32, [other])
    assert store.members.list(GROUP) == [first, second]
    assert store.members.get(GROUP, second.device) == second
    second = replace(second, device_name="Tablet")
    store.members.put(GROUP, [second], gone=[first.device, other.device])
    assert store.members.list(GROUP) == [second]
    assert store.members.get(GROUP, first.device) is None
    assert store.members.list(b"h" * 32) == [other]
    assert store.members.has_any(GROUP)


def test_an_invite_is_used_as_often_as_it_says(store: Store) -> None:
    row = InviteRow(b"i" * 16, GROUP, b"s" * 16, "writer", expires=100, uses_left=2)
    store.invites.put(row)
    assert store.invites.get(row.id) == row
    assert not store.invites.use(row.id, now=100)
    assert [store.invites.use(row.id, now=99) for _ in range(3)] == [True, True, False]
    store.invites.put(InviteRow(b"j" * 16, GROUP, b"s" * 16, "reader", expires=50, uses_left=9))
    store.invites.revoke(b"j" * 16)
    assert not store.invites.use(b"j" * 16, now=1)
    assert not store.invites.use(b"?" * 16, now=1)
    assert [invite.id[:1] for invite in store.invites.list(GROUP)] == [b"j", b"i"]
    assert store.invites.list(b"h" * 32) == []
    assert len(store.invites.list()) == 2


def test_documents_are_listed_last_changed_first(store: Store) -> None:
    for number in range(5):
        store.documents.upsert(document(bytes([number]) * 32, f"Page {number}", number))
    store.documents.upsert(document(b"x" * 32, "Elsewhere", 9, b"h" * 32))
    store.documents.upsert(document(b"\x01" * 32, "Page 1 again", 10))
    titles = [row.title for row in store.documents.list(GROUP)]
    assert titles == ["Page 1 again", "Page 4", "Page 3", "Page 2", "Page 0"]
    assert [row.title for row in store.documents.list(limit=2, offset=1)] == ["Elsewhere", "Page 4"]
    assert store.documents.list(GROUP, offset=9) == []
    assert (store.documents.count(GROUP), store.documents.count()) == (5, 6)
    assert store.documents.get(b"?" * 32) is None


def test_a_snapshot_drops_the_tail_it_covers(store: Store) -> None:
    documents = store.documents
    documents.upsert(document())
    assert documents.snapshot(DOCUMENT) is None
    numbers = [documents.append_tail(DOCUMENT, update) for update in (b"1", b"22", b"333")]
    documents.set_snapshot(DOCUMENT, b"state 2", through=numbers[1])
    assert documents.snapshot(DOCUMENT) == b"state 2"
    assert documents.tail(DOCUMENT) == [b"333"]
    documents.upsert(document(title="Renamed", changed=5))
    row = documents.get(DOCUMENT)
    assert row is not None
    assert (row.title, row.snapshot_bytes, row.tail_bytes) == ("Renamed", 7, 3)
    last = documents.append_tail_many(DOCUMENT, [b"4444", b"5"])
    assert last == numbers[-1] + 2
    assert documents.tail(DOCUMENT) == [b"333", b"4444", b"5"]
    documents.set_snapshot(DOCUMENT, b"state 4!")
    row = documents.get(DOCUMENT)
    assert row is not None
    assert (documents.tail(DOCUMENT), row.snapshot_bytes, row.tail_bytes) == ([], 8, 0)


def test_content_of_an_unknown_document_is_refused(store: Store) -> None:
    for call in (
        lambda: store.documents.append_tail(DOCUMENT, b"x"),
        lambda: store.documents.set_snapshot(DOCUMENT, b"x"),
        lambda: store.documents.index(DOCUMENT, "x", "x"),
        lambda: store.documents.delete_content(DOCUMENT),
    ):
        with pytest.raises(NotFoundError):
            call()
    assert store.documents.tail(DOCUMENT) == []


def test_a_deleted_document_leaves_no_content(store: Store) -> None:
    documents = store.documents
    documents.upsert(document(title="Secret plan"))
    documents.append_tail(DOCUMENT, b"tail")
    documents.set_snapshot(DOCUMENT, b"state")
    documents.append_tail(DOCUMENT, b"tail")
    documents.index(DOCUMENT, "Secret plan", "dig a holt")
    store.drafts.add(DOCUMENT, b"draft")
    documents.delete_content(DOCUMENT)
    row = documents.get(DOCUMENT)
    assert row is not None
    assert (row.deleted, row.title, row.snapshot_bytes, row.tail_bytes) == (True, "", 0, 0)
    assert documents.snapshot(DOCUMENT) is None
    assert documents.tail(DOCUMENT) == []
    assert store.drafts.list(DOCUMENT) == []
    assert documents.search("holt") == documents.search("plan") == []
    assert documents.list() == []
    assert store.integrity_check().ok


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("otter", {1, 2}),
        ("OTTER", {1, 2}),
        ("tte", {1, 2}),
        ("otter river", {1}),
        ("cafe", {2}),
        ("水獺", {3}),
        ("カワウソ", {3}),
        ("10%", {3}),
        ("0%", {3}),
        ("_", {2}),
        ('say "hi"', {2}),
        ("o* OR river", set()),
        ("missing", set()),
        ("   ", set()),
        ("\0", set()),
        ("\ud800", set()),
    ],
)
def test_search_finds_parts_of_words_in_any_script(
    store: Store, query: str, found: set[int]
) -> None:
    pages = {
        1: ("Otters", "They live by the river."),
        2: ("Café", 'snake_case; an otter may say "hi" there'),
        3: ("水獺", "カワウソは川に。 Up 10% this year"),
    }
    for number, (title, text) in pages.items():
        store.documents.upsert(document(bytes([number]) * 32, title))
        store.documents.index(bytes([number]) * 32, title, text)
    assert {hit.id[0] for hit in store.documents.search(query)} == found


def test_search_follows_changes_groups_and_limits(store: Store) -> None:
    for number in range(4):
        group = GROUP if number < 3 else b"h" * 32
        store.documents.upsert(document(bytes([number]) * 32, f"Page {number}", group=group))
        store.documents.index(bytes([number]) * 32, f"Page {number}", "an otter swims")
    store.documents.index(b"\x00" * 32, "Otter otter", "changed")
    hits = store.documents.search("otter", GROUP)
    assert hits[0].id[0] == 0
    assert {hit.id[0] for hit in hits} == {0, 1, 2}
    assert "otter" in hits[1].excerpt
    assert len(store.documents.search("otter", limit=2)) == 2
    assert [hit.id[0] for hit in store.documents.search("swims", b"h" * 32)] == [3]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(query=st.text(max_size=20), text=st.text(max_size=60))
def test_no_query_breaks_the_search(store: Store, query: str, text: str) -> None:
    text = text.encode("utf-8", "ignore").decode()
    store.documents.upsert(document())
    store.documents.index(DOCUMENT, "", text)
    for hit in store.documents.search(query):
        assert hit.id == DOCUMENT


def test_drafts_are_kept_by_document_until_they_are_published(store: Store) -> None:
    other = b"o" * 32
    first = store.drafts.add(DOCUMENT, b"1")
    second = store.drafts.add(DOCUMENT, b"2")
    elsewhere = store.drafts.add(other, b"3")
    assert first < second < elsewhere
    assert [draft.update for draft in store.drafts.list(DOCUMENT)] == [b"1", b"2"]
    assert store.drafts.documents_with_drafts() == [DOCUMENT, other]
    store.drafts.delete_through(DOCUMENT, first)
    assert [draft.id for draft in store.drafts.list(DOCUMENT)] == [second]
    store.drafts.delete_through(DOCUMENT, elsewhere)
    assert store.drafts.documents_with_drafts() == [other]


def test_draft_ids_are_not_used_twice(store: Store) -> None:
    published = store.drafts.add(DOCUMENT, b"1")
    store.drafts.delete_through(DOCUMENT, published)
    later = store.drafts.add(DOCUMENT, b"2")
    store.drafts.delete_through(DOCUMENT, published)
    assert [draft.id for draft in store.drafts.list(DOCUMENT)] == [later]


def test_acknowledgements_never_go_back(store: Store) -> None:
    laptop, phone = b"l" * 32, b"p" * 32
    one, two = LogKey(b"a" * 32, DOCUMENT), LogKey(b"b" * 32, DOCUMENT)
    store.acknowledgements.record(laptop, [(one, 5), (two, 0)])
    store.acknowledgements.record(laptop, [(one, 3)])
    store.acknowledgements.record(phone, [(one, 6), (one, 4)])
    assert store.acknowledgements.of(laptop) == {one: 5, two: 0}
    assert store.acknowledgements.of(phone) == {one: 6}
    assert store.acknowledgements.of(b"?" * 32) == {}
    assert store.acknowledgements.holders(one, 5) == {laptop, phone}
    assert store.acknowledgements.holders(one, 6) == {phone}
    assert store.acknowledgements.holders(two, 0) == {laptop}
    assert store.acknowledgements.holders(LogKey(b"?" * 32, DOCUMENT), 0) == set()
    assert store.logs.head(one) is None
    store.logs.set_head(one, LogHead(5, b"5" * 32), group=GROUP)
    assert store.logs.heads(GROUP) == [(one, LogHead(5, b"5" * 32))]


def test_old_addresses_make_room(store: Store) -> None:
    device = b"d" * 32
    for port in range(1, 31):
        store.addresses.remember(AddressRow(device, "192.0.2.1", port, port, "mdns"))
    store.addresses.remember(AddressRow(device, "192.0.2.1", 20, 99, "typed"))
    store.addresses.remember(AddressRow(b"e" * 32, "host", 1, 50, "typed"))
    addresses = store.addresses.list(device)
    assert [row.port for row in addresses] == [20, *range(30, 20, -1), *range(19, 14, -1)]
    assert addresses[0] == AddressRow(device, "192.0.2.1", 20, 99, "typed")
    assert [row.last_seen for row in store.addresses.list()][:2] == [99, 50]
    store.addresses.forget(device)
    assert [row.device for row in store.addresses.list()] == [b"e" * 32]


def test_an_integrity_check_finds_a_gap_in_a_log(store: Store, make_log: MakeLog) -> None:
    log = make_log(4)
    store.operations.insert_many([log[0], log[1], log[3]], group=GROUP, state=APPLIED)
    assert store.integrity_check().ok
    store.logs.set_head(log[0].log_key, LogHead(3, log[3].id), group=GROUP)
    assert store.integrity_check(quick=True).ok
    report = store.integrity_check()
    assert report.problems == ("Logs have gaps. (1)",)


def test_no_lookup_reads_a_whole_table(store: Store) -> None:
    """Every query that names a group, log, document or device finds its rows by an index."""
    log, page = LogKey(b"a" * 32, DOCUMENT), DOCUMENT
    seen: list[str] = []
    store.connection._driver.set_trace_callback(seen.append)  # pyright: ignore[reportPrivateUsage]
    store.operations.at(log, 1)
    store.operations.id_at(log, 1)
    store.operations.of_log(log, 1)
    store.operations.sizes_of_log(log)
    store.operations.delete_before(log, 1)
    store.operations.control(GROUP)
    store.operations.set_state([1], APPLIED)
    store.logs.head(log)
    store.logs.heads(GROUP)
    store.logs.is_frozen(log)
    store.documents.get(page)
    store.documents.list(GROUP)
    store.documents.tail(page)
    store.documents.snapshot(page)
    store.drafts.list(page)
    store.drafts.delete_through(page, 1)
    store.epochs.all(GROUP)
    store.members.list(GROUP)
    store.acknowledgements.holders(log, 1)
    store.acknowledgements.of(page)
    store.addresses.list(page)
    store.connection._driver.set_trace_callback(None)  # pyright: ignore[reportPrivateUsage]
    queries = [sql for sql in seen if sql.startswith(("SELECT", "UPDATE", "DELETE"))]
    assert len(queries) >= 20
    for sql in queries:
        plan = [row[3] for row in store.connection.rows(f"EXPLAIN QUERY PLAN {sql}")]
        assert not [step for step in plan if step.startswith("SCAN")], (sql, plan)
