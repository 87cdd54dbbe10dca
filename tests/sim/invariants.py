"""What must hold in every simulated life of a group."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from lutra.errors import RemoteError
from lutra.groups.authorisation import Auth
from lutra.groups.contents import Role
from lutra.groups.control_state import ControlState
from lutra.groups.epochs import EpochNode
from lutra.groups.keys import Reception
from lutra.operation import Operation
from sim.device import Device, directory


class Violation(AssertionError):
    """An invariant does not hold."""


@dataclass(frozen=True)
class Send:
    """Something was encrypted.

    Attributes:
        author: the sending device.
        epoch: under which key.
        removed: devices the sender knew to be out although they had been in.
        removals: ids of the removals it knew to be live.
    """

    author: bytes
    epoch: bytes
    removed: frozenset[bytes]
    removals: frozenset[bytes]


def require(condition: object, message: str) -> None:
    if not condition:
        raise Violation(message)


def head_of(device: Device) -> EpochNode:
    head = device.group.control.head()
    assert head is not None
    return head


def auth_of(device: Device) -> Auth:
    return device.group.control.auth()


def is_settled(device: Device) -> bool:
    """A device is out for good, or can write under a head with the right roster."""
    if device.group.control.head() is None or device.id not in auth_of(device).leaves:
        return True
    epoch = device.group.current_epoch()
    return epoch is not None and head_of(device).roster.keys() == auth_of(device).leaves


def check_receptions(
    receiver: Device,
    operations: Mapping[bytes, Operation],
    results: Iterable[Reception],
    is_honest: Callable[[bytes], bool],
) -> None:
    """Invariant 6: what honest devices make is never invalid."""
    bad = {Reception.REFUSED, Reception.FOREIGN}
    if not bad.intersection(results):
        return
    control = receiver.group.control
    for operation in operations.values():
        if not is_honest(operation.author) or control.history.missing(operation):
            continue
        if operation.id not in control.history:
            raise Violation(f"{receiver} refuses {operation.kind} of an honest device")
        if operation.kind == "group.commit":
            begun = {node.index for node in control.tree}
            require(
                control.history.index(operation.id) in begun,
                f"{receiver} finds an honest commit invalid",
            )


def check_one_secret(device: Device, secrets: dict[bytes, bytes]) -> None:
    """Invariant 11: one epoch, one data secret."""
    for epoch, secret in device.group.secrets.items():
        require(secrets.setdefault(epoch, secret) == secret, "one epoch has two secrets")


def check_admin(device: Device) -> None:
    """Invariant 7: groups with members have an admin."""
    roles = auth_of(device).roles
    require(not roles or Role.ADMIN in roles.values(), "a group has no admin")


def check_not_blocked(device: Device) -> None:
    """Invariant 9: after reconciling once, sending needs nothing from outside."""
    if device.group.control.head() is None or device.id not in auth_of(device).leaves:
        return
    head = head_of(device)
    able = device.group.secret(head.id) is not None and device.id in head.roster
    stale = device.id in device.group.control.unserved(head)
    if able and not stale and device.group._keyring.group(head.id) is not None:
        require(device.group.current_epoch() is not None, f"{device} cannot send")


def send(device: Device) -> Send | None:
    """Send if the gate is open; invariant 3 is recomputed from the rules."""
    epoch = device.group.current_epoch()
    if epoch is None:
        return None
    control, auth = device.group.control, auth_of(device)
    node = control.tree.get(epoch.id)
    assert node is not None
    require(set(node.roster) <= auth.leaves, "a device sends to somebody removed")
    require(auth.removals | node.known == node.known, "a device sends unaware of a removal")
    once = {item for other in control.tree for item in other.roster}
    ids = {
        operation_id
        for operation_id in device.store.operations
        if auth.removals >> control.history.index(operation_id) & 1
    }
    return Send(device.id, epoch.id, frozenset(once - auth.leaves), frozenset(ids))


def view(device: Device) -> tuple[object, ...]:
    """What a restart must bring back."""
    group = device.group
    head = group.control.head()
    return (
        None if head is None else head.id,
        group.heads(),
        group.current_epoch(),
        group.secrets,
        group.roles(),
    )


def check_restart(device: Device, before: tuple[object, ...]) -> None:
    """Invariant 10: a crash at any point equals no crash."""
    require(view(device) == before, f"{device} is another one after a restart")


def check_converged(devices: list[Device]) -> None:
    """Invariant 2: one head, enterable, and its roster is what is authorised."""
    heads = {head_of(device).id for device in devices}
    require(len(heads) == 1, f"connected devices stand on {len(heads)} heads")
    for device in devices:
        if device.id in auth_of(device).leaves:
            require(device.group.current_epoch() is not None, f"{device} cannot enter the head")
            require(
                head_of(device).roster.keys() == auth_of(device).leaves,
                f"{device} sees a wrong roster",
            )


def check_order(device: Device, rng: random.Random) -> None:
    """Invariant 1: another order of arrival gives the same."""
    control = device.group.control
    other = ControlState(device.group.id, directory, device.setup.services())
    waiting = list(device.store.operations.values())
    rng.shuffle(waiting)
    while waiting:
        left: list[Operation] = []
        for operation in waiting:
            if other.history.missing(operation):
                left.append(operation)
                continue
            require(not other.is_foreign(operation), "order decides who is in")
            with suppress(RemoteError):
                other.accept(operation)
        require(len(left) < len(waiting), "an operation lacks what it follows")
        waiting = left
    one, two = control.auth(), other.auth()
    require(one.roles == two.roles, "order decides roles")
    require(one.devices == two.devices, "order decides devices")
    require({node.id for node in control.tree} == {node.id for node in other.tree}, "validity")
    head, same = control.head(), other.head()
    assert head is not None
    assert same is not None
    require(head.id == same.id, "order decides the head")


def check_coalitions(honest: list[Device], everybody: list[Device], sends: list[Send]) -> None:
    """Invariant 4: the removed, all together and with all later links, read nothing gated."""
    reference = next(iter(honest))
    control = reference.group.control
    final = auth_of(reference)
    held = {device.id: set(device.group.secrets) for device in everybody}
    for item in sends:
        known = control.history.closure(item.removals)
        assert known is not None
        readmitted = {
            device
            for node in control.tree
            if not known & ~node.known
            for device in item.removed & node.roster.keys()
        }
        # A removal that was itself undone later protects nobody any more.
        lives = not known or all(
            final.removals >> control.history.index(removal) & 1 for removal in item.removals
        )
        if not lives:
            continue
        for device in item.removed - readmitted - final.leaves:
            require(
                item.epoch not in held.get(device, ()),
                "a removed device reads what was written by one who knew",
            )


def check_archive(honest: list[Device], sends: list[Send]) -> None:
    """Invariant 5: every member reads everything by those who are still in."""
    for device in honest:
        auth = auth_of(device)
        if device.id not in auth.leaves:
            continue
        for item in sends:
            if item.author in auth.leaves:
                require(
                    device.group.secret(item.epoch) is not None,
                    f"{device} cannot read what a member wrote",
                )
