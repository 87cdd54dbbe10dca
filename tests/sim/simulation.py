"""A seeded life of a group: replicas of production code under partition, delay and attack.

Every random choice comes from the seed, so that a failure replays exactly. What must hold is in
`sim.invariants`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass

from lutra.groups import group as group_module
from lutra.groups.contents import Role
from lutra.groups.group import RANK_DELAY_MS, Group
from lutra.groups.keys import Reception
from lutra.operation import Operation
from sim import invariants
from sim.device import START, Clock, Device, revoked
from sim.invariants import Send, Violation

NAMES = ("anna", "ben", "cleo", "dora", "emil", "finn", "gina", "hugo")


class HoardingGroup(Group):
    """A malicious device's replica: it keeps every secret it ever had."""

    def _on_removed(self) -> None:
        pass

    def _delete(self, now: int) -> None:
        pass


class MaliciousDevice(Device):
    group_class = HoardingGroup


@dataclass(frozen=True)
class Size:
    """How large a simulated world is."""

    persons: int = 5
    devices: int = 2
    malicious: int = 1


class Simulation:
    """One seeded run; `run` raises `Violation` where something does not hold."""

    def __init__(self, seed: int, size: Size | None = None) -> None:
        self.seed = seed
        size = size or Size()
        self.random = random.Random(seed)
        self.clock = Clock()
        self.history: list[str] = []
        self.sends: list[Send] = []
        self.secrets: dict[bytes, bytes] = {}
        self.commits = 0
        self.devices: list[Device] = []
        self.malicious: set[str] = set()
        self._since: dict[str, int] = {}
        self._sides: dict[str, int] = {}
        persons = list(NAMES[: size.persons])
        self.malicious.update(self.random.sample(persons[1:], size.malicious))
        for person in persons:
            kind = MaliciousDevice if person in self.malicious else Device
            for number in range(1, size.devices + 1):
                name = f"{person}/{number}"
                self.devices.append(kind(name, person, self.clock, str(seed).encode()))
        self._begin()

    # What tests look at

    @property
    def inside(self) -> list[Device]:
        """Devices that have a replica."""
        return [device for device in self.devices if device._group is not None]

    @property
    def honest(self) -> list[Device]:
        return [item for item in self.inside if item.person_name not in self.malicious]

    def run(self, steps: int) -> None:
        """Live for some steps, heal, and check everything."""
        for _ in range(steps):
            self.step()
        self.heal()
        invariants.check_converged(self.honest)
        invariants.check_order(self.honest[0], self.random)
        invariants.check_coalitions(self.honest, self.inside, self.sends)
        invariants.check_archive(self.honest, self.sends)

    def step(self) -> None:
        """Do one thing somewhere."""
        self.clock.now += self.random.choice((100, 1_000, 5_000, 30_000, 300_000))
        actions: list[tuple[Callable[[], None], int]] = [
            (self._deliver, 50),
            (self._tend, 25),
            (self._send, 15),
            (self._change, 12),
            (self._renew, 5),
            (self._crash, 3),
            (self._partition, 2),
            (self._attack, 4 if self.malicious else 0),
        ]
        chosen = self.random.choices([item for item, _ in actions], [w for _, w in actions])
        chosen[0]()

    def heal(self, minutes: int = 40) -> None:
        """Connect everybody and wait until nothing is due any more."""
        self._say("all reconnect")
        self._sides.clear()
        for _ in range(minutes * 20):
            self.clock.now += RANK_DELAY_MS
            self._exchange_all()
            busy = [self._attend(device) for device in self.honest]
            if not any(busy) and all(invariants.is_settled(device) for device in self.honest):
                return

    # Steps

    def _begin(self) -> None:
        founder = self.devices[0]
        founder.found()
        self._say(f"{founder} founds the group")
        for device in self.devices[1 : 1 + self.random.randint(2, 5)]:
            self._invite(founder, device)
        self._exchange_all()

    def _deliver(self) -> None:
        receiver = self.random.choice(self.inside)
        senders = [item for item in self.inside if self._is_connected(item, receiver)]
        if not senders:
            return
        lacking = receiver.lacks(self.random.choice(senders))
        if not lacking:
            return
        if self.random.random() < 0.4:
            lacking = self.random.sample(lacking, self.random.randint(1, len(lacking)))
        if self.random.random() < 0.1:
            # Replays change nothing.
            lacking += self.random.sample(lacking, 1)
        self._receive(receiver, lacking)

    def _receive(self, receiver: Device, operations: list[Operation]) -> None:
        known = {item.id: item for item in operations}
        known.update(receiver.waiting)
        results = receiver.deliver(operations)
        invariants.check_receptions(receiver, known, results, self._is_honest)
        self._observe(receiver)

    def _tend(self) -> None:
        self._attend(self.random.choice(self.inside))

    def _attend(self, device: Device) -> bool:
        """Do what is due at a device; tells whether something was done or waits."""
        made = device.do(lambda group: group.tend(device))
        rank = device.group.reconcile_rank()
        if rank is None:
            self._since.pop(device.name, None)
        else:
            begun = self._since.setdefault(device.name, self.clock.now)
            if self.clock.now - begun >= rank * RANK_DELAY_MS:
                made += device.do(lambda group: group.reconcile(device))
                del self._since[device.name]
        self._tell(device, made)
        self._observe(device)
        return bool(made) or rank is not None

    def _send(self) -> None:
        device = self.random.choice(self.honest)
        if device.group.current_epoch() is None:
            made = device.do(lambda group: group.reconcile(device))
            self._tell(device, made)
        invariants.check_not_blocked(device)
        send = invariants.send(device)
        if send is not None:
            self.sends.append(send)
            self._say(f"{device} writes under {send.epoch.hex()[:6]}")

    def _change(self) -> None:
        device = self.random.choice(self.inside)
        auth = device.group.control.auth()
        if auth.role_of(device.id) is not Role.ADMIN:
            return
        others = sorted(person for person in auth.roles if person != device.person)
        choice = self.random.choice(("invite", "invite", "remove", "role", "leave", "revoke"))
        newcomers = [item for item in self.devices if item._group is None]
        if choice == "invite" and newcomers:
            self._invite(device, self.random.choice(newcomers))
        elif choice == "invite":
            self._readmit(device)
        elif choice == "remove" and others:
            target = self.random.choice(others)
            self._say(f"{device} removes {self._name(target)}")
            self._tell(device, device.do(lambda group: group.remove_person(device, target)))
        elif choice == "role" and others:
            self._change_role(device, self.random.choice(others))
        elif choice == "leave" and list(auth.roles.values()).count(Role.ADMIN) > 1:
            self._say(f"{device} leaves with all devices")
            device.do(lambda group: group.leave(device))
        elif choice == "revoke" and self.random.random() < 0.5:
            self._revoke(device)

    def _change_role(self, device: Device, target: bytes) -> None:
        role = self.random.choice((Role.READER, Role.WRITER, Role.ADMIN, Role.KEEPER))
        if device.group.roles()[target] is not role:
            self._say(f"{device} makes {self._name(target)} {role.name.lower()}")
            self._tell(device, device.do(lambda group: group.set_role(device, target, role)))

    def _revoke(self, device: Device) -> None:
        siblings = [
            item
            for item in self.inside
            if item.person == device.person
            and item is not device
            and device.group.is_member(item.id)
        ]
        if siblings:
            sibling = self.random.choice(siblings)
            self._say(f"{device} revokes {sibling}")
            self._tell(
                device, device.do(lambda group: group.introduce(device, [revoked(sibling.id)]))
            )

    def _invite(self, host: Device, guest: Device) -> None:
        guest.open(host.group.id)
        self._offer(host, guest)

    def _readmit(self, host: Device) -> None:
        gone = [item for item in self.inside if item.person not in host.group.roles()]
        if gone:
            self._offer(host, self.random.choice(gone))

    def _offer(self, host: Device, guest: Device) -> None:
        offer = guest.group.create_offer()
        guest.persist([])
        self._say(f"{host} invites {guest}")
        if guest.person in host.group.roles():
            made = host.do(lambda group: group.introduce(host, [guest.evidence], [offer]))
        else:
            role = self.random.choice((Role.ADMIN, Role.ADMIN, Role.WRITER))
            made = host.do(
                lambda group: group.add_person(
                    host, guest.person, role, evidence=[guest.evidence], offers=[offer]
                )
            )
        self._tell(host, made)

    def _renew(self) -> None:
        device = self.random.choice(self.inside)
        if device.group.is_member(device.id):
            self._tell(device, device.do(lambda group: group.renew(device)))

    def _crash(self) -> None:
        device = self.random.choice(self.honest)
        before = invariants.view(device)
        if self.random.random() < 0.5 and device.group.is_member(device.id):
            self._say(f"{device} crashes before a renewal is stored")
            device.lose(lambda group: group.renew(device))
        else:
            self._say(f"{device} restarts")
            device.restart()
        invariants.check_restart(device, before)

    def _partition(self) -> None:
        if self.random.random() < 0.4:
            self._sides.clear()
            self._say("the network is whole")
            return
        self._sides = {item.name: self.random.randrange(3) for item in self.devices}
        self._say(f"the network falls apart: {self._sides}")

    # Attacks

    def _attack(self) -> None:
        attackers = [
            item
            for item in self.inside
            if item.person_name in self.malicious and item.group.is_member(item.id)
        ]
        if not attackers:
            return
        attacker = self.random.choice(attackers)
        choice = self.random.choice((self._withhold, self._lie, self._equivocate))
        choice(attacker)

    def _withhold(self, attacker: Device) -> None:
        """Build a chain of commits that nobody gets to see for a while."""
        self._sides[attacker.name] = -1
        self._say(f"{attacker} hides and commits")
        for _ in range(6):
            self._tell(attacker, attacker.do(lambda group: group.renew(attacker)))

    def _lie(self, attacker: Device) -> None:
        """Commit to another key than the one made."""
        honest = group_module.kid_of
        group_module.kid_of = lambda secret: honest(honest(secret))
        try:
            made = attacker.do(lambda group: group.renew(attacker))
        finally:
            group_module.kid_of = honest
        if made:
            self._say(f"{attacker} lies about a key")
            self._tell(attacker, made)

    def _equivocate(self, attacker: Device) -> None:
        """Write two operations at one place of the log."""
        if self.random.random() < 0.5:
            return
        before = copy(attacker.store)
        before.operations = dict(attacker.store.operations)
        first = attacker.do(lambda group: group.renew(attacker))
        attacker.store = before
        attacker.restart()
        second = attacker.do(lambda group: group.renew(attacker))
        self._say(f"{attacker} equivocates")
        self._tell(attacker, [*first, *second])
        attacker.deliver(first)

    # Telling

    def _exchange_all(self) -> None:
        for _ in range(2):
            for receiver in self.inside:
                for sender in self.inside:
                    if sender is not receiver and (lacking := receiver.lacks(sender)):
                        self._receive(receiver, lacking)

    def _observe(self, device: Device) -> None:
        invariants.check_one_secret(device, self.secrets)
        invariants.check_admin(device)

    def _is_connected(self, one: Device, other: Device) -> bool:
        return one is not other and self._sides.get(one.name, 0) == self._sides.get(other.name, 0)

    def _is_honest(self, device: bytes) -> bool:
        return any(item.id == device for item in self.honest)

    def _name(self, person: bytes) -> str:
        return next(item.person_name for item in self.devices if item.person == person)

    def _tell(self, device: Device, operations: list[Operation]) -> None:
        for operation in operations:
            self.commits += operation.kind == "group.commit"
            head = device.group.control.head()
            where = "" if head is None else f", stands on {head.id.hex()[:6]}"
            self._say(f"{device} publishes {operation.kind} {operation.id.hex()[:6]}{where}")

    def _say(self, line: str) -> None:
        seconds = (self.clock.now - START) / 1000
        self.history.append(f"{seconds:10.1f} s  {line}")


__all__ = ["HoardingGroup", "Reception", "Simulation", "Size", "Violation"]
