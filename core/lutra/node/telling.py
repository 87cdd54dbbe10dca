"""Who was removed from a group and has not heard of it; who this device should listen to."""

from __future__ import annotations

from lutra.groups.group import Group
from lutra.node.acknowledgements import Acknowledgements
from lutra.node.group_registry import GroupRegistry
from lutra.operation import LogKey

MAX_TELLINGS = 16
"""How often a device that never confirms is told while the node runs."""


class Telling:
    """Decides about sessions with those whose membership has ended, theirs or this device's."""

    def __init__(
        self, device: bytes, groups: GroupRegistry, acknowledgements: Acknowledgements
    ) -> None:
        self._device = device
        self._groups = groups
        self._acknowledgements = acknowledgements
        self._heard: set[tuple[bytes, bytes, tuple[tuple[bytes, int], ...]]] = set()
        self._told: dict[tuple[bytes, bytes], int] = {}

    def forget(self) -> None:
        """Drop what a transaction that was undone may have taught."""
        self._heard.clear()

    def may_tell(self, group: bytes, device: bytes) -> bool:
        """Tell whether a device was removed and, for all that is known, does not know."""
        replica = self._groups.find(group)
        if replica is None or self._groups.row(group).left or replica.is_member(device):
            return False
        if self._told.get((group, device), 0) >= MAX_TELLINGS:
            return False
        # Of one that forked its log nothing shows what it knows.
        return replica.is_forked(device) or (
            bool(replica.exclusions(device)) and not self.knows(replica, device)
        )

    def told(self, group: bytes, device: bytes) -> None:
        """Note that a session with a removed device begins."""
        place = (group, device)
        self._told[place] = self._told.get(place, 0) + 1

    def has_heard(self, group: bytes, device: bytes) -> bool:
        """Tell whether a device that is out has confirmed to know that."""
        replica = self._groups.find(group)
        return replica is not None and self.knows(replica, device)

    def knows(self, replica: Group, device: bytes) -> bool:
        """Tell whether a device has confirmed to hold every removal that keeps it out."""
        exclusions = tuple(replica.exclusions(device))
        place = (replica.id, device, exclusions)
        if place not in self._heard:
            knows = all(
                author == device
                or self._acknowledgements.holds(device, LogKey(author, replica.id), seq_num)
                for author, seq_num in exclusions
            )
            if not knows:
                return False
            self._heard.add(place)
        return True

    def is_news(self, group: bytes) -> bool:
        """Tell whether no member is known to have heard that this device is out.

        So it is while somebody who left is away, and after two have removed each other: those who
        know of both are out, and would leave the others with a member that is none.
        """
        replica = self._groups.find(group)
        if replica is None:
            return False
        exclusions = replica.exclusions(self._device)
        members = [one.device for one in replica.members() if one.present]
        if not exclusions or not members:
            return False
        return not any(
            all(
                author == member
                or self._acknowledgements.holds(member, LogKey(author, group), seq_num)
                for author, seq_num in exclusions
            )
            for member in members
        )

    def may_hear(self, group: bytes, device: bytes) -> bool:
        """Tell whether somebody that announces a group this device is out of deserves a hearing.

        This device may have been added again, even if it had left by itself. And where the other
        one is out as well, as after two have removed each other, this may be how it learns that.
        """
        replica = self._groups.find(group)
        if replica is None or not self._groups.row(group).left:
            return False
        return replica.is_member(device) or replica.was_removed(device)
