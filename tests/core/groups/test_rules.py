"""Rules of commits, links, data and deletion, each with somebody who breaks it."""

from __future__ import annotations

import pytest

from core.groups.test_group import agree, invite, people
from lutra.errors import BugError, RemoteError
from lutra.groups import planning
from lutra.groups.acknowledging import ACK_INTERVAL_MS
from lutra.groups.commits import MAX_KEY_ONLY
from lutra.groups.contents import (
    CREATE,
    CUT,
    KEYLINK,
    Cut,
    ExtendCuts,
    KeyLink,
    Role,
    decode_content,
    encode_content,
)
from lutra.groups.keyring import Keyring
from lutra.groups.keys import Reception
from lutra.groups.links import seal_links
from lutra.groups.retention import LEFT_FOR_MS, MAX_EPOCHS, deletable
from lutra.mls import committing
from sim.device import Clock, Device, settle, synchronise


def renew(device: Device) -> list[object]:
    return device.do(lambda group: group.renew(device))


def test_chains_of_renewals_are_short() -> None:
    clock = Clock()
    anna, ben = people(clock, "anna", "ben")
    made = [renew(anna) for _ in range(MAX_KEY_ONLY + 3)]
    assert sum(map(len, made)) == MAX_KEY_ONLY
    synchronise(anna, ben)
    assert renew(ben)
    synchronise(anna, ben)
    assert renew(anna)


def test_too_long_a_chain_is_invalid(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    anna, _ = people(clock, "anna", "ben")
    monkeypatch.setattr(planning, "may_renew", lambda *_: True)
    for _ in range(MAX_KEY_ONLY):
        renew(anna)
    with pytest.raises(BugError):
        renew(anna)


def test_a_withheld_chain_displaces_no_branch_of_two_persons() -> None:
    clock = Clock()
    anna, ben, mallory = people(clock, "anna", "ben", "mallory")
    for _ in range(MAX_KEY_ONLY):
        renew(mallory)
    renew(anna)
    # A day later Ben says where he stands, though nothing is contested yet.
    clock.now += ACK_INTERVAL_MS
    settle(clock, anna, ben, seconds=30)
    honest = anna.group.current_epoch()
    assert honest is not None
    anna.deliver(anna.lacks(mallory))
    ben.deliver(ben.lacks(mallory))
    assert {anna.group.current_epoch(), ben.group.current_epoch()} == {honest}


def test_nobody_is_added_who_did_not_offer_a_key_package() -> None:
    clock = Clock()
    anna, ben = people(clock, "anna", "ben")
    dora = Device("dora", "dora", clock)
    anna.do(lambda group: group.add_person(anna, dora.person, Role.WRITER, evidence=dora.evidence))
    settle(clock, anna, ben)
    assert anna.group.is_member(dora.id)
    head = anna.group.control.head()
    assert head is not None
    assert dora.id not in head.roster
    assert anna.group.current_epoch() is not None


def test_keepers_hold_no_keys() -> None:
    clock = Clock()
    anna, ben = people(clock, "anna", "ben")
    keeper = Device("keeper", "keeper", clock)
    invite(anna, keeper, Role.KEEPER)
    settle(clock, anna, ben, keeper)
    assert keeper.group.is_member(keeper.id)
    assert keeper.group.secrets == {}
    assert keeper.group.heads() == anna.group.heads()
    anna.do(lambda group: group.set_role(anna, keeper.person, Role.READER))
    settle(clock, anna, ben, keeper)
    agree(anna, ben, keeper)
    assert set(keeper.group.secrets) == set(anna.group.secrets)


def test_links_under_an_epoch_that_holds_the_removed_are_refused() -> None:
    clock = Clock()
    anna, ben, cleo = people(clock, "anna", "ben", "cleo")
    removal = anna.do(lambda group: group.remove_person(anna, cleo.person))
    ben.deliver(removal[:1])
    assert ben.group.current_epoch() is None
    head = ben.group.control.head()
    assert head is not None
    secret = ben.group.secrets[head.id]
    links = seal_links(ben.group.id, secret, {head.id: secret}, ben.random)
    operation = ben.sign_control(
        KEYLINK,
        encode_content(KeyLink(head.id, links)),
        epoch=None,
        secret=None,
        previous=ben.group.heads(),
    )
    assert anna.group.receive(operation) is Reception.REFUSED


def test_a_path_that_opens_for_some_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 9420 §16.12: those it fails for complain, are added anew, and read everything."""
    clock = Clock()
    anna, ben, cleo, dora = devices = people(clock, "anna", "ben", "cleo", "dora")
    honest = committing.seal_path

    def spoilt(tree, secrets, leaf, context, **options):
        path = honest(tree, secrets, leaf, context, **options)
        node = path.nodes[0]
        first = node.encrypted_path_secrets[0]
        broken = type(first)(first.kem_output, bytes(len(first.ciphertext)))
        sealed = (broken, *node.encrypted_path_secrets[1:])
        return type(path)(path.leaf, (type(node)(node.encryption_key, sealed), *path.nodes[1:]))

    with monkeypatch.context() as context:
        context.setattr(committing, "seal_path", spoilt)
        renew(dora)
    synchronise(*devices)
    failed = [item for item in devices if item.group.current_epoch() != dora.group.current_epoch()]
    assert failed
    settle(clock, *devices, seconds=180)
    agree(*devices)
    assert len({frozenset(device.group.secrets) for device in (anna, ben, cleo)}) == 1


def test_data_is_accepted_from_writers_under_the_head_they_knew_and_within_the_cut() -> None:
    clock = Clock()
    anna, ben, cleo = people(clock, "anna", "ben", "cleo")
    log = bytes(32)
    epoch, heads = ben.group.current_epoch(), ben.group.heads()
    assert epoch is not None

    def accepts(seq_num: int, **changed: object) -> bool | None:
        place = {"epoch": epoch.id, "heads": heads, **changed}
        return anna.group.accepts(ben.id, log, seq_num, **place)

    assert accepts(7)
    assert accepts(7, epoch=bytes(32)) is False
    assert accepts(7, heads=(bytes(32),)) is None
    anna.do(lambda group: group.remove_person(anna, ben.person, [Cut(ben.id, log, 5)]))
    assert accepts(5)
    assert accepts(6) is False
    assert accepts(5, heads=anna.group.heads()) is False
    cleo.deliver(cleo.lacks(anna))
    cleo.do(lambda group: group.set_role(cleo, anna.person, Role.READER))
    now = cleo.group.current_epoch()
    assert now is not None
    place = {"epoch": now.id, "heads": cleo.group.heads()}
    assert cleo.group.accepts(anna.id, log, 0, **place) is False


def test_cuts_are_extended_by_those_who_accepted_more_before_they_knew() -> None:
    clock = Clock()
    anna, ben, cleo, rita = people(clock, "anna", "ben", "cleo", "rita")
    anna.do(lambda group: group.set_role(anna, rita.person, Role.READER))
    settle(clock, anna, ben, cleo, rita)
    log, other = bytes(32), bytes([1]) * 32
    epoch, heads = ben.group.current_epoch(), ben.group.heads()
    assert epoch is not None

    def accepts(device: Device, seq_num: int, where: bytes = log) -> bool | None:
        return device.group.accepts(ben.id, where, seq_num, epoch=epoch.id, heads=heads)

    assert accepts(cleo, 9)
    anna.do(lambda group: group.remove_person(anna, ben.person, [Cut(ben.id, log, 5)]))
    ((removal, person, cuts),) = anna.group.live_removals()
    assert (person, cuts) == (ben.person, {(ben.id, log): 5})
    assert [accepts(anna, number) for number in (5, 6)] == [True, False]

    settle(clock, anna, cleo, rita)
    held = [Cut(ben.id, log, 8), Cut(ben.id, other, 0), Cut(ben.id, log, 3)]
    # Readers vouch for nothing; neither does anybody for what is covered, or not removed.
    assert not rita.do(lambda group: group.extend_cuts(rita, removal, held))
    assert not cleo.do(lambda group: group.extend_cuts(cleo, removal, held[2:]))
    assert not cleo.do(lambda group: group.extend_cuts(cleo, bytes(32), held))
    assert len(cleo.do(lambda group: group.extend_cuts(cleo, removal, held))) == 1
    synchronise(anna, cleo, rita)
    for device in (anna, cleo, rita):
        assert [accepts(device, number) for number in (5, 8, 9)] == [True, True, False]
        assert [accepts(device, number, other) for number in (0, 1)] == [True, False]
        assert device.group.live_removals()[0][2] == {(ben.id, log): 8, (ben.id, other): 0}
    # Nothing goes beyond any more, and nothing ever shrinks.
    assert not cleo.do(lambda group: group.extend_cuts(cleo, removal, held))
    anna.restart()
    assert accepts(anna, 8)


def test_extensions_that_break_a_rule_are_refused() -> None:
    clock = Clock()
    anna, ben, cleo = people(clock, "anna", "ben", "cleo")
    before = cleo.group.heads()
    removal = anna.do(lambda group: group.remove_person(anna, ben.person))[0]
    cleo.deliver(cleo.lacks(anna))

    def extend(removed: bytes, previous: tuple[bytes, ...]) -> Reception:
        body = encode_content(ExtendCuts(removed, (Cut(ben.id, bytes(32), 7),)))
        made = cleo.sign_control(CUT, body, epoch=None, secret=None, previous=previous)
        cleo.deliver([made])
        return anna.deliver([made])[0]

    created = next(iter(cleo.store.operations))
    assert extend(removal.id, before) is Reception.REFUSED
    assert extend(bytes(32), cleo.group.heads()) is Reception.REFUSED
    assert extend(created, cleo.group.heads()) is Reception.REFUSED
    assert anna.group.live_removals()[0][2] == {}
    assert extend(removal.id, cleo.group.heads()) is Reception.ACCEPTED
    assert anna.group.live_removals()[0][2] == {(ben.id, bytes(32)): 7}
    # Those who were not writers by what they knew vouch for nothing.
    anna.do(lambda group: group.set_role(anna, cleo.person, Role.READER))
    cleo.deliver(cleo.lacks(anna))
    assert extend(removal.id, cleo.group.heads()) is Reception.REFUSED


def test_private_state_is_deleted_once_it_is_over() -> None:
    clock = Clock()
    anna, ben = people(clock, "anna", "ben")
    for _ in range(3):
        renew(anna)
        synchronise(anna, ben)
        renew(ben)
        synchronise(anna, ben)
    settle(clock, anna, ben)
    assert len(anna.group._keyring.left) > 1
    # A day later everybody acknowledges the head: it is stable, what lies above it goes.
    clock.now += 25 * 3600 * 1000
    settle(clock, anna, ben)
    assert list(anna.group._keyring.left) == [anna.group.current_epoch().id]
    assert len(anna.group.secrets) > 1


def test_no_more_than_64_epochs_are_held_and_the_head_is_never_deleted() -> None:
    clock = Clock()
    anna, ben = people(clock, "anna", "ben")
    head = anna.group.control.head()
    assert head is not None
    nodes = {number.to_bytes(2, "big"): head for number in range(100)}
    held: dict[bytes, int | None] = {head.id: None, **dict.fromkeys(nodes, 0)}
    nodes[head.id] = head
    gone = deletable(held, nodes, head, stable=None, now=1)
    assert len(held) - len(gone) == MAX_EPOCHS
    assert head.id not in gone
    assert gone == set(list(held)[1 : 1 + len(gone)])
    assert deletable(held, nodes, head, stable=None, now=LEFT_FOR_MS) == held.keys() - {head.id}
    assert ben.group.current_epoch() == anna.group.current_epoch()


def test_secrets_stay_out_of_representations() -> None:
    anna, _ = people(Clock(), "anna", "ben")
    shown = repr(anna.group._keyring) + repr(anna.group.current_epoch()) + repr(anna.setup)
    for secret in anna.group.secrets.values():
        assert repr(secret)[2:-1] not in shown
        assert secret.hex() not in shown


def test_stored_states_are_strict() -> None:
    anna, _ = people(Clock(), "anna", "ben")
    stored = anna.group.private_state()
    tree, services = anna.group.control.tree, anna.setup.services()
    resumed = Keyring.from_bytes(stored, services)
    resumed.open_epochs(tree)
    assert resumed.to_bytes() == stored
    with pytest.raises(RemoteError):
        Keyring.from_bytes(b"\x80", services)


def test_all_contents_have_one_form() -> None:
    clock = Clock()
    anna, ben, cleo = people(clock, "anna", "ben", "cleo")
    anna.do(lambda group: group.remove_person(anna, cleo.person, [Cut(cleo.id, bytes(32), 3)]))
    anna.do(lambda group: group.set_role(anna, ben.person, Role.READER))
    ben.do(lambda group: group.leave(ben))
    kinds = set()
    for operation in anna.store.operations.values():
        body = operation.body or b"\x80"
        assert encode_content(decode_content(operation.kind, body)) == body
        kinds.add(operation.kind)
        with pytest.raises(RemoteError):
            decode_content(CREATE if operation.kind != CREATE else KEYLINK, body)
    assert len(kinds) >= 7
