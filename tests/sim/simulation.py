"""A seeded life of a group: replicas of production code under partition, delay, crash and attack.

Every random choice comes from the seed, so that a failure replays exactly. What must hold is in
`sim.invariants`; what malicious members do in `sim.attacks`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from lutra.groups.contents import Profile, Role
from lutra.groups.group import RANK_DELAY_MS, Group
from lutra.identity.errors import DeviceNotInPersonError
from lutra.identity.recovery import RecoveryKit
from lutra.operation import Operation
from sim import attacks
from sim.attacks import MaliciousDevice
from sim.clocks import DAY, ERRORS, MINUTE, START, Clock
from sim.device import Device
from sim.invariants import Judge, Send, Violation, is_settled, view
from sim.memo import shared_judgements

NAMES = ("anna", "ben", "cleo", "dora", "emil", "finn", "gina", "hugo")
HEAL_MINUTES = 60
_Change = Callable[[Group], list[Operation]]


@dataclass(frozen=True)
class Size:
    """How large a simulated world is.

    Attributes:
        persons: how many there are, in the group or not.
        devices: how many each may have.
        malicious: how many persons attack.
    """

    persons: int = 5
    devices: int = 2
    malicious: int = 1


@dataclass
class _Withheld:
    """Commits an attacker made in private."""

    attacker: Device
    operations: list[Operation]


@dataclass
class Simulation:
    """One seeded run; `run` raises `Violation` where something does not hold.

    Attributes:
        seed: decides everything.
        size: how large the world is.
        history: what happened, a line each.
        judge: what was checked.
    """

    seed: int
    size: Size = field(default_factory=Size)
    history: list[str] = field(default_factory=list)
    judge: Judge = field(default_factory=Judge)
    sends: list[Send] = field(default_factory=list)
    commits: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.clock = Clock()
        self.devices: list[Device] = []
        self._kits: dict[str, RecoveryKit] = {}
        self._since: dict[str, int] = {}
        self._sides: dict[str, int] = {}
        self._withheld: list[_Withheld] = []
        self._texts = 0
        persons = list(NAMES[: self.size.persons])
        # The founder is honest, so that somebody is.
        self.malicious = set(self.random.sample(persons[1:], self.size.malicious))
        with shared_judgements():
            self._begin(persons)

    # What tests look at

    @property
    def inside(self) -> list[Device]:
        """Devices that have a replica."""
        return [device for device in self.devices if device.is_open]

    @property
    def honest(self) -> list[Device]:
        return [item for item in self.inside if item.person_name not in self.malicious]

    def run(self, steps: int) -> None:
        """Live for some steps, heal, and check everything."""
        with shared_judgements():
            self.live(steps)

    def live(self, steps: int) -> None:
        """What `run` does, each replica judging for itself."""
        for _ in range(steps):
            self.step()
        self.heal()
        honest = self.honest
        self.judge.converged(honest)
        self.judge.order(self.random.choice(honest), self.random)
        self.judge.coalitions(honest, self.inside, self.sends)
        self.judge.texts(honest, self.sends)

    def step(self) -> None:
        """Do one thing somewhere."""
        waits = (100, 1_000, 5_000, 30_000, 5 * MINUTE)
        self.clock.now += self.random.choice(waits)
        actions: list[tuple[Callable[[], None], int]] = [
            (self._deliver, 50),
            (self._tend, 25),
            (self._write, 15),
            (self._change, 14),
            (self._renew, 5),
            (self._crash, 4),
            (self._partition, 3),
            (self._misset_clock, 1),
            (self._wait_long, 1),
            (self._attack, 8 if self.malicious else 0),
        ]
        chosen = self.random.choices([item for item, _ in actions], [w for _, w in actions])
        chosen[0]()

    def heal(self) -> None:
        """Connect everybody and wait until nothing is due any more."""
        self._say("all reconnect")
        self._sides.clear()
        self._reveal_all()
        for _ in range(HEAL_MINUTES * MINUTE // RANK_DELAY_MS):
            self.clock.now += RANK_DELAY_MS
            self._exchange_all()
            busy = [self._attend(device) for device in self.honest]
            present = {device.id for device in self.honest}
            if not any(busy) and all(is_settled(device, present) for device in self.honest):
                return

    # Beginning

    def _begin(self, persons: list[str]) -> None:
        for person in persons:
            self._appear(person)
            if self.random.random() < 0.6 and self.size.devices > 1:
                self._appear(person)
            if self.random.random() < 0.4:
                first = self._devices_of(person)[0]
                self._kits[person] = first.make_kit()
                self._share_chain(first)
        founder = self.devices[0]
        profile = self.random.choice((Profile.ARCHIVE,) * 4 + (Profile.JOIN_ON,))
        founder.found(profile)
        self._say(f"{founder} founds the group ({profile.name.lower()})")
        for person in persons[1 : 1 + self.random.randint(2, 4)]:
            self._invite(founder, person)
        self._bring_own_devices(founder)
        self._exchange_all()

    def _appear(self, person: str) -> Device:
        """A person has one more device, added by its first that may."""
        siblings = self._devices_of(person)
        kind = MaliciousDevice if person in self.malicious else Device
        name = f"{person}/{1 + len(siblings)}"
        able = next((one for one in siblings if one.chain.state.may_act(one.id)), None)
        device = kind(name, person, self.clock, str(self.seed).encode(), sibling=able)
        self.devices.append(device)
        if able is not None:
            self._share_chain(able)
        return device

    def _share_chain(self, device: Device) -> None:
        """Tell the reachable devices of the person what its chain says."""
        for sibling in self._devices_of(device.person_name):
            if sibling is not device and self._is_connected(device, sibling):
                for operation in device.chain.operations():
                    sibling.chain.receive(operation)

    # Messages

    def _deliver(self) -> None:
        receiver = self.random.choice(self.inside)
        senders = [item for item in self.inside if self._is_connected(item, receiver)]
        if not senders:
            return
        sender = self.random.choice(senders)
        lacking = receiver.lacks(sender)
        if lacking and self.random.random() < 0.4:
            lacking = self.random.sample(lacking, self.random.randint(1, len(lacking)))
        if lacking and self.random.random() < 0.1:
            # Replays change nothing.
            lacking += self.random.sample(lacking, 1)
            lacking.append(next(iter(sender.store.operations.values())))
        texts = list(sender.store.texts.values())
        if self.random.random() < 0.3:
            texts = self.random.sample(texts, len(texts) // 2)
        crashes = self.random.random() < 0.06 and len(lacking) > 1
        self._receive(receiver, lacking, crashes=crashes)
        receiver.hear(texts)

    def _receive(
        self, receiver: Device, operations: list[Operation], *, crashes: bool = False
    ) -> None:
        if not operations:
            return
        known = {item.id: item for item in operations}
        known.update(receiver.waiting)
        if crashes:
            self._crash_amid(receiver, operations)
        results = receiver.deliver(operations)
        self.judge.receptions(receiver, known, results, self._is_honest)
        self._tell(receiver, receiver.vouch())
        self._observe(receiver)

    def _crash_amid(self, receiver: Device, operations: list[Operation]) -> None:
        """Crash in the middle of a batch; receiving it again must come to the same."""
        waiting = dict(receiver.waiting)
        without = receiver.twin()
        for _ in range(2):
            for operation in [*operations, *waiting.values()]:
                without.receive(operation)
        self._say(f"{receiver} crashes while receiving")
        receiver.deliver(operations, crash_after=self.random.randint(1, len(operations)))
        rest = [*operations, *waiting.values()]
        receiver.deliver(rest)
        receiver.deliver(rest)
        if len(without.control.history) == len(receiver.group.control.history):
            now, then = view(receiver.group), view(without)
            self.judge.same(now, then, f"after {receiver} crashed while receiving")
        receiver.waiting.update(waiting)

    def _exchange_all(self) -> None:
        for _ in range(2):
            for receiver in self.inside:
                for sender in self.inside:
                    if sender is not receiver and (lacking := receiver.lacks(sender)):
                        self._receive(receiver, lacking)
        for receiver in self.inside:
            for sender in self.inside:
                receiver.hear(sender.store.texts.values())

    # What devices do by themselves

    def _tend(self) -> None:
        self._attend(self.random.choice(self.inside))

    def _attend(self, device: Device) -> bool:
        """Do what is due at a device; tells whether something was done or waits."""
        made: list[Operation] = []
        if device.group.is_member(device.id) and (news := device.untold()):
            made += self._do(device, lambda group: group.introduce(device, news))
        made += self._do(device, lambda group: group.tend(device))
        made += device.vouch()
        rank = device.group.reconcile_rank()
        if rank is None:
            self._since.pop(device.name, None)
        else:
            begun = self._since.setdefault(device.name, self.clock.now)
            if self.clock.now - begun >= rank * RANK_DELAY_MS:
                made += self._do(device, lambda group: group.reconcile(device))
                del self._since[device.name]
        self._tell(device, made)
        self._observe(device)
        return bool(made) or rank is not None

    def _do(self, device: Device, change: _Change) -> list[Operation]:
        """Have an honest device crash now and then, before it stores or before it sends."""
        fate = self.random.random()
        if fate < 0.02 and device.person_name not in self.malicious:
            before = view(device.group)
            self._say(f"{device} crashes before it stores")
            device.lose(change)
            self.judge.same(view(device.group), before, f"after {device} crashed")
            return []
        made = device.do(change)
        if fate > 0.98 and made and device.person_name not in self.malicious:
            before = view(device.group)
            self._say(f"{device} crashes before it sends")
            device.restart()
            self.judge.same(view(device.group), before, f"after {device} crashed")
        return made

    # What persons do

    def _write(self) -> None:
        device = self.random.choice(self.inside)
        role = device.group.control.auth().role_of(device.id)
        if role is None or role < Role.WRITER:
            return
        if device.group.current_epoch() is None:
            self._tell(device, device.do(lambda group: group.reconcile(device)))
        honest = device.person_name not in self.malicious
        if honest:
            self.judge.not_blocked(device)
        self._texts += 1
        text = device.write(f"text {self._texts}".encode())
        if text is None:
            return
        if honest:
            self.sends.append(self.judge.send(device, text))
        self._say(f"{device} writes {text.id.hex()[:6]} under {_short(text)}")

    def _change(self) -> None:
        device = self.random.choice(self.inside)
        if not device.group.is_member(device.id):
            return
        choices = (
            self._invite_somebody,
            self._invite_somebody,
            self._remove,
            self._remove,
            self._set_role,
            self._leave,
            self._change_devices,
            self._change_devices,
            self._restore,
            self._name_things,
        )
        self.random.choice(choices)(device)

    def _invite_somebody(self, host: Device) -> None:
        if self._is_admin(host):
            roles = host.group.roles()
            outside = {item.person_name for item in self.devices if item.person not in roles}
            if outside:
                self._invite(host, self.random.choice(sorted(outside)))

    def _remove(self, device: Device) -> None:
        others = self._others(device)
        if self._is_admin(device) and others:
            target = self.random.choice(others)
            self._say(f"{device} removes {self._name(target)}")
            cuts = device.cuts(target)
            self._tell(
                device, self._do(device, lambda group: group.remove_person(device, target, cuts))
            )

    def _set_role(self, device: Device) -> None:
        others = self._others(device)
        if not self._is_admin(device) or not others:
            return
        target = self.random.choice(others)
        role = self.random.choice((Role.READER, Role.WRITER, Role.ADMIN, Role.ADMIN, Role.KEEPER))
        if device.group.roles()[target] is not role:
            self._say(f"{device} makes {self._name(target)} {role.name.lower()}")
            self._tell(device, self._do(device, lambda group: group.set_role(device, target, role)))

    def _leave(self, device: Device) -> None:
        roles = list(device.group.roles().values())
        is_last = self._is_admin(device) and roles.count(Role.ADMIN) == 1
        if not is_last and len(roles) > 2 and self.random.random() < 0.5:
            self._say(f"{device} leaves with all devices")
            self._tell(device, self._do(device, lambda group: group.leave(device)))

    def _name_things(self, device: Device) -> None:
        if self._is_admin(device):
            self._say(f"{device} names the group")
            self._do(device, lambda group: group.rename(device, f"Group {self.clock.now}"))
        if device.chain.state.may_act(device.id):
            device.chain.rename(device.key, device.id, b"renamed", device.clock())
            self._do(device, lambda group: group.introduce(device, device.untold()))

    def _change_devices(self, device: Device) -> None:
        """Add a device of one's own, or revoke one; sometimes two revoke each other."""
        if not device.chain.state.may_act(device.id):
            return
        siblings = [item for item in self._devices_of(device.person_name) if item is not device]
        active = [item for item in siblings if device.chain.state.may_act(item.id)]
        if len(active) < self.size.devices - 1:
            if len(siblings) <= self.size.devices:
                self._add_device(device)
        elif active and self.random.random() < 0.6:
            sibling = self.random.choice(active)
            self._revoke(device, sibling)
            if self.random.random() < 0.4 and sibling.is_open:
                # It did not hear of it yet and does the same.
                self._revoke(sibling, device)

    def _add_device(self, device: Device) -> None:
        name = f"{device.person_name}/{1 + len(self._devices_of(device.person_name))}"
        added = type(device)(
            name, device.person_name, self.clock, str(self.seed).encode(), sibling=device
        )
        self.devices.append(added)
        added.open(device.group.id)
        self._say(f"{device} adds {added}")
        self._bring_in(device, [added])

    def _revoke(self, device: Device, sibling: Device) -> None:
        try:
            device.chain.remove(device.key, sibling.id, device.clock())
        except DeviceNotInPersonError:
            return
        self._say(f"{device} revokes {sibling}")
        if device.group.is_member(device.id):
            news = device.untold()
            self._tell(device, self._do(device, lambda group: group.introduce(device, news)))

    def _restore(self, witness: Device) -> None:
        """Somebody who lost all devices comes back by a recovery kit."""
        names = [
            name
            for name in sorted(self._kits)
            if name not in self.malicious
            and name != witness.person_name
            and self._devices_of(name)[0].person in witness.group.roles()
            and len(self._devices_of(name)) <= self.size.devices
        ]
        if not names:
            return
        name, kit = names[0], self._kits[names[0]]
        devices = self._devices_of(name)
        lost = devices[0]
        fresh_name = f"{name}/{1 + len(devices)}"
        try:
            device = Device.restored(kit, fresh_name, lost, witness)
        except DeviceNotInPersonError:
            # The witness knows nothing of the kit yet.
            return
        self._say(f"{device} is restored from a kit by {witness}'s help")
        if self.random.random() < 0.7:
            for other in devices:
                if device.chain.state.may_act(other.id):
                    device.chain.remove(kit.key, other.id, device.clock())
        self.devices.append(device)
        device.open(witness.group.id)
        self._bring_in(witness, [device])

    def _renew(self) -> None:
        device = self.random.choice(self.inside)
        if device.group.is_member(device.id):
            self._tell(device, self._do(device, lambda group: group.renew(device)))

    def _invite(self, host: Device, person: str) -> None:
        guests = self._devices_of(person)
        for guest in guests:
            guest.open(host.group.id)
        self._say(f"{host} invites {person} with {len(guests)} devices")
        role = self.random.choice((Role.ADMIN, Role.ADMIN, Role.ADMIN, Role.WRITER, Role.READER))
        evidence = sorted({item for guest in guests for item in guest.evidence})
        offers = [guest.offer() for guest in guests]
        target = guests[0].person

        def change(group: Group) -> list[Operation]:
            if target in group.roles():
                made = group.introduce(host, evidence, offers)
                return [*made, *group.reconcile(host)]
            return group.add_person(host, target, role, evidence=evidence, offers=offers)

        self._tell(host, self._do(host, change))

    def _bring_in(self, host: Device, added: list[Device]) -> None:
        """Carry devices of a member into the group."""
        evidence = sorted({item for device in added for item in device.evidence})
        offers = [device.offer() for device in added]

        def change(group: Group) -> list[Operation]:
            return [*group.introduce(host, evidence, offers), *group.reconcile(host)]

        self._tell(host, self._do(host, change))

    def _bring_own_devices(self, founder: Device) -> None:
        own = [item for item in self._devices_of(founder.person_name) if item is not founder]
        for device in own:
            device.open(founder.group.id)
        if own:
            self._bring_in(founder, own)

    # What happens to devices

    def _crash(self) -> None:
        device = self.random.choice(self.honest)
        before = view(device.group)
        if self.random.random() < 0.5 and device.group.is_member(device.id):
            self._say(f"{device} crashes before a renewal is stored")
            device.lose(lambda group: group.renew(device))
        else:
            self._say(f"{device} restarts")
            device.restart()
        self.judge.same(view(device.group), before, f"after {device} crashed")

    def _partition(self) -> None:
        if self.random.random() < 0.4:
            self._sides.clear()
            self._say("the network is whole")
            return
        self._sides = {item.name: self.random.randrange(3) for item in self.devices}
        self._say(f"the network falls apart: {self._sides}")

    def _misset_clock(self) -> None:
        device = self.random.choice(self.inside)
        error = self.random.choice(ERRORS) * self.random.choice((-1, 0, 1))
        device.clock.error = error
        self._say(f"{device}'s clock is off by {error // 1000} s")

    def _wait_long(self) -> None:
        days = self.random.choice((1, 2, 9))
        self.clock.now += days * DAY
        self._say(f"{days} days pass")

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
        match self.random.randrange(8):
            case 0 | 1:
                self._sides[attacker.name] = -1
                self._say(f"{attacker} hides and commits")
                made = attacks.withhold(attacker)
                self._withheld.append(_Withheld(attacker, made))
                self._tell(attacker, made)
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
        self.judge.answers(device, len(made), max(0, before - epochs), answers)

    def _reveal_all(self) -> None:
        for withheld in self._withheld:
            self._reveal(withheld)
        self._withheld.clear()

    def _reveal(self, withheld: _Withheld) -> None:
        """Show an honest device what was withheld, and nothing else."""
        device = self.random.choice(self.honest)
        control = device.group.control
        head = control.head()
        fresh = [item for item in withheld.operations if item.id not in control.history]
        if head is None or not fresh or control.history.missing(fresh[0]):
            return
        start = control.head(control.history.past_of(fresh[0]))
        assert start is not None
        if not head.descends_from(start) or head is start:
            return
        branch = next(node for node in head.path() if node.parent is start)
        auth = control.auth()
        honest = {item.id for item in self.honest}
        entitled = {auth.owner.get(item) for item in start.roster}
        supporters = {
            auth.devices[item]
            for item in auth.leaves & honest
            for vote in [control.chooser.vote_of(item, control.everything)]
            if vote is not None and vote.descends_from(branch) and auth.devices[item] in entitled
        }
        self._say(f"{withheld.attacker} shows {device} what it withheld")
        self._receive(device, fresh)
        self.judge.revealed(device, branch, frozenset(supporters), withheld.attacker.person)

    # Telling

    def _observe(self, device: Device) -> None:
        self.judge.secrets(device)
        self.judge.admin(device)

    def _is_connected(self, one: Device, other: Device) -> bool:
        return one is not other and self._sides.get(one.name, 0) == self._sides.get(other.name, 0)

    def _is_honest(self, device: bytes) -> bool:
        return any(item.id == device for item in self.honest)

    def _is_admin(self, device: Device) -> bool:
        return device.group.control.auth().role_of(device.id) is Role.ADMIN

    def _others(self, device: Device) -> list[bytes]:
        return sorted(person for person in device.group.roles() if person != device.person)

    def _devices_of(self, person: str) -> list[Device]:
        return [item for item in self.devices if item.person_name == person]

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
        self.history.append(f"{seconds:12.1f} s  {line}")


def _short(text: Operation) -> str:
    return (text.header.extensions.epoch or b"").hex()[:6]


__all__ = ["Simulation", "Size", "Violation"]
