"""Which commits are valid: judged by what their author knew alone, so for good (GROUPS §2.3)."""

from __future__ import annotations

from dataclasses import dataclass

from lutra.groups.authorisation import Auth
from lutra.groups.contents import Create, EpochCommit, Profile
from lutra.groups.epochs import EpochNode, epoch_id_of, roster_of
from lutra.groups.errors import ControlError
from lutra.groups.key_packages import OfferBook, device_of, is_valid_at
from lutra.groups.reconcile import changes_for
from lutra.mls import (
    Add,
    KeyPackage,
    PublicGroup,
    ReceivedCommit,
    Remove,
    Services,
    decode_message,
)
from lutra.mls.framing import SenderType
from lutra.mls.leaf import EXTENSION_EXTERNAL_PUB, EXTENSION_RATCHET_TREE, find_extension
from lutra.mls.messages import GroupInfo
from lutra.mls.proposals import ExternalInit
from lutra.operation import Operation

MAX_KEY_ONLY = 4
"""Commits that only renew keys, one after the other by one person: chains must not be free."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a commit's author knew.

    Attributes:
        index: place of the operation.
        past: everything before it, as a bit set.
        head: the head by that.
        auth: authorisation by that.
        unserved: devices that had asked to be added anew.
        offers: key packages on offer.
        profile: what newcomers may read.
    """

    index: int
    past: int
    head: EpochNode
    auth: Auth
    unserved: frozenset[bytes]
    offers: OfferBook
    profile: Profile


def first_epoch(
    operation: Operation, content: Create, person: bytes, services: Services
) -> EpochNode:
    """Return the epoch a group begins with.

    Raises:
        ControlError: it holds others than the creator's device.
        MlsRemoteError: the MLS group is not valid.
    """
    public = PublicGroup.from_group_info(content.group_info, services=services)
    roster = roster_of(public)
    if public.epoch != 0 or list(roster) != [operation.author]:
        raise ControlError("A group does not begin with its creator alone.")
    if public.group_id != operation.header.extensions.group:
        raise ControlError("A group begins with the keys of another group.")
    return EpochNode(
        id=epoch_id_of(public),
        parent=None,
        index=0,
        known=1,
        author=operation.author,
        person=person,
        seq_num=operation.seq_num,
        public=public,
        roster=roster,
        added=frozenset(roster),
        packages=frozenset(),
        key_only=False,
        commit=None,
        info=content.group_info,
        kid=content.kid,
    )


def check_commit(operation: Operation, content: EpochCommit, around: Circumstances) -> EpochNode:
    """Return the epoch a commit begins.

    What an update path encrypts, the confirmation tag, the external key and the commitment to the
    data secret can be checked by members only.

    Raises:
        ControlError: a rule of GROUPS §2.3 is broken.
        MlsRemoteError: a rule of RFC 9420 is broken.
    """
    parent, author = around.head, operation.author
    if content.parent != parent.id:
        raise ControlError("A commit does not follow the group's head.")
    if author not in around.auth.leaves:
        raise ControlError("A commit comes from a device that is not in the group.")
    received = parent.public.process(content.message, checked=around.offers)
    if not isinstance(received, ReceivedCommit) or not received.has_path:
        raise ControlError("A commit does not renew its author's keys.")
    public = received.group
    is_external = received.sender.sender_type is SenderType.NEW_MEMBER_COMMIT
    committer = public.tree.leaf(received.committer)
    if committer is None or device_of(committer.credential) != author:
        raise ControlError("A commit was made by another device than its operation.")
    added, removed, packages = _membership(received, parent)
    if is_external:
        _check_external(author, added, removed, parent)
    else:
        _check_membership(added, removed, packages, around=around, operation=operation)
    roster = roster_of(public)
    if len(roster) != public.tree.member_count():
        raise ControlError("A commit leaves a device with two places in the group.")
    _check_group_info(content.group_info, public, received.committer)
    key_only = not added and not removed and not is_external
    person = around.auth.devices[author]
    if key_only:
        _check_chain(parent, person, around)
    _check_links(content, around, is_external=is_external)
    return EpochNode(
        id=epoch_id_of(public),
        parent=parent,
        index=around.index,
        known=around.past | 1 << around.index,
        author=author,
        person=person,
        seq_num=operation.seq_num,
        public=public,
        roster=roster,
        added=frozenset((*added, author) if is_external else added),
        packages=frozenset(item.encoded for item in packages.values()),
        key_only=key_only,
        commit=content,
        info=content.group_info,
        kid=content.kid,
    )


def may_renew(parent: EpochNode, person: bytes, auth: Auth) -> bool:
    """Tell whether a person's key-only commit may follow ``parent``."""
    run = 0
    for node in parent.path():
        if not node.key_only or node.person != person:
            break
        run += 1
    if run < MAX_KEY_ONLY or auth.removals & ~parent.known:
        return True
    return len({auth.owner.get(device) for device in parent.roster}) == 1


def _membership(
    received: ReceivedCommit[PublicGroup], parent: EpochNode
) -> tuple[list[bytes], set[bytes], dict[bytes, KeyPackage]]:
    """Return devices added, devices removed, and device → key package."""
    devices = {leaf: device for device, leaf in parent.roster.items()}
    added: list[bytes] = []
    removed: set[bytes] = set()
    packages: dict[bytes, KeyPackage] = {}
    for sent in received.proposals:
        match sent.proposal:
            case Add(package):
                device = device_of(package.leaf.credential)
                added.append(device)
                packages[device] = package
            case Remove(leaf):
                removed.add(devices[leaf])
            case ExternalInit():
                pass
            case _:
                raise ControlError("A commit does more than add and remove.")
    return added, removed, packages


def _check_external(
    author: bytes, added: list[bytes], removed: set[bytes], parent: EpochNode
) -> None:
    if added or removed != {author}.intersection(parent.roster):
        raise ControlError("A device that entered by itself changed more than its own place.")


def _check_membership(
    added: list[bytes],
    removed: set[bytes],
    packages: dict[bytes, KeyPackage],
    *,
    around: Circumstances,
    operation: Operation,
) -> None:
    if operation.author not in around.head.roster:
        raise ControlError("A commit comes from a device without a place in the epoch.")
    changes = changes_for(around.head, around.auth, around.unserved)
    if removed ^ changes.removes:
        raise ControlError("A commit does not remove exactly those who have to go.")
    if len(set(added)) != len(added) or not changes.may_add.issuperset(added):
        raise ControlError("A commit adds a device that may not be added.")
    seconds = operation.header.extensions.time // 1000
    for device, package in packages.items():
        if not around.offers.holds(device, package.encoded, around.past):
            raise ControlError("A commit adds a device with a key package it did not offer.")
        if not is_valid_at(package, seconds):
            raise ControlError("A commit adds a device with an expired key package.")


def _check_group_info(encoded: bytes, public: PublicGroup, committer: int) -> None:
    info = decode_message(encoded)
    leaf = public.tree.leaf(committer)
    if (
        not isinstance(info, GroupInfo)
        or leaf is None
        or info.context.encoded != public.context.encoded
        or info.confirmation_tag != public.confirmation_tag
        or info.signer != committer
        or not info.is_signed(public.suite, leaf.signature_key)
    ):
        raise ControlError("A commit describes another epoch than it begins.")
    types = {extension.extension_type for extension in info.extensions}
    if (
        find_extension(info.extensions, EXTENSION_EXTERNAL_PUB) is None
        or EXTENSION_RATCHET_TREE in types
    ):
        raise ControlError("A commit's description of its epoch lacks its key or has a tree.")


def _check_chain(parent: EpochNode, person: bytes, around: Circumstances) -> None:
    if not may_renew(parent, person, around.auth):
        raise ControlError("A person renewed its keys too many times in a row.")


def _check_links(content: EpochCommit, around: Circumstances, *, is_external: bool) -> None:
    # A device that entered by itself did not clean the roster: links would reach the removed.
    if content.links and (is_external or around.profile is not Profile.ARCHIVE):
        raise ControlError("A commit links older keys where it must not.")
