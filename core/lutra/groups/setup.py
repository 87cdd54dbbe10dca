"""What a group needs from outside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from lutra.crypto.random import Random
from lutra.groups.authorisation import Directory
from lutra.groups.key_packages import LIFETIME_SECONDS
from lutra.mls import Policy, Services
from lutra.mls.framing import WireFormat
from lutra.mls.secret_tree import RatchetLimits

MAX_AHEAD = 20_000
"""Messages of one device in one epoch (`sealed`) of which none has come: pages sync one by one,
and what was compacted never comes."""
MAX_SKIPPED = 2_000
"""Keys kept for those of them that may still come."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a group needs from outside.

    Attributes:
        device: this device's public log key.
        sign: signs with the device's log key.
        directory: which devices belong to which person, as a function of evidence.
        clock: milliseconds since 1970.
        random: source of all randomness.
        suite_id: MLS cipher suite of groups created here.
    """

    device: bytes
    sign: Callable[[bytes], bytes] = field(repr=False)
    directory: Directory = field(repr=False)
    clock: Callable[[], int] = field(repr=False)
    random: Random = field(repr=False)
    suite_id: int

    def services(self) -> Services:
        """Return the services of the group's MLS states: validity depends on no clock."""
        policy = Policy(
            max_lifetime=LIFETIME_SECONDS,
            check_received_lifetimes=False,
            resumption_epochs=0,
            handshake_format=WireFormat.PUBLIC_MESSAGE,
            grease=False,
            limits=RatchetLimits(forward=MAX_AHEAD, kept=MAX_SKIPPED),
        )
        return Services(random=self.random, clock=lambda: self.clock() / 1000, policy=policy)
