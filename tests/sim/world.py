"""The devices of a simulated life: who exists, what reaches whom, what devices do by themselves."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from lutra.groups.contents import Role
from lutra.groups.group import RANK_DELAY_MS, Group
from lutra.identity.recovery import RecoveryKit
from lutra.operation import Operation
from sim.attacks import MaliciousDevice
from sim.clocks import START, Clock
from sim.device import Device
from sim.invariants import Judge, Send, view

NAMES = ("anna", "ben", "cleo", "dora", "emil", "finn", "gina", "hugo")
Change = Callable[[Group], list[Operation]]


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

    @classmethod
    def of(cls, seed: int) -> Size:
        """Return the size of the world that a seed stands for."""
        rng = random.Random(f"size {seed}")
        return cls(rng.choice((4, 5, 5, 6)), rng.choice((1, 2, 2, 3)), rng.choice((0, 1, 1, 2)))


@dataclass
class World:
    """Devices and what they know; what happens is up to subclasses.

    Attributes:
        seed: decides everything.
        size: how large the world is; the seed decides where it is None.
        history: what happened, a line each.
        judge: what was checked.
    """

    seed: int
    size: Size | None = None
    history: list[str] = field(default_factory=list)
    judge: Judge = field(default_factory=Judge)
    sends: list[Send] = field(default_factory=list)
    commits: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.clock = Clock()
        self.devices: list[Device] = []
        self._kits: dict[str, RecoveryKit] = {}
        # Every other batch draws its consequences once.
        self._at_once = itertools.cycle((False, True))
        self._since: dict[str, int] = {}
        self._sides: dict[str, int] = {}
        self._texts = 0
        self._size = self.size or Size.of(self.seed)
        persons = self._persons()
        # The founder is honest, so that somebody is.
        self.malicious = set(self.random.sample(persons[1:], self._size.malicious))

    # What tests look at

    @property
    def inside(self) -> list[Device]:
        """Devices that have a replica."""
        return [device for device in self.devices if device.is_open]

    @property
    def honest(self) -> list[Device]:
        return [item for item in self.inside if item.person_name not in self.malicious]

    def _persons(self) -> list[str]:
        return list(NAMES[: self._size.persons])

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
        self.judge.applied(receiver, receiver.hear(texts))

    def _receive(
        self, receiver: Device, operations: list[Operation], *, crashes: bool = False
    ) -> None:
        if not operations:
            return
        known = {item.id: item for item in operations}
        known.update(receiver.waiting)
        if crashes:
            self._crash_amid(receiver, operations)
        results = receiver.deliver(operations, at_once=next(self._at_once))
        self.judge.receptions(receiver, known, results, self._is_honest)
        self._tell(receiver, receiver.vouch())
        self._observe(receiver)

    def _crash_amid(self, receiver: Device, operations: list[Operation]) -> None:
        """Crash in the middle of a batch: the rest, received after it, must come to the same."""
        waiting = dict(receiver.waiting)
        without, known = receiver.twin(), len(receiver.store.operations)
        self._say(f"{receiver} crashes while receiving")
        receiver.deliver(operations, crash_after=self.random.randint(1, len(operations)))
        receiver.deliver([*operations, *waiting.values()])
        for operation in itertools.islice(receiver.store.operations.values(), known, None):
            without.receive(operation)
        now, then = view(receiver.group), view(without)
        told = f"after {receiver} crashed while receiving"
        self.judge.same(now, then, told)
        receiver.waiting.update(waiting)

    def _exchange_all(self) -> None:
        for _ in range(2):
            for receiver in self.inside:
                for sender in self.inside:
                    if sender is not receiver and (lacking := receiver.lacks(sender)):
                        self._receive(receiver, lacking)
        for receiver in self.inside:
            for sender in self.inside:
                fresh = receiver.hear(sender.store.texts.values())
                self.judge.applied(receiver, fresh)

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

    def _do(self, device: Device, change: Change) -> list[Operation]:
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

    # Telling

    def _observe(self, device: Device) -> None:
        self.judge.secrets(device)
        self.judge.deletion(device)
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
