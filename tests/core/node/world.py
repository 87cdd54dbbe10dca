"""Several engines on real stores, joined by channels in memory that can be cut at any time.

Clock and randomness are injected, so that a seed gives the same run again, as far as the stores'
and sessions' own randomness does not matter.
"""

from __future__ import annotations

import random
import shutil
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from lutra.crypto.signing import SigningKey
from lutra.groups.invite import Inviter, Joiner
from lutra.groups.invite_keys import Channel
from lutra.groups.invite_secret import InviteSecret
from lutra.identity.device_log import consent
from lutra.node.effects import Effects
from lutra.node.engine import Engine
from lutra.node.events import Event
from lutra.node.join_attempts import Step
from lutra.node.new_identity import (
    DEVICE,
    SECRET,
    create_identity,
    create_waiting,
    enter_person,
)
from lutra.store.store import Store

Result = TypeVar("Result")
KEY = bytes(32)
START_MS = 1_700_000_000_000
MAX_STEPS = 200_000


class Clock:
    """One time for all, which stands still unless it is moved."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


@dataclass
class Wire:
    """A channel between two devices: frames under way in each direction."""

    number: int
    ends: tuple[Device, Device]
    queues: dict[int, deque[bytes]] = field(default_factory=dict)
    closed: bool = False


class Device:
    """An engine, what it has told, and its place in the world."""

    def __init__(
        self,
        world: World,
        name: str,
        folder: Path,
        skew_ms: int = 0,
        sibling: Device | None = None,
    ) -> None:
        self.world = world
        self.name = name
        self.path = folder / f"{name}.db"
        self.skew_ms = skew_ms
        self.events: list[Event] = []
        self.deadline: float | None = None
        self.wipe: str | None = None
        self.burdened: frozenset[int] = frozenset()
        self.arrived = False
        store = Store.open(self.path, KEY)
        if sibling is None:
            create_identity(store, name, f"{name}'s laptop", world.random_bytes)
        else:
            self._enter(store, sibling)
        store.close()
        self.engine = self._open()
        self.device = self.engine.signing_key.public
        if sibling is not None:
            given = sibling.run(lambda e: e.own_devices.hand_over())
            self.run(lambda e: e.own_devices.accept_hand_over(given))
        self.run(Engine.start)

    def _enter(self, store: Store, sibling: Device) -> None:
        """Become another device of the sibling's person, as after pairing."""
        create_waiting(store, self.name, self.world.random_bytes)
        seed = store.keys.get(DEVICE)
        secret = sibling.store.keys.get(SECRET)
        assert seed is not None
        assert secret is not None
        key, person = SigningKey(seed), sibling.engine.persons.id
        agreed = consent(key, person, self.world.random_bytes)
        sibling.run(lambda e: e.persons.add_device(agreed, self.name))
        sibling.run(lambda e: e._groups.sponsor(key.public))
        operations = sibling.engine.persons.own.operations()
        enter_person(store, person, operations, secret=secret, name=sibling.name)

    def _open(self) -> Engine:
        return Engine(
            Store.open(self.path, KEY),
            now=lambda: START_MS + self.skew_ms + int(self.world.clock.seconds * 1000),
            monotonic=self.world.clock.monotonic,
            random=self.world.random_bytes,
        )

    def restart(self) -> None:
        """Stop as by a crash, and start again on what is on the disk."""
        for wire in list(self.world.wires.values()):
            if self in wire.ends:
                self.world.cut(*wire.ends)
        self.engine.close()
        self.burdened, self.arrived = frozenset(), False
        self.engine = self._open()
        self.run(Engine.start)

    def run(self, call: Callable[[Engine], Result]) -> Result:
        """Run a call of the engine, and carry out its effects."""
        try:
            result, effects = self.engine.run(lambda: call(self.engine))
        except BaseException:
            self._carry_out(self.engine.after_failure())
            raise
        self._carry_out(effects)
        return result

    def _carry_out(self, effects: Effects) -> None:
        self.events += effects.events
        self.deadline = effects.deadline
        self.wipe = effects.wipe
        self.burdened, self.arrived = effects.burdened, effects.arrived
        for number, frame in effects.traffic.frames:
            wire = self.world.wires.get(number)
            if wire is not None:
                wire.queues[wire.ends.index(self)].append(frame)
        for number, _ in effects.traffic.closed:
            wire = self.world.wires.get(number)
            if wire is not None:
                wire.closed = True

    # Short forms

    @property
    def store(self) -> Store:
        return self.engine._context.store

    def text(self, document: bytes) -> str:
        return self.run(lambda engine: engine.queries.text(document))

    def insert(self, document: bytes, text: str, position: int = 0) -> None:
        self.run(lambda e: e.edit(document, lambda content: content.splice(position, 0, text)))

    def roster(self, group: bytes) -> frozenset[bytes]:
        replica = self.engine._groups.get(group)
        return frozenset(item.device for item in replica.members() if item.present)

    def epoch(self, group: bytes) -> bytes | None:
        epoch = self.engine._groups.get(group).current_epoch()
        return None if epoch is None else epoch.id

    def group_name(self, group: bytes) -> str:
        return self.engine._groups.get(group).name


class World:
    """Devices and the wires between them."""

    def __init__(self, folder: Path, seed: int = 0) -> None:
        self.folder = folder
        self.rng = random.Random(seed)
        self.random_bytes = self.rng.randbytes
        self.clock = Clock()
        self.devices: list[Device] = []
        self.wires: dict[int, Wire] = {}
        self._numbers = 0

    def add(self, name: str, skew_ms: int = 0, sibling: Device | None = None) -> Device:
        device = Device(self, name, self.folder, skew_ms, sibling)
        self.devices.append(device)
        return device

    def close(self) -> None:
        for device in self.devices:
            device.engine.close()

    # Wires

    def wire(self, left: Device, right: Device) -> Wire | None:
        for wire in self.wires.values():
            if set(wire.ends) == {left, right}:
                return wire
        return None

    def connect(self, left: Device, right: Device) -> None:
        if self.wire(left, right) is not None:
            return
        self._numbers += 1
        number = self._numbers
        self.wires[number] = Wire(number, (left, right), {0: deque(), 1: deque()})
        handshake = self.random_bytes(32)
        for place, (end, other) in enumerate(((left, right), (right, left))):
            end.run(
                lambda e, place=place, other=other: e.sessions.open(
                    number, other.device, handshake, initiator=place == 0
                )
            )

    def connect_all(self) -> None:
        for place, left in enumerate(self.devices):
            for right in self.devices[place + 1 :]:
                self.connect(left, right)

    def cut(self, left: Device, right: Device) -> None:
        wire = self.wire(left, right)
        if wire is not None:
            del self.wires[wire.number]
            for end in wire.ends:
                end.run(lambda e: e.sessions.close(wire.number))

    def cut_all(self) -> None:
        for wire in list(self.wires.values()):
            self.cut(*wire.ends)

    # Time passing

    def step(self) -> bool:
        """Deliver some frames or do some work, whichever chance says; False if all is quiet."""
        choices: list[Callable[[], None]] = []
        for wire in list(self.wires.values()):
            for place, queue in wire.queues.items():
                if queue:
                    choices.append(lambda wire=wire, place=place: self._deliver(wire, place))
            if wire.closed and not any(wire.queues.values()):
                choices.append(lambda wire=wire: self._reconnect(wire))
        choices += [
            lambda d=device: d.run(lambda e: e.produce(d.burdened))
            for device in self.devices
            if device.burdened
        ]
        choices += [
            lambda d=device: d.run(Engine.take_in) for device in self.devices if device.arrived
        ]
        if not choices:
            return False
        self.rng.choice(choices)()
        return True

    def _deliver(self, wire: Wire, place: int) -> None:
        queue = wire.queues[place]
        frames = [queue.popleft() for _ in range(self.rng.randint(1, len(queue)))]
        wire.ends[1 - place].run(lambda e: e.sessions.receive(wire.number, frames))

    def _reconnect(self, wire: Wire) -> None:
        self.cut(*wire.ends)
        self.connect(*wire.ends)

    def settle(self, seconds: float = 60.0) -> None:
        """Let everything happen until nothing is due within the time given."""
        end = self.clock.seconds + seconds
        for _ in range(MAX_STEPS):
            if self.step():
                continue
            due = [device for device in self.devices if device.deadline is not None]
            first = min(due, key=lambda device: device.deadline or 0.0, default=None)
            if first is None or first.deadline is None or first.deadline > end:
                return
            self.clock.seconds = max(self.clock.seconds, first.deadline)
            first.run(Engine.tick)
        raise AssertionError("the world does not come to rest")

    # Joining

    def join(self, inviter: Device, joiner: Device, group: bytes) -> None:
        """Join through the whole exchange, frame by frame."""
        secret = InviteSecret(inviter.run(lambda e: e.invitations.invite(group)).secret)
        assert Meeting(self, inviter, joiner).join(secret) is Step.ADMITTED


class Meeting:
    """A channel on which one device joins by an invite of another, frame by frame."""

    def __init__(self, world: World, inviter: Device, joiner: Device) -> None:
        self.inviter, self.joiner = inviter, joiner
        keys = (world.random_bytes(32), world.random_bytes(32))
        self.channel = Channel(world.random_bytes(32), *keys)
        self.inviting: Inviter = inviter.run(lambda e: e.inviter(self.channel))
        self.joining: Joiner | None = None
        self.loses_offer = world.rng.random() < 0.5

    def join(self, secret: InviteSecret, *addresses: str) -> Step:
        """Use an invite; returns where that ended."""
        join = self.joiner.run(lambda e: e.joins.begin(secret, addresses)).invite
        return self.resume(join, secret)

    def resume(self, join: bytes, secret: InviteSecret | None = None) -> Step:
        """Use an invite that is known, or its ticket; returns where that ended."""
        using = secret or self.joiner.run(lambda e: e.joins.secrets(join))[0]
        joining = self.joiner.run(lambda e: e.joins.open(join, using, self.channel))
        self.joining = joining
        frame: bytes | None = joining.start()
        step = Step.GOES_ON
        while frame is not None:
            if step is Step.ADMITTED:
                if not self.loses_offer:
                    self.inviter.run(lambda _, offer=frame: self.inviting.take_offer(offer))
                return step
            answer = self.send(frame)
            step, frame = self.joiner.run(
                lambda e, answer=answer: e.joins.receive(join, using, joining, answer)
            )
        return step

    def send(self, frame: bytes) -> bytes:
        return self.inviter.run(lambda _: self.inviting.receive(frame))


def back_up(device: Device) -> None:
    device.store.connection.run("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(device.path, device.path.with_suffix(".old"))


def bring_back(world: World, device: Device) -> None:
    """Put the old copy of the database in the place of the present one."""
    world.cut_all()
    device.engine.close()
    for suffix in ("-wal", "-shm"):
        device.path.with_name(device.path.name + suffix).unlink(missing_ok=True)
    shutil.copy(device.path.with_suffix(".old"), device.path)
    device.engine = device._open()
    device.burdened, device.arrived = frozenset(), False
    device.run(Engine.start)
