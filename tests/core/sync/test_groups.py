"""Which groups are shared, what others learn about them, and changes while connected."""

from __future__ import annotations

import random
from dataclasses import replace

from core.sync.model import (
    Clock,
    Link,
    ModelNode,
    ModelReplica,
    assert_converged,
    assert_truthful,
    device,
    document_id,
    group_id,
    run,
    secret_of,
    violations,
    wire,
)
from lutra.log import LogHead
from lutra.operation import Extensions, LogKey, Operation, sign_operation
from lutra.sync.events import (
    Closed,
    CloseReason,
    ControlSettled,
    GroupSettled,
    GroupShared,
    GroupWithdrawn,
)
from lutra.sync.frames import (
    Compare,
    Hello,
    Introduce,
    Operations,
    Request,
    Round,
    Want,
    decode_frame,
    encode_frame,
)
from lutra.sync.intersection import group_handle, group_tag, padded_tags
from lutra.sync.session import Session
from lutra.sync.states import Role, Stage

ADA, BEN, CEM = device(1), device(2), device(3)
SHARED, ADAS, BENS = group_id(1), group_id(2), group_id(3)


def pair(
    ada: dict[bytes, frozenset[bytes]], ben: dict[bytes, frozenset[bytes]]
) -> tuple[Clock, ModelNode, ModelNode]:
    clock = Clock()
    nodes = [ModelNode(ModelReplica(k, g), clock) for k, g in ((ADA, ada), (BEN, ben))]
    return clock, nodes[0], nodes[1]


def both() -> frozenset[bytes]:
    return frozenset((ADA.public, BEN.public))


def hello_of(link: Link, side: int) -> Hello:
    link.collect(side)
    frame = decode_frame(link.queues[side][0])
    assert isinstance(frame, Hello)
    return frame


def test_only_tags_of_groups_with_the_peer_in_them_leave_the_device() -> None:
    alone = frozenset((ADA.public,))
    clock, ada, ben = pair({SHARED: both(), ADAS: alone}, {SHARED: both(), BENS: both()})
    link = Link(ada, ben, random.Random(1))
    hello = hello_of(link, 0)
    handshake = link.handshake
    assert group_tag(secret_of(SHARED), handshake, Role.INITIATOR) in hello.tags
    for role in Role:
        assert group_tag(secret_of(ADAS), handshake, role) not in hello.tags
    assert len(hello.tags) == 8
    run([link], clock)
    assert [session.shared_groups for session in link.sessions] == [frozenset((SHARED,))] * 2
    assert not violations(ada, ben)


def test_tags_of_one_channel_mean_nothing_in_another_or_in_the_other_direction() -> None:
    secret = secret_of(SHARED)
    tags = {group_tag(secret, bytes([n]) * 32, role) for n in (1, 2) for role in Role}
    assert len(tags) == 4


def test_padding_hides_the_number_of_groups_and_stays() -> None:
    key = bytes(32)
    for count, size in ((0, 8), (1, 8), (8, 8), (9, 16), (100, 128)):
        tags = [bytes([n]) * 16 for n in range(count)]
        padded = padded_tags(tags, key)
        assert len(padded) == size
        assert len(set(padded)) == size
        assert padded == sorted(padded)
    assert set(padded_tags([b"1" * 16], key)) - set(padded_tags([], key)) == {b"1" * 16}


def test_devices_without_a_common_group_exchange_nothing_but_greetings() -> None:
    clock, ada, ben = pair({ADAS: both()}, {BENS: both()})
    ada.replica.write(ADAS, document_id(1), b"secret")
    link = Link(ada, ben, random.Random(1))
    run([link], clock)
    assert [session.statistics.frames_sent for session in link.sessions] == [1, 1]


def test_a_device_that_knows_the_secret_but_is_no_member_gets_nothing() -> None:
    """Ben knows the discovery secret and believes that he is a member."""
    clock, ada, ben = pair({SHARED: both()}, {SHARED: both()})
    ada.replica.removed[SHARED].add(BEN.public)
    ada.replica.write(SHARED, document_id(1), b"text")
    link = Link(ada, ben, random.Random(1))
    run([link], clock)
    assert ben.replica.contents(SHARED) == {}
    # He cannot even see that Ada is in the group.
    assert link.sessions[0].statistics.frames_sent == 1
    assert [session.shared_groups for session in link.sessions] == [frozenset()] * 2


def test_a_member_removed_while_away_is_told_once_and_gets_no_document() -> None:
    for turned in (False, True):
        clock, ada, ben = pair({SHARED: both()}, {SHARED: both()})
        ada.replica.write(SHARED, SHARED, BEN.public, kind="group.remove")
        ada.replica.write(SHARED, document_id(1), b"text")
        ben.replica.write(SHARED, SHARED, b"from ben", kind="group.note")
        ben.replica.write(SHARED, document_id(2), b"ben's text")
        link = Link(*((ben, ada) if turned else (ada, ben)), random.Random(1))
        run([link], clock, random.Random(2))
        assert not violations(ada, ben)
        assert BEN.public in ben.replica.removed[SHARED]
        # What he did without knowing it is for the group's rules to judge; his pages are not sent.
        assert {key.log for key in ada.replica.contents(SHARED)} == {SHARED, document_id(1)}
        assert len(ada.replica.contents(SHARED)) == 3
        assert {key.log for key in ben.replica.contents(SHARED)} == {SHARED, document_id(2)}
        assert [session.shared_groups for session in link.sessions] == [frozenset()] * 2
        link.cut()
        link = Link(ada, ben, random.Random(1))
        run([link], clock, random.Random(3))
        assert [session.statistics.frames_sent for session in link.sessions] == [1, 1]
        assert len(ada.replica.tellings) == 1


def test_a_member_removed_while_away_that_asks_for_documents_gets_none() -> None:
    clock, ada, ben = pair({SHARED: both()}, {SHARED: both()})
    ada.replica.write(SHARED, SHARED, BEN.public, kind="group.remove")
    ada.replica.write(SHARED, document_id(1), b"text")
    # Ben's program does not care what it is told.
    ben.replica.may_sync = lambda group, device: True  # type: ignore[method-assign]
    link = Link(ben, ada, random.Random(1))
    run([link], clock, random.Random(2))
    assert {key.log for key in ben.replica.contents(SHARED)} == {SHARED}
    assert link.sessions[1].shared_groups == frozenset()


def test_who_was_removed_listens_to_a_member_that_has_added_it_again() -> None:
    for turned in (False, True):
        clock, ada, ben = pair({SHARED: both()}, {SHARED: both()})
        ben.replica.removed[SHARED].add(BEN.public)
        ada.replica.write(SHARED, document_id(1), b"text")
        ada.replica.write(SHARED, SHARED, BEN.public, kind="group.add")

        def keep(group: bytes, operation: Operation, own: ModelReplica = ben.replica) -> None:
            if operation.kind == "group.add":
                own.removed[SHARED].clear()
            ModelReplica.keep(own, group, operation)

        ben.replica.keep = keep  # type: ignore[method-assign]
        link = Link(*((ben, ada) if turned else (ada, ben)), random.Random(1))
        run([link], clock, random.Random(2))
        assert not violations(ada, ben)
        assert_converged(ada.replica, ben.replica)
        assert all(session.stage(SHARED) is Stage.LIVE for session in link.sessions)


def newcomer() -> tuple[Clock, ModelNode, ModelNode, ModelNode]:
    """Ada has added Ben; Cem, a member too, has not heard of it."""
    clock = Clock()
    founders = {SHARED: frozenset((ADA.public, CEM.public))}
    ada, ben, cem = (ModelNode(ModelReplica(k, dict(founders)), clock) for k in (ADA, BEN, CEM))
    cem.replica.write(SHARED, SHARED, b"from cem", kind="group.note")
    cem.replica.write(SHARED, document_id(1), b"cem's text")
    for number in range(300):
        ada.replica.write(SHARED, SHARED, b"note %d" % number, kind="group.note")
    ada.replica.write(SHARED, SHARED, BEN.public, kind="group.add")
    key = next(iter(ada.replica.logs[SHARED]))
    ben.replica.ingest(SHARED, ada.replica.operations_after(key, None, 10**7), ADA.public)
    ben.replica.write(SHARED, document_id(2), b"ben's text")
    return clock, ada, ben, cem


def test_a_newcomer_introduces_itself_to_a_member_that_has_not_heard_of_it() -> None:
    for turned in (False, True):
        clock, _, ben, cem = newcomer()
        link = Link(*((cem, ben) if turned else (ben, cem)), random.Random(1))
        run([link], clock, random.Random(2))
        assert not violations(ben, cem)
        assert all(session.stage(SHARED) is Stage.LIVE for session in link.sessions)
        assert_converged(ben.replica, cem.replica)
        assert_truthful(ben.replica, cem.replica)
        assert len(ben.replica.contents(SHARED)) == 4


def test_who_cannot_prove_membership_gives_control_operations_and_gets_nothing() -> None:
    clock, _, ben, cem = newcomer()
    # Mallory holds Ben's group, secret and all, but nobody has added her.
    mallory = ModelNode(ModelReplica(device(9), {SHARED: frozenset((ADA.public,))}), clock)
    mallory.replica.founders[SHARED] |= {device(9).public, CEM.public}
    for logs in ben.replica.logs[SHARED].values():
        for operation in logs.operations:
            mallory.replica.keep(SHARED, operation)
    link = Link(mallory, cem, random.Random(1))
    run([link], clock)
    mallory.write(SHARED, document_id(5), b"spam")
    cem.write(SHARED, SHARED, b"for members only", kind="group.note")
    cem.write(SHARED, document_id(1), b"for members only")
    link.sessions[1].presence(SHARED, document_id(1), b"for members only")
    run([link], clock)
    assert not violations(mallory, cem)
    assert link.sessions[1].shared_groups == frozenset()
    assert mallory.events == []
    own = [key for key in mallory.replica.contents(SHARED) if key.author == CEM.public]
    assert own == []
    assert all(
        key.log == SHARED or key.author == CEM.public for key in cem.replica.contents(SHARED)
    )


def test_who_introduces_itself_can_ask_for_nothing() -> None:
    for question in (
        Request(b"", [Want(LogKey(CEM.public, SHARED), None)]),
        Request(b"", [Want(LogKey(CEM.public, document_id(1)), None)]),
        Round(b"", True, True, [Compare(None, 0, bytes(20))], []),
        Round(b"", False, True, [Compare(None, 0, bytes(20))], []),
    ):
        _, _, ben, cem = newcomer()
        link = Link(ben, cem, random.Random(1))
        link.collect(0)
        link.sessions[1].receive(link.queues[0].popleft())
        link.collect(1)
        assert isinstance(decode_frame(link.queues[1][-1]), Introduce)
        handle = group_handle(secret_of(SHARED), link.handshake)
        link.sessions[1].receive(encode_frame(replace(question, handle=handle)))
        assert link.sessions[1].close_reason is CloseReason.STATE


def test_control_operations_come_before_documents() -> None:
    clock, ada, ben = pair({SHARED: both()}, {SHARED: both()})
    for number in range(400):
        ada.replica.write(SHARED, document_id(number % 7), b"text")
        ada.replica.write(SHARED, SHARED, b"control", kind="group.note")
        ben.replica.write(SHARED, SHARED, b"control", kind="group.note")
    link = Link(ada, ben, random.Random(1))
    kinds: list[bool] = []
    receive = link.sessions[1].receive

    def recording(frame: bytes) -> None:
        decoded = decode_frame(frame)
        if isinstance(decoded, Operations):
            kinds.extend(header_log(entry.header) == SHARED for entry in decoded.operations)
            if False in kinds:
                assert link.sessions[1].stage(SHARED) is not Stage.CONTROL
        receive(frame)

    link.sessions[1].receive = recording  # type: ignore[method-assign]
    run([link], clock)
    assert kinds == [True] * 400 + [False] * 400
    for node in (ada, ben):
        assert node.events == [GroupShared(SHARED), ControlSettled(SHARED), GroupSettled(SHARED)]
    assert_converged(ada.replica, ben.replica)
    assert_truthful(ada.replica, ben.replica)


def header_log(header: bytes) -> bytes:
    at = header.index(b"\x63log\x58\x20") + 6
    return header[at : at + 32]


def test_open_documents_come_first() -> None:
    clock, ada, ben = pair({SHARED: both()}, {SHARED: both()})
    for number in range(3000):
        ada.replica.write(SHARED, document_id(number), b"text")
    ada.replica.open_documents = [document_id(2900)]
    link = Link(ada, ben, random.Random(1))
    order: list[bytes] = []
    ingest = ben.replica.ingest

    def recording(group: bytes, operations: list[object], source: bytes) -> object:
        order.extend(header_log(entry.header) for entry in operations)  # type: ignore[attr-defined]
        if len(order) == 128:
            ada.replica.open_documents = [document_id(2999)]
            link.sessions[0].priority_changed(SHARED)
        return ingest(group, operations, source)  # type: ignore[arg-type]

    ben.replica.ingest = recording  # type: ignore[method-assign, assignment]
    run([link], clock)
    assert order[0] == document_id(2900)
    # Opened later, it still overtakes all that had not left.
    assert order.index(document_id(2999)) < 2000
    assert len(order) == 3000


def test_a_member_removed_while_connected_gets_the_removal_and_nothing_after_it() -> None:
    clock, ada, ben = pair({SHARED: both()}, {SHARED: both()})
    link = Link(ada, ben, random.Random(1))
    run([link], clock)
    ada.write(SHARED, SHARED, BEN.public, kind="group.remove")
    ada.write(SHARED, document_id(1), b"not for ben")
    run([link], clock)
    ada.write(SHARED, document_id(1), b"not for ben either")
    run([link], clock)
    assert len(ben.replica.contents(SHARED)) == 1
    assert ben.replica.roster(SHARED) == {ADA.public}
    assert GroupWithdrawn(SHARED) in ada.events
    assert GroupWithdrawn(SHARED) in ben.events
    assert not violations(ada, ben)
    assert all(not session.shared_groups for session in link.sessions)


def test_a_removed_member_that_still_sends_is_not_heard_and_the_session_goes_on() -> None:
    clock, ada, ben = pair({SHARED: both(), BENS: both()}, {SHARED: both(), BENS: both()})
    link = Link(ada, ben, random.Random(1))
    run([link], clock)
    # Both happen before either side hears of the other.
    ada.write(SHARED, SHARED, BEN.public, kind="group.remove")
    for number in range(200):
        ben.write(SHARED, document_id(number), b"crossing" * 100)
    run([link], clock)
    assert not violations(ada, ben)
    ben.write(BENS, document_id(1), b"the other group goes on")
    run([link], clock)
    assert len(ada.replica.contents(BENS)) == 1


def test_a_member_may_be_removed_at_any_point_of_the_exchange() -> None:
    for turned in (False, True):
        for moment in range(30):
            clock, ada, ben = pair({SHARED: both()}, {SHARED: both()})
            for number in range(5):
                ada.replica.write(SHARED, document_id(number), b"text")
                page = ben.replica.write(SHARED, document_id(number), b"text")
                ada.replica.ingest(SHARED, [wire(page)], BEN.public)
            link = Link(*((ben, ada) if turned else (ada, ben)), random.Random(1))

            def remove(step: int, at: int = moment, by: ModelNode = ada) -> bool:
                if step == at:
                    by.write(SHARED, SHARED, BEN.public, kind="group.remove")
                return step < at

            run([link], clock, random.Random(moment), at_step=remove)
            assert not violations(ada, ben)
            assert [session.statistics.violations for session in link.sessions] == [0, 0]
            assert ben.replica.roster(SHARED) == {ADA.public}
            assert all(not session.shared_groups for session in link.sessions)


def test_a_group_joined_while_connected_is_shared_at_once() -> None:
    clock, ada, ben = pair({SHARED: both()}, {SHARED: both()})
    link = Link(ada, ben, random.Random(1))
    run([link], clock)
    for node in (ada, ben):
        replica = node.replica
        replica.founders[ADAS] = both()
        replica.logs[ADAS] = {}
        replica.added[ADAS] = set()
        replica.removed[ADAS] = set()
        for control in (True, False):
            replica.sets[ADAS, control] = type(replica.sets[SHARED, control])()
    ada.replica.write(ADAS, document_id(9), b"waiting")
    for session in link.sessions:
        session.groups_changed()
    run([link], clock)
    assert not violations(ada, ben)
    assert_converged(ada.replica, ben.replica)
    assert_truthful(ada.replica, ben.replica)
    assert len(ben.replica.contents(ADAS)) == 1


def test_a_group_shared_again_in_the_same_session_asks_for_a_new_connection() -> None:
    clock, ada, ben = pair({SHARED: both()}, {SHARED: both()})
    link = Link(ada, ben, random.Random(1))
    run([link], clock)
    ada.replica.removed[SHARED].add(BEN.public)
    link.sessions[0].groups_changed()
    run([link], clock)
    ada.replica.removed[SHARED].clear()
    link.sessions[0].groups_changed()
    run([link], clock)
    assert {closed.reason for closed in violations(ada, ben)} == {CloseReason.RESTART}
    link.cut()
    again = Link(ada, ben, random.Random(2))
    run([again], clock)
    assert all(session.shared_groups == {SHARED} for session in again.sessions)


def test_versions_that_do_not_meet_and_silence_end_the_session() -> None:
    clock, ada, ben = pair({SHARED: both()}, {SHARED: both()})
    link = Link(ada, ben, random.Random(1))
    clock.now = 11.0
    for session in link.sessions:
        session.tick()
    link.collect(0)
    closed = ada.events[-1]
    assert isinstance(closed, Closed)
    assert closed.reason is CloseReason.TIMEOUT
    assert link.sessions[0].closed
    assert link.sessions[0].deadline is None


def test_a_goodbye_ends_both_sides() -> None:
    clock, ada, ben = pair({SHARED: both()}, {SHARED: both()})
    link = Link(ada, ben, random.Random(1))
    run([link], clock)
    link.sessions[0].close("Shutting down.")
    run([link], clock)
    assert ada.events[-1] == Closed(CloseReason.DONE, "Shutting down.", by_peer=False)
    assert ben.events[-1] == Closed(CloseReason.DONE, "Shutting down.", by_peer=True)


def fork(replica: ModelReplica, body: bytes, head: LogHead | None) -> None:
    """Sign a second operation for a place of one's own log, as a cheating device would."""
    operation = sign_operation(
        replica.key,
        seq_num=head.seq_num + 1 if head else 0,
        backlink=head.id if head else None,
        body=body,
        extensions=Extensions(log=document_id(1), kind="document", group=SHARED),
    )
    replica.keep(SHARED, operation)


def test_forks_are_proven_frozen_and_known_to_everybody() -> None:
    clock = Clock()
    everyone = frozenset((ADA.public, BEN.public, CEM.public))
    nodes = [ModelNode(ModelReplica(k, {SHARED: everyone}), clock) for k in (ADA, BEN, CEM)]
    ada, ben, cem = nodes
    # A copy of Ada's device writes different things to Ben and to Cem.
    twin = ModelReplica(ADA, {SHARED: everyone})
    for number in range(3):
        ada.replica.write(SHARED, document_id(1), b"common %d" % number)
        twin.ingest(
            SHARED,
            [*ada.replica.operations_after(ada_key(ada), number - 1 if number else None, 1)],
            b"",
        )
    for number in range(4):
        ada.replica.write(SHARED, document_id(1), b"to ben %d" % number)
        twin.write(SHARED, document_id(1), b"to cem %d" % number)
    key = ada_key(ada)
    ben.replica.ingest(SHARED, ada.replica.operations_after(key, None, 10_000), ADA.public)
    cem.replica.ingest(SHARED, twin.operations_after(key, None, 10_000), ADA.public)
    link = Link(ben, cem, random.Random(1))
    run([link], clock)
    assert not violations(ben, cem)
    for node in (ben, cem):
        assert node.replica.proofs[SHARED, key][0] == 3
        assert len(node.replica.contents(SHARED)[key]) == 3
    assert_converged(ben.replica, cem.replica)
    # A third device learns of it from either, also while the others write.
    dan = ModelNode(ModelReplica(device(4), {SHARED: everyone | {device(4).public}}), clock)
    ben.replica.founders[SHARED] |= {device(4).public}
    run([Link(ben, dan, random.Random(2))], clock)
    assert dan.replica.proofs[SHARED, key][0] == 3
    assert_converged(ben.replica, dan.replica)
    assert not violations(ben, dan)


def ada_key(node: ModelNode) -> tuple[bytes, bytes]:
    return next(iter(node.replica.logs[SHARED]))


def test_presence_reaches_the_peer_newest_first_and_is_limited() -> None:
    clock, ada, ben = pair({SHARED: both()}, {SHARED: both()})
    link = Link(ada, ben, random.Random(1))
    run([link], clock)
    left = link.sessions[0]
    for number in range(100):
        left.presence(SHARED, document_id(1), b"caret %d" % number)
    left.presence(SHARED, document_id(2), b"other")
    run([link], clock)
    heard = [(event.document, event.data) for event in ben.events if hasattr(event, "data")]
    assert heard == [(document_id(1), b"caret 99"), (document_id(2), b"other")]
    assert left.deadline is None
    left.presence(SHARED, document_id(1), b"next")
    left.outputs()
    left.presence(SHARED, document_id(1), b"too soon")
    assert [out for out in left.outputs() if not isinstance(out, Session)] == []
    assert left.deadline is not None
    assert left.deadline > clock.now
