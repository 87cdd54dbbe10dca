"""Which groups two devices share, kept up to date while rosters change.

A device announces a tag for each of its groups whose roster includes the peer (see
`lutra.sync.intersection`); a group that both announce is shared.

**Introduction.** A newcomer whose adding this device has not heard of yet announces the group,
but is not in the roster here. Since its tag proves that it knows the group's secret, it may
introduce itself, unless it was removed and may not have heard of that (see below): it sends the
group's control operations, which are checked like all others, and gets nothing. If they make it a
member, the group is announced to it then. So members that never met can sync although whoever
invited one of them is away; and so can one that was added again. Every request gets one answer,
which may be empty: the newcomer itself may know little yet. When it knows more it announces itself
anew, and is asked again.

**Newcomers** see the roster grow while the control operations come in. Whom they began to exchange
these with they judge when that is done, not by the part of the history they have so far.

**Telling.** A device that was removed while away still announces the group. Whoever knows of the
removal announces the group to it once more, until it is known to have heard: both exchange control
operations, by which it learns that it is out, and then the group ends, unless what it brought has
undone the removal. The other way round, a device that is out listens where somebody announces the
group to it: it may have been added again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from lutra.sync.errors import SyncViolationError
from lutra.sync.events import CloseReason
from lutra.sync.group import GroupSync
from lutra.sync.heads import Fingerprint
from lutra.sync.intersection import group_handle, group_tag, padded_tags
from lutra.sync.replica import SyncReplica
from lutra.sync.states import Role, Stage

MAX_INTRODUCTIONS = 16
"""How often one peer may introduce itself in a group in one session."""


@dataclass(slots=True)
class Changes:
    """What is different after an announcement.

    Attributes:
        ended: groups that are no longer served; the second value is False for introductions.
        begun: groups that are shared from now on.
        strangers: tags of groups in which the peer shall introduce itself.
        restart: a group that had ended is shared again, which takes a new session.
    """

    ended: list[tuple[GroupSync, bool]] = field(default_factory=list[tuple[GroupSync, bool]])
    begun: list[GroupSync] = field(default_factory=list[GroupSync])
    strangers: list[bytes] = field(default_factory=list[bytes])
    restart: bool = False


class Sharing:
    """The groups of one session.

    Args:
        replica: this device's groups and rosters.
        role: this side's role in the channel.
        peer_device: the peer.
        handshake_hash: the channel's hash.
        padding_key: 32 random bytes.

    Attributes:
        groups: the groups being served, introductions included, by id.
    """

    def __init__(
        self,
        replica: SyncReplica,
        *,
        role: Role,
        peer_device: bytes,
        handshake_hash: bytes,
        padding_key: bytes,
    ) -> None:
        self._replica = replica
        self._role = role
        self._peer = peer_device
        self._handshake_hash = handshake_hash
        self._padding_key = padding_key
        self.groups: dict[bytes, GroupSync] = {}
        self._handles: dict[bytes, GroupSync | None] = {}
        self._peer_tags: frozenset[bytes] = frozenset()
        self._ended: set[bytes] = set()
        self._back: set[bytes] = set()
        self._met: set[bytes] = set()
        self._introductions: dict[bytes, int] = {}
        self._offered: set[bytes] = set()
        self._shown: dict[bytes, Fingerprint] = {}
        self._told: set[bytes] = set()
        self._secrets: dict[bytes, bytes] = {}
        self._announced: dict[bytes, bytes] = {}
        self.refresh()

    @property
    def shared(self) -> frozenset[bytes]:
        """Ids of the groups that both have announced."""
        return frozenset(
            group.id for group in self.groups.values() if group.stage is not Stage.INTRODUCTION
        )

    def refresh(self) -> bool:
        """Look at own groups and rosters again; tell whether to announce them (anew)."""
        self._secrets = dict(self._replica.discovery_secrets())
        introducing = {
            group.id
            for group in self.groups.values()
            if group.stage is Stage.INTRODUCTION and not group.introduces
        }
        admitted = {
            group: secret
            for group, secret in self._secrets.items()
            if group not in introducing and self._admits(group)
        }
        more_to_show = [group for group in admitted if self._has_more_to_show(group)]
        for group in more_to_show:
            self._shown[group] = self._fingerprint(group)
        if admitted == self._announced and not more_to_show:
            return False
        self._announced = admitted
        return True

    def _has_more_to_show(self, group_id: bytes) -> bool:
        """Tell whether an introduction did not help, and another one might."""
        group = self.groups.get(group_id)
        if group is None or not group.introduces or not group.control.sent_done:
            return False
        return self._shown.get(group_id) != self._fingerprint(group_id)

    def _fingerprint(self, group_id: bytes) -> Fingerprint:
        return self._replica.heads(group_id, True).fingerprint()

    def _admits(self, group_id: bytes) -> bool:
        if self._replica.may_sync(group_id, self._peer):
            return True
        group = self.groups.get(group_id)
        if group_id in self._told:
            return False
        if group is not None and group.stage is not Stage.CONTROL:
            return group.telling
        if group is not None and self._replica.may_introduce(group_id, self._peer):
            return True
        return self._replica.may_tell(group_id, self._peer) or self._hears(group_id)

    def _hears(self, group_id: bytes) -> bool:
        """Tell whether the peer announces a group that this device is out of."""
        if self._tag(self._secrets[group_id], self._role.other) not in self._peer_tags:
            return False
        return self._replica.may_hear(group_id, self._peer)

    def tags(self) -> list[bytes]:
        """Return the padded tags to announce."""
        self._offered |= self._announced.keys()
        tags = [self._tag(secret, self._role) for secret in self._announced.values()]
        return padded_tags(tags, self._padding_key)

    def hear(self, tags: Iterable[bytes]) -> bool:
        """Take the peer's tags, which replace those before; tell whether one is to be answered."""
        before, self._peer_tags = self._peer_tags, frozenset(tags)
        self._back = {
            group
            for group in self._ended & self._secrets.keys()
            if self._tag(self._secrets[group], self._role.other) in self._peer_tags - before
        }
        # What was told is over once the peer announces the group anew: a removal was undone.
        self._told = {
            group
            for group in self._told
            if group not in self._secrets
            or self._tag(self._secrets[group], self._role.other) not in self._peer_tags - before
        }
        # Whoever announces a group once more may have more to show than before.
        self._met = {
            group
            for group in self._met
            if group not in self._secrets
            or self._tag(self._secrets[group], self._role.other) not in self._peer_tags
        }
        unanswered = self._secrets.keys() - self._announced.keys() - self.groups.keys() - self._told
        answered = {group: self._secrets[group] for group in unanswered if self._hears(group)}
        self._announced = {**self._announced, **answered}
        return bool(answered)

    def end_telling(self, group: GroupSync) -> None:
        """Note that a peer outside of the roster has had the control operations."""
        self._told.add(group.id)

    def update(self) -> Changes:
        """Begin and end groups according to the last announcements of both sides."""
        changes = Changes()
        shared = {
            group: secret
            for group, secret in self._announced.items()
            if self._tag(secret, self._role.other) in self._peer_tags
        }
        for group in sorted(self.groups.values(), key=lambda group: group.id):
            secret = shared.get(group.id)
            if group.stage is not Stage.INTRODUCTION:
                if secret is None or group.handle != self._handle(secret):
                    self._end(group)
                    self._ended.add(group.id)
                    changes.ended.append((group, True))
                    # The peer was only told, and is in again by what has come since.
                    back = group.limited and group.id in self._announced
                    changes.restart |= back and self._replica.may_sync(group.id, self._peer)
                    if group.limited:
                        self._told.add(group.id)
            elif secret is not None or group.id not in self._secrets:
                self._end(group)
                changes.ended.append((group, False))
        for group_id in sorted(shared.keys() - self.groups.keys()):
            if group_id in self._ended:
                changes.restart = True
            else:
                changes.begun.append(self._begin(group_id, shared[group_id], Stage.CONTROL))
        back, self._back = self._back & self._secrets.keys() - self._announced.keys(), set()
        # Somebody may have added the peer again; it can introduce itself in a new session.
        changes.restart |= any(self._replica.may_introduce(one, self._peer) for one in back)
        unknown = self._secrets.keys() - self._announced.keys() - self._met - self._ended
        for group_id in sorted(unknown - self.groups.keys()):
            tag = self._tag(self._secrets[group_id], self._role.other)
            before = self._introductions.get(group_id, 0)
            if (
                tag in self._peer_tags
                and before < MAX_INTRODUCTIONS
                and self._replica.may_introduce(group_id, self._peer)
            ):
                self._met.add(group_id)
                self._introductions[group_id] = before + 1
                self._begin(group_id, self._secrets[group_id], Stage.INTRODUCTION)
                changes.strangers.append(tag)
        return changes

    def introduce(self, tag: bytes) -> None:
        """Prepare to send a group's control logs to a peer that does not know this device.

        Args:
            tag: one of the tags announced in this session; nothing happens if it never was.
        """
        for group_id in self._offered & self._secrets.keys():
            secret = self._secrets[group_id]
            if self._tag(secret, self._role) != tag:
                continue
            before = self.groups.get(group_id)
            if before is not None:
                if not (before.introduces and before.control.sent_done):
                    return
                self._end(before)
            group = self._begin(group_id, secret, Stage.INTRODUCTION)
            group.introduces = True
            self._shown[group_id] = self._fingerprint(group_id)
            if self._replica.may_introduce(group_id, self._peer):
                for head in self._replica.heads(group_id, True).items():
                    group.control.lacks(head.key, None, urgent=False)
            return

    def end_introduction(self, group: GroupSync) -> None:
        """Stop listening to a peer's introduction, now that it is complete."""
        self._end(group)

    def by_handle(self, handle: bytes) -> GroupSync | None:
        """Return the group a frame names; None if it has ended, so that the frame is dropped.

        Raises:
            SyncViolationError: the peer was never told about it.
        """
        if handle not in self._handles:
            raise SyncViolationError(
                CloseReason.GROUP, "A peer spoke about a group that is not shared with it."
            )
        return self._handles[handle]

    def _begin(self, group_id: bytes, secret: bytes, stage: Stage) -> GroupSync:
        group = GroupSync(self._replica, group_id, self._handle(secret), stage)
        group.limited = not self._replica.may_sync(group_id, self._peer)
        if group.limited and stage is Stage.CONTROL:
            self._replica.telling(group_id, self._peer)
        self.groups[group_id] = self._handles[group.handle] = group
        return group

    def _end(self, group: GroupSync) -> None:
        # Frames that are under way may still name it; they are dropped.
        del self.groups[group.id]
        self._handles[group.handle] = None

    def _tag(self, secret: bytes, sender: Role) -> bytes:
        return group_tag(secret, self._handshake_hash, sender)

    def _handle(self, secret: bytes) -> bytes:
        return group_handle(secret, self._handshake_hash)
