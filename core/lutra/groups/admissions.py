"""Which epochs everybody reads, in groups whose newcomers get no older keys (GROUPS §2.7, §2.9).

Text under any other epoch must reach the newcomers in another way, as a state without history.
"""

from __future__ import annotations

from collections.abc import Container

from lutra.crypto.hashing import blake3_hash
from lutra.groups.contents import Profile, Role
from lutra.groups.control_state import ControlState
from lutra.groups.epochs import EpochNode


def unshared_epochs(control: ControlState) -> frozenset[bytes]:
    """Return the epochs that somebody who is in now may be unable to read.

    `archive`: none. `join-on`: all that do not follow the last admission. `sealed`: all but the
    head, since keys are gone once it moves.
    """
    head = control.head()
    if head is None or control.profile is not Profile.SEALED:
        return epochs_before_admission(control)
    return frozenset(node.id for node in control.tree if node is not head)


def epochs_before_admission(control: ControlState) -> frozenset[bytes]:
    """Return the epochs whose data secret somebody may lack: those that do not follow the last
    admission, in `archive` none.
    """
    since = last_admission(control)
    if since is None:
        return frozenset()
    shared = {since.id}
    frontier = [since]
    while frontier:
        children = control.tree.children(frontier.pop())
        shared.update(child.id for child in children)
        frontier += children
    return frozenset(node.id for node in control.tree if node.id not in shared)


def last_admission(control: ControlState) -> EpochNode | None:
    """Return the epoch from which on everybody holds the secrets; None in `archive`: all do.

    A person has held them since its first device came in that is still there: devices of a person
    hand each other what they have.
    """
    head = control.head()
    if head is None or control.profile is Profile.ARCHIVE:
        return None
    owner = control.auth().owner
    waiting = set(head.roster)
    entries: dict[bytes, EpochNode] = {}
    last = head
    for node in head.path():
        for device in waiting & node.added:
            # Nearest first: the last one noted is the person's oldest device.
            entries[owner.get(device, device)] = node
        waiting -= node.added
        last = node
        if not waiting:
            break
    depth = {node.id: place for place, node in enumerate(head.path())}
    return min(entries.values(), key=lambda node: depth[node.id], default=last)


def state_rank(
    control: ControlState, device: bytes, online: Container[bytes] | None = None
) -> int | None:
    """Return a device's turn to publish states; None if it may not, for its role or its absence.

    Whoever let the last newcomer in comes first, then writers who can be reached by a hash that
    nobody chooses.
    """
    since, head, auth = last_admission(control), control.head(), control.auth()
    if since is None or head is None:
        return None
    able = [
        item
        for item in head.roster
        if (auth.role_of(item) or Role.KEEPER) >= Role.WRITER
        and (online is None or item == device or item in online)
    ]
    ranked = sorted(
        able, key=lambda item: (item != since.author, blake3_hash(b"state" + head.id + item))
    )
    return ranked.index(device) if device in ranked else None
