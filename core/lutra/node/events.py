"""What the node tells its listeners: frozen values, one class an event."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GroupsChanged:
    """A group was created, joined, renamed, or its members changed.

    Attributes:
        group: which one.
    """

    group: bytes


@dataclass(frozen=True, slots=True)
class MembershipEnded:
    """This device is out of a group; its pages stay here to be read.

    Attributes:
        group: which one.
        reason: ``left``, ``removed`` or ``device``; see `lutra.node.views.DepartureView`.
        by: the person who did it, empty where that is not known.
        by_name: what it is called.
    """

    group: bytes
    reason: str
    by: bytes
    by_name: str


@dataclass(frozen=True, slots=True)
class DeviceRemoved:
    """This device was removed from its person: it can be read, but takes part in nothing more.

    Attributes:
        wiped: whoever removed it asked for it, so everything on it is deleted now.
    """

    wiped: bool


@dataclass(frozen=True, slots=True)
class PersonChanged:
    """A person's devices changed, this one's or another's.

    Attributes:
        person: which one.
    """

    person: bytes


@dataclass(frozen=True, slots=True)
class VerifiedKeysChanged:
    """A person whose keys were compared has other keys now: to be said loudly until it was seen.

    Attributes:
        person: which one.
        name: what it is called; empty while unknown.
    """

    person: bytes
    name: str


@dataclass(frozen=True, slots=True)
class KitUsed:
    """Somebody came back by a recovery kit, and this device helped.

    Of this device's own person it is to be said loudly: who found the kit can do that too.

    Attributes:
        person: whose kit.
        device: the device that is the person's now.
    """

    person: bytes
    device: bytes


@dataclass(frozen=True, slots=True)
class DocumentsChanged:
    """The list of a group's pages changed: a new page, a title, an order.

    Attributes:
        group: which group.
        documents: the pages concerned.
    """

    group: bytes
    documents: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class DocumentChanged:
    """New edits of a document.

    Attributes:
        document: which one.
        updates: Loro updates to import, in order.
        author: device that made them.
        slot: the author's editing place if it is this device (0: the node itself), else None.
    """

    document: bytes
    updates: tuple[bytes, ...]
    author: bytes
    slot: int | None = None


@dataclass(frozen=True, slots=True)
class DocumentStatusChanged:
    """Where documents are held has changed; ask for `DocumentStatus` of those shown.

    Attributes:
        group: which group.
        documents: the documents concerned; empty means any of the group.
    """

    group: bytes
    documents: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class PeersChanged:
    """A device connected, disconnected, or became known."""


@dataclass(frozen=True, slots=True)
class PresenceChanged:
    """Where somebody's caret is.

    Attributes:
        document: in which document.
        device: whose.
        name: that person's name.
        anchor: Loro cursor of the selection's fixed end; None when the person has left the page.
        head: Loro cursor of its moving end.
    """

    document: bytes
    device: bytes
    name: str
    anchor: bytes | None
    head: bytes | None


@dataclass(frozen=True, slots=True)
class InvitesChanged:
    """Invites of this device, or requests of those who use them, changed.

    Attributes:
        group: where they lead.
    """

    group: bytes


@dataclass(frozen=True, slots=True)
class JoinRequested:
    """Somebody used an invite that needs approval.

    Attributes:
        group: where it leads.
        device: the asking device.
        name: what its person is called, by its own word.
        device_name: what the device is called, by its own word.
        comparison: the digits that both sides show.
    """

    group: bytes
    device: bytes
    name: str
    device_name: str
    comparison: str


@dataclass(frozen=True, slots=True)
class JoinChanged:
    """An invite this device uses has come further; see `lutra.node.views.JoinView`.

    Attributes:
        join: the attempt's id.
        state: ``seeking``, ``waiting``, ``admitted``, ``refused``, ``expired`` or ``cancelled``.
        group: the group, once admitted; empty before.
        reason: one sentence, if refused or expired.
    """

    join: bytes
    state: str
    group: bytes = b""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class NearbyChanged:
    """People nearby, invitations between them and this person, or its visibility changed."""


@dataclass(frozen=True, slots=True)
class MemberJoined:
    """Somebody used an invite of this device.

    Attributes:
        group: into which group.
        device: the new member's device.
    """

    group: bytes
    device: bytes


@dataclass(frozen=True, slots=True)
class PairingChanged:
    """The pairing of this device with another one moved on; `PairingService.view` has it all.

    Attributes:
        state: as in `PairingView.state`.
        revision: as in `PairingView.revision`.
    """

    state: str
    revision: int


@dataclass(frozen=True, slots=True)
class CatchUpChanged:
    """A device that was paired has received more of what its person's devices hold.

    Attributes:
        groups: how many groups there are.
        groups_ready: in how many of them this device can read and write.
        pages: how many pages there are, at least.
        pages_here: how many of them are here.
        complete: nothing is missing any more.
    """

    groups: int
    groups_ready: int
    pages: int
    pages_here: int
    complete: bool


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something a person should know.

    Attributes:
        code: for programs.
        message: one plain sentence.
    """

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class RaiseRequested:
    """The program was started a second time: show the window."""


Event = (
    GroupsChanged
    | MembershipEnded
    | DeviceRemoved
    | PersonChanged
    | VerifiedKeysChanged
    | KitUsed
    | DocumentsChanged
    | DocumentChanged
    | DocumentStatusChanged
    | PeersChanged
    | PresenceChanged
    | InvitesChanged
    | JoinRequested
    | JoinChanged
    | NearbyChanged
    | MemberJoined
    | PairingChanged
    | CatchUpChanged
    | Trouble
    | RaiseRequested
)
