"""`sealed` groups: keys go on use, no epoch is kept once another is entered (GROUPS §2.9)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from core.groups.test_group import agree, invite, people
from lutra.errors import DecryptionError, LutraError
from lutra.groups.contents import COMMIT, EpochCommit, Profile, decode_content
from lutra.groups.data_keys import BodyCipher
from lutra.groups.errors import UnreadableBodyError
from lutra.groups.group import Group
from lutra.mls import Group as MlsGroup
from lutra.mls.errors import MlsRemoteError
from lutra.operation import Extensions, Operation, sign_operation
from sim.device import PAGE, Clock, Device, settle, synchronise


def say(device: Device, text: bytes, last: Operation | None = None) -> Operation:
    """Seal a text for the present epoch, and store the state after it."""
    epoch = device.group.current_epoch()
    assert epoch is not None
    group = device.group
    place = Extensions(PAGE, "document", group.id, epoch.id, group.heads(), device.clock())
    seq_num = 0 if last is None else last.seq_num + 1
    backlink = None if last is None else last.id
    body = group.bodies.seal(
        text, author=device.id, seq_num=seq_num, backlink=backlink, extensions=place
    )
    said = sign_operation(
        device.key, seq_num=seq_num, backlink=backlink, body=body, extensions=place
    )
    device.persist([])
    return said


def read(device: Device, said: Operation) -> bytes:
    assert said.body is not None
    text = device.group.bodies.open(said.header, said.body)
    device.persist([])
    return text


def sealed(clock: Clock, *names: str) -> list[Device]:
    return people(clock, *names, profile=Profile.SEALED)


def opens(group: Group, said: Operation) -> bool:
    assert said.body is not None
    try:
        group.bodies.open(said.header, said.body)
    except (UnreadableBodyError, DecryptionError):
        return False
    return True


def test_a_message_is_read_once_even_by_what_was_stored() -> None:
    anna, ben, cleo = sealed(Clock(), "anna", "ben", "cleo")
    said = say(anna, b"hello")
    assert read(ben, said) == b"hello"
    assert not opens(ben.group, said)
    assert not opens(ben.twin(), said)
    assert not opens(anna.twin(), said)
    assert read(cleo, said) == b"hello"


def test_messages_in_any_order() -> None:
    anna, ben = sealed(Clock(), "anna", "ben")
    said = [say(anna, bytes([number])) for number in range(5)]
    for number in (3, 0, 4, 1, 2):
        ben.restart()
        assert read(ben, said[number]) == bytes([number])


def test_a_crash_never_uses_a_key_twice() -> None:
    anna, ben = sealed(Clock(), "anna", "ben")
    first = say(anna, b"one")
    anna.restart()
    second = say(anna, b"two", first)
    anna.restart()
    third = say(anna, b"three", second)
    assert [read(ben, item) for item in (third, first, second)] == [b"three", b"one", b"two"]
    # Sealed and lost before it was stored or sent: as if it had never been.
    anna.lose(lambda group: _seal_only(anna, group))
    assert read(ben, say(anna, b"four", third)) == b"four"


def _seal_only(device: Device, group: Group) -> None:
    epoch = group.current_epoch()
    assert epoch is not None
    place = Extensions(PAGE, "document", group.id, epoch.id, group.heads(), device.clock())
    group.bodies.seal(b"lost", author=device.id, seq_num=0, backlink=None, extensions=place)
    assert group.unsaved


def test_no_parent_is_kept_once_its_child_is_entered() -> None:
    clock = Clock()
    anna, ben, cleo = devices = sealed(clock, "anna", "ben", "cleo")
    for device in (anna, ben, cleo, anna):
        device.do(lambda group, device=device: group.renew(device))
        synchronise(*devices)
        settle(clock, *devices)
        agree(*devices)
        for one in devices:
            head = one.group.control.head()
            assert head is not None
            held = [node for node in one.group.control.tree if one.group.bodies.can_open(node.id)]
            assert held == [head]


def test_who_loses_a_fork_joins_again() -> None:
    clock = Clock()
    anna, ben, cleo = devices = sealed(clock, "anna", "ben", "cleo")
    for device in (anna, ben):
        device.do(lambda group, device=device: group.renew(device))
    synchronise(*devices)
    settle(clock, *devices)
    agree(*devices)
    said = say(cleo, b"all here")
    assert [read(device, said) for device in (anna, ben)] == [b"all here", b"all here"]


def test_a_member_cannot_pass_off_a_message_as_its_own_nor_use_it_up() -> None:
    anna, ben, cleo = sealed(Clock(), "anna", "ben", "cleo")
    said = say(anna, b"mine")
    stolen = sign_operation(
        cleo.key, seq_num=0, backlink=None, body=said.body, extensions=said.header.extensions
    )
    moved = said.header.extensions._replace(log=bytes(32))
    elsewhere = sign_operation(anna.key, seq_num=0, backlink=None, body=said.body, extensions=moved)
    for forged in (stolen, elsewhere):
        with pytest.raises(DecryptionError):
            read(ben, forged)
    assert read(ben, said) == b"mine"


def test_a_stolen_store_opens_nothing_that_was_read_before() -> None:
    clock = Clock()
    anna, ben, cleo = sealed(clock, "anna", "ben", "cleo")
    said: list[Operation] = []
    for round_ in range(3):
        for device in (anna, ben):
            said.append(say(device, b"text %d" % round_))
            for other in (anna, ben, cleo):
                if other is not device:
                    read(other, said[-1])
        ben.do(lambda group: group.renew(ben))
        settle(clock, anna, ben, cleo)
    said.append(say(anna, b"the last one"))
    read(ben, said[-1])
    dora = Device("dora", "dora", clock)
    invite(anna, dora)
    settle(clock, anna, ben, cleo, dora)
    agree(anna, ben, cleo, dora)
    for device in (anna, ben, cleo, dora):
        assert _opened_by_a_thief(device, said) == []


def _opened_by_a_thief(device: Device, said: Sequence[Operation]) -> list[Operation]:
    """Try everything a device has stored on every message: its state, secrets, key packages."""
    group = device.twin()
    opened = [item for item in said if opens(device.twin(), item)]
    cipher = BodyCipher()
    for item in said:
        for secret in group.secrets.values():
            try:
                cipher.open(secret, item.header, item.body or b"")
            except DecryptionError:
                continue
            opened.append(item)
    held = [group._keyring.group(node.id) for node in group.control.tree]
    states = [state for state in held if state is not None]
    states += _welcomed(device, group)
    for operation in device.store.operations.values():
        if operation.kind == COMMIT:
            content = decode_content(COMMIT, operation.body or b"")
            assert isinstance(content, EpochCommit)
            for state in list(states):
                try:
                    states.append(state.process(content.message).group)
                except LutraError:
                    continue
    for item in said:
        for state in states:
            try:
                state.process(item.body or b"")
            except LutraError:
                continue
            opened.append(item)
    return opened


def _welcomed(device: Device, group: Group) -> list[MlsGroup]:
    """Join again by every welcome that a key package still held opens."""
    joined: list[MlsGroup] = []
    for node in group.control.tree:
        if node.commit is None or node.commit.welcome is None:
            continue
        for bundle in group._keyring.offered():
            try:
                joined.append(
                    MlsGroup.join(
                        node.commit.welcome,
                        bundle,
                        tree=node.public.tree.encode(),
                        services=device.setup.services(),
                    )
                )
            except MlsRemoteError:
                continue
    return joined
