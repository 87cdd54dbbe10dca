"""Whether this device should commit now, and what (GROUPS §2.5.3, §2.7)."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field

from lutra.crypto.hashing import blake3_hash
from lutra.groups.authorisation import Auth
from lutra.groups.commits import may_renew
from lutra.groups.contents import Profile
from lutra.groups.control_state import ControlState
from lutra.groups.epochs import EpochNode
from lutra.groups.key_packages import device_of
from lutra.groups.keyring import Keyring
from lutra.groups.reconcile import changes_for
from lutra.mls import Add, Proposal, Remove


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do on the head.

    Attributes:
        head: the epoch to follow.
        proposals: removals and additions, by value.
        unlinked: epoch → data secret that newcomers could not reach yet.
        is_commit: a commit is needed; otherwise links suffice.
    """

    head: EpochNode
    proposals: tuple[Proposal, ...]
    unlinked: dict[bytes, bytes] = field(repr=False)
    is_commit: bool

    def added(self) -> frozenset[bytes]:
        """Return the devices that get a place."""
        return frozenset(
            device_of(item.key_package.leaf.credential)
            for item in self.proposals
            if isinstance(item, Add)
        )


def plan_commit(control: ControlState, keyring: Keyring, device: bytes, now: int) -> Plan | None:
    """Return what this device should do to bring keys in line, or None for nothing.

    Args:
        control: what is known.
        keyring: the device's secrets.
        device: its key.
        now: milliseconds.
    """
    head, auth = control.head(), control.auth()
    if head is None or device not in auth.leaves or device not in head.roster:
        return None
    unserved = control.unserved(head)
    if device in unserved or keyring.group(head.id) is None:
        return None
    changes = changes_for(head, auth, unserved)
    adds = _additions(control, keyring, head, changes.may_add, now)
    removes = [Remove(leaf) for leaf in sorted(head.roster[item] for item in changes.removes)]
    is_open = control.is_gate_open(head)
    is_commit = bool(removes or adds or not is_open or _is_renewal_due(control, keyring, head))
    if is_commit and not removes and not adds:
        is_commit = may_renew(head, auth.devices[device], auth)
    unlinked = _unlinked(control, keyring, head)
    if not is_commit:
        return Plan(head, (), unlinked, is_commit=False) if unlinked and is_open else None
    if control.profile is Profile.ARCHIVE:
        unlinked[head.id] = keyring.secrets[head.id]
    return Plan(head, (*removes, *adds), unlinked, is_commit=True)


def rank_of(
    head: EpochNode, device: bytes, auth: Auth, online: Container[bytes] | None = None
) -> int:
    """Return a device's turn among those ``online``, spread by a hash nobody chooses."""
    able = [
        item
        for item in head.roster
        if item in auth.leaves and (online is None or item == device or item in online)
    ]
    return sorted(able, key=lambda item: blake3_hash(head.id + item)).index(device)


def _additions(
    control: ControlState, keyring: Keyring, head: EpochNode, devices: frozenset[bytes], now: int
) -> list[Add]:
    if not devices:
        return []
    used = [encoded for node in head.path() for encoded in node.packages]
    chosen = [
        control.offers.choose(item, control.everything, now // 1000, used)
        for item in sorted(devices)
    ]
    return [
        Add(package)
        for package in chosen
        if package is not None and package.encoded not in keyring.unfit
    ]


def _is_renewal_due(control: ControlState, keyring: Keyring, head: EpochNode) -> bool:
    if keyring.renewal is None:
        return False
    node = control.tree.get(keyring.renewal)
    return node is None or not head.descends_from(node)


def _unlinked(control: ControlState, keyring: Keyring, head: EpochNode) -> dict[bytes, bytes]:
    """Return held secrets of valid epochs that cannot be reached from the head's own."""
    if control.profile is not Profile.ARCHIVE:
        return {}
    reachable = control.links.reachable(head.id)
    return {
        epoch: secret
        for epoch, secret in keyring.secrets.items()
        if epoch not in reachable and control.tree.get(epoch) is not None
    }
