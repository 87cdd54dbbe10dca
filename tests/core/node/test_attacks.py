"""Members turned malicious, and strangers: what they send changes nothing for anybody else."""

from __future__ import annotations

import pytest

from core.node.world import Device, World
from lutra.crypto.signing import SigningKey
from lutra.groups.contents import OFFER, Offer, Offers
from lutra.groups.key_packages import _CONTEXT
from lutra.mls import Capabilities, Credential, Lifetime, create_key_package
from lutra.node import early
from lutra.node.document_registry import KIND
from lutra.node.engine import Engine
from lutra.node.events import PresenceChanged, Trouble
from lutra.operation import Extensions, LogKey, Operation, sign_operation
from lutra.sync.replica import ForkEvidence, RefusalReason, WireOperation


def friends(world: World, *names: str) -> tuple[bytes, list[Device]]:
    """Return a group and its devices, who know each other and are not connected."""
    devices = [world.add(name) for name in names]
    group = devices[0].run(lambda e: e.create_group("Otters"))
    for device in devices[1:]:
        world.join(devices[0], device, group)
    world.connect_all()
    world.settle()
    world.cut_all()
    return group, devices


def wire(*operations: Operation) -> list[WireOperation]:
    return [WireOperation(item.header_bytes, item.body) for item in operations]


def ingest(device: Device, group: bytes, *operations: Operation) -> list[RefusalReason]:
    report = device.run(lambda e: e.ingest(group, wire(*operations)))
    return [refusal.reason for refusal in report.refused]


def forge(
    device: Device,
    group: bytes,
    log: bytes,
    *,
    key: SigningKey | None = None,
    seq_num: int = 0,
    backlink: bytes | None = None,
    body: bytes = b"x",
    kind: str = KIND,
    previous: tuple[bytes, ...] | None = None,
    epoch: bytes | None = None,
) -> Operation:
    """Sign an operation with a member's key (or another one) without asking its engine."""
    heads = device.engine._groups.get(group).heads()
    return sign_operation(
        key or device.engine.signing_key,
        seq_num=seq_num,
        backlink=backlink,
        body=body,
        extensions=Extensions(
            log=log,
            kind=kind,
            group=group,
            epoch=epoch or bytes(32),
            previous=heads if previous is None else previous,
        ),
    )


def contents(device: Device) -> list[tuple[object, ...]]:
    """Return every row of the tables that hold operations and what came of them."""
    tables = ("operations", "logs", "forks", "groups", "members", "epochs", "documents")
    return [
        tuple(row)
        for table in tables
        for row in device.store.connection.rows(f"SELECT * FROM {table}")
    ]


def test_an_operation_without_its_body_is_refused(world: World) -> None:
    group, (ana, ben, _) = friends(world, "ana", "ben", "cleo")
    document = ana.run(lambda e: e.create_document(group, "Page", "text"))
    (operation,) = ana.run(lambda e: e.operations_of(group, document))
    before = contents(ben)
    stripped = WireOperation(operation.header, None)
    report = ben.run(lambda e: e.ingest(group, [stripped]))
    assert [item.reason for item in report.refused] == [RefusalReason.INVALID]
    assert contents(ben) == before
    assert ben.run(lambda e: e.ingest(group, [operation])).refused == []
    assert ben.text(document) == "text"


def test_nothing_of_strangers_is_stored(world: World) -> None:
    group, (ana, _) = friends(world, "ana", "ben")
    before = contents(ana)
    for number in range(200):
        stranger = SigningKey.generate(world.random_bytes)
        log = world.random_bytes(32)
        kind = ("group.create", "group.add", "group.card", KIND)[number % 4]
        where = group if kind != KIND else log
        unknown = (world.random_bytes(32),)
        for previous in ((), unknown, None):
            forged = forge(ana, group, where, key=stranger, kind=kind, previous=previous)
            assert ingest(ana, group, forged) == [RefusalReason.NOT_PERMITTED]
    assert contents(ana) == before
    ana.restart()
    assert ana.group_name(group) == "Otters"


def test_operations_that_cannot_be_judged_take_bounded_memory(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(early, "MAX_OPERATIONS", 50)
    group, (ana, _) = friends(world, "ana", "ben")
    before = contents(ana)
    for _ in range(100):
        stranger = forge(
            ana,
            group,
            group,
            kind="group.card",
            key=SigningKey.generate(world.random_bytes),
            previous=(world.random_bytes(32),),
        )
        ingest(ana, group, stranger)
    assert len(ana.engine._ingest._early) == 50
    assert contents(ana) == before


def test_what_came_too_early_is_read_once_it_can_be_judged(world: World) -> None:
    group, (ana, ben, cleo) = friends(world, "ana", "ben", "cleo")
    known = {item.id for item in ben.store.operations.control(group)}
    ana.run(lambda e: e.remove_person(group, cleo.engine.persons.id))
    document = ana.run(lambda e: e.create_document(group, "Page", "after"))
    data = ana.run(lambda e: e.operations_of(group, document))
    control = [
        item.decode() for item in ana.store.operations.control(group) if item.id not in known
    ]
    report = ben.run(lambda e: e.ingest(group, data))
    assert [item.reason for item in report.refused] == [RefusalReason.NOT_PERMITTED]
    for operation in reversed(control):
        ingest(ben, group, operation)
    assert ben.text(document) == "after"
    assert ben.epoch(group) == ana.epoch(group)
    ben.restart()
    assert ben.text(document) == "after"
    assert ben.epoch(group) == ana.epoch(group)


def test_edits_under_a_key_that_was_not_the_groups_are_refused(world: World) -> None:
    group, (ana, ben) = friends(world, "ana", "ben")
    epoch = ben.engine._groups.get(group).current_epoch()
    assert epoch is not None
    before = contents(ana)
    document = world.random_bytes(32)
    for made_up in (b"\x07" * 32, group):
        first = forge(ben, group, document, epoch=made_up)
        second = forge(ben, group, document, seq_num=1, backlink=first.id, epoch=epoch.id)
        expected = [RefusalReason.NOT_PERMITTED, RefusalReason.GAP]
        assert ingest(ana, group, first, second) == expected
    assert contents(ana) == before


def test_a_log_stays_in_its_group(world: World) -> None:
    first, (ana, ben) = friends(world, "ana", "ben")
    second = ana.run(lambda e: e.create_group("Badgers"))
    world.join(ana, ben, second)
    world.connect_all()
    world.settle()
    world.cut_all()
    document = ben.run(lambda e: e.create_document(first, "Page", "text"))
    (made,) = ben.run(lambda e: e.operations_of(first, document))
    assert ana.run(lambda e: e.ingest(first, [made])).refused == []
    before = contents(ana)
    again = forge(ben, second, document)
    assert ingest(ana, second, again) == [RefusalReason.NOT_PERMITTED]
    assert contents(ana) == before
    # The id of a group's control logs used for a document's log elsewhere.
    poison = forge(ben, first, second)
    ingest(ana, first, poison)
    ana.restart()
    assert ana.group_name(second) == "Badgers"
    assert ana.text(document) == "text"


def test_a_document_belongs_to_the_group_it_came_in(world: World) -> None:
    first, (ana, ben) = friends(world, "ana", "ben")
    document = ana.run(lambda e: e.create_document(first, "Page", "mine"))
    second = ana.run(lambda e: e.create_group("Badgers"))
    world.join(ana, ben, second)
    world.connect_all()
    world.settle()
    world.cut_all()
    epoch = ben.engine._groups.get(second).current_epoch()
    assert epoch is not None
    ingest(ana, second, forge(ben, second, document, epoch=epoch.id))
    assert ana.run(lambda e: e.queries.document(document)).group == first
    assert ana.text(document) == "mine"


def test_proofs_of_forks_are_kept_only_for_logs_that_are_here(world: World) -> None:
    group, (ana, ben) = friends(world, "ana", "ben")
    before = contents(ana)
    stranger = SigningKey.generate(world.random_bytes)
    for key, log in ((stranger, group), (ben.engine.signing_key, world.random_bytes(32))):
        pair = [forge(ana, group, log, key=key, body=body) for body in (b"one", b"two")]
        evidence = ForkEvidence(pair[0].header_bytes, pair[1].header_bytes)
        assert ana.run(lambda e, p=evidence: e._ingest.ingest_forks(group, [p], ben.device))
    assert contents(ana) == before


def test_a_fork_freezes_its_log_everywhere_and_nothing_else(world: World) -> None:
    group, (ana, ben, cleo) = friends(world, "ana", "ben", "cleo")
    page, other = (
        cleo.run(lambda e, t=title: e.create_document(group, t, "text")) for title in ("A", "B")
    )
    world.connect_all()
    world.settle()
    world.cut_all()
    head = cleo.engine._logs.head(group, LogKey(cleo.device, page))
    assert head is not None
    epoch = cleo.engine._groups.get(group).current_epoch()
    assert epoch is not None
    left, right = (
        forge(cleo, group, page, seq_num=1, backlink=head.id, body=body * 40, epoch=epoch.id)
        for body in (b"l", b"r")
    )
    ingest(ana, group, left)
    ingest(ben, group, right)
    world.connect(ana, ben)
    world.settle()
    for device in (ana, ben):
        assert {fork.id for fork in device.store.forks.list()} == {left.id, right.id}
        assert any(isinstance(item, Trouble) and item.code == "log.fork" for item in device.events)
    world.cut_all()
    cleo.insert(other, "more ")
    world.connect(cleo, ben)
    world.connect(cleo, ana)
    world.settle()
    assert ana.text(other) == ben.text(other) == "more text"
    ana.insert(page, "still ")
    world.settle()
    assert ben.text(page) == "still text"


def test_carets_are_shown_only_in_pages_of_the_senders_group(world: World) -> None:
    group, (ana, ben) = friends(world, "ana", "ben")
    private = ana.run(lambda e: e.create_group("Mine"))
    secret = ana.run(lambda e: e.create_document(private, "Secret", ""))
    shared = ana.run(lambda e: e.create_document(group, "Page", ""))
    world.connect(ana, ben)
    world.settle()
    for document in (secret, shared, world.random_bytes(32)):
        ben.run(lambda e, d=document: e.sessions.send_presence(group, d, b"caret", None))
        world.settle()
    seen = [event for event in ana.events if isinstance(event, PresenceChanged)]
    assert [(event.document, event.device, event.name) for event in seen] == [
        (shared, ben.device, "ben")
    ]


def test_clocks_that_are_years_off_put_no_page_on_top_for_ever(world: World) -> None:
    group, (ana, ben) = friends(world, "ana", "ben")
    ben.skew_ms = 100 * 365 * 86_400_000
    document = ben.run(lambda e: e.create_document(group, "Page", "text"))
    world.connect(ana, ben)
    world.settle()
    view = ana.run(lambda e: e.queries.document(document))
    assert view.changed <= ana.engine._context.now()
    assert view.created <= ana.engine._context.now()
    changes = ana.run(lambda e: e.queries.history(document))
    assert all(change.time <= ana.engine._context.now() for change in changes)


def crafted(
    device: Device, group: bytes, signature_private: bytes, capabilities: Capabilities
) -> Offer:
    """Return a key package that is valid by itself, vouched for by its device."""
    seconds = device.engine._context.now() // 1000
    bundle = create_key_package(
        device.engine._groups._setup().suite_id,
        Credential.basic(device.device),
        signature_private,
        lifetime=Lifetime(seconds - 1000, seconds + 1000),
        capabilities=capabilities,
        grease=False,
        random=device.world.random_bytes,
    )
    encoded = bundle.key_package.encoded
    signature = device.engine.signing_key.sign(_CONTEXT + group + encoded)
    return Offer(device.device, encoded, signature)


@pytest.mark.parametrize("flaw", ["suite", "credential", "key"])
def test_a_key_package_that_fits_no_commit_stops_nobody(world: World, flaw: str) -> None:
    group, (ana, ben, cleo) = friends(world, "ana", "ben", "cleo")
    tablet = world.add("tablet", sibling=ben)
    ben.run(lambda e: e._groups.tend(group))
    replica = ben.engine._groups.get(group)
    suite = replica.suite_id
    head = replica.control.head()
    assert head is not None
    mls = replica._keyring.group(head.id)
    assert mls is not None
    capabilities = {
        "suite": Capabilities(cipher_suites=(1,)),
        "credential": Capabilities(cipher_suites=(suite,), credentials=(2,)),
        "key": Capabilities(cipher_suites=(suite,)),
    }[flaw]
    offer = crafted(tablet, group, mls._state.signature_private, capabilities)
    ben.run(
        lambda e: (
            replica._issue(e._groups.signer(group), OFFER, Offers((offer,))),
            e._groups.save(group),
        )
    )
    assert tablet.device in replica.control.auth().leaves
    for other in (ana, cleo):
        world.connect(ben, other)
    world.settle()
    for other in (ana, cleo):
        for _ in range(3):
            world.clock.seconds += 40
            other.run(Engine.tick)
    dan = world.add("dan")
    world.cut_all()
    world.join(ana, dan, group)
    world.connect(ana, dan)
    world.connect(ana, cleo)
    world.settle()
    assert dan.epoch(group) == ana.epoch(group) == cleo.epoch(group) is not None
    head = ana.engine._groups.get(group).control.head()
    assert head is not None
    assert head.roster.keys() == {ana.device, ben.device, cleo.device, dan.device}
