"""How attackers get to attack in a simulated life, and whether it helps them."""

from __future__ import annotations

from dataclasses import dataclass

from lutra.groups.epochs import EpochNode
from lutra.operation import Operation
from sim import attacks
from sim.device import Device
from sim.people import People


@dataclass
class _Withheld:
    """Commits an attacker made in private."""

    attacker: Device
    operations: list[Operation]


class Attackers(People):
    """A world in which some persons attack."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._withheld: list[_Withheld] = []

    def _attack(self) -> None:
        attackers = [
            item
            for item in self.inside
            if item.person_name in self.malicious and item.group.is_member(item.id)
        ]
        if not attackers:
            return
        attacker = self.random.choice(attackers)
        match self.random.randrange(9):
            case 0 | 1:
                self._withhold(attacker)
                self._go_on_without(attacker)
            case 2 | 3:
                name, made = attacks.bend_commit(attacker, self.random)
                self._say(f"{attacker} {name}")
                self._tell(attacker, made)
            case 4:
                self._say(f"{attacker} writes two things at one place")
                self._tell(attacker, attacks.equivocate(attacker))
            case 5:
                self._say(f"{attacker} signs two statements at one place of its person's log")
                self._tell(attacker, attacks.fork_chain(attacker))
            case 6:
                self._reveal_all()
            case 7:
                self._grind(attacker)
            case _:
                self._flood(attacker)

    def _flood(self, attacker: Device) -> None:
        epochs = len(attacker.group.control.tree)
        made = attacks.flood(attacker, self.random)
        self._say(f"{attacker} floods the group with {len(made)} operations")
        able = [item for item in self.honest if self._is_connected(item, attacker)]
        if not able:
            return
        device = self.random.choice(able)
        self._receive(device, device.lacks(attacker))
        before = len(device.group.control.tree)
        answers = self._do(device, lambda group: group.tend(device))
        answers += self._do(device, lambda group: group.tend(device))
        self._tell(device, answers)
        self.judge.answers(device, made, max(0, before - epochs), answers)

    def _withhold(self, attacker: Device) -> None:
        accomplices = [
            item
            for item in self._devices_of(attacker.person_name)
            if item is not attacker and item.is_open
        ]
        for item in (attacker, *accomplices):
            self._sides[item.name] = -1
        self._say(f"{attacker} hides with all devices and commits")
        made = attacks.withhold(attacker, accomplices)
        self._withheld.append(_Withheld(attacker, made))
        self._tell(attacker, made)

    def _grind(self, attacker: Device) -> None:
        """Try several commits against an honest one; which of them is published changes nothing."""
        rivals = [
            item
            for item in self.honest
            if self._is_connected(item, attacker) and item.group.current_epoch() is not None
        ]
        if not rivals:
            return
        rival = self.random.choice(rivals)
        self._receive(attacker, attacker.lacks(rival))
        self._receive(rival, rival.lacks(attacker))
        members = rival.group.is_member(rival.id) and attacker.group.is_member(attacker.id)
        if not members or rival.group.control.head() is None:
            return
        self._tell(rival, rival.do(lambda group: group.renew(rival)))
        tried = attacks.grind(attacker, 5)
        outcomes: list[bool] = []
        for operation in tried:
            replica = rival.twin()
            replica.receive(operation)
            found = replica.control.head()
            outcomes.append(found is not None and found.author == attacker.id)
        self._say(f"{attacker} tries {len(tried)} commits against {rival}: {outcomes}")
        if outcomes:
            self.judge.tie(outcomes)

    def _go_on_without(self, attacker: Device) -> None:
        """Two honest persons commit one after the other, while an attacker hides."""
        able = [
            item
            for item in self.honest
            if item.group.current_epoch() is not None and item.name not in self._sides
        ]
        persons = {item.person_name: item for item in able}
        if len(persons) < 2:
            return
        for name in self.random.sample(sorted(persons), 2):
            device = persons[name]
            for other in able:
                if other is not device:
                    self._receive(device, device.lacks(other))
            if device.group.is_member(device.id):
                self._tell(device, self._do(device, lambda group, by=device: group.renew(by)))

    def _reveal_all(self) -> None:
        for withheld in self._withheld:
            devices = self.honest
            self.random.shuffle(devices)
            for device in devices:
                self._reveal(withheld, device)
        self._withheld.clear()

    def _reveal(self, withheld: _Withheld, device: Device) -> None:
        """Show an honest device what was withheld, and nothing else."""
        control = device.group.control
        head = control.head()
        fresh = [item for item in withheld.operations if item.id not in control.history]
        if head is None or not fresh or control.history.missing(fresh[0]):
            return
        start = control.head(control.history.past_of(fresh[0]))
        if start is None or head is start or not head.descends_from(start):
            return
        branch = next(node for node in head.path() if node.parent is start)
        supporters = self._supporters(device, branch)
        self._say(f"{withheld.attacker} shows {device} what it withheld")
        # What waits for it could come along, and take a supporter's devices away.
        waiting = dict(device.waiting)
        device.waiting.clear()
        self._receive(device, fresh)
        self.judge.revealed(device, branch, supporters, withheld.attacker.person)
        for operation in waiting.values():
            if operation.id not in device.store.operations:
                device.waiting[operation.id] = operation

    def _supporters(self, device: Device, branch: EpochNode) -> frozenset[bytes]:
        """Return honest persons of the roster before a branch that vote in it, as seen here."""
        control, auth = device.group.control, device.group.control.auth()
        assert branch.parent is not None
        entitled = {auth.owner.get(item) for item in branch.parent.roster}
        return frozenset(
            auth.devices[item.id]
            for item in self.honest
            if item.id in auth.leaves and auth.devices[item.id] in entitled
            for vote in [control.chooser.vote_of(item.id, control.everything)]
            if vote is not None and vote.descends_from(branch)
        )
