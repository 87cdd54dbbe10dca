"""A seeded life of a group: replicas of production code under partition, delay, crash and attack.

Every random choice comes from the seed, so that a failure replays exactly. What must hold is in
`sim.invariants`; what malicious members do in `sim.attacks`.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from lutra.groups.contents import Profile, Role
from lutra.groups.group import RANK_DELAY_MS
from lutra.operation import Operation
from sim.attackers import Attackers
from sim.clocks import DAY, ERRORS, MINUTE
from sim.device import Device
from sim.invariants import Violation, is_settled, view
from sim.memo import shared_judgements
from sim.world import Size

HEAL_MINUTES = 60
SEALED_SHARE = 0.15
STEPS = 60
"""How long a life is in the ordinary test run."""


class Simulation(Attackers):
    """One seeded run; `run` raises `Violation` where something does not hold."""

    def __post_init__(self) -> None:
        super().__post_init__()
        with shared_judgements():
            self._begin(self._persons())

    def run(self, steps: int) -> None:
        """Live for some steps, heal, and check everything."""
        with shared_judgements():
            self.run_alone(steps)

    def run_alone(self, steps: int) -> None:
        """Do what `run` does, with each replica judging everything for itself."""
        try:
            self._live(steps)
        except Exception as error:
            error.add_note(f"To see what happened: make sim SEED={self.seed} STEPS={steps}")
            raise

    def _live(self, steps: int) -> None:
        for _ in range(steps):
            self.step()
        self.heal()
        honest = self.honest
        self.judge.converged(honest)
        self.judge.order(self.random.choice(honest), self.random)
        self.judge.rules(honest)
        self.judge.renewals(honest)
        self.judge.coalitions(honest, self.inside, self.sends)
        self.judge.texts(honest, self.sends)
        self.judge.used(honest)
        self._say_last_words(honest)

    def _say_last_words(self, honest: list[Device]) -> None:
        said: dict[bytes, Operation] = {}
        for device in honest:
            role = device.group.control.auth().role_of(device.id)
            text = device.write(b"the end") if role is not None and role >= Role.WRITER else None
            if text is not None:
                said[device.id] = text
        for device in honest:
            device.hear(said.values())
        self.judge.last_words(honest, said)

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
            more = 2 if person in self.malicious else self._size.devices - 1
            for _ in range(more):
                if self.random.random() < 0.6:
                    self._appear(person)
            if self.random.random() < 0.4:
                first = self._devices_of(person)[0]
                self._kits[person] = first.make_kit()
                self._share_chain(first)
        founder = self.devices[0]
        profile = self.random.choice((Profile.ARCHIVE,) * 4 + (Profile.JOIN_ON,))
        if random.Random(f"sealed {self.seed}").random() < SEALED_SHARE:
            profile = Profile.SEALED
        founder.found(profile)
        self._say(f"{founder} founds the group ({profile.name.lower()})")
        for person in persons[1 : 1 + self.random.randint(2, 4)]:
            self._invite(founder, person)
        self._bring_own_devices(founder)
        self._exchange_all()

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


__all__ = ["STEPS", "Simulation", "Size", "Violation"]
