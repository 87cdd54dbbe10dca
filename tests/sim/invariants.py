"""What must hold in every simulated life of a group: GROUPS §3, by number."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from lutra.errors import RemoteError
from lutra.groups.authorisation import Auth
from lutra.groups.commits import may_renew
from lutra.groups.contents import (
    ACK,
    ADD,
    KEYLINK,
    NACK,
    OK,
    AddPerson,
    KeyLink,
    Opinion,
    Profile,
    Role,
    decode_content,
)
from lutra.groups.control_state import ControlState
from lutra.groups.epochs import EpochNode
from lutra.groups.group import Group
from lutra.groups.keys import Reception
from lutra.operation import Operation
from sim.device import Device, directory, open_text

INVARIANTS = {
    1: "who is in, the head and validity depend on the set of operations, not on their order",
    2: "connected and quiet, all stand on one head, can enter it, and its roster is who is in",
    3: "every send passes the gate in its sender's view",
    4: "nobody removed in the sender's view gets the key, given all later links",
    5: "members read and accept all texts of those who are still in, and all the same ones",
    6: "what honest devices make is never invalid",
    7: "groups with members have an admin",
    8: "a withheld chain of one person displaces no branch of two honest ones",
    9: "sends never wait for others, and answers to a flood are bounded",
    10: "a crash at any point equals no crash, or STALE",
    11: "one epoch, one data secret",
    12: "sealed: no parent state after a child is processed, no message key after its use",
    "votes": "only an ACK of the head its author knew is a vote (GROUPS §2.4.1)",
    "ties": "which of its possible commits an author publishes does not decide the head (§2.4.5)",
    "kills": "what the removed did meanwhile adds nobody (§2.2.2)",
    "forks": "a device that wrote two operations at one place is out (§2.12)",
    "renewals": "in the end the keys that devices renewed are above the head (§2.5.3)",
    "cuts": "texts of the removed count up to what those held who removed them, or vouch (§2.11)",
}


class Violation(AssertionError):
    """An invariant does not hold."""


@dataclass(frozen=True)
class Send:
    """Something was encrypted.

    Attributes:
        text: the operation.
        removed: devices the sender knew to be out although they had been in.
        removals: ids of the removals it knew to be live.
    """

    text: Operation
    removed: frozenset[bytes]
    removals: frozenset[bytes]

    @property
    def author(self) -> bytes:
        return self.text.author

    @property
    def epoch(self) -> bytes:
        return self.text.header.extensions.epoch or b""


class Judge:
    """Checks invariants and counts how often each was put to the test.

    Attributes:
        checked: invariant → how often it was checked on something that could have failed.
    """

    def __init__(self) -> None:
        self.checked: Counter[int | str] = Counter()
        self._secrets: dict[bytes, bytes] = {}

    def require(self, number: int | str, condition: object, message: str) -> None:
        self.checked[number] += 1
        if not condition:
            raise Violation(f"invariant {number} ({INVARIANTS[number]}): {message}")

    # During life

    def receptions(
        self,
        receiver: Device,
        operations: Mapping[bytes, Operation],
        results: Iterable[Reception],
        is_honest: Callable[[bytes], bool],
    ) -> None:
        bad = {Reception.REFUSED, Reception.FOREIGN}
        suspicious = bool(bad.intersection(results))
        control = receiver.group.control
        for operation in operations.values():
            if not is_honest(operation.author) or control.history.missing(operation):
                continue
            if suspicious:
                is_taken = operation.id in control.history and operation.id not in receiver.refused
                self.require(6, is_taken, f"{receiver} refuses an honest {operation.kind}")
            if operation.kind == "group.commit":
                node = control.chooser.vote_of(operation.author, 1 << _index(receiver, operation))
                self.require(6, node is not None, f"{receiver} finds an honest commit invalid")

    def secrets(self, device: Device) -> None:
        for epoch, secret in device.group.secrets.items():
            held = self._secrets.setdefault(epoch, secret)
            if held is not secret:
                self.require(11, held == secret, "an epoch has two secrets")

    def deletion(self, device: Device) -> None:
        """In a `sealed` group the keys of one epoch are held at most."""
        if not device.is_sealed or device.group.control.head() is None:
            return
        group = device.group
        held = {node.id for node in group.control.tree if group.bodies.can_open(node.id)}
        self.require(12, len(held) <= 1, f"{device} holds the keys of {len(held)} epochs")

    def admin(self, device: Device) -> None:
        roles = auth_of(device).roles
        self.require(7, not roles or Role.ADMIN in roles.values(), "a group has no admin")

    def send(self, device: Device, text: Operation) -> Send:
        """Recompute the gate from the rules."""
        control, auth = device.group.control, auth_of(device)
        node = control.tree.get(text.header.extensions.epoch or b"")
        assert node is not None
        self.require(3, set(node.roster) <= auth.leaves, "a device sends to somebody removed")
        aware = auth.removals | node.known == node.known
        self.require(3, aware, "a device sends under a key made unaware of a removal")
        once = {item for other in control.tree for item in other.roster}
        live = auth.removals
        ids = [control.history.id(place) for place in range(live.bit_length()) if live >> place & 1]
        return Send(text, frozenset(once - auth.leaves), frozenset(ids))

    def not_blocked(self, device: Device) -> None:
        """After reconciling once, sending needs nothing from outside."""
        group = device.group
        head = group.control.head()
        if head is None or device.id not in auth_of(device).leaves or device.id not in head.roster:
            return
        stale = device.id in group.control.unserved(head)
        if not stale and group._keyring.group(head.id) is not None:
            self.require(9, group.current_epoch() is not None, f"{device} cannot send")

    def answers(
        self, device: Device, flood: Sequence[Operation], epochs: int, made: Sequence[Operation]
    ) -> None:
        """An honest device answers a flood by a bounded number of operations.

        Whatever is complained of, then or before, it says once that it is fine.

        Args:
            device: who answers.
            flood: what it was sent.
            epochs: how many epochs it began, each of which may be complained about once.
            made: the answers.
        """
        stored = device.store.operations.values()
        disputed = {operation.body for operation in stored if operation.kind == NACK}
        praised = Counter(
            operation.body
            for operation in stored
            if operation.kind == OK and operation.author == device.id
        )
        words = [operation.body for operation in made if operation.kind == OK]
        is_due = all(word in disputed and praised[word] == 1 for word in words)
        self.require(9, is_due, f"{device} says what nobody asked, or says it again")
        others = len(made) - len(words)
        told = f"{device} answers {len(flood)} by {others} operations"
        self.require(9, others <= 4 + 2 * epochs, told)

    def same(self, now: dict[str, object], before: dict[str, object], after: str) -> None:
        """A device is what it would be without a crash.

        Args:
            now: its `view`.
            before: what that would be.
            after: what happened to it.
        """
        changed = {name for name in before if now[name] != before[name]}
        told = f"{after}, a device differs in {', '.join(sorted(changed))}"
        self.require(10, not changed, told)

    def revealed(
        self, device: Device, branch: EpochNode, supporters: frozenset[bytes], attacker: bytes
    ) -> None:
        """What an attacker had withheld was received: a branch of two honest persons stays."""
        if len(supporters - {attacker}) < 2:
            return
        stays = head_of(device).descends_from(branch)
        self.require(8, stays, f"{device} was moved off its branch by one person's chain")

    def applied(self, device: Device, texts: list[Operation]) -> None:
        """Texts were applied: those of persons known to be removed lie within the known cuts."""
        group, owner = device.group, auth_of(device).owner
        for removal, person, cuts in group.live_removals() if texts else ():
            for text in texts:
                heads = text.header.extensions.previous
                if owner.get(text.author) == person and not group.is_aware(heads, removal):
                    is_covered = text.seq_num <= cuts.get((text.author, text.log), -1)
                    self.require("cuts", is_covered, f"{device} applies what is cut off")

    def tie(self, outcomes: list[bool]) -> None:
        """An author tried several commits against somebody else's on the same parent."""
        self.require("ties", len(set(outcomes)) == 1, f"grinding helps: {outcomes}")

    # In the end

    def rules(self, honest: list[Device]) -> None:
        """What single rules come to, found anew from the operations."""
        device = honest[0]
        control, auth = device.group.control, auth_of(device)
        places: dict[tuple[bytes, int], bytes] = {}
        founder = next(iter(device.store.operations.values())).author
        killed = {auth.owner[founder]: False}
        for operation in device.store.operations.values():
            place = (operation.author, operation.seq_num)
            if places.setdefault(place, operation.id) != operation.id:
                self.require("forks", operation.author not in auth.devices, "somebody forked stays")
            if operation.id in device.refused or operation.kind not in (ACK, ADD):
                continue
            index = control.history.index(operation.id)
            past = control.history.past(index)
            content = decode_content(operation.kind, operation.body or b"")
            if isinstance(content, Opinion):
                head = control.head(past)
                is_head = head is not None and head.id == content.epoch
                self.require("votes", is_head, "a vote names another epoch than the head")
            if isinstance(content, AddPerson):
                author = control.auth(past).devices[operation.author]
                undone = any(
                    removal.person == author
                    and not past >> place & 1
                    and not control.history.past(place) >> index & 1
                    for place, removal in control.authorisation.live_removals(control.everything)
                )
                killed[content.person] = killed.get(content.person, True) and undone
        for person, is_killed in killed.items():
            if is_killed:
                self.require("kills", person not in auth.roles, "an addition by the removed counts")

    def renewals(self, honest: list[Device]) -> None:
        for device in honest:
            renewal = device.group._keyring.renewal
            head, auth = head_of(device), auth_of(device)
            if renewal is None or device.id not in auth.leaves:
                continue
            if not renewal and not may_renew(head, auth.devices[device.id], auth):
                continue
            node = device.group.control.tree.get(renewal)
            is_above = node is not None and head.descends_from(node)
            self.require("renewals", is_above, f"{device}'s renewal is lost")

    def converged(self, honest: list[Device]) -> None:
        heads = {head_of(device).id for device in honest}
        self.require(2, len(heads) == 1, f"connected devices stand on {len(heads)} heads")
        present = {device.id for device in honest}
        for device in honest:
            auth, roster = auth_of(device), set(head_of(device).roster)
            if not auth.leaves & present:
                # Nobody honest is left who could change the keys.
                continue
            # Whoever is in and has no replica yet offers no key package.
            self.require(2, roster <= auth.leaves, f"{device} sees somebody too many in the roster")
            missing = (auth.leaves & present) - roster
            self.require(2, not missing, f"{device} misses {len(missing)} devices in the roster")
            if device.id in auth.leaves:
                can = device.group.current_epoch() is not None
                self.require(2, can, f"{device} cannot enter the head")

    def order(self, device: Device, rng: random.Random) -> None:
        control = device.group.control
        other = ControlState(device.group.id, directory, device.setup.services())
        waiting = list(device.store.operations.values())
        rng.shuffle(waiting)
        refused: set[bytes] = set()
        halfway = False
        while waiting:
            left: list[Operation] = []
            for operation in waiting:
                if other.history.missing(operation):
                    left.append(operation)
                    continue
                self.require(1, not other.is_foreign(operation), "order decides what is foreign")
                try:
                    other.accept(operation)
                except RemoteError:
                    refused.add(operation.id)
                if not halfway and 2 * len(other.history) > len(control.history):
                    halfway = True
                    self._same_then(control, other)
            self.require(1, len(left) < len(waiting), "an operation lacks what it follows")
            waiting = left
        self.require(1, refused == device.refused, "order decides what is refused")
        one, two = control.auth(), other.auth()
        self.require(1, one.roles == two.roles, "order decides roles")
        self.require(1, one.devices == two.devices, "order decides devices")
        same = {node.id for node in control.tree} == {node.id for node in other.tree}
        self.require(1, same, "order decides which commits are valid")
        head = other.head()
        self.require(
            1, head is not None and head.id == head_of(device).id, "order decides the head"
        )

    def _same_then(self, control: ControlState, partial: ControlState) -> None:
        """What part of the operations says is the same whether or not the others are known."""
        history = partial.history
        known = control.history.closure(history.id(place) for place in range(len(history)))
        assert known is not None
        one, two = control.auth(known), partial.auth()
        same = (one.roles, one.devices) == (two.roles, two.devices)
        self.require(1, same, "what is known besides decides who was in")
        head, then = partial.head(), control.head(known)
        is_same = head is not None and then is not None and head.id == then.id
        self.require(1, is_same, "what is known besides decides a former head")

    def coalitions(self, honest: list[Device], everybody: list[Device], sends: list[Send]) -> None:
        """The removed, all together and with all later links, read nothing gated."""
        control = honest[0].group.control
        final = auth_of(honest[0])
        by_id = {device.id: device for device in everybody}
        views = [(node.known, node.roster.keys()) for node in control.tree]
        views += _linked_views(honest[0])
        for item in sends:
            known = control.history.closure(item.removals)
            assert known is not None
            readmitted = {
                device
                for then, roster in views
                if not known & ~then
                for device in item.removed & roster
            }
            # A removal that was itself undone later protects nobody any more.
            lives = all(
                final.removals >> control.history.index(removal) & 1 for removal in item.removals
            )
            if not lives:
                continue
            for device in (item.removed - readmitted - final.leaves) & by_id.keys():
                opened = by_id[device].read(item.text)
                self.require(4, opened is None, f"{by_id[device]} reads though removed")

    def used(self, honest: list[Device]) -> None:
        """What was read in a `sealed` group cannot be read again from what is stored."""
        for device in honest:
            if device.is_sealed:
                twin = device.twin()
                for text in device.store.read:
                    opened = open_text(twin, device.store.texts[text])
                    self.require(12, opened is None, f"{device} still holds the key of a message")

    def last_words(self, honest: list[Device], said: Mapping[bytes, Operation]) -> None:
        """What members write once all are connected and quiet is read by all of them."""
        readers = [item for item in honest if item.id in auth_of(item).leaves]
        for device in readers:
            for author, text in said.items():
                readable = text.id in device.store.applied and device.read(text) is not None
                self.require(5, readable, f"{device} cannot read the last words of {author.hex()}")

    def texts(self, honest: list[Device], sends: list[Send]) -> None:
        """What members hold in the end; see invariant 5."""
        auth = auth_of(honest[0])
        readers = [device for device in honest if device.id in auth.leaves]
        writers = {device.id for device in honest if device.id in auth.leaves}
        for send in sends:
            text = send.text
            accepting = [item for item in readers if text.id in item.store.applied]
            if text.author in writers and not _is_cut(honest[0], text):
                for device in readers:
                    self.require(5, device in accepting, f"{device} refuses a member's text")
            unsure = [device for device in readers if not device.mute]
            agree = {device in accepting for device in unsure}
            if not any(device.mute for device in accepting):
                self.require(5, len(agree) < 2, "some accepted a text that others refuse")
            if readers and readers[0].group.profile is Profile.ARCHIVE:
                for device in accepting:
                    if text.author in writers:
                        readable = device.read(text) is not None
                        self.require(5, readable, f"{device} cannot read what a member wrote")


def head_of(device: Device) -> EpochNode:
    head = device.group.control.head()
    assert head is not None
    return head


def auth_of(device: Device) -> Auth:
    return device.group.control.auth()


def is_settled(device: Device, present: set[bytes]) -> bool:
    """A device is out for good, or can write under a head with the right roster."""
    if device.group.control.head() is None or device.id not in auth_of(device).leaves:
        return True
    epoch, roster = device.group.current_epoch(), set(head_of(device).roster)
    leaves = auth_of(device).leaves
    return epoch is not None and roster <= leaves and leaves & present <= roster


def _linked_views(device: Device) -> list[tuple[int, Set[bytes]]]:
    """For each key link: what its author knew, and the devices it rightly meant it for."""
    control = device.group.control
    views: list[tuple[int, Set[bytes]]] = []
    for operation in device.store.operations.values():
        if operation.kind != KEYLINK or operation.id not in control.history:
            continue
        content = decode_content(operation.kind, operation.body or b"")
        assert isinstance(content, KeyLink)
        source = control.tree.get(content.source)
        assert source is not None
        then = control.history.past(control.history.index(operation.id))
        views.append((then, source.roster.keys() & control.auth(then).leaves))
    return views


def view(group: Group) -> dict[str, object]:
    """What a restart must bring back.

    Which keys of former epochs somebody who is out still got depends on when it heard of it.
    """
    head = group.control.head()
    keyring, is_in = group._keyring, group._device in group.control.auth().leaves
    return {
        "head": None if head is None else head.id,
        "heads": group.heads(),
        "epoch": group.current_epoch(),
        "roles": group.roles(),
        "renewal": keyring.renewal,
        "secrets": group.secrets if is_in else None,
        "held": sorted(keyring.left) if is_in else None,
        "failed": sorted(keyring.failed) if is_in else None,
    }


def _index(receiver: Device, operation: Operation) -> int:
    return receiver.group.control.history.index(operation.id)


def _is_cut(device: Device, text: Operation) -> bool:
    """Tell whether a live removal of its author's person was not known to a text."""
    control = device.group.control
    known = control.history.closure(text.header.extensions.previous)
    person = auth_of(device).devices.get(text.author)
    if known is None or person is None:
        return True
    removals = control.authorisation.removals_of(person, control.everything)
    return any(not known >> index & 1 and content is not None for index, content in removals)
