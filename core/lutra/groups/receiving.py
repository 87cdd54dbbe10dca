"""How one device's replica of a group takes operations in and enters epochs (GROUPS §2.5)."""

from __future__ import annotations

from lutra.errors import RemoteError
from lutra.groups.contents import ACK, COMMIT, CREATE, Profile, Sealed
from lutra.groups.control_state import Accepted
from lutra.groups.epochs import EpochNode
from lutra.groups.keyring import Unenterable
from lutra.groups.keys import Reception
from lutra.groups.known import KnownGroup
from lutra.operation import Operation


class ReceivingGroup(KnownGroup):
    """The part of `lutra.groups.group.Group` that takes in what others made."""

    def receive(self, operation: Operation) -> Reception:
        """Take in a verified control operation, own ones included; see `tend` for answers."""
        reception = self.take(operation)
        if reception is Reception.ACCEPTED:
            self.settle()
        return reception

    def take(self, operation: Operation) -> Reception:
        """Do as `receive` with one of many: call `settle` after the last.

        Until then keys and names are as they were, what is authorised is not.
        """
        history = self.control.history
        if operation.id in history:
            return Reception.KNOWN
        if history.missing(operation):
            return Reception.WAITING
        if self.control.is_foreign(operation):
            return Reception.FOREIGN
        accepted = self._take(operation)
        if accepted is None:
            return Reception.REFUSED
        if accepted.epoch is not None:
            self._enter(accepted.epoch)
        return Reception.ACCEPTED

    def _take(self, operation: Operation) -> Accepted | None:
        try:
            accepted = self.control.accept(operation)
        except RemoteError:
            return None
        if operation.author == self._device and operation.kind in (ACK, COMMIT):
            self._acks.note(operation.header.extensions.time)
        if operation.kind == CREATE:
            self._keyring.sealed = self.control.profile is Profile.SEALED
        if isinstance(accepted.content, Sealed):
            depth = self.control.history.past(accepted.index).bit_count()
            self._names.add(operation, accepted.index, depth)
        return accepted

    def _enter(self, node: EpochNode) -> None:
        # With window 0 the wrong one of two branches could not be left again: see `_advance`.
        if not self._keyring.sealed:
            self._try(node)

    def _advance(self, head: EpochNode) -> None:
        """Enter the epochs up to the head, where each deletes what led to it (`sealed`)."""
        ahead: list[EpochNode] = []
        for node in head.path():
            if self._keyring.group(node.id) is not None:
                break
            ahead.append(node)
        for node in reversed(ahead):
            self._try(node)
        if self._keyring.group(head.id) is not None:
            for node in self.control.tree:
                self._keyring.drop_used(node.packages)

    def _try(self, node: EpochNode) -> None:
        if node.parent is None or node.id in self._keyring.failed:
            return
        try:
            self._keyring.enter(node, self._device)
        except Unenterable:
            self._keyring.failed.add(node.id)

    def settle(self) -> None:
        """Draw the consequences of what was taken in."""
        keyring, control = self._keyring, self.control
        control.links.follow(self.id, keyring.secrets, control.tree.kid)
        self._names.read(keyring.secrets)
        head, now = control.head(), self._setup.clock()
        if head is None:
            return
        if keyring.sealed:
            self._advance(head)
        for epoch, left in list(keyring.left.items()):
            if epoch == head.id:
                keyring.left[epoch] = None
            elif left is None or left > now:
                # A clock that was set back must not make anything wait for years.
                keyring.left[epoch] = now
        if self._device not in control.auth().leaves:
            keyring.outside_since = None
            self._on_removed()
        elif self._is_inside(head):
            keyring.outside_since = None
        elif keyring.outside_since is None or keyring.outside_since > now:
            keyring.outside_since = now

    def _is_inside(self, head: EpochNode) -> bool:
        """Tell whether this device holds the head's keys and has not asked to be added anew."""
        held = self._keyring.group(head.id) is not None
        return held and self._device not in self.control.unserved(head)

    def _on_removed(self) -> None:
        self._keyring.wipe()
