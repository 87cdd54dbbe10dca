"""Membership and keys: what removals void, who gets which secrets, what a bad key does."""

from __future__ import annotations

import pytest

from core.groups.parties import SEALING, SIGNING, Log, Party, found, friends, tell
from lutra.groups.control import ADD, CREATE, EPOCH, LINKS, Add, Create, encode_control
from lutra.groups.epochs import make_epoch, make_links
from lutra.groups.errors import ControlError, NotAMemberError
from lutra.groups.group import Group
from lutra.groups.keys import Reception
from lutra.operation import Operation


def roster(party: Party) -> set[int]:
    return {
        number
        for number, key in enumerate(SIGNING)
        if any(item.device == key.public and item.present for item in party.group.members())
    }


def add(party: Party, other: Party) -> list[Operation]:
    made = party.group.add(party.log, other.device, other.sealing.public)
    party.note(made)
    return made


def remove(party: Party, other: Party) -> list[Operation]:
    made = party.group.remove(party.log, other.device)
    party.note(made)
    return made


def meet(*parties: Party) -> None:
    for one in parties:
        for other in parties:
            if one is not other:
                tell(one, other)


def outsider(group: bytes, number: int) -> Party:
    return Party(number, group)


def test_members_share_keys_and_newcomers_read_what_was_before() -> None:
    ana, ben = friends(2)
    before = dict(ana.group.secrets)
    cleo = outsider(ana.group.id, 2)
    add(ben, cleo)
    meet(ana, ben, cleo)
    assert ana.view() == ben.view() == cleo.view()
    assert before.items() <= cleo.group.secrets.items()
    assert cleo.group.current_epoch() == ana.group.current_epoch()
    assert cleo.group.discovery_secret == ana.group.discovery_secret is not None


def test_a_removed_device_gets_no_later_secret() -> None:
    ana, ben, cleo = friends(3)
    held = set(ben.group.secrets)
    remove(ana, ben)
    add(ana, outsider(ana.group.id, 3))
    meet(ana, ben, cleo)
    assert set(ben.group.secrets) == held
    assert set(ana.group.secrets) > held
    assert ben.group.current_epoch() is None
    with pytest.raises(NotAMemberError):
        ben.group.add(ben.log, SIGNING[4].public, SEALING[4].public)
    assert ben.group.reconcile(ben.log) == []
    assert ben.group.reconcile_rank() is None


def test_what_a_removed_device_did_meanwhile_is_void() -> None:
    """Otherwise it would let itself in again through the back door."""
    ana, ben, cleo = friends(3)
    puppet = outsider(ana.group.id, 3)
    add(ben, puppet)
    tell(ben, puppet)
    second = outsider(ana.group.id, 4)
    add(puppet, second)
    remove(ana, ben)
    meet(ana, ben, cleo, puppet, second)
    for party in (ana, cleo):
        assert roster(party) == {0, 2}
        party.note(party.group.reconcile(party.log))
    meet(ana, ben, cleo, puppet, second)
    current = ana.group.current_epoch()
    assert current is not None
    assert current == cleo.group.current_epoch()
    for party in (ben, puppet, second):
        assert current.id not in party.group.secrets


def test_a_removal_voids_concurrent_additions_of_its_target() -> None:
    ana, ben, cleo = friends(3)
    remove(ana, cleo)
    remove(ben, cleo)
    add(ben, cleo)
    meet(ana, ben)
    assert roster(ana) == roster(ben) == {0, 1}
    add(ana, cleo)
    meet(ana, ben, cleo)
    assert roster(ana) == roster(ben) == roster(cleo) == {0, 1, 2}


def test_leaving_does_not_undo_what_one_did() -> None:
    ana, ben = friends(2)
    cleo = outsider(ana.group.id, 2)
    add(ana, outsider(ana.group.id, 3))
    add(ben, cleo)
    remove(ben, ben)
    meet(ana, ben, cleo)
    assert roster(ana) == roster(cleo) == {0, 2, 3}


def test_two_who_remove_each_other_are_both_out() -> None:
    ana, ben, cleo = friends(3)
    remove(ana, ben)
    remove(ben, ana)
    meet(ana, ben, cleo)
    assert roster(ana) == roster(ben) == roster(cleo) == {2}
    cleo.note(cleo.group.reconcile(cleo.log))
    assert cleo.group.current_epoch() is not None


def test_a_removal_by_somebody_removed_meanwhile_is_void() -> None:
    ana, ben, cleo = friends(3)
    remove(ana, ben)
    remove(ben, cleo)
    meet(ana, ben, cleo)
    assert roster(ana) == roster(cleo) == {0, 2}


def test_concurrent_epochs_come_together_and_stay() -> None:
    ana, ben, cleo = friends(3)
    add(ana, outsider(ana.group.id, 3))
    add(ben, outsider(ana.group.id, 4))
    meet(ana, ben, cleo)
    for _ in range(4):
        turns = [(party.group.reconcile_rank(), party) for party in (ana, ben, cleo)]
        due = [(rank, party) for rank, party in turns if rank is not None]
        if not due:
            break
        _, first = min(due, key=lambda item: item[0])
        first.note(first.group.reconcile(first.log))
        meet(ana, ben, cleo)
    assert all(party.group.reconcile_rank() is None for party in (ana, ben, cleo))
    assert ana.view() == ben.view() == cleo.view()
    assert ana.group.current_epoch() == cleo.group.current_epoch() is not None
    assert ana.group.secrets == ben.group.secrets == cleo.group.secrets


def test_all_reconciling_at_once_settles_too() -> None:
    parties = friends(4)
    add(parties[0], outsider(parties[0].group.id, 4))
    add(parties[1], outsider(parties[0].group.id, 5))
    meet(*parties)
    for _ in range(5):
        for party in parties:
            party.note(party.group.reconcile(party.log))
        meet(*parties)
    assert all(party.group.reconcile(party.log) == [] for party in parties)
    assert len({party.group.current_epoch() for party in parties}) == 1


def test_nobody_puts_another_key_in_a_members_place() -> None:
    ana, ben, cleo = friends(3)
    forged = ben.log.sign_control(
        ADD,
        encode_control(Add(cleo.device, ben.sealing.public)),
        epoch=None,
        secret=None,
        previous=ben.group.heads(),
    )
    ben.take([forged])
    meet(ana, ben, cleo)
    remove(ana, ben)
    meet(ana, cleo)
    assert cleo.group.current_epoch() == ana.group.current_epoch() is not None


def test_a_key_nothing_can_be_sealed_to_is_refused() -> None:
    """It would keep everybody from ever changing the group's key again."""
    ana, ben, cleo = friends(3)
    bad = Add(SIGNING[4].public, b"\xff" * 1216)
    with pytest.raises(ControlError):
        ana.group.add(ana.log, bad.device, bad.sealing_key)
    forged = ben.log.sign_control(
        ADD, encode_control(bad), epoch=None, secret=None, previous=ben.group.heads()
    )
    assert ana.group.receive(forged) is Reception.REFUSED
    ben.take([forged])
    ana.note([forged])
    remove(ana, ben)
    tell(ana, cleo)
    assert roster(cleo) == {0, 2}
    assert cleo.group.current_epoch() == ana.group.current_epoch() is not None


def test_strangers_operations_are_not_kept() -> None:
    ana, _ = friends(2)
    stranger = Log(ana.group.id, SIGNING[5])
    heads = ana.group.heads()
    create = encode_control(Create(bytes(32), SEALING[5].public))
    made = [
        stranger.sign_control(CREATE, create, epoch=None, secret=None, previous=()),
        stranger.sign_control(CREATE, create, epoch=None, secret=None, previous=heads),
    ]
    assert [ana.group.receive(item) for item in made] == [Reception.FOREIGN, Reception.WAITING]
    assert ana.group.heads() == heads


def test_a_strangers_creation_does_not_take_the_groups_place() -> None:
    ana, first = found()
    stranger = Log(ana.group.id, SIGNING[5])
    create = encode_control(Create(bytes(32), SEALING[5].public))
    forged = stranger.sign_control(CREATE, create, epoch=None, secret=None, previous=())
    late = Group(ana.group.id, SIGNING[1].public, SEALING[1])
    assert late.receive(forged) is Reception.FOREIGN
    assert [late.receive(item) for item in first] == [Reception.ACCEPTED] * len(first)
    assert late.is_member(ana.device)


def test_an_epoch_for_others_than_the_members_counts_for_nothing() -> None:
    ana, ben = friends(2)
    current = ana.group.current_epoch()
    recipients = {key.public: SEALING[n].public for n, key in enumerate(SIGNING[:3])}
    epoch = make_epoch(ana.group.id, recipients, {}, bytes)
    forged = ben.log.sign_control(
        EPOCH, encode_control(epoch), epoch=None, secret=None, previous=ben.group.heads()
    )
    assert ana.group.receive(forged) is Reception.REFUSED
    assert ana.group.current_epoch() == current


def test_a_member_that_cannot_open_an_epoch_makes_another() -> None:
    ana, ben = friends(2)
    wrong = {ana.device: ana.sealing.public, ben.device: ana.sealing.public}
    epoch = make_epoch(ana.group.id, wrong, ana.group.secrets, lambda size: b"\x07" * size)
    made = ana.log.sign_control(
        EPOCH, encode_control(epoch), epoch=None, secret=None, previous=ana.group.heads()
    )
    ana.take([made])
    tell(ana, ben)
    assert ben.group.current_epoch() is None
    assert ben.group.reconcile_rank() is not None
    ben.note(ben.group.reconcile(ben.log))
    tell(ben, ana)
    assert ana.group.current_epoch() == ben.group.current_epoch() is not None


def test_links_count_only_behind_the_epoch_they_name() -> None:
    """Whether they do must not depend on which of the two arrived first."""
    ana, ben = friends(2)
    add(ana, outsider(ana.group.id, 2))
    newest = ana.group.current_epoch()
    assert newest is not None
    links = make_links(ana.group.id, newest.id, newest.secret, {}, bytes)
    forged = ben.log.sign_control(
        LINKS, encode_control(links), epoch=None, secret=None, previous=ben.group.heads()
    )
    assert ben.group.receive(forged) is Reception.REFUSED
    assert ana.group.receive(forged) is Reception.REFUSED
