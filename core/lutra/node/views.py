"""What the node tells about its state: frozen values, free of keys."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """This device and its person.

    Attributes:
        device: the device's public key.
        name: what the person is called.
        device_name: what the device is called.
        person: the person's id.
    """

    device: bytes
    name: str
    device_name: str
    person: bytes


@dataclass(frozen=True, slots=True)
class MemberView:
    """A device in a group.

    Attributes:
        device: its public key.
        name: its person's name; empty while unknown.
        device_name: its own name; empty while unknown.
        present: False once removed.
        me: it is this device.
        online: it is connected right now.
        person: id of the person it belongs to; empty in groups of an earlier Lutra.
        role: ``keeper``, ``reader``, ``writer`` or ``admin``; empty once removed.
    """

    device: bytes
    name: str
    device_name: str
    present: bool
    me: bool
    online: bool
    person: bytes
    role: str


@dataclass(frozen=True, slots=True)
class DepartureView:
    """How this device came to be out of a group.

    Attributes:
        reason: ``left``, ``removed``, or ``device``: the person is in, but this device was removed
            from it, or its profile was copied.
        by: the person who did it; empty where it was this device's person or is not known.
        by_name: what it is called; empty while unknown.
        time: when, in milliseconds by that person's clock; 0 where it is not known.
    """

    reason: str
    by: bytes
    by_name: str
    time: int


@dataclass(frozen=True, slots=True)
class GroupView:
    """A group.

    Attributes:
        id: the group's id.
        name: its name.
        created: when this device created or joined it, in milliseconds.
        member: this device is in it.
        members: everybody who is or was in it.
        documents: how many pages it has.
        ready: new text can be encrypted now (the send gate is open).
        role: what this person may do; empty once it is out.
        profile: what newcomers may read: ``archive``, ``join-on`` or ``sealed``.
        departure: how this device came to be out; None while it is in.
    """

    id: bytes
    name: str
    created: int
    member: bool
    members: tuple[MemberView, ...]
    documents: int
    ready: bool
    role: str
    profile: str
    departure: DepartureView | None = None


@dataclass(frozen=True, slots=True)
class DocumentView:
    """A page in a list.

    Attributes:
        id: the document's id.
        group: its group.
        title: its title, possibly empty.
        created: when it was made, in milliseconds.
        changed: when it last changed, in milliseconds.
    """

    id: bytes
    group: bytes
    title: str
    created: int
    changed: int


@dataclass(frozen=True, slots=True)
class DocumentStatus:
    """Where a document's content is; every number is backed by an acknowledgement.

    Attributes:
        document: its id.
        unpublished: edits are safe on this device and not yet in an operation.
        devices: number of devices in the group, this one included.
        holders: devices that hold everything this device holds of it, this one included.
        connected: members connected right now, this device not counted.
        waiting: operations of this device that some member lacks, at most.
        waiting_for: names of the devices that lack something.
    """

    document: bytes
    unpublished: bool
    devices: int
    holders: int
    connected: int
    waiting: int
    waiting_for: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InviteView:
    """An invite to hand to somebody.

    Attributes:
        group: where it leads.
        code: to read out or type.
        link: to send or show; carries this device's addresses unless the inviter did not want so.
        qr: what to show as a QR code.
        expires: until when it is good, in milliseconds.
        uses: how many persons may still use it.
        id: what names it here.
        role: role of whoever uses it.
        by_hand: whoever uses it waits until somebody here approves.
        state: ``open``, ``used``, ``expired`` or ``revoked``.
        short_code: a number and two words to say; empty if there is none that can be used.
        short_expires: until when that is good, in milliseconds.
        short_state: ``none``, ``open``, ``used``, ``expired`` or ``guessed``: somebody tried it
            with wrong words, and it is dead; make a new one.
        created: when it was made, in milliseconds.
    """

    group: bytes
    code: str
    link: str
    qr: str
    expires: int
    uses: int
    id: bytes
    role: str
    by_hand: bool
    state: str
    short_code: str
    short_expires: int
    short_state: str
    created: int

    @property
    def revoked(self) -> bool:
        """It was taken back."""
        return self.state == "revoked"

    def __repr__(self) -> str:
        return f"InviteView(expires={self.expires}, uses={self.uses}, state={self.state})"


@dataclass(frozen=True, slots=True)
class JoinRequestView:
    """Somebody who waits to be let in by an invite of this device.

    Attributes:
        device: the asking device's key; names the request.
        person: id of its person.
        name: how that person wants to be called, by its own word.
        device_name: how the device is called, by its own word.
        comparison: six digits; the other screen shows the same if nobody stands in between.
        group: where it wants to go.
        group_name: that group's name.
        role: what it would be.
        invite: id of the invite it came by.
        time: when it asked first, in milliseconds.
    """

    device: bytes
    person: bytes
    name: str
    device_name: str
    comparison: str
    group: bytes
    group_name: str
    role: str
    invite: bytes
    time: int


@dataclass(frozen=True, slots=True)
class JoinView:
    """An invite this device uses.

    Attributes:
        id: names the attempt here.
        state: ``seeking`` (the inviting device was not met yet), ``waiting`` (somebody there has
            to approve), ``admitted``, ``refused`` or ``expired``.
        group: the group, once admitted; empty before.
        name: the group's name, once admitted and known.
        comparison: six digits while it waits; whoever approves sees the same.
        inviter: who invites, by its own word, where that is known.
        reason: one sentence, if refused or expired.
        since: when it was begun, in milliseconds.
        short: it is a short code.
    """

    id: bytes
    state: str
    group: bytes
    name: str
    comparison: str
    inviter: str
    reason: str
    since: int
    short: bool


@dataclass(frozen=True, slots=True)
class NearbyPersonView:
    """Somebody nearby who is visible.

    Attributes:
        id: names it as long as it is visible.
        name: what it calls itself, by its own word.
        device_name: what it calls its device.
        state: ``seen`` or ``asked``: it was invited and has not answered.
        comparison: six digits once invited; its screen shows the same.
    """

    id: str
    name: str
    device_name: str
    state: str
    comparison: str


@dataclass(frozen=True, slots=True)
class NearbyInvitationView:
    """Somebody nearby invites this person into a group.

    Attributes:
        id: names the invitation.
        name: who invites, by its own word.
        device_name: what its device is called.
        comparison: six digits; the other screen shows the same if nobody stands in between.
    """

    id: str
    name: str
    device_name: str
    comparison: str


@dataclass(frozen=True, slots=True)
class NearbyView:
    """Who is nearby, and who invites.

    Attributes:
        visible_until: this person can be seen until then, in milliseconds; 0 if not.
        looking_until: this device looks for others until then, in milliseconds; 0 if not.
        people: who was found.
        invitations: invitations that wait for this person's answer.
    """

    visible_until: int
    looking_until: int
    people: tuple[NearbyPersonView, ...]
    invitations: tuple[NearbyInvitationView, ...]


@dataclass(frozen=True, slots=True)
class PeerView:
    """Another device, as the network sees it.

    Attributes:
        device: its public key.
        name: its person's name; empty while unknown.
        device_name: its own name; empty while unknown.
        address: where it is connected, or where it was last met; empty if nowhere.
        connected: it is connected right now.
        groups: ids of the groups shared with it.
    """

    device: bytes
    name: str
    device_name: str
    address: str
    connected: bool
    groups: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class ChangeView:
    """One step of a document's history.

    Attributes:
        device: whose edits they are; None where it cannot be told any more.
        name: that person's name; empty while unknown.
        time: when, in milliseconds by that device's clock; 0 if unknown.
        edits: how many single edits it holds.
    """

    device: bytes | None
    name: str
    time: int
    edits: int


@dataclass(frozen=True, slots=True)
class StatusView:
    """The node as a whole.

    Attributes:
        identity: this device.
        running: the network part is running.
        listening: addresses other devices can dial.
        connected: number of connected devices.
        groups: number of groups.
        documents: number of pages.
        operations: number of operations held.
        drafts: pages with edits that are not yet in an operation.
        waiting_for_keys: operations that cannot be read yet.
        forks: logs whose author was caught signing two histories.
    """

    identity: Identity
    running: bool
    listening: tuple[str, ...]
    connected: int
    groups: int
    documents: int
    operations: int
    drafts: int
    waiting_for_keys: int
    forks: int


@dataclass(frozen=True, slots=True)
class RemovalPreview:
    """What removing a person from a group would mean; nothing was done yet.

    Attributes:
        group: which group.
        person: who would be removed.
        name: what the person is called.
        devices: its devices in the group.
        pages: how many pages of the group this device knows; the person keeps what it has of them.
        since: when it was added last, in milliseconds by the clock of whoever did so.
        history: what it could read: ``archive``, ``join-on`` or ``sealed``.
        keeps: the same in a sentence or two for people.
        operations: how many changes by this person are here and stay; later ones are refused.
        unaware: devices that are not connected: until they hear of the removal, what is written on
            them can still be read by the person.
        protected: in a sentence, from when new text is protected.
        drafts: pages with edits of this device that were not sent yet; they go out under new keys.
    """

    group: bytes
    person: bytes
    name: str
    devices: tuple[MemberView, ...]
    pages: int
    since: int
    history: str
    keeps: str
    operations: int
    unaware: tuple[MemberView, ...]
    protected: str
    drafts: int


@dataclass(frozen=True, slots=True)
class RemovalStatus:
    """How far a removal has got around.

    Attributes:
        group: which group.
        person: who was removed, or has left.
        name: what the person is called.
        by: the person who did it.
        by_name: what it is called.
        time: when, in milliseconds by that person's clock.
        protected: this device's new text is encrypted with keys the person does not get.
        aware: members' devices that have confirmed to know.
        unaware: members' devices that have not.
        told: the removed person's devices that have confirmed to know.
    """

    group: bytes
    person: bytes
    name: str
    by: bytes
    by_name: str
    time: int
    protected: bool
    aware: tuple[MemberView, ...]
    unaware: tuple[MemberView, ...]
    told: tuple[MemberView, ...]


@dataclass(frozen=True, slots=True)
class MembershipChange:
    """One entry of a group's history of members.

    Attributes:
        kind: ``created``, ``added``, ``removed``, ``role`` or ``left``.
        person: to whom it happened.
        name: what that person is called; empty while unknown.
        role: the role it gives; empty where it gives none.
        by: the person who did it.
        by_name: what it is called.
        time: when, in milliseconds by that person's clock.
        counts: False where something done at the same time has undone it.
    """

    kind: str
    person: bytes
    name: str
    role: str
    by: bytes
    by_name: str
    time: int
    counts: bool
