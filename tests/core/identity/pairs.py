"""Two pairing machines, the channels between them, and the persons at the screens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from core.identity.people import key, new_person
from lutra.crypto.signing import SigningKey
from lutra.identity.pairing import Pairing, Step
from lutra.identity.pairing_code import PairingSecret
from lutra.identity.pairing_keys import Channel
from lutra.identity.pairing_messages import Card, Choice
from lutra.identity.pairing_table import Role, Side, State
from lutra.identity.person import Person
from lutra.operation import Operation

NAMES = ("Anastasia", "old desktop", "Benedikta", "brand new laptop")
SHORT = PairingSecret(407, b"abc")
LONG = PairingSecret(None, bytes(range(16)))


def channels(number: int = 1) -> tuple[Channel, Channel]:
    """Return both ends of a connection: the entering device's first."""
    handshake = bytes([number]) * 32
    left, right = key(1000 + number).public, key(2000 + number).public
    return Channel(handshake, left, right), Channel(handshake, right, left)


@dataclass
class Device:
    """A machine that is stored before every send, as a node has to do, and may crash."""

    machine: Pairing
    key: SigningKey
    person: Person | None
    random: Random
    stored: bytes = b""
    outbox: list[bytes] = field(default_factory=list[bytes])
    closed: bool = False

    def do(self, action: Callable[[Pairing], Step]) -> None:
        step = action(self.machine)
        self.stored = self.machine.store()
        self.outbox.extend(step.frames)
        self.closed = self.closed or step.close

    def crash(self, now: float = 0) -> None:
        """Lose everything since the last store, and all that was not delivered."""
        self.outbox.clear()
        self.closed = False
        self.machine = Pairing.restore(self.stored, self.key, now, self.random.randbytes)

    @property
    def state(self) -> State:
        return self.machine.state


@dataclass
class Pair:
    """Both devices; frames are delivered one by one and kept for the tests to look at."""

    enters: Device
    shows: Device
    existing: Device
    new: Device
    traffic: list[tuple[Side, bytes]] = field(default_factory=list[tuple[Side, bytes]])
    connections: int = 0

    @classmethod
    def make(
        cls,
        existing_side: Side = Side.SHOWS,
        secret: PairingSecret = SHORT,
        *,
        other_secret: PairingSecret | None = None,
        own_identity: bool = False,
        roles: tuple[Role, Role] = (Role.EXISTING, Role.NEW),
        seed: int = 7,
    ) -> Pair:
        person = new_person()
        new_side = Side.ENTERS if existing_side is Side.SHOWS else Side.SHOWS
        second = new_person(2) if own_identity or roles[1] is Role.EXISTING else None
        first_person = person if roles[0] is Role.EXISTING else None
        existing = device(
            existing_side,
            secret,
            roles[0],
            number=1,
            person=first_person,
            names=NAMES[:2],
            seed=seed,
        )
        new = device(
            new_side,
            other_secret or secret,
            roles[1],
            number=2,
            person=second,
            names=NAMES[2:],
            seed=seed + 1,
        )
        enters, shows = (new, existing) if existing_side is Side.SHOWS else (existing, new)
        return cls(enters, shows, existing, new)

    def connect(self) -> None:
        self.connections += 1
        left, right = channels(self.connections)
        for one in (self.enters, self.shows):
            one.closed = False
        self.shows.do(lambda machine: machine.connect(right, 0))
        self.enters.do(lambda machine: machine.connect(left, 0))

    def disconnect(self) -> None:
        for one in (self.enters, self.shows):
            one.outbox.clear()
            one.do(lambda machine: machine.disconnect(0))

    def deliver(self) -> bool:
        """Deliver one frame; False if there is none."""
        for side, source, target in (
            (Side.ENTERS, self.enters, self.shows),
            (Side.SHOWS, self.shows, self.enters),
        ):
            if source.outbox:
                frame = source.outbox.pop(0)
                self.traffic.append((side, frame))
                if not target.closed:
                    target.do(lambda machine, frame=frame: machine.receive(frame, 0))
                return True
            if source.closed and not target.closed:
                target.closed = True
                target.do(lambda machine: machine.disconnect(0))
                return True
        return False

    def people(self) -> bool:
        """Let whoever is asked do the next thing; False if nobody is."""
        choice, merged = Choice.NONE, ()
        if self.new.person is not None:
            choice, merged = Choice.MERGE, self.new.person.operations()
        if self.existing.state is State.COMPARING:
            self.existing.do(lambda machine: machine.accept(0))
        elif self.new.state is State.COMPARING:
            self.new.do(lambda machine: machine.accept(0, choice, merged=merged))
        elif self.existing.state is State.ADMITTING:
            log = self.sign()
            self.existing.do(lambda machine: machine.admitted(log, 0))
        else:
            return False
        return True

    def sign(self) -> tuple[Operation, ...]:
        """Add the new device unless that happened before a crash."""
        person, addition = self.existing.person, self.existing.machine.addition
        assert person is not None
        assert addition is not None
        if person.addition(addition.consent.device) is None:
            name = addition.card.device_name.encode()
            person.add(self.existing.key, addition.consent, name, 5)
        return person.operations()

    def run(self) -> None:
        while self.deliver() or self.people():
            pass


def device(
    side: Side,
    secret: PairingSecret,
    role: Role,
    *,
    number: int,
    person: Person | None,
    names: tuple[str, ...],
    seed: int,
) -> Device:
    random = Random(seed)
    card = Card.make(
        role,
        key(number).public,
        person=None if person is None else person.id,
        person_name=names[0],
        device_name=names[1],
        random=random.randbytes,
    )
    machine = Pairing.start(
        side, secret, card=card, key=key(number), now=0, random=random.randbytes
    )
    return Device(machine, key(number), person, random, machine.store())
